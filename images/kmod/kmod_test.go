package kmod_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/stek-edge/stek/images/kmod"
)

const object = "\x7fELF module"

func pack[W io.WriteCloser](t *testing.T, open func(io.Writer) (W, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, object); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRead(t *testing.T) {
	packedXZ := pack(t, xz.NewWriter)
	packages := fstest.MapFS{
		"plain.ko":    {Data: []byte(object)},
		"a.ko.xz":     {Data: packedXZ},
		"a.ko.gz":     {Data: pack(t, func(w io.Writer) (*gzip.Writer, error) { return gzip.NewWriter(w), nil })},
		"a.ko.zst":    {Data: pack(t, func(w io.Writer) (*zstd.Encoder, error) { return zstd.NewWriter(w) })},
		"cut.ko.xz":   {Data: packedXZ[:len(packedXZ)/2]},
		"empty.ko":    {},
		"text.ko":     {Data: []byte("a text")},
		"false.ko.gz": {Data: []byte(object)},
		"odd.ko.lz4":  {Data: []byte(object)},
	}
	for name, fault := range map[string]string{
		"plain.ko": "", "a.ko.xz": "", "a.ko.gz": "", "a.ko.zst": "",
		"cut.ko.xz": "unpacking module", "false.ko.gz": "unpacking module", "empty.ko": "not an ELF object",
		"text.ko": "not an ELF object", "odd.ko.lz4": "not known", "gone.ko": "reading a kernel module",
	} {
		data, err := kmod.Read(packages, name)
		switch {
		case fault == "" && (err != nil || string(data) != object):
			t.Errorf("%s: %q, error %v", name, data, err)
		case fault != "" && (err == nil || !strings.Contains(err.Error(), fault)):
			t.Errorf("%s: error %v, want one with %q", name, err, fault)
		}
	}
}

func TestNames(t *testing.T) {
	const file = "kernel/drivers/block/virtio-blk.ko.xz"
	if s, n := kmod.Stem(file), kmod.Name(file); s != "kernel/drivers/block/virtio-blk" || n != "virtio_blk" {
		t.Errorf("%s is %s, %s", file, s, n)
	}
}
