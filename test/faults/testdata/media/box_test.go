package media

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/bootcount"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/loopbox"
)

const (
	diskSize  = disk.MinDiskSize
	stickSize = 64 << 20
	tpmDevice = "/dev/tpmrm0"
)

// box is a machine with a disk and a stick that can be told to fail, and a disk beside
// them that nothing may touch.
type box struct {
	t       *testing.T
	machine *loopbox.Machine
	disk    *medium
	stick   *medium
	files   *loopbox.Stick
	office  *age.X25519Identity
	answers *preseed.Answers
	before  map[string]string // sums of the other disks

	plan   *installer.Plan
	events []installer.Event // of the last try
	tools  []string          // what the firmware's tool was told
	pull   func()            // unmounts the stick
	laid   func()            // called when state has its file system and no files yet
}

func newBox(t *testing.T) *box {
	t.Helper()
	office, err := age.GenerateX25519Identity()
	must(t, err)
	parsed, err := preseed.Parse("answers.yaml", []byte("stek: 1\nencryption: {unlock: [tpm2], recovery: {recipient: "+office.Recipient().String()+"}}\n"))
	must(t, err)
	b := &box{t: t, office: office, answers: preseed.Defaults(parsed), files: loopbox.NewStick(t),
		disk: newMedium(t, "disk", diskSize), stick: newMedium(t, "stick", stickSize), machine: loopbox.New(t)}
	b.copyToStick()
	d := b.machine.Attach("nvme0n1", "A1", b.disk.node())
	// Past the page cache that the loop device would have below it: an error is one at
	// once, and what was read back comes from the medium.
	loopbox.Tool(t, "losetup", "--direct-io=on", d.Node)
	delete(b.machine.Disks, "nvme0n1")
	b.machine.AddDisk("sda", "B2", 64<<20, func(image string) { must(t, os.WriteFile(image, []byte("photographs"), 0o600)) })
	must(t, os.Truncate(b.machine.Disks["sda"].Image, 64<<20))
	b.before = b.machine.Sums()
	return b
}

// copyToStick makes the stick's FAT, with the root beside its files.
func (b *box) copyToStick() {
	b.t.Helper()
	loopbox.Tool(b.t, "mkfs.vfat", "-F", "32", b.stick.node())
	root, err := os.ReadFile(b.files.Root)
	must(b.t, err)
	from := b.files.ESP
	b.plug()
	must(b.t, os.CopyFS(b.files.ESP, os.DirFS(from)))
	must(b.t, os.WriteFile(b.files.Root, root, 0o644))
	unix.Sync()
}

// plug mounts the stick.
func (b *box) plug() {
	b.t.Helper()
	dir, pull := mount(b.t, b.stick.node(), "vfat")
	b.files.ESP, b.files.Root, b.pull = dir, filepath.Join(dir, "root"), pull
}

// replug takes the stick out and puts it in again.
func (b *box) replug() {
	b.t.Helper()
	b.pull()
	b.plug()
}

// look makes the plan anew, as each start from the stick does.
func (b *box) look() error {
	b.t.Helper()
	inv, err := hardware.Look(b.t.Context(), b.machine.Roots)
	if err != nil {
		return err
	}
	ids, err := installer.LoadIDs(b.journal(), rand.Reader)
	if err != nil {
		return err
	}
	b.plan, err = installer.Make(b.answers, inv, b.files.Image, ids)
	return err
}

func (b *box) journal() string { return installer.JournalPath(b.files.ESP, "BOX0001") }

// install carries out the plan. Each event is shown to see before the work goes on.
func (b *box) install(see func(installer.Event)) error {
	b.t.Helper()
	b.events, b.tools = nil, nil
	shadow, read := b.shadow()
	defer read()
	now := time.Unix(1.7e9, 0)
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute) // longer is a hang
	defer cancel()
	return installer.Run(ctx, b.plan, &installer.Site{
		Machine: b.machine.Roots, Answers: b.answers, StickESP: b.files.ESP, Root: b.files.Root, EFIVars: b.machine.Roots.EFIVars,
		Shadow: shadow, TPM: tpmDevice, WorkDir: b.t.TempDir(), Tools: b,
		Now: func() time.Time { now = now.Add(time.Second); return now }, // so that all progress is told
	}, func(e installer.Event) {
		b.events = append(b.events, e)
		if see != nil {
			see(e)
		}
	})
}

// shadow is the image's file of passwords, as a pipe: it is read between making the file
// system of state and writing the first file to it.
func (b *box) shadow() (name string, end func()) {
	b.t.Helper()
	name = filepath.Join(b.t.TempDir(), "shadow")
	must(b.t, unix.Mkfifo(name, 0o600))
	done := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // waits for the reader
		if err == nil && b.laid != nil {
			b.laid()
		}
		f.Close()
		done <- err
	}()
	return name, func() {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
		must(b.t, err)
		must(b.t, <-done)
		must(b.t, f.Close())
	}
}

// Run stands in for the firmware's tool.
func (b *box) Run(_ context.Context, _ []byte, name string, args ...string) ([]byte, error) {
	b.tools = append(b.tools, name+" "+strings.Join(args, " "))
	return nil, nil
}

