package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Recorder is a mounted file system whose files are disks. It needs root and
// /dev/fuse.
type Recorder struct {
	dir    string
	log    *Log
	server *fuse.Server
	files  []*os.File
}

// NewRecorder makes the disks below dir, which must be empty. The disks are sparse:
// they take the room of what is written to them, and the log takes it once more.
func NewRecorder(dir string, disks ...Disk) (*Recorder, error) {
	r := &Recorder{dir: dir, log: &Log{Disks: disks}}
	if err := r.start(); err != nil {
		r.Close()
		return nil, fmt.Errorf("recording disks: %w", err)
	}
	return r, nil
}

func (r *Recorder) start() (err error) {
	mount := filepath.Join(r.dir, "disks")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	if r.log.spool, err = os.Create(filepath.Join(r.dir, "spool")); err != nil {
		return err
	}
	root := &fs.Inode{}
	nodes := map[string]*file{}
	for _, d := range r.log.Disks {
		f, err := image(filepath.Join(r.dir, d.Name+".img"), d)
		if err != nil {
			return err
		}
		r.files = append(r.files, f)
		nodes[d.Name] = &file{disk: d, image: f, log: r.log}
	}
	options := &fs.Options{
		OnAdd: func(ctx context.Context) {
			for name, node := range nodes {
				root.AddChild(name, root.NewPersistentInode(ctx, node, fs.StableAttr{Mode: syscall.S_IFREG}), false)
			}
		},
		// One request at a time: the order of the log is that in which they came.
		MountOptions: fuse.MountOptions{SingleThreaded: true, DirectMountStrict: true, FsName: "powercut", MaxWrite: 512 << 10},
	}
	r.server, err = fs.Mount(mount, root, options)
	return err
}

// image makes a sparse image file with the first content of a disk.
func image(name string, d Disk) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(d.Size)); err != nil {
		f.Close()
		return nil, err
	}
	if d.From == "" {
		return f, nil
	}
	from, err := os.Open(d.From)
	if err == nil {
		err = copyData(f, from)
		from.Close()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// copyData copies what is in a sparse file and leaves its holes.
func copyData(to, from *os.File) error {
	piece := make([]byte, 1<<20)
	for end := int64(0); ; {
		start, err := unix.Seek(int(from.Fd()), end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		if end, err = unix.Seek(int(from.Fd()), start, unix.SEEK_HOLE); err != nil {
			return err
		}
		for off := start; off < end; off += int64(len(piece)) {
			b := piece[:min(int64(len(piece)), end-off)]
			if _, err := from.ReadAt(b, off); err != nil {
				return err
			}
			if _, err := to.WriteAt(b, off); err != nil {
				return err
			}
		}
	}
}

// Path is the file that is the disk of that name.
func (r *Recorder) Path(disk string) string { return filepath.Join(r.dir, "disks", disk) }

// Mark writes a word of the test into the log.
func (r *Recorder) Mark(text string) error { return r.log.add(Op{Kind: Mark, Disk: text}, nil) }

// Log is what was recorded. Nothing may write to the disks while it is used.
func (r *Recorder) Log() *Log { return r.log }

// Close ends the recording; the log can still be replayed. Nothing may have the disks
// open any more.
func (r *Recorder) Close() error {
	var errs []error
	if r.server != nil {
		errs = append(errs, r.server.Unmount())
		r.server = nil
	}
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	r.files = nil
	return errors.Join(errs...)
}

// file is one disk.
type file struct {
	fs.Inode
	disk  Disk
	image *os.File
	log   *Log
}

var (
	_ fs.NodeGetattrer  = (*file)(nil)
	_ fs.NodeSetattrer  = (*file)(nil)
	_ fs.NodeOpener     = (*file)(nil)
	_ fs.NodeReader     = (*file)(nil)
	_ fs.NodeWriter     = (*file)(nil)
	_ fs.NodeFsyncer    = (*file)(nil)
	_ fs.NodeAllocater  = (*file)(nil)
	_ fs.NodeStatfser   = (*file)(nil)
	_ fs.InodeEmbedder  = (*file)(nil)
	_ fs.NodeGetxattrer = (*file)(nil)
)

// Getattr implements [fs.NodeGetattrer].
func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize = syscall.S_IFREG|0o600, f.disk.Size, 4096
	return 0
}

// Setattr lets times and modes be set, which a disk has none of.
func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok && size != f.disk.Size {
		return syscall.EPERM
	}
	return f.Getattr(ctx, h, out)
}

// Getxattr says that there are no extended attributes.
func (f *file) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENODATA
}

// Statfs says nothing: a program may ask.
func (f *file) Statfs(context.Context, *fuse.StatfsOut) syscall.Errno { return 0 }

// Open keeps the page cache out: it belongs to the block device above.
func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Read implements [fs.NodeReader].
func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n, err := f.image.ReadAt(dest, off)
	if n == 0 && err != nil && uint64(off) < f.disk.Size {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Write implements [fs.NodeWriter].
func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	if uint64(off)+uint64(len(data)) > f.disk.Size {
		return 0, syscall.ENOSPC
	}
	if _, err := f.image.WriteAt(data, off); err != nil {
		return 0, syscall.EIO
	}
	if err := f.log.add(Op{Kind: Write, Disk: f.disk.Name, Off: uint64(off), Len: uint64(len(data))}, data); err != nil {
		return 0, syscall.EIO
	}
	return uint32(len(data)), 0
}

// Fsync implements [fs.NodeFsyncer].
func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if err := f.log.add(Op{Kind: Flush, Disk: f.disk.Name}, nil); err != nil {
		return syscall.EIO
	}
	return 0
}

// Allocate implements [fs.NodeAllocater]: discards and zeroing come this way. A zeroing
// that may unmap cannot be told from a discard, and passes for one.
func (f *file) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	const punch, zeroRange = unix.FALLOC_FL_PUNCH_HOLE, unix.FALLOC_FL_ZERO_RANGE
	op := Op{Disk: f.disk.Name, Off: off, Len: size, zero: true}
	switch {
	case mode&punch != 0:
		op.Kind = Discard
	case mode&zeroRange != 0:
		op.Kind = Write
	default:
		return syscall.EOPNOTSUPP
	}
	if err := unix.Fallocate(int(f.image.Fd()), punch|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(size)); err != nil {
		return syscall.EIO
	}
	if err := f.log.add(op, nil); err != nil {
		return syscall.EIO
	}
	return 0
}
