package pe

import (
	"bytes"
	stdpe "debug/pe"
	"encoding/binary"
	"fmt"
)

// NewSection is a section to append.
type NewSection struct {
	Name string // at most 8 bytes; executables cannot have longer names
	Data []byte
	Code bool // marked as code, for a kernel
}

// Offsets in the PE32+ optional header, and in the COFF header before it.
const (
	codeSizeField  = 4
	dataSizeField  = 8
	imageSizeField = 56
	countField     = -fileHeaderSize + 2
)

// Append returns a copy of the file with sections added behind the existing
// ones, in the given order: in memory each starts at the next multiple of the
// section alignment, in the file at the next multiple of the file alignment.
// VirtualSize is exactly the length of the data, because that is what
// systemd-stub measures. The result depends on nothing but its inputs.
//
// A signed file, a file with bytes behind its sections, and headers without
// room for more sections are refused.
func (f *File) Append(sections []NewSection) ([]byte, error) {
	if f.Signed() {
		return nil, fmt.Errorf("appending sections: the file is signed; start from an unsigned one")
	}
	if f.endOfSections != len(f.raw) {
		return nil, fmt.Errorf("appending sections: %d bytes follow the last section", len(f.raw)-f.endOfSections)
	}
	firstData := f.SizeOfHeaders
	count := len(f.Sections) + len(sections)
	tableEnd := f.sectionTable + count*sectionHeaderSize
	if uint32(tableEnd) > firstData || count > MaxSections {
		return nil, fmt.Errorf("appending sections: the headers (%d bytes) have no room for %d sections", f.SizeOfHeaders, count)
	}
	old := f.raw[f.sectionTable+len(f.Sections)*sectionHeaderSize : tableEnd]
	if len(bytes.Trim(old, "\x00")) != 0 {
		return nil, fmt.Errorf("appending sections: the room behind the section table is in use")
	}

	var headers bytes.Buffer
	offset := align(uint64(f.endOfSections), f.FileAlignment)
	last := f.Sections[len(f.Sections)-1]
	address := align(uint64(last.VirtualAddress)+uint64(last.VirtualSize), f.SectionAlignment)
	size := offset
	for _, s := range sections {
		size += align(uint64(len(s.Data)), f.FileAlignment)
	}
	if size > MaxFileSize {
		return nil, fmt.Errorf("appending sections: %d bytes are more than a PE file may have here (%d)", size, MaxFileSize)
	}
	out := make([]byte, offset, size)
	copy(out, f.raw)
	var code, data uint32
	for _, s := range sections {
		if s.Name == "" || len(s.Name) > 8 {
			return nil, fmt.Errorf("appending sections: name %q is not 1 to 8 bytes long", s.Name)
		}
		if len(s.Data) == 0 {
			return nil, fmt.Errorf("appending sections: section %q is empty", s.Name)
		}
		rawSize := align(uint64(len(s.Data)), f.FileAlignment)
		h := stdpe.SectionHeader32{
			VirtualSize:      uint32(len(s.Data)),
			VirtualAddress:   uint32(address),
			SizeOfRawData:    uint32(rawSize),
			PointerToRawData: uint32(offset),
			Characteristics:  stdpe.IMAGE_SCN_MEM_READ | stdpe.IMAGE_SCN_CNT_INITIALIZED_DATA,
		}
		if s.Code {
			h.Characteristics = stdpe.IMAGE_SCN_MEM_READ | stdpe.IMAGE_SCN_CNT_CODE
			code += uint32(rawSize)
		} else {
			data += uint32(rawSize)
		}
		copy(h.Name[:], s.Name)
		if err := binary.Write(&headers, binary.LittleEndian, h); err != nil {
			return nil, fmt.Errorf("appending section %q: %w", s.Name, err)
		}
		out = append(out, s.Data...)
		out = append(out, make([]byte, rawSize-uint64(len(s.Data)))...)
		offset += rawSize
		address = align(address+uint64(len(s.Data)), f.SectionAlignment)
	}
	if address > MaxFileSize {
		return nil, fmt.Errorf("appending sections: the image would take %d bytes of memory", address)
	}
	copy(out[f.sectionTable+len(f.Sections)*sectionHeaderSize:], headers.Bytes())
	le := binary.LittleEndian
	le.PutUint16(out[f.optional+countField:], uint16(count))
	le.PutUint32(out[f.optional+codeSizeField:], le.Uint32(out[f.optional+codeSizeField:])+code)
	le.PutUint32(out[f.optional+dataSizeField:], le.Uint32(out[f.optional+dataSizeField:])+data)
	le.PutUint32(out[f.optional+imageSizeField:], uint32(address))
	f.putChecksum(out)
	return out, nil
}

func align(n uint64, to uint32) uint64 {
	return (n + uint64(to) - 1) &^ (uint64(to) - 1)
}

// putChecksum writes the checksum of the optional header: the 16-bit sum with
// end-around carry over the file, taking the field itself as zero, plus the
// length of the file. UEFI firmware ignores it; signing tools warn without it.
func (f *File) putChecksum(image []byte) {
	field := image[f.optional+checksumField:][:4]
	clear(field)
	var sum uint64
	for i := 0; i+1 < len(image); i += 2 {
		sum += uint64(image[i]) | uint64(image[i+1])<<8
	}
	if len(image)%2 == 1 {
		sum += uint64(image[len(image)-1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.LittleEndian.PutUint32(field, uint32(sum)+uint32(len(image)))
}
