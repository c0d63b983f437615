package preseed

import (
	"reflect"
	"strings"
	"testing"
)

// fieldForm is the Go type that keeps a key of each form.
var fieldForm = map[Type][]reflect.Type{
	Text:   {reflect.TypeFor[string](), reflect.TypeFor[Secret]()},
	List:   {reflect.TypeFor[[]string]()},
	Pairs:  {reflect.TypeFor[map[string]string]()},
	Switch: {reflect.TypeFor[bool](), reflect.TypeFor[*bool]()},
	Number: {reflect.TypeFor[int]()},
	Size:   {reflect.TypeFor[Bytes]()},
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
		at := field(new(Answers), key.Path)
		if at.IsValid() != key.Built {
			t.Errorf("%s: built=%v, but a field of Answers: %v", key.Path, key.Built, at.IsValid())
		}
		if !key.Built || key.Type == Section {
			continue
		}
		fits := false
		for _, form := range fieldForm[key.Type] {
			fits = fits || at.Type() == form
		}
		if !fits {
			t.Errorf("%s is %s, but kept in a %s", key.Path, key.Type, at.Type())
		}
		if key.Example == "" {
			t.Errorf("%s has no example", key.Path)
		}
	}
	for path := range keyFields {
		if !seen[path] {
			t.Errorf("Answers has %s, the table has not", path)
		}
	}
}

// TestExamplesAndDefaults reads every example and default of the table as a file.
func TestExamplesAndDefaults(t *testing.T) {
	for _, key := range Keys() {
		if !key.Built || key.Type == Section {
			continue
		}
		for _, value := range []string{key.Example, key.Default} {
			if value == "" {
				continue
			}
			names := strings.Split(key.Path, ".")
			text := ""
			for i, name := range names {
				text += strings.Repeat("  ", i) + name + ":"
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
		"encryption.unlock[1]":           "Later versions also take: tang",
		"node.admin.password-hash":       "Secret",
		"network.links":                  "Not in this version",
		"network.links[0].wifi.security": "Not in this version",
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
