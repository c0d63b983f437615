package disk

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Medium is something that bytes can be written to and read back from for real:
// a disk, a partition, an image file. One place may be read while another is written.
type Medium interface {
	io.ReaderAt
	io.WriterAt
	// Flush returns once everything written is on the medium, the drive's own
	// cache included.
	Flush() error
	// DropCache makes later reads come from the medium and not from memory. It
	// is called after Flush.
	DropCache() error
}

// Target is a whole disk, or an image file that stands for one.
type Target interface {
	Medium
	Size() uint64       // bytes
	SectorSize() uint32 // logical sectors, bytes
	// Rescan makes the kernel read the partition table again and returns when
	// the partitions of the layout are there to be opened.
	Rescan(ctx context.Context, l Layout) error
}

// Discarder is a Target that can tell the drive that a range holds nothing any
// more. What is read from there afterwards is not defined.
type Discarder interface {
	Discard(off, length uint64) error
}

// File is an image file as a Target. There is no kernel to rescan it.
type File struct {
	*os.File
	size   uint64
	sector uint32
}

// NewFile makes a Target of an open image file that has its full length already.
func NewFile(f *os.File, sector uint32) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening the disk image: %w", err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("opening the disk image: %s is not a regular file", f.Name())
	}
	return &File{File: f, size: uint64(st.Size()), sector: sector}, nil
}

// Size is the length of the image in bytes.
func (f *File) Size() uint64 { return f.size }

// SectorSize is the size of a logical sector in bytes.
func (f *File) SectorSize() uint32 { return f.sector }

// Flush writes the image through to the file system's disk.
func (f *File) Flush() error { return f.Sync() }

// DropCache makes later reads come from the file system's disk, where the system
// knows how.
func (f *File) DropCache() error { return dropFileCache(f.File) }

// Rescan does nothing: no kernel looks at an image file.
func (f *File) Rescan(context.Context, Layout) error { return nil }

// section is a range of a Medium.
type section struct {
	Medium
	start, size uint64
}

// Section limits a Medium to a range, such as one partition of a disk. Reading and
// writing outside of it fails before anything is touched.
func Section(m Medium, start, size uint64) Medium { return &section{m, start, size} }

func (s *section) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || uint64(off) >= s.size {
		return 0, io.EOF
	}
	short := uint64(len(p)) > s.size-uint64(off)
	if short {
		p = p[:s.size-uint64(off)]
	}
	n, err := s.Medium.ReadAt(p, int64(s.start)+off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (s *section) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || uint64(off) > s.size || uint64(len(p)) > s.size-uint64(off) {
		return 0, fmt.Errorf("writing %d bytes at %d of a range of %d: %w", len(p), off, s.size, io.ErrShortWrite)
	}
	return s.Medium.WriteAt(p, int64(s.start)+off)
}
