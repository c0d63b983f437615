// Package bootcount keeps the tries that systemd-boot counts in the name of a boot
// entry (UAPI.1 Boot Loader Specification, "Boot counting"): stek-a+9.efi has nine
// tries left, stek-a+7-2.efi seven after two failed ones, stek-a.efi is known to be
// good and is not counted any more.
//
// systemd-boot takes one try each time before it starts the entry. A box whose
// power fails early would use them all up without anything being wrong with its
// system, so stage1 gives the try back once it has found its disk (GiveBack): a power
// cut proves nothing, and neither does a volume that does not open. Only a start that
// never came as far as stage1 costs a try, and a node that came up is blessed (Bless).
//
// It must never change any other file than the entry that was started, and never
// leave that entry without a name that the boot loader finds.
//
//	started, ok := bootcount.Started(efivars)
//	if ok {
//		err = bootcount.Bless(espDir, started)
//	}
package bootcount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/stek-edge/stek/installer/durable"
)

// Tries is how many starts a new system gets. It is generous: a kernel that cannot
// start costs a minute each, and a technician who pulls the plug a few times before
// stage1 runs must not make a good system look bad.
const Tries = 9

// Entry is a counted boot entry.
type Entry struct {
	Dir    string // below the ESP, with slashes: EFI/Linux
	Name   string // without counter and ending: stek-a
	Suffix string // .efi or .conf
	Left   int    // tries left
	Failed int    // tries spent
}

var counted = regexp.MustCompile(`^(.+?)\+([0-9]{1,6})(?:-([0-9]{1,6}))?(\.efi|\.conf)$`)

// Parse reads an entry out of a path in the style of the boot loader, with slashes
// or backslashes. It is false for an entry that is not counted.
func Parse(p string) (Entry, bool) {
	p = strings.TrimLeft(strings.ReplaceAll(p, `\`, "/"), "/")
	if !fs.ValidPath(p) {
		return Entry{}, false
	}
	m := counted.FindStringSubmatch(path.Base(p))
	if m == nil {
		return Entry{}, false
	}
	left, _ := strconv.Atoi(m[2])
	failed, _ := strconv.Atoi(m[3])
	return Entry{Dir: path.Dir(p), Name: m[1], Suffix: m[4], Left: left, Failed: failed}, true
}

// FileName is the entry's name with its counter.
func (e Entry) FileName() string {
	name := fmt.Sprintf("%s+%d", e.Name, e.Left)
	if e.Failed > 0 {
		name += fmt.Sprintf("-%d", e.Failed)
	}
	return name + e.Suffix
}

const loaderVendor = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

// Started tells which counted entry this system was started from, by the variable
// LoaderBootCountPath of the Boot Loader Interface. The path in it has the counter
// as it is on the ESP now. It is false when the entry is not counted.
func Started(efivars string) (Entry, bool) {
	b, err := os.ReadFile(filepath.Join(efivars, "LoaderBootCountPath-"+loaderVendor))
	if err != nil || len(b) < 4 {
		return Entry{}, false
	}
	var u []uint16
	for i := 4; i+1 < len(b); i += 2 { // after four bytes of attributes
		if c := uint16(b[i]) | uint16(b[i+1])<<8; c != 0 {
			u = append(u, c)
		}
	}
	return Parse(string(utf16.Decode(u)))
}

// Bless takes the counter off the entry, whatever it counts by now: the system it
// starts is good.
func Bless(esp string, e Entry) error {
	files, err := os.ReadDir(filepath.Join(esp, filepath.FromSlash(e.Dir)))
	if err != nil {
		return fmt.Errorf("looking for the boot entry %s: %w", e.Name, err)
	}
	for _, f := range files {
		now, ok := Parse(path.Join(e.Dir, f.Name()))
		if ok && now.Name == e.Name && now.Suffix == e.Suffix {
			return now.rename(esp, now.Name+now.Suffix)
		}
	}
	return nil // blessed before
}

// GiveBack returns the try that the boot loader took for this start.
func GiveBack(esp string, e Entry) error {
	if e.Failed == 0 {
		return nil
	}
	back := e
	back.Left++
	back.Failed--
	return e.rename(esp, back.FileName())
}

func (e Entry) rename(esp, name string) error {
	dir := filepath.Join(esp, filepath.FromSlash(e.Dir))
	from, to := filepath.Join(dir, e.FileName()), filepath.Join(dir, name)
	if from == to {
		return nil
	}
	f, err := os.Open(from)
	if err == nil {
		defer f.Close()
		err = durable.Rename(f, from, to)
	}
	if err != nil {
		if _, there := os.Stat(to); errors.Is(err, fs.ErrNotExist) && there == nil {
			return nil // done before
		}
		return fmt.Errorf("renaming the boot entry %s: %w", e.FileName(), err)
	}
	return nil
}
