package hardware

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	espType   = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	linuxType = "0fc63daf-8483-4772-8e79-3d69d8477de4"
	guid1     = "aaaaaaaa-0001-4000-8000-000000000001"
	guid2     = "aaaaaaaa-0002-4000-8000-000000000002"
)

func readTableFile(t *testing.T, image string, sector uint32) Table {
	t.Helper()
	f, err := os.Open(image)
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	table, err := ReadTable(f, uint64(st.Size()), sector)
	must(t, err)
	return table
}

func TestReadTableFromSgdisk(t *testing.T) {
	image := blankImage(t, 64<<20)
	mkGPT(t, image, "1M:16M:"+espType+":esp:"+guid1, "17M:32M:"+linuxType+":größe:"+guid2)
	want := Table{
		Kind: "gpt", GUID: "11111111-2222-3333-4444-555555555555", SectorSize: 512, Protective: true,
		Partitions: []Partition{
			{Number: 1, Name: "esp", TypeGUID: espType, GUID: guid1, Start: 1 << 20, Size: 15<<20 + 1<<20},
			{Number: 2, Name: "größe", TypeGUID: linuxType, GUID: guid2, Start: 17 << 20, Size: 15<<20 + 1<<20},
		},
	}
	got := readTableFile(t, image, 512)
	// sgdisk's "16M" as an end is the sector that 16 MiB starts at, or the one
	// before it in newer versions.
	for i := range got.Partitions {
		if d := want.Partitions[i].Size - got.Partitions[i].Size; d != 0 && d != 1<<20 && d != 1<<20-512 {
			t.Errorf("partition %d is %d bytes long", i+1, got.Partitions[i].Size)
		}
		want.Partitions[i].Size = got.Partitions[i].Size
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}

	t.Run("a disk behind an adapter with other sectors", func(t *testing.T) {
		if got := readTableFile(t, image, 4096); cmp.Diff(want, got) != "" {
			t.Fatal(cmp.Diff(want, got))
		}
	})
	t.Run("primary header gone", func(t *testing.T) {
		place(t, image, 512, make([]byte, 512))
		want := want
		want.FromBackup = true
		if got := readTableFile(t, image, 512); cmp.Diff(want, got) != "" {
			t.Fatal(cmp.Diff(want, got))
		}
	})
	t.Run("both headers gone", func(t *testing.T) {
		place(t, image, 64<<20-512, make([]byte, 512))
		if got := readTableFile(t, image, 512); len(got.Partitions) != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestReadTableWithLargeSectors(t *testing.T) {
	img := rawGPT(4<<20, 4096, Partition{Name: "state", Start: 1 << 20, Size: 2 << 20})
	got, err := ReadTable(bytes.NewReader(img), 4<<20, 4096)
	must(t, err)
	if got.Kind != "gpt" || got.SectorSize != 4096 || len(got.Partitions) != 1 || got.Partitions[0].Start != 1<<20 || got.Partitions[0].Size != 2<<20 {
		t.Fatalf("%+v", got)
	}
}

func TestReadTableRefusesWhatCannotBe(t *testing.T) {
	const size = 1 << 20
	fresh := func() []byte {
		return rawGPT(size, 512, Partition{Name: "a", Start: 64 << 10, Size: 64 << 10}, Partition{Name: "b", Start: 128 << 10, Size: 64 << 10})
	}
	t.Run("entry behind the end of the disk", func(t *testing.T) {
		img := rawGPT(size, 512, Partition{Name: "a", Start: 64 << 10, Size: size})
		got, err := ReadTable(bytes.NewReader(img), size, 512)
		must(t, err)
		if got.Kind != "gpt" || len(got.Partitions) != 0 {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("entries changed in both copies", func(t *testing.T) {
		img := fresh()
		img[2*512+60] ^= 1
		img[size-33*512+60] ^= 1
		got, err := ReadTable(bytes.NewReader(img), size, 512)
		must(t, err)
		if got.Kind != "" {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("without a protective MBR", func(t *testing.T) {
		img := fresh()
		clear(img[:512])
		got, err := ReadTable(bytes.NewReader(img), size, 512)
		must(t, err)
		if got.Kind != "gpt" || got.Protective {
			t.Fatalf("%+v", got)
		}
	})
}

// mbrEntryBytes is one entry of an MBR.
func mbrEntryBytes(kind byte, start, count uint32) []byte {
	e := make([]byte, 16)
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], count)
	return e
}

func mkMBR(img []byte, at int, entries ...[]byte) {
	for i, e := range entries {
		copy(img[at+446+16*i:], e)
	}
	img[at+510], img[at+511] = 0x55, 0xaa
}

func TestReadMBR(t *testing.T) {
	const size = 4 << 20
	img := make([]byte, size)
	mkMBR(img, 0, mbrEntryBytes(0x83, 64, 128), mbrEntryBytes(0x0f, 1024, 4096), mbrEntryBytes(0x0c, 6000, 100000))
	mkMBR(img, 1024*512, mbrEntryBytes(0x83, 8, 100), mbrEntryBytes(0x05, 512, 512))
	mkMBR(img, (1024+512)*512, mbrEntryBytes(0x83, 8, 200), mbrEntryBytes(0x05, 512, 512)) // points at itself
	got, err := ReadTable(bytes.NewReader(img), size, 512)
	must(t, err)
	if got.Kind != "mbr" {
		t.Fatalf("%+v", got)
	}
	if len(got.Partitions) < 3 || len(got.Partitions) > maxEBRs+4 {
		t.Fatalf("%d partitions", len(got.Partitions))
	}
	want := []Partition{{Number: 1, Start: 64 * 512, Size: 128 * 512}, {Number: 5, Start: 1032 * 512, Size: 100 * 512}, {Number: 6, Start: 1544 * 512, Size: 200 * 512}}
	if d := cmp.Diff(want, got.Partitions[:3]); d != "" {
		t.Fatal(d) // the third entry reaches behind the end of the disk and is left out
	}

	t.Run("the boot sector of a FAT volume is no table", func(t *testing.T) {
		image := blankImage(t, 8<<20)
		run(t, "", "mkfs.vfat", "--mbr=no", image)
		if got := readTableFile(t, image, 512); got.Kind != "" {
			t.Fatalf("%+v", got)
		}
	})
}

func FuzzReadTable(f *testing.F) {
	f.Add(rawGPT(64<<10, 512, Partition{Name: "a", Start: 32 << 10, Size: 8 << 10}), uint32(512))
	f.Add(rawGPT(256<<10, 4096, Partition{Name: "a", Start: 64 << 10, Size: 8 << 10}), uint32(4096))
	mbr := make([]byte, 64<<10)
	mkMBR(mbr, 0, mbrEntryBytes(0x83, 2, 8), mbrEntryBytes(0x05, 16, 32))
	mkMBR(mbr, 16*512, mbrEntryBytes(0x83, 1, 8), mbrEntryBytes(0x05, 16, 8))
	f.Add(mbr, uint32(512))
	f.Fuzz(func(t *testing.T, img []byte, sector uint32) {
		// The checksums would stop nearly every input: put them right first.
		fixGPT(img, 512)
		table, err := ReadTable(bytes.NewReader(img), uint64(len(img)), sector)
		if err != nil {
			return
		}
		for _, p := range table.Partitions {
			if p.Start > uint64(len(img)) || p.Size > uint64(len(img))-p.Start || p.Number < 1 || hasControl(p.Name) {
				t.Fatalf("%+v", p)
			}
		}
		d := Disk{Path: "/dev/sda", Size: uint64(len(img)), SectorSize: sector}
		_ = ReadContent(bytes.NewReader(img), &d)
	})
}
