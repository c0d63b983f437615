// Command state runs in a guest. It mounts the file system "state" as a node does, and writes
// as containerd and the CNI plugins do: files without syncing them, and after each something
// else that is synced.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/test/guest/inside"
	"github.com/stek-edge/stek/test/powercut/testdata/state/content"
)

func main() {
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work() (err error) {
	device, err := inside.DiskBySerial("state", 20*time.Second)
	if err != nil {
		return err
	}
	const dir = "/mnt"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, dir, "ext4", unix.MS_NODEV|unix.MS_NOATIME, disk.StateOptions); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	for _, name := range []string{content.File(0), content.Mark(0)} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			return err
		}
	}
	for n := range content.Files {
		if err := os.WriteFile(filepath.Join(dir, content.File(n)), content.Content(n), 0o600); err != nil {
			return err
		}
		if err := durable.WriteFile(filepath.Join(dir, content.Mark(n)), []byte("done\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}
