package root

import (
	"slices"
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	rules, err := ParseRules("test", []byte("# comment\ndrop usr/share/doc\nkeep usr/share/doc/*/copyright # licences\ndrop etc/*-\ndrop **/*.pyc\ndrop etc/rc?.d\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"usr/share/doc":                    false,
		"usr/share/doc/bash/README":        false,
		"usr/share/doc/bash/copyright":     true,
		"usr/share/doc/bash/sub/copyright": false,
		"usr/share/documents":              true,
		"etc/passwd":                       true,
		"etc/passwd-":                      false,
		"etc/sub/passwd-":                  true,
		"usr/lib/python/x.pyc":             false,
		"etc/rc3.d/S01x":                   false,
		"etc/rc.d":                         true,
	} {
		if got := rules.Keep(name, true); got != want {
			t.Errorf("%s: keep is %v, want %v", name, got, want)
		}
	}
	if rules.Keep("etc/unmatched", false) {
		t.Error("a path that no rule matches was kept against the default")
	}
	more, err := ParseRules("test", []byte("drop a\nkeep b/c"))
	if err != nil {
		t.Fatal(err)
	}
	more.Keep("a/x", true)
	if got := more.Unused(); !slices.Equal(got, []string{"keep b/c"}) {
		t.Errorf("unused rules are %q", got)
	}
}

func TestParseRulesRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown verb": "remove x", "a missing pattern": "drop", "an absolute pattern": "drop /etc", "a trailing slash": "drop etc/", "two patterns": "drop a b",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseRules("x.rules", []byte("\n"+text)); err == nil || !strings.Contains(err.Error(), "x.rules:2") {
				t.Errorf("error is %v, want one with the line", err)
			}
		})
	}
}

func TestReviewedListsAreSound(t *testing.T) {
	if _, err := (&Assembly{}).parseRules(); err != nil {
		t.Error(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		list, err := Packages(arch)
		if err != nil {
			t.Fatal(err)
		}
		if list.Kernel != "linux-image-"+arch || !slices.Contains(list.Install, "systemd") || !slices.Contains(list.Unpack, "systemd-boot-efi") {
			t.Errorf("the list for %s is %+v", arch, list)
		}
	}
}

func TestParsePackageListRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an unknown verb":   {"install a1\nfetch b1", "list:2"},
		"an option":         {"install --force", "list:1"},
		"a doubled package": {"install a1\nunpack a1", "twice"},
		"a second kernel":   {"install a1\nkernel k1\nkernel k2", "second kernel"},
		"an empty list":     {"# nothing", "no package"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParsePackageList("list", []byte(c.text), "amd64"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	list, err := ParsePackageList("list", []byte("install a1\ninstall b1 arm64 # only there"), "amd64")
	if err != nil || !slices.Equal(list.Install, []string{"a1"}) {
		t.Errorf("list is %v, %v", list, err)
	}
}
