package uki

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/stek-edge/stek/firmware/pe"
)

// ErrNotUKI says that a PE file is no unified kernel image: it has no kernel.
var ErrNotUKI = errors.New("not a unified kernel image")

// maxTextSection bounds sections that are read as text.
const maxTextSection = 1 << 20

// Image is a parsed unified kernel image.
type Image struct {
	file *pe.File
}

// Section describes one section of an image.
type Section struct {
	Name     string
	Size     uint32 // bytes in memory, which is what is measured
	Measured bool   // into PCR 11
}

// Open reads and parses the image in a file.
func Open(path string) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, pe.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	image, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return image, nil
}

// Parse reads an image. It keeps a reference to raw. Errors wrap
// [pe.ErrFormat] or [ErrNotUKI].
func Parse(raw []byte) (*Image, error) {
	file, err := pe.Parse(raw)
	if err != nil {
		return nil, err
	}
	for _, s := range file.Sections {
		if _, _, err := file.Find(s.Name); err != nil {
			return nil, err
		}
	}
	if _, ok, _ := file.Find(sectionLinux); !ok {
		return nil, ErrNotUKI
	}
	return &Image{file: file}, nil
}

// Sections lists all sections in file order.
func (i *Image) Sections() []Section {
	var list []Section
	for _, s := range i.file.Sections {
		list = append(list, Section{Name: s.Name, Size: s.VirtualSize, Measured: isMeasured(s.Name)})
	}
	return list
}

func isMeasured(name string) bool {
	for _, m := range measured {
		if m == name {
			return true
		}
	}
	return false
}

// Signed says whether the image carries a Secure Boot signature, without
// saying whose or whether it is valid.
func (i *Image) Signed() bool { return i.file.Signed() }

// Cmdline is the kernel command line inside the image, empty if it has none.
func (i *Image) Cmdline() string { return i.text(sectionCmdline) }

// OSRelease is the os-release(5) text inside the image.
func (i *Image) OSRelease() string { return i.text(sectionOSRel) }

// Uname is the kernel version that the image names.
func (i *Image) Uname() string { return i.text(sectionUname) }

// Kernel, Initrd and so on as stored; nil if there is no such section.
func (i *Image) section(name string) []byte {
	s, ok, _ := i.file.Find(name)
	if !ok {
		return nil
	}
	return i.file.FileData(s)
}

// SectionDigest is the SHA-256 of what the file holds of a section, false if there is
// no such section. Two builds of an image are compared by it.
func (i *Image) SectionDigest(name string) ([sha256.Size]byte, bool) {
	s, ok, _ := i.file.Find(name)
	if !ok {
		return [sha256.Size]byte{}, false
	}
	return sha256.Sum256(i.file.FileData(s)), true
}

// Initrd is the initramfs inside the image.
func (i *Image) Initrd() []byte { return i.section(sectionInitrd) }

// Kernel is the kernel inside the image.
func (i *Image) Kernel() []byte { return i.section(sectionLinux) }

func (i *Image) text(name string) string {
	data := i.section(name)
	return string(data[:min(len(data), maxTextSection)])
}
