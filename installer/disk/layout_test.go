package disk

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	rootHash = bytes.Repeat([]byte{0xab, 0xcd}, 16)
	testIDs  = IDs{
		Disk: "d0000000-0000-4000-8000-000000000000", ESP: "e0000000-0000-4000-8000-000000000001",
		RootB: "b0000000-0000-4000-8000-000000000003", State: "50000000-0000-4000-8000-000000000004",
	}
)

func mkLayout(t testing.TB, size uint64, sector uint32) Layout {
	t.Helper()
	l, err := Plan(size, sector, "amd64", rootHash, testIDs)
	must(t, err)
	return l
}

func TestPlan(t *testing.T) {
	want := []Part{
		{1, "esp", TypeESP, testIDs.ESP, 1 << 20, 1 << 30},
		{2, "root-a", TypeRootAMD64, "abcdabcd-abcd-abcd-abcd-abcdabcdabcd", 1<<20 + 1<<30, 4 << 30},
		{3, "root-b", TypeRootAMD64, testIDs.RootB, 1<<20 + 5<<30, 4 << 30},
		{4, "state", TypeLUKS, testIDs.State, 1<<20 + 9<<30, 0},
	}
	for _, c := range []struct {
		name   string
		size   uint64
		sector uint32
		state  uint64
	}{
		{"smallest", MinDiskSize, 512, 5 << 30},
		{"smallest with large sectors", MinDiskSize, 4096, 5 << 30},
		{"16 GB as sold", 16_000_000_000 / 512 * 512, 512, 15257*1<<20 - 1<<20 - 9<<30},
		{"odd end", MinDiskSize + 1<<20 - 512, 512, 5 << 30},
		{"8 TB", 8_001_563_222_016, 4096, 7630884*1<<20 - 1<<20 - 9<<30},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := mkLayout(t, c.size, c.sector)
			w := append([]Part(nil), want...)
			w[3].Size = l.Partitions[3].Size
			if d := cmp.Diff(w, l.Partitions); d != "" {
				t.Error(d)
			}
			if got := l.Partitions[3].Size; got != c.state {
				t.Errorf("state has %d bytes, want %d", got, c.state)
			}
			end := l.Partitions[3].Start + l.Partitions[3].Size
			if left := c.size - end; left < tableSize(c.sector) || left >= 2<<20 {
				t.Errorf("%d bytes are left at the end", left)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	twice := testIDs
	twice.State = twice.ESP
	upper := testIDs
	upper.ESP = strings.ToUpper(upper.ESP)
	for _, c := range []struct {
		name   string
		size   uint64
		sector uint32
		arch   string
		hash   []byte
		ids    IDs
	}{
		{"too small", MinDiskSize - 512, 512, "amd64", rootHash, testIDs},
		{"other sectors", MinDiskSize, 1024, "amd64", rootHash, testIDs},
		{"other machine", MinDiskSize, 512, "riscv64", rootHash, testIDs},
		{"short hash", MinDiskSize, 512, "amd64", rootHash[:8], testIDs},
		{"no identities", MinDiskSize, 512, "amd64", rootHash, IDs{}},
		{"one GUID twice", MinDiskSize, 512, "amd64", rootHash, twice},
		{"GUID in another spelling", MinDiskSize, 512, "amd64", rootHash, upper},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Plan(c.size, c.sector, c.arch, c.hash, c.ids); err == nil {
				t.Fatal("no error")
			} else if c.name == "too small" && !errors.Is(err, ErrTooSmall) {
				t.Fatal(err)
			}
		})
	}
}

func TestNewIDs(t *testing.T) {
	a, err := NewIDs(rand.Reader)
	must(t, err)
	b, err := NewIDs(rand.Reader)
	must(t, err)
	if a == b || a.Disk == a.ESP {
		t.Fatalf("%+v %+v", a, b)
	}
	if _, err := NewIDs(strings.NewReader("too short")); err == nil {
		t.Fatal("no error")
	}
	if _, err := Plan(MinDiskSize, 512, "arm64", rootHash, a); err != nil {
		t.Fatal(err)
	}
}

func TestPartitionPath(t *testing.T) {
	for disk, want := range map[string]string{"/dev/sda": "/dev/sda4", "/dev/nvme0n1": "/dev/nvme0n1p4", "/dev/mmcblk0": "/dev/mmcblk0p4", "/dev/vdb": "/dev/vdb4", "/dev/loop7": "/dev/loop7p4"} {
		if got := PartitionPath(disk, 4); got != want {
			t.Errorf("%s: %s", disk, got)
		}
	}
}

// FuzzPlan lays out disks of every size, encodes the table and reads it back with
// the reader for foreign disks.
func FuzzPlan(f *testing.F) {
	f.Add(uint64(MinDiskSize), false)
	f.Add(uint64(MinDiskSize+4096), true)
	f.Add(uint64(8_001_563_222_016), true)
	f.Add(uint64(1)<<62, false)
	f.Fuzz(func(t *testing.T, size uint64, large bool) {
		sector := uint32(512)
		if large {
			sector = 4096
		}
		size = size / uint64(sector) * uint64(sector)
		l, err := Plan(size, sector, "amd64", rootHash, testIDs)
		if size < MinDiskSize {
			if !errors.Is(err, ErrTooSmall) {
				t.Fatal(err)
			}
			return
		}
		must(t, err)
		tab, err := encode(l)
		if size > 1<<62 {
			return // go-diskfs counts in int64
		}
		must(t, err)
		d := newMemDisk(size, sector)
		for _, e := range tab.all() {
			d.apply(e.data, e.off)
		}
		must(t, Verify(d, l))
	})
}
