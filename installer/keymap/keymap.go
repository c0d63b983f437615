package keymap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
)

const (
	magic  = "bkeymap"
	tables = 256 // one for each combination of the eight modifiers
	keys   = 128 // of a table; loadkeys writes so many, the kernel has 256
)

// MaxSize is the length of the longest file, bytes.
const MaxSize = len(magic) + tables + tables*keys*2

// Keymap is a layout that the kernel may be given.
type Keymap struct {
	tables map[uint8]*[keys]uint16
}

// ErrFormat is wrapped by every error about a file that is no layout.
var ErrFormat = errors.New("this is no console keymap")

// Types of values, the high byte (include/uapi/linux/keyboard.h).
const (
	typeLatin  = 0
	typeFn     = 1
	typeSpec   = 2
	typePad    = 3
	typeDead   = 4
	typeCons   = 5
	typeCur    = 6
	typeShift  = 7
	typeMeta   = 8
	typeASCII  = 9
	typeLock   = 10
	typeLetter = 11
	typeSlock  = 12
	typeDead2  = 13
	typeBrl    = 14
	typesEnd   = 15
)

// largest is the largest low byte of each type that the kernel takes
// (drivers/tty/vt/keyboard.c, max_vals).
var largest = [typesEnd]uint16{
	typeLatin: 255, typeFn: 255, typeSpec: 19, typePad: 19, typeDead: 5, typeCons: 255, typeCur: 3, typeShift: 8,
	typeMeta: 255, typeASCII: 25, typeLock: 8, typeLetter: 255, typeSlock: 8, typeDead2: 255, typeBrl: 10,
}

// unicodeMask is what the values of other characters are written with: U+00E9 stands
// there as 0xf0e9, so that none of them is a typed value (kbd_kern.h, U).
const unicodeMask = 0xf000

const enter = typeSpec<<8 | 1 // K_ENTER

// returnKey is the keycode of Enter on every keyboard (input-event-codes.h, KEY_ENTER).
const returnKey = 28

// Parse reads a layout. Its errors wrap ErrFormat.
func Parse(data []byte) (*Keymap, error) {
	if len(data) < len(magic)+tables || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrFormat)
	}
	flags, rest := data[len(magic):len(magic)+tables], data[len(magic)+tables:]
	k := &Keymap{tables: map[uint8]*[keys]uint16{}}
	for table, flag := range flags {
		switch {
		case flag == 0:
			continue
		case flag != 1:
			return nil, fmt.Errorf("%w: table %d is marked with %d", ErrFormat, table, flag)
		case len(rest) < keys*2:
			return nil, fmt.Errorf("%w: it ends within table %d", ErrFormat, table)
		}
		var values [keys]uint16
		for key := range values {
			values[key] = binary.LittleEndian.Uint16(rest[key*2:])
			if !allowed(values[key]) {
				return nil, fmt.Errorf("%w: key %d of table %d has the value %#04x, which means nothing", ErrFormat, key, table, values[key])
			}
		}
		k.tables[uint8(table)], rest = &values, rest[keys*2:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes are left over", ErrFormat, len(rest))
	}
	if plain := k.tables[0]; plain == nil || plain[returnKey] != enter {
		return nil, fmt.Errorf("%w: nobody could press Enter with it", ErrFormat)
	}
	return k, nil
}

func allowed(value uint16) bool {
	if kind := value >> 8; kind < typesEnd {
		return value&0xff <= largest[kind]
	}
	// Characters of planes other than the first cannot be written; U+F000 and what
	// follows would look like a type. Neither is on a keyboard.
	r := rune(value ^ unicodeMask)
	return unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r)
}

// Apply hands every value to set, tables and keys in rising order, and stops at the
// first error.
func (k *Keymap) Apply(set func(table, key uint8, value uint16) error) error {
	for table := range tables {
		values := k.tables[uint8(table)]
		if values == nil {
			continue
		}
		for key, value := range values {
			if err := set(uint8(table), uint8(key), value); err != nil {
				return fmt.Errorf("setting key %d of table %d: %w", key, table, err)
			}
		}
	}
	return nil
}
