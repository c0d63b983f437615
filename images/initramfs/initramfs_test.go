package initramfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func packXZ(t *testing.T, data string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: xz.CRC32}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func packZstd(t *testing.T, data string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(data), nil)
}

// kernel is a small kernel with each way of packing a module.
func kernel(t *testing.T) fstest.MapFS {
	return fstest.MapFS{
		"modules.dep": {Data: []byte("kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz\n" +
			"kernel/fs/jbd2/jbd2.ko.xz:\nkernel/crypto/crc32c_generic.ko:\nkernel/drivers/block/virtio_blk.ko.zst:\nkernel/sound/soundcore.ko.xz:\n")},
		"modules.softdep":                        {Data: []byte("# Soft\nsoftdep ext4 pre: crypto-crc32c\nsoftdep soundcore post: ext4\n")},
		"modules.alias":                          {Data: []byte("# Aliases\nalias crypto-crc32c crc32c_generic\nalias virtio:d00000002v* virtio_blk\nalias char-major-14-* soundcore\n")},
		"modules.builtin":                        {Data: []byte("kernel/fs/fat/fat.ko\n")},
		"kernel/fs/ext4/ext4.ko.xz":              {Data: packXZ(t, "\x7fELFext4")},
		"kernel/fs/jbd2/jbd2.ko.xz":              {Data: packXZ(t, "\x7fELFjbd2")},
		"kernel/crypto/crc32c_generic.ko":        {Data: []byte("\x7fELFcrc")},
		"kernel/drivers/block/virtio_blk.ko.zst": {Data: packZstd(t, "\x7fELFvirtio")},
		"kernel/sound/soundcore.ko.xz":           {Data: packXZ(t, "\x7fELFsound")},
	}
}

