//go:build e2e

package attack

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/testimage"
	"github.com/stek-edge/stek/test/vm"
)

// door holds the TPM of whole machines at moments in which somebody may have got hold of
// it with all rights, and asks it for the key. What was measured by then was measured by
// firmware, stub and stage1 themselves.
func (r *room) door(t *testing.T) {
	genuine := r.signatures(t)

	// The other tests of this list prove something only if the same TPM, asked in the
	// same way, gives the key where stage1 asks.
	t.Run("before stage1 asks", func(t *testing.T) {
		b := powerOn(t, r, r.copies(t))
		says(t, b, "stek ") // its first line; the drivers are loaded after it
		thief := r.thief(t, b)
		thief.notUnsealed(t, genuine)
		thief.measure(11, uki.PhaseEnterInitrd)
		slot := thief.header().TPM2Slots()[0]
		if _, err := thief.chip.Unseal(t.Context(), &slot.Sealed().Sealed, genuine, nil); err != nil {
			t.Errorf("this way of asking never gives a key: %v", err)
		}
	})

	t.Run("on the running box", func(t *testing.T) {
		b := powerOn(t, r, r.copies(t))
		if o, err := b.WaitOpened(t.Context()); err != nil || o.Groups[0] != "tpm2" {
			t.Fatalf("opened by %v, %v", o.Groups, err)
		}
		if err := b.LogIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.thief(t, b).findsItShut(t, genuine)
	})

	t.Run("while it asks for the recovery key", func(t *testing.T) {
		m := r.copies(t)
		evil, _ := newVolume(t, "")
		image, err := os.ReadFile(evil.Device)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, m.Disks[0].Path, image, statePartition(t, m.Disks[0].Path))
		b := powerOn(t, r, m)
		asks(t, b, "- tpm2: the volume has no slot for this")
		r.thief(t, b).findsItShut(t, genuine)
	})

	t.Run("when it cannot start", func(t *testing.T) {
		m := r.copies(t)
		overwrite(t, m.Disks[0].Path, make([]byte, 1<<20), statePartition(t, m.Disks[0].Path))
		b := powerOn(t, r, m)
		says(t, b, "What to do: "+notLUKSRemedy)
		r.thief(t, b).findsItShut(t, genuine)
	})

	t.Run("in the installer from a stick of the same image", func(t *testing.T) {
		m := r.copies(t)
		stick := filepath.Join(m.Dir, "stick.img")
		if err := vm.CopyDisk(t.Context(), r.site.Image, stick); err != nil {
			t.Fatal(err)
		}
		m.Disks = append([]vm.Disk{{Name: "stick", Path: stick, Bus: vm.USB, Serial: "THIEF", BootIndex: 1}}, m.Disks...)
		b := powerOn(t, r, m)
		says(t, b, "There is no answer file on the stick, so a person is asked.")
		r.thief(t, b).findsItShut(t, genuine)
	})
}

// otherSystem starts another system on a box without Secure Boot, from where the
// thief likes. Every word of the genuine PCR 11 is public, and so is replayed.
func (r *room) otherSystem(t *testing.T) {
	t.Run("another system that replays PCR 11", func(t *testing.T) {
		kernel, err := testimage.TestKernel(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := r.copies(t)
		m.Kernel, m.Cmdline = kernel.Image, "console=ttyS0"
		b := powerOn(t, r, m)
		ctx, cancel := context.WithTimeout(t.Context(), settledWithin)
		defer cancel()
		if _, err := b.Console.Expect(ctx, "Linux version"); err != nil {
			t.Fatal(err)
		}
		thief := r.thief(t, b)
		genuine := r.signatures(t)
		thief.notUnsealed(t, genuine)
		for _, e := range r.events {
			if e.PCR == uki.PCR11 {
				err := thief.chip.ExtendDigests(t.Context(), e.PCR, func(crypto.Hash) []byte { return e.SHA256 })
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		thief.measure(11, uki.PhaseEnterInitrd)
		want, err := kernelOf(t, m.Disks[0].Path).PredictPCR11(uki.PhaseEnterInitrd)
		if err != nil {
			t.Fatal(err)
		}
		if got := thief.read(11)[11]; !bytes.Equal(got, want[:]) {
			t.Fatalf("PCR 11 was not replayed: it is %x, not %x", got, want)
		}
		thief.notUnsealed(t, genuine)
	})
}

// lateTPM has udev of a running box say that the TPM is gone, and that it has come: as one
// whose driver is late. To take the driver away would make a /dev/tpmrm1 of it.
func (r *room) lateTPM(t *testing.T) {
	t.Run("TPM that appears late", func(t *testing.T) {
		b := powerOn(t, r, r.copies(t))
		if err := b.LogIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		run := func(command string) string {
			t.Helper()
			out, err := b.Run(t.Context(), command)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		const unit, note = "stek-close-tpm@tpmrm0.service", "/run/stek/tpm-closed/tpmrm0"
		if got := run("systemctl show --value -p ActiveState " + unit + "; ls " + note); got != "inactive\n"+note {
			t.Errorf("stage1 has closed the TPM, and %s says %s", unit, got)
		}
		before := run("cat /sys/class/tpm/tpm0/pcr-sha256/15")
		run("rm " + note + "; for action in remove add; do udevadm trigger --settle --action=$action --subsystem-match=tpmrm; done")
		run("for i in $(seq 30); do test -e " + note + " && break; sleep 1; done; systemctl is-active " + unit)
		value, err := hex.DecodeString(before)
		if err != nil {
			t.Fatal(err)
		}
		after := run("cat /sys/class/tpm/tpm0/pcr-sha256/15")
		if want := hex.EncodeToString(tpm.ReplayPCR(value, []byte("stek:no-volume"))); !strings.EqualFold(after, want) {
			t.Errorf("PCR 15 is %s, want %s", after, want)
		}
		r.thief(t, b).findsItShut(t, r.signatures(t))
	})
}

// volume is the box's encrypted volume as it was left, or as much of it as holds keys.
func (r *room) volume(t *testing.T) *box {
	t.Helper()
	f, err := os.Open(r.site.Disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := filepath.Join(t.TempDir(), "head")
	content, err := io.ReadAll(io.NewSectionReader(f, statePartition(t, r.site.Disk), 18<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(head, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return &box{t: t, volume: &vault.Manager{Device: head}}
}

// signatures are those of the genuine image.
func (r *room) signatures(t *testing.T) *tpm.SignatureFile {
	t.Helper()
	signed, err := kernelOf(t, r.site.Disk).PCRSignatures()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	file, err := tpm.ParseSignatureFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// thief takes the machine's power, but not the TPM's, and has a copy of the disk's header.
func (r *room) thief(t *testing.T, machine *site.Box) *box {
	t.Helper()
	path, err := machine.HoldTPM()
	if err != nil {
		t.Fatal(err)
	}
	b := r.volume(t)
	if b.chip, err = tpm.Open("swtpm:" + path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.powerOff)
	if slots := b.header().TPM2Slots(); !slices.ContainsFunc(slots, func(s *vault.Slot) bool { return s.State == vault.StateBound }) {
		t.Fatal("no key on this disk is bound to its TPM")
	}
	return b
}

// findsItShut asks for the key as it is, and after another try to enter.
func (b *box) findsItShut(t *testing.T, genuine *tpm.SignatureFile) {
	t.Helper()
	b.notUnsealed(t, genuine)
	b.measure(11, uki.PhaseEnterInitrd)
	b.notUnsealed(t, genuine)
}
