package bootcount

import (
	"os"
	"path"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

func TestParse(t *testing.T) {
	tests := []struct {
		path string
		want Entry
		ok   bool
	}{
		{`\EFI\Linux\stek-a+9.efi`, Entry{"EFI/Linux", "stek-a", ".efi", 9, 0}, true},
		{"/EFI/Linux/stek-a+7-2.efi", Entry{"EFI/Linux", "stek-a", ".efi", 7, 2}, true},
		{"/loader/entries/debian+1.conf", Entry{"loader/entries", "debian", ".conf", 1, 0}, true},
		{"/EFI/Linux/stek-a.efi", Entry{}, false},
		{"/EFI/Linux/stek-a+.efi", Entry{}, false},
		{"/EFI/../../etc/x+1.efi", Entry{}, false},
		{"", Entry{}, false},
	}
	for _, tt := range tests {
		if got, ok := Parse(tt.path); ok != tt.ok || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v", tt.path, got, ok)
		}
	}
}

// TestEarlyPowerCuts walks through starts that end before anything is proved.
func TestEarlyPowerCuts(t *testing.T) {
	esp := t.TempDir()
	dir := filepath.Join(esp, "EFI/Linux")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := Entry{Dir: "EFI/Linux", Name: "stek-a", Suffix: ".efi", Left: Tries}.FileName()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("UKI"), 0o644); err != nil {
		t.Fatal(err)
	}
	only := func() string {
		t.Helper()
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("the ESP holds %v, %v", entries, err)
		}
		return entries[0].Name()
	}
	loader := func() Entry { // what systemd-boot does before it starts an entry
		t.Helper()
		e, ok := Parse("/EFI/Linux/" + only())
		if !ok {
			t.Fatalf("%s is not counted", only())
		}
		taken := e
		taken.Left--
		taken.Failed++
		if err := e.rename(esp, taken.FileName()); err != nil {
			t.Fatal(err)
		}
		return taken
	}
	for range 50 {
		if err := GiveBack(esp, loader()); err != nil {
			t.Fatal(err)
		}
	}
	if got := only(); got != "stek-a+9.efi" {
		t.Errorf("after 50 early power cuts the entry is %s", got)
	}
	for range 3 { // starts that do not come as far as stage1
		loader()
	}
	if got := only(); got != "stek-a+6-3.efi" {
		t.Errorf("after three failed starts the entry is %s", got)
	}
	e := loader()
	for range 2 { // blessing twice is blessing once
		if err := Bless(esp, e); err != nil {
			t.Fatal(err)
		}
	}
	if got := only(); got != "stek-a.efi" {
		t.Errorf("the blessed entry is %s", got)
	}
}

func TestStarted(t *testing.T) {
	dir := t.TempDir()
	if _, ok := Started(dir); ok {
		t.Error("without the variable nothing is counted")
	}
	b := []byte{6, 0, 0, 0}
	for _, c := range utf16.Encode([]rune("\\EFI\\Linux\\stek-a+8-1.efi\x00")) {
		b = append(b, byte(c), byte(c>>8))
	}
	if err := os.WriteFile(filepath.Join(dir, "LoaderBootCountPath-"+loaderVendor), b, 0o644); err != nil {
		t.Fatal(err)
	}
	if e, ok := Started(dir); !ok || e.FileName() != "stek-a+8-1.efi" {
		t.Errorf("got %+v, %v", e, ok)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`\EFI\Linux\stek-a+9.efi`)
	f.Add("a+1-2.conf")
	f.Fuzz(func(t *testing.T, p string) {
		if e, ok := Parse(p); ok {
			if again, ok := Parse(path.Join(e.Dir, e.FileName())); !ok || again.Left != e.Left || again.Failed != e.Failed {
				t.Errorf("%q reads as %+v and comes back as %+v", p, e, again)
			}
		}
	})
}
