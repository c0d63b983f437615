package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/guest/inside"
)

// Mounted is where Enter puts the system.
const Mounted = "/mnt"

// Enter mounts the system from the disk with that serial, and in it what its programs
// expect. It waits for the disk up to limit.
func Enter(serial string, limit time.Duration) error {
	disk, err := inside.DiskBySerial(serial, limit)
	if err != nil {
		return err
	}
	if err := unix.Mount(disk, Mounted, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mounting the system: %w", err)
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := unix.Mount(dir, Mounted+dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	return nil
}

// Programs runs programs of the entered system, and is the runner of a vault.Manager.
type Programs struct {
	Env []string // "NAME=value", besides PATH and the locale
}

// Run runs a program and returns its standard output.
func (p Programs) Run(ctx context.Context, c vault.Command) ([]byte, error) {
	found := ""
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		if _, err := os.Stat(filepath.Join(Mounted, dir, c.Name)); err == nil {
			found = filepath.Join(dir, c.Name)
		}
	}
	if found == "" {
		return nil, fmt.Errorf("the system has no %s", c.Name)
	}
	cmd := exec.CommandContext(ctx, found, c.Args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: Mounted}
	cmd.Dir, cmd.Stdin = "/", bytes.NewReader(c.Stdin)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin", "LC_ALL=C.UTF-8"}, p.Env...)
	for _, content := range c.Files {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		_, err = w.Write(content)
		if err = errors.Join(err, w.Close()); err != nil {
			return nil, err
		}
		defer r.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w: %s%s", c.Name, strings.Join(c.Args, " "), err, out, stderr.String())
	}
	return out, nil
}
