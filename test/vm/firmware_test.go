package vm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/vm"
)

// The firmware finds nothing to start on an empty disk, and says so on the console.
func TestFirmwareRuns(t *testing.T) {
	for _, kind := range []struct {
		name     string
		firmware vm.Firmware
		keys     vm.SecureBootKeys
	}{
		{"plain", vm.UEFI, vm.NoKeys},
		{"Secure Boot with keys", vm.UEFISecureBoot, vm.MicrosoftKeys},
	} {
		t.Run(kind.name, func(t *testing.T) {
			dir := t.TempDir()
			disk := filepath.Join(dir, "disk")
			if err := vm.NewDisk(disk, 16<<20); err != nil {
				t.Fatal(err)
			}
			m := vm.Machine{
				Dir: dir, Memory: 512, Accel: vm.TCG, Firmware: kind.firmware, Keys: kind.keys, Screen: true,
				TPM: &vm.TPM{}, Disks: []vm.Disk{{Path: disk}},
			}
			box := vm.Start(t, m)
			match, err := box.Console.ExpectPrompt(within(t, 300*time.Second),
				`BdsDxe: failed to (?:load|start) Boot`, `UEFI Interactive Shell`, `No bootable option or device was found`)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("after %.1f s: %s", match.At.Seconds(), match.Line)
			if err := box.PowerCut(); err != nil {
				t.Fatal(err)
			}
			fresh, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
			if err != nil {
				t.Fatal(err)
			}
			vars, err := os.ReadFile(filepath.Join(dir, "vars.fd"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(fresh, vars) {
				t.Error("the firmware wrote nothing into the machine's variables")
			}
		})
	}
}
