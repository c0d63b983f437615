package hardware

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Table is a partition table as it was found on a disk.
type Table struct {
	Kind       string // gpt | mbr | "" when there is none
	GUID       string // of a GPT, lower case
	SectorSize uint32 // the sector size the table was written with; it can differ from the disk's when a USB adapter was changed
	Protective bool   // GPT: sector 0 holds the protective MBR that makes the kernel and firmware look at it
	FromBackup bool   // GPT: the primary header or entries are broken, this is the copy at the end
	Partitions []Partition
}

// Bounds on what a table may ask this package to read or keep. Real tables have
// 128 entries of 128 bytes (UEFI 2.10, 5.3.2: at least 16 KiB are reserved).
const (
	maxGPTEntries = 1024
	maxEntrySize  = 4096
	maxEBRs       = 128
)

var gptMagic = []byte("EFI PART")

// ReadTable reads the partition table of a disk of size bytes whose logical
// sectors have sector bytes. Damaged tables are no error: a table that cannot be
// trusted is not there, and Kind is empty. The error is one of reading.
//
// Sources: UEFI 2.10 sections 5.2 and 5.3; extended partitions as the Linux kernel
// reads them (block/partitions/msdos.c).
func ReadTable(r io.ReaderAt, size uint64, sector uint32) (Table, error) {
	if !validSector(sector) {
		return Table{}, fmt.Errorf("reading the partition table: a sector size of %d bytes is not possible", sector)
	}
	if size < 512 {
		return Table{}, nil
	}
	mbr := make([]byte, 512)
	if err := readFull(r, mbr, 0); err != nil {
		return Table{}, fmt.Errorf("reading the first sector: %w", err)
	}
	// The disk's own sector size first. Then the other one that exists: the table
	// of a disk that was behind another USB adapter still describes data.
	sizes := []uint32{sector}
	for _, s := range []uint32{512, 4096} {
		if s != sector {
			sizes = append(sizes, s)
		}
	}
	for _, s := range sizes {
		t, err := readGPT(r, size, s)
		if err != nil {
			return Table{}, err
		}
		if t.Kind != "" {
			t.Protective = isProtective(mbr)
			return t, nil
		}
	}
	return readMBR(r, mbr, size, sector)
}

func isProtective(mbr []byte) bool {
	if mbr[510] != 0x55 || mbr[511] != 0xaa {
		return false
	}
	for i := range 4 {
		if mbr[446+16*i+4] == 0xee {
			return true
		}
	}
	return false
}

func readGPT(r io.ReaderAt, size uint64, sector uint32) (Table, error) {
	sectors := size / uint64(sector)
	if sectors < 6 {
		return Table{}, nil
	}
	t, err := readGPTAt(r, sectors, sector, 1)
	if err != nil || t.Kind != "" {
		return t, err
	}
	t, err = readGPTAt(r, sectors, sector, sectors-1)
	t.FromBackup = t.Kind != ""
	return t, err
}

func readGPTAt(r io.ReaderAt, sectors uint64, sector uint32, lba uint64) (Table, error) {
	h := make([]byte, sector)
	if err := readFull(r, h, lba*uint64(sector)); err != nil {
		return Table{}, fmt.Errorf("reading the GPT header: %w", err)
	}
	le := binary.LittleEndian
	headerSize := le.Uint32(h[12:])
	if !bytes.Equal(h[:8], gptMagic) || headerSize < 92 || headerSize > sector {
		return Table{}, nil
	}
	sum := le.Uint32(h[16:])
	clear(h[16:20])
	if crc32.ChecksumIEEE(h[:headerSize]) != sum || le.Uint64(h[24:]) != lba {
		return Table{}, nil
	}
	first, count, entry := le.Uint64(h[72:]), le.Uint32(h[80:]), le.Uint32(h[84:])
	if count > maxGPTEntries || entry < 128 || entry > maxEntrySize || entry&(entry-1) != 0 {
		return Table{}, nil
	}
	length := uint64(count) * uint64(entry)
	if first >= sectors || (sectors-first)*uint64(sector) < length {
		return Table{}, nil
	}
	array := make([]byte, length)
	if err := readFull(r, array, first*uint64(sector)); err != nil {
		return Table{}, fmt.Errorf("reading the GPT entries: %w", err)
	}
	if crc32.ChecksumIEEE(array) != le.Uint32(h[88:]) {
		return Table{}, nil
	}
	t := Table{Kind: "gpt", GUID: guidString(h[56:72]), SectorSize: sector}
	for i := range int(count) {
		e := array[i*int(entry):]
		start, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if allZero(e[:16]) || end < start || end >= sectors {
			continue
		}
		t.Partitions = append(t.Partitions, Partition{
			Number:   i + 1,
			Name:     clean(utf16String(e[56:128])),
			TypeGUID: guidString(e[:16]),
			GUID:     guidString(e[16:32]),
			Start:    start * uint64(sector),
			Size:     (end - start + 1) * uint64(sector),
		})
	}
	return t, nil
}

