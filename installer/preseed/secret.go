package preseed

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a Secret would have been printed.
const redacted = "[redacted]"

// Secret is a text that does not print: every way in which fmt, log/slog, JSON,
// YAML and text encoders show a value shows a marker instead, or nothing when the
// secret is empty. Reveal is the only way to read it.
//
// Two ways lead around the methods, so do not take them: fmt prints an unexported
// struct field as it is, and encoding/json writes the key of a map as it is.
type Secret string

// Reveal returns the secret itself. Search for its callers to see where secrets go.
func (s Secret) Reveal() string { return string(s) }

// String returns the marker, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is String for the %#v verb.
func (s Secret) GoString() string { return `preseed.Secret("` + s.String() + `")` }

// Format answers every verb of fmt, also those (%x, %q, %d) that would pass by String.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		io.WriteString(f, s.GoString())
		return
	}
	io.WriteString(f, s.String())
}

// MarshalText serves encoders that ask for text (XML, flags, map keys).
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON writes the marker.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// MarshalYAML writes the marker.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue gives log/slog the marker.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
