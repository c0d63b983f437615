//go:build e2e

package powercut_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/layout"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/stage1"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/loopbox"
	"github.com/stek-edge/stek/test/powercut"
	"github.com/stek-edge/stek/test/swtpm"
	"github.com/stek-edge/stek/test/vm"
)

// TestBox records the disk and the stick of a box that is installed by the engine's own
// steps (with the kernel's vfat, ext4 and dm-crypt, stock tools and a TPM), is stopped
// when its disk has just become bootable, is installed again over that, and is started
// three times from its disk. Then it cuts the power at every write. At each state
//
//   - a disk with a boot loader starts: the loader and every kernel that it could choose
//     are whole, the root has the hash that the kernel asks for, and the volume opens by
//     the recovery key on the stick and, once it is enrolled, by the TPM;
//   - any other disk is begun anew by the stick without a consent that nobody gave.
func TestBox(t *testing.T) {
	b := recordBox(t)
	stats, err := b.log.Replay(options(t, 0.05), func(s *powercut.State) error { return b.check(t.Context(), s) })
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d writes, %d flushes, %d states, %d checked: %d with a disk that starts, %d begun anew from the stick",
		stats.Writes, stats.Flushes, stats.States, stats.Checked, b.starting, b.anew)
	if b.starting == 0 || b.anew == 0 {
		t.Error("one of the two outcomes never came up")
	}
}

// box is a recorded box and what is known of it.
type box struct {
	log      *powercut.Log
	dir      string
	stick    *loopbox.Stick
	office   *age.X25519Identity
	answers  *preseed.Answers
	chip     *tpm.Device
	roots    map[int]error // what a check of the root found, by the last write to it
	starting int
	anew     int
}

func recordBox(t *testing.T) *box {
	t.Helper()
	office, err := age.GenerateX25519Identity()
	must(t, err)
	text := fmt.Sprintf("stek: 1\nnode: {name: box}\ndisk: {match: {serial: target}}\nencryption: {unlock: [tpm2], recovery: {recipient: %q}}\n", office.Recipient())
	parsed, err := preseed.Parse("answers.yaml", []byte(text))
	must(t, err)
	b := &box{dir: t.TempDir(), stick: loopbox.NewStick(t), office: office, answers: preseed.Defaults(parsed), roots: map[int]error{}}
	image := b.writeStick(t)
	size, err := os.Stat(image)
	must(t, err)
	rec := record(t, powercut.Disk{Name: "stick", Size: uint64(size.Size()), From: image},
		powercut.Disk{Name: "target", Size: diskSize}, powercut.Disk{Name: "marks", Size: 1 << 20})
	b.log = rec.Log()

	facts, err := json.Marshal(b.stick.Image)
	must(t, err)
	chip := filepath.Join(b.dir, "tpm")
	b.run(t, rec, chip, "install", text, string(facts))
	b.run(t, rec, chip, "start", "first start", "second start", "third start")
	must(t, b.log.MarksFrom("marks"))

	b.chip, err = tpm.Open("swtpm:" + swtpm.StartIn(t, chip).Socket)
	must(t, err)
	t.Cleanup(func() { b.chip.Close() })
	kernel, err := uki.Parse(b.stick.UKI)
	must(t, err)
	must(t, powercut.MeasureStart(t.Context(), b.chip, kernel))
	return b
}

// writeStick makes the stick's image as the builder of images does.
func (b *box) writeStick(t *testing.T) string {
	t.Helper()
	hash, err := hex.DecodeString(b.stick.Image.RootHash)
	must(t, err)
	root, err := os.Open(b.stick.Root)
	must(t, err)
	defer root.Close()
	out, err := os.Create(filepath.Join(b.dir, "stick.img"))
	must(t, err)
	defer out.Close()
	_, err = layout.WriteStick(t.Context(), out, layout.Stick{
		ESP:  esp.Content{Arch: "amd64", Version: "1.0", BootLoader: b.stick.Loader, UKI: b.stick.UKI},
		Root: root, RootSize: int64(b.stick.Image.RootBytes), RootHash: hash, Time: time.Unix(1e9, 0),
	}, nil)
	must(t, err)
	return out.Name()
}

