package disk

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/stek-edge/stek/installer/hardware"
)

// What is zeroed at both ends of the disk and of every old and new partition.
// Every superblock that is found by itself lies within a MiB of an end. The key
// slots of a LUKS volume follow its header, by default within 16 MiB; they go too,
// so that a disk once written cannot be opened with an old passphrase.
const (
	wipeEnd  = 1 << 20
	wipeLUKS = 32 << 20
)

// PartitionOptions are the choices of Partition.
type PartitionOptions struct {
	// Discard tells the drive that the whole disk holds nothing, where it can.
	// Flash gets faster; what was on it is gone for good on most drives.
	Discard bool
	// Progress is called with the bytes wiped so far and to wipe.
	Progress func(done, total uint64)
}

// Partition wipes a disk of what was on it and writes a new partition table. It
// does not ask: consent was Select's business.
//
// The order lets a power cut leave the old table, no table or the complete new
// one, as the kernel and the firmware see it; they need the MBR in sector 0 for
// any of them (UEFI 2.10, 5.3.1). A write of one sector is taken to be whole or
// not at all.
//
//  1. Both ends of the old and the new partitions are zeroed. The old table is
//     still there, so that a cut in between loses no knowledge of what there is
//     to wipe.
//  2. Sector 0 is zeroed: no table.
//  3. The rest of the first and the last MiB is zeroed, and with it both copies of
//     an old GPT. The disk is discarded, where that is wanted.
//  4. The new table is written from the end: backup entries and header, entries,
//     header.
//  5. Sector 0 gets the protective MBR: the new table is there at once.
//
// Then everything is read back from the medium and the kernel reads the table.
// Doing it again from the start is always right.
func Partition(ctx context.Context, t Target, l Layout, opt PartitionOptions) error {
	tab, err := encode(l)
	if err != nil {
		return err
	}
	if t.Size() != l.DiskSize || t.SectorSize() != l.SectorSize {
		return fmt.Errorf("writing the partition table: the plan is for %d bytes in sectors of %d, the disk has %d in sectors of %d",
			l.DiskSize, l.SectorSize, t.Size(), t.SectorSize())
	}
	old := hardware.Disk{Size: t.Size(), SectorSize: t.SectorSize()}
	if err := hardware.ReadContent(t, &old); err != nil {
		return fmt.Errorf("reading what is on the disk: %w", err)
	}
	w := wiper{target: t, progress: opt.Progress}
	w.plan(old, l)
	if err := w.run(ctx, w.partitions); err != nil {
		return err
	}
	if err := write(t, extent{0, make([]byte, l.SectorSize)}); err != nil {
		return fmt.Errorf("removing the old partition table: %w", err)
	}
	if err := w.run(ctx, w.ends); err != nil {
		return err
	}
	if d, ok := t.(Discarder); ok && opt.Discard {
		if err := discard(ctx, d, l.DiskSize); err != nil {
			return err
		}
		// What is read from discarded places is not defined: write the zeros
		// where signatures would be once more.
		if err := w.run(ctx, append(w.partitions, w.ends...)); err != nil {
			return err
		}
	}
	for _, e := range []extent{tab.backupEntries, tab.backupHeader, tab.primaryEntries, tab.primaryHeader, tab.mbr} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("writing the partition table: %w", err)
		}
		if err := write(t, e); err != nil {
			return fmt.Errorf("writing the partition table: %w", err)
		}
	}
	if err := Verify(t, l); err != nil {
		return err
	}
	if err := blank(t, l); err != nil {
		return err
	}
	if err := t.Rescan(ctx, l); err != nil {
		return fmt.Errorf("making the kernel read the new partition table: %w", err)
	}
	return nil
}

// discard tells the drive in pieces, since one call for a whole disk takes minutes
// on some and cannot be stopped. A drive that cannot do it is no reason to fail:
// zeros were written anyway.
func discard(ctx context.Context, d Discarder, size uint64) error {
	const piece = 16 << 30
	for off := uint64(0); off < size; off += piece {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("discarding the disk: %w", err)
		}
		if err := d.Discard(off, min(piece, size-off)); err != nil {
			return nil
		}
	}
	return nil
}

// write puts one piece on the medium and waits until it is there.
func write(t Target, e extent) error {
	if n, err := t.WriteAt(e.data, int64(e.off)); err != nil {
		return err
	} else if n != len(e.data) {
		return io.ErrShortWrite
	}
	return t.Flush()
}

