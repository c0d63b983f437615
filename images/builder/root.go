package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/images/root"
)

// madeRoot is a packed root with its hash tree, kept in the cache.
type madeRoot struct {
	Image       string          `json:"-"` // file
	Verity      root.VerityTree `json:"verity"`
	Sizes       []root.PartSize `json:"sizes"`
	UnusedRules []string        `json:"unused-rules,omitempty"`
}

// root assembles and packs the root, or takes it from the cache when everything
// that goes into it is as it was.
func (o *Options) root(ctx context.Context, baseKey string, base *root.Tree, p *programs) (*madeRoot, error) {
	key, err := rootKey(baseKey, o, p.entries)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Cache, "root")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	made := &madeRoot{Image: filepath.Join(dir, key+".img")}
	note := filepath.Join(dir, key+".json")
	if b, err := os.ReadFile(note); err == nil && json.Unmarshal(b, made) == nil {
		if info, err := os.Stat(made.Image); err == nil && info.Size() == made.Verity.Size {
			return made, nil
		}
	}
	work, err := o.work()
	if err != nil {
		return nil, err
	}
	tree, report, err := root.Assemble(ctx, base, root.Assembly{Overlay: p.entries, Epoch: o.Epoch, WorkDir: work, Runner: root.Exec{}, Progress: o.reporter()})
	if err != nil {
		return nil, err
	}
	made.Sizes, made.UnusedRules = report.Sizes, report.UnusedRules
	if err := root.Squash(ctx, tree, made.Image, root.SquashOptions{Epoch: o.Epoch, Level: o.Level, Runner: root.Exec{}, Progress: o.reporter()}); err != nil {
		return nil, err
	}
	if made.Verity, err = root.Verity(ctx, made.Image, root.Exec{}); err != nil {
		return nil, err
	}
	if err := forgetOld(dir, key); err != nil {
		return nil, err
	}
	return made, os.WriteFile(note, toJSON(made), 0o644)
}

// rootFormat changes when the same inputs are to give another root.
const rootFormat = "1"

// rootKey names a root by everything that goes into it.
func rootKey(baseKey string, o *Options, entries []root.Entry) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d %d\n", baseKey, rootFormat, o.Epoch.Unix(), o.Level)
	for _, e := range entries {
		fmt.Fprintf(h, "%s %d %o %s\n", e.Path, e.Kind, e.Perm, e.Link)
		if e.Kind != root.Regular {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// forgetOld keeps the cache from growing: roots are large and soon out of date.
func forgetOld(dir, key string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if base := filepath.Base(f); base != key+".img" && base != key+".json" {
			if err := os.RemoveAll(f); err != nil {
				return err
			}
		}
	}
	return nil
}
