package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/hardware"
)

// tool runs a real program and fails the test when it fails.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "LC_ALL=C")
	cmd.Path, cmd.Err = lookTool(name)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func lookTool(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name), nil
		}
	}
	return exec.LookPath(name)
}

// image is a sparse image file opened as a Target.
func image(t testing.TB, size int64, sector uint32) *File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "disk"), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	must(t, f.Truncate(size))
	target, err := NewFile(f, sector)
	must(t, err)
	return target
}

func TestPartitionSatisfiesSgdisk(t *testing.T) {
	target := image(t, MinDiskSize, 512)
	l := mkLayout(t, MinDiskSize, 512)
	var last, total uint64
	must(t, Partition(context.Background(), target, l, PartitionOptions{Progress: func(d, n uint64) { last, total = d, n }}))
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	if out := tool(t, "sgdisk", "-v", target.Name()); !strings.Contains(out, "No problems found") {
		t.Error(out)
	}
	out := tool(t, "sgdisk", "-p", target.Name())
	for _, want := range []string{"esp", "root-a", "root-b", "state", strings.ToUpper(testIDs.Disk)} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	if out := tool(t, "sgdisk", "-i", "2", target.Name()); !strings.Contains(out, "ABCDABCD-ABCD-ABCD-ABCD-ABCDABCDABCD") {
		t.Error(out)
	}
}

func TestPartitionWithLargeSectors(t *testing.T) {
	d := newMemDisk(MinDiskSize, 4096)
	l := mkLayout(t, MinDiskSize, 4096)
	must(t, Partition(context.Background(), d, l, PartitionOptions{}))
	must(t, Verify(d, l))
}

func TestProtectiveMBROfALargeDisk(t *testing.T) {
	tab, err := encode(mkLayout(t, 8_001_563_222_016, 512))
	must(t, err)
	if got := binary.LittleEndian.Uint32(tab.mbr.data[446+12:]); got != 0xffffffff {
		t.Errorf("%#x", got)
	}
	tab, err = encode(mkLayout(t, MinDiskSize, 512))
	must(t, err)
	if got := binary.LittleEndian.Uint32(tab.mbr.data[446+12:]); got != MinDiskSize/512-1 {
		t.Errorf("%#x", got)
	}
}

func TestPartitionRefusesAPlanForAnotherDisk(t *testing.T) {
	d := newMemDisk(MinDiskSize+1<<20, 512)
	if err := Partition(context.Background(), d, mkLayout(t, MinDiskSize, 512), PartitionOptions{}); err == nil {
		t.Fatal("no error")
	}
	if len(d.log) > 0 {
		t.Fatal("something was written")
	}
}

// usedDisk is a disk with a history: LVM, LUKS and ZFS on partitions of its own
// table, a RAID superblock at its end.
func usedDisk(t testing.TB) *memDisk {
	d := newMemDisk(MinDiskSize, 512)
	old := Layout{DiskSize: d.size, SectorSize: 512, GUID: "0d000000-0000-4000-8000-000000000000", Partitions: []Part{
		{1, "boot", TypeESP, "0d000000-0000-4000-8000-000000000001", 1 << 20, 512 << 20},
		{2, "pv", TypeLUKS, "0d000000-0000-4000-8000-000000000002", 600 << 20, 3 << 30},
		{3, "state", TypeLUKS, "0d000000-0000-4000-8000-000000000003", 4 << 30, 2 << 30},
		{4, "tank", TypeLUKS, "0d000000-0000-4000-8000-000000000004", 6 << 30, 1 << 30},
	}}
	tab, err := encode(old)
	must(t, err)
	for _, e := range tab.all() {
		d.apply(e.data, e.off)
	}
	le := binary.LittleEndian
	lvm := make([]byte, 1024)
	copy(lvm[512:], "LABELONE")
	le.PutUint64(lvm[520:], 1)
	copy(lvm[536:], "LVM2 001")
	d.apply(lvm, 600<<20)
	luks := make([]byte, 4096)
	copy(luks, "LUKS\xba\xbe\x00\x02")
	copy(luks[24:], StateLabel)
	d.apply(luks, 4<<30)
	d.apply([]byte("SKUL\xba\xbe\x00\x02"), 4<<30+16<<10)
	d.apply(bytes.Repeat([]byte("key slot"), 512), 4<<30+15<<20)
	uber := make([]byte, 8)
	le.PutUint64(uber, 0xbab10c)
	d.apply(uber, 6<<30+128<<10)
	d.apply(uber, 7<<30-128<<10)
	md := make([]byte, 256)
	le.PutUint32(md, 0xa92b4efc)
	le.PutUint32(md[4:], 1)
	at := uint64((MinDiskSize/512 - 16) &^ 7 * 512)
	le.PutUint64(md[144:], at/512)
	d.apply(md, at-1<<20) // as on a partition that ended a MiB earlier
	d.apply(bytes.Repeat([]byte{7}, 4096), 10<<30)
	return d
}

