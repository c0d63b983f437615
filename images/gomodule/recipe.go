package gomodule

import (
	"bufio"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"golang.org/x/tools/txtar"
)

// Recipe is one wrapper module and what is to be built from it.
type Recipe struct {
	Name      string
	Toolchain string    // the exact Go release, as "go1.26.8"
	CGO       bool      // link C code too, statically
	Tags      []string  // build tags
	Variables []string  // "import/path.Name=value", set by the linker
	Programs  []Program // in the order in which they are returned
	Files     []File    // go.mod, go.sum and Go files of the wrapper module
}

// Program is one program of a recipe.
type Program struct {
	Name    string // file name of the result
	Package string // import path, or "." for the wrapper module itself
}

// File is one file of the wrapper module.
type File struct {
	Name string
	Data []byte
}

var (
	toolchainForm = regexp.MustCompile(`^go1\.\d+(\.\d+)?$`)
	nameForm      = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
)

// ErrRecipe is wrapped by every error about a recipe that cannot be read.
var ErrRecipe = errors.New("the recipe is wrong")

// Parse reads a recipe from a txtar archive. Its comment holds one setting to a
// line; lines that start with # are for the reader:
//
//	toolchain go1.26.8
//	cgo
//	tags netgo osusergo
//	set example.org/m/version.Version=v1
//	program host-local example.org/m/host-local
//
// The files of the archive are those of the wrapper module.
func Parse(name string, text []byte) (Recipe, error) {
	r := Recipe{Name: name}
	if !nameForm.MatchString(name) {
		return r, fmt.Errorf("%w: %q cannot be a file name", ErrRecipe, name)
	}
	archive := txtar.Parse(text)
	lines := bufio.NewScanner(strings.NewReader(string(archive.Comment)))
	for n := 1; lines.Scan(); n++ {
		if err := r.setting(lines.Text()); err != nil {
			return r, fmt.Errorf("%w: %s line %d: %w", ErrRecipe, name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return r, fmt.Errorf("%w: %s: %w", ErrRecipe, name, err)
	}
	for _, f := range archive.Files {
		if path.Base(f.Name) != f.Name || f.Name == "." || f.Name == ".." || strings.ContainsAny(f.Name, `\:`) {
			return r, fmt.Errorf("%w: %s: file %q is not at the top of the module", ErrRecipe, name, f.Name)
		}
		r.Files = append(r.Files, File{Name: f.Name, Data: f.Data})
	}
	return r, r.check()
}

func (r *Recipe) setting(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	switch args := words[1:]; {
	case words[0] == "toolchain" && len(args) == 1 && toolchainForm.MatchString(args[0]):
		r.Toolchain = args[0]
	case words[0] == "cgo" && len(args) == 0:
		r.CGO = true
	case words[0] == "tags" && len(args) > 0:
		r.Tags = append(r.Tags, args...)
	case words[0] == "set" && len(args) == 1 && strings.Contains(args[0], "="):
		r.Variables = append(r.Variables, args[0])
	case words[0] == "program" && len(args) == 2 && nameForm.MatchString(args[0]):
		r.Programs = append(r.Programs, Program{Name: args[0], Package: args[1]})
	default:
		return fmt.Errorf("%q is no setting", line)
	}
	return nil
}

func (r *Recipe) check() error {
	has := map[string]bool{}
	for _, f := range r.Files {
		has[f.Name] = true
	}
	switch {
	case r.Toolchain == "":
		return fmt.Errorf("%w: %s names no toolchain", ErrRecipe, r.Name)
	case len(r.Programs) == 0:
		return fmt.Errorf("%w: %s names no program", ErrRecipe, r.Name)
	case !has["go.mod"]:
		return fmt.Errorf("%w: %s has no go.mod", ErrRecipe, r.Name)
	}
	return nil
}

// Module returns the version of a module that the recipe's go.mod requires or
// replaces, or an empty string. It is what the lock shows as the version.
func (r Recipe) Module(modulePath string) string {
	for _, f := range r.Files {
		if f.Name != "go.mod" {
			continue
		}
		for _, line := range strings.Split(string(f.Data), "\n") {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
			if len(words) >= 2 && words[0] == modulePath {
				return words[1]
			}
		}
	}
	return ""
}
