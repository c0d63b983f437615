package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/bootcount"
)

// Bless keeps the system that was started: it opened its disk and reached
// multi-user, and the boot loader need not count its tries any more. It asks no
// network: a box without an uplink is as good as any.
func (f *Facts) Bless(efivars string) error {
	entry, counted := bootcount.Started(efivars)
	if !counted {
		return nil
	}
	return f.withESP(func(dir string) error { return bootcount.Bless(dir, entry) })
}

// withESP mounts the boot partition for the time of a function.
func (f *Facts) withESP(do func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("/run/stek", "esp-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount(f.esp(), dir, "vfat", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "umask=077,shortname=mixed"); err != nil {
		return fmt.Errorf("mounting the boot partition %s: %w", f.esp(), err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	return do(dir)
}

func unmarshal(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading the record of the installation: %w", err)
	}
	return nil
}
