package guest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/testimage"
	"github.com/stek-edge/stek/test/vm"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if left := vm.Children(); len(left) > 0 {
		println("processes are left:", strings.Join(left, ", "))
		code = 1
	}
	os.Exit(code)
}

// small is a machine for a program that needs nothing.
var small = vm.Machine{Memory: 256, Accel: vm.TCG}

func TestProgramRuns(t *testing.T) {
	const size = 256 << 10
	var live bytes.Buffer
	result, err := guest.Run(t.Context(), guest.Spec{
		Main: "./testdata/echo", Args: []string{"write", "262144"}, Env: []string{"GREETING=good morning"},
		Stdin: []byte("a secret\n"), Machine: small, Output: &live,
	})
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(string(result.Stdout), "\n")
	if want := `args=["write" "262144"] stdin="a secret\n" env="good morning" dir="/job"`; first != want {
		t.Errorf("the program printed %s, want %s", first, want)
	}
	if rest != strings.Repeat("0123456789abcdef", size/16) {
		t.Errorf("of 256 KiB of output %d bytes came, or other ones", len(rest))
	}
	if string(result.Stderr) != "\x1b[31mto stderr\x1b[m\n" {
		t.Errorf("stderr is %q", result.Stderr)
	}
	if live.Len() != len(result.Stdout)+len(result.Stderr) {
		t.Errorf("%d bytes came live, want all", live.Len())
	}
	if result.Exit != 7 || result.Boot <= 0 || result.Run <= 0 {
		t.Errorf("exit status %d, want 7; %v to the program, %v in it", result.Exit, result.Boot, result.Run)
	}
	t.Logf("%v to the program, %v in it", result.Boot, result.Run)
}

func TestSignalBecomesExitStatus(t *testing.T) {
	result, err := guest.Run(t.Context(), guest.Spec{Main: "./testdata/echo", Args: []string{"kill", "9"}, Machine: small})
	if err != nil || result.Exit != 128+9 {
		t.Errorf("exit status %d (%v), want 137", result.Exit, err)
	}
}

func TestGuestThatFails(t *testing.T) {
	tests := []struct {
		name string
		spec guest.Spec
		want string
	}{
		{"panics", guest.Spec{Args: []string{"panic", "0"}}, "sysrq triggered crash"},
		{"hangs", guest.Spec{Args: []string{"sleep", "3600"}, Timeout: 10 * time.Second}, "deadline exceeded"},
		{"lacks a module", guest.Spec{Modules: []string{"no_such_module"}}, "no such kernel module: no_such_module"},
		{"lacks a program", guest.Spec{Programs: []string{"no-such-program"}}, "no-such-program"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := test.spec
			spec.Main, spec.Machine = "./testdata/echo", small
			_, err := guest.Run(t.Context(), spec)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}

// What goes into a LUKS2 volume through dm-crypt does not stand on the raw disk.
func TestEncryptedVolume(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := vm.NewDisk(disk, 64<<20); err != nil {
		t.Fatal(err)
	}
	const text = "the tomatoes ripen in July"
	machine := small
	machine.Memory = 512 // MiB; the program reads all of the disk at once
	machine.Disks = []vm.Disk{{Path: disk, Serial: "state"}}
	result := guest.Check(t, guest.Spec{
		Main: "./testdata/cryptvolume", Args: []string{text}, Stdin: []byte("correct horse battery"),
		Modules:  []string{"dm_crypt", "xts", "vfat", "nls_cp437", "nls_ascii"},
		Programs: []string{"cryptsetup", "mkfs.vfat"}, Machine: machine,
	})
	if want := "in the opened volume: 1\n"; !strings.Contains(string(result.Stdout), want) {
		t.Errorf("the guest printed %q, want %q", result.Stdout, want)
	}
	found, err := vm.ScanFile(t.Context(), disk,
		vm.Canary{Name: "text", Value: []byte(text)}, vm.Canary{Name: "passphrase", Value: []byte("correct horse battery")})
	if err != nil || len(found) != 0 {
		t.Errorf("on the raw disk: %v (%v)", found, err)
	}
	if found, err := vm.ScanFile(t.Context(), disk, vm.Canary{Name: "LUKS2 segment", Value: []byte("aes-xts-plain64")}); err != nil || len(found) == 0 {
		t.Errorf("the disk holds no LUKS2 header (%v)", err)
	}
}

// The tests of a package run in a guest.
func TestGoTests(t *testing.T) {
	kernel, err := testimage.TestKernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	machine := small
	machine.TPM = &vm.TPM{}
	spec := guest.Spec{
		Test: "./testdata/checks", Args: []string{"-test.v"}, Env: []string{"WANT_KERNEL=" + kernel.Version},
		Kernel: kernel, Machine: machine,
	}
	result := guest.Check(t, spec)
	if !strings.Contains(string(result.Stdout), "--- PASS: TestHasTPM") {
		t.Errorf("the guest printed %s", result.Stdout)
	}
}
