package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/hardware"
)

// Device is a disk or partition of this machine, opened for writing.
type Device struct {
	roots  hardware.Roots
	file   *os.File // through the kernel's cache: small and odd pieces
	direct *os.File // past it: large aligned pieces; nil where the device cannot
	size   uint64
	sector uint32
}

// WrongDeviceError says that a path leads to another disk than the one chosen:
// disks were replugged, or got other names.
type WrongDeviceError struct {
	Path    string
	Differs string // "serial was … and is …"
}

func (e *WrongDeviceError) Error() string {
	return fmt.Sprintf("%s is not the disk that was chosen any more (%s)", e.Path, e.Differs)
}

// Remedy says what a person can do.
func (e *WrongDeviceError) Remedy() string {
	return "leave the disks as they are and start again: the machine is looked at anew"
}

// BusyError says that the kernel or another program holds a disk.
type BusyError struct{ Path string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s is in use", e.Path)
}

// Remedy says what a person can do.
func (e *BusyError) Remedy() string {
	return "unmount what is on it, or start the machine from the installer stick, which uses no disk"
}

// Open opens the whole disk that was chosen, for this program alone (O_EXCL), and
// makes sure that it is that disk: serial number, WWN, model, bus, size and sector
// size must be those of the inventory. Until Close nobody can mount the disk or
// make a file system on one of its partitions, this program's children included.
func Open(roots hardware.Roots, want hardware.Disk) (*Device, error) {
	d, err := openDevice(roots, want.Path)
	if err != nil {
		return nil, err
	}
	is, err := d.identity()
	if err != nil {
		d.Close()
		return nil, err
	}
	differs, same := hardware.SameDevice(want, is)
	if same && (d.size != want.Size || d.sector != want.SectorSize) {
		differs, same = fmt.Sprintf("it has %d bytes in sectors of %d", d.size, d.sector), false
	}
	if !same {
		d.Close()
		return nil, &WrongDeviceError{Path: want.Path, Differs: differs}
	}
	return d, nil
}

// identity asks sysfs about the device that is open, by its number and not by its
// path, so that nothing can be swapped in between.
func (d *Device) identity() (hardware.Disk, error) {
	name, err := d.sysName()
	if err != nil {
		return hardware.Disk{}, err
	}
	return hardware.IdentifyBlock(d.roots, name)
}

func (d *Device) sysName() (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.file.Fd()), &st); err != nil {
		return "", fmt.Errorf("opening %s: %w", d.file.Name(), err)
	}
	link := filepath.Join(d.roots.Sys, "dev/block", fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
	real, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", fmt.Errorf("opening %s: %w", d.file.Name(), err)
	}
	return filepath.Base(real), nil
}

// OpenPartition opens one partition of a disk for this program alone, after the
// kernel has read the table (Rescan), and makes sure that it is where the layout
// says. The disk itself must be closed by then. udev has the kernel read the table once
// more when somebody who wrote to the disk closes it, and for a moment then there are no
// partitions: they are waited for.
func OpenPartition(roots hardware.Roots, disk string, p Part) (*Device, error) {
	ctx, cancel := context.WithTimeout(context.Background(), rescanLimit)
	defer cancel()
	node := PartitionPath(disk, p.Number)
	var d *Device
	err := retry(ctx, func() (err error) {
		if err := partitionReady(roots, disk, p); err != nil {
			return fmt.Errorf("opening the partition %s: %w", p.Name, err)
		}
		d, err = openDevice(roots, node)
		return err
	}, func(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) })
	if err != nil {
		return nil, err
	}
	if d.size != p.Size {
		d.Close()
		return nil, &WrongDeviceError{Path: node, Differs: fmt.Sprintf("it has %d bytes instead of %d", d.size, p.Size)}
	}
	return d, nil
}

// OpenBlock opens a block device for this program alone without asking what it is. It
// is for tests and measurements: what is to be installed to goes through [Open].
func OpenBlock(roots hardware.Roots, path string) (*Device, error) { return openDevice(roots, path) }

func openDevice(roots hardware.Roots, path string) (*Device, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, &BusyError{Path: path}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the disk: %w", err)
	}
	d := &Device{roots: roots, file: f}
	st, err := f.Stat()
	if err == nil && st.Mode()&os.ModeDevice == 0 {
		err = errors.New("not a block device")
	}
	if err == nil {
		err = d.ioctl(unix.BLKGETSIZE64, unsafe.Pointer(&d.size))
	}
	if err == nil {
		var n int32
		err = d.ioctl(unix.BLKSSZGET, unsafe.Pointer(&n))
		d.sector = uint32(n)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("opening the disk %s: %w", path, err)
	}
	// The second descriptor must not be exclusive: the first one is in its way.
	if f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0); err == nil {
		d.direct = f
	}
	return d, nil
}

