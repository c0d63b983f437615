// Package console talks to whoever stands at the machine: on every console that
// the kernel uses, screen and serial line alike, since nobody knows where the
// person sits. It serves the initramfs, and the installer until somebody has chosen the
// console at which package tui asks the rest.
//
// It must never show what is typed, and every question ends with its context: stage1 bounds
// each of its own, so that a box on which nobody answers goes on by itself. The installer
// waits for a person as long as it takes.
//
//	c := console.Open()
//	c.Say("the TPM did not open the disk")
//	key, err := c.Ask(ctx, "Recovery key:")
package console
