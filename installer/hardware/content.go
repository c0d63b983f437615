package hardware

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// readContent fills in table, content and partitions of a disk. Whatever cannot be
// read ends up in Fault: a disk must never look empty because it could not be read.
func readContent(d *Disk, node string) {
	f, err := os.Open(node)
	if err != nil {
		d.Fault = reason(err)
		return
	}
	defer f.Close()
	if err := ReadContent(f, d); err != nil {
		*d = Disk{
			Path: d.Path, ByID: d.ByID, Serial: d.Serial, WWN: d.WWN, Vendor: d.Vendor, Model: d.Model, Bus: d.Bus,
			Size: d.Size, SectorSize: d.SectorSize, Rotational: d.Rotational, Removable: d.Removable, ReadOnly: d.ReadOnly,
			Fault: reason(err),
		}
	}
}

// reason says what went wrong without the path, which the reader sees beside it.
func reason(err error) string {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// ReadContent reads the partition table of a disk and looks for what lies on it
// and on each partition. It uses Size and SectorSize of d and fills in Table,
// TableGUID, Content, Remains and Partitions.
func ReadContent(r io.ReaderAt, d *Disk) error {
	t, err := ReadTable(r, d.Size, d.SectorSize)
	if err != nil {
		return err
	}
	d.Table, d.TableGUID, d.Partitions = t.Kind, t.GUID, t.Partitions
	for i := range d.Partitions {
		p := &d.Partitions[i]
		found, err := Probe(io.NewSectionReader(r, int64(p.Start), int64(p.Size)), p.Size)
		if err != nil {
			return fmt.Errorf("partition %d: %w", p.Number, err)
		}
		var s Signature
		s, p.Remains = content(found)
		p.Content, p.Label, p.UUID = s.Type, s.Label, s.UUID
	}
	a, err := readArea(r, d.Size)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(a.signatures(), func(s Signature) bool { return d.covers(s.Offset) })
	if t.Kind == "" {
		if len(found) == 0 && !a.blankButForMBR() {
			found = []Signature{{Type: Unknown}}
		}
		var s Signature
		s, d.Remains = content(found)
		d.Content = s.Type
		return nil
	}
	// With a table, a signature of the whole disk is a leftover: a RAID member
	// whose superblock is at the end, say. A partition that reaches the end has
	// its superblock in the same place; covers has removed that one.
	for _, s := range found {
		if !slices.Contains(d.Remains, s.Type) {
			d.Remains = append(d.Remains, s.Type)
		}
	}
	return nil
}

// covers tells whether a place on the disk lies inside a partition.
func (d *Disk) covers(off uint64) bool {
	for _, p := range d.Partitions {
		if off >= p.Start && off-p.Start < p.Size {
			return true
		}
	}
	return false
}

// blankButForMBR tells whether the start of a disk holds nothing but an MBR that
// has no entry and no boot code: what is left when a table was made but not used.
func (a *area) blankButForMBR() bool {
	if blank(a.head) {
		return true
	}
	if len(a.head) < 512 || a.head[510] != 0x55 || a.head[511] != 0xaa {
		return false
	}
	// 440 bytes of boot code, then the disk signature, four empty entries and
	// the two bytes that mark an MBR.
	return allZero(a.head[:440]) && allZero(a.head[446:510]) && allZero(a.head[512:])
}
