package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stek-edge/stek/images/airgap"
	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/k3s"
)

// Version is the version of every release that is made here.
const Version = k3s.ModuleVersion

// Files of a release for amd64.
const (
	Binary = "k3s"
	Images = "k3s-airgap-images-amd64.tar.zst"
	Sums   = "sha256sum-amd64.txt"
)

// Options say where a release is made.
type Options struct {
	Cache  string // of the image builder, for the parts
	Dir    string // empty, for the release
	Report component.Report
}

// Release is a finished release.
type Release struct {
	Dir    string
	SHA256 map[string]string // of Binary and Images, hex

	cuts
}

// Make makes a release in o.Dir.
func Make(ctx context.Context, o Options) (*Release, error) {
	parts, err := k3s.Add(ctx, k3s.Options{Source: component.Module, Arch: "amd64", Cache: o.Cache, Report: o.Report})
	if err != nil {
		return nil, fmt.Errorf("building the parts of a release: %w", err)
	}
	busybox, err := airgap.DebianBusybox(ctx, o.Cache, "amd64", "", airgap.ExecRunner)
	if err != nil {
		return nil, err
	}
	images, err := airgap.Build(ctx, airgap.Options{Arch: "amd64", Cache: o.Cache, Report: o.Report, Busybox: busybox, Without: []string{airgap.ProbeName}})
	if err != nil {
		return nil, fmt.Errorf("building the container images of a release: %w", err)
	}
	if err := makeBinary(ctx, filepath.Join(o.Dir, Binary), parts.Files); err != nil {
		return nil, fmt.Errorf("making the program of a release: %w", err)
	}
	if err := joinImages(filepath.Join(o.Dir, Images), images); err != nil {
		return nil, fmt.Errorf("making the archive of a release: %w", err)
	}
	r := &Release{Dir: o.Dir, SHA256: map[string]string{}}
	var list bytes.Buffer
	for _, name := range []string{Binary, Images} {
		data, err := os.ReadFile(filepath.Join(o.Dir, name))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(data)
		r.SHA256[name] = hex.EncodeToString(sum[:])
		fmt.Fprintf(&list, "%s  %s\n", r.SHA256[name], name)
	}
	return r, os.WriteFile(filepath.Join(o.Dir, Sums), list.Bytes(), 0o644)
}
