package stage1

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/bootcount"
	"github.com/stek-edge/stek/installer/fatmount"
)

// giveTryBack returns the try that the boot loader took for this start: the kernel
// and stage1 run, so whatever ends this start before the box is up, a power cut
// above all, says nothing about the system. Once a system is blessed there is
// nothing to do, and the ESP is not even mounted.
func (s *stage1) giveTryBack() error {
	entry, counted := bootcount.Started(efivars)
	if !counted {
		return nil
	}
	const dir = "/run/stek/esp"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	notes, err := fatmount.Mount(s.disk.ESP, dir)
	for _, note := range notes {
		s.console.Say("%s", note)
	}
	if err != nil {
		return fmt.Errorf("the boot partition, to give a boot try back: %w", err)
	}
	err = bootcount.GiveBack(dir, entry)
	return errors.Join(err, unix.Unmount(dir, 0), os.Remove(dir))
}
