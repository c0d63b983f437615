// Package esp fills the EFI system partition of an image: the boot loader, the
// unified kernel image, systemd-boot's settings, and the folder in which people and
// boxes exchange files. The partition of an installed disk is made by package installer
// from these files alone, without the Secure Boot keys, and with a counter in the name of the
// kernel image (package bootcount). What people put on the stick stays there.
//
//	EFI/BOOT/BOOTX64.EFI             systemd-boot, where firmware looks by itself
//	EFI/systemd/systemd-bootx64.efi  the same, for a boot entry of its own
//	EFI/Linux/stek-a.efi             the unified kernel image of slot a
//	loader/loader.conf               no menu, no editor, no enrolling by itself
//	loader/keys/auto/*.auth          Secure Boot keys that the installer may enrol
//	loader/keys/own/*.auth           the same without Microsoft's
//	stek/                            preseed.yaml in, reports out; on a disk keymap,
//	                                 the layout in which stage1 asks for a passphrase,
//	                                 and header-backup.age
//	README.txt                       for the person who opens the stick
//
// The partition is not encrypted and anybody can write to it: nothing secret
// may ever be put here that is not encrypted itself, and nothing read from it is to
// be trusted.
//
//	volume, err := fat.Format(file, size, false, fat.Options{Label: esp.Label, …})
//	err = esp.Write(volume, esp.Content{BootLoader: sdboot, UKI: uki, …}, epoch)
package esp
