package airgap

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/gomodule"
)

//go:embed recipes
var recipes embed.FS

// Options say what to build the images from.
type Options struct {
	Arch   string // amd64 or arm64
	Cache  string // folder for builds and finished archives
	Go     string // the go command; "go" when empty
	Report component.Report

	// Busybox is the static busybox of the helper image: where it is on the
	// building machine, and what it is. See DebianBusybox.
	Busybox Program

	// Without leaves images out, by name; the probe has no place in a production
	// image.
	Without []string
}

// Program is one program that was come by elsewhere.
type Program struct {
	Path      string
	Component component.Component
}

// Image is one finished archive.
type Image struct {
	Name      string // as a manifest asks for it, with docker.io/ and tag
	File      component.File
	Component component.Component // its digest is that of the archive
	Reused    bool                // an earlier run had made it
}

// dir is where the archives are in the root. The prefix of their file names tells
// them from archives that a site added to the same agent folder.
const (
	dir    = "/usr/share/stek/images"
	prefix = "stek-"
)

// Build makes the archives, or returns those of an earlier run.
func Build(ctx context.Context, o Options) ([]Image, error) {
	if o.Arch != "amd64" && o.Arch != "arm64" {
		return nil, fmt.Errorf("images for %q cannot be made; use amd64 or arm64", o.Arch)
	}
	var done []Image
	for _, p := range plans {
		if contains(o.Without, p.name) {
			continue
		}
		program, err := p.program(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("making the image %s: %w", p.name, err)
		}
		made, err := o.archive(p, program)
		if err != nil {
			return nil, fmt.Errorf("making the image %s: %w", p.name, err)
		}
		done = append(done, made)
	}
	return done, nil
}

// plan is what one image is made of. Every image holds one program.
type plan struct {
	name    string // reference
	short   string // file name of the archive and name of the recipe
	target  string // where the program is in the image
	module  string // whose version the component shows; empty for own sources
	links   []string
	dirs    []string
	command []string // entry point
}

var plans = []plan{
	{name: PauseName, short: "pause", target: "/pause", command: []string{"/pause"}},
	{name: CoreDNSName, short: "coredns", target: "/coredns", module: "github.com/coredns/coredns", command: []string{"/coredns"}},
	{name: ProvisionerName, short: "local-path-provisioner", target: "/usr/bin/local-path-provisioner",
		module: "github.com/rancher/local-path-provisioner", dirs: []string{"/tmp"}, command: []string{"local-path-provisioner"}},
	{name: HelperName, short: "busybox", target: "/bin/busybox", links: applets, dirs: []string{"/tmp"}, command: []string{"sh"}},
	{name: ProbeName, short: "probe", target: "/probe", dirs: []string{"/tmp"}, command: []string{"/probe"}},
}

// ErrNoBusybox tells that Options.Busybox is missing.
var ErrNoBusybox = errors.New("no static busybox for the helper image was named; DebianBusybox gets one")

// program builds or finds the program of one image.
func (p plan) program(ctx context.Context, o Options) (Program, error) {
	if p.name == HelperName {
		if o.Busybox.Path == "" {
			return Program{}, ErrNoBusybox
		}
		return o.Busybox, nil
	}
	text, err := recipes.ReadFile(path.Join("recipes", p.short+".txtar"))
	if err != nil {
		return Program{}, err
	}
	recipe, err := gomodule.Parse(p.short, text)
	if err != nil {
		return Program{}, err
	}
	b := gomodule.Builder{Cache: o.Cache, Arch: o.Arch, Go: o.Go, Report: o.Report}
	built, err := b.Build(ctx, recipe)
	if err != nil {
		return Program{}, err
	}
	// The probe writes what it is told to, for whoever asks: no place for it in production.
	c := component.Component{Source: component.Own, Version: tag(p.name), Production: p.name != ProbeName}
	if p.module != "" {
		c.Version, c.Source = recipe.Module(p.module), component.Module
		c.Origin = p.module + "@" + c.Version
	}
	return Program{Path: built[0].Path, Component: c}, nil
}

func tag(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// archive writes one image, unless the program and the recipe of the archive are
// those of an earlier run.
func (o Options) archive(p plan, program Program) (Image, error) {
	data, err := os.ReadFile(program.Path)
	if err != nil {
		return Image{}, err
	}
	key := archiveKey(p, o.Arch, data)
	file := filepath.Join(o.Cache, "airgap", prefix+p.short+"-"+key[:20]+".tar.zst")
	done := Image{Name: p.name, Component: program.Component,
		File: component.File{Path: path.Join(dir, prefix+p.short+".tar.zst"), Mode: 0o644, Host: file}}
	done.Component.Name = "image-" + p.short
	if done.Component.SHA256, err = readDigest(file); err == nil {
		done.Reused = true
		return done, nil
	}
	o.Report.Send(component.Progress{Task: "packing the image " + p.short, Unit: "bytes", Total: int64(len(data))})
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return Image{}, err
	}
	if err := writeArchive(file, p, o.Arch, data); err != nil {
		return Image{}, err
	}
	done.Component.SHA256, err = readDigest(file)
	o.Report.Send(component.Progress{Task: "packing the image " + p.short, Unit: "bytes", Done: int64(len(data)), Total: int64(len(data))})
	return done, err
}
