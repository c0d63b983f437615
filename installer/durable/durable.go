// Package durable writes files that are whole whenever the power goes: the old
// content or the new one, never a part, and on the medium when the call returns.
//
// It must never be used for what changes often: each call is several flushes, which
// wear a card and take their time.
//
//	err := durable.WriteFile("/state/etc/upper/machine-id", id, 0o444)
package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile replaces a file, or makes it, together with the folders that it lies
// in. The mode does not depend on the umask. On FAT, whose rename is not one write,
// a cut may leave the new content under the name with ".new".
func WriteFile(path string, content []byte, mode os.FileMode) error {
	if err := write(path, content, mode); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

func write(path string, content []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if err := fill(f, content, mode); err != nil {
		f.Close()
		os.Remove(temp)
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return SyncDir(dir)
}

func fill(f *os.File, content []byte, mode os.FileMode) error {
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// SyncDir returns when the names in a folder are on the medium.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