func readMBR(r io.ReaderAt, mbr []byte, size uint64, sector uint32) (Table, error) {
	if mbr[510] != 0x55 || mbr[511] != 0xaa {
		return Table{}, nil
	}
	// The boot sector of a FAT or NTFS volume carries the same two bytes. Only a
	// table has 0x00 or 0x80 in all four status bytes, and an entry with a type.
	used := false
	for i := range 4 {
		e := mbr[446+16*i:][:16]
		if e[0] != 0 && e[0] != 0x80 {
			return Table{}, nil
		}
		used = used || (e[4] != 0 && binary.LittleEndian.Uint32(e[12:]) != 0)
	}
	if !used {
		return Table{}, nil
	}
	t := Table{Kind: "mbr", SectorSize: sector}
	for i := range 4 {
		e := mbr[446+16*i:][:16]
		kind, start, count := mbrEntry(e)
		if kind == 0 || count == 0 || kind == 0xee {
			continue
		}
		if isExtended(kind) {
			logical, err := readLogical(r, size, sector, start)
			if err != nil {
				return Table{}, err
			}
			t.Partitions = append(t.Partitions, logical...)
			continue
		}
		if p, ok := mbrPartition(i+1, start, count, size, sector); ok {
			t.Partitions = append(t.Partitions, p)
		}
	}
	return t, nil
}

// readLogical follows the chain of extended boot records. The chain is foreign
// data and may point at itself: the number of links is bounded.
func readLogical(r io.ReaderAt, size uint64, sector uint32, base uint64) ([]Partition, error) {
	var out []Partition
	ebr := make([]byte, 512)
	at := base
	for range maxEBRs {
		off := at * uint64(sector)
		if off+512 > size {
			return out, nil
		}
		if err := readFull(r, ebr, off); err != nil {
			return nil, fmt.Errorf("reading an extended partition: %w", err)
		}
		if ebr[510] != 0x55 || ebr[511] != 0xaa {
			return out, nil
		}
		kind, start, count := mbrEntry(ebr[446:])
		if kind != 0 && count != 0 {
			if p, ok := mbrPartition(5+len(out), at+start, count, size, sector); ok {
				out = append(out, p)
			}
		}
		next, start, _ := mbrEntry(ebr[462:])
		if !isExtended(next) || start == 0 {
			return out, nil
		}
		at = base + start
	}
	return out, nil
}

func mbrEntry(e []byte) (kind byte, start, count uint64) {
	return e[4], uint64(binary.LittleEndian.Uint32(e[8:])), uint64(binary.LittleEndian.Uint32(e[12:]))
}

func isExtended(kind byte) bool { return kind == 0x05 || kind == 0x0f || kind == 0x85 }

func mbrPartition(n int, start, count, size uint64, sector uint32) (Partition, bool) {
	p := Partition{Number: n, Start: start * uint64(sector), Size: count * uint64(sector)}
	return p, p.Start < size && p.Size <= size-p.Start
}

// guidString spells a GUID as it lies in a GPT: the first three fields are little
// endian (UEFI 2.10, appendix A).
func guidString(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// utf16String decodes little-endian UTF-16 up to the first NUL.
func utf16String(b []byte) string {
	var u []uint16
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// readFull reads all of b at off. A disk that ends early is an error here: the
// kernel said how long it is.
func readFull(r io.ReaderAt, b []byte, off uint64) error {
	n, err := r.ReadAt(b, int64(off))
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
