package installer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestKeepOlder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "recovery-key.age")
	for _, key := range []string{"first", "second", "third"} {
		if err := keepOlder(name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(key), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{"recovery-key.1.age": "first", "recovery-key.2.age": "second", "recovery-key.age": "third"} {
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(name), file)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", file, b, err)
		}
	}
}

func TestOnlyWhatIsOfTheImageGoesToTheDisk(t *testing.T) {
	stick, disk := t.TempDir(), t.TempDir()
	put := func(name string) {
		t.Helper()
		name = filepath.Join(stick, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(name), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"README.txt", "photographs/kas.jpg", "passwords.txt", "stek/preseed.yaml", "loader/random-seed",
		"loader/entries/stranger.conf", "loader/keys/auto/PK.auth", "EFI/BOOT/BOOTX64.EFI", "EFI/Linux/stek-a.efi", "EFI/systemd/drivers/stranger.efi"} {
		put(name)
	}
	put("loader/loader.conf")
	if err := copyOfTheImage(stick, disk); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "systemd-bootx64.efi") {
		t.Errorf("a stick without a boot loader: %v", err)
	}
	put("EFI/systemd/systemd-bootx64.efi")
	if err := copyOfTheImage(stick, disk); err != nil {
		t.Fatal(err)
	}
	var copied []string
	if err := fs.WalkDir(os.DirFS(disk), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			copied = append(copied, p)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"EFI/systemd/systemd-bootx64.efi", "loader/loader.conf"}; !slices.Equal(copied, want) {
		t.Errorf("copied %q, not %q", copied, want)
	}
}
