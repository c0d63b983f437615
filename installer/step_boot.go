package installer

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/firmware/bootcount"
	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/installer/vault"
)

// Where things lie on the ESP of stick and disk.
const (
	UKIPath          = "EFI/Linux/stek-a.efi"
	HeaderBackupPath = "stek/header-backup.age"
	ReportsPath      = "stek/reports"
	AutoEnrolPath    = "loader/keys/auto" // with Microsoft's certificates
	OwnKeysPath      = "loader/keys/own"
)

// ofTheImage is what a disk's boot partition has of the stick's: nothing that a person, or
// another system, has put there. What makes it bootable is not among it and comes last.
var ofTheImage = []string{"EFI/systemd/systemd-bootx64.efi", "loader/loader.conf"}

// makeESP makes the boot partition with everything but what makes it bootable.
func makeESP(ctx context.Context, r *run) error {
	device := r.partition(disk.ESP)
	volumeID, err := randomUint32()
	if err != nil {
		return err
	}
	if err := disk.MakeESP(ctx, disk.Exec{}, device, r.plan.Disk.Chosen.SectorSize, volumeID); err != nil {
		return on(TheDisk, err)
	}
	layout, err := keymap.Read(r.site.Keymaps, r.site.Answers.Node.Keyboard)
	if err != nil {
		return err
	}
	return r.site.mounted(device, "vfat", func(dir string) error {
		if layout != nil {
			if err := writeKeymap(dir, layout); err != nil {
				return err
			}
		}
		return copyOfTheImage(r.site.StickESP, dir)
	})
}

func copyOfTheImage(stick, dir string) error {
	for _, name := range ofTheImage {
		p := filepath.FromSlash(name)
		if err := copyFile(filepath.Join(stick, p), filepath.Join(dir, p)); err != nil {
			return fmt.Errorf("copying %s to the boot partition: %w", name, err)
		}
	}
	return nil
}

// writeKeymap leaves the layout of the keyboard where stage1 finds it before it asks
// for a passphrase.
func writeKeymap(esp string, layout []byte) error {
	name := filepath.Join(esp, filepath.FromSlash(keymap.ESPPath))
	if err := durable.WriteFile(name, layout, 0o644); err != nil {
		return on(TheDisk, fmt.Errorf("writing the layout of the keyboard to the boot partition: %w", err))
	}
	return nil
}

// leaveReport leaves what people need of this box, before the disk can start.
func leaveReport(ctx context.Context, r *run) error {
	if err := leaveRecovery(ctx, r); err != nil {
		return err
	}
	return leaveTunnelKey(ctx, r)
}

// leaveRecovery leaves the recovery key where a person will find it, and the header's backup beside it on the disk. An age file on the
// stick is all that leaves the machine.
func leaveRecovery(ctx context.Context, r *run) error {
	recovery := r.site.Answers.Encryption.Recovery
	if recovery.Recipient != "" {
		name := filepath.Join(r.site.StickESP, filepath.FromSlash(ReportsPath), FileName(r.plan.Box.Serial), "recovery-key.age")
		about := fmt.Sprintf("recovery key of %s, disk %s", r.plan.NodeName, r.plan.Disk.Chosen.Serial)
		sealed, err := encryptRecovery(recovery.Recipient, r.keys.recovery, about)
		if err != nil {
			return err
		}
		if r.plan.Box.Serial == "" {
			if err := keepOlder(name); err != nil {
				return on(TheStick, fmt.Errorf("keeping the recovery key of another box on the stick: %w", err))
			}
		}
		if err := durable.WriteFile(name, sealed, 0o644); err != nil {
			return on(TheStick, fmt.Errorf("leaving the recovery key on the stick: %w", err))
		}
		r.note("the recovery key is in %s/%s/recovery-key.age on the stick, encrypted to %s", ReportsPath, FileName(r.plan.Box.Serial), recovery.Recipient)
	}
	if recovery.Show {
		if err := ShowRecovery(ctx, r.site.Person, r.keys.recovery); err != nil {
			return err
		}
	}
	if recovery.Recipient == "" {
		r.note("no backup of the volume's header is kept: there is nobody to encrypt it to")
		return nil
	}
	m := &vault.Manager{Device: r.partition(disk.State)}
	to, err := vault.ParseRecipient(recovery.Recipient)
	if err != nil {
		return err
	}
	return r.site.mounted(r.partition(disk.ESP), "vfat", func(dir string) error {
		return onlyOn(TheDisk, m.BackupHeader(ctx, filepath.Join(dir, filepath.FromSlash(HeaderBackupPath)), to, nil))
	})
}

