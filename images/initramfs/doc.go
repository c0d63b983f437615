// Package initramfs builds the initial RAM file system of a stek image: a newc cpio
// archive, packed with zstd.
//
// It holds one program, /init, which is the stek binary itself (sbin/modprobe, by which
// the kernel asks for a module, is a link to it), and the kernel modules that are needed to
// find the boot disk, to open it and to let a person type a recovery key. Modules are
// stored uncompressed: the kernel of stage1 takes them as they are, and the archive as a
// whole packs better. modules.dep, modules.alias and modules.softdep are cut to the modules
// that are there.
//
// The same inputs give the same bytes. There is no shell, no udev and no firmware
// in it, and nothing that is private to a box may ever be put there: it lies
// unencrypted on the ESP.
//
//	summary, err := initramfs.Write(w, initramfs.Options{
//		Init:          stek,                                // path of the binary on this machine
//		KernelVersion: version,
//		Modules:       packages.Sub("usr/lib/modules/" + version), // a *root.Tree
//		ModTime:       epoch,
//	})
package initramfs
