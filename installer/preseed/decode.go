package preseed

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decoder walks the syntax tree along the key table and fills the answers.
type decoder struct {
	src    *source
	faults *collector
	doc    *document
	root   ast.Node
	places map[string]position // of the value of each key that the file gives
	heads  map[string]position // of the key itself
	later  ast.Node            // the boxes, decoded after all else
	said   map[said]bool       // conflicts that were reported
}

// section decodes a mapping whose keys the format knows. path is where it stands
// ("" for the file, with [] for list entries), shown is the same with numbers.
func (d *decoder) section(node ast.Node, path, shown string, into reflect.Value) {
	seen := map[string]position{}
	for _, entry := range entries(node) {
		at := d.src.place(entry.Key.GetToken())
		name, isText := keyText(entry.Key)
		if first, twice := seen[name]; twice {
			d.duplicate(at, first, join(shown, name), name)
			continue
		}
		seen[name] = at
		key := keyNames[path+"\n"+name]
		switch {
		case entry.Key.IsMergeKey(), entry.Key.Type() == ast.AliasType:
			// Reported with the tokens.
		case key == nil || !isText:
			d.unknown(at, path, shown, name)
		default:
			d.value(entry.Value, at, key, join(shown, name), child(into, key))
		}
	}
}

// howToWrite is a remedy for a key that is missing.
func (k *Key) howToWrite() string {
	if k.Type == Items {
		return "write it as a list, one entry for each"
	}
	if k.Lines {
		return "write " + k.Name() + ": | and the text below it, indented"
	}
	return "write " + k.Name() + ": " + k.Example
}

// value decodes the value of a key whose name, at keyAt, is known.
func (d *decoder) value(node ast.Node, keyAt position, key *Key, shown string, field reflect.Value) {
	node, ok := unwrap(node)
	if !ok {
		return // an alias, reported with the tokens
	}
	at := keyAt // where nothing is written, the key is the place to look
	if node != nil && node.GetToken().Type != token.ImplicitNullType {
		at = d.place(node)
	}
	d.places[shown], d.heads[shown] = at, keyAt
	form := formOf(node)
	if form == formNothing {
		d.faults.add(at, Fault{Key: shown, Kind: FaultType, Message: shown + ": no value; expected " + expected(key),
			Remedy: "write a value, or remove the line"})
		return
	}
	switch key.Type {
	case Section:
		if form != formSection {
			d.wrongType(at, key, shown, node)
			return
		}
		d.section(node, key.Path, shown, open(field))
	case Items:
		if key.Path == "boxes" {
			d.later = node // they build on the rest of the file
			return
		}
		d.items(node, at, key, shown, field)
	case List:
		if !key.Single || form != formText {
			d.list(node, key, shown, field)
		} else if text := scalar(node); d.good(at, key, shown, key.rule, text) {
			setList(field, []string{text})
		}
	case Pairs:
		d.pairs(node, key, shown, field)
	default:
		if form != formOfType[key.Type] && !(key.Type == Size && form == formNumber) {
			d.wrongType(at, key, shown, node)
			return
		}
		if d.good(at, key, shown, key.rule, scalar(node)) {
			setText(field, scalar(node))
		}
	}
}

// open returns the section that a field is. An optional one is made, or copied
// from the one that is there: it may belong to the answers of another box.
func open(field reflect.Value) reflect.Value {
	if field.Kind() != reflect.Pointer {
		return field
	}
	own := reflect.New(field.Type().Elem())
	if !field.IsNil() {
		own.Elem().Set(field.Elem())
	}
	field.Set(own)
	return own.Elem()
}

// items decodes a list of sections.
func (d *decoder) items(node ast.Node, at position, key *Key, shown string, field reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrongType(at, key, shown, node)
		return
	}
	all := reflect.MakeSlice(field.Type(), len(list.Values), len(list.Values))
	for i, item := range list.Values {
		item, ok := unwrap(item)
		if !ok {
			continue
		}
		if entry := numbered(shown, i); d.entry(item, entry) {
			d.section(item, key.below(), entry, all.Index(i))
		}
	}
	field.Set(all)
}

