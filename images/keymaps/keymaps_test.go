package keymaps

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/root"
	"github.com/stek-edge/stek/installer/keymap"
)

func packed(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const whole = "keymaps 0-2\nkeycode 28 = Return\nkeycode 3 = two eacute\nkeycode 16 = q Q U+20ac\n"

// TestMake runs the real loadkeys.
func TestMake(t *testing.T) {
	base := root.NewTree()
	for name, data := range map[string][]byte{
		"i386/qwertz/one.kmap.gz":     packed(t, "keymaps 0-2\ninclude \"common\"\nkeycode 44 = y Y\n"),
		"i386/qwertz/partial.kmap.gz": packed(t, "keymaps 0-2\nkeycode 44 = y Y\n"),
		"i386/qwertz/broken.kmap.gz":  packed(t, "keycode 44 = no_such_symbol\n"),
		"i386/qwerty/twice.kmap.gz":   packed(t, whole),
		"i386/azerty/twice.kmap.gz":   packed(t, whole),
		"i386/include/common.inc.gz":  packed(t, whole),
		"include/compose.empty":       []byte("\n"),
		"mac/other.kmap.gz":           packed(t, whole),
	} {
		if err := base.Add(root.File("usr/share/keymaps/"+name, 0o644, data)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, want string }{
		{"one", ""},
		{"us", ""},
		{"partial", "Enter"},
		{"broken", "no_such_symbol"},
		{"twice", "2 times"},
		{"other", "does not have it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			err := Make(t.Context(), base, []string{c.name}, dir, root.Exec{})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			made, err := os.ReadFile(filepath.Join(dir, keymap.FileName(c.name)))
			if (err == nil) != (c.name == "one") {
				t.Errorf("the file: %d bytes, %v", len(made), err)
			}
		})
	}
}
