package stage1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// moduleIndex knows the kernel modules in the initramfs: what they depend on and
// which devices they serve. The files are those that depmod(8) writes.
type moduleIndex struct {
	dir     string              // /usr/lib/modules/VERSION
	file    map[string]string   // module name → path below dir
	deps    map[string][]string // module name → names, nearest last, as modules.dep lists them
	soft    map[string][]string // module name → names to be loaded before it
	aliases []moduleAlias
	planned map[string]*insertion // module name → its insertion
	insert  func(path string) error
}

type moduleAlias struct{ pattern, module string }

// openModules reads the index below root for the given kernel release. A missing
// directory is an index with nothing in it: the drivers may all be built in.
func openModules(root, release string) (*moduleIndex, error) {
	m := &moduleIndex{
		dir:  filepath.Join(root, "usr/lib/modules", release),
		file: map[string]string{}, deps: map[string][]string{}, soft: map[string][]string{},
		planned: map[string]*insertion{}, insert: insertModule,
	}
	for name, parse := range map[string]func(io.Reader){
		"modules.dep": m.parseDep, "modules.alias": m.parseAlias, "modules.softdep": m.parseSoftdep,
	} {
		f, err := os.Open(filepath.Join(m.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the index of kernel modules: %w", err)
		}
		parse(f)
		f.Close()
	}
	return m, nil
}

// moduleName turns a file name into the kernel's spelling of the module's name.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

func (m *moduleIndex) parseDep(r io.Reader) {
	for line := range lines(r) {
		file, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name := moduleName(file)
		m.file[name] = file
		for _, dep := range strings.Fields(rest) {
			m.deps[name] = append(m.deps[name], moduleName(dep))
		}
	}
}

func (m *moduleIndex) parseAlias(r io.Reader) {
	for line := range lines(r) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "alias" {
			m.aliases = append(m.aliases, moduleAlias{f[1], f[2]})
		}
	}
}

// parseSoftdep keeps what is to be loaded before a module ("softdep NAME pre: A B post: C").
func (m *moduleIndex) parseSoftdep(r io.Reader) {
	for line := range lines(r) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "softdep" {
			continue
		}
		name, pre := moduleName(f[1]), false
		for _, word := range f[2:] {
			switch {
			case word == "pre:":
				pre = true
			case strings.HasSuffix(word, ":"):
				pre = false
			case pre:
				m.soft[name] = append(m.soft[name], word)
			}
		}
	}
}

func lines(r io.Reader) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			if !yield(s.Text()) {
				return
			}
		}
	}
}

// aliasMatches matches a modalias against a pattern of modules.alias, with the
// rules of fnmatch(3) without flags: '*' and '?' match any character, '/' too.
// Unlike path.Match it never fails, since the kernel writes the string.
func aliasMatches(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		if p < len(pattern) {
			switch pattern[p] {
			case '*':
				star, mark = p, i
				p++
				continue
			case '?':
				p++
				i++
				continue
			case '[':
				if end := strings.IndexByte(pattern[p:], ']'); end > 0 {
					if inClass(pattern[p+1:p+end], s[i]) {
						p += end + 1
						i++
						continue
					}
					break
				}
				fallthrough
			default:
				if pattern[p] == s[i] {
					p++
					i++
					continue
				}
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}

func inClass(class string, c byte) bool {
	for i := 0; i < len(class); i++ {
		if i+2 < len(class) && class[i+1] == '-' {
			if class[i] <= c && c <= class[i+2] {
				return true
			}
			i += 2
			continue
		}
		if class[i] == c {
			return true
		}
	}
	return false
}

// coldplug loads a driver for every device that sysfs shows and that was not seen
// before. It reports whether there was a new one, since a driver that was loaded
// (a USB controller, say) brings devices of its own.
func (m *moduleIndex) coldplug(sysfs string, seen map[string]bool, warn func(error)) bool {
	fresh := false
	var drivers []*insertion
	_ = filepath.WalkDir(filepath.Join(sysfs, "devices"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "modalias" {
			return nil // a device that went away while we looked
		}
		b, err := os.ReadFile(p)
		alias := strings.TrimSpace(string(b))
		if err != nil || alias == "" || seen[alias] {
			return nil
		}
		seen[alias] = true
		fresh = true
		for _, driver := range m.start(alias) {
			if !slices.Contains(drivers, driver) { // one may serve many devices
				drivers = append(drivers, driver)
			}
		}
		return nil
	})
	for _, driver := range drivers {
		if err := driver.wait(); err != nil {
			warn(err)
		}
	}
	return fresh
}

// Modprobe answers the kernel's own calls of /sbin/modprobe ("modprobe -q -- NAME"):
// an algorithm or a file system is loaded when it is first asked for.
func Modprobe(args []string) error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	m, err := openModules("/", unix.ByteSliceToString(uts.Release[:]))
	if err != nil {
		return err
	}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			if err := m.load(a); err != nil {
				return err
			}
		}
	}
	return nil
}