// run switches the box on for one job.
func (b *box) run(t *testing.T, rec *powercut.Recorder, chip string, args ...string) {
	t.Helper()
	shadow := filepath.Join(b.dir, "shadow")
	must(t, os.WriteFile(shadow, []byte("root:*:20000:0:99999:7:::\n"), 0o600))
	disks := []vm.Disk{}
	for _, name := range []string{"stick", "target", "marks"} {
		disks = append(disks, vm.Disk{Name: name, Path: rec.Path(name), Serial: name, Flushes: true})
	}
	guest.Check(t, guest.Spec{
		Main: "./testdata/box", Args: args, Timeout: 15 * time.Minute, Output: testWriter{t},
		Modules:  []string{"vfat", "nls_cp437", "nls_ascii", "ext4", "dm_mod", "dm_crypt", "xts", "aesni_intel", "af_alg", "algif_skcipher", "algif_hash"},
		Programs: []string{"cryptsetup", "mkfs.vfat", "mkfs.ext4"}, Files: map[string]string{"/etc/shadow": shadow},
		Machine: vm.Machine{Memory: 1024, TPM: &vm.TPM{Dir: chip}, Disks: disks, Dir: filepath.Join(b.dir, "vm")},
	})
}

// testWriter prints what the guest says.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// check decides as the firmware does what starts, and looks whether all of it is there.
func (b *box) check(ctx context.Context, s *powercut.State) error {
	f, err := os.Open(s.Path("target"))
	if err != nil {
		return err
	}
	defer f.Close()
	loader, boots := b.loader(f)
	isStart := strings.HasSuffix(s.Phase, " start")
	if !boots {
		if isStart || s.Phase == "installed" {
			return errors.New("an installed disk does not start any more")
		}
		b.anew++
		return b.beginsAnew(s)
	}
	b.starting++
	if err := secureboot.CheckDigest(loader); err != nil {
		return fmt.Errorf("half a boot loader: %w", err)
	}
	if err := b.kernels(ctx, s, f); err != nil {
		return err
	}
	return b.volumeOpens(ctx, s, f)
}

// loader is what firmware starts of a disk by itself, if there is anything.
func (b *box) loader(f *os.File) (content []byte, there bool) {
	v, err := layout.ReadESP(f, diskSize)
	if err != nil {
		return nil, false
	}
	content, err = v.ReadFile("EFI/BOOT/BOOTX64.EFI", 1<<28)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	return content, true // of an error there is nothing in it, which is no boot loader
}

// kernels checks every kernel that the boot loader could choose, and its root.
func (b *box) kernels(ctx context.Context, s *powercut.State, f *os.File) error {
	v, err := layout.ReadESP(f, diskSize)
	if err != nil {
		return err
	}
	entries, err := v.ReadDir("EFI/Linux")
	if err != nil {
		return fmt.Errorf("a boot loader without kernels: %w", err)
	}
	found := 0
	for _, e := range entries {
		if !strings.HasSuffix(strings.ToLower(e.Name), ".efi") {
			continue // such as .new: no loader looks at it
		}
		found++
		content, err := v.ReadFile("EFI/Linux/"+e.Name, 1<<28)
		if err == nil {
			err = secureboot.CheckDigest(content)
		}
		if err != nil {
			return fmt.Errorf("half a kernel, %s: %w", e.Name, err)
		}
		image, err := uki.Parse(content)
		if err != nil {
			return err
		}
		spec, err := stage1.ParseCmdline(image.Cmdline())
		if err != nil {
			return err
		}
		if err := b.root(ctx, s, f, spec); err != nil {
			return err
		}
	}
	if found == 0 {
		return errors.New("a boot loader without a kernel")
	}
	return nil
}

