// Package swtpm starts software TPMs (the swtpm program) for tests and for virtual
// machines. Every TPM it starts is a private one, in its own folder, reached through a
// unix socket; nothing here ever touches the TPM of the machine.
//
//	emu := swtpm.Start(t)                      // a new TPM, powered on
//	dev, err := tpm.Open("swtpm:" + emu.Socket)
//	emu.Reset()                                // pull the power, and give it back
//
// The state folder can be handed over: stop the TPM, and start another swtpm on the
// same folder, for instance for QEMU:
//
//	emu.Stop()
//	vm, err := swtpm.RunForQEMU(emu.StateDir)  // -chardev socket,path=<vm.Control>
package swtpm
