package loopbox

import (
	"fmt"
	"os"
	"os/exec"
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

	Loader, UKI []byte // the two programs, as they were signed
}

// made is a stick's content, made once for all tests.
type made struct {
	uki, loader, root []byte
	hash              string
}

var content = sync.OnceValues(func() (*made, error) {
	m := &made{}
	if err := m.makeRoot(); err != nil {
		return nil, err
	}
	keys, err := secureboot.Generate(time.Unix(1e9, 0))
	if err != nil {
		return nil, err
	}
	kernel, err := uki.Build(uki.Parts{
		Stub: petest.SystemdStub("257"), Kernel: []byte("kernel"), Initrd: []byte("initrd"), Uname: "6.12", OSRelease: []byte("ID=stek\n"),
		Cmdline: fmt.Sprintf("roothash=%s stek.root.salt=%s stek.root.blocks=%d", m.hash, salt, RootSize/4096), PCRKey: keys.PCR,
	})
	if err != nil {
		return nil, err
	}
	if m.uki, err = secureboot.SignPE(kernel, keys.DB); err != nil {
		return nil, err
	}
	m.loader, err = secureboot.SignPE(petest.Stub(), keys.DB)
	return m, err
})

// salt is that of the hash tree, hex.
var salt = strings.Repeat("ab", 32)

// makeRoot makes a root that is the same each time, its hash tree by veritysetup.
func (m *made) makeRoot() error {
	m.root = make([]byte, RootSize)
	for i := range m.root {
		m.root[i] = byte(i * i >> 9)
	}
	f, err := os.CreateTemp("", "root-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(m.root); err != nil {
		return err
	}
	out, err := exec.Command("veritysetup", "format", f.Name(), f.Name(), fmt.Sprintf("--data-blocks=%d", RootSize/4096),
		fmt.Sprintf("--hash-offset=%d", RootSize), "--salt="+salt, "--uuid=6b7c1d5e-0c0a-4b0e-9c1e-0123456789ab").Output()
	if err != nil {
		return fmt.Errorf("veritysetup: %w", err)
	}
	_, rest, _ := strings.Cut(string(out), "Root hash:")
	m.hash = strings.TrimSpace(strings.Split(rest, "\n")[0])
	m.root, err = os.ReadFile(f.Name())
	return err
}

// NewStick makes a stick of its own for a test.
func NewStick(t *testing.T) *Stick {
	t.Helper()
	m, err := content()
	must(t, err)
	s := &Stick{ESP: t.TempDir(), Root: filepath.Join(t.TempDir(), "root"), Loader: m.loader, UKI: m.uki}
	for name, b := range map[string][]byte{installer.UKIPath: m.uki, "EFI/BOOT/BOOTX64.EFI": m.loader, "loader/loader.conf": []byte("timeout 0\n")} {
		path := filepath.Join(s.ESP, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, b, 0o644))
	}
	must(t, os.WriteFile(s.Root, m.root, 0o644))
	s.Image = installer.Image{
		Version: "1.0", K3s: "v1.34.1+k3s1 (release)", K3sSource: "release", RootHash: m.hash,
		RootBytes: uint64(len(m.root)), HashOffset: RootSize, Signed: true, KeysToEnrol: true,
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
