package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NewDisk makes an empty sparse image of the given size in bytes. An existing file is
// not overwritten.
func NewDisk(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("making a disk: %w", err)
	}
	err = f.Truncate(size)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("making a disk: %w", err)
	}
	return nil
}

// CopyDisk copies an image, leaving its holes holes and sharing its blocks where the
// file system can. A cut copy does not have the new name yet.
func CopyDisk(ctx context.Context, from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("copying the disk %s: %s exists", from, to)
	}
	part := to + ".part"
	out, err := exec.CommandContext(ctx, "cp", "--sparse=always", "--reflink=auto", "--", from, part).CombinedOutput()
	if err != nil {
		os.Remove(part)
		return fmt.Errorf("copying the disk %s: %w: %s", from, err, strings.TrimSpace(string(out)))
	}
	if err := os.Rename(part, to); err != nil {
		return fmt.Errorf("copying the disk %s: %w", from, err)
	}
	return nil
}

// Overlay makes a qcow2 image at path that reads from base, a raw image, and keeps what
// is written to itself; base must not change any more. The Disk needs Format "qcow2".
func Overlay(ctx context.Context, base, path string) error {
	base, err := filepath.Abs(base)
	if err != nil {
		return fmt.Errorf("making an overlay: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("making an overlay over %s: %s exists", base, path)
	}
	// As JSON, because a comma in a plain name would start an option.
	backing, err := json.Marshal(map[string]any{"driver": "raw", "file": map[string]string{"driver": "file", "filename": base}})
	if err != nil {
		return fmt.Errorf("making an overlay: %w", err)
	}
	out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw",
		"-b", "json:"+string(backing), path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making an overlay over %s: %w: %s", base, err, strings.TrimSpace(string(out)))
	}
	return nil
}
