package fat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// Layout of a directory entry (the specification, "FAT directory structure").
const (
	slotSize       = 32
	attributeField = 11
	caseField      = 12 // Windows NT: which parts of a short name are lower case
	attributeDir   = 0x10
	attributeLabel = 0x08
	attributeFile  = 0x20 // "archive", what every system sets on a new file
	attributeLong  = 0x0f
	slotFree       = 0xe5
	slotLast       = 0x00 // this slot and all behind it are free
	longLast       = 0x40 // marks the first slot of a long name, which is its end
	longUnits      = 13   // UTF-16 units in one slot of a long name
	maxLongSlots   = 20
)

// Entry is a file or directory.
type Entry struct {
	Name     string
	Size     int64 // bytes; 0 for a directory
	IsDir    bool
	Modified time.Time // as written, taken to be UTC; FAT keeps two-second steps

	cluster uint32
	short   [11]byte
	slot    int // of the short entry
	slots   int // with those of the long name before it
}

// longOffsets are where a slot keeps its 13 units of the long name.
var longOffsets = [longUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

func shortChecksum(short []byte) byte {
	var sum byte
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// parseEntries reads the slots of a directory. Long names that do not belong
// to the entry behind them are ignored, as the specification asks.
func parseEntries(data []byte) []Entry {
	var entries []Entry
	var long []byte // slots of a long name, in the order found
	for i := 0; (i+1)*slotSize <= len(data); i++ {
		slot := data[i*slotSize : (i+1)*slotSize]
		switch {
		case slot[0] == slotLast:
			return entries
		case slot[0] == slotFree:
			long = nil
		case slot[attributeField]&0x3f == attributeLong:
			if slot[0]&longLast != 0 {
				long = nil
			}
			long = append(long, slot...)
		case slot[attributeField]&attributeLabel != 0:
			long = nil
		default:
			e := shortEntry(slot)
			e.slot, e.slots = i, 1
			if name, ok := longName(long, slot[:11]); ok {
				e.Name = name
				e.slots += len(long) / slotSize
			}
			long = nil
			if e.Name != "." && e.Name != ".." {
				entries = append(entries, e)
			}
		}
	}
	return entries
}

func shortEntry(slot []byte) Entry {
	le := binary.LittleEndian
	e := Entry{
		IsDir:    slot[attributeField]&attributeDir != 0,
		Modified: getTime(le.Uint16(slot[24:]), le.Uint16(slot[22:])),
		cluster:  uint32(le.Uint16(slot[20:]))<<16 | uint32(le.Uint16(slot[26:])),
		short:    [11]byte(slot),
	}
	if !e.IsDir {
		e.Size = int64(le.Uint32(slot[28:]))
	}
	part := func(b []byte, lower byte) string {
		text := strings.TrimRight(string(b), " ")
		if slot[caseField]&lower != 0 {
			text = strings.ToLower(text)
		}
		return strings.ToValidUTF8(text, "\ufffd")
	}
	e.Name = part(slot[:8], 0x08)
	if ext := part(slot[8:11], 0x10); ext != "" {
		e.Name += "." + ext
	}
	return e
}

// longName puts together a long name from its slots, which come last part
// first, and checks that they are complete and belong to the short name.
func longName(slots, short []byte) (string, bool) {
	n := len(slots) / slotSize
	if n == 0 || n > maxLongSlots {
		return "", false
	}
	var units []uint16
	for i := n - 1; i >= 0; i-- {
		slot := slots[i*slotSize:]
		want := byte(n - i)
		if i == 0 {
			want |= longLast
		}
		if slot[0] != want || slot[13] != shortChecksum(short) {
			return "", false
		}
		for _, at := range longOffsets {
			units = append(units, binary.LittleEndian.Uint16(slot[at:]))
		}
	}
	if end := slices.Index(units, 0); end >= 0 {
		units = units[:end]
	}
	name := string(utf16.Decode(units))
	return name, checkName(name) == nil
}

// checkName says why a name cannot be used. Readers use it too: a name with a
// slash in it must never reach a caller that joins paths.
func checkName(name string) error {
	units := utf16.Encode([]rune(name))
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is no file name", name)
	case len(units) > 255:
		return fmt.Errorf("the name %.40q… is longer than 255 characters", name)
	case strings.ContainsAny(name, `"*/:<>?\|`) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return fmt.Errorf("the name %q has a character that FAT does not allow", name)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return fmt.Errorf("the name %q ends in a dot or space, which Windows cannot open", name)
	}
	return nil
}

// makeSlots encodes an entry: long name slots where the name needs them, then
// the short entry.
func makeSlots(e Entry, siblings []Entry) ([]byte, error) {
	if err := checkName(e.Name); err != nil {
		return nil, err
	}
	short, exact, err := shortName(e.Name, siblings)
	if err != nil {
		return nil, err
	}
	var out []byte
	if !exact {
		units := utf16.Encode([]rune(e.Name))
		n := (len(units) + longUnits - 1) / longUnits
		if len(units)%longUnits != 0 {
			units = append(units, 0)
		}
		for len(units) < n*longUnits {
			units = append(units, 0xffff)
		}
		for i := n; i >= 1; i-- {
			slot := make([]byte, slotSize)
			slot[0] = byte(i)
			if i == n {
				slot[0] |= longLast
			}
			slot[attributeField] = attributeLong
			slot[13] = shortChecksum(short)
			for j, at := range longOffsets {
				binary.LittleEndian.PutUint16(slot[at:], units[(i-1)*longUnits+j])
			}
			out = append(out, slot...)
		}
	}
	slot := make([]byte, slotSize)
	copy(slot, short)
	slot[attributeField] = attributeFile
	if e.IsDir {
		slot[attributeField] = attributeDir
	}
	putTime(slot, e.Modified)
	putContent(slot, e.cluster, e.Size)
	return append(out, slot...), nil
}

// putContent writes where the data of an entry is.
func putContent(slot []byte, cluster uint32, size int64) {
	le := binary.LittleEndian
	le.PutUint16(slot[20:], uint16(cluster>>16))
	le.PutUint16(slot[26:], uint16(cluster))
	le.PutUint32(slot[28:], uint32(size))
}

// shortName makes the 8.3 name of an entry. It is exact if the name needs no
// long one: at most 8 and 3 characters, all upper case. Otherwise it is a
// numbered alias that no sibling has.
func shortName(name string, siblings []Entry) (short []byte, exact bool, err error) {
	base, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		base, ext = name[:dot], name[dot+1:]
	}
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("$%'-_@~`!(){}^#&", r):
				return r
			case r >= 'a' && r <= 'z':
				return r - 'a' + 'A'
			case r == '.' || r == ' ':
				return -1
			}
			return '_'
		}, s)
	}
	b, x := clean(base), clean(ext)
	pack := func(b, x string) []byte { return fmt.Appendf(nil, "%-8.8s%-3.3s", b, x) }
	used := func(s []byte) bool {
		return slices.ContainsFunc(siblings, func(e Entry) bool { return bytes.Equal(e.short[:], s) })
	}
	if b == base && x == ext && len(b) <= 8 && len(x) <= 3 {
		if s := pack(b, x); !used(s) {
			return s, true, nil
		}
	}
	for i := 1; i < 1000000; i++ {
		tail := fmt.Sprintf("~%d", i)
		if s := pack(b[:min(len(b), 8-len(tail))]+tail, x); !used(s) {
			return s, false, nil
		}
	}
	return nil, false, errors.New("the directory has too many similar names")
}

// putTime sets creation, access and write time of a slot.
func putTime(slot []byte, t time.Time) {
	date, clock := dosTime(t)
	le := binary.LittleEndian
	le.PutUint16(slot[14:], clock)
	le.PutUint16(slot[16:], date)
	le.PutUint16(slot[18:], date)
	le.PutUint16(slot[22:], clock)
	le.PutUint16(slot[24:], date)
}

// dosTime encodes a time; FAT knows 1980 to 2107.
func dosTime(t time.Time) (date, clock uint16) {
	t = t.UTC()
	if t.Year() < 1980 {
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if t.Year() > 2107 {
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	date = uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day())
	return date, uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
}

func getTime(date, clock uint16) time.Time {
	return time.Date(1980+int(date>>9), time.Month(date>>5&15), int(date&31),
		int(clock>>11), int(clock>>5&63), int(clock&31)*2, 0, time.UTC)
}
