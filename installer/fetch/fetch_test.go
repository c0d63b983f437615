package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/test/authority"
)

var file = bytes.Repeat([]byte("stek: 1\n"), 10_000)

// serve starts a server at 127.0.0.1 whose certificate bend may change.
func serve(t *testing.T, a *authority.Authority, bend func(*x509.Certificate), handler http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.Issue(t, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		if bend != nil {
			bend(c)
		}
	})}}
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL + "/site.yaml"
}

// whole serves a file as any server does, with ranges.
func whole(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(content)))
		http.ServeContent(w, r, "site.yaml", time.Time{}, bytes.NewReader(content))
	}
}

// cut answers like with, and cuts the connection after so many bytes of each answer.
func cut(after int, with http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		with(&cutter{ResponseWriter: w, left: after}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func request(url string, roots *x509.CertPool) Request {
	return Request{URL: url, Limit: 1 << 20, SHA256: sum(file), Roots: roots, Stall: 300 * time.Millisecond, Pause: 10 * time.Millisecond}
}

func TestGet(t *testing.T) {
	a := authority.New(t)
	changed := append([]byte("# new\n"), file...)
	calls := 0
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		bend    func(*x509.Certificate)
		request func(*Request)
		tries   int
	}{
		{"at once", whole(file), nil, nil, 1},
		{"connections that are cut", cut(30_000, whole(file)), nil, nil, 3},
		{"a server that knows no ranges, cut once", func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				cut(30_000, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file) })(w, r)
				return
			}
			_, _ = w.Write(file)
		}, nil, nil, 2},
		{"a file that changes on the way", func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				cut(30_000, whole(changed))(w, r)
				return
			}
			whole(file)(w, r)
		}, nil, nil, 2},
		{"a file that changes on the way, and a server that does not say so", func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("If-Range")
			if calls++; calls == 1 {
				cut(30_000, whole(changed))(w, r)
				return
			}
			whole(file)(w, r)
		}, nil, nil, 3},
		{"a server that goes on elsewhere", func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 2 {
				w.Header().Set("Content-Range", "bytes 7-8/9")
				w.WriteHeader(http.StatusPartialContent)
				return
			}
			cut(79_000/calls*calls, whole(file))(w, r)
		}, nil, func(r *Request) { r.SHA256 = sum(file) }, 4},
		{"a server that is busy", func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			whole(file)(w, r)
		}, nil, nil, 3},
		{"a server that says nothing any more", func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				_, _ = w.Write(file[:1000])
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return
			}
			whole(file)(w, r)
		}, nil, nil, 2},
		{"a clock before the certificate's beginning", whole(file), nil, func(r *Request) {
			r.Now = func() time.Time { return time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC) }
		}, 1},
		{"without a digest", whole(file), nil, func(r *Request) { r.SHA256 = nil }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls = 0
			r := request(serve(t, a, c.bend, c.handler), a.Pool())
			if c.request != nil {
				c.request(&r)
			}
			got, err := Get(t.Context(), r)
			if err != nil || !bytes.Equal(got.Data, file) {
				t.Fatalf("got %v", err)
			}
			if got.Tries != c.tries {
				t.Errorf("it took %d tries, not %d", got.Tries, c.tries)
			}
			if age := time.Since(got.Since); age < 59*time.Minute || age > 61*time.Minute {
				t.Errorf("the certificate begins %v ago", age)
			}
		})
	}
}

// farewell is a body whose server says that the file ends here once it sees us go.
type farewell struct {
	gone <-chan struct{}
	left []byte
}

func (f *farewell) Read(p []byte) (int, error) {
	if n := copy(p, f.left); n > 0 {
		f.left = f.left[n:]
		return n, nil
	}
	<-f.gone
	return 0, io.EOF
}

func TestCutIsNoEnd(t *testing.T) {
	ctx, cut := context.WithCancelCause(t.Context())
	d := &download{Request: Request{Limit: 1 << 20, Stall: time.Millisecond}}
	err := d.read(ctx, &farewell{ctx.Done(), file[:1000]}, cut)
	if err == nil || err.final || !strings.Contains(err.Message, "cut after 1000 bytes: it says nothing any more") {
		t.Errorf("got %v", err)
	}
}

func TestGetRefuses(t *testing.T) {
	a, other := authority.New(t), authority.New(t)
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		bend    func(*x509.Certificate)
		request func(*Request)
		want    string
		tries   int // at most
	}{
		{"another digest", whole(append([]byte("# new\n"), file...)), nil, nil, "another one than was meant", 1},
		{"an empty file", whole(nil), nil, func(r *Request) { r.SHA256 = nil }, "the file is empty", 1},
		{"an empty file, and its digest is asked for", whole(nil), nil, func(r *Request) { r.SHA256 = sum(nil) }, "the file is empty", 1},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, nil, nil, "204", 1},
		{"too large", whole(file), nil, func(r *Request) { r.Limit = int64(len(file)) - 1 }, "more than 79999 bytes", 1},
		{"too large, and the server does not say so", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write(file)
				_ = http.NewResponseController(w).Flush()
			}
		}, nil, nil, "more than 1048576 bytes", 1},
		{"not there", http.NotFound, nil, nil, "404", 1},
		{"sent to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://localhost:1/site.yaml", http.StatusFound)
		}, nil, nil, "another host", 1},
		{"sent to a place without encryption", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/site.yaml", http.StatusFound)
		}, nil, nil, "another host", 1},
		{"an authority that nobody knows", whole(file), nil, func(r *Request) { r.Roots = other.Pool() }, "an authority that is not trusted", certificateTries},
		{"a certificate for another name", whole(file), func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"other.example.org"} }, nil, "for another name", certificateTries},
		{"a certificate that has expired", whole(file), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, nil, "has expired", certificateTries},
		{"a clock far ahead", whole(file), nil, func(r *Request) {
			r.Now = func() time.Time { return time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, "this machine's clock is wrong: it says 2099", certificateTries},
		{"no encryption", whole(file), nil, func(r *Request) { r.URL = strings.Replace(r.URL, "https:", "http:", 1) }, "does not begin with https://", 0},
		{"never all of it", cut(0, whole(file)), nil, nil, "the time is over", 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			r := request(serve(t, a, c.bend, func(w http.ResponseWriter, r *http.Request) { asked++; c.handler(w, r) }), a.Pool())
			if c.request != nil {
				c.request(&r)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			got, err := Get(ctx, r)
			var e *Error
			if got != nil || !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v; want %q", got, err, c.want)
			}
			if e.Remedy == "" {
				t.Error("no remedy")
			}
			if asked > c.tries {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
