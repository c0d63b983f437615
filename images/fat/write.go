package fat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// maxFile is the largest file that FAT can hold.
const maxFile = 1<<32 - 1

// copyBuffer is how much of a file is in memory at once.
const copyBuffer = 1 << 20

// MkdirAll makes a directory and those above it. Existing ones stay.
func (v *Volume) MkdirAll(name string, modified time.Time) error {
	_, err := v.mkdirAll(name, modified)
	if err != nil {
		return fmt.Errorf("making the directory %s: %w", name, err)
	}
	return nil
}

func (v *Volume) mkdirAll(name string, modified time.Time) (Entry, error) {
	parts, err := elements(name)
	if err != nil {
		return Entry{}, err
	}
	current := v.rootEntry()
	for _, part := range parts {
		d, err := v.readDirectory(current.cluster)
		if err != nil {
			return Entry{}, err
		}
		e, ok := d.find(part)
		switch {
		case ok && !e.IsDir:
			return Entry{}, fmt.Errorf("%s is a file", part)
		case !ok:
			if e, err = v.mkdir(current, d, part, modified); err != nil {
				return Entry{}, err
			}
		}
		current = e
	}
	return current, nil
}

func (v *Volume) mkdir(parent Entry, d *directory, name string, modified time.Time) (Entry, error) {
	if err := checkName(name); err != nil {
		return Entry{}, err
	}
	clusters, err := v.allocate(1)
	if err != nil {
		return Entry{}, err
	}
	up := parent.cluster
	if up == v.root {
		up = 0 // the specification: ".." of a directory below the root names cluster 0
	}
	data := make([]byte, v.clusterSize)
	for i, dots := range []struct {
		name    string
		cluster uint32
	}{{".", clusters[0]}, {"..", up}} {
		slot := data[i*slotSize:]
		copy(slot, fmt.Sprintf("%-11s", dots.name))
		slot[attributeField] = attributeDir
		putTime(slot, modified)
		putContent(slot, dots.cluster, 0)
	}
	if _, err := v.device.WriteAt(data, v.offset(clusters[0])); err != nil {
		return Entry{}, err
	}
	e := Entry{Name: name, IsDir: true, Modified: modified, cluster: clusters[0]}
	return e, v.addEntry(d, e)
}

// WriteFile writes a file, with the directories above it, in place of one that
// may be there. Like [Volume.WriteFrom].
func (v *Volume) WriteFile(name string, data []byte, modified time.Time) error {
	return v.WriteFrom(name, bytes.NewReader(data), int64(len(data)), modified)
}

