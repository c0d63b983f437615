// Package fat makes, reads and edits FAT32 file systems in image files and on
// disks, without mounting them.
//
// The one partition of a box that every laptop can open is FAT32: firmware
// starts from it, a person puts the answer file there. Images are made and
// prepared on Linux, macOS and Windows, so neither loop devices nor mtools can
// be had. go-diskfs v1.9.4, the Go library for this, writes file systems that
// fsck.fat refuses, and follows cluster chains of a hostile image for ever.
//
// Equal calls give equal bytes: nothing here looks at a clock or at random
// numbers. What is read may be hostile (the partition is open to anybody who
// holds the stick): chains, directories and sizes are bounded by the size of
// the file system.
//
// It follows Microsoft's "FAT32 File System Specification" 1.03 ("the
// specification" in comments). FAT12 and FAT16 are out of scope; so are
// deleting directories and attributes.
//
// It must never write outside of the file system that it was given, and never
// follow a chain further than the file system is long.
//
//	volume, err := fat.Format(file, 1<<30, false, fat.Options{Label: "STEK", Serial: 1, Time: epoch})
//	err = volume.WriteFile("loader/loader.conf", []byte("timeout 0\n"), epoch)
package fat
