//go:build e2e

package attack

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/builder"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/test/eventlog"
	"github.com/stek-edge/stek/test/site"
	"github.com/stek-edge/stek/test/swtpm"
	"github.com/stek-edge/stek/test/vm"
)

// room is a site with a box that has come to rest, switched off. Every scenario works on
// copies of its disk, its TPM and its firmware's variables.
type room struct {
	site     *site.Site
	recovery string
	events   []eventlog.Event // what the firmware measured at the last start
}

// settledWithin bounds what a screen is waited for after the disk was opened.
const settledWithin = 15 * time.Minute

// newRoom installs a box and starts it from its disk until its key is bound.
func newRoom(t *testing.T, o site.Options) *room {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var err error
	if o.Stek, o.Image, err = site.BuildImage(ctx, "../.."); err != nil {
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	s, err := site.New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	r := &room{site: s}
	for _, m := range []vm.Machine{s.Machine, s.WithoutStick()} {
		b, err := s.PowerOnAs(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.comeToRest(ctx, b, len(m.Disks) > 1); err != nil {
			keep(t, b)
			t.Fatal(err)
		}
		t.Logf("the box has come to rest at %.0f s of this power-on", b.Uptime().Seconds())
		if err := b.PowerCut(); err != nil {
			t.Fatal(err)
		}
	}
	if r.recovery, err = s.RecoveryKey(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// comeToRest waits for a start from the disk. Its keys are settled before anybody can log
// in. That a start was good is said at its end, after k3s; here it is said at once.
func (r *room) comeToRest(ctx context.Context, b *site.Box, installs bool) error {
	if installs {
		if _, err := b.WaitInstalled(ctx); err != nil {
			return err
		}
	}
	if _, err := b.WaitOpened(ctx); err != nil {
		return err
	}
	if err := b.LogIn(ctx); err != nil {
		return err
	}
	log, err := b.Run(ctx, "stek node bless >/dev/null && sync && base64 -w 400 /sys/kernel/security/tpm0/binary_bios_measurements")
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(log, "\n", ""))
	if err != nil {
		return fmt.Errorf("the firmware's event log: %w", err)
	}
	r.events, err = eventlog.Parse(raw)
	return err
}

func keep(t *testing.T, b *site.Box) {
	dir := filepath.Join(os.Getenv(vm.ArtifactsEnv), strings.ReplaceAll(t.Name(), "/", "_"))
	if os.Getenv(vm.ArtifactsEnv) == "" {
		dir = filepath.Join(os.TempDir(), "stek-artifacts", strings.ReplaceAll(t.Name(), "/", "_"))
	}
	t.Logf("logs of the box: %s, %v", dir, b.Keep(dir))
}

// copies gives a machine of its own to a scenario.
func (r *room) copies(t *testing.T) vm.Machine {
	t.Helper()
	m := r.site.WithoutStick()
	from := m.Dir
	m.Dir = filepath.Join(t.TempDir(), "box")
	m.Fatal = nil // "cannot start" is what some of them wait for
	if err := os.Mkdir(m.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vars.fd", "tpm"} {
		if out, err := exec.Command("cp", "-r", filepath.Join(from, name), m.Dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	m.TPM = &vm.TPM{Dir: filepath.Join(m.Dir, "tpm"), Held: true}
	disk := filepath.Join(m.Dir, "disk.img")
	if err := vm.CopyDisk(t.Context(), r.site.Disk, disk); err != nil {
		t.Fatal(err)
	}
	m.Disks = slices.Clone(m.Disks) // the site's own are behind it
	m.Disks[0].Path = disk
	return m
}

func powerOn(t *testing.T, r *room, m vm.Machine) *site.Box {
	t.Helper()
	b, err := r.site.PowerOnAs(context.WithoutCancel(t.Context()), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			keep(t, b)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// asks waits for the prompt and compares what the screen says before it.
func asks(t *testing.T, b *site.Box, screen ...string) {
	t.Helper()
	if _, err := b.WaitLocked(t.Context()); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, l := range b.Console.Lines() {
		line, ok := strings.CutPrefix(strings.TrimRight(l.Text, "\r "), "stek: ")
		switch {
		case !ok:
		case line == "The disk of this box did not open by itself.":
			said = []string{}
		case strings.HasPrefix(line, "Type the recovery key"):
			same(t, "the screen says", said, screen)
			return
		case said != nil:
			said = append(said, line)
		}
	}
	t.Error("the screen does not say why it asks")
}

// opensWithKey types the recovery key at the prompt.
func opensWithKey(t *testing.T, b *site.Box, key string) {
	t.Helper()
	if err := b.Console.Send(key); err != nil {
		t.Fatal(err)
	}
	if m, err := b.WaitOpened(t.Context()); err != nil || m.Groups[0] != "recovery" {
		t.Fatalf("the recovery key: %v, %v", m.Groups, err)
	}
}

// says waits for a line of stek's, word by word.
func says(t *testing.T, b *site.Box, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settledWithin)
	defer cancel()
	if _, err := b.Console.Expect(ctx, "^"+regexp.QuoteMeta("stek: "+line)); err != nil {
		t.Fatal(err)
	}
}

// TestFullWithoutSecureBoot: one box, installed once, and what is done to it.
func TestFullWithoutSecureBoot(t *testing.T) {
	r := newRoom(t, site.Options{})

	t.Run("no TPM", func(t *testing.T) {
		m := r.copies(t)
		m.TPM = nil
		b := powerOn(t, r, m)
		asks(t, b, "- tpm2 (slot 3): no TPM at /dev/tpmrm0: file does not exist", noTPM)
		opensWithKey(t, b, r.recovery)
	})

	t.Run("TPM cleared", func(t *testing.T) {
		m := r.copies(t)
		withTPM(t, m, "tpm2_clear -c p")
		b := powerOn(t, r, m)
		asks(t, b, "- tpm2 (slot 3): the TPM was cleared: its storage key at 0x81000001 is gone", withRecovery)
		opensWithKey(t, b, r.recovery)
	})

	t.Run("command line handed to the stub", func(t *testing.T) {
		m := r.copies(t)
		disk := m.Disks[0].Path
		entry := fmt.Sprintf("title evil\nefi /%s\noptions %s loglevel=3\n", esp.Kernel("a", 0), kernelOf(t, disk).Cmdline())
		put(t, disk, "loader/entries/evil.conf", []byte(entry))
		put(t, disk, esp.LoaderConf, []byte("timeout 0\ndefault evil.conf\n"))
		b := powerOn(t, r, m)
		asks(t, b, "- tpm2 (slot 3): the TPM's policy does not hold: a PCR changed (PCR 12 changed)", "  "+outside12+ifMeant)
		opensWithKey(t, b, r.recovery)
	})

	for _, e := range edits {
		t.Run("edited "+e.name, func(t *testing.T) {
			m := r.copies(t)
			e.apply(t, m.Disks[0].Path)
			b := powerOn(t, r, m)
			asks(t, b, "- tpm2 (slot 3): the TPM's policy does not hold: a PCR changed (PCR 4, 11 changed)", "  "+loader4+"; "+image11+ifMeant)
			if e.name == "initramfs" {
				opensWithKey(t, b, r.recovery)
			}
		})
	}

	t.Run("volume replaced by one with the same UUID", func(t *testing.T) {
		m := r.copies(t)
		uuid := r.volume(t).uuid()
		evil, key := newVolume(t, uuid)
		image, err := os.ReadFile(evil.Device)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, m.Disks[0].Path, image, statePartition(t, m.Disks[0].Path))
		b := powerOn(t, r, m)
		asks(t, b, "- tpm2: the volume has no slot for this")
		if err := b.Console.Send(key.Reveal()); err != nil {
			t.Fatal(err)
		}
		says(t, b, "This machine cannot start: the encrypted volume ("+uuid+") is not the one this box was installed with")
		says(t, b, "What to do: "+swappedRemedy)
	})

	t.Run("plain file system in its place", func(t *testing.T) {
		m := r.copies(t)
		overwrite(t, m.Disks[0].Path, make([]byte, 1<<20), statePartition(t, m.Disks[0].Path))
		b := powerOn(t, r, m)
		says(t, b, "This machine cannot start: "+fmt.Sprintf(lookingAt, "/dev/nvme0n1p4", "the partition holds no LUKS2 volume"))
		says(t, b, "What to do: "+notLUKSRemedy)
	})

	t.Run("second disk with a state of its own", func(t *testing.T) {
		m := r.copies(t)
		evil := filepath.Join(m.Dir, "evil.img")
		if err := vm.NewDisk(evil, 64<<20); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sgdisk", "-n", "4:2048:0", "-c", "4:state", "-t", "4:CA7D7CCB-63ED-4C53-861C-1742536059CC", evil).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		volume, _ := newVolume(t, "")
		image, err := os.ReadFile(volume.Device)
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, evil, image, 2048*512)
		m.Disks = append([]vm.Disk{{Name: "evil", Path: evil, Bus: vm.NVMe, Serial: "AAA"}}, m.Disks...)
		b := powerOn(t, r, m)
		if o, err := b.WaitOpened(t.Context()); err != nil || o.Groups[0] != "tpm2" {
			t.Errorf("opened by %v, %v", o.Groups, err)
		}
	})

	t.Run("clone of the disk beside it", func(t *testing.T) {
		m := r.copies(t)
		clone := filepath.Join(m.Dir, "clone.img")
		if err := vm.CopyDisk(t.Context(), m.Disks[0].Path, clone); err != nil {
			t.Fatal(err)
		}
		m.Disks = append(m.Disks, vm.Disk{Name: "clone", Path: clone, Bus: vm.NVMe, Serial: "CLONE"})
		b := powerOn(t, r, m)
		says(t, b, "This machine cannot start: several disks could have been started from (/dev/nvme0n1, /dev/nvme1n1) and the firmware does not say which; pull out the others")
	})

	t.Run("flipped byte in the root image", func(t *testing.T) {
		m := r.copies(t)
		root := partition(t, m.Disks[0].Path, 2)
		one := make([]byte, 1)
		err := at(m.Disks[0].Path, func(f *os.File) error {
			if _, err := f.ReadAt(one, root+100); err != nil {
				return err
			}
			_, err := f.WriteAt([]byte{one[0] ^ 1}, root+100)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b := powerOn(t, r, m)
		says(t, b, "This machine cannot start: mounting the root file system: input/output error (the image on /dev/nvme0n1p2 is damaged or does not belong to this kernel; write it again)")
	})

	r.door(t)
	r.otherSystem(t)
	r.lateTPM(t)

	t.Run("three power cuts while it opens", func(t *testing.T) {
		m := r.copies(t)
		for range 3 {
			b := powerOn(t, r, m)
			if o, err := b.WaitOpened(t.Context()); err != nil || o.Groups[0] != "tpm2" {
				t.Fatalf("opened by %v, %v", o.Groups, err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		played := &box{t: t, emu: swtpm.StartIn(t, m.TPM.Dir)}
		if l := played.lockout(); l.Counter != 0 || l.Locked {
			t.Errorf("after three cuts: %+v", l)
		}
	})
}

// TestFullSecureBoot: the same for a box with Secure Boot and keys of its own.
func TestFullSecureBoot(t *testing.T) {
	r := newRoom(t, site.Options{Firmware: vm.UEFISecureBoot, Answers: "boot: {secure-boot: enrol}\n"})

	for _, e := range edits {
		t.Run("edited "+e.name, func(t *testing.T) {
			m := r.copies(t)
			e.apply(t, m.Disks[0].Path)
			refusedByFirmware(t, powerOn(t, r, m))
		})
	}

	t.Run("Secure Boot switched off", func(t *testing.T) {
		m := r.copies(t)
		m.Firmware = vm.UEFI
		if err := os.Remove(filepath.Join(m.Dir, "vars.fd")); err != nil {
			t.Fatal(err)
		}
		b := powerOn(t, r, m)
		asks(t, b, "- tpm2 (slot 2): the TPM's policy does not hold: a PCR changed (PCR 7 changed)", "  "+keys7+ifMeant)
		opensWithKey(t, b, r.recovery)
	})

	t.Run("other keys enrolled", func(t *testing.T) {
		m := r.copies(t)
		m.Keys = vm.MicrosoftKeys
		if err := os.Remove(filepath.Join(m.Dir, "vars.fd")); err != nil {
			t.Fatal(err)
		}
		refusedByFirmware(t, powerOn(t, r, m))
	})

	r.door(t)
}

// refusedByFirmware waits for the firmware's verdict, and sees that no kernel ran.
func refusedByFirmware(t *testing.T, b *site.Box) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settledWithin)
	defer cancel()
	m, err := b.Console.Expect(ctx, `Access [Dd]enied`, `Security [Vv]iolation`, `EFI stub:`, `stek: `)
	if err != nil {
		t.Fatal(err)
	}
	if m.Alternative > 1 {
		t.Fatalf("a kernel ran: %s", m.Text)
	}
	if text := b.Console.Text(); strings.Contains(text, "Linux version") || strings.Contains(text, "stek: ") {
		t.Error("a kernel ran after the firmware had refused it")
	}
}

// edit changes one section of the system image without damage to what it does.
type edit struct {
	name   string
	change func(image []byte)
}

var edits = []edit{
	{"command line", swap("loglevel=4", "loglevel=5")},
	{"description", swap("PRETTY_NAME=\"stek", "PRETTY_NAME=\"Stek")},
	// The kernel's version as its header has it, outside of the packed part.
	{"kernel", swap("debian-kernel@lists.debian.org", "Debian-kernel@lists.debian.org")},
	// Zeros may follow an archive. In the file they are there already, as padding.
	{"initramfs", func(image []byte) {
		header := image[bytes.Index(image, []byte(".initrd\x00")):] // of the section: name, size, …, size in the file
		size, padded := binary.LittleEndian.Uint32(header[8:]), binary.LittleEndian.Uint32(header[16:])
		binary.LittleEndian.PutUint32(header[8:], min(size+4, padded))
	}},
}

func swap(old, new string) func([]byte) {
	return func(image []byte) {
		if i := bytes.Index(image, []byte(old)); i >= 0 {
			copy(image[i:], new)
		}
	}
}

func (e edit) apply(t *testing.T, disk string) {
	t.Helper()
	image := read(t, disk, esp.Kernel("a", 0))
	edited := bytes.Clone(image)
	e.change(edited)
	if bytes.Equal(image, edited) {
		t.Fatal("nothing was edited")
	}
	put(t, disk, esp.Kernel("a", 0), edited)
}

// kernelOf is the system image on a disk.
func kernelOf(t *testing.T, disk string) *uki.Image {
	t.Helper()
	image, err := uki.Parse(read(t, disk, esp.Kernel("a", 0)))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// withTPM runs commands of tpm2-tools on a machine's TPM while the machine is off.
func withTPM(t *testing.T, m vm.Machine, commands ...string) {
	t.Helper()
	played := &box{t: t, emu: swtpm.StartIn(t, m.TPM.Dir)}
	played.tools(commands...)
	played.emu.Stop()
}

func read(t *testing.T, disk, name string) []byte {
	t.Helper()
	content, err := builder.ReadFile(disk, name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func put(t *testing.T, disk, name string, content []byte) {
	t.Helper()
	if err := builder.PutFile(disk, name, content, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func statePartition(t *testing.T, disk string) int64 { return partition(t, disk, 4) }

// partition is where a partition of a disk begins, in bytes.
func partition(t *testing.T, disk string, number int) int64 {
	t.Helper()
	out, err := exec.Command("sgdisk", "-i", fmt.Sprint(number), disk).Output()
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`First sector: (\d+)`).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("no partition %d:\n%s", number, out)
	}
	var sector int64
	fmt.Sscan(m[1], &sector)
	return sector * 512
}
