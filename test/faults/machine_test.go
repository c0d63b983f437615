package faults

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

// machine is a machine whose disks are loop devices.
type machine struct {
	t     *testing.T
	dir   string
	roots hardware.Roots
	disks map[string]*testDisk
}

// testDisk is one disk: an image file and the loop device on it.
type testDisk struct {
	image string
	node  string // /dev/loop7
}

// newMachine makes a machine with UEFI, 4 GB of memory and a TPM 2.0, and no disk.
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	m := &machine{t: t, dir: dir, disks: map[string]*testDisk{},
		roots: hardware.Roots{Sys: in("sys"), Proc: in("proc"), Dev: in("dev"), Run: in("run"), EFIVars: in("efivars")}}
	for _, d := range []string{"sys/block", "sys/dev/block", "sys/class/block", "sys/class/net", "sys/firmware/efi", "proc/self", "dev", "efivars"} {
		must(t, os.MkdirAll(in(d), 0o755))
	}
	m.put("proc/meminfo", "MemTotal: 4000000 kB\n")
	m.put("proc/cpuinfo", "processor : 0\nflags : aes\n")
	m.link("/proc/self/mountinfo", "proc/self/mountinfo")
	m.link("/proc/swaps", "proc/swaps")
	m.put("sys/class/dmi/id/product_serial", "BOX0001\n")
	m.put("sys/class/tpm/tpm0/tpm_version_major", "2\n")
	m.put("sys/class/tpm/tpm0/pcr-sha256/0", strings.Repeat("AB", 32)+"\n")
	m.put("dev/tpmrm0", "")
	return m
}

func (m *machine) put(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m.t, os.WriteFile(path, []byte(content), 0o644))
}

func (m *machine) link(to, name string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m.t, os.Symlink(to, path))
}

func (m *machine) remove(name string) {
	m.t.Helper()
	must(m.t, os.RemoveAll(filepath.Join(m.dir, name)))
}

// addDisk adds a disk by the kernel's name for it. fill puts something on the image
// before the kernel looks at it.
func (m *machine) addDisk(name, serial string, size int64, fill func(image string)) *testDisk {
	m.t.Helper()
	d := &testDisk{image: filepath.Join(m.dir, name+".img")}
	f, err := os.Create(d.image)
	must(m.t, err)
	must(m.t, f.Truncate(size))
	must(m.t, f.Close())
	if fill != nil {
		fill(d.image)
	}
	d.node = strings.TrimSpace(tool(m.t, "losetup", "--find", "--show", "--partscan", d.image))
	m.t.Cleanup(func() { tool(m.t, "losetup", "--detach", d.node) })
	// For a kernel without the GPT reader; one that has it knows them already.
	if table, err := exec.Command("blkid", "--probe", "--output", "value", "--match-tag", "PTTYPE", d.node).Output(); err == nil && strings.TrimSpace(string(table)) == "gpt" {
		tool(m.t, "partx", "--update", d.node)
	}
	loop := filepath.Base(d.node)
	block := "sys/block/" + name
	for _, attribute := range []string{"size", "ro", "dev", "queue", "holders", "removable"} {
		m.link("/sys/block/"+loop+"/"+attribute, block+"/"+attribute)
	}
	if strings.HasPrefix(name, "nvme") {
		m.put(block+"/device/serial", serial+"\n")
		m.put(block+"/device/model", "test disk\n")
	} else {
		m.put(block+"/device/vpd_pg80", "\x00\x80\x00"+string(rune(len(serial)))+serial)
	}
	major, err := os.ReadFile("/sys/block/" + loop + "/dev")
	must(m.t, err)
	m.link("../../block/"+name, "sys/dev/block/"+strings.TrimSpace(string(major)))
	m.link("../../block/"+name, "sys/class/block/"+name)
	m.link(d.node, "dev/"+name)
	for n := 1; n <= 4; n++ {
		part := partition(name, n)
		m.link(partition(d.node, n), "dev/"+part)
		m.link(partition("/sys/class/block/"+loop, n), "sys/class/block/"+part)
		m.link(partition("/sys/class/block/"+loop, n), block+"/"+part)
	}
	m.disks[name] = d
	return d
}

func partition(disk string, n int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", disk, n)
	}
	return fmt.Sprintf("%s%d", disk, n)
}

// bootedFrom has the boot loader say from which partition it came.
func (m *machine) bootedFrom(guid string) {
	m.t.Helper()
	b := []byte{6, 0, 0, 0}
	for _, c := range utf16.Encode([]rune(strings.ToUpper(guid) + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	m.put("efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", string(b))
}

// sums are the SHA-256 of what is on each disk, and where. Zeros are passed over, so
// that the size of a disk costs nothing.
func (m *machine) sums() map[string]string {
	m.t.Helper()
	sums := map[string]string{}
	for name, d := range m.disks {
		tool(m.t, "blockdev", "--flushbufs", d.node)
		sum, err := sparseSum(d.image)
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

// tool runs a stock program.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	return toolIn(t, "", name, args...)
}

func toolIn(t testing.TB, stdin, name string, args ...string) string {
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
