package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// modhex is a hexadecimal alphabet of letters that stand in the same place on
// nearly every keyboard layout, as used by systemd-cryptenroll: letter i is i.
const modhex = "cbdefghijklnrtuv"

const (
	recoveryBytes  = 32
	recoveryGroup  = 8 // letters between two dashes
	recoveryLength = 64 + 7
)

// RecoveryKey is 256 random bits, written as eight groups of eight letters with
// dashes between them. The dashes are part of the slot's passphrase. Printing one
// by accident gives a placeholder; [RecoveryKey.Reveal] gives the letters.
type RecoveryKey struct{ text string }

// NewRecoveryKey makes a recovery key from the kernel's random numbers.
func NewRecoveryKey() RecoveryKey {
	var raw [recoveryBytes]byte
	rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	var b strings.Builder
	for i, c := range raw {
		if i != 0 && i*2%recoveryGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(modhex[c>>4])
		b.WriteByte(modhex[c&15])
	}
	clear(raw[:])
	return RecoveryKey{b.String()}
}

// RecoveryError says what is wrong with a typed recovery key, without repeating
// any of it.
type RecoveryError struct {
	Letters int // how many letters were typed; 64 are expected
	Group   int // of the first letter that cannot occur, from 1; 0 when all can
	Letter  int // its place in the group, from 1
}

func (e *RecoveryError) Error() string {
	if e.Group != 0 {
		return fmt.Sprintf("this is not a recovery key: letter %d of group %d is not one of %s", e.Letter, e.Group, modhex)
	}
	return fmt.Sprintf("this is not a recovery key: it has %d letters, not 64", e.Letters)
}

// ParseRecoveryKey brings what a person typed into the one form that opens a
// slot. Upper case, spaces, line ends, missing dashes and the dashes that word
// processors put in are all accepted. The error is a *RecoveryError.
func ParseRecoveryKey(typed string) (RecoveryKey, error) {
	var b strings.Builder
	n := 0
	for _, r := range typed {
		if strings.ContainsRune(" \t\r\n-\u00a0\u00ad\u2010\u2011\u2012\u2013\u2014\u2212", r) {
			continue
		}
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		if !strings.ContainsRune(modhex, r) {
			return RecoveryKey{}, &RecoveryError{Group: n/recoveryGroup + 1, Letter: n%recoveryGroup + 1}
		}
		if n < 64 {
			if n != 0 && n%recoveryGroup == 0 {
				b.WriteByte('-')
			}
			b.WriteRune(r)
		}
		n++
	}
	if n != 64 {
		return RecoveryKey{}, &RecoveryError{Letters: n}
	}
	return RecoveryKey{b.String()}, nil
}

// Reveal gives the letters, for the one moment they are shown to a person.
func (k RecoveryKey) Reveal() string { return k.text }

// IsZero tells whether there is no key in it.
func (k RecoveryKey) IsZero() bool { return len(k.text) != recoveryLength }

// String hides the key.
func (k RecoveryKey) String() string { return "(recovery key)" }

// GoString hides the key from %#v.
func (k RecoveryKey) GoString() string { return "(recovery key)" }

// MarshalText refuses: a recovery key never goes into JSON or YAML.
func (k RecoveryKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a recovery key must not be written to a document")
}

// ParseRecipient reads the public key that recovery keys and header backups are
// encrypted to: age1… (also the post-quantum age1pq1…).
func ParseRecipient(text string) (age.Recipient, error) {
	list, err := age.ParseRecipients(strings.NewReader(strings.TrimSpace(text)))
	if err != nil || len(list) != 1 {
		return nil, errors.New("not an age recipient: it begins with age1 and is made with age-keygen")
	}
	return list[0], nil
}

// EncryptRecoveryKey writes the key for a person to keep, as armored age text.
// about is one line that says which box and volume it is for. `age -d -i key.txt
// FILE` prints both.
func EncryptRecoveryKey(w io.Writer, to age.Recipient, key RecoveryKey, about string) error {
	if key.IsZero() {
		return errors.New("encrypting the recovery key: there is none")
	}
	about = strings.Join(strings.Fields(about), " ")
	a := armor.NewWriter(w)
	e, err := age.Encrypt(a, to)
	if err != nil {
		return fmt.Errorf("encrypting the recovery key: %w", err)
	}
	if _, err := fmt.Fprintf(e, "# recovery key: %s\n%s\n", about, key.text); err != nil {
		return fmt.Errorf("encrypting the recovery key: %w", err)
	}
	if err := errors.Join(e.Close(), a.Close()); err != nil {
		return fmt.Errorf("encrypting the recovery key: %w", err)
	}
	return nil
}

// DecryptRecoveryKey is the reverse of EncryptRecoveryKey.
func DecryptRecoveryKey(r io.Reader, id age.Identity) (RecoveryKey, error) {
	d, err := age.Decrypt(armor.NewReader(r), id)
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("decrypting the recovery key: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(d, 4096))
	if err != nil {
		return RecoveryKey{}, fmt.Errorf("decrypting the recovery key: %w", err)
	}
	defer clear(b)
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			return ParseRecoveryKey(line)
		}
	}
	return RecoveryKey{}, errors.New("decrypting the recovery key: there is none in it")
}
