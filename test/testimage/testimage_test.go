package testimage

import (
	"bytes"
	"debug/elf"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cavaliergopher/cpio"

	"github.com/stek-edge/stek/test/guest/inside"
)

func TestTreeIsWrittenInOrderAndAlike(t *testing.T) {
	host := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(host, []byte("from the host"), 0o640); err != nil {
		t.Fatal(err)
	}
	build := func() []byte {
		tree := NewTree()
		tree.AddLink("/bin/sh", "../usr/bin/tool")
		tree.AddBytes("/etc/deep/down/file", 0o600, []byte("odd"))
		tree.AddBytes("/empty", 0o644, nil)
		if err := tree.AddFile("/usr/bin/tool", host); err != nil {
			t.Fatal(err)
		}
		var archive bytes.Buffer
		if err := tree.WriteCPIO(&archive); err != nil {
			t.Fatal(err)
		}
		return archive.Bytes()
	}
	archive := build()
	if !bytes.Equal(archive, build()) {
		t.Error("two writes of the same tree differ")
	}
	content, modes, order := map[string]string{}, map[string]cpio.FileMode{}, []string{}
	for r := cpio.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		content[header.Name] = string(data) + header.Linkname
		modes[header.Name] = header.Mode
		order = append(order, header.Name)
	}
	if !slices.IsSorted(order) || !slices.Contains(order, "etc/deep") || !slices.Contains(order, "proc") {
		t.Errorf("the archive holds %v: want parents, mount points, each parent first", order)
	}
	for name, want := range map[string]struct {
		content string
		mode    cpio.FileMode
	}{
		"bin/sh":             {"../usr/bin/tool", cpio.TypeSymlink | 0o777},
		"etc/deep/down/file": {"odd", cpio.TypeReg | 0o600},
		"empty":              {"", cpio.TypeReg | 0o644},
		"usr/bin/tool":       {"from the host", cpio.TypeReg | 0o640},
		"etc":                {"", cpio.TypeDir | 0o755},
	} {
		if content[name] != want.content || modes[name] != want.mode {
			t.Errorf("%s is %q with mode %v, want %q with %v", name, content[name], modes[name], want.content, want.mode)
		}
	}
}

func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	kernel, err := TestKernel(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	modules, err := kernel.Load("dm-crypt", "vfat", "virtio_pci")
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, m := range modules {
		at[m.Name] = i
		if _, err := elf.NewFile(bytes.NewReader(m.Object)); err != nil {
			t.Errorf("%s is not uncompressed: %v", m.Name, err)
		}
	}
	for _, pair := range [][2]string{{"dm_mod", "dm_crypt"}, {"fat", "vfat"}} {
		first, ok := at[pair[0]]
		second, ok2 := at[pair[1]]
		if !ok || !ok2 || first > second {
			t.Errorf("the order is %v: want %s before %s", at, pair[0], pair[1])
		}
	}
	if _, err := kernel.Load("no_such_module"); !errors.Is(err, ErrNoModule) {
		t.Errorf("an unknown module: %v", err)
	}
	tree := NewTree()
	for range 2 { // the second time adds nothing
		if err := tree.AddModules(kernel, "dm_crypt"); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(tree.entries[inside.ModuleOrder].data, []byte("dm_crypt.ko\n")); n != 1 {
		t.Errorf("dm_crypt stands %d times in the order", n)
	}
}

func TestParseTags(t *testing.T) {
	tests := []struct {
		name, section string
		want          modinfo
	}{
		{"nothing", "", modinfo{}},
		{"hard", "license=GPL\x00depends=dm-mod,libcrc32c\x00name=x\x00", modinfo{depends: []string{"dm-mod", "libcrc32c"}}},
		{"none", "depends=\x00", modinfo{}},
		{"soft", "softdep=pre: sha256 xts post: late\x00", modinfo{soft: []string{"sha256", "xts"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := parseTags([]byte(test.section))
			if !slices.Equal(got.depends, test.want.depends) || !slices.Equal(got.soft, test.want.soft) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func FuzzParseModinfo(f *testing.F) {
	f.Add(ProbeInit())
	f.Add([]byte("depends=a,b\x00softdep=pre: c post: d\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseModinfo(data) // debug/elf must return, whatever the file holds
		info := parseTags(data)
		if slices.Contains(info.depends, "") || slices.Contains(info.soft, "") {
			t.Errorf("an empty name: %+v", info)
		}
	})
}

func TestParseLdd(t *testing.T) {
	out := "\tlinux-vdso.so.1 (0x7ffd)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f00)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f01)\n"
	got, err := parseLdd(out)
	if err != nil || !slices.Equal(got, []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}) {
		t.Errorf("got %v (%v)", got, err)
	}
	if _, err := parseLdd("\tlibx.so => not found\n"); err == nil {
		t.Error("a missing library was taken")
	}
}

func TestAddProgramBringsItsLibraries(t *testing.T) {
	tree := NewTree()
	if err := tree.AddProgram(t.Context(), "cryptsetup"); err != nil {
		t.Fatal(err)
	}
	loader := func(name string) bool { return bytes.Contains([]byte(name), []byte("ld-linux")) }
	if !tree.Has("/usr/bin/cryptsetup") || !slices.ContainsFunc(tree.Paths(), loader) {
		t.Errorf("the tree holds %v", tree.Paths())
	}
}

func TestProbeInitIsAProgram(t *testing.T) {
	file, err := elf.NewFile(bytes.NewReader(ProbeInit()))
	if err != nil {
		t.Fatal(err)
	}
	if file.Machine != elf.EM_X86_64 || len(file.Progs) != 1 || file.Progs[0].Filesz != uint64(len(ProbeInit())) {
		t.Errorf("header is %+v", file.FileHeader)
	}
}
