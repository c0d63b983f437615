package preseed

import "reflect"

// unbuilt is a key, with all below it, or one word of a key.
type unbuilt struct{ key, word string }

// notBuilt is the one list of what the format has and this version does not carry
// out. Parse takes it, so that a file can be written and checked ahead of time;
// NotBuilt finds it, and an installation refuses it. Who builds a part takes its
// line out.
var notBuilt = []unbuilt{
	{key: "encryption.unlock", word: "tang"},
	{key: "encryption.unlock", word: "board"},
	{key: "encryption.unlock", word: "key-stick"},
	{key: "encryption.tang"},
	{key: "encryption.recovery.escrow"},
	{key: "power"},
	{key: "k3s.role", word: "server-join"},
	{key: "fleet"},
	{key: "site.stack"},
}

// NotBuilt returns a fault for everything that the answers ask for and this version
// does not carry out. Its faults have no line. An empty list and a switch that is
// off ask for nothing.
func NotBuilt(a *Answers) Faults {
	var faults Faults
	visit(reflect.ValueOf(a).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
		if !key.Built {
			if asks(key, at) {
				faults = append(faults, Fault{Key: shown, Kind: FaultNotBuilt, Message: shown + ": not in this version of stek",
					Remedy: "remove it, or install with a version that has it"})
			}
			return false
		}
		for _, v := range texts(key, at) {
			for _, word := range key.Later {
				if v.text == word {
					faults = append(faults, Fault{Key: v.path(shown), Kind: FaultNotBuilt,
						Message: v.path(shown) + ": " + quote(word) + " is not in this version of stek", Remedy: "use " + oneOf(key.now())})
				}
			}
		}
		return true
	})
	return faults
}

// asks reports whether a value asks for anything.
func asks(key *Key, at reflect.Value) bool {
	if key.Type != Section {
		return len(texts(key, at)) > 0 && !(key.Type == Switch && texts(key, at)[0].text == "false") || key.Type == Items && at.Len() > 0
	}
	found := false
	visit(at, key.Path, key.Path, func(key *Key, _ string, at reflect.Value) bool {
		found = found || key.Type != Section && asks(key, at)
		return !found
	})
	return found
}

// now returns the words of a key that this version carries out.
func (k *Key) now() []string {
	var words []string
	for _, word := range k.Values {
		if !contains(k.Later, word) {
			words = append(words, word)
		}
	}
	return words
}
