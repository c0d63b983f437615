// Package stage1 is the first process of the machine: PID 1 in the initramfs. It
// puts the leaf packages together, as cmd does for a person, and leaves the
// machine to systemd.
//
// In order: it loads the modules this machine needs, finds the disk that the
// firmware booted from, measures enter-initrd into PCR 11, opens the `state`
// partition of that disk (or finds that there is none, which makes this the
// installer), compares the volume with the identity kept in the TPM, extends PCR
// 15, caps PCR 11, sets up the verity root with what is private and mutable laid
// over it, and switches root.
//
// It must never give a shell, never look for `state` on another disk than the one
// that was booted, never mount a volume whose header or identity is not what it
// should be, and never leave without having capped PCR 11: whatever runs after
// it, on any path, must find the TPM refusing to unseal.
//
//	if stage1.IsInit() {
//		stage1.Main() // never returns
//	}
package stage1
