package airgap

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/zstd"
)

func TestNames(t *testing.T) {
	if len(plans) != len(Names()) {
		t.Fatalf("%d plans for %d names", len(plans), len(Names()))
	}
	for i, n := range Names() {
		if plans[i].name != n {
			t.Errorf("plan %d makes %s, not %s", i, plans[i].name, n)
		}
		// containerd normalises what a manifest names; only full names stay as they are.
		if ref, err := name.NewTag(n, name.StrictValidation); err != nil || !strings.HasPrefix(n, "docker.io/") || ref.TagStr() != tag(n) {
			t.Errorf("%s is no full name: %v", n, err)
		}
	}
}

// TestArchive: each archive holds one image as containerd wants it, and is the same
// to the byte wherever it is made.
func TestArchive(t *testing.T) {
	program := bytes.Repeat([]byte("program"), 10000)
	for _, p := range plans {
		t.Run(p.short, func(t *testing.T) {
			one := filepath.Join(t.TempDir(), "one.tar.zst")
			two := filepath.Join(t.TempDir(), "another", "two.tar.zst")
			if err := os.Mkdir(filepath.Dir(two), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{one, two} {
				if err := writeArchive(file, p, "amd64", program); err != nil {
					t.Fatal(err)
				}
				t.Setenv("TZ", "Pacific/Auckland")
			}
			a, _ := os.ReadFile(one)
			b, _ := os.ReadFile(two)
			if len(a) == 0 || !bytes.Equal(a, b) {
				t.Error("the same image has other bytes elsewhere")
			}
			names, err := Inspect(one)
			if err != nil || !slices.Equal(names, []string{p.name}) {
				t.Errorf("Inspect: %q, %v", names, err)
			}
			img := load(t, a, p.name)
			if err := validate.Image(img); err != nil {
				t.Error(err)
			}
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.OS != "linux" || config.Architecture != "amd64" || !slices.Equal(config.Config.Entrypoint, p.command) || !config.Created.Equal(epoch) {
				t.Errorf("config %+v", config)
			}
			checkLayer(t, p, img, program)
		})
	}
}

func load(t *testing.T, archive []byte, ref string) v1.Image {
	t.Helper()
	want, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.Image(func() (io.ReadCloser, error) {
		z, err := zstd.NewReader(bytes.NewReader(archive))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}, &want)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// checkLayer: the program is where the plan says, every link leads to it, every
// folder comes before what is in it.
func checkLayer(t *testing.T, p plan, img v1.Image, program []byte) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	seen := map[string]bool{"/": true}
	links := 0
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at := "/" + strings.TrimSuffix(h.Name, "/")
		if !seen[filepath.Dir(at)] {
			t.Errorf("%s comes before its folder", at)
		}
		seen[at] = true
		if !h.ModTime.Equal(epoch) || h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s has time %v and owner %d:%d %q", at, h.ModTime, h.Uid, h.Gid, h.Uname)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			data, err := io.ReadAll(r)
			if err != nil || at != p.target || h.Mode != 0o755 || !bytes.Equal(data, program) {
				t.Errorf("%s is not the program: %v", at, err)
			}
		case tar.TypeSymlink:
			links++
			if filepath.Join(filepath.Dir(at), h.Linkname) != p.target {
				t.Errorf("%s leads to %s", at, h.Linkname)
			}
		}
	}
	if !seen[p.target] || links != len(p.links) {
		t.Errorf("program there: %v, %d links of %d", seen[p.target], links, len(p.links))
	}
}

func TestFullName(t *testing.T) {
	for short, want := range map[string]string{
		"rancher/mirrored-pause:3.6":           "docker.io/rancher/mirrored-pause:3.6",
		"docker.io/rancher/mirrored-pause:3.6": "docker.io/rancher/mirrored-pause:3.6",
		"busybox":                              "docker.io/library/busybox:latest",
		"registry.k8s.io/pause:3.9":            "registry.k8s.io/pause:3.9",
	} {
		if got, err := fullName(short); err != nil || got != want {
			t.Errorf("fullName(%q) = %q, %v", short, got, err)
		}
	}
}

func TestArchiveKey(t *testing.T) {
	base := archiveKey(plans[0], "amd64", []byte("a"))
	other := plans[0]
	other.links = []string{"x"}
	for name, key := range map[string]string{
		"another program":      archiveKey(plans[0], "amd64", []byte("b")),
		"another architecture": archiveKey(plans[0], "arm64", []byte("a")),
		"another image":        archiveKey(plans[1], "amd64", []byte("a")),
		"another link":         archiveKey(other, "amd64", []byte("a")),
	} {
		if key == base {
			t.Errorf("%s has the same key", name)
		}
	}
}

// TestDamagedArchive: an archive that was changed in the cache is made again.
func TestDamagedArchive(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	o := Options{Arch: "amd64", Cache: t.TempDir()}
	first, err := o.archive(plans[0], Program{Path: program})
	if err != nil || first.Reused {
		t.Fatalf("got %+v, %v", first, err)
	}
	if again, err := o.archive(plans[0], Program{Path: program}); err != nil || !again.Reused {
		t.Errorf("made twice: %+v, %v", again, err)
	}
	if err := os.WriteFile(first.File.Host, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if again, err := o.archive(plans[0], Program{Path: program}); err != nil || again.Reused || again.Component.SHA256 != first.Component.SHA256 {
		t.Errorf("got %+v, %v", again, err)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "x.tar.zst")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if names, err := Inspect(file); err == nil && len(names) == 0 {
			t.Log("an archive without names")
		}
	})
}
