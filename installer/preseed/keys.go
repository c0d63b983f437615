package preseed

import (
	"reflect"
	"slices"
	"strings"
)

// Type is the form of a key's value in the file.
type Type string

// The forms of values.
const (
	Section Type = "section" // keys of the format, one level down
	Items   Type = "list of sections"
	Text    Type = "text"
	List    Type = "list of text" // every entry once
	Pairs   Type = "text by name" // keys of one's own, text values
	Switch  Type = "true or false"
	Number  Type = "number"
	Size    Type = "size" // see Bytes
	Any     Type = "anything"
)

// Key describes one key of the answer file. The table of all keys is what the
// decoder, Explain, Schema, Defaults and Redacted work from.
type Key struct {
	// Path names the key with dots: disk.match.serial. [] stands for the entries of
	// a list of sections: network.links[].name.
	Path        string
	Type        Type
	Description string
	Default     string   // as it would be written in the file; "" when there is none
	Example     string   // as it would be written in the file
	Values      []string // the only words allowed, when not empty
	Later       []string // words of the format that this version does not carry out
	Required    bool
	Secret      bool // the value never shows in messages or in a replay file
	Built       bool // this version carries it out; otherwise giving it is a fault

	rule rule // judges a text, or one entry of a list
	pair pairRule
}

// problem is why a value is refused, in the words of a Fault.
type problem struct {
	kind            FaultKind
	message, remedy string
}

// rule judges a value by its meaning. It returns nil for a good one. A rule for a
// secret never repeats the value.
type rule func(value string) *problem

// pairRule judges one name and value of Pairs.
type pairRule func(name, value string) *problem

// bad is a problem with a value.
func bad(message, remedy string) *problem { return &problem{FaultValue, message, remedy} }

// Name returns the last word of the path, as it is written in the file.
func (k Key) Name() string {
	return strings.TrimSuffix(k.Path[strings.LastIndexByte(k.Path, '.')+1:], "[]")
}

// Parent returns the path of the section that holds the key, "" for the file itself.
func (k Key) Parent() string { return k.Path[:max(strings.LastIndexByte(k.Path, '.'), 0)] }

// Keys returns every key of the format in the order of the file, also those that
// this version does not carry out.
func Keys() []Key { return slices.Clone(keyTable) }

// Lookup returns the key with this path. Entries of lists may be numbered:
// encryption.unlock[1] is encryption.unlock.
func Lookup(path string) (Key, bool) {
	if k := keyIndex[path]; k != nil {
		return *k, true
	}
	numbered := false
	plain := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' && numbered {
			return -1
		}
		numbered = r == '['
		return r
	}, path)
	for _, try := range []string{plain, strings.TrimSuffix(plain, "[]")} {
		if k := keyIndex[try]; k != nil {
			return *k, true
		}
	}
	return Key{}, false
}

var (
	keyIndex    = map[string]*Key{}   // by path
	keyChildren = map[string][]*Key{} // by the path of their section; "" is the file
	keyFields   = map[string][]int{}  // where Answers holds a built key, for reflect
)

func init() {
	for i := range keyTable {
		k := &keyTable[i]
		keyIndex[k.Path] = k
		keyChildren[k.Parent()] = append(keyChildren[k.Parent()], k)
	}
	indexFields(reflect.TypeFor[Answers](), "", nil)
}

// indexFields finds the fields of Answers by their yaml names.
func indexFields(t reflect.Type, prefix string, at []int) {
	for i := range t.NumField() {
		field := t.Field(i)
		path := prefix + field.Tag.Get("yaml")
		index := append(slices.Clone(at), i)
		keyFields[path] = index
		if field.Type.Kind() == reflect.Struct {
			indexFields(field.Type, path+".", index)
		}
	}
}

// field returns the place in the answers where a key is kept. It is not valid for
// a key that this version does not carry out.
func field(answers *Answers, path string) reflect.Value {
	index, known := keyFields[path]
	if !known {
		return reflect.Value{}
	}
	return reflect.ValueOf(answers).Elem().FieldByIndex(index)
}

// names returns the last words of keys.
func names(keys []*Key) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.Name()
	}
	return all
}
