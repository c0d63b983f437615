package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/tpm"
)

// loaderPath is where firmware looks for a boot loader on a medium by itself (UEFI
// 2.10, 3.5.1.1).
const loaderPath = "EFI/BOOT/BOOTX64.EFI"

// maxProgram bounds what is read as a UEFI program, bytes. The UKI holds the kernel
// and the initramfs, some 60 MB.
const maxProgram = 512 << 20

// check looks at all that the later steps rely on, before anything on any disk changes.
func check(ctx context.Context, r *run) error {
	if err := checkStick(r.site.StickESP); err != nil {
		return err
	}
	if err := checkTPM(ctx, r); err != nil {
		return err
	}
	return checkImage(ctx, r)
}

// stickRoom is what must be free on the stick's FAT partition, bytes: for the encrypted
// recovery key, without which nobody gets into the disk when its TPM is gone, and beside
// it the journal and the report. All of them together are about a tenth of it.
const stickRoom = 1 << 20

// checkStick looks whether the stick takes what it has to carry home, before the disk is
// erased for it.
func checkStick(esp string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(esp, &fs); err != nil {
		return unreadStick(fmt.Errorf("asking for its free space: %w", err))
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < stickRoom {
		return &Refusal{Status: StatusRefused, Message: fmt.Sprintf("the stick is full: %d KiB are free on its FAT partition and %d KiB are needed, for the recovery key and the report; nothing on any disk was changed", free>>10, stickRoom>>10),
			Remedy: (&MediumError{TheStick, unix.ENOSPC}).Remedy()}
	}
	return nil
}

// checkTPM does what the enrolment will do, as far as nothing stays in the TPM: what the
// inventory knows of a TPM is what the kernel says of it, which is little.
func checkTPM(ctx context.Context, r *run) error {
	if !r.usesTPM() {
		return nil
	}
	err := r.rehearse(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return &Refusal{Status: StatusMissing, Message: fmt.Sprintf("the answers ask to unlock with the TPM, and this machine's cannot do it (%v); nothing on any disk was changed", err),
		Remedy: remedyOfTPM(err) + ", or take tpm2 out of encryption.unlock", Cause: err}
}

func (r *run) rehearse(ctx context.Context) error {
	chip, err := r.openTPM()
	if err != nil {
		return err
	}
	defer chip.Close()
	return chip.Rehearse(ctx, tpm.IdentityIndex, 7) // of the PCRs in a sealing, the one that is not predicted
}

// remedyOfTPM is what to do about a TPM that cannot be enrolled. What one that is out of
// order says is for a box that has a recovery key.
func remedyOfTPM(err error) string {
	var failed *tpm.FailedError
	var busy *tpm.BusyError
	if remedy := RemedyOf(err); remedy != "" && !errors.As(err, &failed) && !errors.As(err, &busy) {
		return remedy
	}
	return "switch the machine off, take its power away for a minute, and start again"
}

// checkImage reads everything that is going to be copied, before anything on any disk
// changes. Sticks forget and return wrong bytes without an error; the root file
// system has a hash, which the kernel was started with, and the two programs that the
// firmware starts are signed.
func checkImage(ctx context.Context, r *run) error {
	// Before the programs: FAT says of the files of a stick that is gone that there are none.
	source, err := os.Open(r.site.Root)
	if err != nil {
		return unreadStick(err)
	}
	defer source.Close()
	for _, name := range []string{UKIPath, loaderPath} {
		if err := checkProgram(filepath.Join(r.site.StickESP, filepath.FromSlash(name))); err != nil {
			return BadImage(path.Base(name)+" on the stick", err)
		}
	}
	sum, err := r.verity().Check(ctx, source, r.progress())
	var damaged *disk.VerityError
	var unread *disk.CopyError
	switch {
	case errors.As(err, &damaged), errors.As(err, &unread):
		return BadImage("the root file system on the stick", err)
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

// BadImage says why a part of the image on the stick cannot be installed. What is missing,
// too short or not what was written is damage, and refused; what the system could not read
// is a stick that fails or was pulled.
func BadImage(what string, err error) error {
	var system syscall.Errno
	ofTheName := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENOTDIR)
	if errors.As(err, &system) && !ofTheName {
		return unreadStick(err)
	}
	return &Refusal{Status: StatusRefused, Message: fmt.Sprintf("%s is damaged (%v); nothing on any disk was changed", what, err),
		Remedy: "write the image to the stick again, or to another stick if it happens again", Cause: err}
}

func unreadStick(err error) error {
	return on(TheStick, fmt.Errorf("the stick cannot be read, and nothing on any disk was changed: %w", err))
}
