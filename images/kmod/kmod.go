// Package kmod knows how the kernel and Debian name and pack kernel modules. It
// reads modules from a folder and never loads one.
//
//	kmod.Name("kernel/drivers/block/virtio-blk.ko.xz") // "virtio_blk"
//	object, err := kmod.Read(os.DirFS("/lib/modules/6.12.48"), "kernel/fs/fat/vfat.ko.xz")
package kmod

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Stem is a module's path without ".ko" and compression: "kernel/drivers/net/veth".
func Stem(file string) string {
	dir, base := path.Split(file)
	base, _, _ = strings.Cut(base, ".ko")
	return dir + base
}

// Name is how the kernel calls the module in a file: "virtio_net".
func Name(file string) string { return Underscored(path.Base(Stem(file))) }

// Underscored spells a module's name as the kernel does: tools take a dash for an
// underscore (modprobe(8)).
func Underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Read reads a module and undoes its compression, which its name tells.
func Read(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading a kernel module: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	switch path.Ext(name) {
	case ".ko":
	case ".xz":
		r, err = xz.NewReader(f)
	case ".gz":
		r, err = gzip.NewReader(f)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return nil, fmt.Errorf("module %s is packed in a way that is not known", name)
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking module %s: %w", name, err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpacking module %s: %w", name, err)
	}
	if !bytes.HasPrefix(data, []byte("\x7fELF")) {
		return nil, fmt.Errorf("module %s is not an ELF object", name)
	}
	return data, nil
}
