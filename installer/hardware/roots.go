package hardware

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Roots are the places where the facts are read. Tests point them at plain files.
type Roots struct {
	Sys     string // sysfs
	Proc    string // procfs
	Dev     string // device nodes
	Run     string // run-time state; only udev's database is read, where there is one
	EFIVars string // efivarfs
}

// Host are the places of the running machine.
func Host() Roots {
	return Roots{Sys: "/sys", Proc: "/proc", Dev: "/dev", Run: "/run", EFIVars: "/sys/firmware/efi/efivars"}
}

// maxAttribute bounds what is read from one file of sysfs or procfs. Most are a
// page at most; cpuinfo of a large machine is a few hundred KiB.
const maxAttribute = 4 << 20

// read returns a file's content, or nil where it cannot be read: a fact that a
// machine does not tell is left out.
func read(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []byte
	buf := make([]byte, 64<<10)
	for len(out) < maxAttribute {
		n, err := f.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil || n == 0 {
			break
		}
	}
	return out
}

// word returns a one-line attribute, cleaned.
func word(elem ...string) string {
	s := string(read(filepath.Join(elem...)))
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i]
	}
	return clean(s)
}

// number returns a numeric attribute, 0 where there is none.
func number(elem ...string) uint64 {
	n, err := strconv.ParseUint(word(elem...), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func exists(elem ...string) bool {
	_, err := os.Stat(filepath.Join(elem...))
	return err == nil
}

// names lists a directory, sorted; none where it cannot be read.
func names(elem ...string) []string {
	entries, err := os.ReadDir(filepath.Join(elem...))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// udev returns a property of a device from udev's database, where there is one.
func (r Roots) udev(device, property string) string {
	if r.Run == "" {
		return ""
	}
	for line := range strings.Lines(string(read(filepath.Join(r.Run, "udev/data", device)))) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "E:"+property+"="); ok {
			return clean(v)
		}
	}
	return ""
}

// devicePath resolves a link in sysfs and returns it relative to the root, such
// as devices/pci0000:00/…/block/sda; "" where it leads nowhere.
func (r Roots) devicePath(elem ...string) string {
	root, err := filepath.EvalSymlinks(r.Sys)
	if err != nil {
		return ""
	}
	real, err := filepath.EvalSymlinks(filepath.Join(append([]string{r.Sys}, elem...)...))
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(root, real)
	if err != nil || strings.HasPrefix(rel, "..") {
		return ""
	}
	return rel
}

// node returns the device node of a block device. The kernel writes "!" in sysfs
// for a "/" in a device's name.
func (r Roots) node(block string) string {
	return filepath.Join(r.Dev, strings.ReplaceAll(block, "!", "/"))
}
