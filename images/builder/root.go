package builder

import (
	"context"
	"crypto/sha256"
	"io"
	"path/filepath"

	"github.com/stek-edge/stek/images/component"
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
	o.Report.Send(component.Progress{Task: "looking for the root in the cache"})
	key, err := rootKey(baseKey, o, p.entries)
	if err != nil {
		return nil, err
	}
	const image = "root.img"
	made := &madeRoot{}
	dir, err := o.store("root").get(ctx, key, made, func(dir string) error {
		work, err := o.work()
		if err != nil {
			return err
		}
		tree, report, err := root.Assemble(ctx, base, root.Assembly{
			Overlay: p.entries, KeepModules: o.Add.modules(), KeepFirmware: o.Add.Firmware,
			Epoch: o.Epoch, WorkDir: work, Runner: root.Exec{}, Progress: o.reporter(),
		})
		if err != nil {
			return err
		}
		made.Sizes, made.UnusedRules = report.Sizes, report.UnusedRules
		file := filepath.Join(dir, image)
		if err := root.Squash(ctx, tree, file, root.SquashOptions{Epoch: o.Epoch, Level: o.Level, Runner: root.Exec{}, Progress: o.reporter()}); err != nil {
			return err
		}
		o.Report.Send(component.Progress{Task: "making the hash tree of the root"})
		made.Verity, err = root.Verity(ctx, file, root.Exec{})
		return err
	})
	if err != nil {
		return nil, err
	}
	made.Image = filepath.Join(dir, image)
	return made, nil
}

// rootFormat changes when the same inputs are to give another root.
const rootFormat = "1"

// rootKey names a root by everything that goes into it.
func rootKey(baseKey string, o *Options, entries []root.Entry) (string, error) {
	parts := []any{rootFormat, o.self, baseKey, o.Epoch.Unix(), o.Level, o.Add.modules(), o.Add.Firmware}
	for _, e := range entries {
		parts = append(parts, e.Path, e.Kind, e.Perm, e.Link)
		if e.Kind != root.Regular {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return "", err
		}
		h := sha256.New()
		_, err = io.Copy(h, r)
		r.Close()
		if err != nil {
			return "", err
		}
		parts = append(parts, h.Sum(nil))
	}
	return keyOf(parts...), nil
}