func (d *Device) ioctl(request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.file.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// Close gives the device up. It does not flush.
func (d *Device) Close() error {
	if d.direct != nil {
		d.direct.Close()
	}
	return d.file.Close()
}

// Size is the size of the device in bytes.
func (d *Device) Size() uint64 { return d.size }

// SectorSize is the size of a logical sector in bytes.
func (d *Device) SectorSize() uint32 { return d.sector }

// fit returns the descriptor for a piece: past the cache when place, length and
// memory are all aligned. The kernel keeps both ways in step (it writes out and
// drops the cached pages of a range before direct I/O on it).
func (d *Device) fit(p []byte, off int64) *os.File {
	if d.direct == nil || len(p) == 0 || (uintptr(off)|uintptr(len(p))|uintptr(unsafe.Pointer(unsafe.SliceData(p))))%pageSize != 0 {
		return d.file
	}
	return d.direct
}

// ReadAt reads from the device.
func (d *Device) ReadAt(p []byte, off int64) (int, error) { return d.fit(p, off).ReadAt(p, off) }

// WriteAt writes to the device. Only after Flush the bytes are there for certain.
func (d *Device) WriteAt(p []byte, off int64) (int, error) { return d.fit(p, off).WriteAt(p, off) }

// Flush writes out what the kernel and the drive hold in their caches.
func (d *Device) Flush() error { return d.file.Sync() }

// DropCache makes later reads come from the drive.
func (d *Device) DropCache() error {
	if err := d.ioctl(unix.BLKFLSBUF, nil); err != nil {
		return fmt.Errorf("dropping the cache of %s: %w", d.file.Name(), err)
	}
	return nil
}

// Discard tells the drive that a range holds nothing any more.
func (d *Device) Discard(off, length uint64) error {
	r := [2]uint64{off, length}
	if err := d.ioctl(unix.BLKDISCARD, unsafe.Pointer(&r)); err != nil {
		return fmt.Errorf("discarding %s: %w", d.file.Name(), err)
	}
	return nil
}

// rescanLimit is how long the partitions of a new table may take to appear, and
// how long somebody may look at the old ones: udev does, for a moment, after
// every change.
const rescanLimit = 15 * time.Second

// Rescan makes the kernel read the partition table again and waits for the
// partitions, without udev: devtmpfs makes the nodes.
func (d *Device) Rescan(ctx context.Context, l Layout) error {
	ctx, cancel := context.WithTimeout(ctx, rescanLimit)
	defer cancel()
	err := retry(ctx, func() error {
		return d.ioctl(unix.BLKRRPART, nil)
	}, func(err error) bool { return errors.Is(err, unix.EBUSY) })
	if errors.Is(err, unix.EBUSY) {
		return &BusyError{Path: d.file.Name()}
	}
	if err != nil {
		return fmt.Errorf("reading the partition table of %s again: %w", d.file.Name(), err)
	}
	for _, p := range l.Partitions {
		// A kernel built without the GPT reader has found none; tell it. The
		// other kernels answer that they know the partition (EBUSY).
		if err := partitionReady(d.roots, d.file.Name(), p); err != nil {
			if err := d.add(p); err != nil && !errors.Is(err, unix.EBUSY) {
				return fmt.Errorf("telling the kernel of the partition %s: %w", p.Name, err)
			}
		}
		err := retry(ctx, func() error { return partitionReady(d.roots, d.file.Name(), p) }, func(error) bool { return true })
		if err != nil {
			return fmt.Errorf("waiting for the partition %s: %w", p.Name, err)
		}
	}
	return nil
}

// add tells the kernel of one partition (ioctl BLKPG, linux/blkpg.h).
func (d *Device) add(p Part) error {
	part := unix.BlkpgPartition{Start: int64(p.Start), Length: int64(p.Size), Pno: int32(p.Number)}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_ADD_PARTITION, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	return d.ioctl(unix.BLKPG, unsafe.Pointer(&arg))
}

// retry does something until it works, fails for good or the context ends; then it
// returns the last error.
func retry(ctx context.Context, do func() error, again func(error) bool) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		err := do()
		if err == nil || !again(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// partitionReady checks that the kernel knows a partition in its place and that
// its node is there.
func partitionReady(roots hardware.Roots, disk string, p Part) error {
	node := PartitionPath(disk, p.Number)
	dir := filepath.Join(roots.Sys, "class/block", filepath.Base(node))
	for _, f := range []struct {
		name string
		want uint64
	}{{"start", p.Start}, {"size", p.Size}} {
		text, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil {
			return err
		}
		// Both count units of 512 bytes, whatever the sectors are.
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err != nil || n*512 != f.want {
			return fmt.Errorf("the kernel has another %s of %s: %s units of 512 bytes, not %d", f.name, node, strings.TrimSpace(string(text)), f.want/512)
		}
	}
	st, err := os.Stat(node)
	if err != nil {
		return err
	}
	if st.Mode()&os.ModeDevice == 0 {
		return fmt.Errorf("%s is not a block device", node)
	}
	return nil
}
