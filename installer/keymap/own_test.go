package keymap

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// fake is a kernel: tables by their number, of which a new one is marked at its key 0.
type fake struct {
	tables map[uint8][keys]uint16
	calls  int
	breaks int // the call of set that fails; 0: none
}

var errBroken = errors.New("the kernel refuses")

func (f *fake) get(table, key uint8) (uint16, error) {
	values, there := f.tables[table]
	switch {
	case there:
		return values[key], nil
	case key == 0:
		return noTable, nil
	}
	return hole, nil
}

func (f *fake) set(table, key uint8, value uint16) error {
	if f.calls++; f.calls == f.breaks {
		return errBroken
	}
	switch {
	case key == 0 && value == noTable:
		delete(f.tables, table)
		return nil
	case !allowed(value):
		return errors.New("invalid argument")
	case key == 0:
		return nil // only looked at
	}
	values, there := f.tables[table]
	if !there {
		values = [keys]uint16{allocated}
		for i := 1; i < keys; i++ {
			values[i] = hole
		}
	}
	values[key] = value
	f.tables[table] = values
	return nil
}

// american is a kernel with its own layout: plain and shifted, as far as the tests need.
func american() *fake {
	plain, shifted := [keys]uint16{hole}, [keys]uint16{hole}
	for key := 1; key < keys; key++ {
		plain[key], shifted[key] = hole, hole
	}
	plain[returnKey], shifted[returnKey] = enter, enter
	plain[keyY], shifted[keyY] = typeLetter<<8|'y', typeLetter<<8|'Y'
	return &fake{tables: map[uint8][keys]uint16{0: plain, 1: shifted}}
}

// Whatever was loaded before, the kernel has what a layout alone makes of its own tables,
// also after the program was started again.
func TestChange(t *testing.T) {
	after := func(names ...string) map[uint8][keys]uint16 {
		t.Helper()
		k, file := american(), filepath.Join(t.TempDir(), "stek", "keymap")
		for _, name := range names {
			data, err := Read("testdata", name)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(k, file, data); err != nil {
				t.Fatal(err)
			}
		}
		return k.tables
	}
	for _, c := range []struct {
		name     string
		loaded   []string
		likeOnly []string
	}{
		{"back to the built-in layout", []string{"de", "us"}, nil},
		{"none named", []string{"ru", "de", ""}, nil},
		{"the built-in layout first", []string{"us", "de", "us"}, nil},
		{"another one", []string{"ru", "de"}, []string{"de"}},
		{"the same again", []string{"de", "us", "de"}, []string{"de"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := after(c.loaded...); !maps.Equal(got, after(c.likeOnly...)) {
				t.Errorf("%d tables, not as with %q alone", len(got), c.likeOnly)
			}
		})
	}
	if maps.Equal(after("de"), american().tables) {
		t.Error("a layout changes nothing")
	}
}

// A layout that the kernel took in part only is gone when another one is set.
func TestChangeAfterFailure(t *testing.T) {
	k, file := american(), filepath.Join(t.TempDir(), "keymap")
	k.breaks = 700 // within the layout, behind what restores the kernel's own tables
	if err := change(k, file, layout(t, "de")); !errors.Is(err, errBroken) || maps.Equal(k.tables, american().tables) {
		t.Fatalf("%v, and the tables are as before", err)
	}
	if err := change(k, file, nil); err != nil || !maps.Equal(k.tables, american().tables) {
		t.Errorf("back to the built-in layout: %v", err)
	}
}

// The built-in layout is never touched as long as there was no other one.
func TestChangeNothing(t *testing.T) {
	k, file := american(), filepath.Join(t.TempDir(), "keymap")
	if err := change(k, file, nil); err != nil || k.calls > 0 {
		t.Errorf("%d calls, %v", k.calls, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("tables that nobody changes are kept")
	}
}

// A file that is no layout is not given to the kernel.
func TestChangeRefuses(t *testing.T) {
	k, file := american(), filepath.Join(t.TempDir(), "keymap")
	if err := os.WriteFile(file, []byte(magic), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := change(k, file, layout(t, "de")); !errors.Is(err, ErrFormat) || k.calls > 0 {
		t.Errorf("%d calls, %v", k.calls, err)
	}
}

func TestFormat(t *testing.T) {
	for _, name := range []string{"de", "fr-latin1", "ru", "gr"} {
		data := layout(t, name)
		k, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.format(), data) {
			t.Errorf("%s is not as it was read", name)
		}
	}
}
