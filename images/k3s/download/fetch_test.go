package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stek-edge/stek/images/component"
)

// content is what the server has: more than any buffer on the way.
var content = func() []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, 3<<20)
	_, _ = r.Read(b)
	return b
}()

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// server gives content, in ways that tests bend. It notes each request's Range.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	ranges []string
}

func newServer(t *testing.T, handler http.HandlerFunc) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) asked() []string { s.mu.Lock(); defer s.mu.Unlock(); return s.ranges }

// whole serves b properly, with ranges and an ETag.
func whole(b []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "k3s", time.Time{}, bytes.NewReader(b))
	}
}

// cut ends each of the first n answers after the given number of bytes.
func cut(n, after int, next http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n--
		broken := n >= 0
		mu.Unlock()
		if broken {
			w = &cutter{ResponseWriter: w, left: after}
		}
		next(w, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func fetch(t *testing.T, s *server) *Fetch {
	return &Fetch{URL: s.URL + "/v1.34.1%2Bk3s1/k3s", SHA256: sum(content), Path: filepath.Join(t.TempDir(), "v1.34.1+k3s1", "k3s"),
		Client: s.Client(), Pause: time.Millisecond, Idle: 5 * time.Second}
}

func check(t *testing.T, f *Fetch) {
	t.Helper()
	got, err := os.ReadFile(f.Path)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the file is not what the server has: %d bytes, %v", len(got), err)
	}
	left, _ := filepath.Glob(f.Path + ".*")
	if len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestDo(t *testing.T) {
	half := len(content) / 2
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		ranges  string // of all requests
	}{
		{"at once", whole(content, `"a"`), ""},
		{"cut once", cut(1, half, whole(content, `"a"`)), fmt.Sprintf(" bytes=%d-", half)},
		{"cut often", cut(3, 1<<20-1, whole(content, `"a"`)), " bytes=1048575- bytes=2097150- bytes=3145725-"},
		{"cut, and no ranges", cut(1, half, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }), fmt.Sprintf(" bytes=%d-", half)},
		{"busy at first", busy(2, whole(content, `"a"`)), "  "},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.handler)
			f := fetch(t, s)
			var last component.Progress
			f.Report = func(p component.Progress) { last = p }
			if err := f.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, f)
			if got := strings.Join(s.asked(), " "); got != c.ranges {
				t.Errorf("asked for %q, want %q", got, c.ranges)
			}
			if last.Done != int64(len(content)) || last.Unit != "bytes" {
				t.Errorf("last progress was %+v", last)
			}
			before := len(s.asked())
			if err := f.Do(t.Context()); err != nil || len(s.asked()) != before {
				t.Errorf("a file that is there was fetched again: %v", err)
			}
		})
	}
}

func busy(n int, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if n--; n >= 0 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	}
}

// TestResumeInNextRun: what one run got, the next one does not ask for again.
func TestResumeInNextRun(t *testing.T) {
	s := newServer(t, cut(2, 1<<20, whole(content, `"a"`)))
	f := fetch(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	f.Report = func(p component.Progress) {
		if strings.HasPrefix(p.Detail, "waiting") {
			cancel()
		}
	}
	if err := f.Do(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(f.Path); err == nil {
		t.Fatal("half a file has the name of a whole one")
	}
	f.Report = nil
	if err := f.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, f)
	if got := strings.Join(s.asked(), " "); got != " bytes=1048576- bytes=2097152-" {
		t.Errorf("asked for %q", got)
	}
}

// TestFileChangedBetween: the server has another file now. With its ETag it says so
// itself; without one the digest does.
func TestFileChangedBetween(t *testing.T) {
	for _, c := range []struct {
		name, before string
		after        http.HandlerFunc
	}{
		{"ETag", `"old"`, whole(content, `"new"`)},
		{"weak ETag", `W/"old"`, whole(content, `W/"new"`)},
		{"no ETag", "", whole(content, "")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.after)
			f := fetch(t, s)
			if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.part(), bytes.Repeat([]byte("old"), 1<<18), 0o644); err != nil {
				t.Fatal(err)
			}
			if c.before != "" && !strings.HasPrefix(c.before, "W/") {
				if err := os.WriteFile(f.validator(), []byte(c.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Do(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, f)
		})
	}
}

func TestPartIsWholeAlready(t *testing.T) {
	s := newServer(t, whole(content, `"a"`))
	f := fetch(t, s)
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.part(), content, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := f.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, f)
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    Kind
		asked   int // requests
		bend    func(*testing.T, *Fetch)
	}{
		{"another file", whole(content[1:], `"a"`), WrongDigest, 1, nil},
		{"no such version", http.NotFound, NotFound, 1, nil},
		{"login page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, Refused, 1, nil},
		{"always busy", busy(1000, nil), GaveUp, 5, nil},
		{"always cut at once", cut(1000, 0, whole(content, `"a"`)), GaveUp, 5, nil},
		{"sends another part", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				cut(1, 100, whole(content, `"a"`))(w, r)
			}
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(http.StatusPartialContent)
		}, GaveUp, 0, nil},
		{"full disk", whole(content, `"a"`), NoSpace, 1, fullDisk},
		{"folder is a file", whole(content, `"a"`), NoFile, 0, func(t *testing.T, f *Fetch) {
			if err := os.WriteFile(filepath.Dir(f.Path), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{"line goes silent", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, GaveUp, 5, func(_ *testing.T, f *Fetch) { f.Idle = 300 * time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.handler)
			f := fetch(t, s)
			if c.bend != nil {
				c.bend(t, f)
			}
			err := f.Do(t.Context())
			var e *Error
			if !errors.As(err, &e) || e.Kind != c.want || e.Remedy == "" {
				t.Fatalf("got %v, want kind %q with a remedy", err, c.want)
			}
			if c.asked != 0 && len(s.asked()) != c.asked {
				t.Errorf("asked %d times, want %d", len(s.asked()), c.asked)
			}
			if _, err := os.Stat(f.Path); err == nil {
				t.Error("there is a file under the final name")
			}
		})
	}
}

// fullDisk lets the part be a device that is always full.
func fullDisk(t *testing.T, f *Fetch) {
	if runtime.GOOS != "linux" {
		t.Fatal("this test needs /dev/full")
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", f.part()); err != nil {
		t.Fatal(err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the person pressed a key")
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		cancel(why)
		<-r.Context().Done()
	})
	if err := fetch(t, s).Do(ctx); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
