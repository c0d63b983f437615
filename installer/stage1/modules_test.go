package stage1

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func TestAliasMatches(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"virtio:d00000002v*", "virtio:d00000002v00001AF4", true},
		{"virtio:d00000002v*", "virtio:d00000003v00001AF4", false},
		{"pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", true},
		{"pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc06i01", false},
		{"acpi*:MSFT0101:*", "acpi:MSFT0101:", true},
		{"usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v46F4p0001d0100dc00dsc00dp00ic08isc06ip50in00", true},
		{"a?c", "abc", true},
		{"a[0-9]c", "a5c", true},
		{"a[0-9]c", "axc", false},
		{"fs-ext4", "fs-ext4", true},
		{"a*", "", false},
		{"*", "", true},
		{"[", "[", true},
	}
	for _, tt := range tests {
		if got := aliasMatches(tt.pattern, tt.s); got != tt.want {
			t.Errorf("aliasMatches(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestLoadInsertsDependenciesFirst(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "usr/lib/modules/6.1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("modules.dep", "kernel/ext4.ko: kernel/jbd2.ko kernel/crc16.ko\nkernel/jbd2.ko:\nkernel/crc16.ko:\nkernel/crc32c-x.ko:\nkernel/a.ko: kernel/b.ko\nkernel/b.ko: kernel/a.ko\n")
	write("modules.alias", "# aliases\nalias fs-ext4 ext4\n")
	write("modules.softdep", "softdep ext4 pre: crc32c-x post: jbd2\n")
	m, err := openModules(root, "6.1")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	m.insert = func(p string) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, moduleName(p))
		return nil
	}
	if err := m.load("fs-ext4"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got[:3]) // in any order, all before the last
	if want := []string{"crc16", "crc32c_x", "jbd2", "ext4"}; !slices.Equal(got, want) {
		t.Errorf("inserted %v, want %v", got, want)
	}
	if err := m.load("ext4"); err != nil || len(got) != 4 {
		t.Errorf("once more: inserted %v, %v", got, err)
	}
	got = nil
	if err := m.load("a"); err != nil || !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("a loop in the index: inserted %v, %v", got, err)
	}
	if err := m.load("no-such-module"); err != nil {
		t.Errorf("an unknown name is no error, got %v", err)
	}
}

// TestLoadWaitsForWhatIsOnItsWay: a module that another asked for is not begun twice, what
// needs one that fails does not go in, and modules without a tie go in side by side.
func TestLoadWaitsForWhatIsOnItsWay(t *testing.T) {
	held, begun := make(chan struct{}), make(chan string, 8)
	broken := errors.New("unknown symbol")
	m := &moduleIndex{
		dir:     "/",
		file:    map[string]string{"slow": "slow.ko", "user": "user.ko", "other": "other.ko", "bad": "bad.ko", "needy": "needy.ko"},
		deps:    map[string][]string{"user": {"slow"}, "needy": {"bad"}},
		planned: map[string]*insertion{},
		insert: func(p string) error {
			begun <- moduleName(p)
			switch moduleName(p) {
			case "slow":
				<-held
			case "bad":
				return broken
			}
			return nil
		},
	}
	slow, user := m.start("slow"), m.start("user")
	if err := m.load("other"); err != nil {
		t.Fatal(err)
	}
	if err := m.load("needy"); !errors.Is(err, broken) {
		t.Errorf("a module that cannot go in: %v", err)
	}
	close(held)
	if err := errors.Join(slow[0].wait(), user[0].wait()); err != nil {
		t.Error(err)
	}
	close(begun)
	var all []string
	for name := range begun {
		all = append(all, name)
	}
	if last := all[len(all)-1]; last != "user" {
		t.Errorf("begun: %v, and the last is to be the one that waited", all)
	}
	slices.Sort(all)
	if want := []string{"bad", "other", "slow", "user"}; !slices.Equal(all, want) {
		t.Errorf("begun: %v, not %v", all, want)
	}
}

func FuzzAliasMatches(f *testing.F) {
	f.Add("pci:v*[a-c]d?", "pci:v00d0")
	f.Add("[", "")
	f.Fuzz(func(t *testing.T, pattern, s string) { aliasMatches(pattern, s) })
}
