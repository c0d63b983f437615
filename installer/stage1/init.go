package stage1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/tpm"
)

// IsInit tells whether this process is the first one of an initramfs.
func IsInit() bool { return os.Getpid() == 1 && os.Args[0] == "/init" }

// The bounds of waiting. What does not come in time is treated as absent; the box
// then restarts by itself and tries again, since nobody may be there.
const (
	waitForDisk   = 90 * time.Second
	waitForTPM    = 10 * time.Second
	waitForPerson = 15 * time.Minute
	waitToRestart = 60 * time.Second
)

// alwaysNeeded are the modules that no device announces.
var alwaysNeeded = []string{
	"efivarfs", "dm_mod", "dm_verity", "dm_crypt", "xts", "aesni_intel", "sha256_ssse3", "sha512_ssse3",
	"squashfs", "overlay", "ext4", "i8042", "atkbd",
}

// stage1 is one run of the initramfs.
type stage1 struct {
	console        *console.Consoles
	line           timeline
	modules        *moduleIndex
	loading        []*insertion    // of alwaysNeeded
	seen           map[string]bool // device aliases that were looked at
	spec           RootSpec
	disk           bootDisk
	layout         []byte           // of the keyboard, from the ESP; nil: the kernel's own
	chip           *tpm.Device      // nil without a TPM
	failed         *tpm.FailedError // the TPM is there, but out of order
	device         string           // of chip, whether it is there or not
	tpms           func() []string  // device of each TPM that is there now
	open           func(device string) (*tpm.Device, error)
	closed         map[string]bool // devices of TPMs that are capped
	node           string          // device node of the opened volume
	volumeMeasured bool            // PCR 15 says which volume was opened
}

// Main is the life of PID 1 in the initramfs. It ends in the new root's init, or in
// a restart of the machine; it never returns.
func Main() {
	s := &stage1{console: &console.Consoles{}, seen: map[string]bool{},
		device: tpmDevice, tpms: tpmDevices, open: tpm.Open, closed: map[string]bool{}}
	err := s.guarded()
	s.capPCRs(context.Background()) // on this way out too
	s.console.Say("%s", whyNot(err))
	time.Sleep(waitToRestart)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {}
}

// whyNot says on the screen why the machine does not start, and what to do.
func whyNot(err error) string {
	text := fmt.Sprintf("\nThis machine cannot start: %v\n", err)
	if remedy := remedyOf(err); remedy != "" {
		text += "What to do: " + remedy + "\n"
	}
	return text + fmt.Sprintf("It restarts in %v and tries again. Nothing on its disks was changed.", waitToRestart)
}

// guarded runs stage1 and turns a panic into an error: the first process must not
// die, for the kernel would, before the PCRs are capped.
func (s *stage1) guarded() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a fault in stek itself: %v\n%s", r, debug.Stack())
		}
	}()
	return s.run(context.Background())
}

func (s *stage1) run(ctx context.Context) error {
	if err := mountKernelFileSystems(); err != nil {
		return err
	}
	s.console = console.Open()
	s.line.mark("stage1")
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	if s.spec, err = ParseCmdline(string(cmdline)); err != nil {
		return err
	}
	s.console.Say("stek %s", s.spec.Version)
	if err := s.loadDrivers(); err != nil {
		return err
	}
	if err := s.waitForBootDisk(); err != nil {
		return err
	}
	s.line.mark("boot disk found")
	s.waitForDrivers()
	s.line.mark("drivers loaded")
	if err := s.useKeymap(); err != nil {
		s.console.Say("%v; keys mean what they do on a US keyboard", err)
	}
	if err := s.openTPM(ctx); err != nil {
		return err
	}
	if err := s.giveTryBack(); err != nil {
		s.console.Say("%v", err) // a counter is no reason to stay down
	}
	if err := s.prepareState(ctx); err != nil {
		return err
	}
	if err := s.capPCRs(ctx); err != nil {
		return err
	}
	if err := mountRoot(s.spec, s.disk.Root); err != nil {
		return err
	}
	s.line.mark("root verified and mounted")
	if err := s.layOut(); err != nil {
		return err
	}
	s.line.mark("switch root")
	if err := s.leaveNotes(); err != nil {
		return err
	}
	return switchRoot()
}

