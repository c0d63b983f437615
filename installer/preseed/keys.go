package preseed

import (
	"regexp"
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
	Later       []string // those of Values that this version does not carry out
	Min, Max    int64    // bounds of a Number, when Max is not 0
	Lines       bool     // a text of several lines
	Single      bool     // a List whose only entry may be written as a text
	Required    bool     // wherever its section is given
	Secret      bool     // the value never shows in messages or in a replay file; secret:NAME is taken
	Built       bool     // this version carries it out, see notBuilt

	name string // the last word of the path
	rule rule   // judges a text, or one entry of a list
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

// ofBox is the entry of one box.
var ofBox = regexp.MustCompile(`^boxes\[[0-9]*\]\.`)

// Lookup returns the key with this path. Entries of lists may be numbered:
// encryption.unlock[1] is encryption.unlock, boxes[2].node.name is node.name.
func Lookup(path string) (Key, bool) {
	if own := ofBox.ReplaceAllString(path, ""); own != "" && own != path {
		if key, known := Lookup(own); known && slices.Contains(ownSections, strings.SplitN(own, ".", 2)[0]) {
			return key, true
		}
	}
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
	keyOrder    []*Key                // as in the table
	keyIndex    = map[string]*Key{}   // by path
	keyChildren = map[string][]*Key{} // by the path of their section; "" is the file
	keyNames    = map[string]*Key{}   // by the path of their section, a line break, and their name
)

func init() {
	for i := range keyTable {
		k := &keyTable[i]
		k.name, k.Built, k.Later = k.Name(), true, nil
		for _, later := range notBuilt {
			switch {
			case later.word != "" && later.key == k.Path:
				k.Later = append(k.Later, later.word)
			case later.word == "" && (later.key == k.Path || strings.HasPrefix(k.Path, later.key+".") || strings.HasPrefix(k.Path, later.key+"[")):
				k.Built = false
			}
		}
		keyOrder = append(keyOrder, k)
		keyIndex[k.Path] = k
		keyChildren[k.Parent()] = append(keyChildren[k.Parent()], k)
		keyNames[k.Parent()+"\n"+k.Name()] = k
	}
	for _, name := range ownSections {
		keyChildren["boxes[]"] = append(keyChildren["boxes[]"], keyIndex[name])
		keyNames["boxes[]\n"+name] = keyIndex[name]
	}
}

// ownSections are the sections that a single box of a site can say something else
// in. Their keys are the same as at the top of the file.
var ownSections = []string{"node", "disk", "encryption", "network", "power", "k3s"}

// below returns the path of the keys that a section or a list of sections has.
func (k *Key) below() string {
	if k.Type == Items {
		return k.Path + "[]"
	}
	return k.Path
}

// names returns the last words of keys.
func names(keys []*Key) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.Name()
	}
	return all
}
