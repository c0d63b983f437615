package k3s

import (
	"archive/tar"
	"bytes"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestImageNames(t *testing.T) {
	for _, c := range []struct {
		name, manifest string
		want           []string
		wrong          bool
	}{
		{"as docker writes them", `[{"Config":"a.json","RepoTags":["rancher/mirrored-pause:3.6"],"Layers":[]},{"RepoTags":["busybox:1"]}]`,
			[]string{"docker.io/library/busybox:1", "docker.io/rancher/mirrored-pause:3.6"}, false},
		{"with a registry", `[{"RepoTags":["docker.io/rancher/x:1","localhost/y:2","localhost:5000/z:3"]}]`,
			[]string{"docker.io/rancher/x:1", "localhost/y:2", "localhost:5000/z:3"}, false},
		{"twice", `[{"RepoTags":["rancher/x:1"]},{"RepoTags":["docker.io/rancher/x:1"]}]`, []string{"docker.io/rancher/x:1"}, false},
		{"untagged", `[{"RepoTags":null}]`, nil, false},
		{"a line of a unit file", `[{"RepoTags":["x:1\nExecStart=/bin/sh"]}]`, nil, true},
		{"an option", `[{"RepoTags":["--help"]}]`, nil, true},
		{"no JSON", `<html>`, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readImageNames(bytes.NewReader(pack(t, map[string]string{"manifest.json": c.manifest, "a.json": "{}"})))
			if (err != nil) != c.wrong || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if got, err := readImageNames(bytes.NewReader(pack(t, map[string]string{"index.json": "{}"}))); err != nil || len(got) != 0 {
		t.Errorf("an archive without a manifest: %q, %v", got, err)
	}
	if _, err := readImageNames(bytes.NewReader([]byte("garbage"))); err == nil {
		t.Error("garbage is accepted")
	}
}

func FuzzImageNames(f *testing.F) {
	f.Add(pack(f, map[string]string{"manifest.json": `[{"RepoTags":["rancher/mirrored-pause:3.6"]}]`}))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, _ := readImageNames(bytes.NewReader(data))
		for _, n := range names {
			if bytes.ContainsAny([]byte(n), " \n\t\"\\%$") {
				t.Errorf("%q reached a unit file", n)
			}
		}
	})
}
