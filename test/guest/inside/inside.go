// Package inside is for code that runs as the first process of a test guest: the agent
// of package guest, and small inits of other tests. It must never be part of the
// product's own init.
//
//	func main() {
//		defer inside.PowerOff()
//		if err := inside.Setup(); err != nil {
//			fmt.Println("setup failed:", err)
//			return
//		}
//		fmt.Println("hello from the guest")
//	}
package inside

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ModuleOrder is the file of the initramfs that lists its modules, one path on each line,
// in the order in which they can be loaded. Package testimage writes it.
const ModuleOrder = "/lib/modules/stek-test.order"

// Setup mounts proc, sys, dev and run, and loads the modules of the initramfs in their
// order. The initramfs itself stays the root.
func Setup() error {
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", ""},
		{"tmpfs", "/run", "mode=0755"}, {"tmpfs", "/tmp", "mode=1777"},
	} {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
		err := unix.Mount(m.kind, m.at, m.kind, unix.MS_NOSUID, m.options)
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
	}
	return loadModules()
}

func loadModules() error {
	order, err := os.ReadFile(ModuleOrder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("loading modules: %w", err)
	}
	for path := range strings.Lines(string(order)) {
		object, err := os.ReadFile(strings.TrimSpace(path))
		if err != nil {
			return fmt.Errorf("loading modules: %w", err)
		}
		// ENODEV is what drivers for another processor say, such as aesni_intel.
		err = unix.InitModule(object, "")
		if err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("loading %s: %w", strings.TrimSpace(path), err)
		}
	}
	return nil
}

// WaitFile waits until a path exists, for instance the device of a disk: drivers find
// their devices some time after they were loaded.
func WaitFile(path string, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not appear within %v", path, limit)
		}
	}
}

// DiskBySerial gives the device, such as /dev/vda, of the disk with that serial, and
// waits for it up to limit.
func DiskBySerial(serial string, limit time.Duration) (string, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		disks, err := os.ReadDir("/sys/block")
		if err != nil {
			return "", fmt.Errorf("looking for disk %s: %w", serial, err)
		}
		for _, d := range disks {
			if hasSerial(d.Name(), serial) {
				return "/dev/" + d.Name(), nil
			}
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("looking for disk %s: it does not appear within %v", serial, limit)
		}
	}
}

// hasSerial knows where the drivers show it: virtio in the disk's own directory, SATA and
// SCSI disks as page 80 of the vital product data, whose text follows a header of four
// bytes (SPC-4, section 7.8.12), NVMe and USB in a directory further up. The kernel never
// asks USB sticks for that page.
func hasSerial(disk, serial string) bool {
	is := func(value []byte) bool { return string(bytes.Trim(value, " \n\x00")) == serial }
	if page, err := os.ReadFile("/sys/block/" + disk + "/device/vpd_pg80"); err == nil && is(page[min(4, len(page)):]) {
		return true
	}
	dir, err := filepath.EvalSymlinks("/sys/block/" + disk)
	if err != nil {
		return false
	}
	for ; strings.HasPrefix(dir, "/sys/devices/"); dir = filepath.Dir(dir) {
		if value, err := os.ReadFile(dir + "/serial"); err == nil {
			return is(value)
		}
	}
	return false
}

// PowerOff lets the consoles finish what was written and powers off. It does not return.
func PowerOff() { end(unix.LINUX_REBOOT_CMD_POWER_OFF) }

// Reboot does the same with a reboot.
func Reboot() { end(unix.LINUX_REBOOT_CMD_RESTART) }

func end(command int) {
	unix.Sync()
	for _, console := range []string{"/dev/console", "/dev/ttyS0", "/dev/ttyS1"} {
		if f, err := os.OpenFile(console, os.O_WRONLY|unix.O_NOCTTY, 0); err == nil {
			unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) // tcdrain(3)
			f.Close()
		}
	}
	err := unix.Reboot(command)
	fmt.Println("cannot power off:", err)
	select {}
}
