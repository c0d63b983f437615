package attack

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/swtpm"
)

const (
	withRecovery = "  open the disk with the recovery key, then enrol the TPM again; somebody cleared the TPM, or a firmware update did"
	noTPM        = "  switch the TPM on in the firmware settings (it may be called fTPM, PTT or Security Device), or use another way to unlock"
)

// TestTPM: what may have become of the chip. Each box has a key with the policy of
// Secure Boot, and nobody at its console but a person with the recovery key.
func TestTPM(t *testing.T) {
	t.Run("untouched", func(t *testing.T) {
		installed(t, signedPolicy).start(genuine).opened(t, tpmSlot)
		installed(t, finalPolicy).start(genuine).opened(t, tpmSlot)
	})

	t.Run("cleared", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.tools("tpm2_clear -c p")
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): the TPM was cleared: its storage key at 0x81000001 is gone", withRecovery)
		s.opensWith(t, b.recovery, tpm.ErrNoIdentity)
	})

	t.Run("cleared and set up again by another system", func(t *testing.T) {
		b := installed(t, signedPolicy)
		was := b.srkName()
		b.tools("tpm2_clear -c p",
			"tpm2_createprimary -C o -g sha256 -G ecc256:null:aes128cfb -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c p.ctx",
			"tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c p.ctx 0x81000001")
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): alarm: the storage key of this TPM is "+b.nowSRK()+", the disk was enrolled with "+was, mismatchRemedy)
		s.opensWith(t, b.recovery, tpm.ErrNoIdentity)
	})

	t.Run("of another box, never used", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.emu = swtpm.Start(t)
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): the TPM was cleared: its storage key at 0x81000001 is gone", withRecovery)
		s.opensWith(t, b.recovery, tpm.ErrNoIdentity)
	})

	// The disk in a box of the same fleet. Its TPM knows another volume, so the
	// recovery key is refused there too: it would hand that box a disk of a
	// stranger's choice. Any other machine opens the disk.
	t.Run("of another box of the fleet", func(t *testing.T) {
		b, other := installed(t, signedPolicy), freshlyInstalled(t, signedPolicy)
		was := b.srkName()
		b.emu = other.emu
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): alarm: the storage key of this TPM is "+other.srkName()+", the disk was enrolled with "+was, mismatchRemedy)
		v := b.open(b.recovery)
		defer v.Close()
		refused(t, b.compare(v), "the encrypted volume ("+b.uuid()+") is not the one this box was installed with", swappedRemedy)
	})

	t.Run("none", func(t *testing.T) {
		b := installed(t, signedPolicy)
		s := b.startWithoutTPM(genuine)
		s.locked(t, "- tpm2 (slot 2): no TPM at /dev/tpmrm0: file does not exist", noTPM)
		s.opensWith(t, b.recovery, nil)
	})

	// The chip is there when stage1 has gone: it capped what it found on its way out
	// (TestLateTPMIsCapped of package stage1), and the next start is as ever.
	t.Run("late", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.startWithoutTPM(genuine).locked(t, "- tpm2 (slot 2): no TPM at /dev/tpmrm0: file does not exist", noTPM)
		b.powerOn(genuine)
		b.measure(15, "stek:no-volume")
		b.measure(11, "leave-initrd")
		b.notUnsealed(t, genuine.signatures(t))
		b.start(genuine).opened(t, tpmSlot)
	})

	t.Run("swtpm is gone in the middle", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.powerOn(genuine)
		b.emu.Stop()
		_, err := b.header().Unlock(t.Context(), vault.ByTPM{Unsealer: b.chip, Signature: genuine.signatures(t)})
		if err == nil {
			t.Fatal("it opened")
		}
		b.powerOff()
		b.open(b.recovery).Close()
	})

	// The key without a PIN takes no part in the defence against guessing.
	t.Run("in lockout", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.lockOut()
		b.start(genuine).opened(t, tpmSlot)
		b.powerOff()
		if l := b.lockout(); !l.Locked {
			t.Errorf("the TPM was not locked: %+v", l)
		}
	})

	t.Run("owner password set", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.tools("tpm2_changeauth -c owner secret")
		b.start(genuine).opened(t, tpmSlot)
		_, err := b.volume.AddTPM2(t.Context(), b.maintenance, b.chip, vault.TPM2Options{Policy: signedBy(builderKey(), b.read(7))})
		if err != nil {
			t.Errorf("a box that is enrolled cannot be enrolled again: %v", err)
		}
	})

	t.Run("owner password set before the installation", func(t *testing.T) {
		b := bare(t)
		b.tools("tpm2_clear -c p", "tpm2_changeauth -c owner secret")
		b.powerOn(genuine)
		_, err := b.volume.AddTPM2(t.Context(), b.maintenance, b.chip, vault.TPM2Options{Policy: signedBy(builderKey(), b.read(7))})
		refused(t, err, "enrolling the TPM: the TPM has an owner password",
			"the TPM was taken over by another system (old Windows or Linux installations do this); if nothing on this box needs it any more, clear the TPM in the firmware settings and start again")
	})

	t.Run("owner password set and storage key taken away", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.tools("tpm2_evictcontrol -C o -c 0x81000001", "tpm2_changeauth -c owner secret")
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): the TPM was cleared: its storage key at 0x81000001 is gone", withRecovery)
		s.opensWith(t, b.recovery, nil)
	})

	// The same seed makes the same key again: no person is needed.
	t.Run("storage key taken away", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.tools("tpm2_evictcontrol -C o -c 0x81000001")
		b.start(genuine).opened(t, tpmSlot)
	})

	t.Run("storage key's place taken by another key", func(t *testing.T) {
		b := installed(t, signedPolicy)
		was := b.srkName()
		b.tools("tpm2_evictcontrol -C o -c 0x81000001", "tpm2_createprimary -C o -g sha256 -G rsa -c p.ctx", "tpm2_flushcontext -t",
			"tpm2_evictcontrol -C o -c p.ctx 0x81000001")
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): alarm: the storage key of this TPM is "+b.nowSRK()+", the disk was enrolled with "+was, mismatchRemedy)
		s.opensWith(t, b.recovery, nil)
		b.powerOn(genuine)
		_, err := b.volume.AddTPM2(t.Context(), b.maintenance, b.chip, vault.TPM2Options{Policy: signedBy(builderKey(), b.read(7))})
		refused(t, err, "enrolling the TPM: the TPM's storage key at 0x81000001 is another one than needed: an RSA-2048 key for storage, subject to lockout",
			"the TPM was used by another system before; if nothing on this box needs it any more, clear the TPM in the firmware settings and start again")
	})

	t.Run("SHA-256 bank switched off", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.tools("tpm2_pcrallocate sha1:all+sha256:none+sha384:none+sha512:none")
		s := b.start(genuine)
		s.locked(t, "- tpm2 (slot 2): the TPM keeps no SHA-256 PCRs (active: sha1)",
			"  switch the SHA-256 PCR bank on in the firmware settings (often below Security, TPM)")
		s.opensWith(t, b.recovery, nil)
		b.powerOff()
		b.tools("tpm2_pcrallocate sha1:none+sha256:all+sha384:none+sha512:none")
		b.start(genuine).opened(t, tpmSlot)
	})
}

