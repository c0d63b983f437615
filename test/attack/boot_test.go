package attack

import (
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

const (
	image11   = "PCR 11 is the system image (UKI), or the boot is past the point where the disk may be opened"
	loader4   = "PCR 4 is the boot loader or kernel that was started (an update, or a start from another disk)"
	keys7     = "PCR 7 is Secure Boot: switched on or off, or its keys or revocation list (dbx) changed"
	outside12 = "PCR 12 is a command line or credentials given to the kernel from outside the image"
	volume15  = "PCR 15 is another volume was opened before"
	ifMeant   = ". If this change was meant, open the disk with the recovery key and enrol the TPM again; if not, look at the box first"
)

// TestBootChain: another start than the one that the key was sealed to. The screen
// names what changed.
func TestBootChain(t *testing.T) {
	tests := []struct {
		name   string
		policy sealing
		start  chain
		screen []string
	}{
		{"Secure Boot switched off", signedPolicy, genuine.with(func(c *chain) { c.firmware = "secure boot off" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 7 changed)", "  " + keys7 + ifMeant}},
		{"other keys enrolled", signedPolicy, genuine.with(func(c *chain) { c.firmware = "secure boot, a stranger's keys" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 7 changed)", "  " + keys7 + ifMeant}},
		{"Secure Boot switched on where it was off", finalPolicy, genuine.with(func(c *chain) { c.firmware = "secure boot on" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 7 changed)", "  " + keys7 + ifMeant}},
		{"command line from outside", signedPolicy, genuine.with(func(c *chain) { c.outside = "init=/bin/sh" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 12 changed)", "  " + outside12 + ifMeant}},
		{"command line from outside, without Secure Boot", finalPolicy, genuine.with(func(c *chain) { c.outside = "init=/bin/sh" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 12 changed)", "  " + outside12 + ifMeant}},
		// An embedded command line, the initramfs and the kernel are sections of the UKI:
		// each of them changes PCR 11, and so the file, which changes PCR 4.
		{"edited UKI with a signature file of its own", signedPolicy, genuine.with(func(c *chain) { c.image, c.signer = "edited", nextKey() }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: the signatures are by another key (PCR 11)", "  " + image11 + ifMeant}},
		{"edited UKI, without Secure Boot", finalPolicy, genuine.with(func(c *chain) { c.image, c.loader = "edited", "edited" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 4, 11 changed)", "  " + loader4 + "; " + image11 + ifMeant}},
		{"the same UKI from the installer stick, without Secure Boot", finalPolicy, genuine.with(func(c *chain) { c.loader = "from the stick" }), []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 4 changed)", "  " + loader4 + ifMeant}},
		{"older signed image of a retired epoch", func(t *testing.T, seen tpm.PCRs) tpm.Policy { return signedBy(nextKey(), seen) }, genuine, []string{
			"- tpm2 (slot 2): the TPM's policy does not hold: the signatures are by another key (PCR 11)", "  " + image11 + ifMeant}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := installed(t, tt.policy)
			s := b.start(tt.start)
			s.locked(t, tt.screen...)
			s.opensWith(t, b.recovery, nil)
		})
	}

	// With an edited UKI and the genuine signature file beside it.
	t.Run("edited UKI with the genuine signatures", func(t *testing.T) {
		b := installed(t, signedPolicy)
		b.powerOn(genuine.with(func(c *chain) { c.image = "edited" }))
		s := b.stage1(genuine)
		s.locked(t, "- tpm2 (slot 2): the TPM's policy does not hold: no signature for the present boot (PCR 11)", "  "+image11+ifMeant)
		s.opensWith(t, b.recovery, nil)
	})

	t.Run("signed new image", func(t *testing.T) {
		installed(t, signedPolicy).start(genuine.with(func(c *chain) { c.image = "UKI 2" })).opened(t, tpmSlot)
	})
}

// TestOtherSystem: another operating system on the same box wants the key.
func TestOtherSystem(t *testing.T) {
	for name, policy := range map[string]sealing{"Secure Boot": signedPolicy, "without Secure Boot": finalPolicy} {
		t.Run(name, func(t *testing.T) {
			b := installed(t, policy)
			files := genuine.signatures(t)
			t.Run("started on its own", func(t *testing.T) {
				other := genuine.with(func(c *chain) { c.firmware, c.loader, c.image = "signed by somebody else", "another", "another" })
				b.powerOn(other)
				b.notUnsealed(t, files)
				b.measure(11, "enter-initrd")
				b.notUnsealed(t, files)
			})
			// Every word of PCR 11 is public, and without a measured image of its own
			// another system starts with a PCR 11 of zeros.
			t.Run("replays the genuine PCR 11", func(t *testing.T) {
				if err := b.emu.Reset(); err != nil {
					t.Fatal(err)
				}
				b.connect()
				b.measure(4, "another")
				b.measure(7, "signed by somebody else")
				b.measure(11, genuine.image)
				b.measure(11, "enter-initrd")
				b.notUnsealed(t, files)
			})
			t.Run("in the genuine system, after stage1", func(t *testing.T) {
				b.start(genuine).opened(t, tpmSlot)
				b.notUnsealed(t, files)
				b.measure(11, "enter-initrd")
				b.notUnsealed(t, files)
			})
			t.Run("in the genuine system, after a start that stayed shut", func(t *testing.T) {
				b.start(genuine.with(func(c *chain) { c.outside = "quiet" }))
				b.notUnsealed(t, files)
			})
		})
	}
}

// TestInstallerStick: the stick has the same signed UKI, so with Secure Boot the TPM
// cannot tell it from the box's own disk. What keeps it out is that stage1 finds nothing
// to open and closes the door before anybody can type.
func TestInstallerStick(t *testing.T) {
	for name, policy := range map[string]sealing{"Secure Boot": signedPolicy, "without Secure Boot": finalPolicy} {
		t.Run(name, func(t *testing.T) {
			b := installed(t, policy)
			b.powerOn(genuine)
			b.measure(11, "enter-initrd")
			b.measureVolume(nil) // no state partition on the booted disk
			b.measure(11, "leave-initrd")
			b.notUnsealed(t, genuine.signatures(t))
		})
	}

	// Until the first start from the disk a box without Secure Boot has a key that is
	// bound to less. This is what "not yet bound" means, and the box says it.
	t.Run("not yet bound", func(t *testing.T) {
		b := installed(t, func(_ *testing.T, seen tpm.PCRs) tpm.Policy {
			return vault.ProvisionalPolicy(seen[7], seen[11])
		})
		b.start(genuine.with(func(c *chain) { c.loader = "from the stick" })).opened(t, tpmSlot)
		p := vault.Protection(vault.Situation{Slots: b.header().Slots, Measured: true})
		same(t, "the box says", p.Open, []string{"Not yet bound: slot 2 was made by the installer and is replaced when the box has started from its disk."})
	})
}
