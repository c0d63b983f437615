package builder

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/initramfs"
	"github.com/stek-edge/stek/images/root"
)

// consoles are where the kernel and stage1 speak: the screen, and the first serial
// line for boxes without one. The last one named is /dev/console.
const consoles = "console=ttyS0,115200 console=tty0"

// cmdline is the kernel command line. It lies inside the UKI, so that it is measured
// and signed with the kernel; nothing on the ESP can add to it.
func cmdline(v root.VerityTree, version string) string {
	return strings.Join([]string{
		"roothash=" + v.RootHash,
		"stek.root.salt=" + v.Salt,
		fmt.Sprintf("stek.root.blocks=%d", v.DataBlocks),
		"stek.version=" + version,
		consoles,
		"loglevel=4",
		"panic=10",            // a kernel that cannot go on starts anew
		"systemd.gpt_auto=0",  // stage1 mounts what there is to mount
		"systemd.ssh_auto=no", // no ways in but those that the answer file gives
		"systemd.show_status=auto",
	}, " ")
}

// firmwareFiles are what the firmware starts, signed.
type firmwareFiles struct {
	loader, image []byte
}

// uki makes the unified kernel image and signs it and the boot loader.
func (o *Options) uki(base *root.Tree, v root.VerityTree, keys *secureboot.Keys) (*firmwareFiles, error) {
	boot, err := root.ReadBootFiles(base, o.Arch)
	if err != nil {
		return nil, err
	}
	var initrd bytes.Buffer
	if _, err := initramfs.Write(&initrd, initramfs.Options{
		Init: o.Stek, Arch: o.Arch, KernelVersion: boot.KernelVersion,
		Modules: base.Sub("usr/lib/modules/" + boot.KernelVersion), ModTime: o.Epoch,
	}); err != nil {
		return nil, err
	}
	image, err := uki.Build(uki.Parts{
		Stub: boot.Stub, Kernel: boot.Kernel, Initrd: initrd.Bytes(), Uname: boot.KernelVersion,
		OSRelease: osRelease(o.Version), Cmdline: cmdline(v, o.Version), PCRKey: keys.PCR,
	})
	if err != nil {
		return nil, err
	}
	var signed firmwareFiles
	if signed.image, err = secureboot.SignPE(image, keys.DB); err != nil {
		return nil, fmt.Errorf("signing the UKI: %w", err)
	}
	if signed.loader, err = secureboot.SignPE(boot.SystemdBoot, keys.DB); err != nil {
		return nil, fmt.Errorf("signing the boot loader: %w", err)
	}
	return &signed, nil
}

// osRelease is what the boot loader shows (os-release(5)).
func osRelease(version string) []byte {
	return fmt.Appendf(nil, "ID=stek\nNAME=stek\nPRETTY_NAME=\"stek %s\"\nVERSION_ID=%q\n", version, version)
}
