// Command box is a box in a test guest: "install" installs it from its stick with the
// installer's own engine, is stopped just before the end, and does it again; "start"
// starts it from its disk as stage1 and the node's first services do. What it is at it
// writes to a disk of its own, so that the recording of its disks knows.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/firmware/bootcount"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/durable"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/node"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/stage1"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/guest/inside"
	"github.com/stek-edge/stek/test/powercut"
)

const (
	chipAt  = "/dev/tpmrm0"
	stickAt = "/run/stek/stick"
	vars    = "/run/efivars"
)

func main() {
	if err := work(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(ctx context.Context, args []string) error {
	for _, dir := range []string{stickAt, vars, "/state"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	switch args[0] {
	case "install":
		var image installer.Image
		if err := json.Unmarshal([]byte(args[2]), &image); err != nil {
			return err
		}
		return installTwice(ctx, args[1], image)
	case "start":
		if err := measureStart(ctx); err != nil {
			return err
		}
		for _, name := range args[1:] {
			if err := start(ctx, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	return errors.New("install or start")
}

// mark says what the box is at, on the disk "marks".
func mark(text string) error {
	fmt.Println(text)
	name, err := inside.DiskBySerial("marks", 20*time.Second)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|unix.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	sector := make([]byte, 4096)
	copy(sector, text)
	_, err = f.Write(sector)
	return err
}

// installTwice installs, is stopped when the disk has just become bootable, and
// installs again as after a power cut.
func installTwice(ctx context.Context, answers string, image installer.Image) error {
	stick, err := inside.DiskBySerial("stick", 20*time.Second)
	if err != nil {
		return err
	}
	if err := unix.Mount(disk.PartitionPath(stick, 1), stickAt, "vfat", 0, "umask=077,shortname=mixed"); err != nil {
		return fmt.Errorf("mounting the stick: %w", err)
	}
	// What firmware and stub measure before the kernel starts.
	if err := measure(ctx, 7, "firmware"); err != nil {
		return err
	}
	for _, try := range []string{"first try", "second try"} {
		err := install(ctx, answers, image, disk.PartitionPath(stick, 2), try)
		if stopped := installer.StatusOf(err) == installer.StatusAborted; err != nil && !(stopped && try == "first try") {
			return err
		}
	}
	if err := mark("installed"); err != nil {
		return err
	}
	return unix.Unmount(stickAt, 0)
}

func install(ctx context.Context, text string, image installer.Image, root, try string) error {
	parsed, err := preseed.Parse("answers.yaml", []byte(text))
	if err != nil {
		return err
	}
	answers := preseed.Defaults(parsed)
	inv, err := hardware.Look(ctx, hardware.Host())
	if err != nil {
		return err
	}
	// The guest's kernel was started directly: there is no firmware to ask.
	inv.Firmware.Type, inv.TPM.Measured = "uefi", true
	journal := installer.JournalPath(stickAt, inv.Board.Serial)
	ids, err := installer.LoadIDs(journal, rand.Reader)
	if err != nil {
		return err
	}
	plan, err := installer.Make(answers, inv, image, ids)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tools := stopAt{installer.Tools{}, func() {}}
	if try == "first try" {
		tools.stop = cancel
	}
	err = installer.Run(ctx, plan, &installer.Site{
		Machine: hardware.Host(), Answers: answers, StickESP: stickAt, Root: root, EFIVars: vars, Shadow: "/etc/shadow",
		TPM: chipAt, WorkDir: "/run/stek", Tools: tools, Now: time.Now,
	}, func(e installer.Event) {
		switch e.Kind {
		case installer.StepStarted, installer.StepSkipped:
			if err := mark(try + ": " + e.Step); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		case installer.StepNote, installer.StepFailed:
			fmt.Println(" ", e.Message)
		}
	})
	if err != nil {
		return err
	}
	return installer.CloseJournal(journal)
}

// stopAt is stopped where the firmware's boot menu would be written: the disk is
// bootable by then, and the volume has not the label of a finished one yet.
type stopAt struct {
	installer.Runner
	stop func()
}

func (s stopAt) Run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	if name == "efibootmgr" {
		s.stop()
		return nil, errors.New("there is no firmware")
	}
	return s.Runner.Run(ctx, stdin, name, args...)
}

func measure(ctx context.Context, pcr int, events ...string) error {
	chip, err := tpm.Open(chipAt)
	if err != nil {
		return err
	}
	defer chip.Close()
	for _, e := range events {
		if err := chip.Extend(ctx, pcr, []byte(e)); err != nil {
			return err
		}
	}
	return nil
}

// measureStart measures what firmware, stub and stage1 measure at a start from the disk.
func measureStart(ctx context.Context) error {
	target, err := inside.DiskBySerial("target", 20*time.Second)
	if err != nil {
		return err
	}
	if err := unix.Mount(disk.PartitionPath(target, 1), stickAt, "vfat", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	files, err := filepath.Glob(stickAt + "/EFI/Linux/stek-a*.efi")
	if err != nil || len(files) != 1 {
		return fmt.Errorf("%d kernels: %w", len(files), err)
	}
	image, err := uki.Open(files[0])
	if err != nil {
		return err
	}
	if err := unix.Unmount(stickAt, 0); err != nil {
		return err
	}
	chip, err := tpm.Open(chipAt)
	if err != nil {
		return err
	}
	defer chip.Close()
	return powercut.MeasureStart(ctx, chip, image)
}

// start is one start of the box from its disk.
func start(ctx context.Context, name string) error {
	if err := mark(name); err != nil {
		return err
	}
	target, err := inside.DiskBySerial("target", 20*time.Second)
	if err != nil {
		return err
	}
	entry, err := loaded(disk.PartitionPath(target, 1))
	if err != nil {
		return fmt.Errorf("what the boot loader does: %w", err)
	}
	f := &node.Facts{Disk: target}
	f.Unlocked = stage1.Unlocked{Device: disk.PartitionPath(target, 4)}
	unmount, err := open(ctx, f)
	if err != nil {
		return err
	}
	if err := durable.WriteFile("/state/etc/upper/machine-id", []byte(strings.Repeat("0123456789abcdef", 2)+"\n"), 0o444); err != nil {
		return err
	}
	if f.Header, err = vault.Inspect(f.Unlocked.Device); err != nil {
		return err
	}
	done, err := node.Settle(ctx, f, chipAt)
	fmt.Println(" ", strings.Join(done, "; "))
	if err != nil {
		return err
	}
	if entry {
		if err := f.Bless(vars); err != nil {
			return err
		}
	}
	return unmount()
}

// loaded takes a try off the boot entry, as systemd-boot does, and gives it back, as
// stage1 does. It tells whether the entry is counted still.
func loaded(esp string) (counted bool, err error) {
	dir := "/run/stek/esp"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	if err := unix.Mount(esp, dir, "vfat", 0, "umask=077"); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, 0)) }()
	files, err := filepath.Glob(dir + "/EFI/Linux/stek-a+*.efi")
	if err != nil || len(files) == 0 {
		return false, err
	}
	e, _ := bootcount.Parse("EFI/Linux/" + filepath.Base(files[0]))
	e.Left, e.Failed = e.Left-1, e.Failed+1
	taken := filepath.Join(filepath.Dir(files[0]), e.FileName())
	if err := os.Rename(files[0], taken); err != nil {
		return false, err
	}
	unix.Sync()
	variable := []byte{6, 0, 0, 0}
	for _, c := range utf16.Encode([]rune(`\EFI\Linux\` + e.FileName() + "\x00")) {
		variable = binary.LittleEndian.AppendUint16(variable, c)
	}
	if err := os.WriteFile(vars+"/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", variable, 0o600); err != nil {
		return false, err
	}
	return true, bootcount.GiveBack(dir, e)
}

// open opens the volume by the TPM and mounts it on /state.
func open(ctx context.Context, f *node.Facts) (unmount func() error, err error) {
	chip, err := tpm.Open(chipAt)
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	if f.Unlocked.PCRs, err = chip.ReadPCRs(ctx, 4, 7, 11, 12, 15); err != nil {
		return nil, err
	}
	h, err := vault.Inspect(f.Unlocked.Device)
	if err != nil {
		return nil, err
	}
	v, err := h.Unlock(ctx, vault.ByTPM{Unsealer: chip})
	if err != nil {
		return nil, err
	}
	defer v.Close()
	f.Unlocked.Opened = v.OpenedBy("a")
	mapped, err := v.Map()
	if err != nil {
		return nil, err
	}
	if err := unix.Mount(mapped, "/state", "ext4", 0, ""); err != nil {
		return nil, fmt.Errorf("mounting state: %w", err)
	}
	unmount = func() error { return errors.Join(unix.Unmount("/state", 0), vault.Unmap()) }
	record, err := os.ReadFile("/state/" + installer.NodeRecord)
	if err != nil {
		return nil, err
	}
	return unmount, json.Unmarshal(record, &f.Record)
}
