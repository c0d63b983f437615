//go:build guest

package radio

import (
	"os"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/debian"
	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// TestJoins runs testdata/joins in a guest, on the kernel of an image: what a kernel tells
// of its radios is not the same in each. MSCHAPv2 needs MD4, which OpenSSL has in a plug-in
// only.
func TestJoins(t *testing.T) {
	kernel, err := debian.Kernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	result := guest.Check(t, guest.Spec{
		Kernel:   kernel,
		Test:     "./testdata/joins",
		Args:     []string{"-test.v"},
		Modules:  []string{"mac80211_hwsim", "ccm", "gcm", "cmac", "ctr", "ecb", "af_packet"},
		Programs: []string{"wpa_supplicant", "hostapd", "iw", "/usr/lib/systemd/systemd-networkd"},
		Files: map[string]string{
			"/usr/lib/x86_64-linux-gnu/ossl-modules": "/usr/lib/x86_64-linux-gnu/ossl-modules",
			"/etc/passwd":                            "/etc/passwd", // systemd-networkd has a user of its own
			"/etc/group":                             "/etc/group",
		},
		Machine: vm.Machine{Memory: 512},
		Timeout: 35 * time.Minute,
		Output:  os.Stderr,
	})
	t.Logf("%s", result.Stdout)
}
