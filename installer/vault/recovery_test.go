package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestNewRecoveryKey(t *testing.T) {
	form := regexp.MustCompile(`^([cbdefghijklnrtuv]{8}-){7}[cbdefghijklnrtuv]{8}$`)
	seen := map[string]bool{}
	for range 50 {
		k := NewRecoveryKey()
		if !form.MatchString(k.Reveal()) || seen[k.Reveal()] || k.IsZero() {
			t.Fatalf("%q", k.Reveal())
		}
		seen[k.Reveal()] = true
	}
}

func TestParseRecoveryKey(t *testing.T) {
	const want = "cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv-cbdefghi-jklnrtuv"
	plain := strings.ReplaceAll(want, "-", "")
	tests := []struct {
		name, typed string
		err         RecoveryError // zero: parses
	}{
		{"as printed", want, RecoveryError{}},
		{"upper case", strings.ToUpper(want), RecoveryError{}},
		{"no dashes", plain, RecoveryError{}},
		{"spaces instead", strings.ReplaceAll(want, "-", " "), RecoveryError{}},
		{"line end", want + "\r\n", RecoveryError{}},
		{"two lines", want[:35] + "\n" + want[35:], RecoveryError{}},
		{"dashes of a word processor", strings.ReplaceAll(want, "-", "\u2013"), RecoveryError{}},
		{"dashes elsewhere", "c-b-" + plain[2:], RecoveryError{}},
		{"empty", "", RecoveryError{Letters: 0}},
		{"one too few", plain[:63], RecoveryError{Letters: 63}},
		{"one too many", plain + "c", RecoveryError{Letters: 65}},
		{"wrong letter", plain[:18] + "a" + plain[19:], RecoveryError{Group: 3, Letter: 3}},
		{"digit", "1" + plain[1:], RecoveryError{Group: 1, Letter: 1}},
		{"a letter that folds to k", plain[:63] + "\u212a", RecoveryError{Group: 8, Letter: 8}},
		{"not UTF-8", plain[:63] + "\xff", RecoveryError{Group: 8, Letter: 8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ParseRecoveryKey(tt.typed)
			var bad *RecoveryError
			if errors.As(err, &bad) {
				if *bad != tt.err {
					t.Errorf("error %+v, want %+v", *bad, tt.err)
				}
				if len(plain) > 20 && strings.Contains(err.Error(), plain[:20]) {
					t.Errorf("the error repeats the key: %v", err)
				}
				return
			}
			if err != nil || k.Reveal() != want || tt.err != (RecoveryError{}) {
				t.Errorf("key %q, error %v", k.Reveal(), err)
			}
		})
	}
}

// TestRecoveryKeyHides: no way of printing a value by accident shows the key.
func TestRecoveryKeyHides(t *testing.T) {
	k := NewRecoveryKey()
	type holder struct{ Key RecoveryKey }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{k, &k} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, k.Reveal()[:8]) {
				t.Errorf("%s of %T prints %s", verb, v, s)
			}
		}
		if s := fmt.Sprintf(verb, holder{k}); strings.Contains(s, k.Reveal()[:8]) {
			t.Errorf("%s of a struct prints %s", verb, s)
		}
	}
	if b, err := json.Marshal(holder{k}); err == nil {
		t.Errorf("JSON gives %s", b)
	}
}

func TestEncryptRecoveryKey(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseRecipient(id.Recipient().String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	k := NewRecoveryKey()
	var out bytes.Buffer
	if err := EncryptRecoveryKey(&out, to, k, "box 7,\nserial X"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), k.Reveal()[:8]) || !strings.HasPrefix(out.String(), "-----BEGIN AGE ENCRYPTED FILE-----") {
		t.Fatalf("wrote %s", out.String())
	}
	back, err := DecryptRecoveryKey(bytes.NewReader(out.Bytes()), id)
	if err != nil || back != k {
		t.Errorf("came back differently: %v", err)
	}
	// A person has the stock age program.
	file := filepath.Join(t.TempDir(), "id.txt")
	if err := os.WriteFile(file, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := string(tool(t, out.Bytes(), "age", "-d", "-i", file)); got != "# recovery key: box 7, serial X\n"+k.Reveal()+"\n" {
		t.Errorf("age prints %q", got)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecryptRecoveryKey(bytes.NewReader(out.Bytes()), other); err == nil {
		t.Error("another identity decrypts it")
	}
	if err := EncryptRecoveryKey(&out, to, RecoveryKey{}, ""); err == nil {
		t.Error("an empty key was encrypted")
	}
}

func TestParseRecipient(t *testing.T) {
	for name, text := range map[string]string{
		"empty":    "",
		"typo":     "age1qqqq",
		"identity": "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ",
		"comment":  "# nothing",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseRecipient(text)
			if err == nil || strings.Contains(err.Error(), "QQQ") {
				t.Errorf("error %v", err)
			}
		})
	}
}
