package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// noise is n bytes that do not repeat, with runs of zeros as file systems have.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	for at := 0; at+128<<10 < n; at += 512 << 10 {
		clear(b[at : at+64<<10])
	}
	return b
}

func digest(b []byte) []byte { s := sha256.Sum256(b); return s[:] }

// flaky is a Medium of which parts can be made to fail.
type flaky struct {
	*memDisk
	write, read, flush func(off uint64) error
	change             map[uint64]byte // what reading back returns instead
}

func (f *flaky) WriteAt(p []byte, off int64) (int, error) {
	if f.write != nil {
		if err := f.write(uint64(off)); err != nil {
			n, _ := f.memDisk.WriteAt(p[:len(p)/2], off)
			if errors.Is(err, errShort) {
				err = nil
			}
			return n, err
		}
	}
	return f.memDisk.WriteAt(p, off)
}

func (f *flaky) ReadAt(p []byte, off int64) (int, error) {
	if f.read != nil {
		if err := f.read(uint64(off)); err != nil {
			return 0, err
		}
	}
	n, err := f.memDisk.ReadAt(p, off)
	for at, b := range f.change {
		if at >= uint64(off) && at < uint64(off)+uint64(n) {
			p[at-uint64(off)] = b
		}
	}
	return n, err
}

func (f *flaky) Flush() error {
	if f.flush != nil {
		return f.flush(0)
	}
	return nil
}

var (
	errIO    = errors.New("input/output error")
	errShort = errors.New("short")
)

const (
	copySize   = 1<<20 + 777 // not a whole number of anything
	copyBuffer = 64 << 10
)

func TestCopy(t *testing.T) {
	data := noise(copySize)
	for _, c := range []struct {
		name string
		size int
		opt  CopyOptions
	}{
		{"nothing", 0, CopyOptions{}},
		{"one byte", 1, CopyOptions{}},
		{"exactly a buffer", copyBuffer, CopyOptions{BufferSize: copyBuffer}},
		{"an odd size", copySize, CopyOptions{BufferSize: copyBuffer}},
		{"default buffer", copySize, CopyOptions{}},
		{"the expected sum", copySize, CopyOptions{BufferSize: copyBuffer, Want: digest(data)}},
		{"many flushes", copySize, CopyOptions{BufferSize: 4096, FlushEvery: 8192}},
		{"read back afterwards", copySize, CopyOptions{BufferSize: 4096, FlushEvery: 8192, VerifyAfter: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newMemDisk(2<<20, 512)
			d.apply(bytes.Repeat([]byte{0xee}, 2<<20), 0) // zeros must be written too
			sum, err := Copy(context.Background(), d, bytes.NewReader(data), uint64(c.size), c.opt)
			must(t, err)
			if !bytes.Equal(sum[:], digest(data[:c.size])) {
				t.Error("another sum")
			}
			got := make([]byte, c.size+1)
			_, err = d.ReadAt(got, 0)
			must(t, err)
			if !bytes.Equal(got[:c.size], data[:c.size]) || got[c.size] != 0xee {
				t.Error("another copy")
			}
		})
	}
}

func TestCopyProgressIsHonest(t *testing.T) {
	data := noise(copySize)
	d := newMemDisk(2<<20, 512)
	var last CopyProgress
	_, err := Copy(context.Background(), d, bytes.NewReader(data), copySize, CopyOptions{
		BufferSize: copyBuffer, FlushEvery: 4 * copyBuffer,
		Progress: func(p CopyProgress) {
			if p.Written < last.Written || p.Verified < last.Verified || p.Safe < last.Safe || p.Safe > p.Written || p.Total != copySize {
				t.Errorf("%+v after %+v", p, last)
			}
			if p.Safe > last.Safe { // told by the one who writes: nothing is added meanwhile
				if entry := d.log[len(d.log)-1]; entry.data != nil {
					t.Errorf("%d is called safe without a flush", p.Safe)
				}
			}
			last = p
		},
	})
	must(t, err)
	if last != (CopyProgress{copySize, copySize, copySize, copySize}) {
		t.Errorf("ended with %+v", last)
	}
}

// TestCopyFlushesSoonerTowardsTheEnd: what was written since the last flush is all that is
// left to be read back when nothing is written any more.
func TestCopyFlushesSoonerTowardsTheEnd(t *testing.T) {
	for _, c := range []struct {
		name          string
		pieces, every uint64
		want          string // after how many pieces
	}{
		{"long", 16, 4, "[4 8 12 14 15 16]"},
		{"no multiple", 13, 4, "[4 8 11 12 13]"},
		{"shorter than one flush", 6, 8, "[3 5 6]"},
		{"one piece", 1, 8, "[1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newMemDisk(2<<20, 512)
			size := c.pieces * copyBuffer
			_, err := Copy(t.Context(), d, bytes.NewReader(noise(int(size))), size, CopyOptions{BufferSize: copyBuffer, FlushEvery: c.every * copyBuffer})
			must(t, err)
			var flushed []int
			written := 0
			for _, entry := range d.log {
				if entry.data == nil {
					flushed = append(flushed, written)
				} else {
					written++
				}
			}
			if got := fmt.Sprint(flushed); got != c.want {
				t.Errorf("flushed after %s pieces, not %s", got, c.want)
			}
		})
	}
}

