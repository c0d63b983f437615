package installer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf16"
)

func loadOption(label string) []byte {
	b := []byte{7, 0, 0, 0, 1, 0, 0, 0, 0, 0}
	for _, c := range utf16.Encode([]rune(label + "\x00")) {
		b = append(b, byte(c), byte(c>>8))
	}
	return b
}

func TestOwnEntries(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"Boot0000": loadOption("UiApp"),
		"Boot0003": loadOption("stek"),
		"Boot000A": loadOption("stek"),
		"Boot0004": loadOption("stek lookalike"),
		"Boot0005": {1, 2},
		"BootNext": loadOption("stek"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name+"-"+efiGlobal), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := ownEntries(dir)
	slices.Sort(got)
	if !slices.Equal(got, []string{"0003", "000A"}) {
		t.Errorf("got %v", got)
	}
}

func FuzzLoadOptionLabel(f *testing.F) {
	f.Add(loadOption("stek"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) { loadOptionLabel(b) })
}
