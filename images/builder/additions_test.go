package builder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/root"
)

// siteFiles is a folder with files to add.
func siteFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, perm := range map[string]os.FileMode{"usr/lib/site/run": 0o700, "etc/site.conf": 0o600} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), perm); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../site.conf", filepath.Join(dir, "etc/link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFilesToAdd(t *testing.T) {
	entries, err := Additions{Files: siteFiles(t)}.entries([]root.Entry{root.Dir("etc", 0o755), root.File("usr/bin/stek", 0o755, nil)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]root.Entry{}
	for _, e := range entries {
		got[e.Path] = e
	}
	if len(got) != 3 || got["usr/lib/site/run"].Perm != 0o755 || got["etc/site.conf"].Perm != 0o644 || got["etc/link"].Link != "../site.conf" {
		t.Errorf("the folder became %+v", entries)
	}
	run := got["usr/lib/site/run"]
	if data, err := run.ReadAll(); err != nil || string(data) != "usr/lib/site/run" {
		t.Errorf("content %q, %v", data, err)
	}
}

func TestFilesToAddReplaceNothingOfOurs(t *testing.T) {
	dir := siteFiles(t)
	_, err := Additions{Files: dir}.entries([]root.Entry{root.File("etc/site.conf", 0o644, nil)})
	if err == nil || !strings.Contains(err.Error(), "etc/site.conf is part of stek") {
		t.Errorf("error is %v", err)
	}
}

func TestAdditionsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		add  Additions
		want string
	}{
		{"an option", Additions{Packages: []string{"--simulate"}}, "no name of a Debian package"},
		{"an absolute module", Additions{Modules: []string{"/lib/x"}}, "must be relative"},
		{"an empty module", Additions{Modules: []string{""}}, "must be relative"},
		{"a file for a folder", Additions{Files: file}, "is none"},
		{"nothing there", Additions{Files: file + "x"}, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.add.check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
	good := Additions{Packages: []string{"hostapd"}, Modules: []string{"r8169", "kernel/drivers/media/**"}, Firmware: []string{"rtl_nic/*"}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	if got := strings.Join(good.modules(), " "); got != "**/r8169 kernel/drivers/media/**" {
		t.Errorf("modules %q", got)
	}
	if got := strings.Join(good.names(), ", "); got != "package hostapd, module r8169, module kernel/drivers/media/**, firmware rtl_nic/*" {
		t.Errorf("names %q", got)
	}
}
