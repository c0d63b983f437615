package vault

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/swtpm"
)

var (
	_ Sealer   = (*tpm.Device)(nil)
	_ Unsealer = (*tpm.Device)(nil)
)

// machine is a box with a software TPM.
type machine struct {
	t   *testing.T
	emu *swtpm.TPM
	dev *tpm.Device
}

// start switches the box on and measures what firmware, stub and stage1 measure.
func (m *machine) start(firmware, image string) {
	m.t.Helper()
	if m.dev != nil {
		m.dev.Close()
		m.emu.Reset()
	}
	dev, err := tpm.Open("swtpm:" + m.emu.Socket)
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.emu.Log())
	}
	m.dev = dev
	m.extend(4, image)
	m.extend(7, firmware)
	m.extend(11, image)
	m.extend(11, "enter-initrd")
}

func (m *machine) extend(pcr int, event string) {
	m.t.Helper()
	if err := m.dev.Extend(context.Background(), pcr, []byte(event)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(pcrs ...int) tpm.PCRs {
	m.t.Helper()
	now, err := m.dev.ReadPCRs(context.Background(), pcrs...)
	if err != nil {
		m.t.Fatal(err)
	}
	return now
}

// TestRealTPM plays the life of a box on real cryptsetup and swtpm: installed,
// first start, bound, update of the firmware, theft.
func TestRealTPM(t *testing.T) {
	ctx := context.Background()
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sig := &tpm.SignatureFile{}
	if err := sig.Sign(signer, tpm.PCRs{11: tpm.ReplayPCR(nil, []byte("image"), []byte("enter-initrd"))}); err != nil {
		t.Fatal(err)
	}
	box := &machine{t: t, emu: swtpm.Start(t)}

	// The installer, started from the stick: PCR 4 is not yet that of the disk.
	box.start("firmware 1", "image")
	vol, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
	provisional := TPM2Options{Policy: tpm.Policy{Literal: box.read(7, 11)}, State: StateProvisional}
	if _, err := vol.AddTPM2(ctx, []byte(key.Reveal()), box.dev, provisional); err != nil {
		t.Fatal(err)
	}
	maintenance := NewKeyFile()
	if _, err := vol.AddMaintenance(ctx, []byte(key.Reveal()), maintenance); err != nil {
		t.Fatal(err)
	}

	unlock := func() (*Volume, error) {
		return inspect(t, vol).Unlock(ctx, ByTPM{Unsealer: box.dev, Signature: sig})
	}
	mustUnlock := func(state State) Opened {
		t.Helper()
		v, err := unlock()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if v.Slot.Kind != KindTPM2 || v.Slot.State != state {
			t.Fatalf("opened by %+v", v.Slot)
		}
		return v.OpenedBy("a")
	}

	// First start from the disk: the identity goes into the TPM, and the final
	// policy is sealed beside the provisional one.
	box.start("firmware 1", "image")
	v, err := unlock()
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Identity(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := box.dev.WriteIdentity(ctx, tpm.IdentityIndex, id[crypto.SHA256]); err != nil {
		t.Fatal(err)
	}
	if left, err := vol.Settle(ctx, v.OpenedBy("a"), nil); err != nil || len(left) != 1 || left[0].Action != ActionEnrol {
		t.Fatalf("left %v, error %v", left, err)
	}
	// Sealed before PCR 15 is extended and PCR 11 is capped, and to 12 and 15 zero.
	final := TPM2Options{Policy: tpm.Policy{
		Signed:  &tpm.Signed{Key: &signer.PublicKey, PCRs: []int{11}},
		Literal: box.read(7, 12, 15),
	}}
	if _, err := vol.AddTPM2(ctx, maintenance, box.dev, final); err != nil {
		t.Fatal(err)
	}
	if err := box.dev.ExtendDigests(ctx, 15, v.Measurement); err != nil {
		t.Fatal(err)
	}
	if got, want := box.read(15)[15], tpm.ReplayPCR(nil); bytes.Equal(got, want) {
		t.Error("PCR 15 was not extended")
	}
	v.Close()
	box.extend(11, "leave-initrd")
	if _, err := unlock(); err == nil {
		t.Fatal("the TPM opens the volume after the cap")
	} else {
		var policy *tpm.PolicyError
		if !errors.As(err, &policy) {
			t.Fatalf("after the cap: %v", err)
		}
	}

	// Second start: the candidate opens, is bound, and the provisional one goes.
	box.start("firmware 1", "image")
	record := mustUnlock(StateCandidate)
	if left, err := vol.Settle(ctx, record, nil); err != nil || len(left) != 0 {
		t.Fatalf("left %v, error %v", left, err)
	}
	if slots := inspect(t, vol).TPM2Slots(); len(slots) != 1 || slots[0].State != StateBound || slots[0].Generation != 2 {
		t.Fatalf("slots %+v", slots)
	}

	// Third start: it stays so, and the volume is the one the TPM knows.
	box.start("firmware 1", "image")
	mustUnlock(StateBound)
	kept, err := box.dev.ReadIdentity(ctx, tpm.IdentityIndex)
	if err != nil {
		t.Fatal(err)
	}
	if v, err = unlock(); err != nil {
		t.Fatal(err)
	}
	if err := v.CheckIdentity(kept); err != nil {
		t.Error(err)
	}
	v.Close()

	t.Run("swapped volume", func(t *testing.T) {
		other, otherKey := newVolume(t, FormatOptions{UUID: inspect(t, vol).UUID})
		v, err := inspect(t, other).Unlock(ctx, ByKey(otherKey.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		var swapped *SwappedError
		if err := v.CheckIdentity(kept); !errors.As(err, &swapped) {
			t.Errorf("error %v", err)
		}
	})

	t.Run("firmware changed", func(t *testing.T) {
		box.start("firmware 2", "image")
		_, err := unlock()
		var policy *tpm.PolicyError
		if !errors.As(err, &policy) || !slices.Contains(policy.Changed(), 7) || slices.Contains(policy.Changed(), 12) {
			t.Fatalf("error %v", err)
		}
		// A person types the recovery key, the box binds itself anew.
		v, err := inspect(t, vol).Unlock(ctx, ByTPM{Unsealer: box.dev, Signature: sig}, ByTyping{Ask: answers(key.Reveal()), Tries: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(v.Outcomes) != 1 || v.Outcomes[0].Method != KindTPM2 {
			t.Errorf("outcomes %v", v.Outcomes)
		}
		left, err := vol.Settle(ctx, v.OpenedBy("a"), nil)
		v.Close()
		if err != nil || len(left) != 1 || left[0].Action != ActionEnrol {
			t.Fatalf("left %v, error %v", left, err)
		}
		final.Policy.Literal = box.read(7, 12, 15)
		if _, err := vol.AddTPM2(ctx, maintenance, box.dev, final); err != nil {
			t.Fatal(err)
		}
		box.start("firmware 2", "image")
		if _, err := vol.Settle(ctx, mustUnlock(StateCandidate), nil); err != nil {
			t.Fatal(err)
		}
		if slots := inspect(t, vol).TPM2Slots(); len(slots) != 1 || slots[0].Generation != 3 {
			t.Errorf("slots %+v", slots)
		}
	})

	t.Run("a foreign image", func(t *testing.T) {
		box.start("firmware 2", "evil")
		if _, err := unlock(); err == nil {
			t.Error("opened")
		}
	})

	t.Run("another box", func(t *testing.T) {
		thief := &machine{t: t, emu: swtpm.Start(t)}
		thief.start("firmware 2", "image")
		_, err := inspect(t, vol).Unlock(ctx, ByTPM{Unsealer: thief.dev, Signature: sig})
		var cleared *tpm.ClearedError
		var mismatch *tpm.SRKMismatchError
		if !errors.As(err, &cleared) && !errors.As(err, &mismatch) {
			t.Errorf("error %v", err)
		}
		if opens(t, vol, []byte(key.Reveal())) != 0 {
			t.Error("the recovery key does not open the disk in another box")
		}
	})

	t.Run("PIN without Secure Boot", func(t *testing.T) {
		vol, key := newVolume(t, FormatOptions{Order: []Kind{KindTPM2}})
		box.start("firmware 2", "image")
		installed := TPM2Options{Policy: tpm.Policy{Literal: box.read(7, 11, 12, 15), PIN: true}, PIN: []byte("246810"), State: StateProvisional}
		if _, err := vol.AddTPM2(ctx, []byte(key.Reveal()), box.dev, installed); err != nil {
			t.Fatal(err)
		}
		for start, want := range []State{StateProvisional, StateCandidate, StateBound} {
			box.start("firmware 2", "image")
			h := inspect(t, vol)
			seen := box.read(BoundPCRs...)
			v, err := h.Unlock(ctx, ByTPM{Unsealer: box.dev, PIN: answers("246810")})
			if err != nil {
				t.Fatal(err)
			}
			if v.Slot.State != want {
				t.Errorf("start %d: opened by a %s slot, want %s", start, v.Slot.State, want)
			}
			opened := v.OpenedBy("a")
			left, err := vol.Settle(ctx, opened, nil)
			if err != nil || len(left) > 0 != h.NeedsPIN(opened) {
				t.Fatalf("left %v, %v", left, err)
			}
			if len(left) > 0 {
				policy, err := FinalPolicy(seen, false, nil)
				if err != nil {
					t.Fatal(err)
				}
				sealed, err := v.SealAgain(ctx, box.dev, policy)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := vol.AddSealed(ctx, []byte(key.Reveal()), sealed); err != nil {
					t.Fatal(err)
				}
			}
			v.Close()
		}
		if slots := inspect(t, vol).TPM2Slots(); len(slots) != 1 || !slots[0].PIN || slots[0].State != StateBound {
			t.Errorf("slots %+v", slots)
		}
		box.start("firmware 2", "another loader and image")
		if v, err := inspect(t, vol).Unlock(ctx, ByTPM{Unsealer: box.dev, PIN: answers("246810")}); err == nil {
			v.Close()
			t.Error("another loader opens the volume")
		}
	})

	t.Run("with a PIN", func(t *testing.T) {
		box.start("firmware 2", "image")
		withPIN := final
		withPIN.Policy.PIN, withPIN.PIN = true, []byte("2468 growing")
		withPIN.Policy.Literal = box.read(7, 12, 15)
		if _, err := vol.AddTPM2(ctx, maintenance, box.dev, withPIN); err != nil {
			t.Fatal(err)
		}
		v, err := inspect(t, vol).Unlock(ctx, ByTPM{Unsealer: box.dev, Signature: sig, PIN: answers("1111", "2468 growing")})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		var wrong *tpm.PINError
		if !v.Slot.PIN || len(v.Outcomes) != 1 || !errors.As(v.Outcomes[0].Err, &wrong) {
			t.Errorf("opened by %+v after %v", v.Slot, v.Outcomes)
		}
	})
}
