// Package loopbox makes machines for tests: a folder that looks like sysfs, with disks
// that are loop devices, and sticks to install them from.
//
// What the kernel says of a loop device (its size, write protection, who holds it) is
// what the machine says of its disk; only names, serial numbers and the firmware are
// made up. The engine runs on it as far as the kernel that it runs on can follow: not
// to the steps that need dm-crypt or vfat. Loop devices need root. It must never take a
// device of the machine for a disk: each is a loop device on an image file.
//
//	m := loopbox.New(t)
//	m.AddDisk("nvme0n1", "A1", 20<<30, nil)
//	inv, err := hardware.Look(ctx, m.Roots)
package loopbox
