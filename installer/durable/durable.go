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
	"io"
	"os"
	"path/filepath"
)

// WriteFile replaces a file, or makes it, together with the folders that it lies
// in. The mode does not depend on the umask. On FAT, whose rename is not one write,
// a cut may leave the new content under the name with ".new" as well (package fatmount).
func WriteFile(path string, content []byte, mode os.FileMode) error {
	return Replace(path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// Replace is WriteFile for content that is written piece by piece.
func Replace(path string, mode os.FileMode, write func(io.Writer) error) error {
	if err := replace(path, mode, write); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

func replace(path string, mode os.FileMode, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := fill(f, mode, write); err != nil {
		os.Remove(temp)
		return err
	}
	return Rename(f, temp, path)
}

func fill(f *os.File, mode os.FileMode, write func(io.Writer) error) error {
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := write(f); err != nil {
		return err
	}
	return f.Sync()
}

// Rename gives a file that is open another name in its folder, and returns when that is on
// the medium. On FAT the folder has the place and the size of a file, and Linux writes them
// with the file and not with the folder: a file of which only the folder was synced may be
// empty after a power cut.
func Rename(f *os.File, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
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
