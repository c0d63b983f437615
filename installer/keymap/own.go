package keymap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownFile keeps the kernel's own tables until the machine restarts, for this program and
// for whichever is started after it.
const ownFile = "/run/stek/keymap"

// kernel holds the tables in use. Key 0 of a table stands for the table itself
// (drivers/tty/vt/keyboard.c, vt_kdgkbent and vt_kdskbent).
type kernel interface {
	get(table, key uint8) (value uint16, err error)
	set(table, key uint8, value uint16) error
}

// Values of key 0.
const (
	hole      = typeSpec << 8
	allocated = typeSpec<<8 | 126 // read: the table was made, and is none of the kernel's own
	noTable   = typeSpec<<8 | 127 // read: there is none; set: there shall be none
)

// change gives the kernel a layout, or none, upon its own tables. These are kept in a file
// before they are changed for the first time.
func change(k kernel, file string, layout []byte) error {
	own, err := kept(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && layout == nil:
		return nil // nothing was ever changed
	case errors.Is(err, fs.ErrNotExist):
		own, err = keep(k, file)
	}
	if err != nil {
		return fmt.Errorf("keeping the kernel's own layout of the keyboard: %w", err)
	}
	if err := own.restore(k); err != nil {
		return fmt.Errorf("setting the kernel's own layout of the keyboard: %w", err)
	}
	if layout == nil {
		return nil
	}
	m, err := Parse(layout)
	if err != nil {
		return err
	}
	return m.load(k)
}

func kept(file string) (*Keymap, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// keep writes the tables that the kernel has to a file, whole or not at all.
func keep(k kernel, file string) (*Keymap, error) {
	own, err := capture(k)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file+".new", own.format(), 0o644); err != nil {
		return nil, err
	}
	return own, os.Rename(file+".new", file)
}

// capture reads the tables that the kernel has.
func capture(k kernel) (*Keymap, error) {
	m := &Keymap{tables: map[uint8]*[keys]uint16{}}
	for table := range tables {
		first, err := k.get(uint8(table), 0)
		if err != nil {
			return nil, fmt.Errorf("reading table %d: %w", table, err)
		}
		if first == noTable {
			continue
		}
		values := &[keys]uint16{hole}
		for key := 1; key < keys; key++ {
			if values[key], err = k.get(uint8(table), uint8(key)); err != nil {
				return nil, fmt.Errorf("reading key %d of table %d: %w", key, table, err)
			}
		}
		m.tables[uint8(table)] = values
	}
	return m, nil
}

// restore gives the kernel these tables and takes all others away.
func (k *Keymap) restore(to kernel) error {
	for table := range tables {
		if k.tables[uint8(table)] != nil {
			continue
		}
		if err := to.set(uint8(table), 0, noTable); err != nil {
			return fmt.Errorf("removing table %d: %w", table, err)
		}
	}
	return k.Apply(to.set)
}

// load gives the kernel these tables beside those that it has.
func (k *Keymap) load(to kernel) error {
	if err := k.Apply(to.set); err != nil {
		return fmt.Errorf("setting the layout of the keyboard: %w", err)
	}
	return nil
}

// format is the layout as Parse reads it.
func (k *Keymap) format() []byte {
	flags, values := make([]byte, tables), []byte(nil)
	for table := range tables {
		of := k.tables[uint8(table)]
		if of == nil {
			continue
		}
		flags[table] = 1
		for _, value := range of {
			values = binary.LittleEndian.AppendUint16(values, value)
		}
	}
	return append(append([]byte(magic), flags...), values...)
}
