package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stek-edge/stek/installer/tpm"
)

// Unsealer is what unlocking needs of a TPM: [tpm.Device] has it.
type Unsealer interface {
	Unseal(ctx context.Context, s *tpm.Sealed, sig *tpm.SignatureFile, pin []byte) ([]byte, error)
}

// Ask asks a person for a text. try counts from 0. The answer is cleared after
// use. It returns ErrGivenUp when nobody answers.
type Ask func(ctx context.Context, try int) ([]byte, error)

// ByTPM unlocks by the TPM slots, newest first.
type ByTPM struct {
	Unsealer  Unsealer
	Signature *tpm.SignatureFile // of the signed PCR policies; nil when there is none
	// PIN is asked only when a slot needs one. Without it such slots are not tried.
	PIN Ask
	// Tries is how often the PIN is asked in all (0: three times). Every wrong
	// one brings the TPM closer to its lockout.
	Tries int
}

func (m ByTPM) unlock(ctx context.Context, a *attempt) *Volume {
	slots := a.h.TPM2Slots()
	for _, t := range a.h.Tokens {
		// A token that is not valid is worth a line: its slot will be missing.
		if t.Type == typeTPM2 && t.Problem != nil {
			slot := -1
			if len(t.Slots) == 1 {
				slot = t.Slots[0]
			}
			a.failed(KindTPM2, slot, t.Problem)
		}
	}
	if len(slots) == 0 {
		a.failed(KindTPM2, -1, ErrNoSlot)
		return nil
	}
	withPIN := slices.DeleteFunc(slices.Clone(slots), func(s *Slot) bool { return !s.PIN || s.Problem != nil })
	for _, s := range slots {
		var v *Volume
		switch {
		case s.Problem != nil:
			a.failed(KindTPM2, s.ID, s.Problem)
		case !s.PIN:
			v, _ = m.try(ctx, a, s, nil)
		case s == withPIN[0]: // the others are tried with the same answers
			v = m.byPIN(ctx, a, withPIN)
		}
		if v != nil {
			return v
		}
	}
	return nil
}

// byPIN tries the slots with a PIN, newest first, each with every answer: while a PIN
// is being changed, the old one opens until the new one has.
func (m ByTPM) byPIN(ctx context.Context, a *attempt, slots []*Slot) *Volume {
	tries := m.Tries
	if tries <= 0 {
		tries = 3
	}
	for asked := 0; len(slots) > 0 && ctx.Err() == nil; asked++ {
		pin, err := m.ask(ctx, asked, tries)
		if err != nil {
			a.failed(KindTPM2, slots[0].ID, err)
			return nil
		}
		var again []*Slot
		for _, s := range slots {
			v, wrong := m.try(ctx, a, s, pin)
			if v != nil {
				v.pin = pin
				return v
			}
			if wrong {
				again = append(again, s)
			}
		}
		clear(pin)
		slots = again
	}
	return nil
}

func (m ByTPM) ask(ctx context.Context, asked, tries int) ([]byte, error) {
	switch {
	case m.PIN == nil:
		return nil, tpm.ErrPINRequired
	case asked >= tries:
		return nil, fmt.Errorf("asked for the PIN %d times: %w", asked, ErrGivenUp)
	}
	return m.PIN(ctx, asked)
}

// try opens one slot. wrongPIN tells that nothing but the PIN was wrong.
func (m ByTPM) try(ctx context.Context, a *attempt, s *Slot, pin []byte) (v *Volume, wrongPIN bool) {
	secret, err := m.Unsealer.Unseal(ctx, &s.tpm2.Sealed, m.Signature, pin)
	if err != nil {
		a.failed(KindTPM2, s.ID, err)
		var wrong *tpm.PINError
		// An empty PIN costs no try: the TPM was not asked.
		return nil, errors.As(err, &wrong) || errors.Is(err, tpm.ErrPINRequired)
	}
	defer clear(secret)
	pass := passphraseOf(secret)
	defer clear(pass)
	return a.try(KindTPM2, s, pass), false
}

// ByTyping unlocks by what a person types: a passphrase, or the recovery key in
// any spelling. A text with the form of a recovery key is tried as one first.
type ByTyping struct {
	Ask   Ask
	Tries int // how often to ask; 0 asks until ErrGivenUp or the context ends
}

func (m ByTyping) unlock(ctx context.Context, a *attempt) *Volume {
	for n := 0; m.Tries <= 0 || n < m.Tries; n++ {
		typed, err := m.Ask(ctx, n)
		if err != nil {
			a.failed(KindRecovery, -1, err)
			return nil
		}
		v := a.typed(bytes.TrimRight(typed, "\r\n"))
		clear(typed)
		if v != nil || ctx.Err() != nil {
			return v
		}
	}
	return nil
}

func (a *attempt) typed(typed []byte) *Volume {
	key, keyErr := ParseRecoveryKey(string(typed))
	if keyErr == nil {
		if v := a.tryKinds(KindRecovery, []byte(key.Reveal()), KindRecovery, KindOther); v != nil {
			return v
		}
	}
	passphrases := len(a.h.Of(KindPassphrase)) + len(a.h.Of(KindOther))
	if passphrases == 0 {
		if keyErr != nil {
			a.failed(KindRecovery, -1, keyErr)
		}
		return nil
	}
	return a.tryKinds(KindPassphrase, typed, KindPassphrase, KindOther)
}

// tryKinds tries one passphrase on every slot of the given kinds, in the order of
// the kinds. Every slot that stays shut is an outcome of its own.
func (a *attempt) tryKinds(m Kind, passphrase []byte, kinds ...Kind) *Volume {
	found := false
	for _, kind := range kinds {
		for _, s := range a.h.Of(kind) {
			found = true
			if v := a.try(m, s, passphrase); v != nil {
				return v
			}
		}
	}
	if !found {
		a.failed(m, -1, ErrNoSlot)
	}
	return nil
}

// ByKeyFile unlocks by the bytes of a file: the maintenance key, or the file on a
// key stick.
type ByKeyFile struct {
	Kind Kind // KindMaintenance or KindKeyStick
	// Read gets the bytes; they are cleared after use. It may wait for the stick.
	Read func(ctx context.Context) ([]byte, error)
}

func (m ByKeyFile) unlock(ctx context.Context, a *attempt) *Volume {
	key, err := m.Read(ctx)
	if err != nil {
		a.failed(m.Kind, -1, err)
		return nil
	}
	defer clear(key)
	return a.tryKinds(m.Kind, key, m.Kind)
}

// ByKey unlocks by a passphrase at hand, on slots of any kind: what the
// installer and stek key do with the key they were given.
type ByKey []byte

func (m ByKey) unlock(_ context.Context, a *attempt) *Volume {
	return a.tryKinds(KindOther, m, KindRecovery, KindMaintenance, KindKeyStick, KindTPM2, KindOther, KindPassphrase)
}
