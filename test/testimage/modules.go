package testimage

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/images/kmod"
	"github.com/stek-edge/stek/test/guest/inside"
)

// Module is one kernel module with what it says about itself.
type Module struct {
	Name    string   // with underscores
	File    string   // on the host, possibly compressed
	Depends []string // modules that must be there first, hard and soft
	Object  []byte   // the uncompressed ELF object
}

// ErrNoModule says that a kernel has no such module, neither loadable nor built in.
var ErrNoModule = errors.New("no such kernel module")

// AddModules adds modules and everything that they depend on, uncompressed, and appends
// to the list inside.ModuleOrder. Names that are built into the kernel are accepted: whether
// virtio_pci is built in differs from one Debian release to the next.
func (t *Tree) AddModules(kernel Kernel, names ...string) error {
	modules, err := kernel.Load(names...)
	if err != nil {
		return err
	}
	order := t.entries[inside.ModuleOrder].data
	for _, m := range modules {
		at := "/lib/modules/" + m.Name + ".ko"
		if t.Has(at) {
			continue
		}
		t.AddBytes(at, 0o644, m.Object)
		order = append(order, at+"\n"...)
	}
	t.AddBytes(inside.ModuleOrder, 0o644, order)
	return nil
}

// Load reads the named modules and their dependencies, each after what it needs. The
// dependencies come from the modules themselves (section .modinfo), since a kernel
// package that was only unpacked has no modules.dep.
func (k Kernel) Load(names ...string) ([]Module, error) {
	files, err := moduleFiles(k.Modules)
	if err != nil {
		return nil, err
	}
	builtin, err := builtinModules(k.Modules)
	if err != nil {
		return nil, err
	}
	var ordered []Module
	seen := map[string]bool{}
	var visit func(name string, soft bool) error
	visit = func(name string, soft bool) error {
		name = kmod.Underscored(name)
		if seen[name] {
			return nil
		}
		seen[name] = true
		file, loadable := files[name]
		if !loadable {
			if builtin[name] || soft {
				return nil
			}
			return fmt.Errorf("%w: %s in %s", ErrNoModule, name, k.Modules)
		}
		object, err := kmod.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file))
		if err != nil {
			return err
		}
		info, err := parseModinfo(object)
		if err != nil {
			return fmt.Errorf("reading what %s depends on: %w", file, err)
		}
		for _, dep := range info.depends {
			if err := visit(dep, false); err != nil {
				return err
			}
		}
		for _, dep := range info.soft {
			if err := visit(dep, true); err != nil {
				return err
			}
		}
		ordered = append(ordered, Module{Name: name, File: file, Depends: append(info.depends, info.soft...), Object: object})
		return nil
	}
	for _, name := range names {
		if err := visit(name, false); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// moduleFiles maps each module's name to its file.
func moduleFiles(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "kernel"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name, _, ok := strings.Cut(d.Name(), ".ko"); ok && !d.IsDir() {
			files[kmod.Underscored(name)] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing kernel modules: %w", err)
	}
	return files, nil
}

// builtinModules reads modules.builtin, which is part of the kernel package.
func builtinModules(dir string) (map[string]bool, error) {
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("listing what is built into the kernel: %w", err)
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		name := strings.TrimSuffix(filepath.Base(strings.TrimSpace(line)), ".ko")
		names[kmod.Underscored(name)] = true
	}
	return names, nil
}

// modinfo is what a module's section .modinfo says about other modules.
type modinfo struct {
	depends []string // tag depends
	soft    []string // tag softdep, the part before "post:"
}

// parseModinfo reads the section .modinfo: NUL-separated tag=value strings
// (include/linux/moduleparam.h and module.h of the kernel).
func parseModinfo(object []byte) (modinfo, error) {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return modinfo{}, fmt.Errorf("not a kernel module: %w", err)
	}
	section := file.Section(".modinfo")
	if section == nil {
		return modinfo{}, errors.New("not a kernel module: it has no section .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return modinfo{}, fmt.Errorf("reading section .modinfo: %w", err)
	}
	return parseTags(data), nil
}

func parseTags(data []byte) modinfo {
	var info modinfo
	for tag := range strings.SplitSeq(string(data), "\x00") {
		name, value, _ := strings.Cut(tag, "=")
		switch name {
		case "depends":
			for dep := range strings.SplitSeq(value, ",") {
				if dep != "" {
					info.depends = append(info.depends, dep)
				}
			}
		case "softdep":
			for word := range strings.FieldsSeq(value) {
				if word == "post:" {
					break
				}
				if word != "pre:" {
					info.soft = append(info.soft, word)
				}
			}
		}
	}
	return info
}
