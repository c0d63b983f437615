package root

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// Kind is the type of an Entry. Device nodes, sockets and FIFOs have no place in
// a root that is shipped: devtmpfs and tmpfs make them.
type Kind uint8

// The kinds of entries.
const (
	Regular Kind = iota
	Directory
	Symlink
)

// Entry is one path of a Tree.
type Entry struct {
	Path  string // relative, slash separated, clean: "usr/bin/stek"
	Kind  Kind
	Perm  uint32 // permission bits with setuid, setgid and sticky: 0o7777
	UID   int
	GID   int
	Link  string            // where a Symlink points
	Xattr map[string]string // extended attributes, such as security.capability

	content *content // of a Regular; shared by hard links
}

// content is the bytes of one inode.
type content struct {
	size int64
	open func() (io.ReadCloser, error)
}

// Size is the length of a regular file in bytes, otherwise 0.
func (e *Entry) Size() int64 {
	if e.content == nil {
		return 0
	}
	return e.content.size
}

// Open opens the content of a regular file.
func (e *Entry) Open() (io.ReadCloser, error) {
	if e.content == nil {
		return nil, fmt.Errorf("%s is not a regular file", e.Path)
	}
	r, err := e.content.open()
	if err != nil {
		return nil, fmt.Errorf("opening the content of %s: %w", e.Path, err)
	}
	return r, nil
}

// ReadAll returns the whole content of a regular file.
func (e *Entry) ReadAll() ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", e.Path, err)
	}
	return data, nil
}

// File is a regular file, owned by root, with its content in memory.
func File(name string, perm uint32, data []byte) Entry {
	return Entry{Path: name, Kind: Regular, Perm: perm, content: &content{
		size: int64(len(data)),
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}}
}

// HostFile is a regular file, owned by root, whose content is read from the
// building machine when the tree is written. The host's mode, owner and time are
// not taken over. A missing host file is an error of Tree.Add.
func HostFile(name string, perm uint32, hostPath string) Entry {
	e := Entry{Path: name, Kind: Regular, Perm: perm, content: &content{
		size: -1,
		open: func() (io.ReadCloser, error) { return os.Open(hostPath) },
	}}
	if info, err := os.Stat(hostPath); err == nil && info.Mode().IsRegular() {
		e.content.size = info.Size()
	}
	return e
}

// Dir is a directory owned by root.
func Dir(name string, perm uint32) Entry {
	return Entry{Path: name, Kind: Directory, Perm: perm}
}

// Link is a symbolic link owned by root.
func Link(name, target string) Entry {
	return Entry{Path: name, Kind: Symlink, Perm: 0o777, Link: target}
}

// check refuses entries that cannot be written as they are.
func (e *Entry) check() error {
	switch {
	case e.Path == "" || e.Path == "." || strings.HasPrefix(e.Path, "/") || path.Clean(e.Path) != e.Path || strings.HasPrefix(e.Path, "../") || e.Path == "..":
		return fmt.Errorf("path %q is not a clean path below the root", e.Path)
	case strings.ContainsRune(e.Path, 0):
		return fmt.Errorf("path %q holds a zero byte", e.Path)
	case e.Perm&^0o7777 != 0:
		return fmt.Errorf("%s: mode %o has bits beside the permissions", e.Path, e.Perm)
	case e.Kind == Symlink && e.Link == "":
		return fmt.Errorf("%s: symbolic link without a target", e.Path)
	case e.Kind == Regular && e.content == nil:
		return fmt.Errorf("%s: regular file without content", e.Path)
	case e.Kind == Regular && e.content.size < 0:
		r, err := e.content.open()
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		r.Close()
		return fmt.Errorf("%s: %w", e.Path, errors.New("the host path is not a regular file"))
	}
	return nil
}
