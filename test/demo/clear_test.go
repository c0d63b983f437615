package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestClearLast: of the last box only the logs stay, and those of the one before go.
func TestClearLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	for _, run := range []string{"first", "second", "third"} {
		if err := clearLast(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "box", run), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "disk.img"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := clearLast(dir); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(dir + "*/*")
	if want := filepath.Join(dir+"-before", "third"); err != nil || len(left) != 1 || left[0] != want {
		t.Errorf("%q is left, want %s: %v", left, want, err)
	}
}
