package tui

import (
	"maps"
	"slices"
	"strings"

	"github.com/stek-edge/stek/installer/preseed"
)

// draft is what was answered so far: values by their paths in the answer file, as
// preseed.Flatten gives them.
type draft struct {
	values  map[string][]string
	changed int // how often; what is made of the values holds until then
}

func newDraft(values map[string][]string) draft {
	d := draft{values: maps.Clone(values)}
	if d.values == nil {
		d.values = map[string][]string{}
	}
	delete(d.values, "ask") // the person is there
	return d
}

// one is the value of a key, or its default.
func (d *draft) one(path string) string {
	if v := d.values[path]; len(v) > 0 {
		return v[0]
	}
	key, _ := preseed.Lookup(path)
	return unquoted(key.Default)
}

// unquoted is a default as it is typed: the table has it as it is written in the file.
func unquoted(text string) string {
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		return text[1 : n-1]
	}
	return text
}

func (d *draft) list(path string) []string { return d.values[path] }

func (d *draft) has(path, word string) bool { return slices.Contains(d.values[path], word) }

// set keeps values; none, or an empty one, leaves the key to its default.
func (d *draft) set(path string, values ...string) {
	d.changed++
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	if len(values) == 0 {
		delete(d.values, path)
		return
	}
	d.values[path] = values
}

// toggle puts a word into a list, at its end, or takes it out. A list that was emptied is
// empty, and not left to its default.
func (d *draft) toggle(path, word string) {
	d.changed++
	words := slices.Clone(d.values[path])
	if i := slices.Index(words, word); i >= 0 {
		words = slices.Delete(words, i, i+1)
	} else {
		words = append(words, word)
	}
	d.values[path] = words
}

// drop forgets a key and all below it.
func (d *draft) drop(path string) {
	d.changed++
	for at := range d.below(path) {
		delete(d.values, at)
	}
}

// below are the values of a key and of all below it.
func (d *draft) below(path string) map[string][]string {
	of := map[string][]string{}
	for at, values := range d.values {
		if at == path || strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[") {
			of[at] = values
		}
	}
	return of
}

// any tells whether a key or one below it has a value.
func (d *draft) any(path string) bool { return len(d.below(path)) > 0 }
