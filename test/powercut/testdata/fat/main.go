// Command fat runs in a guest. On the FAT partition "boot" it replaces a key again and again,
// and renames a kernel as giving back its try and blessing do, the way that an installer and a node do; after each
// it leaves a mark, a file of its own.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/bootcount"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/fatmount"
	"github.com/stek-edge/stek/test/guest/inside"
	"github.com/stek-edge/stek/test/powercut/testdata/fat/content"
)

func main() {
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work() (err error) {
	device, err := inside.DiskBySerial("boot", 20*time.Second)
	if err != nil {
		return err
	}
	const dir = "/mnt"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	notes, err := fatmount.Mount(device, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	if len(notes) > 0 {
		return fmt.Errorf("the file system was mended: %q", notes)
	}
	for n := 1; n <= content.Versions; n++ {
		if err := durable.WriteFile(filepath.Join(dir, content.Key), content.Version(n), 0o644); err != nil {
			return err
		}
		if err := mark(dir, content.Mark(n)); err != nil {
			return err
		}
	}
	started, counted := bootcount.Parse(content.Kernels[0])
	if !counted {
		return fmt.Errorf("%s counts no tries", content.Kernels[0])
	}
	if err := bootcount.GiveBack(dir, started); err != nil {
		return err
	}
	if err := bootcount.Bless(dir, started); err != nil {
		return err
	}
	return mark(dir, content.Blessed)
}

func mark(dir, name string) error {
	return durable.WriteFile(filepath.Join(dir, name), []byte("done\n"), 0o644)
}
