package attack

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// started is how a start went, up to where a person would be asked for the recovery key.
type started struct {
	box      *box
	kind     vault.Kind // what opened the disk; empty: it stayed shut
	slot     int
	record   vault.Opened
	seen     tpm.PCRs // while the disk could be opened
	tried    []vault.Outcome
	screen   []string // what the screen says when the disk stayed shut
	identity error    // from comparing the volume with the one that the TPM knows
	failed   error    // the machine does not start at all
}

// start switches the box on and plays stage1's part. It leaves the TPM as stage1 does:
// PCR 15 and 11 extended, whatever happened.
func (b *box) start(c chain) *started {
	b.t.Helper()
	b.powerOn(c)
	return b.stage1(c)
}

// startWithoutTPM is a start of a box that has none, or not yet.
func (b *box) startWithoutTPM(c chain) *started {
	b.t.Helper()
	b.powerOff()
	return b.stage1(c)
}

func (b *box) stage1(c chain) *started {
	b.t.Helper()
	ctx := b.t.Context()
	s := &started{box: b, slot: -1}
	if b.chip != nil {
		b.measure(11, "enter-initrd")
		defer b.measure(11, "leave-initrd")
		s.seen, _ = b.chip.ReadPCRs(ctx, vault.BoundPCRs...) // a TPM without the bank has none
	}
	h, err := vault.Inspect(b.volume.Device)
	if err != nil {
		s.failed = err
		b.measureVolume(nil)
		return s
	}
	m := vault.ByTPM{Unsealer: absent{}, Signature: c.signatures(b.t)}
	if b.chip != nil {
		m.Unsealer = b.chip
	}
	if b.pin != "" {
		m.PIN = answering(b.pin)
	}
	v, err := h.Unlock(ctx, h.Arrange(map[vault.Kind]vault.Method{vault.KindTPM2: m})...)
	var locked *vault.LockedError
	switch {
	case errors.As(err, &locked):
		s.tried, s.screen = locked.Outcomes, locked.Report()
	case err != nil:
		b.t.Fatal(err)
	default:
		defer v.Close()
		s.kind, s.slot, s.record, s.tried = v.Slot.Kind, v.Slot.ID, v.OpenedBy("a"), v.Outcomes
		s.identity = b.compare(v)
	}
	b.measureVolume(v)
	return s
}

// absent is the TPM that is not there.
type absent struct{}

func (absent) Unseal(context.Context, *tpm.Sealed, *tpm.SignatureFile, []byte) ([]byte, error) {
	return nil, &tpm.NoDeviceError{Spec: "/dev/tpmrm0", Err: fs.ErrNotExist}
}

func (b *box) measureVolume(v *vault.Volume) {
	b.t.Helper()
	switch {
	case b.chip == nil:
	case v == nil:
		b.measure(15, "stek:no-volume")
	default:
		if err := b.chip.ExtendDigests(b.t.Context(), 15, v.Measurement); err != nil {
			b.t.Fatal(err)
		}
	}
}

// compare asks the TPM whether this is the box's own volume; nil without a TPM.
func (b *box) compare(v *vault.Volume) error {
	if b.chip == nil {
		return nil
	}
	kept, err := b.chip.ReadIdentity(b.t.Context(), tpm.IdentityIndex)
	if err != nil {
		return err
	}
	return v.CheckIdentity(kept)
}

// locked checks that nothing opened the disk, and what the screen says.
func (s *started) locked(t *testing.T, screen ...string) {
	t.Helper()
	if s.failed != nil {
		t.Fatalf("the machine does not start: %v", s.failed)
	}
	if s.kind != "" {
		t.Fatalf("the disk was opened by %s (slot %d)", s.kind, s.slot)
	}
	same(t, "the screen says", s.screen, screen)
}

// opened checks that the TPM opened the disk, and that it is the right one.
func (s *started) opened(t *testing.T, slot int) {
	t.Helper()
	switch {
	case s.failed != nil:
		t.Fatalf("the machine does not start: %v", s.failed)
	case s.kind != vault.KindTPM2:
		t.Fatalf("the disk was not opened by the TPM:\n%s", s.screen)
	case s.slot != slot:
		t.Errorf("opened by slot %d, want %d", s.slot, slot)
	case s.box.chip != nil && s.identity != nil:
		t.Errorf("the identity: %v", s.identity)
	}
}

// opensWith types the recovery key at the prompt of this start. identity is what
// comparing the volume with the one that the TPM knows must say.
func (s *started) opensWith(t *testing.T, key vault.RecoveryKey, identity error) {
	t.Helper()
	v := s.box.open(key)
	defer v.Close()
	if v.Slot.ID != recoverySlot {
		t.Errorf("opened by slot %d", v.Slot.ID)
	}
	if err := s.box.compare(v); !errors.Is(err, identity) {
		t.Errorf("the identity: %v, want %v", err, identity)
	}
}

// refused checks that the machine does not start, and what its screen says of it.
func refused(t *testing.T, err error, message, remedy string) {
	t.Helper()
	if err == nil {
		t.Fatal("it was not refused")
	}
	if err.Error() != message {
		t.Errorf("the screen says: %s\nwant: %s", err, message)
	}
	var r interface{ Remedy() string }
	if !errors.As(err, &r) {
		t.Fatal("the screen does not say what to do")
	}
	if r.Remedy() != remedy {
		t.Errorf("what to do: %s\nwant: %s", r.Remedy(), remedy)
	}
}

// notUnsealed checks that the key does not come out of the TPM as it is now, with any
// signature file an attacker may have copied. Nothing is measured by this.
func (b *box) notUnsealed(t *testing.T, files ...*tpm.SignatureFile) {
	t.Helper()
	for _, slot := range b.header().TPM2Slots() {
		for _, f := range append(files, nil) {
			if _, err := b.chip.Unseal(t.Context(), &slot.Sealed().Sealed, f, []byte(b.pin)); err == nil {
				t.Errorf("the TPM gave away the key of slot %d", slot.ID)
			}
		}
	}
}
