//go:build guest

package faults

import (
	"os"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/guest"
	"github.com/stek-edge/stek/test/vm"
)

// TestFullMedia runs testdata/media in a guest.
func TestFullMedia(t *testing.T) {
	guest.Check(t, guest.Spec{
		Test:     "./testdata/media",
		Args:     []string{"-test.v", "-test.timeout=50m"}, // a hang tells where
		Env:      []string{"DM_DISABLE_UDEV=1"},            // there is none to make /dev/mapper
		Modules:  []string{"loop", "dm_mod", "dm_flakey", "dm_crypt", "xts", "aesni_intel", "ext4", "crc32c_generic", "vfat", "nls_cp437", "nls_ascii"},
		Programs: []string{"losetup", "dmsetup", "partx", "blkid", "blockdev", "veritysetup", "cryptsetup", "mkfs.vfat", "mkfs.ext4"},
		Machine:  vm.Machine{Memory: 2048, TPM: &vm.TPM{}}, // the disks are in its memory
		Timeout:  52 * time.Minute,
		Output:   os.Stderr,
	})
}
