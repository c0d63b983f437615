package k3s

import (
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/images/k3s/download"
)

// ReleaseURL is where k3s publishes its releases. Below it stand folders named
// by version, each with k3s, k3s-arm64, k3s-airgap-images-<arch>.tar.zst and
// sha256sum-<arch>.txt. A mirror with the same layout may stand in for it.
const ReleaseURL = "https://github.com/k3s-io/k3s/releases/download"

// Pin names one release for one architecture. Digests are lower-case hex. There
// is no default: whoever builds an image for production chooses a release that
// still gets fixes, and names the digests from a source they trust.
type Pin struct {
	Version string `json:"version"` // as "v1.34.1+k3s1"
	Binary  string `json:"binary"`  // SHA-256 of k3s or k3s-arm64
	Images  string `json:"images"`  // SHA-256 of k3s-airgap-images-<arch>.tar.zst
}

// PinError tells what is missing from a Pin and how to find it.
type PinError struct {
	Field  string // version, binary or images
	Value  string
	Remedy string
}

func (e *PinError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("the k3s release to be used is not fully named: %s is missing; %s", e.Field, e.Remedy)
	}
	return fmt.Sprintf("the k3s release to be used is not rightly named: %s is %q; %s", e.Field, e.Value, e.Remedy)
}

const remedyVersion = "give a release that is still supported, as v1.34.1+k3s1; https://github.com/k3s-io/k3s/releases lists them"

var releaseForm = regexp.MustCompile(`^v1\.\d+\.\d+(-rc\d+)?\+k3s\d+$`)

// release lists the files of one release and where they go.
type release struct {
	binary, images, sums string // file names
	base                 string // address of the version's folder, ends in /
}

func layout(base, version, arch string) (release, error) {
	if base == "" {
		base = ReleaseURL
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return release{}, fmt.Errorf("%q is no address of k3s releases; it looks like %s", base, ReleaseURL)
	}
	r := release{binary: "k3s", images: "k3s-airgap-images-" + arch + ".tar.zst", sums: "sha256sum-" + arch + ".txt"}
	if arch != "amd64" {
		r.binary += "-" + arch
	}
	// The plus sign of the version must be escaped: some servers read it as a space.
	r.base = strings.TrimSuffix(u.String(), "/") + "/" + strings.ReplaceAll(url.PathEscape(version), "+", "%2B") + "/"
	return r, nil
}

// Check tells whether the pin is complete, before anything is downloaded.
func (p Pin) Check(arch string) error {
	if !releaseForm.MatchString(p.Version) {
		return &PinError{Field: "version", Value: p.Version, Remedy: remedyVersion}
	}
	r, err := layout("", p.Version, arch)
	if err != nil {
		return err
	}
	for _, d := range []struct{ field, value, file string }{
		{"binary", p.Binary, r.binary}, {"images", p.Images, r.images},
	} {
		if raw, err := hex.DecodeString(d.value); err != nil || len(raw) != 32 || strings.ToLower(d.value) != d.value {
			return &PinError{Field: d.field, Value: d.value,
				Remedy: fmt.Sprintf("give the SHA-256 of %s: its line in %s%s, compared with what a second machine or person gets", d.file, r.base, r.sums)}
		}
	}
	return nil
}

// addRelease downloads the official binary and images, or uses those that an
// earlier run has. What was downloaded is checked against the pin each time.
func addRelease(ctx context.Context, o Options) (Added, error) {
	if err := o.Pin.Check(o.Arch); err != nil {
		return Added{}, err
	}
	r, err := layout(o.URL, o.Pin.Version, o.Arch)
	if err != nil {
		return Added{}, err
	}
	client := o.Client
	if client == nil {
		client = http.DefaultClient
	}
	got := Added{ImagesIncluded: true}
	for _, f := range []struct {
		name, file, sum, target string
		mode                    fs.FileMode
	}{
		{"k3s", r.binary, o.Pin.Binary, BinaryPath, 0o755},
		{"k3s-airgap-images", r.images, o.Pin.Images, path.Join(ImagesDir, r.images), 0o644},
	} {
		host := filepath.Join(o.Cache, "k3s-release", o.Pin.Version, o.Arch, f.file)
		fetch := download.Fetch{URL: r.base + f.file, SHA256: f.sum, Path: host, Client: client, Report: o.Report}
		if err := fetch.Do(ctx); err != nil {
			return Added{}, fmt.Errorf("getting k3s %s: %w", o.Pin.Version, err)
		}
		got.Files = append(got.Files, component.File{Path: f.target, Mode: f.mode, Host: host})
		got.Components = append(got.Components, component.Component{
			Name: f.name, Version: o.Pin.Version, SHA256: f.sum, Source: component.Release, Production: true,
			// Not the address: a mirror gives the same file, and its name is nobody else's business.
			Origin: "k3s release " + o.Pin.Version + ", " + f.file,
		})
		if f.file == r.images {
			if got.Images, err = imageNames(host); err != nil {
				return Added{}, err
			}
		}
	}
	return got, nil
}
