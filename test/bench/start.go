package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/stage1"
	"github.com/stek-edge/stek/test/debian"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/swtpm"
	"github.com/stek-edge/stek/test/vm"
)

// benchStart starts an installed box up to Ready, and by turns with it two others on the
// same machine:
//
//   - a copy of its disk, with Debian's kernel and the initramfs of its dracut, which opens
//     the same volume by the same TPM and goes over to the same root, without verifying it;
//   - a disk without any encryption, with that kernel and initramfs, and in one ext4 the
//     same root, configuration and cluster.
//
// In the end the box starts once more without k3s, to see what memory it uses by then.
//
// Up to switch_root both sides are read from the clock that the kernel starts, Debian's up
// to the first program of the root; up to Ready it is the time from power-on until the
// same program says so.
func benchStart(ctx context.Context, dir, stek, image string, runs int) error {
	dir, err := os.MkdirTemp(dir, "stek-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kernel, initrd, err := debian.Initrd(ctx)
	if err != nil {
		return err
	}
	s, err := site.New(ctx, site.Options{Stek: stek, Image: image, Dir: dir})
	if err != nil {
		return err
	}
	seen, err := installed(ctx, s)
	if err != nil {
		return fmt.Errorf("installing the box: %w", err)
	}
	plain, err := makePlain(ctx, s, kernel, initrd)
	if err != nil {
		return fmt.Errorf("making a disk without encryption: %w", err)
	}
	peer := s.WithoutStick()
	peer.Disks[0].Path = filepath.Join(dir, "peer.img")
	if err := vm.CopyDisk(ctx, s.Disk, peer.Disks[0].Path); err != nil {
		return err
	}
	uuid, err := enrolStock(ctx, s, peer.Disks[0].Path, seen)
	if err != nil {
		return fmt.Errorf("sealing the volume's key with systemd-cryptenroll: %w", err)
	}
	peer.Kernel, peer.Initrd, peer.Fatal = kernel, initrd, nil
	// It says the time on the line that is read, and lives on: the kernel stops when it ends.
	peer.Cmdline = "root=PARTLABEL=" + disk.RootA + " ro rd.luks.name=" + uuid + "=state rd.luks.options=tpm2-device=auto " +
		kernelOptions + ` init=/usr/bin/sh -- -c "cat /proc/uptime >/dev/ttyS0; sleep 60"`

	var debians, ours, ready, plainReady figures
	opened := map[string]figures{}
	for range runs {
		t, err := startDebian(ctx, s, peer)
		if err != nil {
			return fmt.Errorf("starting with Debian's initramfs: %w", err)
		}
		debians = append(debians, t)
		marks, t, err := startStek(ctx, s)
		if err != nil {
			return fmt.Errorf("starting stek: %w", err)
		}
		ready = append(ready, t)
		for _, m := range marks {
			opened[m.Name] = append(opened[m.Name], m.Since)
		}
		ours = append(ours, marks[len(marks)-1].Since)
		if t, err = startPlain(ctx, s, plain); err != nil {
			return fmt.Errorf("starting without encryption: %w", err)
		}
		plainReady = append(plainReady, t)
	}
	median, least, most := ratios(ours, debians)
	fmt.Printf("start of the kernel to switch_root, in a virtual box\n  Debian's dracut      %s\n  stek                 %s\n  time against it      %.2f (%.2f to %.2f); the aim is 0.50\n",
		debians, ours, median, least, most)
	for _, name := range []string{"stage1", "boot disk found", "drivers loaded", "volume opened", "root verified and mounted"} {
		fmt.Printf("    %-26s at %s\n", name, opened[name])
	}
	median, least, most = ratios(ready, plainReady)
	fmt.Printf("power-on to Ready, in a virtual box\n  no encryption        %s\n  stek                 %s\n  time against it      %.2f (%.2f to %.2f); the aim is 1.10\n",
		plainReady, ready, median, least, most)
	used, err := memoryBeforeK3s(ctx, s)
	if err != nil {
		return fmt.Errorf("looking at the memory before k3s: %w", err)
	}
	fmt.Printf("memory in use on a box that has started everything but k3s\n  stek %s; the aim is %s\n", hardware.Size(used), hardware.Size(aimMemory))
	return nil
}

// aimMemory is what a box should use at most before k3s starts, bytes.
const aimMemory = 90e6

// memoryBeforeK3s starts the box with k3s held back, and gives the memory, in bytes, that
// the kernel could not hand out anew (proc(5): MemTotal less MemAvailable).
func memoryBeforeK3s(ctx context.Context, s *site.Site) (uint64, error) {
	const hold = "/etc/systemd/system/k3s.service.d/held.conf"
	box, err := s.PowerOnAs(ctx, s.WithoutStick())
	if err != nil {
		return 0, err
	}
	defer box.Close()
	if err := box.LogIn(ctx); err != nil {
		return 0, err
	}
	if _, err := box.Run(ctx, `mkdir -p $(dirname `+hold+`) && printf '[Unit]\nConditionPathExists=/held\n' >`+hold+` && sync`); err != nil {
		return 0, err
	}
	if err := box.PowerCut(); err != nil {
		return 0, err
	}
	if box, err = s.PowerOnAs(ctx, s.WithoutStick()); err != nil {
		return 0, err
	}
	defer box.Close()
	if err := box.LogIn(ctx); err != nil {
		return 0, err
	}
	for _, command := range []string{
		"timeout 300 systemctl is-system-running --wait || true",
		"systemctl show k3s --property=ConditionResult | grep -x ConditionResult=no",
		"rm " + hold + " && sync",
	} {
		if _, err := box.Run(ctx, command); err != nil {
			return 0, err
		}
	}
	out, err := box.Run(ctx, "awk '/^MemTotal/ {t=$2} /^MemAvailable/ {a=$2} END {print t-a}' /proc/meminfo")
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseUint(strings.TrimSpace(out), 10, 64)
	return kib << 10, err
}

// kernelOptions are those that both sides have.
const kernelOptions = "console=ttyS0,115200 console=tty0 loglevel=4 systemd.show_status=auto"

// installed installs the box and starts it until it is Ready. It returns the PCR 7 that
// such a start has.
func installed(ctx context.Context, s *site.Site) (pcr7 string, err error) {
	box, err := s.PowerOn(ctx)
	if err != nil {
		return "", err
	}
	defer box.Close()
	if _, err := box.WaitInstalled(ctx); err != nil {
		return "", err
	}
	if _, err := box.WaitReady(ctx); err != nil {
		return "", err
	}
	if err := box.LogIn(ctx); err != nil {
		return "", err
	}
	b, err := box.Run(ctx, "cat "+stage1.UnlockFile)
	if err != nil {
		return "", err
	}
	var unlocked stage1.Unlocked
	if err := json.Unmarshal([]byte(b), &unlocked); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", unlocked.PCRs[7]), box.PowerCut()
}

// enrolStock adds a slot for systemd's own TPM unlocking to the volume of a disk, bound
// to PCR 7 as systemd-cryptenroll(1) does by itself, and returns the volume's UUID.
func enrolStock(ctx context.Context, s *site.Site, image, pcr7 string) (uuid string, err error) {
	system, err := debian.Root(ctx)
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(s.Dir, "enrol-")
	if err != nil {
		return "", err
	}
	key, err := s.RecoveryKey(ctx)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(work, "key"), []byte(key), 0o600); err != nil {
		return "", err
	}
	volume, err := site.Partition(image, disk.State)
	if err != nil {
		return "", err
	}
	state, err := output(ctx, "losetup", append(site.Alone(volume), "--find", "--show", image)...)
	if err != nil {
		return "", err
	}
	defer output(ctx, "losetup", "--detach", state)
	if uuid, err = output(ctx, "cryptsetup", "luksUUID", state); err != nil {
		return "", err
	}
	chip, err := swtpm.Run(filepath.Join(s.Machine.Dir, "tpm"))
	if err != nil {
		return "", err
	}
	defer chip.Stop()
	var out []byte
	lent := chip.Lend(func(tcti string) {
		cmd := debian.Command(ctx, system, work, nil, "systemd-cryptenroll", "--unlock-key-file=key", "--wipe-slot=tpm2",
			"--tpm2-device="+tcti, "--tpm2-pcrs=7:sha256="+pcr7, state)
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if err == nil {
		err = lent
	}
	return uuid, err
}

// startDebian takes the time until the root's first program runs, which prints it.
func startDebian(ctx context.Context, s *site.Site, m vm.Machine) (time.Duration, error) {
	box, err := s.PowerOnAs(ctx, m)
	if err != nil {
		return 0, err
	}
	defer box.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	found, err := box.Console.Expect(ctx, `^(\d+\.\d\d) \d+\.\d\d$`)
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, box.Console.Text())
	}
	seconds, err := strconv.ParseFloat(found.Groups[0], 64)
	return time.Duration(seconds * float64(time.Second)), err
}

// startStek returns what stage1 noted of a start, and the time from power-on to Ready.
func startStek(ctx context.Context, s *site.Site) ([]stage1.Mark, time.Duration, error) {
	box, err := s.PowerOnAs(ctx, s.WithoutStick())
	if err != nil {
		return nil, 0, err
	}
	defer box.Close()
	ready, err := box.WaitReady(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := box.LogIn(ctx); err != nil {
		return nil, 0, err
	}
	b, err := box.Run(ctx, "cat "+stage1.TimelineFile)
	if err != nil {
		return nil, 0, err
	}
	var marks []stage1.Mark
	if err := json.Unmarshal([]byte(strings.TrimSpace(b)), &marks); err != nil || len(marks) == 0 {
		return nil, 0, fmt.Errorf("the box noted %q: %w", b, err)
	}
	return marks, ready.At, nil
}
