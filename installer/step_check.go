package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/installer/disk"
)

// loaderPath is where firmware looks for a boot loader on a medium by itself (UEFI
// 2.10, 3.5.1.1).
const loaderPath = "EFI/BOOT/BOOTX64.EFI"

// maxProgram bounds what is read as a UEFI program, bytes. The UKI holds the kernel
// and the initramfs, some 60 MB.
const maxProgram = 512 << 20

// checkImage reads everything that is going to be copied, before anything on any disk
// changes. Sticks forget and return wrong bytes without an error; the root file
// system has a hash, which the kernel was started with, and the two programs that the
// firmware starts are signed.
func checkImage(ctx context.Context, r *run) error {
	for _, name := range []string{UKIPath, loaderPath} {
		if err := checkProgram(filepath.Join(r.site.StickESP, filepath.FromSlash(name))); err != nil {
			return damagedStick(fmt.Sprintf("%s on the stick is damaged", path.Base(name)), err)
		}
	}
	source, err := os.Open(r.site.Root)
	if err != nil {
		return damagedStick("the root file system on the stick cannot be read", err)
	}
	defer source.Close()
	sum, err := r.verity().Check(ctx, source, r.progress())
	var damaged *disk.VerityError
	var unread *disk.CopyError
	switch {
	case errors.As(err, &damaged), errors.As(err, &unread):
		return damagedStick("the root file system on the stick is damaged", err)
	case err != nil:
		return err
	}
	r.root = sum[:]
	return nil
}

// checkProgram tells whether a UEFI program still has the digest that was signed.
// Whose signature it is, the firmware has judged.
func checkProgram(name string) error {
	content, err := readFile(name, maxProgram)
	if err != nil {
		return err
	}
	return secureboot.CheckDigest(content)
}

func damagedStick(message string, cause error) error {
	return &Refusal{Status: StatusRefused, Message: fmt.Sprintf("%s (%v); nothing on any disk was changed", message, cause),
		Remedy: "write the image to the stick again, or to another stick if it happens again", Cause: cause}
}
