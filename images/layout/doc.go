// Package layout writes and reads the partition table of stek's disk images:
// where the EFI system partition and the root are, and how to get at their
// content without mounting anything.
//
// A stick image holds two partitions, esp and root-a; the installed disk adds
// root-b and state and is laid out by the installer. Names, types and sizes are
// those of package installer/disk on both. GUIDs are not, except that of a root
// partition: it is the beginning of the verity root hash, so the root that belongs
// to a kernel is found on whichever disk it is.
//
// It must never leave an image that looks whole and is not: the table comes last.
// And it never takes one of two partitions of the same name.
//
// Equal input gives equal bytes: the disk and esp GUIDs are derived from the
// root hash. What is read may be hostile: [ReadGPT] looks at every disk a
// machine has.
//
//	table, err := layout.WriteStick(ctx, file, layout.Stick{…}, progress)
//	esp, err := layout.OpenESP(file, size)
//	err = esp.WriteFile("stek/preseed.yaml", answers, now)
package layout
