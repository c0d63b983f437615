package root

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ulikunitz/xz"
)

// module makes a kernel module that depmod accepts: an ELF object with .modinfo, a
// symbol that it exports and one that it needs (each may be empty).
func module(t *testing.T, modinfo []string, exports, needs string) []byte {
	t.Helper()
	var info bytes.Buffer
	for _, line := range modinfo {
		info.WriteString(line + "\x00")
	}
	strtab := []byte("\x00")
	symtab := make([]byte, 24)
	symbol := func(name string, section uint16) {
		sym := make([]byte, 24)
		binary.LittleEndian.PutUint32(sym, uint32(len(strtab)))
		sym[4] = 1 << 4 // global
		binary.LittleEndian.PutUint16(sym[6:], section)
		strtab = append(strtab, name+"\x00"...)
		symtab = append(symtab, sym...)
	}
	ksymtab := []byte{0}
	if exports != "" {
		symbol("__ksymtab_"+exports, 1)
		ksymtab = []byte(exports + "\x00")
	}
	if needs != "" {
		symbol(needs, 0)
	}
	type section struct {
		name       string
		kind       uint32
		data       []byte
		link, info uint32
		entry      uint64
	}
	sections := []section{{}, {name: ".modinfo", kind: 1, data: info.Bytes()}, {name: "__ksymtab_strings", kind: 1, data: ksymtab},
		{name: ".symtab", kind: 2, data: symtab, link: 4, info: 1, entry: 24}, {name: ".strtab", kind: 3, data: strtab}, {name: ".shstrtab", kind: 3}}
	names := []byte{0}
	offsets := make([]uint32, len(sections))
	for i, s := range sections[1:] {
		offsets[i+1] = uint32(len(names))
		names = append(names, s.name+"\x00"...)
	}
	sections[5].data = names

	out := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	put := binary.LittleEndian
	put.PutUint16(out[16:], 1)  // relocatable
	put.PutUint16(out[18:], 62) // x86-64
	put.PutUint32(out[20:], 1)
	put.PutUint16(out[52:], 64)
	put.PutUint16(out[58:], 64)
	put.PutUint16(out[60:], uint16(len(sections)))
	put.PutUint16(out[62:], 5)
	var headers bytes.Buffer
	for i, s := range sections {
		h := make([]byte, 64)
		if i > 0 {
			put.PutUint32(h, offsets[i])
			put.PutUint32(h[4:], s.kind)
			put.PutUint64(h[24:], uint64(len(out)))
			put.PutUint64(h[32:], uint64(len(s.data)))
			put.PutUint32(h[40:], s.link)
			put.PutUint32(h[44:], s.info)
			put.PutUint64(h[48:], 1)
			put.PutUint64(h[56:], s.entry)
			out = append(out, s.data...)
			for len(out)%8 != 0 {
				out = append(out, 0)
			}
		}
		headers.Write(h)
	}
	put.PutUint64(out[40:], uint64(len(out)))
	out = append(out, headers.Bytes()...)

	var packed bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: xz.CRC32}.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(out); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

const testKernel = "6.1.0-test"

// mkTree makes a tree; entries are added in order.
func mkTree(t *testing.T, entries ...Entry) *Tree {
	t.Helper()
	tree := NewTree()
	for _, e := range entries {
		if err := tree.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// mkKernel adds a small kernel: veth needs nothing, vxlan needs udp_tunnel, ext4
// softly needs the alias crypto-crc32c that crc32c answers, sound is unwanted.
func mkKernel(t *testing.T, tree *Tree) {
	t.Helper()
	order := ""
	for _, m := range []struct {
		path           string
		modinfo        []string
		exports, needs string
	}{
		{"net/ipv4/udp_tunnel", []string{"license=GPL"}, "udp_tunnel_sock", ""},
		{"drivers/net/veth", []string{"license=GPL", "alias=rtnl-link-veth"}, "", ""},
		{"drivers/net/vxlan/vxlan", []string{"license=GPL"}, "", "udp_tunnel_sock"},
		{"fs/ext4/ext4", []string{"license=GPL", "softdep=pre: crypto-crc32c"}, "", ""},
		{"crypto/crc32c_generic", []string{"license=GPL", "alias=crypto-crc32c"}, "", ""},
		{"sound/soundcore", []string{"license=GPL"}, "", ""},
	} {
		name := "kernel/" + m.path + ".ko"
		order += name + "\n"
		if err := tree.Add(File(modulesDir+"/"+testKernel+"/"+name+".xz", 0o644, module(t, m.modinfo, m.exports, m.needs))); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"usr/lib/modules/" + testKernel + "/modules.order":           order,
		"usr/lib/modules/" + testKernel + "/modules.builtin":         "kernel/fs/fat/fat.ko\n",
		"usr/lib/modules/" + testKernel + "/modules.builtin.modinfo": "fat.license=GPL\x00",
	} {
		if err := tree.Add(File(name, 0o644, []byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	if err := depmod(t.Context(), Exec{}, tree, testKernel, t.TempDir()); err != nil {
		t.Fatal(err)
	}
}
