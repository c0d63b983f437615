// Package stage1 is the first process of the machine: PID 1 in the initramfs. It
// puts the leaf packages together, as cmd does for a person, and leaves the
// machine to systemd.
//
// In order: it loads the modules this machine needs, finds the disk that the
// firmware booted from, gives the console the layout of the keyboard, measures
// enter-initrd into PCR 11, gives the boot try back (package bootcount), opens the
// `state` partition of that disk (or finds that there is none, which makes this the
// installer), extends PCR 15 with the volume's identity, compares that with the one
// kept in the TPM, caps PCR 11, sets up the verity root with what is private and
// mutable laid over it (a tmpfs in the installer), and switches root.
//
// When nothing opens the volume by itself, PCR 11 is capped first and the recovery
// key asked for then. What opened it, and the PCRs at that moment, go to UnlockFile:
// package node binds the key by them. Only a new key with a PIN is sealed here, since
// the PIN is known nowhere else.
//
// A PIN or a passphrase that the answers chose is asked for before that, with PCR 11 open.
// Each of these questions waits a quarter of an hour. That for a new PIN, which comes after
// the recovery key or a passphrase where the slot has to be made anew, waits two minutes; without an answer
// the box starts, and asks again at the next start. Where nobody answers, and where the header is
// damaged, the volume is another or the root does not verify, the screen says why and what
// to do, and the machine restarts after a minute and tries again.
//
// It must never give a shell, never look for `state` on another disk than the one
// that was booted, never mount a volume whose header or identity is not what it
// should be, and never leave without having capped PCR 11: whatever runs after
// it, on any path, must find every TPM refusing to unseal. A TPM that comes to the running
// system for the first time is closed there, by CloseTPM.
//
//	if stage1.IsInit() {
//		stage1.Main() // never returns
//	}
package stage1
