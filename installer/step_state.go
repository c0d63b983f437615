package installer

import (
	"context"
	"crypto"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// unfinishedLabel marks a volume whose installation has not ended. The label is
// changed when the disk is bootable; until then a new try may erase it without
// being told so.
const unfinishedLabel = "stek-unfinished"

// makeState makes the encrypted volume, its keys and the file system on it. Nothing
// of an earlier try is used: the volume is formatted anew, with new keys.
func makeState(ctx context.Context, r *run) error {
	if err := r.makeUnbootable(); err != nil {
		return on(TheDisk, err)
	}
	if err := r.clearHead(); err != nil {
		return on(TheDisk, fmt.Errorf("clearing the place of the volume's header: %w", err))
	}
	r.keys.wipe()
	r.keys = secrets{recovery: vault.NewRecoveryKey(), maintenance: vault.NewKeyFile()}
	if err := r.makeTunnelKey(); err != nil {
		return err
	}
	device := r.partition(disk.State)
	m := &vault.Manager{Device: device}

	var order []vault.Kind
	for _, u := range r.plan.Unlock {
		order = append(order, vault.Kind(u.Method))
	}
	if err := m.Format(ctx, vault.FormatOptions{Recovery: r.keys.recovery, Label: unfinishedLabel, Order: order}); err != nil {
		return onlyOn(TheDisk, err)
	}
	auth := []byte(r.keys.recovery.Reveal())
	defer clear(auth)
	if err := r.fillState(ctx, device, auth); err != nil {
		return err
	}
	if _, err := m.AddMaintenance(ctx, auth, r.keys.maintenance); err != nil {
		return onlyOn(TheDisk, err)
	}
	for _, u := range r.plan.Unlock {
		r.note("making the key slot for %s", u.Method)
		var err error
		switch u.Method {
		case "tpm2":
			err = r.enrolTPM(ctx, m, auth, u)
		case "passphrase":
			err = r.enrolPassphrase(ctx, m, auth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// clearHead overwrites what the volume's header will be written to. cryptsetup does so,
// too, but on a disk that fails there it ends without a word.
func (r *run) clearHead() error {
	state, err := disk.OpenPartition(r.site.Machine, r.plan.Disk.Chosen.Path, r.part(disk.State))
	if err != nil {
		return err
	}
	defer state.Close()
	if _, err := state.WriteAt(make([]byte, vault.HeaderSize), 0); err != nil {
		return err
	}
	return state.Flush()
}

// fillState opens the new volume, makes its file system and writes the node's own
// files. ext4: its journal has the longest record of coming back from power cuts
// in bounded time, every rescue system can repair it, and containerd's overlay
// snapshots and k3s' database work on it without surprises. Checksums of data,
// which btrfs would add, cost an SD card a second write of everything.
func (r *run) fillState(ctx context.Context, device string, auth []byte) (err error) {
	header, err := vault.Inspect(device)
	if err != nil {
		return onlyOn(TheDisk, err)
	}
	volume, err := header.Unlock(ctx, vault.ByKey(auth))
	if err != nil {
		return onlyOn(TheDisk, err)
	}
	defer volume.Close()
	if r.usesTPM() {
		if err := r.keepIdentity(ctx, volume); err != nil {
			return err
		}
	}
	mapped, err := volume.Map()
	if err != nil {
		return err
	}
	defer func() {
		if closing := vault.Unmap(); err == nil {
			err = closing
		}
	}()
	if err := disk.MakeState(ctx, disk.Exec{}, mapped); err != nil {
		return on(TheDisk, err)
	}
	shadow, err := os.ReadFile(r.site.Shadow)
	if err != nil {
		return on(TheStick, fmt.Errorf("reading the image's users: %w", err))
	}
	return r.site.mounted(mapped, "ext4", func(dir string) error {
		if err := layNode(dir, r.plan, r.site.Answers, shadow, r.keys.tunnel); err != nil {
			return onIfIO(TheDisk, err)
		}
		return on(TheDisk, nodeFile{Maintenance, string(r.keys.maintenance), 0o600}.write(dir))
	})
}

func (r *run) usesTPM() bool {
	for _, u := range r.plan.Unlock {
		if u.Method == "tpm2" {
			return true
		}
	}
	return false
}

func (r *run) openTPM() (*tpm.Device, error) { return tpm.Open(r.site.TPM) }

// keepIdentity tells the TPM which volume belongs to this box from now on.
func (r *run) keepIdentity(ctx context.Context, volume *vault.Volume) error {
	chip, err := r.openTPM()
	if err != nil {
		return err
	}
	defer chip.Close()
	identity, err := volume.Identity(crypto.SHA256)
	if err != nil {
		return err
	}
	return chip.WriteIdentity(ctx, tpm.IdentityIndex, identity[crypto.SHA256])
}

// enrolTPM seals a key to what the first start from the disk will measure.
func (r *run) enrolTPM(ctx context.Context, m *vault.Manager, auth []byte, u Unlock) error {
	image, err := uki.Open(filepath.Join(r.site.StickESP, filepath.FromSlash(UKIPath)))
	if err != nil {
		return on(TheStick, fmt.Errorf("reading the UKI on the stick: %w", err))
	}
	chip, err := r.openTPM()
	if err != nil {
		return err
	}
	defer chip.Close()
	now, err := chip.ReadPCRs(ctx, 7)
	if err != nil {
		return err
	}
	var options vault.TPM2Options
	if options.Policy, err = sealTo(u.Sealing, image, now[7]); err != nil {
		return err
	}
	options.Policy.PIN = u.PIN
	if u.Sealing == SealProvisional {
		options.State = vault.StateProvisional
	}
	if u.PIN {
		if options.PIN, err = r.pin(ctx); err != nil {
			return err
		}
		defer clear(options.PIN)
	}
	key, err := vault.Seal(ctx, chip, options)
	if err != nil {
		return err
	}
	defer key.Wipe()
	_, err = m.AddSealed(ctx, auth, key)
	return onlyOn(TheDisk, err)
}

func (r *run) pin(ctx context.Context) ([]byte, error) {
	pin := r.site.Answers.Encryption.TPM2.PIN.Reveal()
	if pin != "ask" {
		return []byte(pin), nil
	}
	return console.NewSecret{Method: "tpm2", What: "PIN of this box", Least: preseed.MinPIN}.From(ctx, r.site.Person)
}

func (r *run) enrolPassphrase(ctx context.Context, m *vault.Manager, auth []byte) error {
	passphrase, err := console.NewSecret{Method: "passphrase", What: "passphrase of this box", Least: vault.MinPassphrase}.From(ctx, r.site.Person)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	_, err = m.AddPassphrase(ctx, auth, passphrase)
	return onlyOn(TheDisk, err)
}
