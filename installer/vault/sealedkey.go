package vault

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stek-edge/stek/installer/tpm"
)

// SealedKey is a key that a TPM has sealed and that opens no slot yet. It holds the
// key itself in the clear: keep it in memory, or in a file of root's on a file system
// in memory, and only until [Manager.AddSealed] has made the slot.
//
// It exists because the first process of the initramfs knows a PIN that was typed and
// may not write to the disk, while the running box may write and does not know the PIN.
type SealedKey struct {
	token  TPM2Token // without a slot
	secret []byte
}

// Seal makes a new random key and seals it.
func Seal(ctx context.Context, s Sealer, o TPM2Options) (*SealedKey, error) {
	if o.State == "" {
		o.State = StateCandidate
	}
	if o.State != StateCandidate && o.State != StateProvisional {
		return nil, fmt.Errorf("enrolling the TPM: a new slot cannot be %q", o.State)
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	sealed, err := s.Seal(ctx, secret, o.Policy, o.PIN)
	if err != nil {
		clear(secret)
		return nil, fmt.Errorf("enrolling the TPM: %w", err)
	}
	return &SealedKey{TPM2Token{Slot: -1, Sealed: *sealed, State: o.State, System: o.System}, secret}, nil
}

// AddSealed adds the slot for a sealed key, beside those that are there: it takes
// none away. The new slot is tried first at the next boot.
func (m *Manager) AddSealed(ctx context.Context, auth []byte, k *SealedKey) (*Slot, error) {
	pass := passphraseOf(k.secret)
	defer clear(pass)
	return m.add(ctx, auth, KindTPM2, pass, fastKDF, func(slot int, generation uint64) ([]byte, error) {
		t := k.token
		t.Slot, t.Generation = slot, generation
		return t.Encode()
	})
}

// Wipe clears the key from memory.
func (k *SealedKey) Wipe() { clear(k.secret) }

type sealedKeyJSON struct {
	Token  json.RawMessage `json:"token"`
	Secret []byte          `json:"secret"`
}

// Encode gives the content of the file that hands a sealed key on. It is secret.
func (k *SealedKey) Encode() ([]byte, error) {
	token, err := k.token.Encode()
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealedKeyJSON{token, k.secret})
}

// ParseSealedKey reads what Encode made.
func ParseSealedKey(b []byte) (*SealedKey, error) {
	var j sealedKeyJSON
	if err := decodeStrict(b, &j, true); err != nil {
		return nil, fmt.Errorf("reading a sealed key: %w", err)
	}
	token, err := ParseTPM2(j.Token)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading a sealed key: %w", err)
	case len(j.Secret) != 32 || token.Slot >= 0 || token.State == "":
		return nil, errors.New("reading a sealed key: it is not whole")
	}
	return &SealedKey{*token, j.Secret}, nil
}

// SealAgain seals a new key with the PIN that opened this volume, to another policy.
// ErrNoPIN means that the volume was opened without one.
func (v *Volume) SealAgain(ctx context.Context, s Sealer, p tpm.Policy) (*SealedKey, error) {
	if v.pin == nil {
		return nil, ErrNoPIN
	}
	p.PIN = true
	return Seal(ctx, s, TPM2Options{Policy: p, PIN: v.pin})
}

// ErrNoPIN means that no PIN was typed.
var ErrNoPIN = errors.New("the volume was opened without a PIN")
