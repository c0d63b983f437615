package attack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// withPIN gives a box whose key wants a PIN as well.
func withPIN(t *testing.T, pin string) *box {
	t.Helper()
	b := installed(t, signedPolicy)
	b.seal(signedPolicy, vault.TPM2Options{Policy: tpm.Policy{PIN: true}, PIN: []byte(pin)})
	if err := b.volume.Remove(t.Context(), tpmSlot, false); err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	pinSlot   = 3
	pinRemedy = "  type the PIN again, slowly; or use the recovery key"
)

// types is a start at which a person types these PINs.
func (b *box) types(pins ...string) *started {
	b.t.Helper()
	b.powerOn(genuine)
	b.measure(11, "enter-initrd")
	s := &started{box: b, slot: -1}
	v, err := b.header().Unlock(b.t.Context(), vault.ByTPM{Unsealer: b.chip, Signature: genuine.signatures(b.t), PIN: answering(pins...), Tries: 3})
	var locked *vault.LockedError
	switch {
	case errors.As(err, &locked):
		s.tried, s.screen = locked.Outcomes, locked.Report()
	case err != nil:
		b.t.Fatal(err)
	default:
		defer v.Close()
		s.kind, s.slot, s.tried, s.identity = v.Slot.Kind, v.Slot.ID, v.Outcomes, b.compare(v)
	}
	return s
}

func TestPIN(t *testing.T) {
	t.Run("right", func(t *testing.T) {
		withPIN(t, "246810").types("246810").opened(t, pinSlot)
	})

	t.Run("wrong three times", func(t *testing.T) {
		b := withPIN(t, "246810")
		l := b.lockout()
		s := b.types("111111", "222222", "333333")
		var want []string
		for n := 1; n <= 3 && n <= l.Max; n++ {
			words := fmt.Sprintf("wrong PIN; %d more before the TPM locks", l.Max-n)
			if n == l.Max {
				words = "wrong PIN; the TPM is locked now"
			}
			want = append(want, "- tpm2 (slot 3): "+words, pinRemedy)
		}
		if l.Max != 3 {
			t.Fatalf("this TPM locks after %d tries, the test is for 3", l.Max)
		}
		s.locked(t, append(want, "- tpm2 (slot 3): asked for the PIN 3 times: no answer")...)
		s.opensWith(t, b.recovery, nil)

		// Right, but too late: the TPM is not asked a second time in the same start.
		s = b.types("246810", "246810")
		s.locked(t, fmt.Sprintf("- tpm2 (slot 3): the TPM is locked after 3 wrong tries; the next try is possible in at most %v of running time", l.Interval),
			"  leave the box switched on and wait: the time counts only while it runs, and every further try starts it again; or use the recovery key")
		s.opensWith(t, b.recovery, nil)

		b.powerOff()
		b.tools("tpm2_dictionarylockout --clear-lockout")
		b.types("246810").opened(t, pinSlot)
	})

	t.Run("empty", func(t *testing.T) {
		b := withPIN(t, "246810")
		s := b.types("", "", "")
		s.locked(t, "- tpm2 (slot 3): a PIN is needed", "- tpm2 (slot 3): a PIN is needed", "- tpm2 (slot 3): a PIN is needed",
			"- tpm2 (slot 3): asked for the PIN 3 times: no answer")
		s.opensWith(t, b.recovery, nil)
		b.powerOff()
		if l := b.lockout(); l.Counter != 0 {
			t.Errorf("the lockout counter is %d", l.Counter)
		}
		s = b.types("", "246810")
		s.opened(t, pinSlot)
		if len(s.tried) != 1 || s.tried[0].String() != "tpm2 (slot 3): a PIN is needed" {
			t.Errorf("tried %v", s.tried)
		}
	})

	t.Run("set empty", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.powerOn(genuine)
		_, err := b.volume.AddTPM2(t.Context(), b.maintenance, b.chip,
			vault.TPM2Options{Policy: tpm.Policy{Literal: b.read(7), PIN: true}})
		if err == nil || err.Error() != "enrolling the TPM: a PIN is needed" {
			t.Errorf("got %v", err)
		}
	})

	t.Run("unicode", func(t *testing.T) {
		b := withPIN(t, "kas 7 🍅 żółć 鍵")
		b.types("kas 7 🍅 żółć 鍵").opened(t, pinSlot)
		// The same letters, put together of other code points: not the same PIN.
		s := b.types("kas 7 🍅 z\u0307o\u0301łc\u0301 鍵", "kas 7 🍅 żółć 鍵")
		s.opened(t, pinSlot)
		if len(s.tried) != 1 {
			t.Errorf("tried %v", s.tried)
		}
	})

	t.Run("spaces at its ends", func(t *testing.T) {
		b := withPIN(t, "  246810 ")
		b.types("  246810 ").opened(t, pinSlot)
	})

	// The TPM cuts trailing zero bytes off an authorization value. Package tpm tries
	// each such end of the stretched value; here is a PIN that stock tools up to systemd
	// 253 cannot enrol for this reason.
	t.Run("hash with a trailing zero", func(t *testing.T) {
		pin := trailingZero()
		withPIN(t, pin).types(pin).opened(t, pinSlot)
	})

	// A TPM that loses its power after a PIN was used takes the cut for a try that was
	// to be hidden (TPM 2.0 part 1, section 19.8.6). A box with bad power must not lock
	// itself out like this.
	t.Run("power cuts after the right one", func(t *testing.T) {
		b := withPIN(t, "246810")
		for range 5 {
			b.types("246810").opened(t, pinSlot)
			b.measureVolume(nil)
			b.measure(11, "leave-initrd")
			b.chip = nil // no goodbye to the TPM
		}
		if err := b.emu.Reset(); err != nil {
			t.Fatal(err)
		}
		if l := b.lockout(); l.Counter != 0 || l.Locked {
			t.Errorf("after five cuts: %+v", l)
		}
	})
}

// trailingZero finds a PIN of digits whose SHA-256 ends with a zero byte.
func trailingZero() string {
	for n := 100000; ; n++ {
		if sum := sha256.Sum256(fmt.Append(nil, n)); sum[31] == 0 {
			return fmt.Sprint(n)
		}
	}
}
