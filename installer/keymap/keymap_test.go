package keymap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// layout reads one that loadkeys made of Debian's console-data.
func layout(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", FileName(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Keycodes (input-event-codes.h) by what stands on a US keyboard.
const (
	keyQ = 16
	keyY = 21
	key2 = 3
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name  string
		table uint8 // 0 plain, 1 with Shift, 2 with AltGr
		key   uint8
		want  rune
	}{
		{"de", 0, keyY, 'z'}, {"de", 1, keyY, 'Z'}, {"de", 1, key2, '"'}, {"de", 2, keyQ, '@'},
		{"fr-latin1", 0, keyQ, 'a'}, {"fr-latin1", 0, key2, 'é'}, {"fr-latin1", 1, key2, '2'},
		{"ru", 0, keyQ, 'q'},
		{"gr", 0, keyQ, 'q'},
	} {
		k, err := Parse(layout(t, c.name))
		if err != nil {
			t.Fatal(err)
		}
		value := k.tables[c.table][c.key]
		got := rune(value & 0xff) // a Latin-1 character or letter
		if value>>8 >= typesEnd {
			got = rune(value ^ unicodeMask)
		}
		if got != c.want {
			t.Errorf("%s, table %d, key %d: %q (%#04x), want %q", c.name, c.table, c.key, got, value, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := layout(t, "de")
	bend := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	const first = len(magic) + tables // of the values of table 0
	for name, data := range map[string][]byte{
		"nothing":              nil,
		"another file":         []byte("# de.kmap"),
		"cut short":            good[:len(good)-1],
		"only the head":        good[:first-1],
		"no table":             append([]byte(magic), make([]byte, tables)...),
		"something behind it":  append(bytes.Clone(good), 0),
		"a flag of 2":          bend(func(b []byte) []byte { b[len(magic)+5] = 2; return b }),
		"one table less":       bend(func(b []byte) []byte { b[len(magic)] = 0; return b }),
		"a function too many":  bend(func(b []byte) []byte { b[first+2], b[first+3] = 126, typeSpec; return b }),
		"half a pair":          bend(func(b []byte) []byte { b[first+2], b[first+3] = 0x00, 0xd8^0xf0; return b }),
		"a control character":  bend(func(b []byte) []byte { b[first+2], b[first+3] = 0x1b, 0xf0; return b }),
		"Enter is another key": bend(func(b []byte) []byte { b[first+2*returnKey] = 'x'; b[first+2*returnKey+1] = 0; return b }),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse(data); !errors.Is(err, ErrFormat) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestApply(t *testing.T) {
	k, err := Parse(layout(t, "de"))
	if err != nil {
		t.Fatal(err)
	}
	calls, stop := 0, errors.New("the kernel refuses")
	if err := k.Apply(func(table, key uint8, value uint16) error {
		calls++
		if k.tables[table][key] != value {
			t.Errorf("table %d, key %d: %#04x", table, key, value)
		}
		return nil
	}); err != nil || calls != len(k.tables)*keys {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = 0
	if err := k.Apply(func(uint8, uint8, uint16) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%d calls after a refusal, %v", calls, err)
	}
}

func TestRead(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, FileName("de")), []byte("bkeymap"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir, keyboard string
		data, wrong         bool
	}{
		{"built in", "nowhere", "us", false, false},
		{"none named", "nowhere", "", false, false},
		{"there", "testdata", "de", true, false},
		{"not in the image", "testdata", "nl", false, true},
		{"broken", broken, "de", false, true},
		{"a path", "testdata", "../testdata/de", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, err := Read(c.dir, c.keyboard)
			missing := (*LayoutError)(nil)
			if (data != nil) != c.data || (err != nil) != c.wrong || errors.As(err, &missing) != c.wrong {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"de", "fr-latin1", "ru", "gr"} {
		f.Add(layout(f, name))
	}
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := Parse(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if len(data) > MaxSize {
			t.Errorf("%d bytes were taken", len(data))
		}
		_ = k.Apply(func(_, _ uint8, value uint16) error {
			if kind := value >> 8; kind < typesEnd && value&0xff > largest[kind] {
				t.Errorf("value %#04x", value)
			}
			return nil
		})
	})
}
