package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestNewDiskOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := NewDisk(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := NewDisk(path, 1<<20); err == nil {
		t.Error("a disk was overwritten")
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 1<<40 {
		t.Errorf("the disk is %v (%v)", info, err)
	}
}

func TestCopyDiskKeepsHoles(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := NewDisk(from, 1<<30); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(from, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("in the middle"), 500<<20); err != nil {
		t.Fatal(err)
	}
	if err := CopyDisk(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	found, err := ScanFile(t.Context(), to, Canary{"text", []byte("in the middle")})
	if err != nil || len(found) != 1 || found[0].Offset != 500<<20 {
		t.Errorf("the copy holds %v (%v)", found, err)
	}
	info, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != 1<<30 || used > 1<<20 {
		t.Errorf("the copy has %d bytes and uses %d", info.Size(), used)
	}
	if err := CopyDisk(t.Context(), from, to); err == nil {
		t.Error("a disk was overwritten")
	}
}

func TestOverlayLeavesItsBaseAlone(t *testing.T) {
	dir := t.TempDir()
	base, overlay := filepath.Join(dir, "base, with a comma"), filepath.Join(dir, "overlay")
	content := bytes.Repeat([]byte("base"), 1<<18)
	if err := os.WriteFile(base, content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Overlay(t.Context(), base, overlay); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("qemu-io", "-f", "qcow2", "-c", "read -P 0x62 0 1", "-c", "write -P 0x58 0 512", overlay).CombinedOutput()
	if err != nil || strings.Contains(string(out), "fail") {
		t.Errorf("using the overlay: %v: %s", err, out)
	}
	if now, err := os.ReadFile(base); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the base has changed (%v)", err)
	}
	if err := Overlay(t.Context(), base, overlay); err == nil {
		t.Error("an overlay was overwritten")
	}
}
