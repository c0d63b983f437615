package tui

import (
	"maps"
	"slices"

	"github.com/stek-edge/stek/installer/preseed"
)

// draft is what was answered so far: values by their paths in the answer file. It holds no
// secret: those are asked for by the steps that need them.
type draft struct{ values map[string][]string }

func newDraft(values map[string][]string) draft {
	d := draft{values: maps.Clone(values)}
	if d.values == nil {
		d.values = map[string][]string{}
	}
	return d
}

// one is the value of a key, or its default.
func (d draft) one(path string) string {
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

func (d draft) list(path string) []string { return d.values[path] }

func (d draft) has(path, word string) bool { return slices.Contains(d.values[path], word) }

// set keeps one value; an empty one leaves the key to its default.
func (d draft) set(path, value string) {
	if value == "" {
		delete(d.values, path)
		return
	}
	d.values[path] = []string{value}
}

// toggle puts a word into a list, at its end, or takes it out.
func (d draft) toggle(path, word string) {
	words := slices.Clone(d.values[path])
	if i := slices.Index(words, word); i >= 0 {
		words = slices.Delete(words, i, i+1)
	} else {
		words = append(words, word)
	}
	if len(words) == 0 {
		delete(d.values, path)
		return
	}
	d.values[path] = words
}

// file is the draft as an answer file.
func (d draft) file() ([]byte, error) { return preseed.Template(d.values) }

// answers reads the draft like any answer file, so that no other rule can hold for it.
func (d draft) answers() (*preseed.Answers, error) {
	text, err := d.file()
	if err != nil {
		return nil, err
	}
	a, err := preseed.Parse("", text)
	if err != nil {
		return nil, err
	}
	return preseed.Defaults(a), nil
}
