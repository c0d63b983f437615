package vm_test

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/testimage"
	"github.com/stek-edge/stek/test/vm"
)

// within bounds a step; a test that hangs would hide which one.
func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// bootLimit is generous: a guest that is ready in six seconds on an idle machine took
// more than a minute beside seven other jobs on two cores.
const bootLimit = 5 * time.Minute

// guest is the kernel and the initramfs with testdata/init, made once.
var guest = sync.OnceValues(func() (vm.Machine, error) {
	ctx := context.Background()
	kernel, err := testimage.TestKernel(ctx)
	if err != nil {
		return vm.Machine{}, err
	}
	dir, err := os.MkdirTemp("", "stek-vm-test-")
	if err != nil {
		return vm.Machine{}, err
	}
	guestDir = dir
	tree := testimage.NewTree()
	if err := tree.AddGo(ctx, "/init", "./testdata/init"); err != nil {
		return vm.Machine{}, err
	}
	err = tree.AddModules(kernel, "virtio_pci", "virtio_blk", "virtio_net", "xhci_pci", "usb_storage", "sd_mod", "nvme", "ahci", "virtio_scsi")
	if err != nil {
		return vm.Machine{}, err
	}
	initrd := filepath.Join(dir, "initrd")
	return vm.Machine{
		Memory: 512, Kernel: kernel.Image, Initrd: initrd, Accel: vm.TCG,
		Cmdline: "console=ttyS0 quiet panic=-1",
	}, tree.WriteFile(initrd)
})

var guestDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if guestDir != "" {
		os.RemoveAll(guestDir)
	}
	if left := vm.Children(); len(left) > 0 {
		println("processes are left:", strings.Join(left, ", "))
		code = 1
	}
	os.Exit(code)
}

func guestMachine(t *testing.T) vm.Machine {
	t.Helper()
	m, err := guest()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ask types a command of testdata/init and gives its answer.
func ask(t *testing.T, box *vm.Box, command string) string {
	t.Helper()
	ctx := within(t, bootLimit)
	if err := box.Console.Send(command); err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(command, " ")
	match, err := box.Console.Expect(ctx, `^(?:ready> )?`+name+` = (.*)`)
	if err != nil {
		t.Fatal(err)
	}
	return match.Groups[0]
}

func boot(t *testing.T, m vm.Machine) *vm.Box {
	t.Helper()
	box := vm.Start(t, m)
	if _, err := box.Console.ExpectPrompt(within(t, bootLimit), `ready> `); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready after %.1f s", box.Uptime().Seconds())
	return box
}

func TestGuestTalksOnConsole(t *testing.T) {
	m := guestMachine(t)
	m.Screen = true
	box := vm.Start(t, m)
	match, err := box.Console.Expect(within(t, bootLimit), `never printed`, `hello from pid (\d+)`)
	if err != nil {
		t.Fatal(err)
	}
	if match.Alternative != 1 || match.Groups[0] != "1" || match.At <= 0 {
		t.Errorf("match is %+v, want alternative 1 with pid 1", match)
	}
	if got := ask(t, box, "colours"); got != "green and red" {
		t.Errorf("colours answered %q, want them without escape sequences", got)
	}

	picture := filepath.Join(t.TempDir(), "screen.png")
	if err := box.Screenshot(t.Context(), picture); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(data), "\x89PNG") {
		t.Errorf("the picture of the screen is no PNG file (%v)", err)
	}

	if err := box.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, err := box.Status(t.Context()); err != nil || status != "paused" {
		t.Errorf("status is %q (%v), want paused", status, err)
	}
	if err := box.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}

	if err := box.Console.Send("off"); err != nil {
		t.Fatal(err)
	}
	if err := box.WaitOff(within(t, bootLimit)); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(box.Logs, "console.log"))
	if err != nil || !strings.Contains(string(log), "] hello from pid 1") {
		t.Errorf("console.log lacks the line of the guest (%v): %s", err, log)
	}
}

func TestPanicEndsExpectAtOnce(t *testing.T) {
	t.Setenv(vm.ArtifactsEnv, t.TempDir())
	box := boot(t, guestMachine(t))
	if err := box.Console.Send("panic"); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	_, err := box.Console.Expect(within(t, bootLimit), `never printed`)
	if err == nil || !strings.Contains(err.Error(), "fatal") || time.Since(started) > 30*time.Second {
		t.Errorf("after %v: %v, want a fatal error at once", time.Since(started), err)
	}
}

func TestTPMStateOutlivesPower(t *testing.T) {
	m := guestMachine(t)
	m.Dir = t.TempDir()
	m.TPM = &vm.TPM{Manufacturer: filepath.Join(m.Dir, "manufacturer")}

	box := boot(t, m)
	zero := ask(t, box, "pcr 15")
	if zero != strings.Repeat("0", 64) {
		t.Errorf("PCR 15 is %s at power-on, want zeros", zero)
	}
	if pcr := ask(t, box, "pcr 0"); len(pcr) != 64 {
		t.Errorf("PCR 0 is %q, want 32 bytes in hex", pcr)
	}
	if size := ask(t, box, "ekcert"); !strings.HasSuffix(size, " bytes") {
		t.Errorf("the endorsement key certificate: %s", size)
	}
	for _, command := range []string{"extend 15", "define kept over power"} {
		if answer := ask(t, box, command); answer != "done" {
			t.Fatalf("%s: %s", command, answer)
		}
	}
	if extended := ask(t, box, "pcr 15"); extended == zero {
		t.Error("PCR 15 is still zero after it was extended")
	}

	started := time.Now()
	if err := box.PowerCut(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("the power cut took %v, want no waiting for the guest", took)
	}
	if left := vm.Children(); len(left) > 0 {
		t.Errorf("after the power cut these still run: %v", left)
	}

	box = boot(t, m)
	if again := ask(t, box, "pcr 15"); again != zero {
		t.Errorf("PCR 15 is %s after a power cut, want zeros", again)
	}
	if kept := ask(t, box, "nv"); kept != "kept over power" {
		t.Errorf("the NV index holds %q after a power cut", kept)
	}
}

