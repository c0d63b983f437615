package swtpm_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/test/swtpm"
)

// TestState: what is in NV memory survives a power cut, tools, another swtpm and QEMU.
func TestState(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	first := swtpm.StartIn(t, dir)
	check := func(when string, emu *swtpm.TPM) {
		t.Helper()
		d, err := tpm.Open("swtpm:" + emu.Socket)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		defer d.Close()
		if when == "new" {
			if err := d.WriteIdentity(ctx, tpm.IdentityIndex, []byte("kept")); err != nil {
				t.Fatal(err)
			}
		}
		v, err := d.ReadIdentity(ctx, tpm.IdentityIndex)
		if err != nil || string(v) != "kept" {
			t.Fatalf("%s: %q, %v", when, v, err)
		}
		p, err := d.ReadPCRs(ctx, 16)
		if err != nil || p[16][0] != 0 {
			t.Fatalf("%s: PCR 16 is not at its start: %x, %v", when, p, err)
		}
		if err := d.Extend(ctx, 16, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	check("new", first)
	if err := first.Reset(); err != nil {
		t.Fatal(err)
	}
	check("after a power cut", first)
	if err := first.Lend(func(tcti string) {
		cmd := exec.Command("tpm2_nvread", "-C", "o", "0x01a57e4b")
		cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI="+tcti)
		if out, err := cmd.Output(); err != nil || string(out) != "kept" {
			t.Errorf("tpm2_nvread: %q, %v", out, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	check("after tools had it", first)
	first.Stop()

	vm := swtpm.StartForQEMU(t, dir)
	for range 2 {
		qemu(t, vm)
		if err := vm.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	vm.Stop()
	check("after QEMU had it", swtpm.StartIn(t, dir))
}

// qemu makes a machine with the TPM, which powers the TPM on, and takes it apart again.
func qemu(t *testing.T, vm *swtpm.TPM) {
	t.Helper()
	cmd := exec.Command("qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-S",
		"-chardev", "socket,id=c,path="+vm.Control, "-tpmdev", "emulator,id=t,chardev=c", "-device", "tpm-crb,tpmdev=t",
		"-qmp", "stdio")
	cmd.Stdin = strings.NewReader(`{"execute":"qmp_capabilities"}{"execute":"query-tpm"}{"execute":"quit"}`)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "tpm-crb") {
		t.Fatalf("%v\n%s\n%s", err, out, vm.Log())
	}
}

func TestStop(t *testing.T) {
	emu := swtpm.Start(t)
	emu.Stop()
	emu.Stop()
	var gone *tpm.NoDeviceError
	if _, err := tpm.Open("swtpm:" + emu.Socket); !errors.As(err, &gone) {
		t.Errorf("got %v", err)
	}
}
