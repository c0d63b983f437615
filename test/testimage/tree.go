package testimage

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/cavaliergopher/cpio"
)

// Tree is the content of an initramfs. Parents of a path are made by themselves.
// Paths are those in the guest, absolute.
type Tree struct {
	entries map[string]entry
}

// entry is one file, directory or link. A regular file has either data or a host
// file, read when the tree is written: a test binary needs no second copy in memory.
// The data of a link is its target, as in the archive.
type entry struct {
	mode cpio.FileMode
	data []byte
	host string
}

// NewTree gives a tree with the empty directories that every init mounts on.
func NewTree() *Tree {
	t := &Tree{entries: map[string]entry{}}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/mnt", "/root"} {
		t.AddDir(dir)
	}
	return t
}

// AddDir adds a directory with mode 0755.
func (t *Tree) AddDir(name string) { t.put(name, entry{mode: cpio.TypeDir | 0o755}) }

// AddBytes adds a regular file with the given permission bits.
func (t *Tree) AddBytes(name string, perm os.FileMode, data []byte) {
	t.put(name, entry{mode: cpio.TypeReg | cpio.FileMode(perm.Perm()), data: data})
}

// AddFile adds a file of the host under its own permission bits. The file is read when
// the tree is written, so it must still be there then.
func (t *Tree) AddFile(name, host string) error {
	info, err := os.Stat(host)
	if err != nil {
		return fmt.Errorf("adding %s to the initramfs: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("adding %s to the initramfs: %s is not a regular file", name, host)
	}
	t.put(name, entry{mode: cpio.TypeReg | cpio.FileMode(info.Mode().Perm()), host: host})
	return nil
}

// AddHost adds a file of the host, or a directory with everything below it. Links in it
// are followed when they point to files.
func (t *Tree) AddHost(name, host string) error {
	return filepath.WalkDir(host, func(found string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("adding %s to the initramfs: %w", name, err)
		}
		below, err := filepath.Rel(host, found)
		if err != nil {
			return fmt.Errorf("adding %s to the initramfs: %w", name, err)
		}
		at := path.Join(name, filepath.ToSlash(below))
		if d.IsDir() {
			t.AddDir(at)
			return nil
		}
		return t.AddFile(at, found)
	})
}

// AddLink adds a symbolic link.
func (t *Tree) AddLink(name, target string) {
	t.put(name, entry{mode: cpio.TypeSymlink | 0o777, data: []byte(target)})
}

// Has tells whether the tree holds a path.
func (t *Tree) Has(name string) bool {
	_, ok := t.entries[path.Clean("/"+name)]
	return ok
}

// Paths lists everything in the tree, in the order in which it is written.
func (t *Tree) Paths() []string {
	var names []string
	for name := range t.entries {
		names = append(names, name)
	}
	slices.Sort(names) // a parent sorts before what is in it, as the kernel needs it
	return names
}

func (t *Tree) put(name string, e entry) {
	name = path.Clean("/" + name)
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if _, ok := t.entries[dir]; !ok {
			t.entries[dir] = entry{mode: cpio.TypeDir | 0o755}
		}
	}
	t.entries[name] = e
}

// WriteCPIO writes the tree as an uncompressed newc archive, the format of the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst. It is not compressed,
// because unpacking in an emulated guest costs more than reading.
func (t *Tree) WriteCPIO(w io.Writer) error {
	archive := cpio.NewWriter(w)
	for i, name := range t.Paths() {
		if err := writeEntry(archive, int64(i+1), name, t.entries[name]); err != nil {
			return fmt.Errorf("writing %s to the initramfs: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("ending the initramfs: %w", err)
	}
	return nil
}

// WriteFile writes the tree as a newc archive to a file of the host.
func (t *Tree) WriteFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("making the initramfs: %w", err)
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = t.WriteCPIO(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

// writeEntry gives each entry its own inode number: the kernel takes two files with the
// same number and more than one link for hard links.
func writeEntry(archive *cpio.Writer, inode int64, name string, e entry) error {
	header := &cpio.Header{Name: name[1:], Mode: e.mode, Inode: inode, Links: 1, ModTime: time.Unix(0, 0)}
	var content io.Reader = bytes.NewReader(e.data)
	header.Size = int64(len(e.data))
	if e.host != "" {
		f, err := os.Open(e.host)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		header.Size = info.Size()
		content = f
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, content)
	return err
}
