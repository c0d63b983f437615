package root

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stek-edge/stek/images/lock"
)

const packagesIndex = `Package: linux-image-6.1.0-test
Version: 1:6.1-1
Architecture: amd64
Depends: kmod
Description: a kernel
 with a longer text
Filename: pool/l/linux_6.1-1_amd64.deb
Size: 12
SHA256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

Package: linux-image-6.1.0-test
Version: 1:6.1-1
Architecture: amd64
Filename: pool/updates/linux_6.1-1_amd64.deb
Size: 12
SHA256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa

Package: bash
Version: 5.2
Architecture: amd64
Filename: pool/b/bash.deb
Size: 7
SHA256: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
`

func resolved(t *testing.T) *Resolved {
	t.Helper()
	packages, err := parsePackages([]byte(packagesIndex))
	if err != nil {
		t.Fatal(err)
	}
	packages[0].Unpacked = true
	return &Resolved{Source: Source{Arch: "amd64", Epoch: epoch}, Packages: packages}
}

func TestParsePackages(t *testing.T) {
	r := resolved(t)
	if len(r.Packages) != 2 {
		t.Fatalf("found %d packages, want 2: one is in two suites", len(r.Packages))
	}
	want := []lock.Component{
		{Kind: "debian", Name: "linux-image-6.1.0-test", Arch: "amd64", Version: "1:6.1-1", SHA256: strings.Repeat("a", 64), Size: 12, Source: "pool/l/linux_6.1-1_amd64.deb"},
		{Kind: "debian", Name: "bash", Arch: "amd64", Version: "5.2", SHA256: strings.Repeat("b", 64), Size: 7, Source: "pool/b/bash.deb"},
	}
	if got := r.Components(); !slices.Equal(got, want) {
		t.Errorf("components are %v, want %v", got, want)
	}
	if got := debName(r.Packages[0]); got != "linux-image-6.1.0-test_1%3a6.1-1_amd64.deb" {
		t.Errorf("the file of a package with an epoch is %s", got)
	}
	for name, text := range map[string]string{
		"no digest":  strings.Replace(packagesIndex, "SHA256: a", "SHA1: a", 1),
		"no size":    strings.Replace(packagesIndex, "Size: 7", "Size: x", 1),
		"no version": strings.Replace(packagesIndex, "Version: 5.2\n", "", 1),
		"an option":  strings.Replace(packagesIndex, "Package: bash", "Package: --x", 1),
	} {
		if _, err := parsePackages([]byte(text)); err == nil {
			t.Errorf("a package with %s was accepted", name)
		}
	}
}

func TestKeyFollowsInputs(t *testing.T) {
	base := resolved(t).Key()
	if again := resolved(t).Key(); again != base {
		t.Error("the same inputs have two keys")
	}
	for name, change := range map[string]func(*Resolved){
		"a version":      func(r *Resolved) { r.Packages[1].Version = "5.3" },
		"a digest":       func(r *Resolved) { r.Packages[1].SHA256 = strings.Repeat("c", 64) },
		"the build time": func(r *Resolved) { r.Source.Epoch = epoch.Add(1e9) },
		"how it is used": func(r *Resolved) { r.Packages[0].Unpacked = false },
	} {
		r := resolved(t)
		change(r)
		if r.Key() == base {
			t.Errorf("%s changed and the key did not", name)
		}
	}
	r := resolved(t)
	r.Source.Mirror = Mirror{"http://a.example/debian", "http://b.example/debian-security"}
	if r.Key() != base {
		t.Error("the key depends on the mirror")
	}
}

func TestSourceIsChecked(t *testing.T) {
	good := Source{Arch: "amd64", Mirror: Mirror{"http://m.example/debian", "http://m.example/s"}, Epoch: epoch, CacheDir: "x", Runner: Exec{}}
	for name, change := range map[string]func(*Source){
		"another architecture":        func(s *Source) { s.Arch = "riscv64" },
		"no security archive":         func(s *Source) { s.Mirror.Security = "" },
		"a second line in an address": func(s *Source) { s.Mirror.Archive = "http://x\ndeb" },
		"no time":                     func(s *Source) { s.Epoch = epoch.Add(-60 * 365 * 24 * 3600 * 1e9) },
		"no cache":                    func(s *Source) { s.CacheDir = "" },
	} {
		s := good
		change(&s)
		if s.complete() == nil {
			t.Errorf("a source with %s was accepted", name)
		}
	}
	if _, err := newAptCache(Source{Arch: "amd64", CacheDir: filepath.Join(t.TempDir(), `a"b`)}); err == nil {
		t.Error("a cache folder with a quote was accepted: it ends up in apt's configuration")
	}
}

func TestAptSources(t *testing.T) {
	got := aptSources(Mirror{"http://m.example/debian", "http://s.example/debian-security"})
	back := ParseAptSources("sources.list", []byte(got))
	if len(back) != 3 || back[2].URL != "http://s.example/debian-security" || back[2].Suite != "trixie-security" || back[1].Suite != "trixie-updates" || back[0].SignedBy != debianKeyring {
		t.Errorf("sources are %+v", back)
	}
}

func TestForgetKeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"amd64-c.tar", "amd64-a.tar", "amd64-b.tar", "arm64-x.tar"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, epoch, epoch.AddDate(0, 0, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := forget(dir, "amd64-*.tar", 2); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if want := []string{"amd64-a.tar", "amd64-b.tar", "arm64-x.tar"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
