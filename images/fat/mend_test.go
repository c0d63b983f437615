package fat

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMend: what a power cut can leave is put right, and no file that is whole is touched.
func TestMend(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	text := func(c byte, clusters int) []byte { return bytes.Repeat([]byte{c}, clusters*clusterSmall-100) }
	for _, tt := range []struct {
		name   string
		broken func(t *testing.T, v *Volume)
		done   string            // what Mend says it did
		left   map[string][]byte // besides bystander.txt
	}{
		{name: "nothing", broken: func(*testing.T, *Volume) {}, left: map[string][]byte{"key.age": text('k', 3)}},
		{name: "renamed half", broken: func(t *testing.T, v *Volume) { also(t, v, "key.age", "key.age.new") },
			done: "key.age was also called key.age.new", left: map[string][]byte{"key.age": text('k', 3)}},
		{name: "renamed half, the old name is longer", broken: func(t *testing.T, v *Volume) { also(t, v, "key.age", "k.age") },
			done: "k.age was also called key.age", left: map[string][]byte{"k.age": text('k', 3)}},
		{name: "the new name is there, and nothing behind it", broken: func(t *testing.T, v *Volume) {
			d := root(t, v)
			must(t, v.addEntry(d, Entry{Name: "k.age"}))
		}, left: map[string][]byte{"key.age": text('k', 3), "k.age": nil}},
		{name: "its clusters were given back", broken: func(t *testing.T, v *Volume) {
			e := stat(t, v, "key.age")
			must(t, v.releaseFile(e))
			must(t, v.flush())
		}, done: "key.age ends after 0 of 1436 bytes", left: map[string][]byte{"key.age": nil}},
		{name: "its clusters were given back, and what replaces it is there", broken: func(t *testing.T, v *Volume) {
			must(t, v.WriteFile("key.age.new", text('n', 2), when))
			must(t, v.releaseFile(stat(t, v, "key.age")))
			must(t, v.flush())
		}, done: "key.age is now what was to replace it", left: map[string][]byte{"key.age": text('n', 2)}},
		{name: "its clusters are those of what replaces it", broken: func(t *testing.T, v *Volume) {
			must(t, v.releaseFile(stat(t, v, "key.age")))
			v.next = 2
			must(t, v.WriteFile("key.age.new", text('n', 2), when))
		}, done: "key.age is now what was to replace it", left: map[string][]byte{"key.age": text('n', 2)}},
		{name: "the last of them was given back", broken: func(t *testing.T, v *Volume) {
			c, err := v.chain(stat(t, v, "key.age").cluster, 9)
			must(t, err)
			v.set(c[2], 0)
			must(t, v.flush())
		}, done: "key.age ends after 1024 of 1436 bytes", left: map[string][]byte{"key.age": bytes.Repeat([]byte{'k'}, 1024)}},
		{name: "they lead into another file", broken: func(t *testing.T, v *Volume) {
			must(t, v.WriteFile("longer name", text('l', 2), when))
			c, err := v.chain(stat(t, v, "longer name").cluster, 9)
			must(t, err)
			v.release(c[1:])
			v.set(c[0], stat(t, v, "key.age").cluster)
			must(t, v.flush())
		}, done: "longer name ends after 512 of 924 bytes", left: map[string][]byte{"key.age": text('k', 3), "longer name": bytes.Repeat([]byte{'l'}, 512)}},
		{name: "larger than its clusters", broken: func(t *testing.T, v *Volume) {
			d := root(t, v)
			e, _ := d.find("key.age")
			putContent(d.data[e.slot*slotSize:], e.cluster, 5000)
			must(t, v.writeSlots(d, e.slot, 1))
		}, done: "key.age ends after 1536 of 5000 bytes", left: map[string][]byte{"key.age": append(text('k', 3), make([]byte, 100)...)}},
		{name: "a folder was being made", broken: func(t *testing.T, v *Volume) {
			must(t, v.WriteFile("folder/made/x", text('x', 1), when))
			v.set(stat(t, v, "folder/made").cluster, 0)
			must(t, v.flush())
		}, done: "the folder folder/made was not made", left: map[string][]byte{"key.age": text('k', 3)}},
		{name: "a folder was being made longer", broken: func(t *testing.T, v *Volume) {
			for _, c := range "ABCDEFGHIJKLMNOP" { // the first cluster holds . and .., the long and the short name of bystander.txt, and twelve of these
				must(t, v.WriteFile("folder/"+string(c), nil, when))
			}
			c, err := v.chain(stat(t, v, "folder").cluster, 9)
			must(t, err)
			v.set(c[1], 0)
			must(t, v.flush())
		}, done: "the folder folder was not made longer", left: with(map[string][]byte{"key.age": text('k', 3)}, "folder/ABCDEFGHIJKL")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "fat.img")
			f, err := os.Create(name)
			must(t, err)
			defer f.Close()
			must(t, f.Truncate(MinSize))
			v, err := Format(f, MinSize, false, Options{Label: "STEK", Time: when})
			must(t, err)
			must(t, v.WriteFile("key.age", text('k', 3), when))
			must(t, v.WriteFile("folder/bystander.txt", text('b', 5), when))
			tt.broken(t, v)

			done, err := MendDevice(name)
			must(t, err)
			if got := strings.Join(done, "; "); got != tt.done {
				t.Errorf("it did %q, not %q", got, tt.done)
			}
			tt.left["folder/bystander.txt"] = text('b', 5)
			v, err = Open(f, MinSize)
			must(t, err)
			found := 0
			must(t, v.Walk(func(name string, e Entry) error {
				if e.IsDir {
					return nil
				}
				found++
				got, err := v.ReadFile(name, 1<<20)
				if want, ok := tt.left[name]; err != nil || !ok || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, want %d (there is one: %v); %v", name, len(got), len(want), ok, err)
				}
				return nil
			}))
			if found != len(tt.left) {
				t.Errorf("%d files are left, not %d", found, len(tt.left))
			}
			if again, err := MendDevice(name); err != nil || again != nil {
				t.Errorf("once more: %q, %v", again, err)
			}
			// Replacing what was broken harms nobody else.
			must(t, v.WriteFile("key.age", text('n', 4), when))
			if got, err := v.ReadFile("folder/bystander.txt", 1<<20); err != nil || !bytes.Equal(got, text('b', 5)) {
				t.Errorf("after a write: %d bytes, %v", len(got), err)
			}
			// Lost clusters are all that fsck.fat may find: it takes its own way with them.
			out, err := exec.Command("/usr/sbin/fsck.fat", "-n", name).CombinedOutput()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			for _, words := range []string{"share clusters", "starts with free cluster", "Contains a free cluster", "File size is"} {
				if strings.Contains(string(out), words) {
					t.Errorf("fsck.fat: %s", out)
				}
			}
		})
	}
}

// with adds empty files, with one letter each, to what is left.
func with(left map[string][]byte, names string) map[string][]byte {
	dir, letters := path.Split(names)
	for _, c := range letters {
		left[dir+string(c)] = nil
	}
	return left
}

// also gives a file a second name.
func also(t *testing.T, v *Volume, name, other string) {
	t.Helper()
	e := stat(t, v, name)
	must(t, v.addEntry(root(t, v), Entry{Name: other, Size: e.Size, cluster: e.cluster}))
}

func stat(t *testing.T, v *Volume, name string) Entry {
	t.Helper()
	e, err := v.Stat(name)
	must(t, err)
	return e
}

func root(t *testing.T, v *Volume) *directory {
	t.Helper()
	d, err := v.readDirectory(v.root)
	must(t, err)
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMendReads: a file system that is whole is not written to.
func TestMendReads(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "fat.img"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(MinSize))
	v, err := Format(f, MinSize, false, Options{Label: "STEK"})
	must(t, err)
	must(t, v.WriteFile("stek/preseed.yaml", []byte("stek: 1\n"), time.Time{}))
	if done, err := Mend(readOnly{f}, MinSize); err != nil || done != nil {
		t.Errorf("%q, %v", done, err)
	}
}
