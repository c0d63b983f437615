package main

import (
	"archive/tar"
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// archive has what cannot be compressed in a program and in firmware, one link to each,
// and what can be in a licence.
func archive(t *testing.T) []byte {
	t.Helper()
	noise := make([]byte, 300_000)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(noise)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, content []byte) {
		h.Mode, h.Size = 0o755, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "usr/bin/k3s", Typeflag: tar.TypeReg}, noise)
	add(tar.Header{Name: "usr/bin/kubectl", Typeflag: tar.TypeLink, Linkname: "usr/bin/k3s"}, nil)
	add(tar.Header{Name: "usr/bin/crictl", Typeflag: tar.TypeSymlink, Linkname: "k3s"}, nil)
	add(tar.Header{Name: "usr/lib/firmware/a", Typeflag: tar.TypeReg}, noise[:100_000])
	add(tar.Header{Name: "usr/lib/firmware/b", Typeflag: tar.TypeReg}, noise[100_000:200_000])
	add(tar.Header{Name: "usr/share/doc/x/copyright", Typeflag: tar.TypeReg}, bytes.Repeat([]byte("you may "), 50_000))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The parts of a root are found in it, whatever lies behind it in its partition.
func TestRootParts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "root.squashfs")
	cmd := exec.Command("tar2sqfs", "--quiet", "--compressor", "zstd", name)
	cmd.Stdin = bytes.NewReader(archive(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tar2sqfs: %v: %s", err, out)
	}
	squashfs, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	parts, err := rootParts(t.Context(), bytes.NewReader(append(squashfs, make([]byte, 1<<20)...)), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name            string
		is, least, most int64
	}{{"k3s", 300_000, 300_000, 301_000}, {"firmware", 200_000, 200_000, 201_000}, {"licences", 400_000, 1, 1000}}
	if len(parts) != len(want) {
		t.Fatalf("the parts are %+v", parts)
	}
	for i, w := range want {
		if p := parts[i]; p.name != w.name || p.is != w.is || p.compressed < w.least || p.compressed > w.most {
			t.Errorf("part %d is %+v, want %+v", i, p, w)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if _, err := rootParts(t.Context(), strings.NewReader("no file system"), dir); err == nil || !strings.Contains(err.Error(), "sqfs2tar") {
		t.Errorf("what is no file system: %v", err)
	}
}

func TestWriteSizes(t *testing.T) {
	s := sizes{
		root:  []part{{"k3s", 160e6, 60e6}, {"firmware", 40e6, 20e6}},
		files: []part{{"root, packed, with its hash tree", 90e6, 89e6}, {"EFI/Linux/stek-a.efi", 60e6, 55e6}},
		whole: part{"the whole image", 1.2e9, 160e6},
	}
	var b strings.Builder
	if err := s.write(&b); err != nil {
		t.Fatal(err)
	}
	const want = `                                       as it is   compressed   share
  k3s                                    160 MB        60 MB  37.5 %
  firmware                                40 MB        20 MB  12.5 %
  these parts of the root together       200 MB        80 MB  50.0 %
  root, packed, with its hash tree        90 MB        89 MB  55.6 %
  EFI/Linux/stek-a.efi                    60 MB        55 MB  34.4 %
  the whole image                        1.2 GB       160 MB 100.0 %
  the aim for the whole is 350 MB; the root's parts are compressed as hard as in it, the rest as zstd does by itself
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}
