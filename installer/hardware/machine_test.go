package hardware

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// box is a machine made of plain files, built up by the functions below.
type box struct {
	t     *testing.T
	roots Roots
	minor int
}

func newBox(t *testing.T) *box {
	t.Helper()
	dir := t.TempDir()
	b := &box{t: t, roots: Roots{
		Sys: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc"), Dev: filepath.Join(dir, "dev"),
		Run: filepath.Join(dir, "run"), EFIVars: filepath.Join(dir, "sys/firmware/efi/efivars"),
	}}
	for _, d := range []string{b.roots.Sys + "/block", b.roots.Proc, b.roots.Dev} {
		must(t, os.MkdirAll(d, 0o755))
	}
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func link(t *testing.T, path, target string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	rel, err := filepath.Rel(filepath.Dir(path), target)
	must(t, err)
	must(t, os.Symlink(rel, path))
}

func (b *box) sys(path, text string) { b.t.Helper(); put(b.t, filepath.Join(b.roots.Sys, path), text) }
func (b *box) proc(path, text string) {
	b.t.Helper()
	put(b.t, filepath.Join(b.roots.Proc, path), text)
}

func (b *box) efi(name string, value []byte) {
	b.t.Helper()
	put(b.t, filepath.Join(b.roots.EFIVars, name), "\x06\x00\x00\x00"+string(value))
}

// mkDisk adds a disk at a place in the device tree and gives it a node of size
// bytes to write on. attrs are further sysfs files of the disk: "device/model".
func (b *box) mkDisk(name, device string, size int64, attrs map[string]string) string {
	b.t.Helper()
	b.minor += 16
	dir := filepath.Join("devices", device, "block", name)
	b.sys(dir+"/size", fmt.Sprintln(size/512))
	b.sys(dir+"/dev", fmt.Sprintf("8:%d\n", b.minor))
	b.sys(dir+"/ro", "0\n")
	b.sys(dir+"/removable", "0\n")
	b.sys(dir+"/queue/logical_block_size", "512\n")
	b.sys(dir+"/queue/rotational", "0\n")
	link(b.t, filepath.Join(b.roots.Sys, dir, "device"), filepath.Join(b.roots.Sys, "devices", device))
	link(b.t, filepath.Join(b.roots.Sys, "block", name), filepath.Join(b.roots.Sys, dir))
	link(b.t, filepath.Join(b.roots.Sys, "class/block", name), filepath.Join(b.roots.Sys, dir))
	link(b.t, filepath.Join(b.roots.Sys, "dev/block", fmt.Sprintf("8:%d", b.minor)), filepath.Join(b.roots.Sys, dir))
	for k, v := range attrs {
		if rest, ok := strings.CutPrefix(k, "device/"); ok {
			b.sys(filepath.Join("devices", device, rest), v)
		} else {
			b.sys(filepath.Join(dir, k), v)
		}
	}
	node := filepath.Join(b.roots.Dev, name)
	f, err := os.Create(node)
	must(b.t, err)
	must(b.t, f.Truncate(size))
	must(b.t, f.Close())
	return node
}

// mkPart tells sysfs of a partition of a disk.
func (b *box) mkPart(disk, name string, number int) {
	b.t.Helper()
	dir, err := filepath.EvalSymlinks(filepath.Join(b.roots.Sys, "block", disk))
	must(b.t, err)
	put(b.t, filepath.Join(dir, name, "partition"), fmt.Sprintln(number))
	major := strings.TrimSpace(string(read(filepath.Join(dir, "dev"))))
	var maj, min int
	_, err = fmt.Sscanf(major, "%d:%d", &maj, &min)
	must(b.t, err)
	dev := fmt.Sprintf("%d:%d", maj, min+number)
	put(b.t, filepath.Join(dir, name, "dev"), dev+"\n")
	link(b.t, filepath.Join(b.roots.Sys, "class/block", name), filepath.Join(dir, name))
	link(b.t, filepath.Join(b.roots.Sys, "dev/block", dev), filepath.Join(dir, name))
}

// mapped puts a device-mapper or RAID device on top of others.
func (b *box) mapped(name, dmName string, slaves ...string) {
	b.t.Helper()
	dir := "devices/virtual/block/" + name
	if dmName != "" {
		b.sys(dir+"/dm/name", dmName+"\n")
	}
	b.sys(dir+"/size", "2048\n")
	link(b.t, filepath.Join(b.roots.Sys, "block", name), filepath.Join(b.roots.Sys, dir))
	for _, s := range slaves {
		real, err := filepath.EvalSymlinks(filepath.Join(b.roots.Sys, "class/block", s))
		must(b.t, err)
		link(b.t, filepath.Join(b.roots.Sys, dir, "slaves", s), real)
		link(b.t, filepath.Join(real, "holders", name), filepath.Join(b.roots.Sys, dir))
	}
}

// run starts a real tool and fails the test when it fails.
func run(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mkGPT partitions an image with sgdisk. Each part is "start:end:type:name:guid".
func mkGPT(t *testing.T, image string, parts ...string) {
	t.Helper()
	args := []string{"--clear", "--disk-guid=11111111-2222-3333-4444-555555555555"}
	for i, p := range parts {
		f := strings.Split(p, ":")
		args = append(args, fmt.Sprintf("--new=%d:%s:%s", i+1, f[0], f[1]), fmt.Sprintf("--typecode=%d:%s", i+1, f[2]),
			fmt.Sprintf("--change-name=%d:%s", i+1, f[3]), fmt.Sprintf("--partition-guid=%d:%s", i+1, f[4]))
	}
	run(t, "", "sgdisk", append(args, image)...)
}

// place copies the bytes of one file into another at off.
func place(t *testing.T, image string, off int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(data, off)
	must(t, err)
	must(t, f.Close())
}

// rawGPT builds a table by hand, for sector sizes and contents that sgdisk does
// not make on a file.
func rawGPT(size uint64, sector uint32, parts ...Partition) []byte {
	img := make([]byte, size)
	le := binary.LittleEndian
	array := make([]byte, 128*128)
	for i, p := range parts {
		e := array[128*i:]
		copy(e, bytes.Repeat([]byte{0xa1}, 16))
		copy(e[16:], bytes.Repeat([]byte{byte(max(p.Number, i+1))}, 16))
		le.PutUint64(e[32:], p.Start/uint64(sector))
		le.PutUint64(e[40:], (p.Start+p.Size)/uint64(sector)-1)
		for j, c := range utf16.Encode([]rune(p.Name)) {
			le.PutUint16(e[56+2*j:], c)
		}
	}
	last := size/uint64(sector) - 1
	header := func(at, other, entries uint64) {
		h := make([]byte, 92)
		copy(h, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		le.PutUint64(h[24:], at)
		le.PutUint64(h[32:], other)
		copy(h[56:], bytes.Repeat([]byte{0xd1}, 16))
		le.PutUint64(h[72:], entries)
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(array))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h))
		copy(img[at*uint64(sector):], h)
		copy(img[entries*uint64(sector):], array)
	}
	header(1, last, 2)
	header(last, 1, last-uint64(len(array))/uint64(sector))
	img[450], img[510], img[511] = 0xee, 0x55, 0xaa
	return img
}

// fixGPT makes the checksums of a primary header right, whatever it says.
func fixGPT(img []byte, sector int) {
	le := binary.LittleEndian
	if len(img) < 3*sector || string(img[sector:sector+8]) != "EFI PART" {
		return
	}
	h := img[sector:]
	first, n := le.Uint64(h[72:]), uint64(le.Uint32(h[80:]))*uint64(le.Uint32(h[84:]))
	size, limit := uint64(le.Uint32(h[12:])), uint64(len(img))
	if first > limit/uint64(sector) || n > limit-first*uint64(sector) || size > uint64(sector) || size < 20 {
		return
	}
	le.PutUint32(h[88:], crc32.ChecksumIEEE(img[first*uint64(sector):][:n]))
	clear(h[16:20])
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:size]))
}
