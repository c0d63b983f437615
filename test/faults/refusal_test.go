package faults

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/onbox"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/loopbox"
	"github.com/stek-edge/stek/test/swtpm"
)

const (
	answers = "stek: 1\nencryption: {unlock: [tpm2], recovery: {show: true}}\n"
	erase   = answers + "disk: {erase: true}\n"
	enough  = 20 << 30 // bytes of a disk

	answerFile = "stek/preseed.yaml"
)

// TestRefusals goes the whole way that an installation goes, until it is refused.
// Then it compares every disk with what it was before.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		answers string
		machine func(t *testing.T, m *loopbox.Machine)
		stick   func(t *testing.T, s *loopbox.Stick)
		tpm     func(t *testing.T) string              // in place of one that firmware has measured into
		planned func(t *testing.T, m *loopbox.Machine) // between the plan and its first step
		status  installer.Status
		message string
		remedy  string
	}{
		{name: "no disk", answers: answers, machine: func(*testing.T, *loopbox.Machine) {}, status: installer.StatusMissing,
			message: "no disk was found in this machine", remedy: "check that a disk is fitted"},
		{name: "no disk matches", answers: answers + "disk: {match: {serial: NOPE}}\n", status: installer.StatusRefused,
			message: "no disk fits disk.match", remedy: "correct disk.match in the answer file"},
		{name: "several match", answers: answers, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			m.AddDisk("nvme0n1", "A1", enough, nil)
			m.AddDisk("nvme1n1", "A2", enough, nil)
		}, message: "2 disks could be used", remedy: `disk.match.serial: "A1"`},
		{name: "only the boot medium", answers: erase, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			m.AddDisk("sda", "STICK", enough, gpt(`type=U, name=esp, uuid=11111111-0000-4000-8000-000000000001, size=64M`, `type=L, name=root-a`))
			m.BootedFrom("11111111-0000-4000-8000-000000000001")
		}, message: "none of the disks can be used", remedy: "fit a disk that the system was not started from"},
		{name: "mounted", answers: erase, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			d := m.AddDisk("nvme0n1", "A1", enough, gpt(`type=L, size=64M`))
			loopbox.Tool(t, "mkfs.ext4", "-q", loopbox.Partition(d.Node, 1))
			dir := t.TempDir()
			must(t, unix.Mount(loopbox.Partition(d.Node, 1), dir, "ext4", unix.MS_RDONLY, ""))
			t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
		}, message: "none of the disks can be used", remedy: "unmount what is in use"},
		{name: "held by another program", answers: erase, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			hold(t, m.AddDisk("nvme0n1", "A1", enough, nil))
		}, message: "none of the disks can be used", remedy: "unmount what is in use"},
		{name: "taken after the plan was made", answers: erase, status: installer.StatusRefused,
			planned: func(t *testing.T, m *loopbox.Machine) { hold(t, m.Disks["nvme0n1"]) },
			message: "nvme0n1 is in use", remedy: "unmount what is on it"},
		{name: "another disk in its place", answers: erase, status: installer.StatusRefused,
			planned: func(t *testing.T, m *loopbox.Machine) { m.Put("sys/block/nvme0n1/device/serial", "B7\n") },
			message: "is not the disk that was chosen any more (serial was A1 and is B7)", remedy: "start again: the machine is looked at anew"},
		{name: "data, no consent", answers: answers, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			m.AddDisk("nvme0n1", "A1", enough, func(image string) { loopbox.Tool(t, "mkfs.ext4", "-q", "-F", image) })
		}, message: "is not empty", remedy: "set disk.erase: true in the answer file"},
		{name: "something nobody knows, no consent", answers: answers, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			m.AddDisk("nvme0n1", "A1", enough, at(777, []byte{1}))
		}, message: "is not empty", remedy: "set disk.erase: true in the answer file"},
		{name: "stek, no consent", answers: erase, status: installer.StatusRefused, machine: installed,
			message: "stek is already installed on the disk", remedy: "set both disk.erase: true and disk.reinstall: true"},
		{name: "stek, reinstall without erase", answers: answers + "disk: {reinstall: true}\n", status: installer.StatusInvalid, machine: installed,
			message: "true without disk.erase: true", remedy: "write erase: true, or take reinstall out"},
		{name: "remains of LVM", answers: answers, status: installer.StatusRefused, machine: remains(lvm),
			message: "part of an LVM volume group", remedy: "on the other disks too, set disk.erase: true"},
		{name: "remains of a RAID at the end", answers: answers, status: installer.StatusRefused, machine: remains(raid),
			message: "part of a Linux RAID", remedy: "on the other disks too, set disk.erase: true"},
		{name: "remains of ZFS", answers: answers, status: installer.StatusRefused, machine: remains(zfs),
			message: "part of a ZFS pool", remedy: "on the other disks too, set disk.erase: true"},
		{name: "remains of a RAID behind a new table", answers: answers, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			m.AddDisk("nvme0n1", "A1", enough, func(image string) {
				gpt(`type=L, size=64M`)(image)
				raid(image)
			})
		}, message: "remains of Linux RAID", remedy: "set disk.erase: true"},
		{name: "too small", answers: erase, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			m.AddDisk("nvme0n1", "A1", disk.MinDiskSize-1<<20, nil)
		}, message: "none of the disks can be used", remedy: "fit a disk of at least"},
		{name: "write-protected", answers: erase, status: installer.StatusRefused, machine: func(t *testing.T, m *loopbox.Machine) {
			d := m.AddDisk("nvme0n1", "A1", enough, nil)
			loopbox.Tool(t, "blockdev", "--setro", d.Node)
			t.Cleanup(func() { loopbox.Tool(t, "blockdev", "--setrw", d.Node) })
		}, message: "none of the disks can be used", remedy: "remove the write protection"},
		{name: "no TPM", answers: erase, status: installer.StatusMissing, machine: func(t *testing.T, m *loopbox.Machine) {
			one(t, m)
			m.Remove("sys/class/tpm")
		}, message: "this machine shows none", remedy: "switch the TPM on in the firmware"},
		{name: "TPM without measurements", answers: erase, status: installer.StatusMissing, machine: func(t *testing.T, m *loopbox.Machine) {
			one(t, m)
			m.Put("sys/class/tpm/tpm0/pcr-sha256/0", strings.Repeat("0", 64)+"\n")
		}, message: "measures nothing into it", remedy: "switch measured boot on"},
		{name: "TPM gone", answers: erase, status: installer.StatusMissing,
			tpm:     func(t *testing.T) string { return filepath.Join(t.TempDir(), "tpmrm0") },
			message: "no TPM at ", remedy: "switch the TPM on in the firmware"},
		{name: "TPM that does not answer", answers: erase, status: installer.StatusMissing,
			tpm:     mute,
			message: "this machine's cannot do it (", remedy: "take its power away for a minute"},
		{name: "TPM in which Secure Boot's register is empty", answers: erase, status: installer.StatusMissing,
			tpm:     func(t *testing.T) string { return "swtpm:" + swtpm.Start(t).Socket },
			message: "refusing to seal to PCR 7: it is all zeros", remedy: "switch measured boot (TPM, SHA-256) on"},
		{name: "TPM with an owner password", answers: erase, status: installer.StatusMissing,
			tpm:     func(t *testing.T) string { return measured(t, "tpm2_changeauth -c owner secret") },
			message: "the TPM has an owner password", remedy: "clear the TPM in the firmware settings and start again, or take tpm2 out of encryption.unlock"},
		{name: "TPM with another system's storage key", answers: erase, status: installer.StatusMissing,
			tpm: func(t *testing.T) string {
				return measured(t, "tpm2_createprimary -C o -g sha256 -G rsa -c key", "tpm2_flushcontext -t", "tpm2_evictcontrol -C o -c key 0x81000001")
			},
			message: "storage key at 0x81000001 is another one than needed", remedy: "clear the TPM in the firmware settings and start again, or take tpm2 out of encryption.unlock"},
		{name: "BIOS only", answers: erase, status: installer.StatusMissing, machine: func(t *testing.T, m *loopbox.Machine) {
			one(t, m)
			m.Remove("sys/firmware/efi")
		}, message: "starts with bios firmware", remedy: "switch the firmware from legacy (CSM) to UEFI"},
		{name: "too little memory", answers: erase, status: installer.StatusMissing, machine: func(t *testing.T, m *loopbox.Machine) {
			one(t, m)
			m.Put("proc/meminfo", "MemTotal: 1000000 kB\n")
		}, message: "a k3s node needs", remedy: "add memory"},
		{name: "answers too large", answers: answers + strings.Repeat("# more\n", preseed.MaxSize/7), status: installer.StatusInvalid,
			message: "more than the limit", remedy: "is this the right file?"},
		{name: "answers in UTF-16", answers: "\xff\xfes\x00t\x00e\x00k\x00:\x00", status: installer.StatusInvalid,
			message: "UTF-16", remedy: "save it as UTF-8"},
		{name: "answers in Latin-1", answers: answers + "node: {site: K\xf6ln}\n", status: installer.StatusInvalid,
			message: "not valid UTF-8", remedy: "save it as UTF-8"},
		{name: "answers of a later version", answers: "stek: 2\n", status: installer.StatusInvalid,
			message: "the file is written for format 2, newer than this version of stek", remedy: "install with a newer image"},
		{name: "answers unreadable", answers: erase, status: installer.StatusInvalid,
			stick: func(t *testing.T, s *loopbox.Stick) {
				name := filepath.Join(s.ESP, answerFile)
				must(t, os.Remove(name))
				must(t, os.Symlink("/proc/self/mem", name)) // whose first page is never there (proc_pid_mem(5))
			},
			message: "stek/preseed.yaml cannot be read (input/output error)", remedy: "copy the file once more, on any computer"},
		{name: "root on the stick damaged", answers: erase, status: installer.StatusRefused,
			stick:   func(t *testing.T, s *loopbox.Stick) { loopbox.Flip(t, s.Root, 5<<20) },
			message: "the root file system on the stick is damaged", remedy: "write the image to the stick again"},
		{name: "hash tree on the stick damaged", answers: erase, status: installer.StatusRefused,
			stick:   func(t *testing.T, s *loopbox.Stick) { loopbox.Flip(t, s.Root, loopbox.RootSize+4096+40) },
			message: "the root file system on the stick is damaged", remedy: "write the image to the stick again"},
		{name: "root on the stick cut off", answers: erase, status: installer.StatusRefused,
			stick:   func(t *testing.T, s *loopbox.Stick) { must(t, os.Truncate(s.Root, 1<<20)) },
			message: "the root file system on the stick is damaged", remedy: "write the image to the stick again"},
		{name: "kernel on the stick damaged", answers: erase, status: installer.StatusRefused,
			stick:   func(t *testing.T, s *loopbox.Stick) { loopbox.Flip(t, filepath.Join(s.ESP, installer.UKIPath), 0x700) },
			message: "stek-a.efi on the stick is damaged", remedy: "write the image to the stick again"},
		{name: "boot loader on the stick gone", answers: erase, status: installer.StatusRefused,
			stick:   func(t *testing.T, s *loopbox.Stick) { must(t, os.Remove(filepath.Join(s.ESP, "EFI/BOOT/BOOTX64.EFI"))) },
			message: "BOOTX64.EFI on the stick is damaged", remedy: "write the image to the stick again"},
		{name: "boot loader on the stick unreadable", answers: erase, status: installer.StatusFailed,
			stick: func(t *testing.T, s *loopbox.Stick) {
				loader := filepath.Join(s.ESP, "EFI/BOOT/BOOTX64.EFI")
				must(t, os.Remove(loader))
				must(t, os.Symlink("/proc/self/mem", loader)) // whose first page is never there (proc_pid_mem(5))
			},
			message: "the stick cannot be read, and nothing on any disk was changed: ", remedy: "put the stick in again"},
		{name: "stick fails while its root is read", answers: erase, status: installer.StatusFailed,
			stick: func(t *testing.T, s *loopbox.Stick) {
				device := strings.TrimSpace(loopbox.Tool(t, "losetup", "--find", "--show", s.Root))
				t.Cleanup(func() { loopbox.Tool(t, "losetup", "--detach", device) })
				must(t, os.Truncate(s.Root, 5<<20)) // behind which the device has errors
				s.Root = device
			},
			message: "the stick cannot be read, and nothing on any disk was changed: ", remedy: "put the stick in again"},
		{name: "stick pulled", answers: erase, status: installer.StatusFailed,
			stick: func(t *testing.T, s *loopbox.Stick) {
				must(t, os.RemoveAll(filepath.Join(s.ESP, "EFI")))
				must(t, os.Remove(s.Root))
			},
			message: "the stick cannot be read, and nothing on any disk was changed: ", remedy: "put the stick in again"},
		{name: "stick nearly full", answers: erase, status: installer.StatusRefused,
			stick:   func(t *testing.T, s *loopbox.Stick) { leaveFree(t, s, 200<<10) },
			message: "the stick is full: ", remedy: "delete what is not needed from the stick"},
		{name: "stick full", answers: erase, status: installer.StatusFailed,
			stick:   func(t *testing.T, s *loopbox.Stick) { leaveFree(t, s, 0) },
			message: "writing the journal: ", remedy: "delete what is not needed from the stick"},
		{name: "stick write-protected", answers: erase, status: installer.StatusFailed,
			stick: func(t *testing.T, s *loopbox.Stick) {
				must(t, unix.Mount(s.ESP, s.ESP, "", unix.MS_BIND, ""))
				t.Cleanup(func() { must(t, unix.Unmount(s.ESP, 0)) })
				must(t, unix.Mount("", s.ESP, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			},
			message: "writing the journal: ", remedy: "switch the write protection of the stick off"},
	}
	good := measured(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, s := loopbox.New(t), loopbox.NewStick(t)
			if tt.machine == nil {
				tt.machine = one
			}
			tt.machine(t, m)
			answer(t, s, tt.answers)
			if tt.stick != nil {
				tt.stick(t, s)
			}
			before := m.Sums()
			chip := good
			if tt.tpm != nil {
				chip = tt.tpm(t)
			}
			err := install(t, m, s, chip, func() {
				if tt.planned != nil {
					tt.planned(t, m)
				}
			})
			if err == nil || installer.StatusOf(err) != tt.status {
				t.Fatalf("status %d, want %d: %v", installer.StatusOf(err), tt.status, err)
			}
			if !strings.Contains(err.Error(), tt.message) {
				t.Errorf("it says\n%v\nand not\n%s", err, tt.message)
			}
			if said := err.Error() + installer.RemedyOf(err); tt.remedy == "" || !strings.Contains(said, tt.remedy) {
				t.Errorf("the remedy\n%s\nis not\n%s", said, tt.remedy)
			}
			if diff := cmp.Diff(before, m.Sums()); diff != "" {
				t.Errorf("a disk was changed:\n%s", diff)
			}
		})
	}
}

