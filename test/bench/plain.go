package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/vm"
)

// makePlain makes a disk that starts Debian's kernel and initramfs with the boot loader
// of the site's stick, and has in one ext4 all that the running box has: its root, its
// configuration and its cluster. What looks after an encrypted disk is switched off on it.
func makePlain(ctx context.Context, s *site.Site, kernel, initrd string) (vm.Machine, error) {
	file := filepath.Join(s.Dir, "plain.img")
	m := s.WithoutStick()
	if err := vm.NewDisk(file, 8<<30); err != nil {
		return m, err
	}
	loader, err := builder.ReadFile(s.Stick, "EFI/BOOT/BOOTX64.EFI")
	if err != nil {
		return m, err
	}
	entry := "title plain\nlinux /kernel\ninitrd /initrd\noptions root=LABEL=plain rw " + kernelOptions + "\n"
	for name, content := range map[string][]byte{"loader.efi": loader, "loader.conf": []byte("timeout 0\n"), "plain.conf": []byte(entry)} {
		if err := os.WriteFile(filepath.Join(s.Dir, name), content, 0o644); err != nil {
			return m, err
		}
	}
	const script = `set -e
cd "$1"
printf 'label: gpt\nsize=512M, type=uefi\ntype=linux\n' | sfdisk -q plain.img
export MTOOLS_SKIP_CHECK=1
mformat -i plain.img@@1M -F -T 1048576 ::
mmd -i plain.img@@1M ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries
mcopy -i plain.img@@1M loader.efi ::/EFI/BOOT/BOOTX64.EFI
mcopy -i plain.img@@1M loader.conf ::/loader/loader.conf
mcopy -i plain.img@@1M plain.conf ::/loader/entries/plain.conf
mcopy -i plain.img@@1M "$2" ::/kernel
mcopy -i plain.img@@1M "$3" ::/initrd`
	if _, err := output(ctx, "sh", "-c", script, "sh", s.Dir, kernel, initrd); err != nil {
		return m, err
	}
	if err := fillPlain(ctx, s, file); err != nil {
		return m, err
	}
	m.Dir, m.Fatal = filepath.Join(s.Dir, "plain"), nil
	m.Disks[0].Path = file
	return m, nil
}

// fillPlain copies the running system to the disk, with the cluster at rest.
func fillPlain(ctx context.Context, s *site.Site, file string) error {
	m := s.WithoutStick()
	m.Disks = append(m.Disks, vm.Disk{Name: "plain", Path: file, Serial: "plain"})
	box, err := s.PowerOnAs(ctx, m)
	if err != nil {
		return err
	}
	defer box.Close()
	if _, err := box.WaitReady(ctx); err != nil {
		return err
	}
	if err := box.LogIn(ctx); err != nil {
		return err
	}
	for _, command := range []string{
		"systemctl stop stek-announce k3s",
		"mkfs.ext4 -q -L plain /dev/vda2 && mount /dev/vda2 /mnt",
		"cp -ax / /mnt",
		"for d in etc var home root; do cp -ax /$d/. /mnt/$d/; done",
		"mkdir -p /mnt/state /mnt/etc/bench && cp -a /state/stek /mnt/state/ && cp /run/stek/*.json /run/stek/node /mnt/etc/bench/",
		// One by one: what closes the TPM may have made the folder before them.
		"cd /mnt/etc/bench && for f in *; do echo \"C /run/stek/$f - - - - /etc/bench/$f\"; done >/mnt/etc/tmpfiles.d/bench.conf; cd /",
		"for u in first-start clock clock-save bless; do ln -sf /dev/null /mnt/etc/systemd/system/stek-$u.service; done",
		"umount /mnt && sync",
	} {
		if _, err := box.Run(ctx, command); err != nil {
			return err
		}
	}
	return box.PowerCut()
}

// startPlain takes the time from power-on to Ready.
func startPlain(ctx context.Context, s *site.Site, m vm.Machine) (time.Duration, error) {
	box, err := s.PowerOnAs(ctx, m)
	if err != nil {
		return 0, err
	}
	defer box.Close()
	ready, err := box.WaitReady(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, box.Console.Text())
	}
	return ready.At, nil
}
