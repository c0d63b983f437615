package layout_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/layout"
	"github.com/stek-edge/stek/installer/disk"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)

const rootHash = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"

// root is content with a hole of 3 MiB in it.
var root = append(append(bytes.Repeat([]byte("root"), 1024), make([]byte, 3<<20)...), bytes.Repeat([]byte("tail"), 1024)...)

func stick(t *testing.T) layout.Stick {
	t.Helper()
	hash, err := hex.DecodeString(rootHash)
	if err != nil {
		t.Fatal(err)
	}
	return layout.Stick{
		ESP:  esp.Content{Arch: "amd64", Version: "1", BootLoader: []byte("boot loader"), UKI: []byte("kernel")},
		Root: bytes.NewReader(root), RootSize: int64(len(root)), RootHash: hash, Time: epoch,
	}
}

func write(t *testing.T) (*os.File, int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stick.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := layout.WriteStick(context.Background(), f, stick(t), nil); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

func TestStickIsCleanToOthers(t *testing.T) {
	f, size := write(t)
	sgdisk, err := exec.LookPath("sgdisk")
	if err != nil {
		sgdisk = "/usr/sbin/sgdisk"
	}
	out, err := exec.Command(sgdisk, "--verify", f.Name()).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("No problems found")) {
		t.Errorf("sgdisk: %v\n%s", err, out)
	}
	for i, want := range [][]string{
		1: {"EFI system partition", "'esp'", "First sector: 2048 "},
		2: {"Linux x86-64 root", "'root-a'", "00112233-4455-6677-8899-AABBCCDDEEFF"},
	} {
		if want == nil {
			continue
		}
		out, err := exec.Command(sgdisk, fmt.Sprintf("--info=%d", i), f.Name()).CombinedOutput()
		for _, w := range want {
			if err != nil || !bytes.Contains(out, []byte(w)) {
				t.Errorf("partition %d lacks %q: %v\n%s", i, w, err, out)
			}
		}
	}
	table, err := layout.ReadGPT(f, size)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := table.Find(disk.RootA)
	got, err := io.ReadAll(io.NewSectionReader(f, p.Start, p.Size))
	if err != nil || !bytes.Equal(got, root) {
		t.Errorf("the root is not in its partition: %d bytes, %v", len(got), err)
	}

	// fsck.fat takes no offset: copy the partition out, with its holes.
	p, _ = table.Find(disk.ESP)
	espImage := filepath.Join(t.TempDir(), "esp.img")
	if out, err := exec.Command("dd", "if="+f.Name(), "of="+espImage, "bs=1M", "conv=sparse",
		fmt.Sprintf("skip=%d", p.Start>>20), fmt.Sprintf("count=%d", p.Size>>20)).CombinedOutput(); err != nil {
		t.Fatalf("dd: %v\n%s", err, out)
	}
	fsck, err := exec.LookPath("fsck.fat")
	if err != nil {
		fsck = "/usr/sbin/fsck.fat"
	}
	if out, err := exec.Command(fsck, "-n", espImage).CombinedOutput(); err != nil {
		t.Errorf("fsck.fat: %v\n%s", err, out)
	}
	var kib int
	if out, err := exec.Command("du", "-k", f.Name()).Output(); err != nil {
		t.Error(err)
	} else if _, err := fmt.Sscan(string(out), &kib); err != nil || kib > 1024 {
		t.Errorf("the image takes %d KiB on disk, error %v", kib, err)
	}
}

func TestStickIsReproducible(t *testing.T) {
	a, size := write(t)
	b, _ := write(t)
	const block = 1 << 20
	first, second := make([]byte, block), make([]byte, block)
	for at := int64(0); at < size; at += block {
		_, err := a.ReadAt(first, at)
		if _, err2 := b.ReadAt(second, at); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if !bytes.Equal(first, second) {
			t.Fatalf("two images made of the same parts differ in MiB %d", at/block)
		}
	}
}

func TestCustomize(t *testing.T) {
	f, size := write(t)
	v, err := layout.OpenESP(f, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"stek: 1\n", "stek: 1\nnode: {}\n"} {
		if err := v.WriteFile(esp.Preseed, []byte(text), epoch); err != nil {
			t.Fatal(err)
		}
		again, err := layout.ReadESP(f, size)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.ReadFile(esp.Preseed, 1<<20); err != nil || string(got) != text {
			t.Errorf("read %q, error %v", got, err)
		}
		if got, err := again.ReadFile(esp.Kernel("a", 0), 1<<20); err != nil || string(got) != "kernel" {
			t.Errorf("the kernel is %q, error %v", got, err)
		}
	}
}

func TestWriteStickRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *layout.Stick)
		error  string
	}{
		{"a root that is shorter than said", func(s *layout.Stick) { s.RootSize += 4096 }, "unexpected EOF"},
		{"a root that is longer than said", func(s *layout.Stick) { s.RootSize -= 4096 }, "longer than"},
		{"a root of odd size", func(s *layout.Stick) { s.RootSize++ }, "multiple of 4096"},
		{"a short root hash", func(s *layout.Stick) { s.RootHash = s.RootHash[:31] }, "root hash"},
		{"an unknown architecture", func(s *layout.Stick) { s.ESP.Arch = "mips" }, "architecture"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "stick.img"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			s := stick(t)
			c.change(&s)
			_, err = layout.WriteStick(context.Background(), f, s, nil)
			if err == nil || !strings.Contains(err.Error(), c.error) {
				t.Fatalf("error %v, want one with %q", err, c.error)
			}
			if info, _ := f.Stat(); info.Size() > 0 {
				if _, err := layout.ReadGPT(f, info.Size()); !errors.Is(err, layout.ErrNoGPT) {
					t.Errorf("a failed image has a partition table: %v", err)
				}
			}
		})
	}
}

// table makes a small disk with a table of the given partitions.
func table(t testing.TB, sector int, partitions ...*gpt.Partition) []byte {
	t.Helper()
	const size = 4 << 20
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	sized := make([]*gpt.Partition, len(partitions))
	for i, p := range partitions {
		c := *p
		c.Size = (c.End - c.Start + 1) * uint64(sector)
		sized[i] = &c
	}
	g := &gpt.Table{LogicalSectorSize: sector, PhysicalSectorSize: sector, ProtectiveMBR: true, GUID: "11111111-2222-3333-4444-555555555555", Partitions: sized}
	if err := g.Write(f, size); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func state(start, end uint64) *gpt.Partition {
	return &gpt.Partition{Index: int(start), Name: disk.State, Type: disk.TypeLUKS, GUID: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Start: start, End: end}
}

func TestReadGPT(t *testing.T) {
	one := state(64, 127)
	one.Index = 1
	second := state(100, 200)
	second.Index = 2
	large := table(t, 4096, one)
	small := table(t, 512, one)
	broken := bytes.Clone(small)
	broken[512+16] ^= 1
	noPrimary := bytes.Clone(small)
	clear(noPrimary[512:1024])
	hugeCount := bytes.Clone(small)
	copy(hugeCount[512+80:], []byte{0xff, 0xff, 0xff, 0xff})
	dead := bytes.Clone(noPrimary)
	clear(dead[len(dead)-512:])
	for _, c := range []struct {
		name   string
		data   []byte
		sector int // 0: refused
		backup bool
	}{
		{"512 bytes per sector", small, 512, false},
		{"4096 bytes per sector", large, 4096, false},
		{"wrong checksum at the start", broken, 512, true},
		{"no table at the start", noPrimary, 512, true},
		{"four milliard entries at the start", hugeCount, 512, true},
		{"no table", dead, 0, false},
		{"overlapping partitions", table(t, 512, one, second), 0, false},
		{"cut off behind the first partition", small[:1<<20], 512, false},
		{"cut off inside the first partition", small[:100*512], 0, false},
		{"nothing", nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := layout.ReadGPT(bytes.NewReader(c.data), int64(len(c.data)))
			if c.sector == 0 {
				if !errors.Is(err, layout.ErrNoGPT) {
					t.Fatalf("error %v, want ErrNoGPT", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := layout.Partition{
				Index: 1, Name: disk.State, Type: disk.TypeLUKS, GUID: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
				Start: 64 * int64(c.sector), Size: 64 * int64(c.sector),
			}
			if p, ok := got.Find(disk.State); !ok || p != want || got.FromBackup != c.backup || got.SectorSize != c.sector {
				t.Errorf("%+v (%v), want %+v", got, ok, want)
			}
		})
	}
}

func TestTwoPartitionsOfOneName(t *testing.T) {
	first, second := state(64, 127), state(128, 255)
	first.Index, second.Index = 1, 2
	second.GUID = "aaaaaaaa-bbbb-cccc-dddd-ffffffffffff"
	data := table(t, 512, first, second)
	got, err := layout.ReadGPT(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := got.Find(disk.State); ok {
		t.Errorf("found %+v", p)
	}
}

func FuzzReadGPT(f *testing.F) {
	one := state(64, 127)
	one.Index = 1
	for _, sector := range []int{512, 4096} {
		f.Add(table(f, sector, one)[:1<<18])
	}
	f.Add([]byte("EFI PART"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := layout.ReadGPT(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, p := range table.Partitions {
			if p.Start < 0 || p.Size <= 0 || p.Start+p.Size > int64(len(data)) {
				t.Fatalf("partition outside the disk: %+v", p)
			}
		}
		_, _ = layout.ReadESP(bytes.NewReader(data), int64(len(data)))
	})
}