// TestHeldTPM: the PCRs of a machine that is off can be read from a TPM that is not.
func TestHeldTPM(t *testing.T) {
	m := guestMachine(t)
	m.Dir = t.TempDir()
	m.TPM = &vm.TPM{Held: true}
	box := boot(t, m)
	if answer := ask(t, box, "extend 15"); answer != "done" {
		t.Fatalf("extend 15: %s", answer)
	}
	extended := ask(t, box, "pcr 15")
	path, err := box.HoldTPM()
	if err != nil {
		t.Fatal(err)
	}
	if !box.Off() {
		t.Error("the machine runs on")
	}
	chip, err := tpm.Open("swtpm:" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer chip.Close()
	for range 2 {
		now, err := chip.ReadPCRs(t.Context(), 15)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(now[15]); !strings.EqualFold(got, extended) {
			t.Errorf("PCR 15 is %s, the machine said %s", got, extended)
		}
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if left := vm.Children(); len(left) > 0 {
		t.Errorf("after Close these still run: %v", left)
	}
	if _, err := new(vm.Box).HoldTPM(); err == nil {
		t.Error("a box without a TPM has one that is held")
	}
}

// findDisk asks until the disk is there: the kernel waits a second before it looks at a
// stick, and longer under load.
func findDisk(t *testing.T, box *vm.Box, serial string) (device string) {
	t.Helper()
	for range 15 {
		if device = ask(t, box, "disk "+serial); strings.HasPrefix(device, "/dev/") {
			return device
		}
	}
	t.Fatalf("disk %s: %s", serial, device)
	return ""
}

func TestStickIsPulledAndPlugged(t *testing.T) {
	m := guestMachine(t)
	dir := t.TempDir()
	for _, bus := range []vm.Bus{vm.USB, vm.NVMe, vm.SATA, vm.SCSI, vm.Virtio} {
		path := filepath.Join(dir, string(bus))
		if err := vm.NewDisk(path, 8<<20); err != nil {
			t.Fatal(err)
		}
		m.Disks = append(m.Disks, vm.Disk{Name: string(bus), Path: path, Bus: bus, Serial: "S-" + string(bus)})
	}
	box := boot(t, m)
	for _, d := range m.Disks {
		device := findDisk(t, box, d.Serial)
		if answer := ask(t, box, "write "+device+" canary-on-"+d.Name); answer != "done" {
			t.Errorf("writing to %s: %s", d.Name, answer)
		}
		found, err := vm.ScanFile(t.Context(), d.Path, vm.Canary{Name: d.Name, Value: []byte("canary-on-" + d.Name)})
		if err != nil || len(found) != 1 || found[0].Offset != 0 {
			t.Errorf("on the image of %s the canary is found at %v (%v), want once at its start", d.Name, found, err)
		}
	}

	if err := box.Pull(within(t, bootLimit), "usb"); err != nil {
		t.Fatal(err)
	}
	if answer := ask(t, box, "disk S-usb"); !strings.HasPrefix(answer, "error") {
		t.Errorf("the guest still sees the pulled stick as %s", answer)
	}
	if err := box.Plug(within(t, bootLimit), "usb"); err != nil {
		t.Fatal(err)
	}
	if text := ask(t, box, "read "+findDisk(t, box, "S-usb")); text != "canary-on-usb" {
		t.Errorf("the stick reads %q after it was plugged again", text)
	}
	if err := box.Pull(t.Context(), "nvme"); err == nil {
		t.Error("an NVMe disk was pulled like a stick")
	}
}

func TestWireCountsPackets(t *testing.T) {
	wire := &vm.Wire{}
	m := guestMachine(t)
	m.Cmdline += " ipv6.disable=1"
	m.NICs = []vm.NIC{{Wire: wire, MAC: "52:54:00:00:00:01"}}
	box := boot(t, m)
	if n := wire.Count(); n != 0 {
		t.Errorf("%d packets before anybody sent one: %v", n, wire.Frames())
	}
	if answer := ask(t, box, "shout eth0"); answer != "done" {
		t.Fatal(answer)
	}
	for deadline := time.Now().Add(10 * time.Second); wire.Count() == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	frames := wire.Frames()
	if len(frames) != 1 || frames[0].EtherType() != 0x88b5 {
		t.Errorf("the wire saw %v, want the one packet of type 0x88b5", frames)
	}
}

func TestResetIsReported(t *testing.T) {
	box := boot(t, guestMachine(t))
	if err := box.Console.Send("reboot"); err != nil {
		t.Fatal(err)
	}
	if err := box.WaitReset(within(t, bootLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := box.Console.ExpectPrompt(within(t, bootLimit), `ready> `); err != nil {
		t.Fatal(err)
	}
	if err := box.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := box.WaitReset(within(t, bootLimit)); err != nil {
		t.Fatal(err)
	}
}
