// Package petest makes small PE files for tests: laid out like systemd's stub,
// but with nothing to run inside. They must never be put where a firmware starts them.
//
//	stub := petest.Stub(petest.Section{Name: ".sbat", Data: sbat})
package petest

import (
	"bytes"
	stdpe "debug/pe"
	"encoding/binary"
)

// Section is a section of the made file.
type Section struct {
	Name string
	Data []byte
}

// Layout of systemd's stub: alignments, size of headers, PE32+ for x86-64.
const (
	fileAlignment    = 0x200
	sectionAlignment = 0x1000
	headerSize       = 0x600
	peOffset         = 0x80
)

// SystemdStub is a Stub that calls itself that version of systemd-stub.
func SystemdStub(version string, sections ...Section) []byte {
	magic := Section{Name: ".sdmagic", Data: []byte("#### LoaderInfo: systemd-stub " + version + " ####\x00")}
	return Stub(append([]Section{magic}, sections...)...)
}

// Stub returns an unsigned PE32+ file with a .text section and the given ones.
func Stub(sections ...Section) []byte {
	sections = append([]Section{{Name: ".text", Data: []byte("\xc3 nothing to run")}}, sections...)
	le := binary.LittleEndian
	var table, data bytes.Buffer
	address := uint32(sectionAlignment)
	for _, s := range sections {
		raw := (len(s.Data) + fileAlignment - 1) &^ (fileAlignment - 1)
		h := stdpe.SectionHeader32{
			VirtualSize:      uint32(len(s.Data)),
			VirtualAddress:   address,
			SizeOfRawData:    uint32(raw),
			PointerToRawData: uint32(headerSize + data.Len()),
			Characteristics:  stdpe.IMAGE_SCN_MEM_READ,
		}
		copy(h.Name[:], s.Name)
		_ = binary.Write(&table, le, h) // fixed-size values into a buffer
		data.Write(s.Data)
		data.Write(make([]byte, raw-len(s.Data)))
		address += (uint32(len(s.Data)) + sectionAlignment - 1) &^ (sectionAlignment - 1)
	}
	optional := stdpe.OptionalHeader64{
		Magic: 0x20b, AddressOfEntryPoint: sectionAlignment, ImageBase: 1 << 32,
		SectionAlignment: sectionAlignment, FileAlignment: fileAlignment,
		SizeOfImage: address, SizeOfHeaders: headerSize,
		Subsystem: stdpe.IMAGE_SUBSYSTEM_EFI_APPLICATION, NumberOfRvaAndSizes: 16,
	}
	header := stdpe.FileHeader{
		Machine:              stdpe.IMAGE_FILE_MACHINE_AMD64,
		NumberOfSections:     uint16(len(sections)),
		SizeOfOptionalHeader: uint16(binary.Size(optional)),
		Characteristics:      stdpe.IMAGE_FILE_EXECUTABLE_IMAGE | stdpe.IMAGE_FILE_LARGE_ADDRESS_AWARE,
	}
	var out bytes.Buffer
	out.WriteString("MZ")
	out.Write(make([]byte, peOffset-2))
	le.PutUint32(out.Bytes()[0x3c:], peOffset)
	out.WriteString("PE\x00\x00")
	_ = binary.Write(&out, le, header)
	_ = binary.Write(&out, le, optional)
	out.Write(table.Bytes())
	out.Write(make([]byte, headerSize-out.Len()))
	out.Write(data.Bytes())
	return out.Bytes()
}