// The same way without a fault does change the disk: the comparison above would see it.
func TestSumsSeeAChange(t *testing.T) {
	m, s, chip := loopbox.New(t), loopbox.NewStick(t), measured(t)
	one(t, m)
	answer(t, s, erase)
	before := m.Sums()
	ctx, cancel := context.WithCancel(t.Context())
	err := installUntil(ctx, t, m, s, chip, func() {}, func(e installer.Event) {
		if e.Kind == installer.StepDone && e.Step == installer.StepRoot {
			cancel()
		}
	})
	if installer.StatusOf(err) != installer.StatusAborted {
		t.Fatalf("status %d: %v", installer.StatusOf(err), err)
	}
	if cmp.Equal(before, m.Sums()) {
		t.Error("the disk was not changed")
	}
	inv, err := hardware.Look(t.Context(), m.Roots)
	must(t, err)
	if len(inv.Disks[0].Partitions) != 4 {
		t.Errorf("%+v", inv.Disks[0])
	}
	// The next try of the same stick takes it up without being told to erase.
	answer(t, s, answers)
	var skipped []string
	ctx, cancel = context.WithCancel(t.Context())
	err = installUntil(ctx, t, m, s, chip, func() {}, func(e installer.Event) {
		switch {
		case e.Kind == installer.StepSkipped:
			skipped = append(skipped, e.Step)
		case e.Kind == installer.StepStarted && e.Step == installer.StepState:
			cancel()
		}
	})
	if installer.StatusOf(err) != installer.StatusAborted || fmt.Sprint(skipped) != "[partition root]" {
		t.Errorf("skipped %v: %v", skipped, err)
	}
}

