package initramfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/stek-edge/stek/images/kmod"
)

// kernelModules is what depmod knows of a kernel's modules.
type kernelModules struct {
	files   map[string]string   // stem to file: "kernel/fs/fat/vfat" to ".../vfat.ko.xz"
	deps    map[string][]string // stem to stems, the whole chain
	byName  map[string]string   // "virtio_blk" to stem
	builtin map[string]bool     // stems
	soft    map[string][]string // name to names or aliases
	aliases map[string][]string // "crypto-crc32c" to names; only those without wildcards
}

func readKernelModules(fsys fs.FS) (*kernelModules, error) {
	k := &kernelModules{files: map[string]string{}, deps: map[string][]string{}, byName: map[string]string{}, builtin: map[string]bool{}, soft: map[string][]string{}, aliases: map[string][]string{}}
	dep, err := fs.ReadFile(fsys, "modules.dep")
	if err != nil {
		return nil, fmt.Errorf("reading the module index: %w", err)
	}
	for line := range strings.Lines(string(dep)) {
		module, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || !fs.ValidPath(module) {
			return nil, fmt.Errorf("modules.dep: line %q is malformed", line)
		}
		s := kmod.Stem(module)
		k.files[s], k.byName[kmod.Name(module)] = module, s
		for _, d := range strings.Fields(rest) {
			k.deps[s] = append(k.deps[s], kmod.Stem(d))
		}
	}
	lists := []struct {
		name string
		take func(words []string)
	}{
		{"modules.builtin", func(words []string) { k.builtin[kmod.Stem(words[0])] = true }},
		{"modules.softdep", func(words []string) {
			if len(words) < 3 || words[0] != "softdep" {
				return
			}
			for _, w := range words[2:] {
				if !strings.HasSuffix(w, ":") {
					name := kmod.Underscored(words[1])
					k.soft[name] = append(k.soft[name], w)
				}
			}
		}},
		{"modules.alias", func(words []string) {
			if len(words) == 3 && words[0] == "alias" && !strings.ContainsAny(words[1], "*?[") {
				k.aliases[words[1]] = append(k.aliases[words[1]], words[2])
			}
		}},
	}
	for _, list := range lists {
		data, err := fs.ReadFile(fsys, list.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the module index: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if words := strings.Fields(line); len(words) > 0 {
				list.take(words)
			}
		}
	}
	return k, nil
}

// choose returns the stems of the wished modules and all that they depend on, in
// byte order, and the wishes that only a built-in driver answers.
func (k *kernelModules) choose(wishes []wish) (chosen, missing []string, err error) {
	set := map[string]bool{}
	var add func(s string) error
	add = func(s string) error {
		if set[s] {
			return nil
		}
		if _, ok := k.files[s]; !ok {
			return fmt.Errorf("module %s is a dependency and not in the kernel", s)
		}
		set[s] = true
		for _, d := range k.deps[s] {
			if err := add(d); err != nil {
				return err
			}
		}
		for _, wanted := range k.soft[kmod.Name(s)] {
			for _, d := range k.resolve(wanted) {
				if err := add(d); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, w := range wishes {
		found := false
		for s := range k.files {
			if ok, _ := path.Match(w.pattern, s); ok {
				found = true
				if err := add(s); err != nil {
					return nil, nil, err
				}
			}
		}
		for s := range k.builtin {
			if ok, _ := path.Match(w.pattern, s); ok {
				found = true
			}
		}
		if !found && w.must {
			missing = append(missing, w.pattern)
		}
	}
	for s := range set {
		chosen = append(chosen, s)
	}
	slices.Sort(chosen)
	return chosen, missing, nil
}

// resolve finds the modules that a soft dependency means: a module by its name, or
// all that answer to an alias, such as the drivers of "crypto-crc32c", without which
// ext4 does not mount. None is left when the driver is built in, or not built.
func (k *kernelModules) resolve(wanted string) []string {
	if s, ok := k.byName[kmod.Underscored(wanted)]; ok {
		return []string{s}
	}
	var stems []string
	for _, name := range k.aliases[wanted] {
		if s, ok := k.byName[kmod.Underscored(name)]; ok {
			stems = append(stems, s)
		}
	}
	return stems
}

// index writes modules.dep for the chosen modules, named as they are in the
// archive: uncompressed.
func (k *kernelModules) index(chosen []string) []byte {
	var out bytes.Buffer
	for _, s := range chosen {
		out.WriteString(s + ".ko:")
		for _, d := range k.deps[s] {
			out.WriteString(" " + d + ".ko")
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// cutLines keeps comments and those lines whose word at the given place names a
// chosen module: the last word of modules.alias, the second of modules.softdep.
func cutLines(data []byte, chosen []string, word func(words []string) string) ([]byte, error) {
	names := map[string]bool{}
	for _, s := range chosen {
		names[kmod.Name(s)] = true
	}
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] == "#" || names[kmod.Underscored(word(words))] {
			out.WriteString(lines.Text() + "\n")
		}
	}
	return out.Bytes(), lines.Err()
}