func TestPartitionLeavesNoOldSignature(t *testing.T) {
	d := usedDisk(t)
	before := hardware.Disk{Size: d.size, SectorSize: d.sector}
	must(t, hardware.ReadContent(d, &before))
	if before.Partitions[1].Content != "LVM2_member" || before.Partitions[2].Content != "crypto_LUKS" || before.Partitions[3].Content != "zfs_member" {
		t.Fatalf("%+v", before)
	}
	l := mkLayout(t, d.size, d.sector)
	must(t, Partition(context.Background(), d, l, PartitionOptions{}))
	after := hardware.Disk{Size: d.size, SectorSize: d.sector}
	must(t, hardware.ReadContent(d, &after))
	for _, p := range after.Partitions {
		if p.Content != "" || p.Remains != nil {
			t.Errorf("%+v", p)
		}
	}
	if len(after.Remains) > 0 || after.TableGUID != testIDs.Disk {
		t.Errorf("%+v", after)
	}
	// Somebody brings the old table back: nothing may show through either.
	for _, p := range before.Partitions {
		found, err := hardware.Probe(io.NewSectionReader(d, int64(p.Start), int64(p.Size)), p.Size)
		must(t, err)
		if len(found) > 0 {
			t.Errorf("old partition %d: %+v", p.Number, found)
		}
	}
	slot := make([]byte, 8)
	_, err := d.ReadAt(slot, 4<<30+15<<20)
	must(t, err)
	if string(slot) == "key slot" {
		t.Error("the old key slots are still there")
	}
}

// tableSeen is what the kernel and the firmware make of a disk: a GPT needs its
// protective MBR.
func tableSeen(t testing.TB, d *memDisk) string {
	t.Helper()
	tab, err := hardware.ReadTable(d, d.size, d.sector)
	must(t, err)
	if tab.Kind == "gpt" && !tab.Protective {
		return ""
	}
	if tab.Kind == "gpt" && len(tab.Partitions) != 4 {
		t.Fatalf("%+v", tab)
	}
	if tab.Kind == "gpt" {
		return tab.GUID
	}
	if len(tab.Partitions) > 0 {
		return "mbr"
	}
	return ""
}

