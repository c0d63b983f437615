package debian

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/stek-edge/stek/test/testimage"
)

// Initrd gives Debian's kernel and the initramfs that Debian's dracut makes for it by its
// own defaults, with what it needs to open volumes by a TPM (dracut.conf(5)).
// initramfs-tools, Debian's other generator, knows nothing of systemd's tokens.
func Initrd(ctx context.Context) (kernel, initrd string, err error) {
	made, err := started(ctx)
	if err != nil {
		return "", "", fmt.Errorf("making Debian's initramfs: %w", err)
	}
	return filepath.Join(made, "boot/kernel"), filepath.Join(made, "boot/initrd"), nil
}

// Kernel gives Debian's kernel with its modules, for a guest. An image has the same one.
func Kernel(ctx context.Context) (testimage.Kernel, error) {
	made, err := started(ctx)
	if err != nil {
		return testimage.Kernel{}, fmt.Errorf("getting Debian's kernel: %w", err)
	}
	return testimage.FindKernel(made)
}

// started is a root with what starts it.
func started(ctx context.Context) (string, error) {
	const script = `set -e
printf 'add_dracutmodules+=" crypt tpm2-tss "\nadd_drivers+=" squashfs "\n' >"$1/etc/dracut.conf.d/10-tpm2.conf"
version=$(ls "$1/lib/modules")
chroot "$1" dracut --force /boot/initrd "$version"
ln "$1/boot/vmlinuz-$version" "$1/boot/kernel"`
	return keep(ctx, "dracut", packages+",dracut,linux-image-amd64,kmod,zstd", "--customize-hook="+script)
}
