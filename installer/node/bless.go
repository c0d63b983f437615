package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/bootcount"
	"github.com/stek-edge/stek/installer/fatmount"
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
	notes, err := fatmount.Mount(f.esp(), dir)
	for _, note := range notes {
		fmt.Fprintln(os.Stderr, note) // to the journal
	}
	if err != nil {
		return fmt.Errorf("the boot partition: %w", err)
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
