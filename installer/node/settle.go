package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
)

// Settle finishes an installation on the first start from the disk, and later binds
// the TPM's key again where the machine has changed (a firmware update, a new board,
// let in by somebody with the recovery key). What is to be done follows from how the
// disk was opened; see vault.NextSteps. It needs no network and no person: the
// maintenance key on the opened volume lets it add a slot. It returns what it did.
func Settle(ctx context.Context, f *Facts, secureBoot bool, tpmSpec string) (done []string, err error) {
	m := &vault.Manager{Device: f.Unlocked.Device}
	if f.Header.Label != vault.Label {
		if err := m.SetLabel(ctx, vault.Label); err != nil {
			return nil, err
		}
	}
	before := f.Header.NextSteps(f.Unlocked.Opened, nil)
	left, err := m.Settle(ctx, f.Unlocked.Opened, nil)
	if err != nil {
		return nil, err
	}
	for _, step := range before {
		done = append(done, fmt.Sprintf("%s: %s", step.Action, step.Why))
	}
	if len(left) > 0 {
		if err := f.enrol(ctx, m, secureBoot, tpmSpec); err != nil {
			return done, fmt.Errorf("binding the key to this machine: %w", err)
		}
	}
	if len(done) == 0 {
		return nil, nil
	}
	return done, f.backUpHeader(ctx, m)
}

// ErrNeedsPIN says that a key with a PIN cannot be enrolled without the person who
// knows the PIN.
var ErrNeedsPIN = errors.New("the key has a PIN, so it cannot be bound without a person; run 'stek key add-tpm --pin' on this box")

// enrol adds a slot with the final policy for the PCRs that stage1 saw at this start.
func (f *Facts) enrol(ctx context.Context, m *vault.Manager, secureBoot bool, tpmSpec string) error {
	for _, u := range f.Record.Plan.Unlock {
		if u.Method == "tpm2" && u.PIN {
			return ErrNeedsPIN
		}
	}
	sealing := installer.SealFinal
	if secureBoot {
		sealing = installer.SealSigned
	}
	key, err := os.ReadFile(filepath.Join(stateDir, installer.Maintenance))
	if err != nil {
		return fmt.Errorf("reading the maintenance key: %w", err)
	}
	defer clear(key)
	chip, err := tpm.Open(tpmSpec)
	if err != nil {
		return err
	}
	defer chip.Close()
	policy, err := f.policy(sealing)
	if err != nil {
		return err
	}
	_, err = m.AddTPM2(ctx, key, chip, vault.TPM2Options{Policy: policy})
	return err
}

// policy makes the final policy. With a signed one the key comes from the UKI that
// was started.
func (f *Facts) policy(sealing string) (policy tpm.Policy, err error) {
	if sealing == installer.SealFinal {
		return installer.FinalPolicy(f.Unlocked.PCRs)
	}
	err = f.withESP(func(dir string) error {
		image, err := uki.Open(f.startedUKI(dir))
		if err != nil {
			return err
		}
		policy, err = installer.SignedPolicy(image, f.Unlocked.PCRs[7])
		return err
	})
	return policy, err
}

// startedUKI finds the UKI of this start: with its counter or, once blessed, without.
func (f *Facts) startedUKI(esp string) string {
	matches, _ := filepath.Glob(filepath.Join(esp, "EFI/Linux/stek-a*.efi"))
	for _, name := range matches {
		if !strings.Contains(filepath.Base(name), "+") {
			return name
		}
	}
	if len(matches) > 0 {
		return matches[0]
	}
	return filepath.Join(esp, filepath.FromSlash(installer.UKIPath))
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