// makeBootable writes what makes the disk start, in the order in which a power cut
// does least harm: the UKI under a name that no loader looks at, then under its
// own, then the loader, then the firmware's menu. After the loader the disk starts.
func makeBootable(ctx context.Context, r *run) error {
	esp := r.partition(disk.ESP)
	err := r.site.mounted(esp, "vfat", func(dir string) error {
		entry := bootcount.Entry{Dir: path.Dir(UKIPath), Name: "stek-a", Suffix: ".efi", Left: bootcount.Tries}
		for _, f := range []struct{ from, to string }{
			{UKIPath, path.Join(entry.Dir, entry.FileName())},
			{loaderPath, loaderPath},
		} {
			if err := copyFile(filepath.Join(r.site.StickESP, filepath.FromSlash(f.from)), filepath.Join(dir, filepath.FromSlash(f.to))); err != nil {
				return fmt.Errorf("writing %s: %w", f.to, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := addBootEntry(ctx, r.site.Tools, r.site.EFIVars, r.plan.Disk.Chosen.Path, r.part(disk.ESP).Number); err != nil {
		r.note("%v; the firmware will find the disk by itself, but may prefer the stick while it is in", err)
	}
	m := &vault.Manager{Device: r.partition(disk.State)}
	return onlyOn(TheDisk, m.SetLabel(ctx, vault.Label))
}

// enrolKeys puts the owner's Secure Boot keys into the firmware. The key is sealed
// to PCR 7, which this changes, so the machine starts anew before anything else.
// Which of Microsoft's certificates go with them was decided when the image was
// built; the answers choose between the two sets that it carries.
func enrolKeys(_ context.Context, r *run) error {
	dir := AutoEnrolPath
	if keep := r.site.Answers.Boot.MicrosoftKeys; keep != nil && !*keep {
		dir = OwnKeysPath
	}
	keys, err := secureboot.ReadVariables(filepath.Join(r.site.StickESP, filepath.FromSlash(dir)))
	if err != nil {
		return err
	}
	if err := secureboot.Enrol(r.site.EFIVars, keys); err != nil {
		return err
	}
	return ErrRestart
}

func randomUint32() (uint32, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]), nil
}

// encryptRecovery makes the age file with the recovery key.
func encryptRecovery(recipient string, key vault.RecoveryKey, about string) ([]byte, error) {
	to, err := vault.ParseRecipient(recipient)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := vault.EncryptRecoveryKey(&b, to, key, about); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// ErrRestart says that the machine has to start again from the stick before the
// installation can go on.
var ErrRestart = errors.New("the machine has to start again before the installation goes on")

// ShowRecovery shows the recovery key once and waits until a person says that it
// was written down.
func ShowRecovery(ctx context.Context, p Person, key vault.RecoveryKey) error {
	const about = "The recovery key of this box. It is shown once; without it nobody can help you when the disk does not open."
	if screen, ok := p.(console.Shower); ok {
		screen.Show(about, key.Reveal())
	} else {
		p.Say("\n%s\n\n  %s\n", about, key.Reveal())
	}
	for {
		typed, err := p.Ask(ctx, "Write it down, then type its last eight letters:")
		if err != nil {
			return fmt.Errorf("waiting for the recovery key to be written down: %w", err)
		}
		if text := key.Reveal(); strings.EqualFold(strings.TrimSpace(string(typed)), text[len(text)-8:]) {
			return nil
		}
		p.Say("Those are not its last eight letters.")
	}
}

// keepOlder moves a file out of the way. Boxes that tell no serial number share one
// folder on the stick, and the recovery key of the one before must not be lost.
func keepOlder(name string) error {
	for i := 1; ; i++ {
		older := fmt.Sprintf("%s.%d.age", strings.TrimSuffix(name, ".age"), i)
		if _, err := os.Stat(older); err == nil {
			continue
		}
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		return durable.Rename(f, name, older)
	}
}