// failed is the event of the step that failed.
func (b *box) failed() installer.Event {
	b.t.Helper()
	if len(b.events) == 0 {
		b.t.Fatal("nothing was told")
	}
	return b.events[len(b.events)-1]
}

// said lists the steps that ended in one way, in their order.
func (b *box) said(kind installer.EventKind) string {
	var names []string
	for _, e := range b.events {
		if e.Kind == kind {
			names = append(names, e.Step)
		}
	}
	return strings.Join(names, " ")
}

// journaled lists the steps that the journal on the stick calls done.
func (b *box) journaled() string {
	b.t.Helper()
	content, err := os.ReadFile(b.journal())
	must(b.t, err)
	var names []string
	for line := range bytes.Lines(content) {
		var l struct{ Step string }
		if json.Unmarshal(line, &l) == nil && l.Step != "" {
			names = append(names, l.Step)
		}
	}
	return strings.Join(names, " ")
}

// part is the place of a partition on the disk.
func (b *box) part(name string) span {
	p, ok := b.plan.Disk.Layout.Part(name)
	if !ok {
		b.t.Fatal(name)
	}
	return span{int64(p.Start), int64(p.Start + p.Size)}
}

func (b *box) device(name string) string {
	p, _ := b.plan.Disk.Layout.Part(name)
	return disk.PartitionPath(b.plan.Disk.Chosen.Path, p.Number)
}

// bootable tells why the disk would start, or what keeps it from that.
func (b *box) bootable() (bool, string) {
	b.t.Helper()
	forget(b.t)
	dir := b.t.TempDir()
	if err := unix.Mount(b.device(disk.ESP), dir, "vfat", unix.MS_RDONLY, ""); err != nil {
		return false, fmt.Sprintf("no boot partition: %v", err)
	}
	defer func() { must(b.t, unix.Unmount(dir, 0)) }()
	if _, err := os.Stat(filepath.Join(dir, "EFI/BOOT/BOOTX64.EFI")); err != nil {
		return false, "no loader"
	}
	return true, "there is a loader"
}

// finished checks that the disk holds a whole installation: boot files like the stick's,
// the volume under its name, opened by the recovery key on the stick, with the node in it.
func (b *box) finished() {
	t := b.t
	t.Helper()
	forget(t)
	esp, unmount := mount(t, b.device(disk.ESP), "vfat")
	entry := bootcount.Entry{Dir: "EFI/Linux", Name: "stek-a", Suffix: ".efi", Left: bootcount.Tries}
	for to, from := range map[string]string{
		"EFI/BOOT/BOOTX64.EFI": "EFI/BOOT/BOOTX64.EFI", path.Join(entry.Dir, entry.FileName()): installer.UKIPath,
		"EFI/systemd/systemd-bootx64.efi": "EFI/systemd/systemd-bootx64.efi", "loader/loader.conf": "loader/loader.conf",
	} {
		want, err := os.ReadFile(filepath.Join(b.files.ESP, from))
		must(t, err)
		if got, err := os.ReadFile(filepath.Join(esp, to)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not that of the stick: %v", to, err)
		}
	}
	if st, err := os.Stat(filepath.Join(esp, installer.HeaderBackupPath)); err != nil || st.Size() < 1<<20 {
		t.Errorf("there is no backup of the header: %v", err)
	}
	unmount()
	want, err := os.ReadFile(b.files.Root)
	must(t, err)
	got := make([]byte, len(want))
	device, err := os.Open(b.device(disk.RootA))
	must(t, err)
	defer device.Close()
	if _, err := device.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the root is not that of the stick: %v", err)
	}
	header, err := vault.Inspect(b.device(disk.State))
	must(t, err)
	if header.Label != vault.Label || header.Broken || len(header.Of(vault.KindTPM2)) != 1 {
		t.Errorf("the volume is %q with the slots %+v", header.Label, header.Slots)
	}
	sealed, err := os.Open(filepath.Join(b.files.ESP, installer.ReportsPath, "BOX0001/recovery-key.age"))
	must(t, err)
	defer sealed.Close()
	key, err := vault.DecryptRecoveryKey(sealed, b.office)
	must(t, err)
	loopbox.ToolIn(t, key.Reveal(), "cryptsetup", "open", "--key-file=-", b.device(disk.State), "opened")
	defer loopbox.Tool(t, "cryptsetup", "close", "opened")
	state, unmount := mount(t, "/dev/mapper/opened", "ext4")
	defer unmount()
	var record installer.Record
	text, err := os.ReadFile(filepath.Join(state, installer.NodeRecord))
	must(t, err)
	if err := json.Unmarshal(text, &record); err != nil || record.Plan.NodeName != b.plan.NodeName {
		t.Errorf("the node's record is %q: %v", text, err)
	}
	if key, err := os.ReadFile(filepath.Join(state, installer.Maintenance)); err != nil || len(key) != 64 {
		t.Errorf("the maintenance key has %d bytes: %v", len(key), err)
	}
}
