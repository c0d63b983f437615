package gomodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/stek-edge/stek/images/component"
)

// Builder builds recipes for one architecture and keeps the results.
type Builder struct {
	Cache  string // folder that holds results; made when missing
	Arch   string // GOARCH: amd64 or arm64
	Go     string // the go command; "go" when empty
	Report component.Report
}

// Built is one program that is ready to be used.
type Built struct {
	Name   string `json:"name"`
	Path   string `json:"-"` // on the building machine
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes
	Reused bool   `json:"-"`    // an earlier run had built it
}

// ToolError tells that something the build needs is missing on this machine.
type ToolError struct {
	Tool   string
	Remedy string
	Err    error
}

func (e *ToolError) Error() string {
	return fmt.Sprintf("%s cannot be used: %v; %s", e.Tool, e.Err, e.Remedy)
}

func (e *ToolError) Unwrap() error { return e.Err }

// resultFile lists the programs of a finished build with their digests.
const resultFile = "built.json"

// cCompiler is the C compiler for CGO recipes.
const cCompiler = "gcc"

// Build returns the recipe's programs, building them only if no earlier run has.
// A program kept from an earlier run is compared with its digest before it is
// used; one that does not fit is thrown away and built again.
func (b *Builder) Build(ctx context.Context, r Recipe) ([]Built, error) {
	if r.CGO && (runtime.GOOS != "linux" || runtime.GOARCH != b.Arch) {
		return nil, &ToolError{Tool: "cgo", Err: fmt.Errorf("%s for linux/%s cannot be built on %s/%s", r.Name, b.Arch, runtime.GOOS, runtime.GOARCH),
			Remedy: "build it on a Linux machine of that architecture"}
	}
	key, err := b.key(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("naming the build of %s: %w", r.Name, err)
	}
	dir := filepath.Join(b.Cache, "go", r.Name+"-"+key[:20])
	if built, err := load(dir, r); err == nil {
		return built, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("removing a broken build of %s: %w", r.Name, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".building-"+r.Name+"-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := b.build(ctx, r, work); err != nil {
		return nil, fmt.Errorf("building %s: %w", r.Name, err)
	}
	// Another run may have been quicker; its result has the same bytes.
	if err := os.Rename(work, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	built, err := load(dir, r)
	for i := range built {
		built[i].Reused = false
	}
	return built, err
}

// build makes the programs in dir/bin and writes the list of them last.
func (b *Builder) build(ctx context.Context, r Recipe, dir string) error {
	module, bin := filepath.Join(dir, "module"), filepath.Join(dir, "bin")
	for _, d := range []string{module, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for _, f := range r.Files {
		if err := os.WriteFile(filepath.Join(module, f.Name), f.Data, 0o644); err != nil {
			return err
		}
	}
	count := &counter{report: b.Report, task: "building " + r.Name, start: time.Now()}
	stop := count.tick()
	defer stop()
	env := append(os.Environ(), settings(r, b.Arch)...)
	total, err := b.packages(ctx, r, module, env)
	if err != nil {
		return err
	}
	count.total(total)
	var built []Built
	for _, p := range r.Programs {
		out := filepath.Join(bin, p.Name)
		args := []string{"build", "-v", "-tags", strings.Join(r.Tags, ","), "-ldflags", linkerFlags(r), "-o", out, p.Package}
		if err := b.compile(ctx, module, env, count, args); err != nil {
			return err
		}
		// The umask of the person who builds is no input.
		if err := os.Chmod(out, 0o755); err != nil {
			return err
		}
		one := Built{Name: p.Name}
		if one.SHA256, one.Size, err = digestAndSize(out); err != nil {
			return err
		}
		built = append(built, one)
	}
	list, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, resultFile), append(list, '\n'), 0o644)
}

// load reads a finished build and proves that its programs are what was built.
func load(dir string, r Recipe) ([]Built, error) {
	text, err := os.ReadFile(filepath.Join(dir, resultFile))
	if err != nil {
		return nil, err
	}
	var built []Built
	if err := json.Unmarshal(text, &built); err != nil {
		return nil, err
	}
	if len(built) != len(r.Programs) {
		return nil, fmt.Errorf("%s holds %d programs, not %d", dir, len(built), len(r.Programs))
	}
	for i := range built {
		built[i].Path = filepath.Join(dir, "bin", r.Programs[i].Name)
		built[i].Reused = true
		sum, _, err := digestAndSize(built[i].Path)
		if err != nil {
			return nil, err
		}
		if built[i].Name != r.Programs[i].Name || sum != built[i].SHA256 {
			return nil, fmt.Errorf("%s is not what was built", built[i].Path)
		}
	}
	return built, nil
}

// settings are the environment variables that decide the bytes of a program.
// They replace whatever the person who builds has set.
func settings(r Recipe, arch string) []string {
	cgo := "0"
	if r.CGO {
		cgo = "1"
	}
	return []string{
		"GOTOOLCHAIN=" + r.Toolchain,
		"GOFLAGS=-mod=readonly -trimpath -buildvcs=false",
		"GOOS=linux", "GOARCH=" + arch, "GOAMD64=v1", "GOARM64=v8.0",
		"GOWORK=off", "GOEXPERIMENT=", "GODEBUG=", "GO111MODULE=on", "GOFIPS140=off",
		"CGO_ENABLED=" + cgo, "CC=" + cCompiler, "CXX=g++",
		"CGO_CFLAGS=-O2 -g", "CGO_CPPFLAGS=", "CGO_CXXFLAGS=-O2 -g", "CGO_FFLAGS=-O2 -g", "CGO_LDFLAGS=-O2 -g",
		"LC_ALL=C", "TZ=UTC", "SOURCE_DATE_EPOCH=0",
	}
}

// linkerFlags drops symbols, debug data and the build ID, which holds a digest
// of settings that do not change the code.
func linkerFlags(r Recipe) string {
	flags := []string{"-s", "-w", "-buildid="}
	for _, v := range r.Variables {
		flags = append(flags, "-X", v)
	}
	if r.CGO {
		// A dynamic program would need the very C library it was built with, and
		// the root comes from another Debian release than the building machine.
		// The linker's own build ID is a digest over temporary file names.
		flags = append(flags, "-linkmode=external", `"-extldflags=-static -Wl,--build-id=none"`)
	}
	return strings.Join(flags, " ")
}
