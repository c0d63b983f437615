package testimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// AddGo builds the Go package pkg (a main package, named relative to the working
// directory or by its import path) for the guest, with CGO off, and adds the program.
func (t *Tree) AddGo(ctx context.Context, name, pkg string) error {
	return t.addBuilt(name, func(out string) error {
		return goTool(ctx, "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	})
}

// AddGoTest compiles the tests of a Go package for the guest, with CGO off, and adds the
// test program.
func (t *Tree) AddGoTest(ctx context.Context, name, pkg string) error {
	return t.addBuilt(name, func(out string) error {
		return goTool(ctx, "test", "-c", "-trimpath", "-o", out, pkg)
	})
}

func (t *Tree) addBuilt(name string, build func(out string) error) error {
	dir, err := os.MkdirTemp("", "stek-guest-build-")
	if err != nil {
		return fmt.Errorf("building a program for the guest: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "program")
	if err := build(out); err != nil {
		return err
	}
	program, err := os.ReadFile(out)
	if err != nil {
		return fmt.Errorf("building a program for the guest: nothing was built (is it a main package, or one with tests?): %w", err)
	}
	t.AddBytes(name, 0o755, program)
	return nil
}

// goTool runs the go command for linux/amd64, which is what the guests are.
func goTool(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// AddProgram adds a program of the host, found on PATH, with the shared libraries that
// it is linked with, all at the host's paths; and a link in /usr/bin so that the guest's
// PATH finds it. What a program opens by itself (plug-ins, configuration) is not added.
func (t *Tree) AddProgram(ctx context.Context, name string) error {
	found, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("adding the program %s to the initramfs: %w", name, err)
	}
	real, err := filepath.EvalSymlinks(found)
	if err != nil {
		return fmt.Errorf("adding the program %s to the initramfs: %w", name, err)
	}
	if err := t.AddFile(real, real); err != nil {
		return err
	}
	if link := "/usr/bin/" + filepath.Base(name); !t.Has(link) {
		t.AddLink(link, real)
	}
	libraries, err := sharedLibraries(ctx, real)
	if err != nil {
		return err
	}
	for _, library := range libraries {
		if err := t.AddFile(library, library); err != nil {
			return err
		}
	}
	return nil
}

// sharedLibraries asks the dynamic loader, through ldd, what a program is linked with.
// A program without any is no error.
func sharedLibraries(ctx context.Context, program string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", program).CombinedOutput()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && strings.Contains(string(out), "not a dynamic executable") {
			return nil, nil
		}
		return nil, fmt.Errorf("listing the libraries of %s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return parseLdd(string(out))
}

// parseLdd takes the absolute paths out of what ldd prints: "name => /path (address)" or
// "/path (address)".
func parseLdd(out string) ([]string, error) {
	var paths []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("a shared library is missing on this machine: %s", strings.TrimSpace(line))
		}
		for word := range strings.FieldsSeq(line) {
			if filepath.IsAbs(word) {
				paths = append(paths, word)
			}
		}
	}
	return paths, nil
}
