package attack

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// startTyping is a start with a person at the console who has the recovery key.
func (b *box) startTyping(c chain) *started {
	b.t.Helper()
	s := b.start(c)
	if s.kind == "" {
		v := b.open(b.recovery)
		defer v.Close()
		s.kind, s.slot, s.record = v.Slot.Kind, v.Slot.ID, v.OpenedBy("a")
		s.identity = b.compare(v)
	}
	return s
}

// settle is what the running box does after a start, as `stek node settle`.
func (b *box) settle(m *vault.Manager, s *started, c chain) error {
	left, err := m.Settle(b.t.Context(), s.record, nil)
	if err != nil {
		return err
	}
	for range left {
		if errors.Is(s.identity, tpm.ErrNoIdentity) {
			if err := b.chip.WriteIdentity(b.t.Context(), tpm.IdentityIndex, b.identity); err != nil {
				return err
			}
		}
		if err := b.add(m, c.key(), s.seen[7], b.pin); err != nil {
			return err
		}
	}
	return nil
}

// add adds a key for images of a signer, and a value of PCR 7, beside the others.
func (b *box) add(m *vault.Manager, signer *rsa.PrivateKey, pcr7 []byte, pin string) error {
	o := vault.TPM2Options{Policy: vault.SignedPolicy(&signer.PublicKey, pcr7)}
	if pin != "" {
		o.Policy.PIN, o.PIN = true, []byte(pin)
	}
	_, err := m.AddTPM2(b.t.Context(), b.maintenance, b.chip, o)
	return err
}

func (c chain) pcr7() []byte { return tpm.ReplayPCR(nil, []byte(c.firmware)) }

