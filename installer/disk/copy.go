package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"
	"unsafe"
)

// pageSize is the alignment that direct I/O needs everywhere.
const pageSize = 4096

// Defaults of CopyOptions. Four MiB is where USB sticks and disks reach their full
// rate. Flushing keeps the progress honest (without it a cache takes everything and the
// last per cent takes minutes), and is how far the reading back stays behind: less and
// less towards the end, where nothing is written any more that it could hide behind. A
// fast disk is not kept from its work by a flush more often than defaultPause.
const (
	defaultBuffer = 4 << 20
	defaultFlush  = 32 << 20
	defaultPause  = 500 * time.Millisecond
)

// CopyProgress is how far Copy is, in bytes from the start. Written and Verified grow
// side by side.
type CopyProgress struct {
	Written  uint64
	Verified uint64 // read back
	Total    uint64
	Safe     uint64 // on the medium for certain: where to resume after a power cut
}

// CopyOptions are the choices of Copy.
type CopyOptions struct {
	Want       []byte // SHA-256 of the source; without it, what was read must be read back
	From       uint64 // resume: so many bytes are on the medium already (CopyProgress.Safe); needs Want
	BufferSize int    // bytes, 0 for the default; a multiple of 4096
	FlushEvery uint64 // bytes, 0 for the default, which on a fast disk is more
	// VerifyAfter reads back when everything is written, not beside it: for a medium
	// that loses more by going back and forth than by being read a second time.
	VerifyAfter bool
	Progress    func(CopyProgress) // called by one goroutine at a time
}

// Copy writes size bytes from src to dst, flushes them, reads them back from the
// medium and compares their SHA-256. It returns that sum. Zeros are written like
// everything else: skipping them would trust that the medium holds zeros already.
//
// Reading, writing, reading back and hashing overlap. An interrupted copy is resumed
// with From; the read-back covers everything even then. Errors are *CopyError for I/O,
// *DigestError when the bytes are not the expected ones, or the context's.
func Copy(ctx context.Context, dst Medium, src io.ReaderAt, size uint64, opt CopyOptions) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	c := &copier{dst: dst, src: src, size: size, opt: opt}
	if err := c.prepare(); err != nil {
		return sum, err
	}
	want, back, err := c.both(ctx)
	if err != nil {
		return sum, err
	}
	if !bytes.Equal(back, want) {
		return sum, c.blame(ctx, want, back)
	}
	copy(sum[:], back)
	return sum, nil
}

type copier struct {
	dst  Medium
	src  io.ReaderAt
	size uint64
	from uint64
	opt  CopyOptions
	// pause is the time between two flushes, at least.
	pause time.Duration

	mu  sync.Mutex
	now CopyProgress
}

func (c *copier) prepare() error {
	if c.opt.BufferSize == 0 {
		c.opt.BufferSize = defaultBuffer
	}
	if c.opt.FlushEvery == 0 {
		c.opt.FlushEvery, c.pause = defaultFlush, defaultPause
	}
	if c.opt.BufferSize < 0 || c.opt.BufferSize%pageSize != 0 {
		return fmt.Errorf("copying: a buffer of %d bytes is not a multiple of %d", c.opt.BufferSize, pageSize)
	}
	if c.opt.Want != nil && len(c.opt.Want) != sha256.Size {
		return fmt.Errorf("copying: a SHA-256 sum has %d bytes, not %d", sha256.Size, len(c.opt.Want))
	}
	if c.opt.From > c.size {
		return fmt.Errorf("copying: cannot resume at byte %d of %d", c.opt.From, c.size)
	}
	if c.opt.From > 0 && c.opt.Want == nil {
		return errors.New("copying: resuming needs the expected SHA-256 sum")
	}
	c.from = c.opt.From / pageSize * pageSize
	c.now = CopyProgress{Total: c.size}
	return nil
}

// both writes and reads back side by side, and returns the sum that is wanted and the
// one that came back. The first of the two that fails stops the other.
func (c *copier) both(ctx context.Context) (want, back []byte, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Room for every flush, those that halve what is left among them: the writer never waits
	// for the reader.
	safe := make(chan uint64, (c.size-c.from)/c.opt.FlushEvery+64+3)
	read := make(chan []byte, 1)
	go func() {
		sum, err := c.readBack(ctx, safe)
		if err != nil {
			stop(err)
		}
		read <- sum
	}()
	want, err = c.write(ctx, safe)
	close(safe)
	if err != nil {
		stop(err)
	}
	back = <-read
	return want, back, context.Cause(ctx)
}

func (c *copier) progress(change func(p *CopyProgress)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.now)
	if c.opt.Progress != nil {
		c.opt.Progress(c.now)
	}
}

