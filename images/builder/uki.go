package builder

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/component"
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

// ukiFormat changes when the same inputs are to give another UKI or boot loader.
const ukiFormat = "1"

// The files of a kept result.
const (
	ukiFile    = "uki.efi"
	loaderFile = "loader.efi"
)

// uki makes the unified kernel image and signs it and the boot loader, or takes both
// from the cache. Signatures are part of what is kept: they are deterministic, and
// the keys are part of the name under which they lie.
func (o *Options) uki(ctx context.Context, baseKey string, base *root.Tree, v root.VerityTree, about []byte, keys *secureboot.Keys) (*firmwareFiles, error) {
	o.Report.Send(component.Progress{Task: "looking for the UKI in the cache"})
	key, err := o.ukiKey(baseKey, v, about, keys)
	if err != nil {
		return nil, err
	}
	var packed initramfs.Summary
	dir, err := o.store("uki").get(ctx, key, &packed, func(dir string) error {
		signed, summary, err := o.makeUKI(base, v, about, keys)
		if err != nil {
			return err
		}
		packed = summary
		return errors.Join(os.WriteFile(filepath.Join(dir, ukiFile), signed.image, 0o644),
			os.WriteFile(filepath.Join(dir, loaderFile), signed.loader, 0o644))
	})
	if err != nil {
		return nil, err
	}
	var files firmwareFiles
	if files.image, err = os.ReadFile(filepath.Join(dir, ukiFile)); err != nil {
		return nil, err
	}
	files.loader, err = os.ReadFile(filepath.Join(dir, loaderFile))
	return &files, err
}

// ukiKey names a UKI by everything that goes into it.
func (o *Options) ukiKey(baseKey string, v root.VerityTree, about []byte, keys *secureboot.Keys) (string, error) {
	pcr, err := x509.MarshalPKIXPublicKey(keys.PCR.Public())
	if err != nil {
		return "", err
	}
	return keyOf(ukiFormat, o.self, baseKey, o.program, o.Arch, cmdline(v, o.Version), about,
		o.Epoch.Unix(), keys.DB.Certificate.Raw, pcr), nil
}

func (o *Options) makeUKI(base *root.Tree, v root.VerityTree, about []byte, keys *secureboot.Keys) (*firmwareFiles, initramfs.Summary, error) {
	boot, err := root.ReadBootFiles(base, o.Arch)
	if err != nil {
		return nil, initramfs.Summary{}, err
	}
	o.Report.Send(component.Progress{Task: "packing the initramfs"})
	var initrd bytes.Buffer
	summary, err := initramfs.Write(&initrd, initramfs.Options{
		Init: o.Stek, Arch: o.Arch, KernelVersion: boot.KernelVersion,
		Modules: base.Sub("usr/lib/modules/" + boot.KernelVersion), ModTime: o.Epoch,
	})
	if err != nil {
		return nil, summary, err
	}
	o.Report.Send(component.Progress{Task: "making and signing the UKI"})
	image, err := uki.Build(uki.Parts{
		Stub: boot.Stub, Kernel: boot.Kernel, Initrd: initrd.Bytes(), Uname: boot.KernelVersion,
		OSRelease: about, Cmdline: cmdline(v, o.Version), PCRKey: keys.PCR,
	})
	if err != nil {
		return nil, summary, err
	}
	var signed firmwareFiles
	if signed.image, err = secureboot.SignPE(image, keys.DB); err != nil {
		return nil, summary, fmt.Errorf("signing the UKI: %w", err)
	}
	if signed.loader, err = secureboot.SignPE(boot.SystemdBoot, keys.DB); err != nil {
		return nil, summary, fmt.Errorf("signing the boot loader: %w", err)
	}
	return &signed, summary, nil
}

// osRelease is what the boot loader shows (os-release(5)). What the image carries
// stands there too, so that it is signed and measured, and can be read from an image
// file without unpacking its root.
func osRelease(version, k3s string, source component.Source, added []string) []byte {
	text := fmt.Appendf(nil, "ID=stek\nNAME=stek\nPRETTY_NAME=\"stek %s\"\nVERSION_ID=%q\nSTEK_K3S=%q\nSTEK_K3S_SOURCE=%q\n",
		version, version, k3s, source)
	if len(added) > 0 {
		text = fmt.Appendf(text, "STEK_ADDED=%q\n", strings.Join(added, ", "))
	}
	return text
}
