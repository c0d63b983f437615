package preseed

import (
	"encoding"
	"reflect"
	"strings"
	"testing"
)

// fieldForm tells whether a Go type can keep a key of each form.
var fieldForm = map[Type]func(reflect.Type) bool{
	Section: func(t reflect.Type) bool {
		return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
	},
	Items:  func(t reflect.Type) bool { return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct },
	Text:   isText,
	List:   func(t reflect.Type) bool { return t.Kind() == reflect.Slice && isText(t.Elem()) },
	Pairs:  func(t reflect.Type) bool { return t == reflect.TypeFor[map[string]string]() },
	Switch: func(t reflect.Type) bool { return t == reflect.TypeFor[bool]() || t == reflect.TypeFor[*bool]() },
	Number: func(t reflect.Type) bool { return t == reflect.TypeFor[int]() },
	Size:   func(t reflect.Type) bool { return t == reflect.TypeFor[Bytes]() },
}

// isText tells whether values of a type are read from text and written as text.
func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) && t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// TestTableFitsAnswers keeps the key table and the Go types together.
func TestTableFitsAnswers(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range Keys() {
		if seen[key.Path] {
			t.Errorf("%s is in the table twice", key.Path)
		}
		seen[key.Path] = true
		if parent := strings.TrimSuffix(key.Parent(), "[]"); parent != "" && !seen[parent] {
			t.Errorf("%s comes before its section", key.Path)
		}
		if key.Description == "" || !strings.HasSuffix(key.Description, ".") {
			t.Errorf("%s is not described in sentences", key.Path)
		}
		if key.Example == "" && key.Type != Section && key.Type != Items {
			t.Errorf("%s has no example", key.Path)
		}
		if key.Type == Number && key.Path != "stek" && key.Max == 0 {
			t.Errorf("%s has no bounds", key.Path)
		}
	}
	var walk func(reflect.Type, string)
	walk = func(section reflect.Type, path string) {
		fields := map[string]reflect.Type{}
		for _, field := range reflect.VisibleFields(section) {
			if !field.Anonymous {
				fields[field.Tag.Get("yaml")] = field.Type
			}
		}
		for _, key := range keyChildren[path] {
			typ, kept := fields[key.Name()]
			delete(fields, key.Name())
			switch {
			case !kept:
				t.Errorf("%s is kept nowhere in %s", key.Path, section)
			case !fieldForm[key.Type](typ):
				t.Errorf("%s is %s, but kept in a %s", key.Path, key.Type, typ)
			case key.Type == Section && typ.Kind() == reflect.Pointer, key.Type == Items:
				walk(typ.Elem(), key.below())
			case key.Type == Section:
				walk(typ, key.below())
			}
		}
		for name := range fields {
			if path == "boxes[]" {
				break // the sections that are for all boxes only
			}
			t.Errorf("%s has %q, the table has not", section, name)
		}
	}
	walk(reflect.TypeFor[document](), "")
	for _, later := range notBuilt {
		key, known := keyIndex[later.key]
		if !known || later.word != "" && !contains(key.Values, later.word) {
			t.Errorf("the list of what is not built names %v, which the format has not", later)
		}
	}
}

// TestExamplesAndDefaults reads every example and default of the table as a file.
func TestExamplesAndDefaults(t *testing.T) {
	for _, key := range Keys() {
		for _, value := range []string{key.Example, key.Default} {
			if value == "" {
				continue
			}
			text, indent, dash := "", "", ""
			names := strings.Split(key.Path, ".")
			for i, name := range names {
				name, list := strings.CutSuffix(name, "[]")
				text += indent + dash + name + ":"
				indent += strings.Repeat(" ", len(dash))
				indent, dash = indent+"  ", ""
				if list {
					dash = "- "
				}
				if i < len(names)-1 {
					text += "\n"
				}
			}
			_, err := Parse("f", []byte(text+" "+value+"\n"))
			for _, fault := range errorFaults(err) {
				if fault.Kind != FaultMissing && fault.Kind != FaultConflict {
					t.Errorf("%s: %v", key.Path, fault)
				}
			}
		}
	}
}

func errorFaults(err error) Faults {
	if err == nil {
		return nil
	}
	return err.(Faults)
}

// TestLists checks that the embedded lists are sorted, for the binary search, and
// that names given as a remedy exist.
func TestLists(t *testing.T) {
	for name, list := range map[string][]string{"time zones": Timezones(), "keyboards": Keyboards()} {
		if len(list) < 100 {
			t.Errorf("only %d %s", len(list), name)
		}
		for i := 1; i < len(list); i++ {
			if list[i-1] >= list[i] {
				t.Errorf("%s: %q stands before %q", name, list[i-1], list[i])
			}
		}
	}
	for _, zone := range []string{"UTC", "Europe/Amsterdam", "America/Argentina/Ushuaia", "Etc/GMT-3"} {
		if checkTimezone(zone) != nil {
			t.Errorf("%s is refused", zone)
		}
	}
	for from, to := range keyboardNames {
		if checkKeyboard(to) != nil {
			t.Errorf("keyboard %q leads to %q, which does not exist", from, to)
		}
		if checkKeyboard(from) == nil {
			t.Errorf("keyboard %q exists and needs no other name", from)
		}
	}
	for name, path := range otherNames {
		if _, known := Lookup(path); !known || fold(name) != name {
			t.Errorf("the name %q leads to %q", name, path)
		}
	}
}

// TestExplain checks one explanation of each kind.
func TestExplain(t *testing.T) {
	for path, want := range map[string]string{
		"":                               "  k3s ",
		"disk.match.bus":                 "Values: nvme, sata, scsi, usb, mmc, virtio",
		"disk.match":                     "min-size",
		"encryption.unlock[1]":           "Not in this version: tang",
		"node.admin.password-hash":       "Secret",
		"fleet":                          "Not in this version",
		"network.vpn":                    "The tunnel as the text of a wg0.conf",
		"encryption":                     "(not in this version) Options of the method tang",
		"encryption.tang.url":            "Not in this version",
		"network.links[0].wifi.security": "Values: open, wpa2, wpa3, enterprise",
		"stek":                           "Required",
	} {
		text, err := Explain(path)
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("Explain(%q) = %q, %v; want %q in it", path, text, err, want)
		}
	}
	for path, want := range map[string]string{"disk.match.buss": "did you mean bus?", "hostname": "did you mean node.name?", "node.x": "known here: name"} {
		if _, err := Explain(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Explain(%q): %v, want %s", path, err, want)
		}
	}
}
