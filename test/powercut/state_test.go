//go:build guest

package powercut_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/powercut"
	"github.com/stek-edge/stek/test/powercut/testdata/state/content"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullState cuts the power at every write of Linux' ext4, as a node mounts its state.
// What a program wrote before it synced something else is whole when that is there.
func TestFullState(t *testing.T) {
	const size = 64 << 20
	image := filepath.Join(t.TempDir(), "state.img")
	must(t, vm.NewDisk(image, size))
	must(t, disk.MakeState(t.Context(), disk.Exec{}, image))
	rec := record(t, powercut.Disk{Name: "state", Size: size, From: image})
	result, err := guest.Run(t.Context(), guest.Spec{
		Main: "./testdata/state", Modules: []string{"ext4", "crc32c_generic"},
		Machine: vm.Machine{Memory: 512, Disks: []vm.Disk{{Name: "state", Path: rec.Path("state"), Serial: "state", Flushes: true}}},
	})
	must(t, err)
	if result.Exit != 0 {
		t.Fatalf("in the guest: exit status %d\n%s%s", result.Exit, result.Stdout, result.Stderr)
	}
	o := options(t, 1)
	marks := 0
	stats, err := rec.Log().Replay(o, func(s *powercut.State) error {
		name := filepath.Join(o.Dir, "cut.img")
		if err := s.CopyTo("state", name); err != nil {
			return err
		}
		device, detach := loop(t, name)
		defer detach()
		seen, err := isWhole(device, t.TempDir())
		marks = max(marks, seen)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if marks != content.Files {
		t.Errorf("%d of %d files were seen", marks, content.Files)
	}
	t.Logf("%d writes, %d flushes, %d states, %d checked", stats.Writes, stats.Flushes, stats.States, stats.Checked)
}

// isWhole mounts what a power cut left, and returns how many marks it has.
func isWhole(device, dir string) (marks int, err error) {
	if err := unix.Mount(device, dir, "ext4", 0, ""); err != nil {
		return 0, fmt.Errorf("mounting: %w", err)
	}
	defer unix.Unmount(dir, 0)
	for n := range content.Files {
		if _, err := os.Stat(filepath.Join(dir, content.Mark(n))); err != nil {
			continue
		}
		marks++
		found, err := os.ReadFile(filepath.Join(dir, content.File(n)))
		if err != nil {
			return marks, err
		}
		if want := content.Content(n); !bytes.Equal(found, want) {
			return marks, fmt.Errorf("file %d has %d of %d bytes, or other ones", n, len(found), len(want))
		}
	}
	return marks, nil
}
