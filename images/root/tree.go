package root

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"
)

// Tree is a file system tree in memory: every path with its metadata, the content
// left where it is (a tar, the host, memory) until the tree is written.
type Tree struct {
	entries map[string]*Entry
}

// NewTree returns an empty tree. Its root directory is implied: 0755, root:root.
func NewTree() *Tree { return &Tree{entries: map[string]*Entry{}} }

// Len is the number of paths.
func (t *Tree) Len() int { return len(t.entries) }

// Get returns the entry at exactly this path; links are not followed.
func (t *Tree) Get(name string) (*Entry, bool) {
	e, ok := t.entries[name]
	return e, ok
}

// Add puts an entry into the tree, over whatever was at its path. Missing parents
// are made (0755, root:root). Directories that are symbolic links in a merged-/usr
// system are followed, as dpkg does: "lib/x" lands in "usr/lib/x".
func (t *Tree) Add(e Entry) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("adding to the root: %w", err)
	}
	parent, err := t.resolveParent(e.Path)
	if err != nil {
		return fmt.Errorf("adding %s to the root: %w", e.Path, err)
	}
	e.Path = path.Join(parent, path.Base(e.Path))
	old, exists := t.entries[e.Path]
	if exists && e.Kind == Directory && old.Kind == Symlink {
		// A package ships lib/ as a directory, the root has it as a link.
		return nil
	}
	if exists && old.Kind == Directory && e.Kind != Directory {
		for name := range t.entries {
			if strings.HasPrefix(name, e.Path+"/") {
				return fmt.Errorf("adding %s to the root: a directory with content is there already", e.Path)
			}
		}
	}
	t.entries[e.Path] = &e
	return nil
}

// resolveParent follows the links among the parents of name and makes the missing
// ones.
func (t *Tree) resolveParent(name string) (string, error) {
	todo := strings.Split(name, "/")
	todo = todo[:len(todo)-1]
	at := ""
	for hops := 0; len(todo) > 0; {
		step := todo[0]
		todo = todo[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			if at = path.Dir(at); at == "." {
				at = ""
			}
			continue
		}
		next := path.Join(at, step)
		e, ok := t.entries[next]
		switch {
		case !ok:
			t.entries[next] = &Entry{Path: next, Kind: Directory, Perm: 0o755}
			at = next
		case e.Kind == Directory:
			at = next
		case e.Kind == Symlink:
			if hops++; hops > 40 {
				return "", fmt.Errorf("too many links on the way to %s", name)
			}
			if strings.HasPrefix(e.Link, "/") {
				at = ""
			}
			todo = append(strings.Split(e.Link, "/"), todo...)
		default:
			return "", fmt.Errorf("%s is a file, not a directory", next)
		}
	}
	return at, nil
}

// lookup finds an entry, following links among its parents but not itself.
func (t *Tree) lookup(name string) (*Entry, bool) {
	names := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	at := ""
	for hops := 0; len(names) > 1; {
		next := path.Join(at, names[0])
		names = names[1:]
		e, ok := t.entries[next]
		switch {
		case !ok || e.Kind == Regular:
			return nil, false
		case e.Kind == Directory:
			at = next
			continue
		}
		if hops++; hops > 40 {
			return nil, false
		}
		target := path.Join("/", at, e.Link)
		if path.IsAbs(e.Link) {
			target = path.Clean(e.Link)
		}
		names = append(strings.Split(strings.Trim(target, "/"), "/"), names...)
		at = ""
	}
	e, ok := t.entries[path.Join(at, names[0])]
	return e, ok
}

// Remove takes a path out of the tree, with everything below it.
func (t *Tree) Remove(name string) {
	delete(t.entries, name)
	for p := range t.entries {
		if strings.HasPrefix(p, name+"/") {
			delete(t.entries, p)
		}
	}
}

// All walks the tree in byte order of the paths, parents before children.
func (t *Tree) All() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, name := range t.Paths() {
			if !yield(t.entries[name]) {
				return
			}
		}
	}
}

// Paths lists all paths in byte order.
func (t *Tree) Paths() []string {
	names := make([]string, 0, len(t.entries))
	for name := range t.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Below walks the entries under a directory, itself not included.
func (t *Tree) Below(dir string) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for e := range t.All() {
			if strings.HasPrefix(e.Path, dir+"/") && !yield(e) {
				return
			}
		}
	}
}

// Size is the content below a path in bytes, hard links counted once. An empty
// path means the whole tree.
func (t *Tree) Size(under string) int64 {
	seen := map[*content]bool{}
	var sum int64
	for name, e := range t.entries {
		if e.content == nil || seen[e.content] {
			continue
		}
		if under == "" || name == under || strings.HasPrefix(name, under+"/") {
			seen[e.content] = true
			sum += e.content.size
		}
	}
	return sum
}

// Sub is the part of the tree below dir as an fs.FS of regular files, which is what
// the initramfs builder reads modules from. Directories are not listed; a symbolic
// link is an error, not followed.
func (t *Tree) Sub(dir string) fs.FS { return subFS{t, dir} }

type subFS struct {
	tree *Tree
	dir  string
}

func (s subFS) Open(name string) (fs.File, error) {
	e, ok := s.tree.entries[path.Join(s.dir, name)]
	if !fs.ValidPath(name) || !ok || e.Kind != Regular {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	r, err := e.Open()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return openFile{r, e}, nil
}

type openFile struct {
	io.ReadCloser
	entry *Entry
}

func (f openFile) Stat() (fs.FileInfo, error) { return fileInfo{f.entry}, nil }

type fileInfo struct{ entry *Entry }

func (i fileInfo) Name() string       { return path.Base(i.entry.Path) }
func (i fileInfo) Size() int64        { return i.entry.Size() }
func (i fileInfo) Mode() fs.FileMode  { return fs.FileMode(i.entry.Perm & 0o777) }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }
