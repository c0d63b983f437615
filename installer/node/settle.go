package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/stage1"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// Settle finishes an installation on the first start from the disk, and later binds
// the TPM's key again where the machine has changed (a firmware update, a new board,
// let in by somebody with the recovery key). What is to be done follows from how the
// disk was opened; see vault.NextSteps. It needs no network and no person: the
// maintenance key on the opened volume lets it add a slot. It returns what it did.
func Settle(ctx context.Context, f *Facts, tpmSpec string) (done []string, err error) {
	m := &vault.Manager{Device: f.Unlocked.Device}
	if f.Header.Label != vault.Label {
		if err := m.SetLabel(ctx, vault.Label); err != nil {
			return nil, err
		}
	}
	left, err := m.Settle(ctx, f.Unlocked.Opened, nil)
	if err != nil {
		return nil, err
	}
	for _, step := range f.Header.NextSteps(f.Unlocked.Opened, nil) {
		if step.Action == vault.ActionEnrol {
			break
		}
		done = append(done, fmt.Sprintf("%s: %s", step.Action, step.Why))
	}
	changed := len(done) > 0
	for _, step := range left {
		switch err := f.enrol(ctx, m, tpmSpec); {
		case errors.Is(err, ErrNeedsPIN):
			done = append(done, fmt.Sprintf("not bound: %v", err))
		case err != nil:
			return done, fmt.Errorf("binding the key to this machine: %w", err)
		default:
			changed = true
			done = append(done, fmt.Sprintf("%s: %s", step.Action, step.Why))
		}
	}
	if !changed {
		return done, nil
	}
	return done, f.backUpHeader(ctx, m)
}

// ErrNeedsPIN says that a key with a PIN cannot be sealed without the person who
// knows the PIN.
var ErrNeedsPIN = errors.New("the TPM's key has a PIN; type it when the box starts, or run 'stek key reseal' on this box")

// enrol adds a slot with the final policy for the PCRs that stage1 saw at this start.
func (f *Facts) enrol(ctx context.Context, m *vault.Manager, tpmSpec string) error {
	chip, err := tpm.Open(tpmSpec)
	if err != nil {
		return err
	}
	defer chip.Close()
	if f.Unlocked.Known == stage1.KnownMissing {
		if err := chip.WriteIdentity(ctx, tpm.IdentityIndex, f.Unlocked.Identity); err != nil {
			return fmt.Errorf("telling the TPM which volume belongs to this box: %w", err)
		}
	}
	sealed, err := f.sealedKey(ctx, chip)
	if err != nil {
		return err
	}
	defer sealed.Wipe()
	auth, err := os.ReadFile(MaintenanceKey)
	if err != nil {
		return fmt.Errorf("reading the maintenance key: %w", err)
	}
	defer clear(auth)
	if _, err := m.AddSealed(ctx, auth, sealed); err != nil {
		return err
	}
	return removeSealedKey()
}

// sealedKey is the key for the new slot: the one that stage1 sealed, which knew the
// PIN, or a new one where none is asked for.
func (f *Facts) sealedKey(ctx context.Context, chip *tpm.Device) (*vault.SealedKey, error) {
	b, err := os.ReadFile(stage1.SealedKeyFile)
	if err == nil {
		defer clear(b)
		return vault.ParseSealedKey(b)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if f.Header.NeedsPIN(f.Unlocked.Opened) {
		return nil, ErrNeedsPIN
	}
	policy, err := f.Unlocked.FinalPolicy()
	if err != nil {
		return nil, err
	}
	return vault.Seal(ctx, chip, vault.TPM2Options{Policy: policy})
}

func removeSealedKey() error {
	if err := os.Remove(stage1.SealedKeyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *Facts) backUpHeader(ctx context.Context, m *vault.Manager) error {
	var answers struct {
		Encryption struct {
			Recovery struct {
				Recipient string `json:"recipient"`
			} `json:"recovery"`
		} `json:"encryption"`
	}
	if err := unmarshal(f.Record.Answers, &answers); err != nil {
		return err
	}
	recipient := answers.Encryption.Recovery.Recipient
	if recipient == "" {
		return nil
	}
	to, err := vault.ParseRecipient(recipient)
	if err != nil {
		return err
	}
	return f.withESP(func(dir string) error {
		return m.BackupHeader(ctx, filepath.Join(dir, filepath.FromSlash(installer.HeaderBackupPath)), to, nil)
	})
}

// esp is the boot partition of the booted disk.
func (f *Facts) esp() string { return disk.PartitionPath(f.Disk, 1) }
