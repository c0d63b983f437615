package gomodule

import (
	"errors"
	"strings"
	"testing"
)

const good = `# a comment
toolchain go1.26.8
tags netgo osusergo
set example.org/m.Version=v1
program one .
program two example.org/m/two
-- go.mod --
module stek.invalid/x

require example.org/m v1.2.3 // indirect
-- main.go --
package main
`

func TestParse(t *testing.T) {
	r, err := Parse("x", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if r.Toolchain != "go1.26.8" || r.CGO || len(r.Tags) != 2 || len(r.Programs) != 2 || len(r.Files) != 2 {
		t.Errorf("got %+v", r)
	}
	if v := r.Module("example.org/m"); v != "v1.2.3" {
		t.Errorf("Module() = %q", v)
	}
	if v := r.Module("example.org/other"); v != "" {
		t.Errorf("Module() of another = %q", v)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, recipe, old, new string }{
		{"name is a path", "../x", "", ""},
		{"no toolchain", "x", "toolchain go1.26.8\n", ""},
		{"floating toolchain", "x", "go1.26.8", "auto"},
		{"no program", "x", "program", "# program"},
		{"program is a path", "x", "program one", "program ../one"},
		{"unknown setting", "x", "tags", "tag"},
		{"no go.mod", "x", "-- go.mod --", "-- other --"},
		{"file outside", "x", "-- main.go --", "-- ../main.go --"},
		{"file below", "x", "-- main.go --", "-- a/main.go --"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse(c.recipe, []byte(strings.ReplaceAll(good, c.old, c.new))); !errors.Is(err, ErrRecipe) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("toolchain\n-- go.mod --\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse("x", text)
		if err != nil {
			return
		}
		for _, file := range r.Files {
			if strings.ContainsAny(file.Name, `/\`) || file.Name == ".." {
				t.Errorf("a file outside the module: %q", file.Name)
			}
		}
		if r.Toolchain == "" || len(r.Programs) == 0 {
			t.Error("accepted, but cannot be built")
		}
	})
}
