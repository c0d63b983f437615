package loopbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/hardware"
)

// Machine is a machine whose disks are loop devices.
type Machine struct {
	t     *testing.T
	dir   string
	Roots hardware.Roots
	Disks map[string]*Disk
}

// Disk is one disk: an image file and the loop device on it.
type Disk struct {
	Image string // the file below the loop device
	Node  string // /dev/loop7

	detached bool
}

// New makes a machine with UEFI, 4 GB of memory and a TPM 2.0, and no disk.
func New(t *testing.T) *Machine {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	m := &Machine{t: t, dir: dir, Disks: map[string]*Disk{},
		Roots: hardware.Roots{Sys: in("sys"), Proc: in("proc"), Dev: in("dev"), Run: in("run"), EFIVars: in("efivars")}}
	for _, d := range []string{"sys/block", "sys/dev/block", "sys/class/block", "sys/class/net", "sys/firmware/efi", "proc/self", "dev", "efivars"} {
		must(t, os.MkdirAll(in(d), 0o755))
	}
	m.Put("proc/meminfo", "MemTotal: 4000000 kB\n")
	m.Put("proc/cpuinfo", "processor : 0\nflags : aes\n")
	m.link("/proc/self/mountinfo", "proc/self/mountinfo")
	m.link("/proc/swaps", "proc/swaps")
	m.Put("sys/class/dmi/id/product_serial", "BOX0001\n")
	m.Put("sys/class/tpm/tpm0/tpm_version_major", "2\n")
	m.Put("sys/class/tpm/tpm0/pcr-sha256/0", strings.Repeat("AB", 32)+"\n")
	m.Put("dev/tpmrm0", "")
	return m
}

// Put writes a file of the machine's own description, such as proc/meminfo.
func (m *Machine) Put(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m.t, os.WriteFile(path, []byte(content), 0o644))
}

func (m *Machine) link(to, name string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m.t, os.Symlink(to, path))
}

// Remove takes a part of the description away.
func (m *Machine) Remove(name string) {
	m.t.Helper()
	must(m.t, os.RemoveAll(filepath.Join(m.dir, name)))
}

// AddDisk adds a disk by the kernel's name for it. fill puts something on the image
// before the kernel looks at it.
func (m *Machine) AddDisk(name, serial string, size int64, fill func(image string)) *Disk {
	m.t.Helper()
	image := filepath.Join(m.dir, name+".img")
	f, err := os.Create(image)
	must(m.t, err)
	must(m.t, f.Truncate(size))
	must(m.t, f.Close())
	if fill != nil {
		fill(image)
	}
	return m.Attach(name, serial, image)
}

// Attach adds a disk whose content is a file that is there.
func (m *Machine) Attach(name, serial, image string) *Disk {
	m.t.Helper()
	d := &Disk{Image: image}
	d.Node = strings.TrimSpace(Tool(m.t, "losetup", "--find", "--show", "--partscan", d.Image))
	m.t.Cleanup(d.Detach(m.t))
	// For a kernel without the GPT reader; one that has it knows them already.
	if table, err := exec.Command("blkid", "--probe", "--output", "value", "--match-tag", "PTTYPE", d.Node).Output(); err == nil && strings.TrimSpace(string(table)) == "gpt" {
		Tool(m.t, "partx", "--update", d.Node)
	}
	loop := filepath.Base(d.Node)
	block := "sys/block/" + name
	for _, attribute := range []string{"size", "ro", "dev", "queue", "holders", "removable"} {
		m.link("/sys/block/"+loop+"/"+attribute, block+"/"+attribute)
	}
	if strings.HasPrefix(name, "nvme") {
		m.Put(block+"/device/serial", serial+"\n")
		m.Put(block+"/device/model", "test disk\n")
	} else {
		m.Put(block+"/device/vpd_pg80", "\x00\x80\x00"+string(rune(len(serial)))+serial)
	}
	major, err := os.ReadFile("/sys/block/" + loop + "/dev")
	must(m.t, err)
	m.link("../../block/"+name, "sys/dev/block/"+strings.TrimSpace(string(major)))
	m.link("../../block/"+name, "sys/class/block/"+name)
	m.link(d.Node, "dev/"+name)
	for n := 1; n <= 4; n++ {
		part := Partition(name, n)
		m.link(Partition(d.Node, n), "dev/"+part)
		m.link(Partition("/sys/class/block/"+loop, n), "sys/class/block/"+part)
		m.link(Partition("/sys/class/block/"+loop, n), block+"/"+part)
	}
	m.Disks[name] = d
	return d
}

// Partition names a partition of a disk as the kernel does.
func Partition(disk string, n int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, n)
	}
	return fmt.Sprintf("%s%d", disk, n)
}

// Detach is the function that takes the loop device off, once.
func (d *Disk) Detach(t *testing.T) func() {
	return func() {
		if !d.detached {
			d.detached = true
			Tool(t, "losetup", "--detach", d.Node)
		}
	}
}

// BootedFrom has the boot loader say from which partition it came.
func (m *Machine) BootedFrom(guid string) {
	m.t.Helper()
	b := []byte{6, 0, 0, 0}
	for _, c := range utf16.Encode([]rune(strings.ToUpper(guid) + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	m.Put("efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", string(b))
}

// Sums are the SHA-256 of what is on each disk, and where. Zeros are passed over, so
// that the size of a disk costs nothing.
func (m *Machine) Sums() map[string]string {
	m.t.Helper()
	sums := map[string]string{}
	for name, d := range m.Disks {
		Tool(m.t, "blockdev", "--flushbufs", d.Node)
		sum, err := sparseSum(d.Image)
		must(m.t, err)
		sums[name] = sum
	}
	return sums
}

func sparseSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return "", err
	}
	h := sha256.New()
	piece := make([]byte, 64<<10)
	for off, end := int64(0), int64(0); ; {
		start, err := unix.Seek(int(f.Fd()), end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return fmt.Sprintf("%x", h.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
		if end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE); err != nil {
			return "", err
		}
		// Two extents may lie in one piece, which counts once.
		for off = max(off, start&^int64(len(piece)-1)); off < end; off += int64(len(piece)) {
			n, err := f.ReadAt(piece, off)
			if err != nil && !errors.Is(err, io.EOF) {
				return "", err
			}
			if got := bytes.TrimRight(piece[:n], "\x00"); len(got) > 0 {
				fmt.Fprintf(h, "%d:%d:", off, len(got))
				h.Write(got)
			}
		}
	}
}

// Tool runs a stock program.
func Tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	return ToolIn(t, "", name, args...)
}

// ToolIn runs a stock program with a standard input.
func ToolIn(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, said.String())
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
