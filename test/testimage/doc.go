// Package testimage makes what a test guest is booted from: a small initramfs and a
// Debian kernel with the modules that the test needs.
//
// The development machine's own kernel may lack dm-crypt, dm-verity, vfat or a TPM
// driver; a test that needs one of these runs in a guest, with a kernel that has them.
// Package guest does the whole round; this package is for tests that want another
// first process or other files:
//
//	kernel, err := testimage.TestKernel(ctx)
//	tree := testimage.NewTree()
//	err = tree.AddGo(ctx, "/init", "./testdata/hello")
//	err = tree.AddModules(kernel, "dm_crypt", "xts")
//	err = tree.WriteFile("/tmp/initrd")
//
// Trees are written in a fixed order and without times, so the same content gives the
// same bytes. Nothing here is installed on the machine and nothing is mounted: the
// kernel package is only unpacked into a cache directory. This package must never be
// used to build the product's image; that one has a reviewed list of modules.
package testimage