// write copies from c.from on, tells the reader how much is safe on the medium, and
// returns the sum that is to come back. What is wanted need not be hashed here: when
// something else comes back, blame finds out which side is wrong.
func (c *copier) write(ctx context.Context, reader chan<- uint64) ([]byte, error) {
	var h hash.Hash
	if c.opt.Want == nil {
		h = sha256.New()
	}
	safe, flushed := c.from, time.Now()
	c.progress(func(p *CopyProgress) { p.Written, p.Safe = safe, safe })
	if !c.opt.VerifyAfter {
		reader <- safe
	}
	err := stream(ctx, c.src, c.from, c.size, c.opt.BufferSize, OpSource, h, func(b []byte, off uint64) error {
		n, err := c.dst.WriteAt(b, int64(off))
		if err == nil && n != len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &CopyError{Op: "writing", Offset: off + uint64(max(n, 0)), Err: err}
		}
		done := off + uint64(len(b))
		if c.flushDue(safe, done, time.Since(flushed)) {
			if err := c.dst.Flush(); err != nil {
				return &CopyError{Op: "flushing", Offset: done, Err: err}
			}
			safe, flushed = done, time.Now()
		}
		c.progress(func(p *CopyProgress) { p.Written, p.Safe = done, safe })
		if safe == done && !c.opt.VerifyAfter {
			reader <- safe
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reader <- c.size
	if h == nil {
		return c.opt.Want, nil
	}
	return h.Sum(nil), nil
}

// flushDue decides when as much is done as that, and the last flush was at safe, so long
// ago. With less left than two flushes, each comes after half of what is left, and sooner.
func (c *copier) flushDue(safe, done uint64, ago time.Duration) bool {
	every, pause := c.opt.FlushEvery, c.pause
	if half := (c.size - safe) / 2; half < every {
		pause = pause * time.Duration(half) / time.Duration(every)
		every = half
	}
	return done == c.size || done-safe >= every && ago >= pause
}

// readBack hashes what is on the medium, as far as it is safe there.
func (c *copier) readBack(ctx context.Context, safe <-chan uint64) ([]byte, error) {
	h := sha256.New()
	at := uint64(0)
	for end := range safe {
		if end == at {
			continue
		}
		if err := c.dst.DropCache(); err != nil {
			return nil, &CopyError{Op: "dropping the cache", Offset: at, Err: err}
		}
		err := stream(ctx, c.dst, at, end, c.opt.BufferSize, "reading back", h, func(b []byte, off uint64) error {
			c.progress(func(p *CopyProgress) { p.Verified = off + uint64(len(b)) })
			return nil
		})
		if err != nil {
			return nil, err
		}
		at = end
	}
	return h.Sum(nil), nil
}

// blame finds the first byte in which source and copy differ. When they are equal
// the source itself is not what was wanted, which a resumed copy notices only here.
func (c *copier) blame(ctx context.Context, want, got []byte) error {
	other := aligned(c.opt.BufferSize)
	var at *uint64
	stop := errors.New("found")
	err := stream(ctx, c.src, 0, c.size, c.opt.BufferSize, OpSource, nil, func(b []byte, off uint64) error {
		o := other[:len(b)]
		if n, err := c.dst.ReadAt(o, int64(off)); n != len(o) {
			return &CopyError{Op: "reading back", Offset: off, Err: unexpected(err)}
		}
		for i := range b {
			if b[i] != o[i] {
				first := off + uint64(i)
				at = &first
				return stop
			}
		}
		return nil
	})
	if at != nil {
		return &DigestError{Want: want, Got: got, Offset: *at}
	}
	if err != nil {
		return err
	}
	return &DigestError{Source: true, Want: want, Got: got}
}

// stream reads [from, size) of r in pieces and hands each to use, in order. The
// next piece is read while the last one is used and hashed. h may be nil.
func stream(ctx context.Context, r io.ReaderAt, from, size uint64, buffer int, op string, h hash.Hash, use func([]byte, uint64) error) error {
	type piece struct {
		buf []byte
		n   int
		off uint64
		err error
	}
	const depth = 3 // one being read, one being used, one ready
	free, full := make(chan []byte, depth), make(chan piece, depth)
	stop, ended := make(chan struct{}), make(chan struct{})
	for range depth {
		free <- aligned(buffer)
	}
	go func() {
		defer close(ended)
		defer close(full)
		for off := from; off < size; {
			var buf []byte
			select {
			case buf = <-free:
			case <-stop:
				return
			}
			want := int(min(uint64(buffer), size-off))
			n, err := r.ReadAt(buf[:want], int64(off))
			if n == want {
				err = nil
			} else {
				err = &CopyError{Op: op, Offset: off + uint64(max(n, 0)), Err: unexpected(err)}
			}
			full <- piece{buf, n, off, err} // never blocks: there are no more pieces than places
			if err != nil {
				return
			}
			off += uint64(n)
		}
	}()
	// The reader uses r: it must have ended before this function does.
	defer func() { close(stop); <-ended }()
	for {
		var p piece
		var ok bool
		select {
		case p, ok = <-full:
		case <-ctx.Done():
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("copying: %w", err)
		}
		if !ok {
			return nil
		}
		if p.err != nil {
			return p.err
		}
		hashed := make(chan struct{})
		go func() {
			if h != nil {
				h.Write(p.buf[:p.n])
			}
			close(hashed)
		}()
		err := use(p.buf[:p.n], p.off)
		<-hashed
		if err != nil {
			return err
		}
		free <- p.buf
	}
}

// unexpected turns the polite end of a file into the fault it is here.
func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// aligned returns n zero bytes that start on a page boundary, as direct I/O needs.
func aligned(n int) []byte {
	b := make([]byte, n+pageSize)
	shift := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (pageSize - 1))
	return b[shift : shift+n : shift+n]
}

// OpSource is the one operation of a CopyError that is on the source.
const OpSource = "reading the source"

// CopyError is an I/O error with its place.
type CopyError struct {
	Op     string // OpSource, "writing", "flushing", "reading back", "dropping the cache"
	Offset uint64 // bytes from the start of the copy
	Err    error
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("copying: %s at byte %d: %v", e.Op, e.Offset, e.Err)
}

// Unwrap returns the error of the system.
func (e *CopyError) Unwrap() error { return e.Err }

// DigestError says that bytes are not the expected ones.
type DigestError struct {
	Source    bool   // the source was wrong; otherwise the copy is, from Offset on
	Offset    uint64 // first byte that differs between source and copy
	Want, Got []byte // SHA-256
}

func (e *DigestError) Error() string {
	if e.Source {
		return fmt.Sprintf("copying: the source is damaged: its SHA-256 is %x and should be %x", e.Got, e.Want)
	}
	return fmt.Sprintf("copying: the copy differs from the source from byte %d on: the disk does not keep what is written", e.Offset)
}
