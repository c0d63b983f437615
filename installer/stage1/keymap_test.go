package stage1

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/fat"
	"github.com/stek-edge/stek/installer/keymap"
)

func TestReadKeymap(t *testing.T) {
	good, err := os.ReadFile("../keymap/testdata/de.bkeymap")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte // nil: no file
		found   bool
		wrong   bool
	}{
		{"none", nil, false, false},
		{"a layout", good, true, false},
		{"cut short", good[:1000], false, true},
		{"far too long", bytes.Repeat(good, 100), false, true},
		{"empty", []byte{}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "esp.img")
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(fat.MinSize); err != nil {
				t.Fatal(err)
			}
			v, err := fat.Format(f, fat.MinSize, false, fat.Options{Label: "STEK", Time: time.Unix(1e9, 0)})
			if err != nil {
				t.Fatal(err)
			}
			if c.content != nil {
				if err := v.WriteFile(keymap.ESPPath, c.content, time.Unix(1e9, 0)); err != nil {
					t.Fatal(err)
				}
			}
			k, err := readKeymap(name)
			if (k != nil) != c.found || (err != nil) != c.wrong {
				t.Errorf("got %v, %v", k != nil, err)
			}
		})
	}
	t.Run("no file system", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "esp.img")
		if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKeymap(name); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}

func TestConfiguredKeymap(t *testing.T) {
	for content, want := range map[string]string{"KEYMAP=de\n": "de", "FONT=x\nKEYMAP=\"fr-latin1\"\n": "fr-latin1", "": "", "KEYMAP=\n": ""} {
		name := filepath.Join(t.TempDir(), "vconsole.conf")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := configuredKeymap(name); err != nil || got != want {
			t.Errorf("%q: got %q, %v", content, got, err)
		}
	}
	if got, err := configuredKeymap(filepath.Join(t.TempDir(), "none")); err != nil || got != "" {
		t.Errorf("no file: %q, %v", got, err)
	}
}
