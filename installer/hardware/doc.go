// Package hardware looks at a machine once and writes down what it is made of:
// disks and what lies on them, network cards, the TPM, the board, its firmware,
// processor and memory. The result, an [Inventory], serialises to JSON, so that a
// captured machine can be planned for anywhere.
//
// Facts come from sysfs, procfs, the EFI variables and the first and last
// megabyte of each disk and partition. No helper program and no udev is needed.
// The places are handed in as [Roots], so a test builds a machine out of plain
// files:
//
//	inv, err := hardware.Look(ctx, hardware.Host())
//	if err != nil {
//		return err
//	}
//	hardware.WriteText(os.Stdout, inv)
//
// The package never writes to a device, never sends a command to one, and never
// decides anything: which disk may be used is the business of package disk. What
// it cannot read it says (Disk.Fault); it never calls a disk empty that it could
// not read.
package hardware
