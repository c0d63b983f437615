package initramfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"

	"github.com/stek-edge/stek/images/kmod"
)

// Options say what goes into an initramfs.
type Options struct {
	Init          string    // path of the stek binary on the building machine
	Arch          string    // in Debian's words; empty: "amd64"
	KernelVersion string    // "6.12.0-1-amd64"
	Modules       fs.FS     // the kernel's folder of modules, with modules.dep
	List          []byte    // in the form of modules.list; nil: the reviewed one of this program
	Files         []File    // more files, for tests and hooks of a builder
	ModTime       time.Time // of every entry
}

// File is one more file of an initramfs. Its parents are made.
type File struct {
	Path string      // relative: "etc/motd"
	Perm fs.FileMode // with fs.ModeSymlink Data is where the link leads
	Data []byte
}

// Summary tells what an initramfs holds.
type Summary struct {
	Modules  []string // paths below the kernel's folder, in byte order
	Init     int64    // bytes of /init
	Unpacked int64    // bytes of the whole archive, unpacked
	Packed   int64    // bytes written
}

// MissingModulesError lists modules that stage1 cannot do without and that this
// kernel does not have.
type MissingModulesError struct {
	Kernel   string
	Patterns []string
}

func (e *MissingModulesError) Error() string {
	return fmt.Sprintf("kernel %s has no %s, neither as a module nor built in; without it stage1 cannot start every box", e.Kernel, strings.Join(e.Patterns, ", "))
}

// folders are there before any file: mount points of stage1 and of the kernel. The
// kernel's own built-in archive brings /dev/console.
var folders = []string{"dev", "etc", "proc", "run", "sys", "sysroot", "tmp", "usr"}

// Write writes the initramfs.
func Write(w io.Writer, o Options) (Summary, error) {
	s, err := write(w, o)
	if err != nil {
		return Summary{}, fmt.Errorf("building the initramfs: %w", err)
	}
	return s, nil
}

func write(w io.Writer, o Options) (Summary, error) {
	var s Summary
	if o.KernelVersion == "" || strings.Contains(o.KernelVersion, "/") || o.Modules == nil || o.ModTime.Unix() <= 0 {
		return s, errors.New("kernel version, modules and time must be given")
	}
	files, err := moduleFiles(o, &s)
	if err != nil {
		return s, err
	}
	init, err := os.ReadFile(o.Init)
	if err != nil {
		return s, err
	}
	if !bytes.HasPrefix(init, []byte("\x7fELF")) {
		return s, fmt.Errorf("%s is not a Linux program", o.Init)
	}
	s.Init = int64(len(init))
	files = append(files, File{"init", 0o755, init},
		// The kernel calls this for a file system or an algorithm that it lacks.
		File{"sbin/modprobe", fs.ModeSymlink | 0o777, []byte("/init")})
	files = append(files, o.Files...)

	packed := &counter{w: w}
	// One thread: the split into blocks must not depend on the machine.
	z, err := zstd.NewWriter(packed, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return s, err
	}
	unpacked := &counter{w: z}
	if err := archive(unpacked, files, o.ModTime); err != nil {
		return s, err
	}
	if err := z.Close(); err != nil {
		return s, err
	}
	s.Unpacked, s.Packed = unpacked.n, packed.n
	return s, nil
}

// moduleFiles returns the chosen modules, unpacked, and their index.
func moduleFiles(o Options, s *Summary) ([]File, error) {
	arch, list, name := o.Arch, o.List, "list of modules"
	if arch == "" {
		arch = "amd64"
	}
	if list == nil {
		list, name = modulesList, "modules.list"
	}
	wishes, err := parseList(name, list, arch)
	if err != nil {
		return nil, err
	}
	kernel, err := readKernelModules(o.Modules)
	if err != nil {
		return nil, err
	}
	chosen, missing, err := kernel.choose(wishes)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return nil, &MissingModulesError{o.KernelVersion, missing}
	}
	base := "usr/lib/modules/" + o.KernelVersion
	var files []File
	for _, m := range chosen {
		data, err := kmod.Read(o.Modules, kernel.files[m])
		if err != nil {
			return nil, err
		}
		files = append(files, File{path.Join(base, m+".ko"), 0o644, data})
		s.Modules = append(s.Modules, m+".ko")
	}
	files = append(files, File{base + "/modules.dep", 0o644, kernel.index(chosen)})
	for _, list := range []struct {
		name string
		word func([]string) string
	}{
		{"modules.alias", func(w []string) string { return w[len(w)-1] }},
		{"modules.softdep", func(w []string) string { return w[1] }},
		{"modules.builtin", nil},
		{"modules.builtin.modinfo", nil},
	} {
		data, err := fs.ReadFile(o.Modules, list.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if list.word != nil {
			if data, err = cutLines(data, chosen, list.word); err != nil {
				return nil, fmt.Errorf("%s: %w", list.name, err)
			}
		}
		files = append(files, File{path.Join(base, list.name), 0o644, data})
	}
	return files, nil
}

// archive writes a newc cpio (kernel documentation, "initramfs buffer format"):
// folders first, then files in byte order, inodes numbered from 1, owner root.
func archive(w io.Writer, files []File, modTime time.Time) error {
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	dirs := map[string]bool{}
	for _, d := range folders {
		dirs[d] = true
	}
	for i, f := range files {
		if !fs.ValidPath(f.Path) || f.Path == "." {
			return fmt.Errorf("path %q is not a clean path below the root", f.Path)
		}
		if i > 0 && files[i-1].Path == f.Path {
			return fmt.Errorf("%s would be there twice", f.Path)
		}
		for d := path.Dir(f.Path); d != "."; d = path.Dir(d) {
			dirs[d] = true
		}
	}
	for _, f := range files {
		if dirs[f.Path] {
			return fmt.Errorf("%s would be there twice, as a file and as a folder", f.Path)
		}
	}
	var names []string
	for d := range dirs {
		names = append(names, d)
	}
	slices.Sort(names)

	out := cpio.NewWriter(w)
	inode := int64(0)
	add := func(name string, mode cpio.FileMode, links int, data []byte) error {
		inode++
		h := &cpio.Header{Name: name, Mode: mode, Links: links, Inode: inode, ModTime: modTime, Size: int64(len(data))}
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if _, err := out.Write(data); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		return nil
	}
	for _, d := range names {
		if err := add(d, cpio.TypeDir|0o755, 2, nil); err != nil {
			return err
		}
	}
	for _, f := range files {
		kind := cpio.FileMode(cpio.TypeReg)
		if f.Perm&fs.ModeSymlink != 0 {
			kind = cpio.TypeSymlink
		}
		if err := add(f.Path, kind|cpio.FileMode(f.Perm.Perm()), 1, f.Data); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("ending the archive: %w", err)
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
