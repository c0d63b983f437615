//go:build e2e

package bootchain_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/images/esp"
	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/images/layout"
	"github.com/stek-edge/stek/test/testimage"
	"github.com/stek-edge/stek/test/vm"
)

// bootLimit ends a test that hangs, and measures nothing: an emulated box with SMM takes
// a minute, and several on a busy machine.
const bootLimit = 20 * time.Minute

var epoch = time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)

// testKeys are made once: those of the fleet, and those of a stranger.
var testKeys = sync.OnceValues(func() ([2]*secureboot.Keys, error) {
	var both [2]*secureboot.Keys
	for i := range both {
		keys, err := secureboot.Generate(epoch)
		if err != nil {
			return both, err
		}
		both[i] = keys
	}
	return both, nil
})

func keys(t *testing.T) (fleet, stranger *secureboot.Keys) {
	t.Helper()
	both, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	return both[0], both[1]
}

// initrd holds testdata/init, its modules, and the variables to enrol.
func initrd(t *testing.T, kernel testimage.Kernel) []byte {
	t.Helper()
	fleet, _ := keys(t)
	variables, err := fleet.Variables(secureboot.VariableOptions{Time: epoch})
	if err != nil {
		t.Fatal(err)
	}
	tree := testimage.NewTree()
	if err := tree.AddGo(t.Context(), "/init", "./testdata/init"); err != nil {
		t.Fatal(err)
	}
	if err := tree.AddModules(kernel, "efivarfs", "tpm_crb"); err != nil {
		t.Fatal(err)
	}
	for name, data := range variables.Files() {
		tree.AddBytes("/keys/"+name, 0o644, data)
	}
	var out bytes.Buffer
	if err := tree.WriteCPIO(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// image builds an unsigned image with the words on its command line.
func image(t *testing.T, words string) []byte {
	t.Helper()
	fleet, _ := keys(t)
	kernel, err := testimage.TestKernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	vmlinuz, err := os.ReadFile(kernel.Image)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := uki.Build(uki.Parts{
		Stub: efiFile(t, "linuxx64.efi.stub"), Kernel: vmlinuz, Initrd: initrd(t, kernel),
		OSRelease: []byte("ID=stek\nPRETTY_NAME=\"stek test\"\nVERSION_ID=1\n"),
		Uname:     kernel.Version, Cmdline: strings.TrimSpace("console=ttyS0 panic=-1 " + words), PCRKey: fleet.PCR,
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func sign(t *testing.T, program []byte, by *secureboot.Keys) []byte {
	t.Helper()
	signed, err := secureboot.SignPE(program, by.DB)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// stick writes a stick image with this boot loader and image.
func stick(t *testing.T, bootLoader, image []byte) string {
	t.Helper()
	fleet, _ := keys(t)
	variables, err := fleet.Variables(secureboot.VariableOptions{Time: epoch})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stick.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root := bytes.Repeat([]byte("no root"), 4096)
	hash := sha256.Sum256(root)
	if _, err := layout.WriteStick(t.Context(), f, layout.Stick{
		ESP: esp.Content{
			Arch: "amd64", Version: "test", BootLoader: bootLoader, UKI: image,
			Keys: map[string]map[string][]byte{esp.KeysAuto: variables.Files()},
		},
		Root: bytes.NewReader(root), RootSize: int64(len(root)), RootHash: hash[:], Time: epoch,
	}, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// edit replaces a file on the EFI system partition of a stick image.
func edit(t *testing.T, path, name string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var v *fat.Volume
	if v, err = layout.OpenESP(f, info.Size()); err == nil {
		err = v.WriteFile(name, data, epoch)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func machine(t *testing.T, firmware vm.Firmware, stick string) vm.Machine {
	t.Helper()
	accel, reason, err := vm.Choose(t.Context(), func(ctx context.Context) (string, error) {
		kernel, err := testimage.TestKernel(ctx)
		return kernel.Image, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("accelerator %s: %s", accel, reason)
	return vm.Machine{
		Dir: t.TempDir(), Firmware: firmware, Accel: accel, TPM: &vm.TPM{},
		Disks: []vm.Disk{{Name: "stick", Path: stick, Bus: vm.USB}},
	}
}

// run boots until the guest is done and returns what it printed, by name.
func run(t *testing.T, m vm.Machine) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	box := vm.Start(t, m)
	match, err := box.Console.Expect(ctx, `^guest done`, `guest failed: .*`, `Access [Dd]enied`, `No bootable option`)
	if err != nil {
		t.Fatal(err)
	}
	if match.Alternative != 0 {
		t.Fatalf("the box does not start: alternative %d", match.Alternative)
	}
	t.Logf("booted in %.0f s", box.Uptime().Seconds())
	if err := box.WaitOff(ctx); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, line := range box.Console.Lines() {
		if name, value, ok := strings.Cut(line.Text, " = "); ok {
			values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return values
}

// started are lines that only a kernel prints: its EFI stub, the kernel, the guest.
var started = []string{`EFI stub:`, `Linux version`, `guest (done|failed)`}

// refused boots and waits until the firmware has refused and has nothing left to start.
// A kernel would have spoken by then.
func refused(t *testing.T, m vm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootLimit)
	defer cancel()
	box := vm.Start(t, m)
	for _, verdict := range []string{`Access [Dd]enied`, `No bootable option|Press any key|Shell>`} {
		match, err := box.Console.Expect(ctx, append([]string{verdict}, started...)...)
		if err != nil {
			t.Fatal(err)
		}
		if match.Alternative != 0 {
			t.Fatalf("the box started what it must refuse: %s", match.Line)
		}
		t.Log(match.Line)
	}
	if err := box.PowerCut(); err != nil {
		t.Fatal(err)
	}
}

// checkMeasurements compares PCR 11 and 12 and the PCR signature with the image.
func checkMeasurements(t *testing.T, raw []byte, values map[string]string) {
	t.Helper()
	read, err := uki.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	want, err := read.PredictPCR11()
	if err != nil {
		t.Fatal(err)
	}
	if got := values["pcr 11"]; got != hex.EncodeToString(want[:]) {
		t.Errorf("PCR 11 is %s, predicted %x", got, want)
	}
	if got := values["pcr 12"]; got != strings.Repeat("0", 64) {
		t.Errorf("PCR 12 is %s, not zero: something was added to the command line", got)
	}
	if len(values["extra tpm2-pcr-signature.json"]) != 64 || len(values["extra tpm2-pcr-public-key.pem"]) != 64 {
		t.Errorf("the stub did not hand over the PCR signature: %v", values)
	}
}

func TestPCR11IsAsPredicted(t *testing.T) {
	raw := image(t, "")
	values := run(t, machine(t, vm.UEFI, stick(t, efiFile(t, "systemd-bootx64.efi"), raw)))
	checkMeasurements(t, raw, values)
}

// One box, from Setup Mode to a box that refuses strangers. Keys are enrolled the way
// the installer does it.
func TestFullSecureBoot(t *testing.T) {
	fleet, stranger := keys(t)
	loader := efiFile(t, "systemd-bootx64.efi")
	raw := image(t, "bootchain.enrol")
	path := stick(t, sign(t, loader, fleet), sign(t, raw, fleet))
	m := machine(t, vm.UEFISecureBoot, path)

	first := run(t, m)
	if first["enrol"] != "<nil>" || first["state"] != "SecureBoot false SetupMode false" {
		t.Fatalf("enrolling: %v", first)
	}
	second := run(t, m)
	if second["state"] != "SecureBoot true SetupMode false" {
		t.Fatalf("after enrolling: %v", second)
	}
	if !strings.Contains(second["enrol"], "not in Setup Mode") {
		t.Errorf("enrolling twice: %s", second["enrol"])
	}
	checkMeasurements(t, raw, second)
	if first["pcr 7"] == second["pcr 7"] {
		t.Error("PCR 7 does not show the keys")
	}

	const kernel = "EFI/Linux/stek-a.efi"
	for _, c := range []struct {
		name, file string
		data       []byte
	}{
		{"unsigned kernel", kernel, raw},
		{"kernel of a stranger", kernel, sign(t, raw, stranger)},
		{"unsigned boot loader", "EFI/BOOT/BOOTX64.EFI", loader},
		{"boot loader of a stranger", "EFI/BOOT/BOOTX64.EFI", sign(t, loader, stranger)},
	} {
		t.Run(c.name, func(t *testing.T) {
			edit(t, path, c.file, c.data)
			refused(t, m)
		})
	}
}

// The other way in: systemd-boot enrols what lies on the stick, when told to.
func TestFullSecureBootBySystemdBoot(t *testing.T) {
	fleet, _ := keys(t)
	raw := image(t, "")
	path := stick(t, sign(t, efiFile(t, "systemd-bootx64.efi"), fleet), sign(t, raw, fleet))
	edit(t, path, esp.LoaderConf, []byte("timeout 0\neditor no\nsecure-boot-enroll force\n"))
	values := run(t, machine(t, vm.UEFISecureBoot, path))
	if values["state"] != "SecureBoot true SetupMode false" {
		t.Errorf("after enrolling: %v", values)
	}
	checkMeasurements(t, raw, values)
}
