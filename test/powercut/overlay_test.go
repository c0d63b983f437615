package powercut_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
)

// overlay is a disk of a state that may be written to: what is written stays in memory.
type overlay struct {
	under  io.ReaderAt
	blocks map[int64][]byte
}

const overlayBlock = 4096

// block is the block that a byte is in, and how far into it that is.
func (o *overlay) block(off int64) (b []byte, in int64, err error) {
	n, in := off/overlayBlock, off%overlayBlock
	if b, ok := o.blocks[n]; ok {
		return b, in, nil
	}
	b = make([]byte, overlayBlock)
	if _, err := o.under.ReadAt(b, n*overlayBlock); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	return b, in, nil
}

func (o *overlay) ReadAt(p []byte, off int64) (n int, err error) {
	if n, err = o.under.ReadAt(p, off); err != nil {
		return n, err
	}
	for at, block := range o.blocks {
		start := at * overlayBlock
		if from, to := max(start, off), min(start+overlayBlock, off+int64(len(p))); from < to {
			copy(p[from-off:to-off], block[from-start:])
		}
	}
	return n, nil
}

func (o *overlay) WriteAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		b, in, err := o.block(at)
		if err != nil {
			return n, err
		}
		n += copy(b[in:], p[n:])
		o.blocks[at/overlayBlock] = b
	}
	return n, nil
}

// What is written to an overlay is read from it, and is not in the file beneath.
func TestOverlay(t *testing.T) {
	under := bytes.Repeat([]byte{'u'}, 3*overlayBlock-7)
	o := &overlay{under: bytes.NewReader(under), blocks: map[int64][]byte{}}
	want := slices.Clone(under)
	for _, off := range []int64{10, overlayBlock - 2, 2 * overlayBlock} {
		p := bytes.Repeat([]byte{byte(off)}, 5)
		_, err := o.WriteAt(p, off)
		must(t, err)
		copy(want[off:], p)
	}
	for _, r := range [][2]int{{0, len(under)}, {9, 20}, {overlayBlock - 1, overlayBlock + 1}, {2*overlayBlock + 4, 3*overlayBlock - 7}} {
		got := make([]byte, r[1]-r[0])
		_, err := o.ReadAt(got, int64(r[0]))
		must(t, err)
		if !bytes.Equal(got, want[r[0]:r[1]]) {
			t.Errorf("from %d to %d it reads %q", r[0], r[1], got)
		}
	}
	if bytes.ContainsFunc(under, func(c rune) bool { return c != 'u' }) {
		t.Error("what is under it was written to")
	}
}
