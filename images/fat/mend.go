package fat

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// Mend puts a file system right that lost its power while it was written to, before
// anything writes to it again. It returns what it did, for a log.
//
// A name is changed on FAT by writing the new one and then removing the old one. Cut in
// between, one file has two names; and whoever replaces or removes the one gives the
// clusters of the other back, which is then damaged: a kernel image, or the only copy of a
// recovery key. Of two names in one directory the shorter is kept ("key" and not
// "key.new", "stek-a.efi" and not "stek-a+9.efi"), and the file stays whole. A file whose
// clusters are not all its own is what was being written in its place, where that is whole
// ("key.new" for "key", as package durable calls it), and otherwise ends where they end: to
// free them once more has Linux write-protect the whole file system.
//
// So has a directory with a free cluster. That is one that was being made, or made longer,
// and a drive that reorders has kept its name and not yet its cluster: nothing in there was
// flushed, so it goes, and the directory ends before it.
//
// fsck.fat(8) is no help here: it keeps the name that comes first, whichever it is, and
// empties the other.
func Mend(device Device, size int64) (done []string, err error) {
	v, err := Open(device, size)
	if err != nil {
		return nil, err
	}
	m := &mender{v: v, owned: map[uint32]bool{}, named: map[string]filed{}, first: map[uint32]filed{}, gone: map[string]bool{}}
	var all []filed
	// Directories own their clusters first: nothing is found without them.
	if err := v.walk(func(dir *directory, name string, e Entry) error {
		f := filed{dir, name, e}
		if e.IsDir {
			return m.directory(f)
		}
		all, m.named[name] = append(all, f), f
		return nil
	}, func(d *directory) {
		for _, c := range d.clusters {
			m.owned[c] = true
		}
	}); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b filed) int { return cmp.Compare(len(a.entry.Name), len(b.entry.Name)) })
	for _, f := range all {
		if err := m.file(f); err != nil {
			return m.done, fmt.Errorf("mending %s: %w", f.name, err)
		}
	}
	if len(m.done) == 0 {
		return nil, nil
	}
	return m.done, v.flush()
}

// filed is a file and the directory that it is in.
type filed struct {
	dir   *directory
	name  string
	entry Entry
}

type mender struct {
	v     *Volume
	owned map[uint32]bool
	named map[string]filed
	first map[uint32]filed // what was kept, by its first cluster
	gone  map[string]bool  // names that were removed
	done  []string
}

// directory ends a directory before its first free cluster, and removes one that has no
// other: [fs.SkipDir].
func (m *mender) directory(f filed) error {
	last := uint32(0)
	// A circle is found by whoever reads it.
	for c, n := f.entry.cluster, uint32(0); m.v.valid(c) && n < m.v.clusters; c, n = m.v.fat[c]&entryMask, n+1 {
		if m.v.fat[c]&entryMask != 0 {
			last = c
			continue
		}
		if last == 0 {
			m.done = append(m.done, fmt.Sprintf("the folder %s was not made", f.name))
			if err := m.v.forget(f.dir, f.entry); err != nil {
				return fmt.Errorf("mending %s: %w", f.name, err)
			}
			return fs.SkipDir
		}
		m.done = append(m.done, fmt.Sprintf("the folder %s was not made longer", f.name))
		m.v.set(last, endOfChain)
		return nil
	}
	return nil
}

func (m *mender) file(f filed) error {
	if f.entry.cluster == 0 || m.gone[f.name] {
		return nil
	}
	if kept, ok := m.first[f.entry.cluster]; ok && kept.dir == f.dir {
		m.done = append(m.done, fmt.Sprintf("%s was also called %s", kept.name, f.name))
		return m.v.forget(f.dir, f.entry)
	}
	own, whole := m.own(f.entry)
	if whole {
		m.keep(f, own)
		return nil
	}
	if next, ok := m.named[f.name+".new"]; ok && next.entry.Size > 0 {
		if own, whole := m.own(next.entry); whole {
			return m.replace(f, next, own)
		}
	}
	for _, c := range own {
		m.owned[c] = true
	}
	m.done = append(m.done, fmt.Sprintf("%s ends after %d of %d bytes", f.name, min(f.entry.Size, int64(len(own))*m.v.clusterSize), f.entry.Size))
	return m.v.cut(f.dir, f.entry, own)
}

// keep remembers whose the clusters of a whole file are.
func (m *mender) keep(f filed, own []uint32) {
	m.first[f.entry.cluster] = f
	for _, c := range own {
		m.owned[c] = true
	}
}

// replace gives the name of a file to what was being written in its place. The clusters of
// the file before are not given back: others may have them by now.
func (m *mender) replace(f, next filed, own []uint32) error {
	m.done = append(m.done, fmt.Sprintf("%s is now what was to replace it", f.name))
	m.gone[next.name] = true
	f.entry.cluster = next.entry.cluster
	m.keep(f, own)
	if err := m.v.setContent(f.dir, f.entry, next.entry.cluster, next.entry.Size); err != nil {
		return err
	}
	return m.v.forget(f.dir, next.entry)
}

// own lists the clusters of a file up to the first that is free, bad or another's, and tells
// whether that is all of it.
func (m *mender) own(e Entry) (own []uint32, whole bool) {
	mine := map[uint32]bool{}
	for c := e.cluster; m.v.valid(c) && !m.owned[c] && !mine[c]; {
		next := m.v.fat[c] & entryMask
		if next == 0 {
			break // free
		}
		own, mine[c] = append(own, c), true
		if next >= endOfChainMin {
			return own, int64(len(own))*m.v.clusterSize >= e.Size
		}
		c = next
	}
	return own, false
}

// cut ends a file after the clusters that are given.
func (v *Volume) cut(d *directory, e Entry, clusters []uint32) error {
	var first uint32
	if n := len(clusters); n > 0 {
		first = clusters[0]
		v.set(clusters[n-1], endOfChain)
	}
	if err := v.flush(); err != nil {
		return err
	}
	return v.setContent(d, e, first, min(e.Size, int64(len(clusters))*v.clusterSize))
}

// MendDevice is Mend for a partition that is not mounted, by its device or the name of an
// image file. What it did is on the medium when it returns.
func MendDevice(name string) (done []string, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|exclusive, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if done, err = Mend(f, size); len(done) > 0 {
		err = errors.Join(err, f.Sync())
	}
	return done, err
}