// WriteFrom writes a file of size bytes from a reader. Data goes to free
// clusters first, then the FAT, then the directory entry, and last the clusters
// of a file that was replaced are given back: cut short anywhere, the old file
// or the new one is there, whole.
func (v *Volume) WriteFrom(name string, r io.Reader, size int64, modified time.Time) error {
	if err := v.writeFrom(name, r, size, modified); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

func (v *Volume) writeFrom(name string, r io.Reader, size int64, modified time.Time) error {
	if size < 0 || size > maxFile {
		return fmt.Errorf("%d bytes; FAT holds files of at most %d", size, int64(maxFile))
	}
	base := path.Base(path.Clean("/" + name))
	if err := checkName(base); err != nil {
		return err
	}
	parent, err := v.mkdirAll(path.Dir(path.Clean("/"+name)), modified)
	if err != nil {
		return err
	}
	d, err := v.readDirectory(parent.cluster)
	if err != nil {
		return err
	}
	old, replace := d.find(base)
	if replace && old.IsDir {
		return errors.New("there is a directory of that name")
	}
	clusters, err := v.allocate((size + v.clusterSize - 1) / v.clusterSize)
	if err != nil {
		return err
	}
	if err := v.writeData(clusters, r, size); err != nil {
		v.release(clusters)
		return err
	}
	var first uint32
	if len(clusters) > 0 {
		first = clusters[0]
	}
	if !replace {
		return v.addEntry(d, Entry{Name: base, Size: size, Modified: modified, cluster: first})
	}
	if err := v.flush(); err != nil {
		return err
	}
	putTime(d.data[old.slot*slotSize:(old.slot+1)*slotSize], modified)
	if err := v.setContent(d, old, first, size); err != nil {
		return err
	}
	if err := v.releaseFile(old); err != nil {
		return err
	}
	return v.flush()
}

// setContent changes where the data of an entry is.
func (v *Volume) setContent(d *directory, e Entry, cluster uint32, size int64) error {
	putContent(d.data[e.slot*slotSize:(e.slot+1)*slotSize], cluster, size)
	return v.writeSlots(d, e.slot, 1)
}

// forget removes a name, and leaves its clusters to whom they belong.
func (v *Volume) forget(d *directory, e Entry) error {
	start := e.slot - e.slots + 1
	for i := start; i <= e.slot; i++ {
		d.data[i*slotSize] = slotFree
	}
	return v.writeSlots(d, start, e.slots)
}

func (v *Volume) writeData(clusters []uint32, r io.Reader, size int64) error {
	buffer := make([]byte, max(copyBuffer, v.clusterSize))
	left := size
	for _, run := range runs(clusters) {
		at, end := v.offset(run.first), v.offset(run.first)+int64(run.count)*v.clusterSize
		for at < end {
			b := buffer[:min(int64(len(buffer)), end-at)]
			n := min(left, int64(len(b)))
			if _, err := io.ReadFull(r, b[:n]); err != nil {
				return fmt.Errorf("reading the content: %w", err)
			}
			clear(b[n:])
			if _, err := v.device.WriteAt(b, at); err != nil {
				return err
			}
			at += int64(len(b))
			left -= n
		}
	}
	return nil
}

// Remove deletes a file. The error is [fs.ErrNotExist] if there is none.
func (v *Volume) Remove(name string) error {
	parent, err := v.Stat(path.Dir(path.Clean("/" + name)))
	if err != nil {
		return err
	}
	if !parent.IsDir {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d, err := v.readDirectory(parent.cluster)
	if err != nil {
		return err
	}
	e, ok := d.find(path.Base(path.Clean("/" + name)))
	if !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if e.IsDir {
		return fmt.Errorf("removing %s: it is a directory", name)
	}
	if err := v.forget(d, e); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	if err := v.releaseFile(e); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return v.flush()
}

func (v *Volume) releaseFile(e Entry) error {
	if e.cluster == 0 {
		return nil
	}
	clusters, err := v.chain(e.cluster, int64(v.clusters))
	if err != nil {
		return err
	}
	v.release(clusters)
	return nil
}

// addEntry puts a new entry into a directory, which grows if it has to.
func (v *Volume) addEntry(d *directory, e Entry) error {
	slots, err := makeSlots(e, d.entries)
	if err != nil {
		return err
	}
	n := len(slots) / slotSize
	start := freeSlots(d.data, n)
	for (start+n)*slotSize > len(d.data) {
		if len(d.data) >= maxDirectory {
			return errors.New("the directory is full")
		}
		more, err := v.allocate(1)
		if err != nil {
			return err
		}
		if _, err := v.device.WriteAt(make([]byte, v.clusterSize), v.offset(more[0])); err != nil {
			return err
		}
		v.set(d.clusters[len(d.clusters)-1], more[0])
		d.clusters = append(d.clusters, more[0])
		d.data = append(d.data, make([]byte, v.clusterSize)...)
	}
	// Slots behind the end of a directory may hold anything; the new end must
	// be marked where it moves.
	end := endSlot(d.data)
	copy(d.data[start*slotSize:], slots)
	count := n
	if after := start + n; after > end && after*slotSize < len(d.data) {
		clear(d.data[after*slotSize : (after+1)*slotSize])
		count++
	}
	if err := v.flush(); err != nil {
		return err
	}
	return v.writeSlots(d, start, count)
}

// endSlot is the slot that ends a directory, or the number of slots.
func endSlot(data []byte) int {
	for i := 0; i < len(data)/slotSize; i++ {
		if data[i*slotSize] == slotLast {
			return i
		}
	}
	return len(data) / slotSize
}

// freeSlots finds n free slots in a row; the row may reach beyond the end.
func freeSlots(data []byte, n int) int {
	end, found := endSlot(data), 0
	for i := range end {
		if data[i*slotSize] != slotFree {
			found = 0
			continue
		}
		if found++; found == n {
			return i - n + 1
		}
	}
	return end - found
}

// writeSlots writes count slots of a directory to the device.
func (v *Volume) writeSlots(d *directory, start, count int) error {
	perCluster := int(v.clusterSize) / slotSize
	touched := map[int]bool{}
	for i := start; i < start+count; i++ {
		touched[i/perCluster] = true
	}
	order := make([]int, 0, len(touched))
	for i := range touched {
		order = append(order, i)
	}
	// A later cluster first: it is not reached before the earlier one, with
	// the beginning of the entry, is there.
	slices.Sort(order)
	slices.Reverse(order)
	for _, i := range order {
		at := int64(i) * v.clusterSize
		if _, err := v.device.WriteAt(d.data[at:at+v.clusterSize], v.offset(d.clusters[i])); err != nil {
			return fmt.Errorf("writing a directory: %w", err)
		}
	}
	return nil
}
