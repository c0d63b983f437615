package installer

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeepOlder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "recovery-key.age")
	for _, key := range []string{"first", "second", "third"} {
		if err := keepOlder(name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(key), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{"recovery-key.1.age": "first", "recovery-key.2.age": "second", "recovery-key.age": "third"} {
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(name), file)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", file, b, err)
		}
	}
}
