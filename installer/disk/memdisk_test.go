package disk

import (
	"bytes"
	"context"
	"io"
	"sync"
)

const block = 4096

// memDisk is a disk in memory that remembers every write and flush, so that a test
// can cut the power after any of them. Blocks never written are zeros.
type memDisk struct {
	size   uint64
	sector uint32
	blocks map[uint64][]byte
	log    []entry
	base   *memDisk // what blocks not in blocks are read from
	mu     sync.Mutex
}

// entry is one write, or a flush when data is nil.
type entry struct {
	off  uint64
	data []byte
}

func newMemDisk(size uint64, sector uint32) *memDisk {
	return &memDisk{size: size, sector: sector, blocks: map[uint64][]byte{}}
}

func (d *memDisk) Size() uint64                         { return d.size }
func (d *memDisk) SectorSize() uint32                   { return d.sector }
func (d *memDisk) DropCache() error                     { return nil }
func (d *memDisk) Rescan(context.Context, Layout) error { return nil }

func (d *memDisk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, entry{})
	return nil
}

func (d *memDisk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < len(p) {
		at := uint64(off) + uint64(n)
		if at >= d.size {
			return n, io.EOF
		}
		dst := p[n:min(uint64(len(p)), uint64(n)+min(block-at%block, d.size-at))]
		if b := d.get(at / block); b != nil {
			copy(dst, b[at%block:])
		} else {
			clear(dst)
		}
		n += len(dst)
	}
	return n, nil
}

func (d *memDisk) get(n uint64) []byte {
	if b := d.blocks[n]; b != nil || d.base == nil {
		return b
	}
	return d.base.get(n)
}

func (d *memDisk) WriteAt(p []byte, off int64) (int, error) {
	if uint64(off)+uint64(len(p)) > d.size {
		return 0, io.ErrShortWrite
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, entry{uint64(off), bytes.Clone(p)})
	d.apply(p, uint64(off))
	return len(p), nil
}

func (d *memDisk) apply(p []byte, off uint64) {
	for len(p) > 0 {
		b := d.blocks[off/block]
		if b == nil {
			b = make([]byte, block)
			copy(b, d.get(off/block))
			d.blocks[off/block] = b
		}
		n := copy(b[off%block:], p)
		p, off = p[n:], off+uint64(n)
	}
}

// clone copies the content without the log.
func (d *memDisk) clone() *memDisk {
	c := newMemDisk(d.size, d.sector)
	for k, b := range d.blocks {
		c.blocks[k] = bytes.Clone(b)
	}
	return c
}

// overlay is a clone that shares unchanged blocks, for the many cuts of a test.
func (d *memDisk) overlay() *memDisk {
	return &memDisk{size: d.size, sector: d.sector, blocks: map[uint64][]byte{}, base: d}
}
