package hardware

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blkid is the judge: what it calls an image, this package must call it too.
func blkid(t *testing.T, image string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(run(t, "", "blkid", "--probe", "--output", "export", image)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[k] = v
		}
	}
	return out
}

func blankImage(t *testing.T, size int64) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(size))
	must(t, f.Close())
	return image
}

func probeFile(t *testing.T, image string) []Signature {
	t.Helper()
	f, err := os.Open(image)
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	found, err := Probe(f, uint64(st.Size()))
	must(t, err)
	return found
}

const uuidA = "0b5f5a30-7d5c-4c1e-9a53-0a1b2c3d4e5f"

func TestProbeWhatStockToolsMake(t *testing.T) {
	tree := func(t *testing.T) string {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "file"), "content")
		return dir
	}
	cases := []struct {
		name string
		make func(t *testing.T, image string)
	}{
		{"ext2", func(t *testing.T, i string) { run(t, "", "mke2fs", "-q", "-t", "ext2", "-L", "two", "-U", uuidA, i) }},
		{"ext3", func(t *testing.T, i string) { run(t, "", "mke2fs", "-q", "-t", "ext3", "-L", "three", "-U", uuidA, i) }},
		{"ext4", func(t *testing.T, i string) {
			run(t, "", "mke2fs", "-q", "-t", "ext4", "-L", "stek-state", "-U", uuidA, i)
		}},
		{"vfat 12", func(t *testing.T, i string) { run(t, "", "mkfs.vfat", "-F12", "-n", "BOOT", i) }},
		{"vfat 16", func(t *testing.T, i string) { run(t, "", "mkfs.vfat", "-F16", "-n", "BOOT", "-i", "1a2b3c4d", i) }},
		{"vfat 32", func(t *testing.T, i string) { run(t, "", "mkfs.vfat", "-F32", "-n", "ESP", "-i", "1a2b3c4d", i) }},
		{"vfat 32 without a label", func(t *testing.T, i string) { run(t, "", "mkfs.vfat", "-F32", i) }},
		{"vfat 32, sectors of 4096", func(t *testing.T, i string) { run(t, "", "mkfs.vfat", "-F32", "-S4096", i) }},
		{"swap", func(t *testing.T, i string) { run(t, "", "mkswap", "-L", "swap1", "-U", uuidA, i) }},
		{"swap, pages of 64 KiB", func(t *testing.T, i string) { run(t, "", "mkswap", "-p65536", "-U", uuidA, i) }},
		{"squashfs", func(t *testing.T, i string) { run(t, "", "mksquashfs", tree(t), i, "-noappend", "-quiet") }},
		{"erofs", func(t *testing.T, i string) { run(t, "", "mkfs.erofs", "-U", uuidA, i, tree(t)) }},
		{"LUKS1", func(t *testing.T, i string) {
			run(t, "secret", "cryptsetup", "luksFormat", "-q", "--type=luks1", "--pbkdf-force-iterations=1000", "--uuid="+uuidA, i, "-")
		}},
		{"LUKS2", func(t *testing.T, i string) {
			run(t, "secret", "cryptsetup", "luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000",
				"--uuid="+uuidA, "--label=stek-state", i, "-")
		}},
		{"LUKS2, first header gone", func(t *testing.T, i string) {
			run(t, "secret", "cryptsetup", "luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "--uuid="+uuidA, i, "-")
			place(t, i, 0, make([]byte, 4096))
		}},
		{"verity", func(t *testing.T, i string) {
			data := blankImage(t, 1<<20)
			run(t, "", "veritysetup", "format", "--uuid="+uuidA, data, i)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			image := blankImage(t, 64<<20)
			c.make(t, image)
			compareWithBlkid(t, image)
		})
	}
}

// compareWithBlkid asks both for type, label and UUID.
func compareWithBlkid(t *testing.T, image string) {
	t.Helper()
	found := probeFile(t, image)
	if len(found) == 0 {
		t.Fatal("nothing found")
	}
	want := blkid(t, image)
	got := found[0]
	if got.Type != want["TYPE"] {
		t.Errorf("type %q, blkid says %q", got.Type, want["TYPE"])
	}
	if l := strings.ReplaceAll(want["LABEL"], `\ `, " "); got.Label != l {
		t.Errorf("label %q, blkid says %q", got.Label, l)
	}
	if want["UUID"] != "" && got.UUID != want["UUID"] && got.Type != "linux_raid_member" {
		t.Errorf("uuid %q, blkid says %q", got.UUID, want["UUID"])
	}
}

