//go:build e2e

package powercut_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/images/layout"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/powercut"
	"github.com/stek-edge/stek/test/site"
)

// The end of an installation, in the log of TestFullBox.
const installed = "installed"

// TestFullBox records stick and disk of a virtual box while it is installed and started
// for the first time, until it is Ready, and cuts the power at the writes to everything
// that starts it or opens its disk. What can start is whole and can be opened with the
// recovery key on the stick; what cannot leaves the stick as it was, and the next start
// from it plans the installation again. One with a kernel that has two names, of which one
// is empty, is started.
func TestFullBox(t *testing.T) {
	ctx := t.Context()
	stek, image, err := site.BuildImage(ctx, "../..")
	must(t, err)
	s, err := site.New(context.WithoutCancel(ctx), site.Options{Stek: stek, Image: image, Dir: t.TempDir(), DiskSize: diskSize})
	must(t, err)
	stick, err := os.Stat(s.Stick)
	must(t, err)
	rec := record(t, powercut.Disk{Name: "disk", Size: diskSize}, powercut.Disk{Name: "stick", Size: uint64(stick.Size()), From: s.Stick})
	for i := range s.Machine.Disks {
		d := &s.Machine.Disks[i]
		d.Path, d.Flushes = rec.Path(d.Name), true
	}
	whole := newBox(t, s)
	box, err := s.PowerOn(context.WithoutCancel(ctx))
	must(t, err)
	defer box.Close()
	_, err = box.WaitInstalled(ctx)
	must(t, err)
	// The line comes a moment after the last write of the installation.
	must(t, rec.Mark(installed))
	_, err = box.WaitReady(ctx)
	must(t, err)
	must(t, box.Close())
	whole.readReport(t, rec.Path("stick"))

	writes, discards, flushes := rec.Log().Count()
	t.Logf("recorded: %d writes, %d discards, %d flushes", writes, discards, flushes)
	o := options(t, 0.3) // the few with an empty name of the kernel are among them
	o.Skip = func(s *powercut.State) bool {
		return !s.Writes("stick", 0, uint64(stick.Size())) && !s.Writes("disk", 0, whole.headerEnd)
	}
	started := 0
	half := "" // the copy of a disk with an empty name of the kernel
	stats, err := rec.Log().Replay(o, func(s *powercut.State) error {
		starts, err := whole.check(ctx, s)
		if starts {
			started++
		}
		if err == nil && whole.halfNamed && half == "" {
			t.Logf("with an empty name of the kernel: %s", s)
			half = filepath.Join(whole.dir, "half-named")
			return s.CopyTo("disk", half)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	enough(t, stats, o, 1000)
	if started == 0 || started == stats.Checked {
		t.Errorf("%d of %d states start: the record is not that of an installation", started, stats.Checked)
	}
	t.Logf("%d writes, %d flushes, %d states, %d checked, of which %d start from the disk", stats.Writes, stats.Flushes, stats.States, stats.Checked, started)

	if half == "" {
		t.Fatal("none of the states that were checked has an empty name of the kernel")
	}
	m := s.WithoutStick()
	m.Disks[0].Path = half
	box, err = s.PowerOnAs(context.WithoutCancel(ctx), m)
	must(t, err)
	defer box.Close()
	_, err = box.WaitOpened(ctx)
	must(t, err)
}

// box is what every state is compared with.
type box struct {
	site      *site.Site
	dir       string
	answers   []byte // on the stick
	kernel    []byte // what the firmware is to start
	root      [sha256.Size]byte
	rootSize  int64
	headerEnd uint64 // bytes from the start of the disk, with the volume's header
	halfNamed bool   // the state that was checked last starts a kernel that has an empty name as well

	// Of the installation, as it is in its report.
	inv  *hardware.Inventory
	plan installer.Plan
}

func newBox(t *testing.T, s *site.Site) *box {
	t.Helper()
	b := &box{site: s, dir: t.TempDir()}
	var err error
	b.answers, err = builder.ReadFile(s.Stick, esp.Preseed)
	must(t, err)
	b.kernel, err = builder.ReadFile(s.Stick, esp.Kernel("a", 0))
	must(t, err)
	root, err := site.Partition(s.Stick, disk.RootA)
	must(t, err)
	f, err := os.Open(s.Stick)
	must(t, err)
	defer f.Close()
	b.rootSize = root.Size
	b.root, err = sum(f, root.Start, root.Size)
	must(t, err)
	ids, err := disk.NewIDs(rand.Reader) // whatever they are, the places are the same
	must(t, err)
	planned, err := disk.Plan(diskSize, 512, "amd64", b.root[:], ids)
	must(t, err)
	state, _ := planned.Part(disk.State)
	b.headerEnd = state.Start + vault.HeaderSize
	return b
}

// readReport reads what the installer saw and planned.
func (b *box) readReport(t *testing.T, stick string) {
	t.Helper()
	folder := esp.Reports + "/" + site.BoxSerial
	seen, err := builder.ReadFile(stick, folder+"/inventory.json")
	must(t, err)
	b.inv, err = hardware.Load(bytes.NewReader(seen))
	must(t, err)
	planned, err := builder.ReadFile(stick, folder+"/plan.json")
	must(t, err)
	must(t, json.Unmarshal(planned, &b.plan))
	if b.plan.Disk.Chosen.Serial != site.DiskSerial {
		t.Fatalf("the report is of the disk %q", b.plan.Disk.Chosen.Serial)
	}
}

// check tells whether the disk of a state starts, and what is wrong with the state.
func (b *box) check(ctx context.Context, s *powercut.State) (starts bool, err error) {
	if starts, err = b.startsFromDisk(s); err != nil {
		return starts, err
	}
	if starts {
		return true, b.opens(ctx, s)
	}
	if s.Phase == installed {
		return false, errors.New("nothing starts any more from the disk")
	}
	return false, b.beginsAgain(s)
}

// startsFromDisk follows the firmware: without a table, a file system and a boot loader
// in the place for removable media, which is written last, it goes on to the stick.
// With them there must be the kernel, and the root that the kernel expects.
func (b *box) startsFromDisk(s *powercut.State) (bool, error) {
	b.halfNamed = false
	f, err := os.Open(s.Path("disk"))
	if err != nil {
		return false, err
	}
	defer f.Close()
	table, err := layout.ReadGPT(f, diskSize)
	if err != nil {
		return false, nil
	}
	boot, ok := table.Find(disk.ESP)
	root, ok2 := table.Find(disk.RootA)
	if !ok || !ok2 {
		return false, nil
	}
	v, err := fat.OpenReader(io.NewSectionReader(f, boot.Start, boot.Size), boot.Size)
	if err != nil {
		return false, nil
	}
	if _, err := v.Stat("EFI/BOOT/BOOTX64.EFI"); err != nil {
		return false, nil
	}
	entries, err := v.ReadDir("EFI/Linux")
	if err != nil {
		return true, fmt.Errorf("there is a boot loader and no kernel: %w", err)
	}
	// There are two names of one kernel while it is renamed, until the partition is mended.
	// Linux writes the new one before it says where the file lies, and systemd-boot takes
	// nothing that is no program for an entry.
	names := []string{}
	for _, e := range entries {
		if e.Size == 0 {
			b.halfNamed = true
			continue
		}
		names = append(names, e.Name)
		kernel, err := v.ReadFile("EFI/Linux/"+e.Name, int64(len(b.kernel)))
		if err != nil || !bytes.Equal(kernel, b.kernel) {
			return true, fmt.Errorf("the boot loader would start %s, which is not whole (%v)", e.Name, err)
		}
	}
	if len(names) == 0 || len(names) > 2 {
		return true, fmt.Errorf("the boot loader finds the kernels %q", names)
	}
	if found, err := sum(f, root.Start, b.rootSize); err != nil || found != b.root {
		return true, fmt.Errorf("the root that would start is not whole (%v)", err)
	}
	return true, nil
}

// opens opens the volume of a disk that starts, with the recovery key on the stick, and
// looks for the TPM's slot.
func (b *box) opens(ctx context.Context, s *powercut.State) error {
	f, err := os.Open(s.Path("disk"))
	if err != nil {
		return err
	}
	defer f.Close()
	table, err := layout.ReadGPT(f, diskSize)
	if err != nil {
		return err
	}
	state, ok := table.Find(disk.State)
	if !ok {
		return errors.New("there is no volume")
	}
	header := filepath.Join(b.dir, "state")
	if err := copyPart(header, f, state.Start, vault.HeaderSize, state.Size); err != nil {
		return err
	}
	h, err := vault.Inspect(header)
	if err != nil {
		return err
	}
	// The label comes after the boot loader: what is cut off between them starts, and
	// the node sets it.
	between := s.Phase != installed && h.Label == unfinishedLabel
	if h.Label != vault.Label && !between {
		return fmt.Errorf("what starts has a volume that is called %q", h.Label)
	}
	sealed, err := readStick(s, esp.Reports+"/"+site.BoxSerial+"/recovery-key.age")
	if err != nil {
		return err
	}
	key, err := vault.DecryptRecoveryKey(bytes.NewReader(sealed), b.site.Recovery)
	if err != nil {
		return err
	}
	v, err := h.Unlock(ctx, vault.ByKey([]byte(key.Reveal())))
	if err != nil {
		return fmt.Errorf("the recovery key on the stick: %w", err)
	}
	v.Close()
	if len(h.TPM2Slots()) == 0 {
		return errors.New("no slot of the TPM is left")
	}
	return nil
}

// beginsAgain plans the installation as the next start from the stick does: by the
// answers that are there still, the identities in the journal, and what is on the disk.
func (b *box) beginsAgain(s *powercut.State) error {
	f, err := os.Open(s.Path("stick"))
	if err != nil {
		return err
	}
	defer f.Close()
	stick, err := mended(f)
	if err != nil {
		return fmt.Errorf("the stick: %w", err)
	}
	text, err := stick.ReadFile(esp.Preseed, preseed.MaxSize)
	if err != nil {
		return fmt.Errorf("the answers on the stick: %w", err)
	}
	if !bytes.Equal(text, b.answers) {
		return errors.New("the answers on the stick have changed")
	}
	answers, err := preseed.Parse(esp.Preseed, text)
	if err != nil {
		return err
	}
	ids, err := b.identities(stick)
	if err != nil {
		return fmt.Errorf("the journal on the stick: %w", err)
	}
	inv, err := b.lookAgain(s)
	if err != nil {
		return err
	}
	if _, err := installer.Make(preseed.Defaults(answers), inv, b.plan.Image, ids); err != nil {
		return fmt.Errorf("the next start does not plan: %w", err)
	}
	return nil
}

// mended is the FAT partition of a stick as the installer finds it: what a power cut left
// there is put right before it is mounted. The file stays as it is.
func mended(f *os.File) (*fat.Volume, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	table, err := layout.ReadGPT(f, size)
	if err != nil {
		return nil, err
	}
	p, ok := table.Find(disk.ESP)
	if !ok {
		return nil, errors.New("there is no FAT partition")
	}
	o := &overlay{under: io.NewSectionReader(f, p.Start, p.Size), blocks: map[int64][]byte{}}
	if _, err := fat.Mend(o, p.Size); err != nil {
		return nil, err
	}
	return fat.Open(o, p.Size)
}

// identities are those in the journal, or new ones if there is none yet.
func (b *box) identities(stick *fat.Volume) (disk.IDs, error) {
	name := filepath.ToSlash(installer.JournalPath("", site.BoxSerial))
	journal, err := stick.ReadFile(strings.TrimPrefix(name, "/"), 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return disk.IDs{}, err
	}
	file := filepath.Join(b.dir, "journal")
	if err := os.WriteFile(file, journal, 0o600); err != nil {
		return disk.IDs{}, err
	}
	return installer.LoadIDs(file, rand.Reader)
}

// lookAgain is the machine, with the disk of a state.
func (b *box) lookAgain(s *powercut.State) (*hardware.Inventory, error) {
	inv := *b.inv
	inv.Disks = slices.Clone(inv.Disks)
	for i, d := range inv.Disks {
		if d.Serial != site.DiskSerial {
			continue
		}
		found, err := lookAgain(s, "disk", d)
		if err != nil {
			return nil, err
		}
		inv.Disks[i] = found
	}
	return &inv, nil
}

func readStick(s *powercut.State, name string) ([]byte, error) {
	content, err := builder.ReadFile(s.Path("stick"), name)
	if err != nil {
		return nil, fmt.Errorf("reading %s on the stick: %w", name, err)
	}
	return content, nil
}

func sum(r io.ReaderAt, start, size int64) (digest [sha256.Size]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, start, size)); err != nil {
		return digest, err
	}
	h.Sum(digest[:0])
	return digest, nil
}

// copyPart copies the first bytes of a partition to a file as large as all of it.
func copyPart(name string, r io.ReaderAt, start, length, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, io.NewSectionReader(r, start, length))
	return errors.Join(err, f.Truncate(size), f.Close())
}
