package preseed

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted stands wherever a Secret would have been printed.
const redacted = "[redacted]"

// SecretPrefix begins a value that stands in the secrets file: secret:NAME.
const SecretPrefix = "secret:"

// Secret is a text that does not print: every way in which fmt, log/slog, JSON,
// YAML and text encoders show a value shows a marker instead, or nothing when the
// secret is empty. Reveal is the only way to read it.
//
// Two ways lead around the methods, so do not take them: fmt prints an unexported
// struct field as it is, and encoding/json writes the key of a map as it is.
type Secret string

// Reveal returns the secret itself. Search for its callers to see where secrets go.
func (s Secret) Reveal() string { return string(s) }

// Reference returns NAME of a value that is written secret:NAME and was not looked
// up yet. The name is not secret.
func (s Secret) Reference() (name string, ok bool) {
	return strings.CutPrefix(string(s), SecretPrefix)
}

// checkSecretName judges the name of a value in the secrets file.
func checkSecretName(name string) *problem {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || len(name) > 63 {
		return bad("the name after secret: has small letters, digits, dots and dashes, 63 at most", "for example secret:hall-wifi")
	}
	return nil
}

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