// install goes the way of an installation: answers, a look at the machine, the plan,
// and its steps.
func install(t *testing.T, m *loopbox.Machine, s *loopbox.Stick, chip string, planned func()) error {
	t.Helper()
	return installUntil(t.Context(), t, m, s, chip, planned, func(installer.Event) {})
}

func installUntil(ctx context.Context, t *testing.T, m *loopbox.Machine, s *loopbox.Stick, chip string, planned func(), emit installer.Emit) error {
	t.Helper()
	inv, err := hardware.Look(ctx, m.Roots)
	must(t, err)
	given, err := onbox.ReadAnswers(ctx, filepath.Join(s.ESP, answerFile), answerFile, inv, onbox.Keys{}, nil)
	if err != nil {
		return err
	}
	ids, err := installer.LoadIDs(installer.JournalPath(s.ESP, inv.Board.Serial), rand.Reader)
	if err != nil {
		return err
	}
	plan, err := installer.Make(given.Full, inv, s.Image, ids)
	if err != nil {
		return err
	}
	planned()
	return installer.Run(ctx, plan, &installer.Site{
		Machine: m.Roots, Answers: given.Full, StickESP: s.ESP, Root: s.Root, EFIVars: m.Roots.EFIVars,
		Shadow: "/etc/shadow", TPM: chip, WorkDir: t.TempDir(), Tools: installer.Tools{}, Now: time.Now,
	}, emit)
}

