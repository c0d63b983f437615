package root

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed packages.list
var packagesList []byte

// PackageList says which Debian packages a root is made of.
type PackageList struct {
	Install []string // installed, with dependencies
	Unpack  []string // unpacked only, without dependencies and scripts
	Kernel  string   // the meta package whose first dependency is the kernel
}

// Packages returns the reviewed list of this program for an architecture.
func Packages(arch string) (PackageList, error) {
	return ParsePackageList("packages.list", packagesList, arch)
}

// packageName is what Debian policy (5.6.7) allows, so that no name can be taken
// for an option or a pattern of apt.
var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// ParsePackageList reads a list in the form of packages.list. The name is only used
// in errors.
func ParsePackageList(name string, data []byte, arch string) (PackageList, error) {
	var list PackageList
	seen := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 || len(words) > 3 || !packageName.MatchString(words[1]) {
			return PackageList{}, fmt.Errorf("%s:%d: want \"install|unpack|kernel NAME [ARCH]\", found %q", name, n, strings.TrimSpace(text))
		}
		if len(words) == 3 && words[2] != arch {
			continue
		}
		if seen[words[1]] {
			return PackageList{}, fmt.Errorf("%s:%d: package %s stands there twice", name, n, words[1])
		}
		seen[words[1]] = true
		switch words[0] {
		case "install":
			list.Install = append(list.Install, words[1])
		case "unpack":
			list.Unpack = append(list.Unpack, words[1])
		case "kernel":
			if list.Kernel != "" {
				return PackageList{}, fmt.Errorf("%s:%d: a second kernel, %s is there already", name, n, list.Kernel)
			}
			list.Kernel = words[1]
		default:
			return PackageList{}, fmt.Errorf("%s:%d: %q is not install, unpack or kernel", name, n, words[0])
		}
	}
	if err := lines.Err(); err != nil {
		return PackageList{}, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(list.Install) == 0 {
		return PackageList{}, fmt.Errorf("%s: no package to install", name)
	}
	return list, nil
}
