package keymap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// console is the virtual terminal in use; the layout is that of all of them.
const console = "/dev/tty0"

// setEntry is KDSKBENT of include/uapi/linux/kd.h, which x/sys does not have.
const setEntry = 0x4b47

// entry is struct kbentry of the same file.
type entry struct {
	table, index uint8
	value        uint16
}

// Load gives the layout to the kernel. A machine without virtual terminals needs none:
// what is typed on a serial line is made into characters by the terminal there.
func (k *Keymap) Load() error {
	tty, err := os.OpenFile(console, os.O_RDWR|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("setting the layout of the keyboard: %w", err)
	}
	defer tty.Close()
	err = k.Apply(func(table, key uint8, value uint16) error {
		e := entry{table, key, value}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, tty.Fd(), setEntry, uintptr(unsafe.Pointer(&e))); errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("setting the layout of the keyboard: %w", err)
	}
	return nil
}
