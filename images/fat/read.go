package fat

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Bounds on what is read. The specification allows directories of 2 MiB.
const (
	maxDirectory = 2 << 20
	maxDepth     = 16
	maxEntries   = 1 << 16
)

// elements splits a path with slashes; a leading slash does not matter.
func elements(name string) ([]string, error) {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return nil, fmt.Errorf("%q is more than %d directories deep", name, maxDepth)
	}
	return parts, nil
}

// directory is a directory that was read.
type directory struct {
	clusters []uint32
	data     []byte
	entries  []Entry
}

func (v *Volume) readDirectory(first uint32) (*directory, error) {
	clusters, err := v.chain(first, maxDirectory/v.clusterSize)
	if err != nil {
		return nil, err
	}
	d := &directory{clusters: clusters, data: make([]byte, int64(len(clusters))*v.clusterSize)}
	for i, c := range clusters {
		if err := readFull(v.device, d.data[int64(i)*v.clusterSize:int64(i+1)*v.clusterSize], v.offset(c)); err != nil {
			return nil, fmt.Errorf("reading a directory: %w", err)
		}
	}
	d.entries = parseEntries(d.data)
	return d, nil
}

// find looks a name up as FAT systems do: without regard to case, by long or
// short name.
func (d *directory) find(name string) (Entry, bool) {
	for _, e := range d.entries {
		short := strings.TrimRight(string(e.short[:8]), " ")
		if ext := strings.TrimRight(string(e.short[8:]), " "); ext != "" {
			short += "." + ext
		}
		if strings.EqualFold(e.Name, name) || strings.EqualFold(short, name) {
			return e, true
		}
	}
	return Entry{}, false
}

// root is the entry that stands for the root directory.
func (v *Volume) rootEntry() Entry { return Entry{IsDir: true, cluster: v.root} }

// Stat finds an entry by its path, with slashes. The error is
// [fs.ErrNotExist] if there is none.
func (v *Volume) Stat(name string) (Entry, error) {
	parts, err := elements(name)
	if err != nil {
		return Entry{}, err
	}
	current := v.rootEntry()
	for _, part := range parts {
		if !current.IsDir {
			return Entry{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		d, err := v.readDirectory(current.cluster)
		if err != nil {
			return Entry{}, err
		}
		e, ok := d.find(part)
		if !ok {
			return Entry{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		current = e
	}
	return current, nil
}

// ReadDir lists a directory in the order on disk.
func (v *Volume) ReadDir(name string) ([]Entry, error) {
	e, err := v.Stat(name)
	if err != nil {
		return nil, err
	}
	if !e.IsDir {
		return nil, fmt.Errorf("%s is no directory", name)
	}
	d, err := v.readDirectory(e.cluster)
	if err != nil {
		return nil, err
	}
	return d.entries, nil
}

// ReadFile reads a file of at most limit bytes.
func (v *Volume) ReadFile(name string, limit int64) ([]byte, error) {
	e, err := v.Stat(name)
	if err != nil {
		return nil, err
	}
	if e.IsDir {
		return nil, fmt.Errorf("%s is a directory", name)
	}
	if e.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read", name, e.Size, limit)
	}
	if e.Size == 0 {
		return nil, nil
	}
	n := (e.Size + v.clusterSize - 1) / v.clusterSize
	clusters, _, err := v.prefix(e.cluster, min(n, int64(v.clusters)))
	if err != nil {
		return nil, err
	}
	if int64(len(clusters)) < n {
		return nil, formatError("%s has %d bytes but only %d clusters", name, e.Size, len(clusters))
	}
	// Read only now: a size that the chain does not back costs no memory.
	data := make([]byte, n*v.clusterSize)
	for _, run := range runs(clusters) {
		at := int64(run.index) * v.clusterSize
		if err := readFull(v.device, data[at:at+int64(run.count)*v.clusterSize], v.offset(run.first)); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return data[:e.Size], nil
}

// run is a piece of a chain whose clusters follow each other on the device.
type run struct {
	first uint32
	index int // of the first cluster in the chain
	count int
}

func runs(clusters []uint32) []run {
	var list []run
	for i, c := range clusters {
		if n := len(list); n > 0 && list[n-1].first+uint32(list[n-1].count) == c {
			list[n-1].count++
			continue
		}
		list = append(list, run{first: c, index: i, count: 1})
	}
	return list
}

// Walk calls visit for every entry below the root, parents first, in the order
// on disk.
func (v *Volume) Walk(visit func(name string, e Entry) error) error {
	return v.walk(func(_ *directory, name string, e Entry) error { return visit(name, e) }, func(*directory) {})
}

// walk is Walk with the directory of each entry, and enter for each directory. What visit
// answers with [fs.SkipDir] is not entered.
func (v *Volume) walk(visit func(d *directory, name string, e Entry) error, enter func(d *directory)) error {
	seen, clusters := 0, 0
	// A directory that contains itself would otherwise be walked maxDepth
	// times over in each of its copies.
	open := map[uint32]bool{}
	var walk func(prefix string, e Entry, depth int) error
	walk = func(prefix string, e Entry, depth int) error {
		if depth > maxDepth || open[e.cluster] {
			return formatError("directories are nested too deep or in a circle at %s", prefix)
		}
		open[e.cluster] = true
		defer delete(open, e.cluster)
		d, err := v.readDirectory(e.cluster)
		if err != nil {
			return err
		}
		// A cluster belongs to one directory; more mean that some are shared.
		if clusters += len(d.clusters); clusters > int(v.clusters) {
			return formatError("directories share clusters")
		}
		enter(d)
		for _, child := range d.entries {
			if seen++; seen > maxEntries {
				return formatError("more than %d files", maxEntries)
			}
			name := path.Join(prefix, child.Name)
			err := visit(d, name, child)
			if err != nil && !errors.Is(err, fs.SkipDir) {
				return err
			}
			if child.IsDir && err == nil {
				if err := walk(name, child, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return walk("", v.rootEntry(), 0)
}
