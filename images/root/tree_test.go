package root

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Unix(1_760_000_000, 0)

func writeTar(t *testing.T, tree *Tree) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := tree.WriteTar(&out, epoch); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAddFollowsMergedUsr(t *testing.T) {
	tree := mkTree(t,
		Dir("usr/lib", 0o755), Link("lib", "usr/lib"), Link("usr/lib64", "/usr/lib"),
		Dir("lib", 0o755), // a package that ships the folder does not undo the link
		File("lib/a", 0o644, []byte("a")), File("usr/lib64/b", 0o644, nil), File("new/deep/c", 0o600, nil))
	want := []string{"lib", "new", "new/deep", "new/deep/c", "usr", "usr/lib", "usr/lib/a", "usr/lib/b", "usr/lib64"}
	if got := tree.Paths(); !slices.Equal(got, want) {
		t.Errorf("paths are %v, want %v", got, want)
	}
	if e, ok := tree.lookup("lib/a"); !ok || e.Path != "usr/lib/a" {
		t.Errorf("lib/a is found as %v", e)
	}
}

func TestAddRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, e := range map[string]Entry{
		"an absolute path":        File("/etc/x", 0o644, nil),
		"a path that climbs":      File("../x", 0o644, nil),
		"an unclean path":         Dir("etc//x", 0o755),
		"the root itself":         Dir(".", 0o755),
		"a type in the mode":      File("x", 0o100644, nil),
		"a link to nothing":       Link("x", ""),
		"a missing host file":     HostFile("x", 0o644, filepath.Join(dir, "missing")),
		"a folder as a host file": HostFile("x", 0o644, dir),
		"a child of a file":       File("file/x", 0o644, nil),
		"a file over a folder":    File("full", 0o644, nil),
		"a loop of links":         File("loop/x", 0o644, nil),
	} {
		t.Run(name, func(t *testing.T) {
			tree := mkTree(t, File("file", 0o644, nil), File("full/x", 0o644, nil), Link("loop", "loop"))
			if err := tree.Add(e); err == nil {
				t.Error("it was added")
			}
		})
	}
}

func TestTarRoundTrip(t *testing.T) {
	var in bytes.Buffer
	w := tar.NewWriter(&in)
	now := time.Now()
	for _, h := range []*tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: now},
		{Name: "./usr/bin/zz", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 3, Uname: "someone", ModTime: now,
			PAXRecords: map[string]string{xattrPrefix + "security.capability": "\x01\x02", xattrPrefix + "system.posix_acl_access": "x"}},
		{Name: "./usr/bin/aa", Typeflag: tar.TypeLink, Linkname: "./usr/bin/zz"},
		{Name: "./dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		{Name: "./etc/link", Typeflag: tar.TypeSymlink, Linkname: "../usr", Mode: 0o777},
		{Name: "./var/mail/", Typeflag: tar.TypeDir, Mode: 0o2775, Gid: 8},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tree := NewTree()
	if err := tree.ReadTar(bytes.NewReader(in.Bytes()), int64(in.Len())); err != nil {
		t.Fatal(err)
	}
	first := writeTar(t, tree)

	var got []string
	r := tar.NewReader(bytes.NewReader(first))
	for {
		h, err := r.Next()
		if err != nil {
			break
		}
		if !h.ModTime.Equal(epoch) || h.Uname != "" {
			t.Errorf("%s has the time %v and the owner name %q", h.Name, h.ModTime, h.Uname)
		}
		got = append(got, strings.Join([]string{h.Name, string(h.Typeflag), h.Linkname, h.PAXRecords[xattrPrefix+"security.capability"]}, "|"))
	}
	want := []string{"./etc/|5||", "./etc/link|2|../usr|", "./usr/|5||", "./usr/bin/|5||", "./usr/bin/aa|0||\x01\x02", "./usr/bin/zz|1|./usr/bin/aa|", "./var/|5||", "./var/mail/|5||"}
	if !slices.Equal(got, want) {
		t.Errorf("tar holds\n%q, want\n%q", got, want)
	}

	again := NewTree()
	if err := again.ReadTar(bytes.NewReader(first), int64(len(first))); err != nil {
		t.Fatal(err)
	}
	if second := writeTar(t, again); !bytes.Equal(first, second) {
		t.Error("reading a tar and writing it changed it")
	}
}

func TestWriteTarNoticesAChangedHostFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "stek")
	if err := os.WriteFile(name, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := mkTree(t, HostFile("usr/bin/stek", 0o755, name))
	writeTar(t, tree)
	for _, text := range []string{"123", "1234567"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tree.WriteTar(&bytes.Buffer{}, epoch); err == nil {
			t.Errorf("a host file that changed to %q went unnoticed", text)
		}
	}
}

func TestSub(t *testing.T) {
	sub := mkTree(t, File("usr/lib/modules/1/modules.dep", 0o644, []byte("x"))).Sub("usr/lib/modules/1")
	if data, err := fs.ReadFile(sub, "modules.dep"); err != nil || string(data) != "x" {
		t.Errorf("read %q, %v", data, err)
	}
	if _, err := sub.Open("../1/modules.dep"); err == nil {
		t.Error("a path that climbs was opened")
	}
}

func FuzzReadTar(f *testing.F) {
	tree := NewTree()
	for _, e := range []Entry{File("a", 0o644, []byte("a")), Link("b", "a"), Dir("c", 0o755)} {
		if err := tree.Add(e); err != nil {
			f.Fatal(err)
		}
	}
	var seed bytes.Buffer
	if err := tree.WriteTar(&seed, epoch); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		tree := NewTree()
		if tree.ReadTar(bytes.NewReader(data), int64(len(data))) != nil {
			return
		}
		var out bytes.Buffer
		if err := tree.WriteTar(&out, epoch); err != nil {
			return
		}
		again := NewTree()
		if err := again.ReadTar(bytes.NewReader(out.Bytes()), int64(out.Len())); err != nil {
			t.Fatalf("a tar that was written cannot be read: %v", err)
		}
	})
}
