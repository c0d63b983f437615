// Package vm runs virtual boxes: QEMU with UEFI firmware (OVMF, with or without Secure
// Boot), a software TPM (swtpm), disks, a USB stick, network cards whose packets are
// counted, and a serial console driven from Go. Tests use it, and so does the demo.
//
// A Machine is the box on the desk: it may be off. What outlives a power cut lies in its
// Dir: the firmware's variables, the TPM's state, the logs; and the disks are files.
// PowerOn gives a Box, which is the box while it runs:
//
//	machine := vm.Machine{
//		Dir:      dir,
//		Firmware: vm.UEFI,
//		TPM:      &vm.TPM{},
//		Disks: []vm.Disk{
//			{Name: "stick", Path: stick, Bus: vm.USB},
//			{Name: "disk", Path: disk, Bus: vm.NVMe, Serial: "S1"},
//		},
//	}
//	box, err := machine.PowerOn(ctx)
//	defer box.Close()
//	match, err := box.Console.Expect(ctx, `installed in (\d+) s`, `cannot install: (.*)`)
//	err = box.PowerCut()            // kill -9, as the socket is pulled
//	box, err = machine.PowerOn(ctx) // the same disks, variables and TPM
//
// In tests, Start does the same with a private Dir, and keeps console, screen and
// messages of a failed test in $STEK_ARTIFACTS.
//
// No disk is given a boot index: as on a real box, the order is the one in the
// firmware's variables. No network card is there unless one is asked for.
//
// The package never opens a real disk's device node, never changes the host's network,
// and leaves no process behind: QEMU and swtpm die with the program that started them,
// even if that one is killed (unless Outlive asks for the contrary). It uses KVM only
// after a guest has really started under it (Choose, ProbeKVM): a /dev/kvm that exists may still
// hang at the first guest.
package vm
