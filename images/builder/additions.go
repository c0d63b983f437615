package builder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stek-edge/stek/images/root"
)

// Additions are what one image carries beside what every image carries: the driver of
// a rare card, a package that a site needs, its own units and certificates.
type Additions struct {
	Packages []string // of Debian, by name, installed with what they depend on
	Modules  []string // kernel modules: a name, or a pattern over paths below the kernel's folder
	Firmware []string // patterns over paths below /usr/lib/firmware
	Files    string   // a folder, laid over the root; empty: none
}

// check says what is wrong with what is asked for, before anything is begun.
func (a Additions) check() error {
	var all []error
	for _, name := range a.Packages {
		if err := root.CheckPackageName(name); err != nil {
			all = append(all, fmt.Errorf("a package to add: %w", err))
		}
	}
	for _, pattern := range slices.Concat(a.modules(), a.Firmware) {
		if err := root.CheckPattern(pattern); err != nil {
			all = append(all, fmt.Errorf("a module or firmware to add: %w", err))
		}
	}
	if a.Files != "" {
		if info, err := os.Stat(a.Files); err != nil {
			all = append(all, fmt.Errorf("the folder with files to add: %w", err))
		} else if !info.IsDir() {
			all = append(all, fmt.Errorf("the files to add are named by their folder, and %s is none", a.Files))
		}
	}
	return errors.Join(all...)
}

// modules turns names into patterns.
func (a Additions) modules() []string {
	var patterns []string
	for _, m := range a.Modules {
		if m != "" && !strings.Contains(m, "/") {
			m = "**/" + m
		}
		patterns = append(patterns, m)
	}
	return patterns
}

// entries reads the folder. Whether a file can be executed is taken over, and where
// links point; all else, such as owners and times, is the building machine's own.
// taken are paths that the image holds already and that nothing may replace.
func (a Additions) entries(taken []root.Entry) ([]root.Entry, error) {
	if a.Files == "" {
		return nil, nil
	}
	ours := map[string]bool{}
	for _, e := range taken {
		ours[e.Path] = e.Kind != root.Directory
	}
	var entries []root.Entry
	err := filepath.WalkDir(a.Files, func(host string, d fs.DirEntry, err error) error {
		if err != nil || host == a.Files {
			return err
		}
		rel, err := filepath.Rel(a.Files, host)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if ours[name] {
			return fmt.Errorf("%s is part of stek and cannot be replaced", name)
		}
		switch {
		case d.IsDir():
			// A folder that the base has keeps its rights: only what lies in it is added.
			return nil
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(host)
			if err != nil {
				return err
			}
			entries = append(entries, root.Link(name, target))
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			perm := uint32(0o644)
			if info.Mode()&0o100 != 0 {
				perm = 0o755
			}
			entries = append(entries, root.HostFile(name, perm, host))
		default:
			return fmt.Errorf("%s is neither a file nor a folder nor a link", name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the files to add: %w", err)
	}
	return entries, nil
}

// names lists what was added, for whoever looks at the image.
func (a Additions) names() []string {
	var names []string
	for _, list := range []struct {
		kind string
		of   []string
	}{{"package", a.Packages}, {"module", a.Modules}, {"firmware", a.Firmware}} {
		for _, name := range list.of {
			names = append(names, list.kind+" "+name)
		}
	}
	if a.Files != "" {
		names = append(names, "files")
	}
	return names
}
