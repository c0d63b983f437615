package pe_test

import (
	"bytes"
	stdpe "debug/pe"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stek-edge/stek/firmware/pe"
	"github.com/stek-edge/stek/test/petest"
)

func parse(t *testing.T, raw []byte) *pe.File {
	t.Helper()
	f, err := pe.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAppendIsReadByOthers(t *testing.T) {
	stub := petest.Stub(petest.Section{Name: ".sbat", Data: []byte("sbat,1\n")})
	added := []pe.NewSection{
		{Name: ".linux", Data: bytes.Repeat([]byte("kernel"), 1000), Code: true},
		{Name: ".cmdline", Data: []byte("quiet")},
		{Name: ".initrd", Data: bytes.Repeat([]byte{7}, 0x1000)},
	}
	out, err := parse(t, stub).Append(added)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(t, stub).Append(added)
	if err != nil || !bytes.Equal(out, again) {
		t.Fatal("appending twice gives different bytes")
	}

	f, err := stdpe.NewFile(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	optional := f.OptionalHeader.(*stdpe.OptionalHeader64)
	if len(f.Sections) != 5 {
		t.Fatalf("%d sections, want 5", len(f.Sections))
	}
	var end uint32
	for i, s := range f.Sections {
		if s.VirtualAddress < end || s.VirtualAddress%optional.SectionAlignment != 0 {
			t.Errorf("section %s at %#x, previous one ends at %#x", s.Name, s.VirtualAddress, end)
		}
		end = s.VirtualAddress + s.VirtualSize
		if i < 2 {
			continue
		}
		data, err := s.Data()
		if err != nil || !bytes.Equal(data[:s.VirtualSize], added[i-2].Data) {
			t.Errorf("section %s: content differs (%v)", s.Name, err)
		}
	}
	if optional.SizeOfImage < end || optional.SizeOfImage%optional.SectionAlignment != 0 {
		t.Errorf("SizeOfImage %#x, sections end at %#x", optional.SizeOfImage, end)
	}
	if got, want := optional.CheckSum, slowChecksum(out, optional.CheckSum); got != want {
		t.Errorf("checksum %#x, want %#x", got, want)
	}
}

// slowChecksum follows the definition word by word, on a copy without the
// stored sum.
func slowChecksum(image []byte, stored uint32) uint32 {
	var field [4]byte
	binary.LittleEndian.PutUint32(field[:], stored)
	at := bytes.Index(image[:0x400], field[:])
	c := bytes.Clone(image)
	clear(c[at : at+4])
	var sum uint32
	for i := 0; i < len(c); i += 2 {
		sum += uint32(binary.LittleEndian.Uint16(c[i:]))
		sum = sum>>16 + sum&0xffff
	}
	return sum + uint32(len(c))
}

func TestAppendRefuses(t *testing.T) {
	many := make([]pe.NewSection, 60)
	for i := range many {
		many[i] = pe.NewSection{Name: ".x", Data: []byte("x")}
	}
	one := []pe.NewSection{{Name: ".x", Data: []byte("x")}}
	signed, err := parse(t, petest.Stub()).AppendCertificate([]byte("signature"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		stub  []byte
		add   []pe.NewSection
		error string
	}{
		{"more sections than the headers hold", petest.Stub(), many, "no room for 61 sections"},
		{"a signed stub", signed, one, "is signed"},
		{"bytes behind the sections", append(petest.Stub(), 1, 2, 3), one, "3 bytes follow"},
		{"a name of nine bytes", petest.Stub(), []pe.NewSection{{Name: ".ninechar", Data: []byte("x")}}, "1 to 8 bytes"},
		{"an empty section", petest.Stub(), []pe.NewSection{{Name: ".x"}}, "is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(t, c.stub).Append(c.add)
			if err == nil || !strings.Contains(err.Error(), c.error) {
				t.Fatalf("error %v, want one with %q", err, c.error)
			}
		})
	}
}

func TestCertificatesComeBack(t *testing.T) {
	unsigned := petest.Stub()
	f := parse(t, unsigned)
	if _, err := f.Certificates(); !errors.Is(err, pe.ErrUnsigned) {
		t.Fatalf("error %v, want ErrUnsigned", err)
	}
	want := f.Digest()
	for _, signature := range []string{"first signature", "another, longer one"} {
		out, err := f.AppendCertificate([]byte(signature))
		if err != nil {
			t.Fatal(err)
		}
		f = parse(t, out)
		if f.Digest() != want {
			t.Fatal("a signature changes the digest it signs")
		}
	}
	certificates, err := f.Certificates()
	if err != nil || len(certificates) != 2 {
		t.Fatalf("%d certificates, error %v", len(certificates), err)
	}
	if got := strings.TrimRight(string(certificates[1]), "\x00"); got != "another, longer one" {
		t.Errorf("second certificate %q", got)
	}
}

// The digest and the table are compared with sbsigntool in package secureboot;
// here its other half: a file of odd length is padded before it is hashed.
func TestDigestCountsPadding(t *testing.T) {
	odd := append(petest.Stub(), 1, 2, 3)
	out, err := parse(t, odd).AppendCertificate([]byte("s"))
	if err != nil {
		t.Fatal(err)
	}
	if parse(t, odd).Digest() != parse(t, out).Digest() {
		t.Fatal("digests before and after signing differ")
	}
}

func TestParseRefuses(t *testing.T) {
	good := petest.Stub()
	const start, optional = 0x80, 0x80 + 24
	edit := func(change func(b []byte)) []byte {
		b := bytes.Clone(good)
		change(b)
		return b
	}
	put16 := binary.LittleEndian.PutUint16
	put32 := binary.LittleEndian.PutUint32
	table := optional + 240
	for name, raw := range map[string][]byte{
		"nothing":                        nil,
		"text":                           bytes.Repeat([]byte("text"), 100),
		"only a DOS header":              good[:64],
		"cut in the optional header":     good[:optional+50],
		"cut in a section":               good[:len(good)-1],
		"PE header far outside":          edit(func(b []byte) { put32(b[0x3c:], 0xfffffff0) }),
		"PE32":                           edit(func(b []byte) { put16(b[optional:], 0x10b) }),
		"no sections":                    edit(func(b []byte) { put16(b[start+6:], 0) }),
		"65535 sections":                 edit(func(b []byte) { put16(b[start+6:], 0xffff) }),
		"alignment zero":                 edit(func(b []byte) { put32(b[optional+36:], 0) }),
		"section in the headers":         edit(func(b []byte) { put32(b[table+20:], 0x10) }),
		"section data outside":           edit(func(b []byte) { put32(b[table+16:], 0x7fffffff) }),
		"section of 4 GiB in memory":     edit(func(b []byte) { put32(b[table+8:], 0xffffffff) }),
		"certificates outside":           edit(func(b []byte) { put32(b[optional+144:], 8); put32(b[optional+148:], 0xfffffff8) }),
		"certificates inside a section":  edit(func(b []byte) { put32(b[optional+144:], 0x600); put32(b[optional+148:], 16) }),
		"directories beyond the header":  edit(func(b []byte) { put32(b[optional+108:], 0x10000000) }),
		"headers longer than the file":   edit(func(b []byte) { put32(b[optional+60:], 0x100000) }),
		"optional header of zero length": edit(func(b []byte) { put16(b[start+20:], 0) }),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := pe.Parse(raw); !errors.Is(err, pe.ErrFormat) {
				t.Fatalf("error %v, want ErrFormat", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(petest.Stub())
	f.Add(petest.Stub(petest.Section{Name: ".linux", Data: []byte("kernel")}))
	f.Add([]byte("MZ"))
	stub, err := pe.Parse(petest.Stub())
	if err != nil {
		f.Fatal(err)
	}
	signed, err := stub.AppendCertificate([]byte("signature"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := pe.Parse(raw)
		if err != nil {
			return
		}
		file.Digest()
		_, _ = file.Certificates()
		for _, s := range file.Sections {
			file.FileData(s)
		}
		if out, err := file.Append([]pe.NewSection{{Name: ".x", Data: []byte("x")}}); err == nil {
			if _, err := pe.Parse(out); err != nil {
				t.Fatalf("what was appended to does not parse: %v", err)
			}
		}
		if out, err := file.AppendCertificate([]byte("x")); err == nil {
			if _, err := pe.Parse(out); err != nil {
				t.Fatalf("what was signed does not parse: %v", err)
			}
		}
	})
}