func TestCopyResumes(t *testing.T) {
	data := noise(copySize)
	d := newMemDisk(2<<20, 512)
	ctx, cancel := context.WithCancel(context.Background())
	var safe uint64
	_, err := Copy(ctx, d, bytes.NewReader(data), copySize, CopyOptions{BufferSize: copyBuffer, FlushEvery: 2 * copyBuffer, Progress: func(p CopyProgress) {
		safe = p.Safe
		if p.Written > copySize/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || safe == 0 {
		t.Fatal(err, safe)
	}
	d.log = nil
	_, err = Copy(context.Background(), d, bytes.NewReader(data), copySize, CopyOptions{BufferSize: copyBuffer, From: safe + 1, Want: digest(data)})
	must(t, err)
	for _, e := range d.log {
		if e.data != nil && e.off < safe {
			t.Fatalf("wrote at %d again", e.off)
		}
	}
	if _, err := Copy(context.Background(), d, bytes.NewReader(data), copySize, CopyOptions{From: 4096}); err == nil {
		t.Error("resumed without knowing what is expected")
	}
	// What was written before the cut is checked as well.
	d.apply([]byte("damaged in between"), 100)
	var de *DigestError
	_, err = Copy(context.Background(), d, bytes.NewReader(data), copySize, CopyOptions{BufferSize: copyBuffer, From: safe, Want: digest(data)})
	if !errors.As(err, &de) || de.Source || de.Offset != 100 {
		t.Errorf("%v", err)
	}
}

func TestCopyErrors(t *testing.T) {
	data := noise(copySize)
	at := func(n uint64, err error) func(uint64) error {
		return func(off uint64) error {
			if off >= n {
				return err
			}
			return nil
		}
	}
	cases := []struct {
		name   string
		dst    flaky
		src    io.ReaderAt
		op     string
		offset uint64
		is     error
	}{
		{"writing", flaky{write: at(3*copyBuffer, errIO)}, bytes.NewReader(data), "writing", 3*copyBuffer + copyBuffer/2, errIO},
		{"short write", flaky{write: at(0, errShort)}, bytes.NewReader(data), "writing", copyBuffer / 2, io.ErrShortWrite},
		{"flushing", flaky{flush: at(0, errIO)}, bytes.NewReader(data), "flushing", copySize, errIO},
		{"reading back", flaky{read: at(5*copyBuffer, errIO)}, bytes.NewReader(data), "reading back", 5 * copyBuffer, errIO},
		{"the source ends early", flaky{}, bytes.NewReader(data[:1000]), "reading the source", 1000, io.ErrUnexpectedEOF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.dst.memDisk = newMemDisk(2<<20, 512)
			_, err := Copy(context.Background(), &c.dst, c.src, copySize, CopyOptions{BufferSize: copyBuffer})
			var ce *CopyError
			if !errors.As(err, &ce) || ce.Op != c.op || ce.Offset != c.offset || !errors.Is(err, c.is) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("the medium changes a byte", func(t *testing.T) {
		dst := flaky{memDisk: newMemDisk(2<<20, 512), change: map[uint64]byte{700_000: data[700_000] + 1}}
		_, err := Copy(context.Background(), &dst, bytes.NewReader(data), copySize, CopyOptions{BufferSize: copyBuffer})
		var de *DigestError
		if !errors.As(err, &de) || de.Source || de.Offset != 700_000 {
			t.Errorf("%v", err)
		}
	})
	t.Run("the source is damaged", func(t *testing.T) {
		bad := bytes.Clone(data)
		bad[9]++
		for _, from := range []uint64{0, 8192} {
			_, err := Copy(context.Background(), preset(bad), bytes.NewReader(bad), copySize, CopyOptions{BufferSize: copyBuffer, Want: digest(data), From: from})
			var de *DigestError
			if !errors.As(err, &de) || !de.Source {
				t.Errorf("from %d: %v", from, err)
			}
		}
	})
	t.Run("options that cannot be", func(t *testing.T) {
		for _, o := range []CopyOptions{{BufferSize: 1000}, {BufferSize: -4096}, {Want: []byte("short")}, {From: copySize + 1, Want: digest(data)}} {
			if _, err := Copy(context.Background(), newMemDisk(2<<20, 512), bytes.NewReader(data), copySize, o); err == nil {
				t.Errorf("%+v", o)
			}
		}
	})
}

func preset(data []byte) *memDisk {
	d := newMemDisk(2<<20, 512)
	d.apply(data, 0)
	return d
}

func TestSectionKeepsInside(t *testing.T) {
	d := newMemDisk(1<<20, 512)
	s := Section(d, 4096, 8192)
	if _, err := s.WriteAt(make([]byte, 8193), 0); err == nil {
		t.Error("wrote behind the end")
	}
	if _, err := s.WriteAt([]byte{1}, -1); err == nil {
		t.Error("wrote before the start")
	}
	if _, err := s.WriteAt([]byte{1}, 8192); err == nil {
		t.Error("wrote behind the end")
	}
	if len(d.log) > 0 {
		t.Error("something reached the disk")
	}
	_, err := s.WriteAt([]byte("x"), 8191)
	must(t, err)
	b := make([]byte, 10)
	n, err := s.ReadAt(b, 8190)
	if n != 2 || err != io.EOF || b[1] != 'x' {
		t.Error(n, err)
	}
	if _, err := Copy(context.Background(), s, bytes.NewReader(noise(9000)), 9000, CopyOptions{}); err == nil {
		t.Error("copied more than fits")
	}
}

func TestCopyToAFile(t *testing.T) {
	data := noise(9<<20 + 5)
	target := image(t, int64(len(data)), 512)
	_, err := Copy(context.Background(), target, bytes.NewReader(data), uint64(len(data)), CopyOptions{Want: digest(data)})
	must(t, err)
	got, err := os.ReadFile(target.Name())
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Error("another copy")
	}
}