// root checks the root against the hash in the kernel's command line, once for each time
// that it was written to.
func (b *box) root(ctx context.Context, s *powercut.State, f *os.File, spec stage1.RootSpec) error {
	t, err := hardware.ReadTable(f, diskSize, 512)
	if err != nil || len(t.Partitions) != 4 {
		return fmt.Errorf("the table has %d partitions: %w", len(t.Partitions), err)
	}
	part := t.Partitions[1]
	last := s.LastWrite("target", part.Start, part.Start+part.Size)
	if _, known := b.roots[last]; !known {
		v := disk.Verity{Size: b.stick.Image.RootBytes, Offset: spec.HashOffset(), RootHash: spec.Hash}
		_, b.roots[last] = v.Check(ctx, io.NewSectionReader(f, int64(part.Start), int64(part.Size)), nil)
	}
	return b.roots[last]
}

// headerBytes is more than the LUKS2 header and its key slots take.
const headerBytes = 17 << 20

// volumeOpens opens the volume with the recovery key that the stick holds at this
// moment, and by the TPM.
func (b *box) volumeOpens(ctx context.Context, s *powercut.State, f *os.File) error {
	t, err := hardware.ReadTable(f, diskSize, 512)
	if err != nil {
		return err
	}
	part := t.Partitions[3]
	name := filepath.Join(b.dir, "volume")
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer out.Close()
	header := make([]byte, headerBytes)
	if _, err := f.ReadAt(header, int64(part.Start)); err != nil {
		return err
	}
	if _, err := out.Write(header); err != nil {
		return err
	}
	if err := out.Truncate(int64(part.Size)); err != nil {
		return err
	}
	key, err := b.recoveryKey(s)
	if err != nil {
		return fmt.Errorf("the recovery key on the stick: %w", err)
	}
	if _, err := opens(ctx, name, vault.ByKey(key)); err != nil {
		return fmt.Errorf("the recovery key on the stick does not open the volume of a disk that starts: %w", err)
	}
	if _, err := opens(ctx, name, vault.ByTPM{Unsealer: b.chip}); err != nil {
		return fmt.Errorf("the TPM does not open the volume of a disk that starts: %w", err)
	}
	return nil
}

func (b *box) recoveryKey(s *powercut.State) ([]byte, error) {
	sealed, err := onStick(s, "stek/reports/unknown/recovery-key.age")
	if err != nil {
		return nil, err
	}
	key, err := vault.DecryptRecoveryKey(strings.NewReader(string(sealed)), b.office)
	if err != nil {
		return nil, err
	}
	return []byte(key.Reveal()), nil
}

// onStick reads a file from the stick, as it was at this moment.
func onStick(s *powercut.State, name string) ([]byte, error) {
	f, err := os.Open(s.Path("stick"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	v, err := layout.ReadESP(f, st.Size())
	if err != nil {
		return nil, err
	}
	return v.ReadFile(name, 1<<20)
}

// beginsAnew has the installer plan again, with the journal that is on the stick.
func (b *box) beginsAnew(s *powercut.State) error {
	if _, err := onStick(s, "EFI/BOOT/BOOTX64.EFI"); err != nil {
		return fmt.Errorf("the stick does not start any more: %w", err)
	}
	journal := filepath.Join(b.dir, "journal")
	content, err := onStick(s, "stek/journal/unknown.jsonl")
	if err != nil {
		content = nil // not there yet
	}
	if err := os.WriteFile(journal, content, 0o600); err != nil {
		return err
	}
	ids, err := installer.LoadIDs(journal, strings.NewReader(strings.Repeat("0123456789abcdefghijklmnopqrstuv", 8)))
	if err != nil {
		return err
	}
	f, err := os.Open(s.Path("target"))
	if err != nil {
		return err
	}
	defer f.Close()
	d := hardware.Disk{Path: "/dev/vdb", Serial: "target", Bus: "virtio", Size: diskSize, SectorSize: 512}
	if err := hardware.ReadContent(f, &d); err != nil {
		return err
	}
	_, err = installer.Make(b.answers, &hardware.Inventory{
		Arch: "amd64", Memory: 4 << 30, Disks: []hardware.Disk{d}, Firmware: hardware.Firmware{Type: "uefi"},
		TPM: hardware.TPM{Present: true, Version: 2, SHA256: true, Measured: true},
	}, b.stick.Image, ids)
	if err != nil {
		return fmt.Errorf("the stick does not plan again: %w", err)
	}
	return nil
}
