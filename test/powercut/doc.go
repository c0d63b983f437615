// Package powercut records what is written to a disk, and rebuilds the disk as a power
// cut would have left it, at every write.
//
// A [Recorder] is a file system with one file for each disk. Whatever writes to them
// (this program through a loop device, stock tools, the kernel's own file systems, or a
// whole virtual box whose disks they are) is written down in its order, with the flushes
// in between. File systems in user space were chosen because everything can stand on
// them at once: the kernels of build machines have no network block device, no ublk and
// no dm-log-writes; tracing a program sees what it asked for and not what the page cache
// made of it; and a library in the program's place would not see the kernel.
//
// A disk may lose or reorder whatever it was not told to flush. [Log.Replay] goes through
// the log and hands out the states that can be left: everything up to a write, nothing
// since the last flush, some of the writes since then, and a write of which only the
// first sectors arrived. A discard is done at once, or never: a drive may ignore it, and
// what was there shows through as long as nothing is written over it. Which of the many
// combinations are taken is drawn with a fixed seed, so that a failure comes back.
//
//	rec, err := powercut.NewRecorder(dir, powercut.Disk{Name: "disk", Size: 20 << 30})
//	// … write to rec.Path("disk"), or to a loop device on it …
//	rec.Mark("keys changed")
//	stats, err := rec.Log().Replay(powercut.Options{Dir: scratch, Seed: 1}, func(s *powercut.State) error {
//		_, err := vault.Inspect(s.Path("disk"))
//		return err
//	})
//
// It must never be given a real disk, and never keep what it has recorded longer than
// the test: the log holds everything that was written.
package powercut
