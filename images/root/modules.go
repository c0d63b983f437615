package root

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/images/kmod"
)

// modulesDir is where Debian's kernels keep modules on a merged-/usr system.
const modulesDir = "usr/lib/modules"

// KernelVersion names the one kernel in the tree: "6.12.0-1-amd64".
func KernelVersion(t *Tree) (string, error) {
	found := ""
	for e := range t.Below(modulesDir) {
		version, rest, _ := strings.Cut(strings.TrimPrefix(e.Path, modulesDir+"/"), "/")
		if rest != "modules.order" {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("there are two kernels in the root, %s and %s", found, version)
		}
		found = version
	}
	if found == "" {
		return "", errors.New("there is no kernel in the root")
	}
	return found, nil
}

// depmod writes the index files of the modules in the tree: dep, alias, symbols and
// the rest, text and binary. It takes the modules through a temporary folder below
// work.
func depmod(ctx context.Context, r Runner, t *Tree, version, work string) error {
	dir, err := os.MkdirTemp(work, "depmod-*")
	if err != nil {
		return fmt.Errorf("indexing kernel modules: %w", err)
	}
	defer os.RemoveAll(dir)
	base := path.Join(modulesDir, version)
	host := filepath.Join(dir, "lib/modules", version)
	if err := extractModules(t, base, host); err != nil {
		return fmt.Errorf("indexing kernel modules: %w", err)
	}
	// depmod reads the machine's /etc/depmod.d and /run without these.
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		return fmt.Errorf("indexing kernel modules: %w", err)
	}
	if err := r.Run(ctx, Command{Name: "depmod", Args: []string{"-b", dir, "-C", empty, version}}); err != nil {
		return fmt.Errorf("indexing kernel modules: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(host, "modules.*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("indexing kernel modules: %w", err)
		}
		if err := t.Add(File(path.Join(base, filepath.Base(name)), 0o644, data)); err != nil {
			return err
		}
	}
	return nil
}

// extractModules writes the modules and the kernel's own lists (order, builtin) to
// the host. The lists are cut to the modules that are there.
func extractModules(t *Tree, base, host string) error {
	for e := range t.Below(base) {
		name := strings.TrimPrefix(e.Path, base+"/")
		list := name == "modules.order" || name == "modules.builtin" || name == "modules.builtin.modinfo"
		if e.Kind != Regular || !list && !strings.HasPrefix(name, "kernel/") {
			continue
		}
		to := filepath.Join(host, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if name == "modules.order" {
			data, err := cutOrder(t, base, e)
			if err == nil {
				err = os.WriteFile(to, data, 0o644)
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := extract(e, to); err != nil {
			return err
		}
	}
	return nil
}

// cutOrder leaves the lines of modules.order whose modules are in the tree. The
// kernel's list names ".ko" where the package holds ".ko.xz".
func cutOrder(t *Tree, base string, order *Entry) ([]byte, error) {
	data, err := order.ReadAll()
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for e := range t.Below(base) {
		have[kmod.Stem(strings.TrimPrefix(e.Path, base+"/"))] = true
	}
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if have[kmod.Stem(lines.Text())] {
			fmt.Fprintln(&out, lines.Text())
		}
	}
	return out.Bytes(), lines.Err()
}

func extract(e *Entry, to string) error {
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// parseModulesDep reads modules.dep: for each module the modules that it needs, as
// paths below the kernel's folder (depmod writes the whole chain for each).
func parseModulesDep(data []byte) (map[string][]string, error) {
	deps := map[string][]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		module, rest, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("modules.dep: line %q has no colon", lines.Text())
		}
		deps[module] = strings.Fields(rest)
	}
	return deps, lines.Err()
}

// parseSoftdep reads modules.softdep and modules.alias: for each module, by kernel
// name, the names of those that should be loaded before or after it. A soft
// dependency may be given by alias ("crypto-crc32c"), which several modules answer.
func parseSoftdep(softdep, alias []byte) map[string][]string {
	aliases := map[string][]string{}
	for line := range strings.Lines(string(alias)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "alias" {
			aliases[words[1]] = append(aliases[words[1]], words[2])
		}
	}
	soft := map[string][]string{}
	for line := range strings.Lines(string(softdep)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "softdep" {
			continue
		}
		name := kmod.Underscored(words[1])
		for _, w := range words[2:] {
			if strings.HasSuffix(w, ":") {
				continue
			}
			for _, target := range append([]string{w}, aliases[w]...) {
				soft[name] = append(soft[name], kmod.Underscored(target))
			}
		}
	}
	return soft
}
