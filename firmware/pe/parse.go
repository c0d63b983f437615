package pe

import (
	"bytes"
	stdpe "debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits on what Parse accepts. UEFI firmware and the Windows loader stop at
// 96 sections; 2 GiB keeps every file offset inside a signed 32-bit number.
const (
	MaxSections = 96
	MaxFileSize = 1<<31 - 1
)

// Sizes and offsets of the PE format (Microsoft, "PE Format", revision of 2024).
const (
	dosHeaderSize     = 64
	peOffsetField     = 0x3c // e_lfanew in the DOS header
	signatureSize     = 4    // "PE\0\0"
	fileHeaderSize    = 20
	sectionHeaderSize = 40
	optionalFixedSize = 112 // PE32+ optional header without its data directories
	dataDirectorySize = 8
	checksumField     = 64 // CheckSum, relative to the optional header
	certDirectory     = 4  // index of the certificate table among the data directories
	magicPE32Plus     = 0x20b
)

// ErrFormat is wrapped by every error about bytes that are no usable PE file.
var ErrFormat = errors.New("not a usable PE file")

// Section is one section of a file.
type Section struct {
	Name           string // without trailing NULs
	VirtualSize    uint32 // bytes in memory; what the firmware and the stub see
	VirtualAddress uint32 // relative to the image base
	RawSize        uint32 // bytes in the file, a multiple of the file alignment
	RawOffset      uint32 // where they start in the file
}

// File is a parsed PE32+ file. It keeps a reference to the bytes it was parsed
// from and never changes them.
type File struct {
	Machine          uint16
	SectionAlignment uint32
	FileAlignment    uint32
	SizeOfHeaders    uint32
	SizeOfImage      uint32
	Sections         []Section

	raw           []byte
	optional      int // offset of the optional header
	sectionTable  int // offset of the first section header
	certOffset    int // certificate table, zero if the file is not signed
	certSize      int
	hasCertSlot   bool // the data directories reach the certificate table
	endOfSections int  // first byte of the file behind all section data
}

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// Parse checks the headers of a PE32+ file (64 bit, as x86-64 and arm64 UEFI
// need) and returns its layout. Errors wrap [ErrFormat].
func Parse(raw []byte) (*File, error) {
	if len(raw) > MaxFileSize {
		return nil, formatError("%d bytes are more than the %d that are supported", len(raw), MaxFileSize)
	}
	if len(raw) < dosHeaderSize || raw[0] != 'M' || raw[1] != 'Z' {
		return nil, formatError("no DOS header")
	}
	start := uint64(binary.LittleEndian.Uint32(raw[peOffsetField:]))
	optional := start + signatureSize + fileHeaderSize
	if start < dosHeaderSize || optional+optionalFixedSize > uint64(len(raw)) {
		return nil, formatError("PE header lies outside the file")
	}
	if !bytes.Equal(raw[start:start+signatureSize], []byte("PE\x00\x00")) {
		return nil, formatError("no PE signature")
	}
	var header stdpe.FileHeader
	if _, err := binary.Decode(raw[start+signatureSize:], binary.LittleEndian, &header); err != nil {
		return nil, formatError("short COFF header")
	}
	f := &File{Machine: header.Machine, raw: raw, optional: int(optional)}
	table := optional + uint64(header.SizeOfOptionalHeader)
	f.sectionTable = int(table)
	if err := f.parseOptional(int(header.SizeOfOptionalHeader)); err != nil {
		return nil, err
	}
	if header.NumberOfSections == 0 || header.NumberOfSections > MaxSections {
		return nil, formatError("%d sections; 1 to %d are supported", header.NumberOfSections, MaxSections)
	}
	tableEnd := table + uint64(header.NumberOfSections)*sectionHeaderSize
	if tableEnd > uint64(f.SizeOfHeaders) {
		return nil, formatError("section table reaches beyond the headers")
	}
	return f, f.parseSections(int(header.NumberOfSections))
}

// parseOptional reads the optional header, size bytes long.
func (f *File) parseOptional(size int) error {
	if size < optionalFixedSize || f.optional+size > len(f.raw) {
		return formatError("optional header of %d bytes", size)
	}
	var opt stdpe.OptionalHeader64
	fixed := make([]byte, binary.Size(opt)) // a header with few directories is shorter
	copy(fixed, f.raw[f.optional:f.optional+size])
	if _, err := binary.Decode(fixed, binary.LittleEndian, &opt); err != nil {
		return formatError("short optional header")
	}
	if opt.Magic != magicPE32Plus {
		return formatError("magic %#x is not PE32+; only 64-bit files are supported", opt.Magic)
	}
	if opt.FileAlignment == 0 || opt.FileAlignment > 1<<16 || opt.FileAlignment&(opt.FileAlignment-1) != 0 {
		return formatError("file alignment %#x", opt.FileAlignment)
	}
	if opt.SectionAlignment < opt.FileAlignment || opt.SectionAlignment > 1<<24 || opt.SectionAlignment&(opt.SectionAlignment-1) != 0 {
		return formatError("section alignment %#x", opt.SectionAlignment)
	}
	if uint64(opt.SizeOfHeaders) > uint64(len(f.raw)) {
		return formatError("headers of %d bytes are longer than the file", opt.SizeOfHeaders)
	}
	f.SectionAlignment, f.FileAlignment = opt.SectionAlignment, opt.FileAlignment
	f.SizeOfHeaders, f.SizeOfImage = opt.SizeOfHeaders, opt.SizeOfImage
	directories := int64(opt.NumberOfRvaAndSizes)
	if directories > int64(size-optionalFixedSize)/dataDirectorySize {
		return formatError("%d data directories do not fit the optional header", directories)
	}
	f.hasCertSlot = directories > certDirectory
	if !f.hasCertSlot {
		return nil
	}
	cert := opt.DataDirectory[certDirectory]
	if cert.Size == 0 && cert.VirtualAddress == 0 {
		return nil
	}
	// The "virtual address" of the certificate table is a file offset; the
	// table has to end the file (Authenticode specification, "certificate table").
	if uint64(cert.VirtualAddress)+uint64(cert.Size) != uint64(len(f.raw)) || cert.Size < certHeaderSize || cert.VirtualAddress%certAlignment != 0 {
		return formatError("certificate table at %#x, %d bytes, does not end the file", cert.VirtualAddress, cert.Size)
	}
	f.certOffset, f.certSize = int(cert.VirtualAddress), int(cert.Size)
	return nil
}

// parseSections reads the section table and checks that section data lies in
// file order, without gaps or overlap, in front of any certificate table: with
// anything else the bytes that are loaded and the bytes that the Authenticode
// digest covers may differ.
func (f *File) parseSections(count int) error {
	limit := len(f.raw)
	if f.certSize > 0 {
		limit = f.certOffset
	}
	end := uint64(f.SizeOfHeaders)
	memory := uint64(f.SizeOfHeaders)
	for i := range count {
		var h stdpe.SectionHeader32
		if _, err := binary.Decode(f.raw[f.sectionTable+i*sectionHeaderSize:], binary.LittleEndian, &h); err != nil {
			return formatError("short section header")
		}
		s := Section{
			Name:           string(bytes.TrimRight(h.Name[:], "\x00")),
			VirtualSize:    h.VirtualSize,
			VirtualAddress: h.VirtualAddress,
			RawSize:        h.SizeOfRawData,
			RawOffset:      h.PointerToRawData,
		}
		if s.RawSize > 0 {
			if uint64(s.RawOffset) != end {
				return formatError("data of section %d (%q) starts at %#x, not right behind the one before (%#x)", i, s.Name, s.RawOffset, end)
			}
			if end+uint64(s.RawSize) > uint64(limit) {
				return formatError("data of section %d (%q) lies outside the file", i, s.Name)
			}
			end = uint64(s.RawOffset) + uint64(s.RawSize)
		}
		if uint64(s.VirtualAddress) < memory || uint64(s.VirtualAddress)+uint64(s.VirtualSize) > MaxFileSize {
			return formatError("section %d (%q) overlaps another one in memory", i, s.Name)
		}
		memory = uint64(s.VirtualAddress) + uint64(s.VirtualSize)
		f.Sections = append(f.Sections, s)
	}
	f.endOfSections = int(end)
	return nil
}

// Bytes is the whole file, as handed to Parse. It must not be changed.
func (f *File) Bytes() []byte { return f.raw }

// Signed says whether the file carries a certificate table.
func (f *File) Signed() bool { return f.certSize > 0 }

// Find returns the section of that name. The second result is false if there
// is none; the error is set if there are several, since readers of such a file
// disagree about which one counts.
func (f *File) Find(name string) (Section, bool, error) {
	var found Section
	var ok bool
	for _, s := range f.Sections {
		if s.Name != name {
			continue
		}
		if ok {
			return Section{}, false, formatError("section %q occurs more than once", name)
		}
		found, ok = s, true
	}
	return found, ok, nil
}

// FileData is the part of the section that is stored in the file: its first
// VirtualSize bytes, or fewer where the loader fills the rest with zeros.
func (f *File) FileData(s Section) []byte {
	n := min(s.VirtualSize, s.RawSize)
	return f.raw[s.RawOffset : s.RawOffset+n : s.RawOffset+n]
}