// handmade are superblocks of things whose tools need a kernel that has them, put
// together from their formats' descriptions; blkid confirms that it knows them.
func handmade() map[string]func(img []byte) {
	le, be := binary.LittleEndian, binary.BigEndian
	uuid := []byte("\x0b\x5f\x5a\x30\x7d\x5c\x4c\x1e\x9a\x53\x0a\x1b\x2c\x3d\x4e\x5f")
	md1 := func(off func(size uint64) uint64) func([]byte) {
		return func(img []byte) {
			o := off(uint64(len(img)))
			s := img[o:]
			le.PutUint32(s, 0xa92b4efc)
			le.PutUint32(s[4:], 1)
			copy(s[16:], uuid)
			copy(s[32:], "site:0")
			le.PutUint64(s[144:], o/512)
			var sum uint64 // sb_csum as md's calc_sb_1_csum makes it, without dev_roles
			for i := 0; i < 256; i += 4 {
				sum += uint64(le.Uint32(s[i:]))
			}
			le.PutUint32(s[216:], uint32(sum&0xffffffff)+uint32(sum>>32))
		}
	}
	return map[string]func([]byte){
		"linux_raid_member 1.0": md1(func(n uint64) uint64 { return ((n/512 - 16) &^ 7) * 512 }),
		"linux_raid_member 1.1": md1(func(uint64) uint64 { return 0 }),
		"linux_raid_member 1.2": md1(func(uint64) uint64 { return 4096 }),
		"linux_raid_member 0.90": func(img []byte) {
			s := img[len(img)&^0xffff-0x10000:]
			le.PutUint32(s, 0xa92b4efc)
			le.PutUint32(s[8:], 90)
		},
		"LVM2_member": func(img []byte) {
			s := img[512:]
			copy(s, "LABELONE")
			le.PutUint64(s[8:], 1)
			le.PutUint32(s[20:], 32)
			copy(s[24:], "LVM2 001")
			copy(s[32:], "AbCdEf0123456789ghijklmnopqrstuv")
			le.PutUint32(s[16:], lvmSum(s[20:512]))
		},
		"zfs_member": func(img []byte) {
			for i := range 8 {
				le.PutUint64(img[128<<10+1024*i:], 0xbab10c)
			}
		},
		"zfs_member, only the labels at the end": func(img []byte) {
			for i := range 8 {
				le.PutUint64(img[len(img)-256<<10+128<<10+1024*i:], 0xbab10c)
				le.PutUint64(img[len(img)-512<<10+128<<10+1024*i:], 0xbab10c)
			}
		},
		"isw_raid_member": func(img []byte) { copy(img[len(img)-1024:], "Intel Raid ISM Cfg Sig. 1.1.00") },
		"ddf_raid_member": func(img []byte) {
			be.PutUint32(img[len(img)-512:], 0xde11de11)
			copy(img[len(img)-512+32:], "01.02.00")
		},
		"BitLocker": func(img []byte) {
			copy(img, "\xeb\x58\x90-FVE-FS-")
			img[510], img[511] = 0x55, 0xaa
		},
		"f2fs": func(img []byte) {
			le.PutUint32(img[1024:], 0xf2f52010)
			le.PutUint16(img[1028:], 1)
			copy(img[1024+108:], uuid)
		},
		"apfs": func(img []byte) {
			copy(img[32:], "NXSB")
			le.PutUint64(img[8:], 1)
			le.PutUint32(img[24:], 0x80000001)
			le.PutUint32(img[36:], 4096)
			copy(img[72:], uuid)
		},
		"bcache": func(img []byte) {
			copy(img[4096+24:], "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81")
			copy(img[4096+40:], uuid)
			le.PutUint64(img[4096+8:], 8)
		},
	}
}

