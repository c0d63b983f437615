package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stek-edge/stek/images/component"
)

// store keeps results of one kind, each in a folder named by its key: the digest of
// everything that decides its bytes. A changed input so never finds an old result,
// and a result that was damaged in the meantime is thrown away and made again.
type store struct {
	dir    string
	keep   int // so many of the last used; results are large and soon out of date
	report component.Report
}

func (o *Options) store(kind string) store {
	// Two branches of a repository that take turns do not push each other out.
	return store{dir: filepath.Join(o.Cache, kind), keep: 3, report: o.Report}
}

// recordFile stands beside the files of a result: their digests, and what the maker
// noted about them.
const recordFile = "made.json"

type record struct {
	Files map[string]string `json:"files"` // name to SHA-256, hex
	Note  json.RawMessage   `json:"note"`
}

// get returns the folder with the result for key. When there is none it calls do,
// which leaves files in an empty folder. note is what is remembered with them: filled
// in by do, or read back.
func (s store) get(ctx context.Context, key string, note any, do func(dir string) error) (string, error) {
	dir := filepath.Join(s.dir, key)
	switch err := s.load(ctx, dir, note); {
	case err == nil:
		now := time.Now()
		return dir, os.Chtimes(dir, now, now)
	case ctx.Err() != nil:
		return "", ctx.Err()
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(s.dir, 0o755)); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(s.dir, ".making-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := do(work); err != nil {
		return "", err
	}
	if err := s.seal(ctx, work, note); err != nil {
		return "", err
	}
	// Another run may have been quicker; its result has the same bytes.
	if err := os.Rename(work, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return dir, s.sweep()
}

// seal writes the record of a finished result.
func (s store) seal(ctx context.Context, dir string, note any) error {
	raw, err := json.Marshal(note)
	if err != nil {
		return err
	}
	r := record{Files: map[string]string{}, Note: raw}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if r.Files[e.Name()], err = digest(ctx, filepath.Join(dir, e.Name()), s.report); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, recordFile), toJSON(r), 0o644)
}

// load proves that a result is what was made, and reads its note.
func (s store) load(ctx context.Context, dir string, note any) error {
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	for name, want := range r.Files {
		got, err := digest(ctx, filepath.Join(dir, filepath.Base(name)), s.report)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s is not what was made", filepath.Join(dir, name))
		}
	}
	return json.Unmarshal(r.Note, note)
}

// sweep removes all results but the last used ones.
func (s store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	used := map[string]time.Time{}
	var names []string
	for _, e := range entries {
		// What another run is making just now has a name with a dot.
		if info, err := e.Info(); err == nil && e.Name()[0] != '.' {
			used[e.Name()] = info.ModTime()
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return used[b].Compare(used[a]) })
	for _, name := range names[min(s.keep, len(names)):] {
		if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// digest returns the SHA-256 of a file in hex, and reports how far it is.
func digest(ctx context.Context, name string, report component.Report) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	started, last := time.Now(), time.Now()
	buffer := make([]byte, 1<<20)
	for done := int64(0); ; {
		n, err := f.Read(buffer)
		h.Write(buffer[:n])
		done += int64(n)
		if time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			report.Send(component.Progress{Task: "checking " + filepath.Base(name), Unit: "bytes", Done: done, Total: info.Size(), Elapsed: time.Since(started)})
		}
		switch {
		case errors.Is(err, io.EOF):
			return hex.EncodeToString(h.Sum(nil)), nil
		case err != nil:
			return "", fmt.Errorf("reading %s: %w", name, err)
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
	}
}
