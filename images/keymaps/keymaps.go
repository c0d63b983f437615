// Package keymaps makes the console layouts of the image out of Debian's console-data:
// one file in the kernel's own terms for each keyboard that an answer file may name.
// See installer/keymap for the form and for who reads it.
//
// It must never leave one out: a keyboard that the answer file takes and the image
// does not have would only be noticed by a person who cannot type their passphrase.
//
//	err := keymaps.Make(ctx, packages, preseed.Keyboards(), dir, root.Exec{})
package keymaps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stek-edge/stek/images/root"
	"github.com/stek-edge/stek/installer/keymap"
)

const sourceDir = "usr/share/keymaps"

// The folders of console-data that keymaps for PCs are in, and include from.
var sources = []string{"i386", "include"}

const sourceSuffix = ".kmap.gz"

// Make converts the named keymaps with loadkeys(1) and writes them to dir, as
// keymap.FileName calls them. All that fail are in the error.
func Make(ctx context.Context, base *root.Tree, names []string, dir string, run root.Runner) error {
	work, err := os.MkdirTemp("", "stek-keymaps-")
	if err != nil {
		return fmt.Errorf("making the keymaps: %w", err)
	}
	defer os.RemoveAll(work)
	found, err := layOut(base, work)
	if err != nil {
		return fmt.Errorf("making the keymaps: %w", err)
	}
	var faults []error
	for _, name := range names {
		if keymap.BuiltIn(name) {
			continue
		}
		if err := convert(ctx, found[name], filepath.Join(dir, keymap.FileName(name)), run); err != nil {
			faults = append(faults, fmt.Errorf("making the keymap %s: %w", name, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errors.Join(faults...)
}

// layOut copies the sources to a folder where loadkeys finds what they include. It
// returns the files of each keymap by its name.
func layOut(base *root.Tree, to string) (map[string][]string, error) {
	found := map[string][]string{}
	for _, top := range sources {
		for e := range base.Below(path.Join(sourceDir, top)) {
			if e.Kind != root.Regular {
				continue
			}
			target := filepath.Join(to, filepath.FromSlash(strings.TrimPrefix(e.Path, sourceDir)))
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return nil, err
			}
			content, err := e.ReadAll()
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(target, content, 0o644); err != nil {
				return nil, err
			}
			if short, ok := strings.CutSuffix(path.Base(e.Path), sourceSuffix); ok {
				found[short] = append(found[short], target)
			}
		}
	}
	return found, nil
}

func convert(ctx context.Context, sources []string, target string, run root.Runner) error {
	switch len(sources) {
	case 0:
		return errors.New("console-data does not have it")
	case 1:
	default:
		slices.Sort(sources)
		return fmt.Errorf("console-data has it %d times: %s", len(sources), strings.Join(sources, ", "))
	}
	var out bytes.Buffer
	// --unicode: the console is in UTF-8 mode, where values are characters.
	err := run.Run(ctx, root.Command{Name: "loadkeys", Args: []string{"--quiet", "--unicode", "--bkeymap", sources[0]}, Stdout: &out})
	if err != nil {
		return err
	}
	if _, err := keymap.Parse(out.Bytes()); err != nil {
		return err
	}
	return os.WriteFile(target, out.Bytes(), 0o644)
}
