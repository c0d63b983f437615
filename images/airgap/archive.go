package airgap

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// epoch is the time of every file and of the image itself.
var epoch = time.Unix(0, 0).UTC()

// format is part of every key. It goes up when this package packs in another way.
const format = "stek-airgap 1"

// archiveKey names an archive after everything that decides its bytes.
func archiveKey(p plan, arch string, program []byte) string {
	h := sha256.New()
	sum := sha256.Sum256(program)
	// %q keeps the parts apart.
	fmt.Fprintf(h, "%q %q %x %q %q %q %q %q", format, arch, sum, p.name, p.target, p.links, p.dirs, p.command)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			// Another release of these may write other bytes for the same image.
			if d.Path == "github.com/klauspost/compress" || d.Path == "github.com/google/go-containerregistry" {
				fmt.Fprintf(h, " %q", d.Path+"@"+d.Version)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// writeArchive writes the image under its final name only when it is complete,
// together with a file that holds its digest.
func writeArchive(file string, p plan, arch string, program []byte) error {
	img, err := newImage(p, arch, program)
	if err != nil {
		return err
	}
	ref, err := name.NewTag(p.name, name.StrictValidation)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".packing-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	h := sha256.New()
	// One thread: how blocks are shared out among several is no promise of the
	// library. The window is that of the whole archive, so equal parts of two Go
	// programs' tables are found.
	z, err := zstd.NewWriter(io.MultiWriter(tmp, h), zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	if err := tarball.Write(ref, img, z); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if err := os.WriteFile(file+".sha256", []byte(sum+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// readDigest returns the digest of a finished archive after comparing it with the
// one that was noted when it was written.
func readDigest(file string) (string, error) {
	want, err := os.ReadFile(file + ".sha256")
	if err != nil {
		return "", err
	}
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	got := hex.EncodeToString(h.Sum(nil))
	if got != strings.TrimSpace(string(want)) {
		return "", fmt.Errorf("%s is not what was written", file)
	}
	return got, nil
}

// newImage puts one program into an image of one layer. The layer is not
// compressed: zstd over the whole archive does that better than gzip inside.
func newImage(p plan, arch string, program []byte) (v1.Image, error) {
	files, err := layer(p, program)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(files, types.DockerUncompressedLayer))
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Created = v1.Time{Time: epoch}
	config.Config.Entrypoint = p.command
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	config.Config.WorkingDir = "/"
	config.History = []v1.History{{Created: v1.Time{Time: epoch}, CreatedBy: "stek image build"}}
	return mutate.ConfigFile(img, config)
}

// layer is the tar of the one layer: folders first, then the program and its
// links, each group sorted.
func layer(p plan, program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	entry := func(h tar.Header, data []byte) error {
		h.Format, h.ModTime, h.Size = tar.FormatUSTAR, epoch, int64(len(data))
		h.Name = strings.TrimPrefix(h.Name, "/")
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	for _, d := range folders(p) {
		mode := int64(0o755)
		if d == "/tmp" {
			mode = 0o1777
		}
		if err := entry(tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: mode}, nil); err != nil {
			return nil, err
		}
	}
	if err := entry(tar.Header{Typeflag: tar.TypeReg, Name: p.target, Mode: 0o755}, program); err != nil {
		return nil, err
	}
	for _, l := range slices.Sorted(slices.Values(p.links)) {
		link := path.Join(path.Dir(p.target), l)
		if err := entry(tar.Header{Typeflag: tar.TypeSymlink, Name: link, Linkname: path.Base(p.target), Mode: 0o777}, nil); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// folders lists every folder the image needs, parents before children.
func folders(p plan) []string {
	need := map[string]bool{}
	for _, d := range append(slices.Clone(p.dirs), path.Dir(p.target)) {
		for ; d != "/"; d = path.Dir(d) {
			need[d] = true
		}
	}
	var all []string
	for d := range need {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}

// Inspect reads the names of the images that an archive holds, in full, as
// containerd knows them after the import: "rancher/x:1" is docker.io/rancher/x:1.
func Inspect(file string) ([]string, error) {
	open := func() (io.ReadCloser, error) {
		in, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			in.Close()
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{z, closer(func() error { z.Close(); return in.Close() })}, nil
	}
	manifest, err := tarball.LoadManifest(open)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var names []string
	for _, d := range manifest {
		for _, short := range d.RepoTags {
			full, err := fullName(short)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", file, err)
			}
			names = append(names, full)
		}
	}
	return names, nil
}

func fullName(short string) (string, error) {
	ref, err := name.NewTag(short)
	if err != nil {
		return "", err
	}
	registry := ref.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + ref.RepositoryStr() + ":" + ref.TagStr(), nil
}

type closer func() error

func (c closer) Close() error { return c() }