// mountKernelFileSystems mounts what every process expects, as systemd would.
func mountKernelFileSystems() error {
	for _, m := range []struct {
		source, dir, fstype, options string
		flags                        uintptr
	}{
		{"proc", "/proc", "proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", "sysfs", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"devtmpfs", "/dev", "devtmpfs", "mode=0755", unix.MS_NOSUID},
		{"tmpfs", "/run", "tmpfs", "mode=0755", unix.MS_NOSUID | unix.MS_NODEV},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.dir, m.fstype, m.flags, m.options); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.dir, err)
		}
	}
	return os.MkdirAll("/run/stek", 0o755)
}

// loadDrivers begins with what is always needed, and waits for no more of it than it takes
// to look for the disk.
func (s *stage1) loadDrivers() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	var err error
	if s.modules, err = openModules("/", unix.ByteSliceToString(uts.Release[:])); err != nil {
		return err
	}
	for _, name := range alwaysNeeded {
		s.loading = append(s.loading, s.modules.start(name)...)
	}
	_ = s.modules.load("efivarfs") // one of those: waitForDrivers says what is wrong with it
	if err := unix.Mount("efivarfs", efivars, "efivarfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		s.console.Say("the firmware's variables cannot be read: %v", err)
	}
	return nil
}

// waitForDrivers waits for what was begun beside looking for the disk.
func (s *stage1) waitForDrivers() {
	for _, module := range s.loading {
		if err := module.wait(); err != nil {
			s.console.Say("%v", err) // another part says what is missing, if it is
		}
	}
}

const efivars = "/sys/firmware/efi/efivars"

// waitForBootDisk loads drivers for what appears until the booted disk is there.
func (s *stage1) waitForBootDisk() error {
	loader := loaderPartition(efivars)
	deadline := time.Now().Add(waitForDisk)
	told := false
	for {
		for s.modules.coldplug("/sys", s.seen, func(err error) { s.console.Say("%v", err) }) {
		}
		disk, err := pickBootDisk(readDisks("/sys", "/dev"), loader, s.spec.guid())
		if err == nil {
			s.disk = disk
			return nil
		}
		if !errors.Is(err, errNoBootDisk) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w, after %v of waiting (partition %s); seen: %s", err, waitForDisk, loader, diskNames())
		}
		if !told && sinceKernel() > 5*time.Second {
			s.console.Say("waiting for the disk that this machine was started from")
			told = true
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func diskNames() string {
	entries, _ := os.ReadDir("/sys/block")
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) == 0 {
		return "no disk at all"
	}
	return strings.Join(names, ", ")
}

// layOut lays the private and mutable parts over the root. In the installer they
// are a tmpfs, so that no two installations can share anything.
func (s *stage1) layOut() error {
	state := filepath.Join(sysroot, "state")
	if s.isNode() {
		if err := unix.Mount(s.node, state, "ext4", unix.MS_NODEV|unix.MS_NOATIME, disk.StateOptions); err != nil {
			return fmt.Errorf("mounting the opened state volume: %w", err)
		}
	} else if err := unix.Mount("tmpfs", state, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs for the installer: %w", err)
	}
	if err := layState(); err != nil {
		return err
	}
	if s.isNode() {
		if err := s.settleKeymap(); err != nil {
			s.console.Say("the layout of the keyboard: %v", err)
		}
		return machineID(filepath.Join(sysroot, "etc/machine-id"))
	}
	return nil
}

func (s *stage1) isNode() bool { return s.disk.State != "" }

// leaveNotes tells the started system what it is and how long everything took.
func (s *stage1) leaveNotes() error {
	note := InstallerFile
	if s.isNode() {
		note = NodeFile
	}
	if err := os.WriteFile(note, []byte(s.disk.Device+"\n"), 0o644); err != nil {
		return err
	}
	if err := s.noteTPMs(TPMClosedDir); err != nil {
		return err
	}
	return s.line.save(TimelineFile)
}