// entry notes the place of one entry of a list of sections, and reports whether it
// is one.
func (d *decoder) entry(node ast.Node, shown string) bool {
	at := d.place(node)
	d.places[shown], d.heads[shown] = at, at
	if formOf(node) != formSection {
		d.faults.add(at, Fault{Key: shown, Kind: FaultType,
			Message: fmt.Sprintf("%s: expected a section, found %s", shown, formOf(node)), Remedy: "write it as {key: value}"})
		return false
	}
	return true
}

// list decodes a list of text. Entries are checked one by one and named once.
func (d *decoder) list(node ast.Node, key *Key, shown string, field reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrongType(d.place(node), key, shown, node)
		return
	}
	values, first := []string{}, map[string]position{}
	for i, item := range list.Values {
		item, ok := unwrap(item)
		if !ok {
			continue
		}
		entry, at := numbered(shown, i), d.place(item)
		d.places[entry] = at
		if formOf(item) != formText {
			d.wrongText(at, key, entry, item)
			continue
		}
		text := scalar(item)
		if before, twice := first[text]; twice {
			d.duplicate(at, before, entry, text)
			continue
		}
		first[text] = at
		if d.good(at, key, entry, key.rule, text) {
			values = append(values, text)
		}
	}
	setList(field, values)
}

// pairs decodes a mapping whose keys are the writer's own.
func (d *decoder) pairs(node ast.Node, key *Key, shown string, field reflect.Value) {
	if formOf(node) != formSection {
		d.wrongType(d.place(node), key, shown, node)
		return
	}
	values, first := map[string]string{}, map[string]position{}
	for _, entry := range entries(node) {
		at := d.src.place(entry.Key.GetToken())
		name, isText := keyText(entry.Key)
		if entry.Key.IsMergeKey() || entry.Key.Type() == ast.AliasType {
			continue
		}
		full := join(shown, name)
		if before, twice := first[name]; twice {
			d.duplicate(at, before, full, name)
			continue
		}
		first[name] = at
		if !isText {
			d.faults.add(at, Fault{Key: full, Kind: FaultType, Message: shown + ": a name must be text",
				Remedy: "put it in quotes: " + quote(clip(name))})
			continue
		}
		value, ok := unwrap(entry.Value)
		if !ok {
			continue
		}
		place := d.place(value)
		d.places[full] = place
		if formOf(value) != formText {
			d.wrongText(place, key, full, value)
			continue
		}
		text := scalar(value)
		if nameFault := key.judgePair(name, ""); nameFault != nil {
			place = at // the fault is in the name
		}
		if d.good(place, key, full, func(text string) *problem { return key.judgePair(name, text) }, text) {
			values[name] = text
		}
	}
	field.Set(reflect.ValueOf(values))
}

// good judges one value by its meaning and reports what is wrong.
func (d *decoder) good(at position, key *Key, shown string, rule rule, value string) bool {
	if d.faults.full() {
		d.faults.more++ // the rules may be slow; nothing more would be listed
		return false
	}
	if p := key.judge(rule, value); p != nil {
		d.faults.add(at, Fault{Key: shown, Kind: p.kind, Message: shown + ": " + p.message, Remedy: p.remedy})
		return false
	}
	return true
}

// place returns where a value begins.
func (d *decoder) place(node ast.Node) position {
	switch n := node.(type) {
	case *ast.LiteralNode:
		return d.src.place(n.Start)
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return d.src.place(n.Values[0].Key.GetToken())
		}
		return d.src.place(n.Start)
	case *ast.MappingValueNode:
		return d.src.place(n.Key.GetToken())
	case *ast.SequenceNode:
		return d.src.place(n.Start)
	}
	return d.src.place(node.GetToken())
}

// join puts a name after the path of its section.
func join(path, name string) string {
	name = clip(name)
	if path == "" {
		return name
	}
	return path + "." + name
}
