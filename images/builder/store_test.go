package builder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type note struct{ Count int }

// makes returns a maker that counts its calls.
func makes(calls *int, n *note) func(string) error {
	return func(dir string) error {
		*calls++
		n.Count = 7
		return os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644)
	}
}

func TestStoreMakesOnce(t *testing.T) {
	s := store{dir: filepath.Join(t.TempDir(), "kind"), keep: 3}
	calls := 0
	for _, step := range []struct {
		name  string
		spoil func(dir string)
		calls int
	}{
		{"nothing there", func(string) {}, 1},
		{"there", func(string) {}, 1},
		{"a file was damaged", func(dir string) { write(t, filepath.Join(dir, "file"), "c0ntent") }, 2},
		{"a file was lost", func(dir string) { os.Remove(filepath.Join(dir, "file")) }, 3},
		{"the record was cut short", func(dir string) { write(t, filepath.Join(dir, recordFile), `{"files": {`) }, 4},
		{"mended", func(string) {}, 4},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.spoil(filepath.Join(s.dir, "key"))
			var n note
			dir, err := s.get(t.Context(), "key", &n, makes(&calls, &n))
			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(filepath.Join(dir, "file"))
			if err != nil || string(content) != "content" || n.Count != 7 || calls != step.calls {
				t.Errorf("content %q (%v), note %+v, made %d times, want %d", content, err, n, calls, step.calls)
			}
		})
	}
}

func TestStoreLeavesNothingOfAFailure(t *testing.T) {
	s := store{dir: t.TempDir(), keep: 3}
	broken := errors.New("broken")
	_, err := s.get(t.Context(), "key", &note{}, func(dir string) error {
		write(t, filepath.Join(dir, "half"), "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStoreForgetsWhatWasNotUsed(t *testing.T) {
	s := store{dir: t.TempDir(), keep: 2}
	calls := 0
	var n note
	get := func(key string) {
		t.Helper()
		if _, err := s.get(t.Context(), key, &n, makes(&calls, &n)); err != nil {
			t.Fatal(err)
		}
	}
	get("a")
	get("b")
	old := time.Now().Add(-time.Hour)
	for _, key := range []string{"a", "b"} {
		if err := os.Chtimes(filepath.Join(s.dir, key), old, old); err != nil {
			t.Fatal(err)
		}
	}
	get("a") // used again
	get("c")
	for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, err := os.Stat(filepath.Join(s.dir, key)); (err == nil) != want {
			t.Errorf("%s is kept: %t, want %t", key, err == nil, want)
		}
	}
}

func TestKeyOf(t *testing.T) {
	seen := map[string]bool{}
	for _, parts := range [][]any{{"ab", "c"}, {"a", "bc"}, {"abc"}, {[]byte("abc"), ""}, {"ab", "c", 1}} {
		key := keyOf(parts...)
		if len(key) != 32 || seen[key] {
			t.Errorf("%q has the key %s of another", parts, key)
		}
		seen[key] = true
	}
	if first, second := keyOf("a", 1), keyOf("a", 1); first != second {
		t.Errorf("the same parts have the keys %s and %s", first, second)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