// measured is a TPM into which firmware has measured, after commands of tpm2-tools, whose
// words are separated by spaces.
func measured(t *testing.T, commands ...string) string {
	t.Helper()
	emu, dir := swtpm.Start(t), t.TempDir()
	if len(commands) > 0 {
		must(t, emu.Lend(func(tcti string) {
			for _, c := range commands {
				loopbox.Tool(t, "env", append([]string{"--chdir=" + dir, "TPM2TOOLS_TCTI=" + tcti}, strings.Fields(c)...)...)
			}
		}))
	}
	chip, err := tpm.Open("swtpm:" + emu.Socket)
	must(t, err)
	defer chip.Close()
	must(t, chip.Extend(t.Context(), 7, []byte("secure boot, off")))
	return "swtpm:" + emu.Socket
}

// mute is a TPM that takes commands and has no answers.
func mute(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tpm-") // the path of a socket is short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "data"))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			c.Close()
		}
	}()
	return "swtpm:" + l.Addr().String()
}

// answer puts an answer file onto the stick.
func answer(t *testing.T, s *loopbox.Stick, text string) {
	t.Helper()
	name := filepath.Join(s.ESP, answerFile)
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(text), 0o644))
}

func one(t *testing.T, m *loopbox.Machine) {
	t.Helper()
	m.AddDisk("nvme0n1", "A1", enough, nil)
}