func options(t *testing.T) Options {
	t.Helper()
	init := filepath.Join(t.TempDir(), "stek")
	if err := os.WriteFile(init, []byte("\x7fELFstek"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{
		Init: init, KernelVersion: "6.1.0-test", Modules: kernel(t), ModTime: time.Unix(1_760_000_000, 0),
		List: []byte("need kernel/fs/ext4/ext4\nneed kernel/fs/fat/fat # built in\nwant kernel/drivers/block/virtio_*\nwant kernel/not/there\nneed kernel/other arm64\n"),
	}
}

// list unpacks an initramfs: "mode path" and the content by path.
func list(t *testing.T, packed []byte) ([]string, map[string]string) {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	r := cpio.NewReader(z)
	var names []string
	content := map[string]string{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, content
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%o %s", h.Mode, h.Name))
		content[h.Name] = string(data)
		if h.Uid != 0 || h.Guid != 0 || h.ModTime.Unix() != 1_760_000_000 || h.Inode != int64(len(names)) {
			t.Errorf("%s: owner %d:%d, time %v, inode %d", h.Name, h.Uid, h.Guid, h.ModTime, h.Inode)
		}
	}
}

func TestWrite(t *testing.T) {
	o := options(t)
	o.Files = []File{{"etc/note", 0o600, []byte("x")}}
	var first, second bytes.Buffer
	s, err := Write(&first, o)
	if err != nil {
		t.Fatal(err)
	}
	base := "usr/lib/modules/6.1.0-test"
	names, content := list(t, first.Bytes())
	want := []string{"40755 dev", "40755 etc", "40755 proc", "40755 run", "40755 sbin", "40755 sys", "40755 sysroot", "40755 tmp", "40755 usr", "40755 usr/lib", "40755 usr/lib/modules",
		"40755 " + base, "40755 " + base + "/kernel", "40755 " + base + "/kernel/crypto", "40755 " + base + "/kernel/drivers", "40755 " + base + "/kernel/drivers/block",
		"40755 " + base + "/kernel/fs", "40755 " + base + "/kernel/fs/ext4", "40755 " + base + "/kernel/fs/jbd2",
		"100600 etc/note", "100755 init", "120777 sbin/modprobe", "100644 " + base + "/kernel/crypto/crc32c_generic.ko", "100644 " + base + "/kernel/drivers/block/virtio_blk.ko",
		"100644 " + base + "/kernel/fs/ext4/ext4.ko", "100644 " + base + "/kernel/fs/jbd2/jbd2.ko",
		"100644 " + base + "/modules.alias", "100644 " + base + "/modules.builtin", "100644 " + base + "/modules.dep", "100644 " + base + "/modules.softdep"}
	if !slices.Equal(names, want) {
		t.Errorf("archive holds\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for name, want := range map[string]string{
		"init":                           "\x7fELFstek",
		base + "/kernel/fs/jbd2/jbd2.ko": "\x7fELFjbd2",
		base + "/kernel/drivers/block/virtio_blk.ko": "\x7fELFvirtio",
		base + "/modules.dep":                        "kernel/crypto/crc32c_generic.ko:\nkernel/drivers/block/virtio_blk.ko:\nkernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\nkernel/fs/jbd2/jbd2.ko:\n",
		base + "/modules.alias":                      "# Aliases\nalias crypto-crc32c crc32c_generic\nalias virtio:d00000002v* virtio_blk\n",
		base + "/modules.softdep":                    "# Soft\nsoftdep ext4 pre: crypto-crc32c\n",
	} {
		if content[name] != want {
			t.Errorf("%s is %q, want %q", name, content[name], want)
		}
	}
	if len(s.Modules) != 4 || s.Init != 8 || s.Packed != int64(first.Len()) || s.Unpacked <= s.Packed/2 {
		t.Errorf("summary is %+v for %d bytes", s, first.Len())
	}
	if _, err := Write(&second, o); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("writing twice gave two archives, %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"a missing module":    {func(o *Options) { o.List = []byte("need kernel/a\nneed kernel/b") }, "no kernel/a, kernel/b"},
		"a malformed list":    {func(o *Options) { o.List = []byte("kernel/a") }, ":1:"},
		"an absolute pattern": {func(o *Options) { o.List = []byte("need /a") }, "malformed"},
		"no kernel version":   {func(o *Options) { o.KernelVersion = "" }, "must be given"},
		"an init for another system": {func(o *Options) {
			if err := os.WriteFile(o.Init, []byte("MZ"), 0o600); err != nil {
				panic(err)
			}
		}, "not a Linux program"},
		"a path that climbs":      {func(o *Options) { o.Files = []File{{"../x", 0o644, nil}} }, "clean path"},
		"a second init":           {func(o *Options) { o.Files = []File{{"init", 0o755, nil}} }, "twice"},
		"a file that is a folder": {func(o *Options) { o.Files = []File{{"usr/lib", 0o755, nil}} }, "twice"},
		"a module that is cut off": {func(o *Options) {
			m := o.Modules.(fstest.MapFS)
			m["kernel/fs/jbd2/jbd2.ko.xz"].Data = m["kernel/fs/jbd2/jbd2.ko.xz"].Data[:20]
		}, "jbd2"},
		"no modules.dep": {func(o *Options) { delete(o.Modules.(fstest.MapFS), "modules.dep") }, "module index"},
		"a dependency that is not there": {func(o *Options) {
			o.Modules.(fstest.MapFS)["modules.dep"].Data = []byte("kernel/fs/ext4/ext4.ko.xz: kernel/gone.ko.xz\n")
		}, "kernel/gone"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			c.change(&o)
			if _, err := Write(io.Discard, o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	var missing *MissingModulesError
	o := options(t)
	o.List = []byte("need kernel/a")
	if _, err := Write(io.Discard, o); !errors.As(err, &missing) {
		t.Errorf("error is %v, want a MissingModulesError", err)
	}
}

func TestReviewedListIsSound(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		wishes, err := parseList("modules.list", modulesList, arch)
		if err != nil || len(wishes) < 40 {
			t.Errorf("%s: %d modules, %v", arch, len(wishes), err)
		}
	}
}

func FuzzReadKernelModules(f *testing.F) {
	f.Add([]byte("kernel/a.ko.xz: kernel/b.ko\nkernel/b.ko:\n"), []byte("softdep a pre: c-alias\n"), []byte("alias c-alias b\n"))
	f.Add([]byte(":"), []byte("softdep"), []byte("alias x"))
	f.Fuzz(func(t *testing.T, dep, soft, alias []byte) {
		k, err := readKernelModules(fstest.MapFS{"modules.dep": {Data: dep}, "modules.softdep": {Data: soft}, "modules.alias": {Data: alias}})
		if err != nil {
			return
		}
		chosen, _, err := k.choose([]wish{{pattern: "*/*"}})
		if err == nil && !slices.IsSorted(chosen) {
			t.Error("the modules are not sorted")
		}
	})
}
