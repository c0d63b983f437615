package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxDepth is how deep hostile JSON may nest; LUKS2 metadata needs five levels.
const maxDepth = 12

// decodeStrict decodes one JSON object into v. Over encoding/json it refuses
// duplicate keys, keys with other characters than a-z 0-9 _ -, unknown keys (when
// known is set), too deep nesting and trailing data. Without the second rule
// "Type" would be taken for "type" here and for an unknown key by cryptsetup: two
// readers of one header must never disagree about what it says.
func decodeStrict(data []byte, v any, known bool) error {
	return decode(data, v, known, "")
}

// decodeHeader is decodeStrict for the whole JSON area, in which tokens of other
// tools may have keys of any form: they are checked when they are read.
func decodeHeader(data []byte, v any) error {
	return decode(data, v, true, "tokens")
}

func decode(data []byte, v any, known bool, foreign string) error {
	if err := checkJSON(data, foreign); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if known {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return cleanJSONError(err)
	}
	return nil
}

// cleanJSONError drops the offending value from the error: a header is foreign
// input, and its text does not belong on the console.
func cleanJSONError(err error) error {
	var typeErr *json.UnmarshalTypeError
	if errors.As(err, &typeErr) {
		return fmt.Errorf("field %.64q has the wrong type", typeErr.Field)
	}
	text := err.Error()
	if len(text) > 120 {
		text = text[:120]
	}
	return errors.New(text)
}

// checkJSON walks a JSON object and applies the rules that encoding/json lacks.
// The rules on keys do not hold below the top-level key foreign.
func checkJSON(data []byte, foreign string) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	t, err := d.Token()
	if err != nil {
		return cleanJSONError(err)
	}
	if t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	w := walker{d: d, foreign: foreign}
	if err := w.object(1); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the end of the JSON object")
	}
	return nil
}

type walker struct {
	d       *json.Decoder
	foreign string
	within  int // depth of foreign's value, 0 outside of it
}

// object reads up to the end of an object whose '{' was read.
func (w *walker) object(depth int) error {
	seen := map[string]bool{}
	for w.d.More() {
		t, err := w.d.Token()
		if err != nil {
			return cleanJSONError(err)
		}
		key, ok := t.(string)
		// The numbers of the tokens, one level below, still follow the rules.
		if w.within == 0 || depth <= w.within {
			if !ok || !plainKey(key) {
				return fmt.Errorf("key %.32q is not plain lower-case", key)
			}
			if seen[key] {
				return fmt.Errorf("key %.32q is given twice", key)
			}
			seen[key] = true
		}
		if depth == 1 && w.foreign != "" && key == w.foreign {
			w.within = depth + 1
		}
		if err := w.value(depth); err != nil {
			return err
		}
		if depth == 1 {
			w.within = 0
		}
	}
	if _, err := w.d.Token(); err != nil {
		return cleanJSONError(err)
	}
	return nil
}

// value reads one value.
func (w *walker) value(depth int) error {
	if depth >= maxDepth {
		return errors.New("nested too deep")
	}
	t, err := w.d.Token()
	if err != nil {
		return cleanJSONError(err)
	}
	switch t {
	case json.Delim('{'):
		return w.object(depth + 1)
	case json.Delim('['):
		for w.d.More() {
			if err := w.value(depth + 1); err != nil {
				return err
			}
		}
		if _, err := w.d.Token(); err != nil {
			return cleanJSONError(err)
		}
	}
	return nil
}

func plainKey(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// index reads a slot, token, segment or digest number: decimal, no sign, no
// leading zero, at most limit.
func index(s string, limit int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || strconv.FormatUint(n, 10) != s || int(n) > limit {
		return 0, fmt.Errorf("%.16q is not a number from 0 to %d", s, limit)
	}
	return int(n), nil
}

// byteCount reads a size or offset in the form LUKS2 uses: a string of decimal
// digits, bytes.
func byteCount(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.24q is not a count of bytes", s)
	}
	return n, nil
}

// decodeBase64 decodes padded standard base64 that has one spelling only. Go
// skips line ends, which json-c's and OpenSSL's decoders may not.
func decodeBase64(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("not base64")
	}
	return b, nil
}