// settled starts the box until it has come to rest, with the recovery key at hand: one
// key, bound, that opens it by itself.
func (b *box) settled(t *testing.T, c chain) {
	t.Helper()
	var s *started
	for range 4 {
		s = b.startTyping(c)
		if slots := b.header().TPM2Slots(); s.kind == vault.KindTPM2 && s.identity == nil && len(slots) == 1 && slots[0].State == vault.StateBound {
			b.powerOff()
			return
		}
		if err := b.settle(b.volume, s, c); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("the box does not come to rest: %s, %v, slots %v", s.screen, s.identity, b.states())
}

func (b *box) states() (list []string) {
	for _, s := range b.header().TPM2Slots() {
		list = append(list, fmt.Sprintf("%d %s", s.ID, s.State))
	}
	return list
}

// bound gives a box that has come to rest, as one that runs for years.
func bound(t *testing.T) *box {
	t.Helper()
	bounds.Do(func() {
		b := installed(t, signedPolicy)
		b.settled(t, genuine)
		bounds.box = b.keep(t, "bound")
	})
	return bounds.box.copy(t)
}

var bounds struct {
	sync.Once
	box *box
}

// oldest is the slot that the box had before a change.
func (b *box) oldest() int {
	slots := b.header().TPM2Slots()
	return slots[len(slots)-1].ID
}

var (
	newFirmware = genuine.with(func(c *chain) { c.firmware = "secure boot, own keys, newer firmware" })
	newDBX      = genuine.with(func(c *chain) { c.firmware = "secure boot, own keys, newer dbx" })
	newEpoch    = genuine.with(func(c *chain) { c.image, c.signer = "UKI of the next epoch", nextKey() })
)

// TestNewKey adds a key for a start that differs, and cuts the power at each step. The
// machine may then change or not: the way that opened it before still does, and in the
// end the box has one key that fits what it has become.
func TestNewKey(t *testing.T) {
	for _, change := range []struct {
		name string
		next chain
	}{
		{"resealed for a newer dbx", newDBX},
		{"PCR key of the next epoch", newEpoch},
	} {
		t.Run(change.name, func(t *testing.T) {
			cutEverywhere(t, bound(t), betweenCalls, func(b *box, m *vault.Manager) error {
				b.connect()
				return b.add(m, change.next.key(), change.next.pcr7(), "")
			}, func(t *testing.T, b *box, done bool) {
				b.start(genuine).opened(t, b.oldest())
				if s := b.start(change.next); done && s.kind != vault.KindTPM2 {
					t.Errorf("the new key does not open the box: %s", s.screen)
				}
				b.settled(t, change.next)
				if s := b.start(genuine); s.kind != "" {
					t.Errorf("the old way still opens the box, by slot %d", s.slot)
				}
			})
		})
	}

	t.Run("the change does not come", func(t *testing.T) {
		b := bound(t)
		b.connect()
		if err := b.add(b.volume, builderKey(), newDBX.pcr7(), ""); err != nil {
			t.Fatal(err)
		}
		b.settled(t, genuine)
	})

	t.Run("two epochs", func(t *testing.T) {
		b := bound(t)
		third := genuine.with(func(c *chain) { c.image, c.signer = "UKI of the third epoch", newKey() })
		for _, next := range []chain{newEpoch, third} {
			b.connect()
			if err := b.add(b.volume, next.key(), next.pcr7(), ""); err != nil {
				t.Fatal(err)
			}
			b.settled(t, next)
		}
		for _, retired := range []chain{genuine, newEpoch} {
			b.start(retired).locked(t, fmt.Sprintf("- tpm2 (slot %d): the TPM's policy does not hold: the signatures are by another key (PCR 11)", b.oldest()), "  "+image11+ifMeant)
		}
	})
}

// TestNewKeyOpened cuts the power while the box puts the new key in the place of the
// old one: from then on the new one must open it, without a person.
func TestNewKeyOpened(t *testing.T) {
	b := bound(t)
	b.connect()
	if err := b.add(b.volume, builderKey(), newDBX.pcr7(), ""); err != nil {
		t.Fatal(err)
	}
	b.powerOff()
	cutEverywhere(t, b, everywhere, func(b *box, m *vault.Manager) error {
		return b.settle(m, b.start(newDBX), newDBX)
	}, func(t *testing.T, b *box, _ bool) {
		if s := b.start(newDBX); s.kind != vault.KindTPM2 {
			t.Fatalf("the new key does not open the box: %s", s.screen)
		}
		b.settled(t, newDBX)
	})
}

// TestFirmwareUpdate: PCR 0 to 7 changed and nobody had said so before. A person types
// the recovery key once, and the box binds itself again.
func TestFirmwareUpdate(t *testing.T) {
	cutEverywhere(t, bound(t), betweenCalls, func(b *box, m *vault.Manager) error {
		s := b.startTyping(newFirmware)
		same(b.t, "the screen says", s.screen, []string{
			"- tpm2 (slot 3): the TPM's policy does not hold: a PCR changed (PCR 7 changed)", "  " + keys7 + ifMeant})
		return b.settle(m, s, newFirmware)
	}, func(t *testing.T, b *box, done bool) {
		b.start(genuine).opened(t, b.oldest()) // the update is taken back
		if s := b.start(newFirmware); done && s.kind != vault.KindTPM2 {
			t.Errorf("the box did not bind itself again: %s", s.screen)
		}
		b.settled(t, newFirmware)
		if s := b.start(genuine); s.kind != "" {
			t.Errorf("the old firmware still opens the box, by slot %d", s.slot)
		}
	})
}

// TestTPMExchanged: as after a new board, or a cleared TPM. The box tells the new TPM
// which volume is its own.
func TestTPMExchanged(t *testing.T) {
	b := bound(t)
	b.tools("tpm2_clear -c p")
	s := b.startTyping(genuine)
	if !errors.Is(s.identity, tpm.ErrNoIdentity) {
		t.Errorf("identity: %v", s.identity)
	}
	if err := b.settle(b.volume, s, genuine); err != nil {
		t.Fatal(err)
	}
	b.settled(t, genuine)
}

// TestUnsteadyFirmware: a box whose PCR 7 differs at each start is opened by a person
// each time. It must not fill its header with keys that never opened it.
func TestUnsteadyFirmware(t *testing.T) {
	b := bound(t)
	for n := range 20 {
		c := genuine.with(func(c *chain) { c.firmware = fmt.Sprint("start ", n) })
		if err := b.settle(b.volume, b.startTyping(c), c); err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
		if slots := b.states(); len(slots) > 3 {
			t.Fatalf("after start %d the slots are %v", n, slots)
		}
	}
	b.settled(t, genuine)
}

// TestRecoveryKeyReplaced: the new key first, then the old one goes.
func TestRecoveryKeyReplaced(t *testing.T) {
	fresh := vault.NewRecoveryKey()
	cutEverywhere(t, bound(t), betweenCalls, func(b *box, m *vault.Manager) error {
		if _, err := m.AddRecovery(t.Context(), b.maintenance, fresh); err != nil {
			return err
		}
		return m.Remove(t.Context(), recoverySlot, false)
	}, func(t *testing.T, b *box, done bool) {
		b.start(genuine).opened(t, b.oldest())
		opens := func(key vault.RecoveryKey) bool {
			v, err := b.header().Unlock(t.Context(), typing(key.Reveal()))
			if err == nil {
				v.Close()
			}
			return err == nil
		}
		old, new := opens(b.recovery), opens(fresh)
		switch {
		case !old && !new:
			t.Error("no recovery key opens the disk")
		case done && (old || !new):
			t.Errorf("after the change the old key opens: %v, the new one: %v", old, new)
		}
		// What the cut left goes with the next change.
		if err := b.volume.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h := b.header(); slices.ContainsFunc(h.Slots, func(s *vault.Slot) bool { return s.Token < 0 }) {
			t.Error("a slot is left that nothing names")
		}
	})
}

// TestPINs: set, changed, taken away. The old way opens the box until the new one has.
func TestPINs(t *testing.T) {
	for _, change := range []struct{ name, old, new string }{
		{"set", "", "246810"},
		{"changed", "135791", "246810"},
		{"removed", "135791", ""},
	} {
		t.Run(change.name, func(t *testing.T) {
			b := bound(t)
			if b.pin = change.old; b.pin != "" {
				b.connect()
				if err := b.add(b.volume, builderKey(), genuine.pcr7(), b.pin); err != nil {
					t.Fatal(err)
				}
				b.settled(t, genuine)
			}
			cutEverywhere(t, b, betweenCalls, func(b *box, m *vault.Manager) error {
				b.connect()
				return b.add(m, builderKey(), genuine.pcr7(), change.new)
			}, func(t *testing.T, b *box, done bool) {
				if s := b.start(genuine); s.kind != vault.KindTPM2 {
					t.Errorf("the old way does not open the box: %s", s.screen)
				}
				b.pin = change.new
				if s := b.start(genuine); done && s.slot == b.oldest() {
					t.Errorf("the new way does not open the box: %s", s.screen)
				}
				if !done {
					return
				}
				b.settled(t, genuine)
				if b.pin = change.old; b.pin != "" && change.new == "" {
					return // nothing asks for it any more
				}
				if s := b.start(genuine); s.kind != "" {
					t.Errorf("the old way still opens the box, by slot %d", s.slot)
				}
			})
		})
	}
}