// leaveFree moves the stick's files to a file system of their own with so much free
// space, bytes.
func leaveFree(t *testing.T, s *loopbox.Stick, free int) {
	t.Helper()
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	must(t, os.CopyFS(dir, os.DirFS(s.ESP)))
	var fs unix.Statfs_t
	must(t, unix.Statfs(dir, &fs))
	must(t, os.WriteFile(filepath.Join(dir, "photographs"), make([]byte, int(fs.Bavail)*int(fs.Bsize)-free), 0o644))
	s.ESP = dir
}

// hold opens a disk for one program alone, as a file system, a RAID or a cluster does.
func hold(t *testing.T, d *loopbox.Disk) {
	t.Helper()
	f, err := os.OpenFile(d.Node, os.O_RDONLY|unix.O_EXCL, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
}

// installed is a disk as an installation leaves it.
func installed(t *testing.T, m *loopbox.Machine) {
	t.Helper()
	d := m.AddDisk("nvme0n1", "A1", enough, gpt(
		`type=U, name=esp, size=1G`, `type=L, name=root-a, size=4G`, `type=L, name=root-b, size=4G`,
		`type=CA7D7CCB-63ED-4C53-861C-1742536059CC, name=state`))
	loopbox.ToolIn(t, "secret", "cryptsetup", "luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000",
		"--label="+disk.StateLabel, loopbox.Partition(d.Node, 4), "-")
}

// gpt fills an image with a partition table, one line of sfdisk for each partition.
func gpt(lines ...string) func(image string) {
	return func(image string) {
		cmd := "label: gpt\n" + strings.Join(lines, "\n") + "\n"
		loopbox.ToolIn(failing{}, cmd, "sfdisk", "-q", image)
	}
}

// at fills an image with bytes at a place.
func at(off int64, b []byte) func(image string) {
	return func(image string) {
		f, err := os.OpenFile(image, os.O_WRONLY, 0)
		must(failing{}, err)
		_, err = f.WriteAt(b, off)
		must(failing{}, err)
		must(failing{}, f.Close())
	}
}

// remains is a machine whose disk was part of something larger once. blkid confirms
// that it looks like that.
func remains(fill func(image string)) func(t *testing.T, m *loopbox.Machine) {
	return func(t *testing.T, m *loopbox.Machine) {
		d := m.AddDisk("nvme0n1", "A1", enough, fill)
		if out := loopbox.Tool(t, "blkid", "--probe", "--output", "value", "--match-tag", "TYPE", d.Node); !strings.HasSuffix(strings.TrimSpace(out), "_member") {
			t.Fatalf("blkid calls it %q", out)
		}
	}
}

// lvm writes the label of a physical volume (lvm2, lib/label/label.h).
func lvm(image string) {
	le := binary.LittleEndian
	s := make([]byte, 512)
	copy(s, "LABELONE")
	le.PutUint64(s[8:], 1)
	le.PutUint32(s[20:], 32)
	copy(s[24:], "LVM2 001")
	copy(s[32:], "AbCdEf0123456789ghijklmnopqrstuv")
	crc := uint32(0xf597a6cf) // lib/misc/crc.c
	for _, c := range s[20:] {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ (0xedb88320 & -(crc & 1))
		}
	}
	le.PutUint32(s[16:], crc)
	at(512, s)(image)
}

// raid writes the superblock of version 1.0, which lies at the end (md(4)).
func raid(image string) {
	le := binary.LittleEndian
	off := uint64((enough/512 - 16) &^ 7 * 512)
	s := make([]byte, 256)
	le.PutUint32(s, 0xa92b4efc)
	le.PutUint32(s[4:], 1)
	copy(s[16:], "\x0b\x5f\x5a\x30\x7d\x5c\x4c\x1e\x9a\x53\x0a\x1b\x2c\x3d\x4e\x5f")
	le.PutUint64(s[144:], off/512)
	var sum uint64
	for i := 0; i < len(s); i += 4 {
		sum += uint64(le.Uint32(s[i:]))
	}
	le.PutUint32(s[216:], uint32(sum)+uint32(sum>>32))
	at(int64(off), s)(image)
}

// zfs writes uberblocks into the first of the four labels (ZFS on-disk format, 1.3).
func zfs(image string) {
	for i := range int64(8) {
		at(128<<10+1024*i, binary.LittleEndian.AppendUint64(nil, 0xbab10c))(image)
	}
}

// failing stands in for a test in functions that make content and have none.
type failing struct{ testing.TB }

func (failing) Helper()                           {}
func (failing) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (failing) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
