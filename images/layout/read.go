package layout

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/installer/disk"
)

// ErrNoGPT says that a disk or image has no usable GUID partition table.
var ErrNoGPT = errors.New("no usable GUID partition table")

// Partition is one partition, in bytes.
type Partition struct {
	Index int // from 1
	Name  string
	Type  string // GUIDs in lower case
	GUID  string
	Start int64
	Size  int64
}

// Table is a partition table.
type Table struct {
	GUID       string
	SectorSize int
	// FromBackup says that the table at the start of the disk is broken and the
	// one at its end was read.
	FromBackup bool
	Partitions []Partition // by index
}

// Find returns the partition of that name. Two of the same name are as good as
// none: it would depend on the reader which one counts.
func (t *Table) Find(name string) (Partition, bool) {
	var found []Partition
	for _, p := range t.Partitions {
		if p.Name == name {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return Partition{}, false
	}
	return found[0], true
}

// maxEntries is what UEFI firmware writes; more occur in no real table.
const maxEntries = 128

// ReadGPT reads the partition table of a disk or image of size bytes, with 512
// or 4096 bytes per sector. Errors about what is on the disk wrap [ErrNoGPT].
func ReadGPT(r io.ReaderAt, size int64) (*Table, error) {
	var first error
	for _, sector := range []int{512, 4096} {
		table, err := readGPT(r, size, sector)
		if err == nil {
			return table, nil
		}
		if !errors.Is(err, ErrNoGPT) {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func readGPT(r io.ReaderAt, size int64, sector int) (*Table, error) {
	if size < int64(4*sector) {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrNoGPT, size)
	}
	size -= size % int64(sector)
	view := &guarded{r: r, size: size}
	for _, at := range []int64{int64(sector), size - int64(sector)} {
		header := make([]byte, sector)
		if _, err := r.ReadAt(header, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading the partition table: %w", err)
		}
		if !saneHeader(header, size) {
			view.hidden = append(view.hidden, span{at, at + int64(sector)})
		}
	}
	if len(view.hidden) == 2 {
		return nil, ErrNoGPT
	}
	read, err := gpt.Read(view, sector, sector)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoGPT, err)
	}
	table := &Table{GUID: strings.ToLower(read.GUID), SectorSize: sector, FromBackup: read.RecoveredFromBackup}
	sectors := uint64(size) / uint64(sector)
	for _, p := range read.Partitions {
		if p.Start < 2 || p.End < p.Start || p.End >= sectors {
			return nil, fmt.Errorf("%w: partition %d covers sectors %d to %d of %d", ErrNoGPT, p.Index, p.Start, p.End, sectors)
		}
		table.Partitions = append(table.Partitions, Partition{
			Index: p.Index, Name: p.Name, Type: strings.ToLower(string(p.Type)), GUID: strings.ToLower(p.GUID),
			Start: int64(p.Start) * int64(sector), Size: int64(p.End-p.Start+1) * int64(sector),
		})
	}
	return table, table.checkOverlap()
}

func (t *Table) checkOverlap() error {
	byStart := slices.Clone(t.Partitions)
	slices.SortFunc(byStart, func(a, b Partition) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(byStart); i++ {
		if a, b := byStart[i-1], byStart[i]; a.Start+a.Size > b.Start {
			return fmt.Errorf("%w: partitions %d and %d overlap", ErrNoGPT, a.Index, b.Index)
		}
	}
	return nil
}

// saneHeader checks the numbers of a GPT header (UEFI 2.10, section 5.3.2) that
// the library multiplies and allocates by without looking.
func saneHeader(h []byte, size int64) bool {
	le := binary.LittleEndian
	entries, entrySize, at := le.Uint32(h[80:]), le.Uint32(h[84:]), le.Uint64(h[72:])
	return bytes.Equal(h[:8], []byte("EFI PART")) &&
		entries > 0 && entries <= maxEntries && entrySize == gpt.PartitionEntrySize &&
		at >= 1 && at < uint64(size)/uint64(len(h)) &&
		int64(at)*int64(len(h))+int64(entries)*int64(entrySize) <= size
}

type span struct{ from, to int64 }

// guarded is a disk of known size to the library, in which headers that are not
// sane read as zeros.
type guarded struct {
	r      io.ReaderAt
	size   int64
	hidden []span
}

func (g *guarded) ReadAt(b []byte, at int64) (int, error) {
	if at < 0 || at >= g.size {
		return 0, io.EOF
	}
	n, err := g.r.ReadAt(b[:min(int64(len(b)), g.size-at)], at)
	for _, h := range g.hidden {
		if from, to := max(h.from, at), min(h.to, at+int64(n)); from < to {
			clear(b[from-at : to-at])
		}
	}
	if err == nil && n < len(b) {
		err = io.EOF
	}
	if n == len(b) {
		err = nil
	}
	return n, err
}

// Seek tells the library the size; nothing reads by position.
func (g *guarded) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset += g.size
	}
	return offset, nil
}

func (g *guarded) Read([]byte) (int, error)   { return 0, errors.ErrUnsupported }
func (g *guarded) Close() error               { return nil }
func (g *guarded) Stat() (fs.FileInfo, error) { return diskInfo{g.size}, nil }

type diskInfo struct{ size int64 }

func (diskInfo) Name() string       { return "disk" }
func (d diskInfo) Size() int64      { return d.size }
func (diskInfo) Mode() fs.FileMode  { return 0o400 }
func (diskInfo) ModTime() time.Time { return time.Time{} }
func (diskInfo) IsDir() bool        { return false }
func (diskInfo) Sys() any           { return nil }

// window is a part of a device.
type window struct {
	device      fat.Device
	start, size int64
}

func (w window) ReadAt(b []byte, at int64) (int, error) {
	return io.NewSectionReader(w.device, w.start, w.size).ReadAt(b, at)
}

func (w window) WriteAt(b []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(b)) > w.size {
		return 0, fmt.Errorf("writing %d bytes at %d would leave the partition of %d bytes", len(b), at, w.size)
	}
	return w.device.WriteAt(b, w.start+at)
}

// PartitionDevice is one partition of a device, as a device that cannot be
// left.
func PartitionDevice(device fat.Device, p Partition) fat.Device {
	return window{device, p.Start, p.Size}
}

// OpenESP opens the EFI system partition of an image or disk of size bytes for
// reading and writing, without mounting it.
func OpenESP(device fat.Device, size int64) (*fat.Volume, error) {
	p, err := findESP(device, size)
	if err != nil {
		return nil, err
	}
	v, err := fat.Open(PartitionDevice(device, p), p.Size)
	if err != nil {
		return nil, fmt.Errorf("opening the EFI system partition: %w", err)
	}
	return v, nil
}

// ReadESP opens the EFI system partition of an image or disk for reading.
func ReadESP(r io.ReaderAt, size int64) (*fat.Volume, error) {
	p, err := findESP(r, size)
	if err != nil {
		return nil, err
	}
	v, err := fat.OpenReader(io.NewSectionReader(r, p.Start, p.Size), p.Size)
	if err != nil {
		return nil, fmt.Errorf("opening the EFI system partition: %w", err)
	}
	return v, nil
}

func findESP(r io.ReaderAt, size int64) (Partition, error) {
	table, err := ReadGPT(r, size)
	if err != nil {
		return Partition{}, err
	}
	p, ok := table.Find(disk.ESP)
	if !ok || p.Type != disk.TypeESP {
		return Partition{}, fmt.Errorf("there is no EFI system partition named %q; is this an image made by stek?", disk.ESP)
	}
	return p, nil
}
