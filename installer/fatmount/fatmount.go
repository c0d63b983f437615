// Package fatmount mounts the FAT partitions of sticks and disks so that a power cut leaves
// every file on them whole: the old one or the new one.
//
// FAT has no journal, and Linux writes what a directory says of a file, its place and its
// size, some time after the name: a file that was renamed, and whose directory was synced,
// may be empty after a power cut, with the old name gone. So directories are written at
// once (the option dirsync of mount(8)), which is also the right order: the new name, what
// it holds, and only then the old name is removed. What a cut between these leaves, one file
// with two names, is put right by [fat.Mend] before anything can do harm with it.
//
// It must never mount a partition in another way to write to it.
//
//	notes, err := fatmount.Mount("/dev/nvme0n1p1", "/run/stek/esp")
//	…
//	err = unix.Unmount("/run/stek/esp", 0)
package fatmount

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/images/fat"
)

// options of vfat: the files are root's alone, names stay as they are written, and a file
// system with a fault is not written to (the kernel's Documentation/filesystems/vfat.rst).
const options = "umask=077,shortname=mixed,errors=remount-ro"

// Mount mounts a partition on a folder, for reading and writing. The notes say what was
// mended before; what cannot be looked at is one, too, and mounting it tells the reason.
// A partition that is mounted already is not mended: errors.Is(err, unix.EBUSY) if it is on
// that folder.
func Mount(device, dir string) (notes []string, err error) {
	notes, err = fat.MendDevice(device)
	for i, note := range notes {
		notes[i] = device + ", after a power cut: " + note
	}
	if err != nil && !errors.Is(err, unix.EBUSY) {
		notes = append(notes, fmt.Sprintf("%s was not looked through: %v", device, err))
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_DIRSYNC
	if err := unix.Mount(device, dir, "vfat", flags, options); err != nil {
		return notes, fmt.Errorf("mounting %s: %w", device, err)
	}
	return notes, nil
}