// lvmSum is lvm's CRC-32 with its own start value (lib/misc/crc.c).
func lvmSum(b []byte) uint32 {
	crc := uint32(0xf597a6cf)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xedb88320
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

func TestProbeHandmade(t *testing.T) {
	// blkid wants more of these than their magic: a checksum, a whole structure.
	blkidWantsMore := map[string]bool{"apfs": true, "BitLocker": true}
	for name, fill := range handmade() {
		t.Run(name, func(t *testing.T) {
			img := make([]byte, 64<<20) // blkid looks for ZFS from this size on
			fill(img)
			found, err := Probe(bytes.NewReader(img), uint64(len(img)))
			must(t, err)
			kind, _, _ := strings.Cut(name, " ")
			if len(found) == 0 || found[0].Type != strings.TrimSuffix(kind, ",") {
				t.Fatalf("found %+v", found)
			}
			if blkidWantsMore[name] {
				return
			}
			image := blankImage(t, int64(len(img)))
			place(t, image, 0, img)
			compareWithBlkid(t, image)
		})
	}
}

// TestProbeCaptured reads the first 128 KiB of volumes that tools made which are
// not installed everywhere (mkntfs, mkfs.xfs, mkfs.btrfs, mkfs.exfat, pvcreate,
// xorriso).
func TestProbeCaptured(t *testing.T) {
	cases := []struct{ file, kind, label, uuid string }{
		{"ntfs", "ntfs", "", "12569C651064ABEC"}, // the label is a file of its own
		{"xfs", "xfs", "data", uuidA},
		{"btrfs", "btrfs", "data", uuidA},
		{"exfat", "exfat", "", "7BCB-E8FC"},
		{"lvm", "LVM2_member", "", "AbCdEf-0123-4567-89gh-ijkl-mnop-qrstuv"},
		{"iso9660", "iso9660", "DEBIAN", ""},
	}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			found, err := Probe(bytes.NewReader(captured(t, c.file)), 128<<10)
			must(t, err)
			if len(found) == 0 || found[0].Type != c.kind || found[0].Label != c.label || found[0].UUID != c.uuid {
				t.Fatalf("%+v", found)
			}
		})
	}
}

func captured(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/probe/" + name + ".gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	data, err := io.ReadAll(z)
	must(t, err)
	return data
}

func TestProbeBlankUnknownAndMixed(t *testing.T) {
	const size = 4 << 20
	make := func(fill ...func([]byte)) []byte {
		img := make([]byte, size)
		for _, f := range fill {
			f(img)
		}
		return img
	}
	h := handmade()
	cases := []struct {
		name string
		img  []byte
		want []string
	}{
		{"zeros", make(), nil},
		{"erased flash", bytes.Repeat([]byte{0xff}, size), nil},
		{"nothing at all", nil, nil},
		{"shorter than any superblock", []byte("hello"), []string{Unknown}},
		{"one byte", make(func(b []byte) { b[777] = 1 }), []string{Unknown}},
		{"a mirror with its superblock at the end looks like its file system", make(h["f2fs"], h["linux_raid_member 1.0"]), []string{"linux_raid_member", "f2fs"}},
		{"LVM over old ZFS labels", make(h["LVM2_member"], h["zfs_member, only the labels at the end"]), []string{"LVM2_member", "zfs_member"}},
		{"two RAID superblocks of different age", make(h["linux_raid_member 1.2"], h["linux_raid_member 0.90"]), []string{"linux_raid_member", "linux_raid_member"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			found, err := Probe(bytes.NewReader(c.img), uint64(len(c.img)))
			must(t, err)
			var got []string
			for _, s := range found {
				got = append(got, s.Type)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestProbeShortDisk(t *testing.T) {
	if _, err := Probe(bytes.NewReader(make([]byte, 1000)), 5000); err == nil {
		t.Fatal("a disk shorter than the kernel says must not look empty")
	}
}

func TestLabelCannotReachTheTerminal(t *testing.T) {
	image := blankImage(t, 8<<20)
	run(t, "", "mke2fs", "-q", "-t", "ext4", "-L", "a\x1b[2Jb\u202ec", image)
	if got := probeFile(t, image)[0].Label; got != "a[2Jbc" {
		t.Fatalf("label %q", got)
	}
}

// FuzzProbe takes the start and the end of an area apart from its size, so that an
// input stays small.
func FuzzProbe(f *testing.F) {
	for _, fill := range handmade() {
		img := make([]byte, 1<<20)
		fill(img)
		f.Add(img[:8<<10], img[len(img)-1024:], uint64(1<<20))
	}
	for _, name := range []string{"xfs", "btrfs", "ntfs", "lvm", "iso9660"} {
		z, err := os.ReadFile("testdata/probe/" + name + ".gz")
		if err != nil {
			f.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(z))
		if err != nil {
			f.Fatal(err)
		}
		img, err := io.ReadAll(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(img[:68<<10], []byte{}, uint64(1<<30))
	}
	f.Fuzz(func(t *testing.T, head, tail []byte, size uint64) {
		if uint64(len(head)) > size || uint64(len(tail)) > size {
			return
		}
		a := area{head: head, tail: tail, size: size}
		for _, s := range a.signatures() {
			if s.Type == "" || s.Offset > size || hasControl(s.Label) || hasControl(s.UUID) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
