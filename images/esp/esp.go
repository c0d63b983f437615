package esp

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stek-edge/stek/images/fat"
)

// Label is the name under which systems show the partition.
const Label = "STEK"

// Paths on the partition.
const (
	Folder     = "stek"
	Preseed    = Folder + "/preseed.yaml"
	Reports    = Folder + "/reports"
	Readme     = "README.txt"
	LoaderConf = "loader/loader.conf"
	kernels    = "EFI/Linux"
	keys       = "loader/keys"
)

// Sets of Secure Boot keys under loader/keys. In Setup Mode systemd-boot offers
// each folder in its menu.
const (
	KeysAuto = "auto" // with Microsoft's certificates for option ROMs
	KeysOwn  = "own"  // the fleet's only
)

// KeyFolder is where a set of Secure Boot keys is.
func KeyFolder(set string) string { return path.Join(keys, set) }

// Kernel is the path of a slot's unified kernel image. tries is the number of
// starts that systemd-boot gives it before it counts as broken, 0 for an image
// that is known to be good (Boot Loader Specification, "Boot counting").
func Kernel(slot string, tries int) string {
	name := "stek-" + slot
	if tries > 0 {
		name += fmt.Sprintf("+%d", tries)
	}
	return path.Join(kernels, name+".efi")
}

// loaderConf has no menu, so that a box starts without delay (a person still
// gets one by holding a key), and no editor, which without Secure Boot would
// let anybody add kernel options. Keys are never enrolled by themselves: that
// is for the answer file to say, or for a person who picks it in the menu.
//
//go:embed loader.conf
var loaderConf []byte

//go:embed readme.txt
var readme string

// Content is what goes onto the partition.
type Content struct {
	Arch       string // "amd64" or "arm64", as in GOARCH
	Version    string // shown in README.txt
	BootLoader []byte // systemd-boot, signed where Secure Boot is to be used
	UKI        []byte
	Kernel     string // its path, as Kernel makes it; slot a without counting if empty
	// Keys are the files of each set of Secure Boot keys, by folder
	// (KeysAuto, KeysOwn) and file name; nil for none.
	Keys map[string]map[string][]byte
	// Files are more files, by path, such as a preseed.
	Files map[string][]byte
}

// efiArch is how UEFI writes an architecture in file names (UEFI 2.10, section
// 3.5.1.1).
var efiArch = map[string]string{"amd64": "x64", "arm64": "aa64"}

// files lists every file in the order in which it is written.
func (c Content) files() ([]string, map[string][]byte, error) {
	arch, ok := efiArch[c.Arch]
	if !ok {
		return nil, nil, fmt.Errorf("no UEFI file names are known for the architecture %q", c.Arch)
	}
	if len(c.BootLoader) == 0 || len(c.UKI) == 0 {
		return nil, nil, fmt.Errorf("the boot loader (%d bytes) or the unified kernel image (%d bytes) is missing", len(c.BootLoader), len(c.UKI))
	}
	kernel := c.Kernel
	if kernel == "" {
		kernel = Kernel("a", 0)
	}
	text := strings.ReplaceAll(strings.ReplaceAll(readme, "VERSION", c.Version), "\n", "\r\n")
	files := map[string][]byte{
		"EFI/BOOT/BOOT" + strings.ToUpper(arch) + ".EFI": c.BootLoader,
		"EFI/systemd/systemd-boot" + arch + ".efi":       c.BootLoader,
		kernel:     c.UKI,
		LoaderConf: loaderConf,
		Readme:     []byte(text),
	}
	for set, members := range c.Keys {
		for name, data := range members {
			files[path.Join(KeyFolder(set), name)] = data
		}
	}
	for name, data := range c.Files {
		if _, taken := files[name]; taken {
			return nil, nil, fmt.Errorf("%s is given twice", name)
		}
		files[name] = data
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, files, nil
}

// Write fills an empty file system. All files carry the given time, so equal
// content gives equal bytes.
func Write(v *fat.Volume, c Content, modified time.Time) error {
	names, files, err := c.files()
	if err != nil {
		return fmt.Errorf("filling the EFI system partition: %w", err)
	}
	// What starts the box is written last. A partition that was filled half
	// way does not start.
	boots := func(name string) bool { return strings.HasPrefix(name, "EFI/") }
	if err := v.MkdirAll(Folder, modified); err != nil {
		return fmt.Errorf("filling the EFI system partition: %w", err)
	}
	for _, last := range []bool{false, true} {
		for _, name := range names {
			if boots(name) != last {
				continue
			}
			if err := v.WriteFile(name, files[name], modified); err != nil {
				return fmt.Errorf("filling the EFI system partition: %w", err)
			}
		}
	}
	return nil
}