const (
	mismatchRemedy = "  this disk belongs to another board, or the TPM was cleared and set up again, or something sits between the processor and the TPM: look at the box before you type the recovery key"
	swappedRemedy  = "if the disk was exchanged or installed anew on purpose, install stek again with this box's TPM; otherwise keep the box switched off and look at the disk: somebody may have replaced it"
)

// srkName is the name of the storage key that the disk was enrolled with, as messages
// shorten it: tpm2_srk is a handle of 4 bytes, a size of 2, and the name.
func (b *box) srkName() string {
	b.t.Helper()
	return hex.EncodeToString(b.header().TPM2Slots()[0].Sealed().Sealed.SRK[6:16])
}

// nowSRK is the name of the key that is in the TPM now, by the TPM's own word.
func (b *box) nowSRK() string {
	b.t.Helper()
	name := filepath.Join(b.t.TempDir(), "name")
	b.powerOff()
	b.tools("tpm2_readpublic -c 0x81000001 -n " + name)
	b.connect()
	got, err := os.ReadFile(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return hex.EncodeToString(got[:10])
}

// lockOut guesses at a key with a PIN, sealed for the purpose, until the TPM locks.
func (b *box) lockOut() {
	b.t.Helper()
	b.powerOn(genuine)
	defer b.powerOff()
	bait, err := b.chip.Seal(b.t.Context(), []byte("bait"), tpm.Policy{Literal: b.read(7), PIN: true}, []byte("246810"))
	if err != nil {
		b.t.Fatal(err)
	}
	var locked *tpm.LockoutError
	for range 100 {
		if _, err = b.chip.Unseal(b.t.Context(), bait, nil, []byte("guess")); errors.As(err, &locked) {
			return
		}
	}
	b.t.Fatalf("the TPM does not lock: %v", err)
}
