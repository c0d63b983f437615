package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stek-edge/stek/images/component"
)

// Fetch is one file to be had.
type Fetch struct {
	URL    string
	SHA256 string // lower-case hex
	Path   string // where it goes; folders are made
	Client *http.Client
	Report component.Report

	// Attempts bounds how often in a row the server is asked without a new byte
	// arriving; 5 when 0. In all there are at most 20 times as many attempts.
	Attempts int
	Pause    time.Duration // before the second attempt, doubled each time; 1 s when 0
	Idle     time.Duration // a line that carries nothing for so long is cut; 60 s when 0
}

func (f *Fetch) part() string      { return f.Path + ".part" }
func (f *Fetch) validator() string { return f.Path + ".part.etag" }

// errAgain wraps faults that another attempt may mend.
var errAgain = errors.New("interrupted")

// Do gets the file, unless it is already there and right.
func (f *Fetch) Do(ctx context.Context) error {
	if sum, err := digestFile(f.Path); err == nil && sum == f.SHA256 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return f.write(err)
	}
	limit, pause := f.Attempts, f.Pause
	if limit == 0 {
		limit = 5
	}
	if pause == 0 {
		pause = time.Second
	}
	start := time.Now()
	for barren, all, wait := 0, 0, pause; ; all++ {
		before := f.have()
		err := f.attempt(ctx, start)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("downloading %s: %w", f.URL, context.Cause(ctx))
		case !errors.Is(err, errAgain):
			return err
		}
		if f.have() > before {
			barren, wait = 0, pause
		} else {
			barren++
		}
		if barren >= limit || all >= 20*limit {
			return f.fail(GaveUp, err, "check the connection and start again; what has arrived is kept")
		}
		f.Report.Send(f.progress(f.have(), 0, "waiting to go on: "+err.Error(), start))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, time.Minute)
	}
}

func (f *Fetch) have() int64 {
	info, err := os.Stat(f.part())
	if err != nil {
		return 0
	}
	return info.Size()
}

// attempt asks once for what is missing, and finishes the file when all is there.
func (f *Fetch) attempt(ctx context.Context, start time.Time) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	have := f.have()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return f.fail(Refused, err, "check the address")
	}
	// A compressed answer would count other bytes than the file's.
	req.Header.Set("Accept-Encoding", "identity")
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		// A weak validator is not allowed here (RFC 9110 section 13.1.5).
		if tag, err := os.ReadFile(f.validator()); err == nil && len(tag) > 0 {
			req.Header.Set("If-Range", string(tag))
		}
	}
	idle := f.Idle
	if idle == 0 {
		idle = time.Minute
	}
	watch := time.AfterFunc(idle, func() { cancel(fmt.Errorf("nothing came for %v", idle)) })
	defer watch.Stop()
	resp, err := f.Client.Do(req)
	if err != nil {
		return again(ctx, err)
	}
	defer resp.Body.Close()
	offset, err := f.answer(resp, have)
	if err != nil {
		return err
	}
	if offset >= 0 {
		total := int64(0)
		if resp.ContentLength > 0 {
			total = offset + resp.ContentLength
		}
		body := func(p []byte) (int, error) { watch.Reset(idle); return resp.Body.Read(p) }
		if err := f.receive(ctx, body, offset, total, start); err != nil {
			return err
		}
	}
	return f.finish(have > 0)
}

// answer decides from the server's answer where its bytes belong. -1 means that
// everything is here already.
func (f *Fetch) answer(resp *http.Response, have int64) (int64, error) {
	status := fmt.Errorf("the server said %s", resp.Status)
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != have {
			f.discard()
			return 0, fmt.Errorf("%w: the server sent another part than was asked for", errAgain)
		}
		return have, nil
	case code == http.StatusOK:
		// The server knows no ranges, or has another file now: start over. The part
		// is emptied when it is written to.
		_ = os.Remove(f.validator())
		if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
			if err := os.WriteFile(f.validator(), []byte(tag), 0o644); err != nil {
				return 0, f.write(err)
			}
		}
		return 0, nil
	case code == http.StatusRequestedRangeNotSatisfiable && have > 0:
		return -1, nil
	case code == http.StatusNotFound || code == http.StatusGone:
		return 0, f.fail(NotFound, status, "check the version and the address; a mirror needs the layout of k3s' releases")
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return 0, fmt.Errorf("%w: %w", errAgain, status)
	default:
		return 0, f.fail(Refused, status, "check whether a proxy stands between, and whether the address needs a login")
	}
}

// receive writes what comes behind the first offset bytes.
func (f *Fetch) receive(ctx context.Context, body func([]byte) (int, error), offset, total int64, start time.Time) (err error) {
	mode := os.O_WRONLY | os.O_CREATE
	if offset == 0 {
		mode |= os.O_TRUNC
	}
	out, err := os.OpenFile(f.part(), mode, 0o644)
	if err != nil {
		return f.write(err)
	}
	defer func() {
		if e := out.Close(); err == nil && e != nil {
			err = f.write(e)
		}
	}()
	if _, err := out.Seek(offset, io.SeekStart); err != nil {
		return f.write(err)
	}
	buf := make([]byte, 256<<10)
	var last time.Time
	for {
		n, readErr := body(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return f.write(err)
			}
			offset += int64(n)
		}
		if now := time.Now(); now.Sub(last) > 250*time.Millisecond || readErr != nil {
			last = now
			f.Report.Send(f.progress(offset, total, "", start))
		}
		switch {
		case readErr == io.EOF && total > 0 && offset < total:
			return again(ctx, io.ErrUnexpectedEOF)
		case readErr == io.EOF:
			if err := out.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
				return f.write(err)
			}
			return nil
		case readErr != nil:
			return again(ctx, readErr)
		}
	}
}

// finish proves the digest and gives the file its name.
func (f *Fetch) finish(resumed bool) error {
	sum, err := digestFile(f.part())
	if err != nil {
		return f.write(err)
	}
	if sum != f.SHA256 {
		f.discard()
		err := fmt.Errorf("its SHA-256 is %s, not %s", sum, f.SHA256)
		if resumed {
			// The first half may be from another run and another file.
			return fmt.Errorf("%w: %w", errAgain, err)
		}
		return f.fail(WrongDigest, err, "do not use it: compare the digest in the lock with the one that k3s publishes, and look for a proxy or mirror that changed the file")
	}
	if err := os.Rename(f.part(), f.Path); err != nil {
		return f.write(err)
	}
	_ = os.Remove(f.validator())
	return nil
}

// discard forgets what has arrived.
func (f *Fetch) discard() {
	_ = os.Remove(f.part())
	_ = os.Remove(f.validator())
}

func (f *Fetch) write(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return f.fail(NoSpace, err, "free some space or choose another cache folder, and start again; what has arrived is kept")
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return f.fail(NoFile, err, "check that "+filepath.Dir(f.Path)+" can be written")
	}
	return f.fail(NoFile, err, "check the cache folder")
}

func (f *Fetch) progress(done, total int64, detail string, start time.Time) component.Progress {
	return component.Progress{Task: "downloading " + filepath.Base(f.Path), Unit: "bytes", Done: done, Total: total,
		Detail: detail, Elapsed: time.Since(start)}
}

func again(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("%w: %w", errAgain, err)
}

func digestFile(path string) (string, error) {
	in, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
