package root

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/stek-edge/stek/images/wordlist"
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

// CheckPackageName says what is wrong with the name of a package.
func CheckPackageName(name string) error {
	if !packageName.MatchString(name) {
		return fmt.Errorf("%q is no name of a Debian package", name)
	}
	return nil
}

// ParsePackageList reads a list in the form of packages.list. The name is only used
// in errors.
func ParsePackageList(name string, data []byte, arch string) (PackageList, error) {
	var list PackageList
	seen := map[string]bool{}
	err := wordlist.Each(name, data, func(words []string) error {
		if len(words) < 2 || len(words) > 3 || !packageName.MatchString(words[1]) {
			return fmt.Errorf("want \"install|unpack|kernel NAME [ARCH]\", found %q", strings.Join(words, " "))
		}
		if len(words) == 3 && words[2] != arch {
			return nil
		}
		if seen[words[1]] {
			return fmt.Errorf("package %s stands there twice", words[1])
		}
		seen[words[1]] = true
		switch words[0] {
		case "install":
			list.Install = append(list.Install, words[1])
		case "unpack":
			list.Unpack = append(list.Unpack, words[1])
		case "kernel":
			if list.Kernel != "" {
				return fmt.Errorf("a second kernel, %s is there already", list.Kernel)
			}
			list.Kernel = words[1]
		default:
			return fmt.Errorf("%q is not install, unpack or kernel", words[0])
		}
		return nil
	})
	if err != nil {
		return PackageList{}, err
	}
	if len(list.Install) == 0 {
		return PackageList{}, fmt.Errorf("%s: no package to install", name)
	}
	return list, nil
}
