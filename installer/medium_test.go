package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stek-edge/stek/installer/tpm"
	"github.com/stek-edge/stek/installer/vault"
	"github.com/stek-edge/stek/test/machines"
)

// TestBlame: an error names the medium that it happened on, and no other one.
func TestBlame(t *testing.T) {
	const (
		stick = "use another stick"
		disk  = "the disk is failing: replace it"
	)
	plan, err := Make(answers(t, smallest), machines.Load(t, "mini-pc"), image(), testIDs())
	if err != nil {
		t.Fatal(err)
	}
	r := &run{plan: plan, site: &Site{StickESP: t.TempDir(), WorkDir: t.TempDir(), TPM: filepath.Join(t.TempDir(), "tpmrm0")}}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := &os.PathError{Op: "write", Path: "node.json", Err: unix.EIO}
	chip := &tpm.NoDeviceError{}
	for _, tt := range []struct {
		name   string
		err    error
		remedy string // its end
	}{
		{"a volume that lost its header a moment after it was made", onlyOn(TheDisk, fmt.Errorf("adding a slot: %w", vault.ErrDamaged)), disk},
		{"stopped while it was made", onlyOn(TheDisk, context.Canceled), ""},
		{"a file of the node", onIfIO(TheDisk, fmt.Errorf("writing the node's node.json: %w", broken)), disk},
		{"a link of the node", onIfIO(TheDisk, &os.LinkError{Op: "symlink", Old: "a", New: "b", Err: unix.EIO}), disk},
		{"answers that cannot be rendered", onIfIO(TheDisk, errors.New("rendering the configuration of k3s: no")), ""},
		{"a TPM that is gone", on(TheDisk, chip), chip.Remedy()},
		{"a boot partition that cannot be mounted", r.site.mounted(filepath.Join(t.TempDir(), "none"), "vfat", nil), disk},
		{"a keyboard layout that cannot be written", writeKeymap(file, []byte("layout")), disk},
		{"a kernel that cannot be read from the stick", r.enrolTPM(t.Context(), nil, nil, Unlock{}), stick},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if remedy := RemedyOf(tt.err); tt.err == nil || !strings.HasSuffix(remedy, tt.remedy) || (tt.remedy == "") != (remedy == "") {
				t.Errorf("%v\nthe remedy is %q, not %q", tt.err, remedy, tt.remedy)
			}
		})
	}
}
