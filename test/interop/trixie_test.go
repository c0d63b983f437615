//go:build e2e

package interop

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/debian"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// trixie gives the root of a Debian 13.
func trixie(t *testing.T) string {
	t.Helper()
	made, err := debian.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// changeRoot runs programs of another root, in a mount namespace of their own, with the
// box's folder as working directory and the PCR signatures where systemd looks for them.
func changeRoot(system string) runner {
	return func(t *testing.T, dir string, stdin []byte, env []string, words ...string) (string, error) {
		cmd := debian.Command(t.Context(), system, dir, env, words...)
		cmd.Stdin = bytes.NewReader(stdin)
		return output(cmd)
	}
}

// TestFullNewerStockEnrolled: what systemd 257 seals opens here.
func TestFullNewerStockEnrolled(t *testing.T) {
	run := changeRoot(trixie(t))
	for _, e := range enrolments {
		t.Run(e.name, func(t *testing.T) { opensStock(t, e, run) })
	}
}

// TestFullNewerStockUnseals: systemd 257 takes the key that is sealed here out of the
// TPM, and opens the volume with it to add a slot.
func TestFullNewerStockUnseals(t *testing.T) {
	run := changeRoot(trixie(t))
	for _, e := range enrolments {
		t.Run(e.name, func(t *testing.T) {
			b := newBox(t)
			b.enrol(e)
			err := b.emu.Lend(func(tcti string) {
				env := []string{"TPM2TOOLS_TCTI=" + tcti, "PIN=" + pin}
				for _, words := range append(measure(), []string{
					"systemd-cryptenroll", "--unlock-tpm2-device=" + tcti, "--recovery-key", "state.img",
				}) {
					if _, err := run(t, b.dir, nil, env, words...); err != nil {
						t.Error(err)
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if b.header().Slot(3) == nil {
				t.Error("no slot was added")
			}
		})
	}
}

// TestFullStockOpens runs in a virtual box with a Debian 13: for each kind of key a volume
// is made there by the project, and opened by cryptsetup's token and by systemd-cryptsetup,
// with the PCRs as they are while stage1 runs; then with the recovery key.
func TestFullStockOpens(t *testing.T) {
	dir := t.TempDir()
	system := filepath.Join(dir, "system.img")
	if err := debian.WriteDisk(t.Context(), system); err != nil {
		t.Fatal(err)
	}
	machine := vm.Machine{Dir: dir, Memory: 1024, TPM: &vm.TPM{}, Disks: []vm.Disk{{Name: "system", Path: system, Serial: "system"}}}
	for i, e := range enrolments {
		disk := filepath.Join(dir, fmt.Sprintf("state-%d.img", i))
		if err := vm.NewDisk(disk, 32<<20); err != nil {
			t.Fatal(err)
		}
		machine.Disks = append(machine.Disks, vm.Disk{Name: fmt.Sprintf("state%d", i), Path: disk, Serial: strings.ReplaceAll(e.name, " ", "-")})
	}
	result := guest.Check(t, guest.Spec{
		Main: "./testdata/stock", Stdin: x509.MarshalPKCS1PrivateKey(signer()), Machine: machine,
		Modules: []string{"dm_crypt", "xts", "crc32c_generic", "ext4"}, Timeout: 20 * time.Minute, Output: os.Stderr,
	})
	for _, e := range enrolments {
		for _, how := range []string{"token", "attach", "recovery"} {
			if line := fmt.Sprintf("%s by %s: opened\n", strings.ReplaceAll(e.name, " ", "-"), how); !bytes.Contains(result.Stdout, []byte(line)) {
				t.Errorf("not in the output: %s", line)
			}
		}
	}
}
