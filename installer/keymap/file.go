package keymap

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Where layouts lie. Dir is in the root, with one file for each name that the answer
// file may give; ESPPath is on the ESP of an installed disk, below its root.
const (
	Dir     = "/usr/share/stek/keymaps"
	ESPPath = "stek/keymap"
	suffix  = ".bkeymap"
)

// BuiltIn tells whether a name means the layout that the kernel begins with.
func BuiltIn(name string) bool { return name == "" || name == "us" }

// FileName is the name of a layout's file in Dir.
func FileName(name string) string { return name + suffix }

// LayoutError says that there is no such layout, or that its file cannot be read. Whoever
// chose it can choose another; any other error of Use is the console's, and none of theirs.
type LayoutError struct{ Err error }

func (e *LayoutError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *LayoutError) Unwrap() error { return e.Err }

// Read reads a layout from a folder of them, and proves that it is one. The layout
// that is built in needs no file: it gives nil. Its errors are of the type LayoutError.
func Read(dir, name string) ([]byte, error) {
	if BuiltIn(name) {
		return nil, nil
	}
	data, err := read(dir, name)
	if err != nil {
		return nil, &LayoutError{err}
	}
	return data, nil
}

func read(dir, name string) ([]byte, error) {
	if !fs.ValidPath(name) || filepath.Base(name) != name {
		return nil, fmt.Errorf("%q is no name of a keyboard", name)
	}
	data, err := os.ReadFile(filepath.Join(dir, FileName(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this image has no layout for the keyboard %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the layout of the keyboard %s: %w", name, err)
	}
	if _, err := Parse(data); err != nil {
		return nil, fmt.Errorf("reading the layout of the keyboard %s: %w", name, err)
	}
	return data, nil
}

// Use gives the kernel a layout from a folder of them, in place of the one that it was
// given before: the layout that is built in comes back as it was.
func Use(dir, name string) error {
	layout, err := Read(dir, name)
	if err != nil {
		return err
	}
	return onConsole(func(k kernel) error { return change(k, ownFile, layout) })
}
