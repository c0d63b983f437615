package tpm

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// pinRounds of PBKDF2, as systemd 253 and later have it.
const pinRounds = 10000

// pinAuth turns a PIN into the object's authorization value: SHA-256 of the PIN, or, with
// a salt, of the padded base64 of PBKDF2-SHA256(PIN, salt). Trailing zero bytes are cut
// off, because the TPM does so with the stored value and an HMAC would not fit otherwise
// (part 1, section 19.6.4.3).
func pinAuth(pin, salt []byte) ([]byte, error) {
	if len(pin) == 0 {
		return nil, ErrPINRequired
	}
	if len(salt) > 0 {
		key, err := pbkdf2.Key(sha256.New, string(pin), salt, pinRounds, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("stretching the PIN: %w", err)
		}
		defer clear(key)
		pin = base64.StdEncoding.AppendEncode(nil, key)
		defer clear(pin)
	}
	sum := sha256.Sum256(pin)
	return bytes.TrimRight(sum[:], "\x00"), nil
}