// Verify reads a disk's partition table back from the medium and compares it with
// the layout: both copies byte by byte, and what a reader makes of it.
func Verify(t Target, l Layout) error {
	tab, err := encode(l)
	if err != nil {
		return err
	}
	if err := t.DropCache(); err != nil {
		return fmt.Errorf("checking the partition table: %w", err)
	}
	for _, e := range tab.all() {
		got := make([]byte, len(e.data))
		if n, err := t.ReadAt(got, int64(e.off)); n != len(got) {
			return fmt.Errorf("checking the partition table at %d: %w", e.off, err)
		}
		if !bytes.Equal(got, e.data) {
			return &TableError{Offset: e.off}
		}
	}
	found, err := hardware.ReadTable(t, l.DiskSize, l.SectorSize)
	if err != nil {
		return fmt.Errorf("checking the partition table: %w", err)
	}
	if found.Kind != "gpt" || !found.Protective || found.FromBackup || found.GUID != l.GUID || len(found.Partitions) != len(l.Partitions) {
		return &TableError{Offset: 0}
	}
	for i, p := range found.Partitions {
		if (Part{p.Number, p.Name, p.TypeGUID, p.GUID, p.Start, p.Size}) != l.Partitions[i] {
			return &TableError{Offset: tab.primaryEntries.off}
		}
	}
	return nil
}

// TableError says that a partition table does not read back as it was written, or
// that another one is on the disk.
type TableError struct {
	Offset uint64 // bytes
}

func (e *TableError) Error() string {
	return fmt.Sprintf("the partition table on the disk is not the one that was written (at byte %d): the disk may be failing", e.Offset)
}

// blank checks that nothing shows through in the new partitions.
func blank(t Target, l Layout) error {
	for _, p := range l.Partitions {
		found, err := hardware.Probe(io.NewSectionReader(t, int64(p.Start), int64(p.Size)), p.Size)
		if err != nil {
			return fmt.Errorf("checking the new partition %s: %w", p.Name, err)
		}
		if len(found) > 0 {
			return fmt.Errorf("checking the new partition %s: %s shows after wiping, the disk does not keep what is written", p.Name, found[0].Type)
		}
	}
	return nil
}

// span is a range of bytes to be zeroed.
type span struct{ off, end uint64 }

// wiper zeroes ranges.
type wiper struct {
	target           Target
	partitions, ends []span
	progress         func(done, total uint64)
	done, total      uint64
}

// plan lists what is to be zeroed. Sector 0 is not in it.
func (w *wiper) plan(old hardware.Disk, l Layout) {
	size, sector := l.DiskSize, uint64(l.SectorSize)
	add := func(list *[]span, off, end uint64) {
		off, end = max(off, sector), min(end, size)
		if off < end {
			*list = append(*list, span{off, end})
			w.total += end - off
		}
	}
	area := func(start, length, head uint64) {
		add(&w.partitions, start, start+min(head, length))
		if length > wipeEnd {
			// The place of a RAID or ZFS superblock at the end is counted from
			// the end: one MiB holds them all.
			add(&w.partitions, start+length-wipeEnd, start+length)
		}
	}
	for _, p := range old.Partitions {
		head := uint64(wipeEnd)
		if p.Content == "crypto_LUKS" || p.Name == State {
			head = wipeLUKS
		}
		area(p.Start, p.Size, head)
	}
	for _, p := range l.Partitions {
		area(p.Start, p.Size, wipeEnd)
	}
	head := uint64(wipeEnd)
	if old.Content == "crypto_LUKS" {
		head = wipeLUKS
	}
	add(&w.ends, 0, head)
	add(&w.ends, size-wipeEnd, size)
}

func (w *wiper) run(ctx context.Context, spans []span) error {
	zeros := aligned(wipeEnd)
	for _, s := range spans {
		for off := s.off; off < s.end; {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("wiping the disk: %w", err)
			}
			// Up to the next MiB, so that all but the first and last piece of a
			// range are aligned.
			n := min(s.end-off, wipeEnd-off%wipeEnd)
			if m, err := w.target.WriteAt(zeros[:n], int64(off)); err != nil {
				return fmt.Errorf("wiping the disk at byte %d: %w", off, err)
			} else if uint64(m) != n {
				return fmt.Errorf("wiping the disk at byte %d: %w", off, io.ErrShortWrite)
			}
			off += n
			w.done += n
			if w.progress != nil {
				w.progress(min(w.done, w.total), w.total)
			}
		}
	}
	if err := w.target.Flush(); err != nil {
		return fmt.Errorf("wiping the disk: %w", err)
	}
	return nil
}
