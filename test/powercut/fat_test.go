//go:build guest

package powercut_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/powercut"
	"github.com/stek-edge/stek/test/powercut/testdata/fat/content"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullFAT cuts the power at every write of Linux' vfat while a folder is made, a key is
// replaced and a kernel is blessed. What was on the partition by a mark stays, or a later
// one; there is always a kernel; and after the partition was mended, replacing what is
// there harms nobody else.
func TestFullFAT(t *testing.T) {
	const size = 64 << 20
	when := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	kernel := bytes.Repeat([]byte("kernel "), 20000)
	image := filepath.Join(t.TempDir(), "boot.img")
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(size))
	v, err := fat.Format(f, size, false, fat.Options{Label: "STEK", Serial: 1, Time: when})
	must(t, err)
	for name, b := range map[string][]byte{content.Kernels[0]: kernel, "stek/reports/BOX0001/plan.json": kernel[:5000]} {
		must(t, v.WriteFile(name, b, when))
	}
	must(t, f.Close())

	rec := record(t, powercut.Disk{Name: "boot", Size: size, From: image})
	result, err := guest.Run(t.Context(), guest.Spec{
		Main: "./testdata/fat", Modules: []string{"vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1"},
		Machine: vm.Machine{Memory: 512, Disks: []vm.Disk{{Name: "boot", Path: rec.Path("boot"), Serial: "boot", Flushes: true}}},
	})
	must(t, err)
	if result.Exit != 0 {
		t.Fatalf("in the guest: exit status %d\n%s%s", result.Exit, result.Stdout, result.Stderr)
	}
	o := options(t, 1)
	o.Draws = 6
	mended := 0
	stats, err := rec.Log().Replay(o, func(s *powercut.State) error {
		name := filepath.Join(o.Dir, "cut.img")
		if err := s.CopyTo("boot", name); err != nil {
			return err
		}
		done, err := fat.MendDevice(name)
		if err != nil {
			return err
		}
		if len(done) > 0 {
			mended++
		}
		return keeps(name, kernel)
	})
	if err != nil {
		t.Error(err)
	}
	if mended == 0 {
		t.Error("no state had to be mended")
	}
	t.Logf("%d writes, %d flushes, %d states, %d checked, %d of them mended", stats.Writes, stats.Flushes, stats.States, stats.Checked, mended)
}

// keeps looks at a partition after a power cut, and goes on with it.
func keeps(name string, kernel []byte) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	v, err := fat.Open(f, size)
	if err != nil {
		return err
	}
	if err := key(v); err != nil {
		return err
	}
	where, err := starts(v, kernel)
	if err != nil {
		return err
	}
	// The next start replaces the key and keeps the kernel that it was started from.
	if err := v.WriteFile(content.Key, []byte("the next"), time.Time{}); err != nil {
		return err
	}
	for _, name := range content.Kernels {
		if _, err := v.Stat(name); err == nil && name != where {
			if err := v.Remove(name); err != nil {
				return err
			}
		}
	}
	_, err = starts(v, kernel)
	return err
}

// key: once a version was marked, that one or a later one is there.
func key(v *fat.Volume) error {
	marked := 0
	for n := 1; n <= content.Versions; n++ {
		if e, err := v.Stat(content.Mark(n)); err == nil && e.Size > 0 {
			marked = n
		}
	}
	found, err := v.ReadFile(content.Key, 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for n := marked; n <= content.Versions; n++ {
		if n > 0 && bytes.Equal(found, content.Version(n)) || n == 0 && len(found) == 0 {
			return nil
		}
	}
	return fmt.Errorf("version %d of the key was safe, and now there are %d bytes (%.10q)", marked, len(found), found)
}

// starts finds a kernel that is whole.
func starts(v *fat.Volume, kernel []byte) (where string, err error) {
	for _, name := range slices.Backward(content.Kernels) {
		found, err := v.ReadFile(name, 1<<20)
		if err == nil && bytes.Equal(found, kernel) {
			return name, nil
		}
	}
	return "", errors.New("no kernel is whole")
}
