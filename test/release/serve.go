package release

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// cuts is how a server behaves that is not a good one.
type cuts struct {
	mu     sync.Mutex
	cut    map[string]int64 // break the line after so many bytes of that file, each time
	ranges map[string][]string
}

// CutAfter makes the line break after so many bytes of a file, until it is called with 0.
func (c *cuts) CutAfter(file string, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		c.cut = map[string]int64{}
	}
	c.cut[file] = bytes
}

// Ranges lists the Range header of each request for a file, empty where it had none.
func (c *cuts) Ranges(file string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.ranges[file]...)
}

// ServeHTTP serves the release below any path that ends in its version.
func (r *Release) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, file, ok := strings.Cut(req.URL.EscapedPath(), "/"+strings.ReplaceAll(Version, "+", "%2B")+"/")
	if !ok || file != filepath.Base(file) {
		http.NotFound(w, req)
		return
	}
	f, err := os.Open(filepath.Join(r.Dir, file))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	defer f.Close()
	r.mu.Lock()
	if r.ranges == nil {
		r.ranges = map[string][]string{}
	}
	r.ranges[file] = append(r.ranges[file], req.Header.Get("Range"))
	left, cut := r.cut[file]
	r.mu.Unlock()
	if cut && left > 0 {
		w = &breaking{ResponseWriter: w, left: left}
	}
	w.Header().Set("ETag", `"`+r.SHA256[file]+`"`)
	http.ServeContent(w, req, file, time.Time{}, f)
}

// breaking is a line that breaks after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int64
}

func (b *breaking) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		_, _ = b.ResponseWriter.Write(p[:b.left])
		panic(http.ErrAbortHandler)
	}
	b.left -= int64(len(p))
	return b.ResponseWriter.Write(p)
}
