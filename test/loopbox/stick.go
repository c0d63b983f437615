package loopbox

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/firmware/secureboot"
	"github.com/stek-edge/stek/firmware/uki"
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/test/petest"
)

// RootSize is the size of the root file system on the test's stick, bytes.
const RootSize = 8 << 20

// Stick is what the installer reads: the files of a stick's FAT partition, and the
// root file system with its hash tree.
type Stick struct {
	ESP, Root string
	Image     installer.Image
}

// made is a stick's content, made once for all tests.
type made struct{ uki, loader, root []byte }

var content = sync.OnceValues(func() (*made, error) {
	keys, err := secureboot.Generate(time.Unix(1e9, 0))
	if err != nil {
		return nil, err
	}
	kernel, err := uki.Build(uki.Parts{
		Stub: petest.SystemdStub("257"), Kernel: []byte("kernel"), Initrd: []byte("initrd"), Uname: "6.12",
		OSRelease: []byte("ID=stek\n"), Cmdline: "quiet", PCRKey: keys.PCR,
	})
	if err != nil {
		return nil, err
	}
	m := &made{}
	if m.uki, err = secureboot.SignPE(kernel, keys.DB); err != nil {
		return nil, err
	}
	if m.loader, err = secureboot.SignPE(petest.Stub(), keys.DB); err != nil {
		return nil, err
	}
	m.root = make([]byte, RootSize)
	for i := range m.root {
		m.root[i] = byte(i * i >> 9)
	}
	return m, nil
})

// NewStick makes a stick of its own for a test.
func NewStick(t *testing.T) *Stick {
	t.Helper()
	m, err := content()
	must(t, err)
	s := &Stick{ESP: t.TempDir(), Root: filepath.Join(t.TempDir(), "root")}
	for name, b := range map[string][]byte{installer.UKIPath: m.uki, "EFI/BOOT/BOOTX64.EFI": m.loader, "EFI/systemd/systemd-bootx64.efi": m.loader, "loader/loader.conf": []byte("timeout 0\n")} {
		path := filepath.Join(s.ESP, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, b, 0o644))
	}
	must(t, os.WriteFile(s.Root, m.root, 0o644))
	out := Tool(t, "veritysetup", "format", s.Root, s.Root, "--data-blocks=2048", "--hash-offset=8388608", "--salt="+strings.Repeat("ab", 32),
		"--uuid=6b7c1d5e-0c0a-4b0e-9c1e-0123456789ab") // every stick is the same
	_, rest, _ := strings.Cut(out, "Root hash:")
	st, err := os.Stat(s.Root)
	must(t, err)
	s.Image = installer.Image{
		Version: "1.0", K3s: "v1.34.1+k3s1 (release)", K3sSource: "release", RootHash: strings.TrimSpace(strings.Split(rest, "\n")[0]),
		RootBytes: uint64(st.Size()), HashOffset: RootSize, Signed: true, KeysToEnrol: true,
	}
	return s
}

// Flip changes one bit of a file.
func Flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	must(t, err)
}
