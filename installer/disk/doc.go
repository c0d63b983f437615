// Package disk chooses the disk to install to, and writes it: partition table,
// verified copy of the root image, file systems.
//
// The first half is pure. [Select] takes an inventory and the answers and returns
// the one disk that may be used, or a [Refusal] that says of every disk why not.
// [Plan] lays out the partitions. Neither touches a machine:
//
//	chosen, no := disk.Select(inv, answers.Disk)
//	if no != nil {
//		return no
//	}
//	layout, err := disk.Plan(chosen.Size, chosen.SectorSize, "amd64", rootHash, ids)
//
// The second half does it, on a [Target] that is handed in:
//
//	dev, err := disk.Open(hardware.Host(), chosen)
//	…
//	err = disk.Partition(ctx, dev, layout, disk.PartitionOptions{})
//	dev.Close() // while it is open, nobody can open a partition of it
//	root, _ := layout.Part(disk.RootA)
//	part, err := disk.OpenPartition(hardware.Host(), chosen.Path, root)
//	…
//	_, err = disk.Copy(ctx, part, stick, size, disk.CopyOptions{Want: digest})
//
// The package never picks a disk by itself when two would do, never writes to the
// medium the system was started from, to a disk in use or to one it could not
// read, and never takes a device's path for the device: [Open] compares serial
// number and size with what was chosen before it lets anything be written.
package disk
