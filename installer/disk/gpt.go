package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

// extent is a run of bytes with its place on the disk.
type extent struct {
	off  uint64
	data []byte
}

// table is a partition table in the pieces that are written one after another.
type table struct {
	mbr                           extent // sector 0
	primaryHeader, primaryEntries extent
	backupHeader, backupEntries   extent
}

func (t table) all() []extent {
	return []extent{t.mbr, t.primaryHeader, t.primaryEntries, t.backupHeader, t.backupEntries}
}

// encode turns a layout into the bytes of its table. go-diskfs encodes the GPT, on
// a recorder instead of the disk, so that the order of writing is ours. The
// protective MBR is made here: the library keeps only the low 32 bits of the size
// of a disk from 2 TiB on, where UEFI 2.10, table 5-4, wants 0xffffffff.
func encode(l Layout) (table, error) {
	if err := l.check(); err != nil {
		return table{}, err
	}
	lib := &gpt.Table{LogicalSectorSize: int(l.SectorSize), PhysicalSectorSize: int(l.SectorSize), GUID: l.GUID}
	for _, p := range l.Partitions {
		lib.Partitions = append(lib.Partitions, &gpt.Partition{
			Index: p.Number,
			Start: p.Start / uint64(l.SectorSize),
			End:   (p.Start+p.Size)/uint64(l.SectorSize) - 1,
			Size:  p.Size,
			Type:  gpt.Type(strings.ToUpper(p.Type)),
			Name:  p.Name,
			GUID:  p.GUID,
		})
	}
	rec := &recorder{}
	if err := lib.Write(rec, int64(l.DiskSize)); err != nil {
		return table{}, fmt.Errorf("encoding the partition table: %w", err)
	}
	sector := uint64(l.SectorSize)
	last := l.DiskSize/sector - 1
	var t table
	for _, e := range rec.writes {
		switch e.off {
		case sector:
			t.primaryHeader = e
		case 2 * sector:
			t.primaryEntries = e
		case last * sector:
			t.backupHeader = e
		case last*sector - 128*128:
			t.backupEntries = e
		default:
			return table{}, fmt.Errorf("encoding the partition table: unexpected write of %d bytes at %d", len(e.data), e.off)
		}
	}
	if t.primaryHeader.data == nil || t.primaryEntries.data == nil || t.backupHeader.data == nil || t.backupEntries.data == nil {
		return table{}, fmt.Errorf("encoding the partition table: a piece is missing")
	}
	t.mbr = extent{0, protectiveMBR(l.SectorSize, last)}
	return t, nil
}

// protectiveMBR is sector 0 (UEFI 2.10, 5.2.3): one entry of type 0xee from sector
// 1 to the end of the disk, or to what fits.
func protectiveMBR(sector uint32, last uint64) []byte {
	b := make([]byte, sector)
	e := b[446:]
	copy(e, "\x00\x00\x02\x00\xee\xff\xff\xff")
	binary.LittleEndian.PutUint32(e[8:], 1)
	binary.LittleEndian.PutUint32(e[12:], uint32(min(last, 0xffffffff)))
	b[510], b[511] = 0x55, 0xaa
	return b
}

// recorder stands in for a disk while the library writes, and keeps the pieces.
type recorder struct {
	writes []extent
}

func (r *recorder) WriteAt(p []byte, off int64) (int, error) {
	r.writes = append(r.writes, extent{uint64(off), bytes.Clone(p)})
	return len(p), nil
}

func (r *recorder) ReadAt([]byte, int64) (int, error)    { return 0, io.EOF }
func (r *recorder) Read([]byte) (int, error)             { return 0, io.EOF }
func (r *recorder) Seek(off int64, _ int) (int64, error) { return off, nil }
func (r *recorder) Stat() (fs.FileInfo, error)           { return nil, fs.ErrInvalid }
func (r *recorder) Close() error                         { return nil }
