package gomodule

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stek-edge/stek/images/component"
)

// tiny is a recipe that needs no network: its toolchain is the one that runs the
// test, and it imports nothing.
func tiny(t *testing.T, body string) Recipe {
	t.Helper()
	out, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	toolchain, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	r, err := Parse("tiny", []byte("toolchain "+toolchain+"\nset main.version=v7\nprogram tiny .\n"+
		"-- go.mod --\nmodule stek.invalid/tiny\n\ngo 1.26.0\n-- main.go --\npackage main\n\nvar version string\n\nfunc main() { "+body+" }\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const printVersion = "println(version)"

func build(t *testing.T, b *Builder, r Recipe) Built {
	t.Helper()
	built, err := b.Build(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(built) != 1 {
		t.Fatalf("got %d programs", len(built))
	}
	return built[0]
}

func TestBuild(t *testing.T) {
	var mu sync.Mutex
	var reports []component.Progress
	b := &Builder{Cache: t.TempDir(), Arch: runtime.GOARCH, Report: func(p component.Progress) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, p)
	}}
	r := tiny(t, printVersion)
	first := build(t, b, r)
	if first.Reused || first.Size == 0 || len(first.SHA256) != 64 {
		t.Errorf("got %+v", first)
	}
	if runtime.GOOS == "linux" {
		if out, err := exec.Command(first.Path).CombinedOutput(); err != nil || string(out) != "v7\n" {
			t.Errorf("it printed %q, %v", out, err)
		}
	}
	if len(reports) == 0 || reports[0].Task != "building tiny" || reports[len(reports)-1].Total == 0 {
		t.Errorf("progress was %+v", reports)
	}
	if again := build(t, b, r); !again.Reused || again.SHA256 != first.SHA256 || again.Path != first.Path {
		t.Errorf("built twice: %+v", again)
	}
	if other := build(t, b, tiny(t, "println(version, version)")); other.Reused || other.SHA256 == first.SHA256 {
		t.Errorf("another source gave the same result: %+v", other)
	}
	left, _ := filepath.Glob(filepath.Join(b.Cache, "go", ".building*"))
	if len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestDamagedResult: a program that was changed in the cache is built again.
func TestDamagedResult(t *testing.T) {
	b := &Builder{Cache: t.TempDir(), Arch: runtime.GOARCH}
	r := tiny(t, printVersion)
	first := build(t, b, r)
	for _, c := range []struct {
		name   string
		damage func() error
	}{
		{"changed", func() error { return os.WriteFile(first.Path, []byte("x"), 0o755) }},
		{"removed", func() error { return os.Remove(first.Path) }},
		{"list cut", func() error { return os.Truncate(filepath.Join(filepath.Dir(first.Path), "..", resultFile), 3) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.damage(); err != nil {
				t.Fatal(err)
			}
			if again := build(t, b, r); again.Reused || again.SHA256 != first.SHA256 {
				t.Errorf("got %+v", again)
			}
		})
	}
}

// TestSameBytes: neither the folder nor what the person has set shows.
func TestSameBytes(t *testing.T) {
	r := tiny(t, printVersion)
	one := build(t, &Builder{Cache: t.TempDir(), Arch: "arm64"}, r)
	t.Setenv("TZ", "Pacific/Auckland")
	t.Setenv("GOFLAGS", "-ldflags=-X=main.version=mine")
	t.Setenv("GOARM64", "v8.2")
	two := build(t, &Builder{Cache: filepath.Join(t.TempDir(), "another", "place"), Arch: "arm64"}, r)
	if one.SHA256 != two.SHA256 {
		t.Error("the bytes differ")
	}
}

func TestBuildErrors(t *testing.T) {
	t.Run("does not compile", func(t *testing.T) {
		b := &Builder{Cache: t.TempDir(), Arch: "amd64"}
		_, err := b.Build(t.Context(), tiny(t, "nonsense()"))
		if err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
			t.Errorf("got %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(b.Cache, "go", "*")); len(left) != 0 {
			t.Errorf("left over: %v", left)
		}
	})
	t.Run("no go command", func(t *testing.T) {
		_, err := (&Builder{Cache: t.TempDir(), Arch: "amd64", Go: "no-such-go"}).Build(t.Context(), tiny(t, printVersion))
		var tool *ToolError
		if !errors.As(err, &tool) || tool.Remedy == "" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cgo for another architecture", func(t *testing.T) {
		r := tiny(t, printVersion)
		r.CGO = true
		_, err := (&Builder{Cache: t.TempDir(), Arch: "riscv64"}).Build(t.Context(), r)
		var tool *ToolError
		if !errors.As(err, &tool) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("source without a digest", func(t *testing.T) {
		r := tiny(t, printVersion)
		r.Files[0].Data = append(r.Files[0].Data, "\nrequire golang.org/x/text v0.3.0\n"...)
		r.Files[1].Data = []byte("package main\n\nimport _ \"golang.org/x/text/width\"\n\nfunc main() {}\n")
		_, err := (&Builder{Cache: t.TempDir(), Arch: "amd64"}).Build(t.Context(), r)
		if err == nil || !strings.Contains(err.Error(), "go.sum") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("stopped by hand")
		cancel(why)
		if _, err := (&Builder{Cache: t.TempDir(), Arch: "amd64"}).Build(ctx, tiny(t, printVersion)); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
	})
}

func TestIsPackage(t *testing.T) {
	for line, want := range map[string]bool{
		"k8s.io/api/core/v1": true, "stek.invalid/tiny": true, "internal/cpu": true,
		"# example.org/m": false, "./main.go:3:1: undefined: x": false, "": false,
		"go: downloading example.org/m v1": false, "/usr/bin/ld: warning: dlopen": false,
	} {
		if got := isPackage(line); got != want {
			t.Errorf("isPackage(%q) = %v", line, got)
		}
	}
}
