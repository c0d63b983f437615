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

// getEntry and setEntry are KDGKBENT and KDSKBENT of include/uapi/linux/kd.h, which x/sys
// does not have.
const (
	getEntry = 0x4b46
	setEntry = 0x4b47
)

// entry is struct kbentry of the same file.
type entry struct {
	table, index uint8
	value        uint16
}

// terminal is a virtual terminal that is open.
type terminal struct{ *os.File }

func (t terminal) get(table, key uint8) (uint16, error) {
	e := entry{table: table, index: key}
	err := t.call(getEntry, &e)
	return e.value, err
}

func (t terminal) set(table, key uint8, value uint16) error {
	return t.call(setEntry, &entry{table, key, value})
}

func (t terminal) call(request uintptr, e *entry) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, t.Fd(), request, uintptr(unsafe.Pointer(e))); errno != 0 {
		return errno
	}
	return nil
}

// onConsole lends the virtual terminals. A machine without them needs no layout: what is
// typed on a serial line is made into characters by the terminal there.
func onConsole(do func(kernel) error) error {
	tty, err := os.OpenFile(console, os.O_RDWR|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("setting the layout of the keyboard: %w", err)
	}
	defer tty.Close()
	return do(terminal{tty})
}

// Load gives the layout to the kernel.
func (k *Keymap) Load() error { return onConsole(k.load) }
