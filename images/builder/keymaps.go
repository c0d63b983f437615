package builder

import (
	"context"
	"os"
	"path"
	"path/filepath"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/keymaps"
	"github.com/stek-edge/stek/images/root"
	"github.com/stek-edge/stek/installer/keymap"
	"github.com/stek-edge/stek/installer/preseed"
)

// keymapsFormat changes when the same inputs are to give other keymaps.
const keymapsFormat = "1"

// keymaps adds the console layouts, made from the base or taken from the cache.
func (o *Options) keymaps(ctx context.Context, baseKey string, base *root.Tree, p *programs) error {
	names := preseed.Keyboards()
	dir, err := o.store("keymaps").get(ctx, keyOf(keymapsFormat, baseKey, names), new(struct{}), func(dir string) error {
		o.Report.Send(component.Progress{Task: "making the keymaps"})
		return keymaps.Make(ctx, base, names, dir, root.Exec{})
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if keymap.BuiltIn(name) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, keymap.FileName(name)))
		if err != nil {
			return err
		}
		p.entries = append(p.entries, root.File(path.Join(keymap.Dir, keymap.FileName(name))[1:], 0o644, data))
	}
	return nil
}
