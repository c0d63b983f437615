// Package console talks to whoever stands at the machine: on every console that
// the kernel uses, screen and serial line alike, since nobody knows where the
// person sits. It serves the initramfs and the installer, where no terminal
// library can run.
//
// It must never show what is typed, and never wait for ever: a box on which
// nobody answers goes on by itself.
//
//	c := console.Open()
//	c.Say("the TPM did not open the disk")
//	key, err := c.Ask(ctx, "Recovery key:")
package console
