package preseed

import (
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// Defaults returns the answers with every key filled in that was left open and has
// a default. The answers given are not changed. Sections that were not given, and
// boot.microsoft-keys when no keys are enrolled, stay open: they have no meaning.
func Defaults(a *Answers) *Answers {
	full := a.clone()
	full.Network.VPN.readConfig()
	visit(reflect.ValueOf(full).Elem(), "", "", func(key *Key, _ string, at reflect.Value) bool {
		if key.Default == "" || !at.IsZero() || key.Path == "boot.microsoft-keys" && full.Boot.SecureBoot != "enrol" {
			return true
		}
		if values := defaultValues[key.Path]; key.Type == List {
			setList(at, values)
		} else {
			setText(at, values[0])
		}
		return true
	})
	if full.Version == 0 {
		full.Version = FormatVersion
	}
	return full
}

// setList writes checked values into a field that is a list.
func setList(field reflect.Value, values []string) {
	list := reflect.MakeSlice(field.Type(), len(values), len(values))
	for i, value := range values {
		setText(list.Index(i), value)
	}
	field.Set(list)
}

// clone copies the answers so that Defaults, or the answers of one box, can change
// the copy. Lists and names are shared: they are replaced, never written into.
// Lists of sections and optional sections are written into, and copied.
func (a *Answers) clone() *Answers {
	copied := *a
	copySections(reflect.ValueOf(&copied).Elem(), "")
	return &copied
}

func copySections(section reflect.Value, path string) {
	for _, key := range keyChildren[path] {
		at := child(section, key)
		switch {
		case !at.IsValid():
		case key.Type == Items && at.Len() > 0:
			list := reflect.MakeSlice(at.Type(), at.Len(), at.Len())
			reflect.Copy(list, at)
			at.Set(list)
			for i := range list.Len() {
				copySections(list.Index(i), key.below())
			}
		case key.Type == Section && at.Kind() == reflect.Pointer && !at.IsNil():
			own := reflect.New(at.Type().Elem())
			own.Elem().Set(at.Elem())
			at.Set(own)
			copySections(own.Elem(), key.Path)
		case key.Type == Section && at.Kind() == reflect.Struct:
			copySections(at, key.Path)
		}
	}
}

// defaultValues are the defaults of the table, read once.
var defaultValues = func() map[string][]string {
	values := map[string][]string{}
	for i := range keyTable {
		if keyTable[i].Default != "" {
			values[keyTable[i].Path] = defaultValue(&keyTable[i])
		}
	}
	return values
}()

// defaultValue reads a Default of the table, which is written as in the file.
func defaultValue(key *Key) []string {
	src := &source{text: "default: " + key.Default + "\n"}
	file, err := src.tree(&collector{})
	if err != nil || file == nil {
		panic("preseed: default of " + key.Path + " is not YAML") // a mistake in the table; the tests read them all
	}
	value := entries(file.Docs[0].Body)[0].Value
	if key.Type != List {
		return []string{scalar(value)}
	}
	all := []string{}
	for _, item := range value.(*ast.SequenceNode).Values {
		all = append(all, scalar(item))
	}
	return all
}
