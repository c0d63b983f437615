// Package uki builds and reads unified kernel images: one PE file that holds
// systemd's stub, a kernel, an initramfs, a command line, and the signed
// promise of what PCR 11 will be once that file runs.
//
// systemd-stub measures the sections of the image into PCR 11 before it starts
// the kernel. All of them are known when the image is built, so the value is
// too, and so is the value after stage1 extends the boot phase
// [PhaseEnterInitrd]. A TPM policy that only accepts values signed with one
// RSA key then lets a box unlock with every image that the key's owner ever
// signed, and with no other.
//
// Images are also read from USB sticks and foreign disks: [Parse] is safe on
// hostile bytes. It does not check a Secure Boot signature (package secureboot
// does), and what it returns is only as trustworthy as the place it was read
// from.
//
// The package must never sign a PCR value for a phase other than the one
// stage1 unseals in: a policy that is also valid later in the boot would let
// anything running on the box unseal the disk key.
//
//	image, err := uki.Build(uki.Parts{
//		Stub: stub, Kernel: kernel, Initrd: initrd,
//		OSRelease: osRelease, Cmdline: "roothash=…", Uname: "6.12.1-amd64",
//		PCRKey: key,
//	})
//	…
//	read, err := uki.Parse(image)
//	pcr11, err := read.PredictPCR11(uki.PhaseEnterInitrd)
package uki
