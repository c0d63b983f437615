// Package debian is a Debian 13 with the stock tools for encrypted volumes, to test and
// measure beside: the root is made once and kept, put on a disk, and its programs are
// run inside a guest of package guest. No image of the product is made from it.
//
//	err := debian.WriteDisk(ctx, system)           // on the host
//	err := debian.Enter("system", 30*time.Second)  // in the guest, by the disk's serial
//	out, err := debian.Programs{}.Run(ctx, vault.Command{Name: "cryptsetup", Args: args})
package debian
