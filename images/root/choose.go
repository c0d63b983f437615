package root

import (
	"fmt"
	"path"
	"strings"

	"github.com/stek-edge/stek/images/kmod"
)

const firmwareDir = "usr/lib/firmware"

// selectModules returns the paths below the modules' folder that stay: the modules
// that the rules keep, what they depend on, and the kernel's own lists.
func selectModules(t *Tree, version string, rules *Rules) (map[string]bool, error) {
	base := path.Join(modulesDir, version)
	dep, err := readFile(t, path.Join(base, "modules.dep"))
	if err != nil {
		return nil, err
	}
	deps, err := parseModulesDep(dep)
	if err != nil {
		return nil, err
	}
	indexes := map[string][]byte{}
	for _, name := range []string{"modules.softdep", "modules.alias"} {
		if e, ok := t.Get(path.Join(base, name)); ok {
			if indexes[name], err = e.ReadAll(); err != nil {
				return nil, err
			}
		}
	}
	soft := parseSoftdep(indexes["modules.softdep"], indexes["modules.alias"])
	byName := map[string]string{}
	for module := range deps {
		byName[kmod.Name(module)] = module
	}

	keep := map[string]bool{base: true}
	var add func(module string) error
	add = func(module string) error {
		full := path.Join(base, module)
		if keep[full] {
			return nil
		}
		if _, ok := t.Get(full); !ok {
			return fmt.Errorf("module %s is in modules.dep and not in the package", module)
		}
		keep[full] = true
		for _, d := range deps[module] {
			if err := add(d); err != nil {
				return err
			}
		}
		for _, name := range soft[kmod.Name(module)] {
			// A soft dependency may be built in, or not built at all.
			if d, ok := byName[name]; ok {
				if err := add(d); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for module := range deps {
		if rules.Keep(kmod.Stem(module), false) {
			if err := add(module); err != nil {
				return nil, err
			}
		}
	}
	for _, list := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		keep[path.Join(base, list)] = true
	}
	return keep, nil
}

// selectFirmware returns the paths below the firmware folder that stay, with the
// targets of links that stay. A link whose target is not there is left out.
func selectFirmware(t *Tree, rules *Rules) map[string]bool {
	keep := map[string]bool{}
	for e := range t.Below(firmwareDir) {
		if e.Kind == Directory || !rules.Keep(strings.TrimPrefix(e.Path, firmwareDir+"/"), false) {
			continue
		}
		// A link may lead out of the folder and back, over /etc/alternatives.
		chain := []string{e.Path}
		for at := e; at.Kind == Symlink && len(chain) < 10; {
			next, ok := t.lookup(path.Join(path.Dir(at.Path), at.Link))
			if path.IsAbs(at.Link) {
				next, ok = t.lookup(at.Link)
			}
			if !ok {
				chain = nil
				break
			}
			chain, at = append(chain, next.Path), next
		}
		for _, name := range chain {
			keep[name] = true
		}
	}
	return keep
}
