// Package builder makes the image: it puts together what the packages beside it
// make, from Debian's packages to a disk image that a person writes to a stick.
//
//	root                   Debian's packages, resolved by digest and unpacked
//	k3s, airgap, gomodule  the programs and container images of the cluster
//	lock                   what all of these are, kept in the file Options.Lock
//	keymaps, overlay       laid over the base; root packs it: squashfs, verity, root hash
//	initramfs              stek as /init, with the modules that stage1 needs
//	firmware/uki           kernel, initramfs and root hash in one program, PCR 11 signed
//	firmware/secureboot    its signature, and that of systemd-boot
//	esp, fat, layout       the two partitions of the stick
//
// Everything is plain files; it needs neither loop devices nor mounts, and only
// mmdebstrap wants root or a user namespace. The same inputs (packages, programs,
// keys, version) give the same bytes, wherever and whenever it runs, and what did
// not change is taken from the cache. For every time stamp is Options.Epoch
// (SOURCE_DATE_EPOCH, or a fixed date), identities are derived from the root hash, and
// signatures are deterministic. Two builds on different days are equal when the mirror
// still offers the same packages: with Options.Lock and Options.Locked a build fails where
// it does not. `make reproduce` compares two.
//
// It must never put anything private into an image, never fall back from one
// source of k3s to another, and never leave a half-written image under the name
// that was asked for.
//
//	result, err := builder.Build(ctx, builder.Options{Arch: "amd64", K3s: component.Module, Output: "stek-amd64.img"})
package builder