// TestPowerCuts cuts the power after every write, with any of the writes since the
// last flush lost: what is on the disk is the old table, none, or the new one.
func TestPowerCuts(t *testing.T) {
	start := usedDisk(t)
	oldGUID := tableSeen(t, start)
	l := mkLayout(t, start.size, start.sector)
	d := start.clone()
	must(t, Partition(context.Background(), d, l, PartitionOptions{}))

	random := rand.New(rand.NewPCG(1, 2))
	state := start.clone() // everything up to the last flush
	var pending []entry
	seen := map[string]int{}
	stage := 0 // old, none, new: never backwards
	stages := map[string]int{oldGUID: 0, "": 1, testIDs.Disk: 2}
	check := func(cut *memDisk, atLeast int) int {
		got := tableSeen(t, cut)
		s, ok := stages[got]
		if !ok || s < atLeast {
			t.Fatalf("a cut left the table %q", got)
		}
		seen[got]++
		return s
	}
	for _, e := range d.log {
		if e.data == nil {
			for _, p := range pending {
				state.apply(p.data, p.off)
			}
			pending = nil
			stage = check(state, stage)
			continue
		}
		pending = append(pending, e)
		if len(pending) > 1 && len(pending)%8 != 0 {
			continue // in the long runs of zeros every eighth write will do
		}
		for range 2 {
			cut := state.overlay()
			for _, p := range pending {
				if random.IntN(2) == 0 {
					cut.apply(p.data, p.off)
				}
			}
			check(cut, stage)
		}
	}
	if len(pending) > 0 {
		t.Fatal("the last writes were never flushed")
	}
	if stage != 2 || seen[oldGUID] == 0 || seen[""] == 0 {
		t.Fatalf("saw %v", seen)
	}

	// And after any cut, doing it again from the start ends well.
	again := start.clone()
	for i, e := range d.log {
		again.apply(e.data, e.off)
		if i%(len(d.log)/5) == 3 {
			c := again.clone()
			must(t, Partition(context.Background(), c, l, PartitionOptions{}))
		}
	}
}

// failing is a disk whose writes or reads go wrong.
type failing struct {
	*memDisk
	failAt int  // the n-th write fails
	lies   bool // writes are lost without a word
}

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	f.failAt--
	if f.failAt == 0 {
		return 0, errors.New("input/output error")
	}
	if f.lies && off == 512 {
		return len(p), nil
	}
	return f.memDisk.WriteAt(p, off)
}

func TestPartitionReportsWhatFails(t *testing.T) {
	l := mkLayout(t, MinDiskSize, 512)
	var te *TableError
	if err := Partition(context.Background(), &failing{memDisk: newMemDisk(MinDiskSize, 512), lies: true}, l, PartitionOptions{}); !errors.As(err, &te) || te.Offset != 512 {
		t.Errorf("a disk that loses writes: %v", err)
	}
	ok := newMemDisk(MinDiskSize, 512)
	must(t, Partition(context.Background(), ok, l, PartitionOptions{}))
	writes := 0
	for _, e := range ok.log {
		if e.data != nil {
			writes++
		}
	}
	for n := 1; n <= writes; n++ {
		if err := Partition(context.Background(), &failing{memDisk: newMemDisk(MinDiskSize, 512), failAt: n}, l, PartitionOptions{}); err == nil {
			t.Errorf("write %d failed and nobody said so", n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Partition(ctx, newMemDisk(MinDiskSize, 512), l, PartitionOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// discarding is a flash drive that returns old bytes from discarded places, the
// worst that the standards allow, or one that cannot discard.
type discarding struct {
	*memDisk
	old    *memDisk
	cannot bool
}

func (d *discarding) Discard(off, length uint64) error {
	if d.cannot {
		return errors.New("operation not supported")
	}
	for n := range d.blocks {
		if n*block >= off && n*block < off+length {
			delete(d.blocks, n)
		}
	}
	d.base = d.old
	return nil
}

func TestPartitionDiscards(t *testing.T) {
	l := mkLayout(t, MinDiskSize, 512)
	for _, cannot := range []bool{false, true} {
		d := &discarding{memDisk: usedDisk(t), old: usedDisk(t), cannot: cannot}
		must(t, Partition(context.Background(), d, l, PartitionOptions{Discard: true}))
		must(t, Verify(d, l))
	}
}

func TestVerifyKnowsAnotherTable(t *testing.T) {
	d := newMemDisk(MinDiskSize, 512)
	l := mkLayout(t, MinDiskSize, 512)
	must(t, Partition(context.Background(), d, l, PartitionOptions{}))
	other := testIDs
	other.State = "50000000-0000-4000-8000-00000000000f"
	l2, err := Plan(MinDiskSize, 512, "amd64", rootHash, other)
	must(t, err)
	var te *TableError
	if err := Verify(d, l2); !errors.As(err, &te) {
		t.Fatal(err)
	}
}
