package stage1

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// SealedKeyFile is where stage1 leaves a key with a PIN for the running box to make a
// slot of, which removes it. It lies in memory and is root's alone.
const SealedKeyFile = "/run/stek/sealed-key.json"

// waitForNewPIN bounds waiting for a person who has just typed the recovery key.
const waitForNewPIN = 2 * time.Minute

// sealAgain seals a key with the final policy of this start where one is due and has a
// PIN. Without a PIN the running box does it by itself; the PIN is known only here.
func (s *stage1) sealAgain(ctx context.Context, header *vault.Header, volume *vault.Volume, found *Unlocked) error {
	if s.chip == nil || !header.NeedsPIN(found.Opened) {
		return nil
	}
	policy, err := found.FinalPolicy()
	if err != nil {
		return err
	}
	key, err := volume.SealAgain(ctx, s.chip, policy)
	if errors.Is(err, vault.ErrNoPIN) {
		key, err = s.sealWithNewPIN(ctx, policy)
	}
	if err != nil || key == nil {
		return err
	}
	defer key.Wipe()
	b, err := key.Encode()
	if err != nil {
		return err
	}
	defer clear(b)
	return os.WriteFile(SealedKeyFile, b, 0o600)
}

// sealWithNewPIN asks the person who opened the volume in another way for the PIN of
// the new key. No answer is an answer: the next start asks again.
func (s *stage1) sealWithNewPIN(ctx context.Context, policy tpm.Policy) (*vault.SealedKey, error) {
	s.console.Say("\nThe TPM's key has to be bound to this machine again. Choose the PIN that each start\nshall ask for, or press Enter to leave it for another time.")
	asking, cancel := context.WithTimeout(ctx, waitForNewPIN)
	defer cancel()
	pin, err := console.NewSecret{What: "PIN of this box", Least: preseed.MinPIN, MayLeave: true}.From(asking, s.console)
	switch {
	case errors.Is(err, console.ErrLeft), errors.Is(err, console.ErrNobody):
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer clear(pin)
	policy.PIN = true
	return vault.Seal(ctx, s.chip, vault.TPM2Options{Policy: policy, PIN: pin})
}
