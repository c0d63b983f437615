package preseed

import (
	"encoding"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
)

// fieldsByName caches, for each struct of the answers, where its keys are kept.
var fieldsByName sync.Map // reflect.Type → map[string][]int

// child returns the field of a section that keeps a key. It is not valid for a key
// that only a whole file has.
func child(section reflect.Value, key *Key) reflect.Value {
	cached, known := fieldsByName.Load(section.Type())
	if !known {
		fields := map[string][]int{}
		for _, field := range reflect.VisibleFields(section.Type()) {
			if name := field.Tag.Get("yaml"); name != "" {
				fields[name] = field.Index
			}
		}
		cached, _ = fieldsByName.LoadOrStore(section.Type(), fields)
	}
	index, known := cached.(map[string][]int)[key.name]
	if !known {
		return reflect.Value{}
	}
	return section.FieldByIndex(index)
}

// field returns where the answers keep a key outside lists of sections. It is not
// valid below a section that was not given.
func field(answers *Answers, path string) reflect.Value {
	key := keyIndex[path]
	section := reflect.ValueOf(answers).Elem()
	if key.Parent() != "" {
		section = field(answers, key.Parent())
		if section.IsValid() && section.Kind() == reflect.Pointer {
			section = section.Elem()
		}
	}
	if !section.IsValid() {
		return section
	}
	return child(section, key)
}

// visit calls do for every key of a section and of those below it. shown is the
// path of the section, with numbers for entries of lists. When do returns false,
// what is below the key is left out. Sections that were not given are not visited.
func visit(section reflect.Value, path, shown string, do func(key *Key, shown string, at reflect.Value) bool) {
	for _, key := range keyChildren[path] {
		at := child(section, key)
		if !at.IsValid() {
			continue
		}
		full := key.Path // not put together where it need not be: a site has many boxes
		if shown != path {
			full = shown + "." + key.name
		}
		if key.Type == Section && at.Kind() == reflect.Pointer {
			if at.IsNil() {
				continue
			}
			at = at.Elem()
		}
		if !do(key, full, at) {
			continue
		}
		switch key.Type {
		case Section:
			visit(at, key.Path, full, do)
		case Items:
			for i := range at.Len() {
				visit(at.Index(i), key.below(), numbered(full, i), do)
			}
		}
	}
}

// numbered is the path of a list's entry.
func numbered(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// namedText is one simple value of the answers, as it is written in the file
// without quotes; name is set for the values of Pairs, entry for those of a List.
type namedText struct {
	name, text string
	entry      int // -1 outside lists
}

// path returns where the value stands, given where its key does.
func (v namedText) path(shown string) string {
	switch {
	case v.name != "":
		return join(shown, v.name)
	case v.entry >= 0:
		return numbered(shown, v.entry)
	}
	return shown
}

// texts reads a field of the answers back. Nothing is returned for what the
// answers leave open, nor for sections.
func texts(key *Key, field reflect.Value) []namedText {
	switch {
	case key.Type == Section, key.Type == Items:
		return nil
	case key.Type == List:
		var all []namedText
		for i := range field.Len() {
			all = append(all, namedText{text: textOf(field.Index(i)), entry: i})
		}
		return all
	case key.Type == Pairs:
		pairs := field.Interface().(map[string]string)
		var all []namedText
		for _, name := range slices.Sorted(maps.Keys(pairs)) {
			all = append(all, namedText{name, pairs[name], -1})
		}
		return all
	case field.IsZero():
		return nil
	case field.Kind() == reflect.Pointer:
		field = field.Elem()
	}
	return []namedText{{text: textOf(field), entry: -1}}
}

// textOf writes one simple value as a file has it. It reads secrets, too.
func textOf(value reflect.Value) string {
	switch value.Kind() {
	case reflect.String:
		return value.String()
	case reflect.Bool:
		return strconv.FormatBool(value.Bool())
	case reflect.Int:
		return strconv.FormatInt(value.Int(), 10)
	}
	text, err := value.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return ""
	}
	return string(text)
}

// setText writes a checked value into its field.
func setText(field reflect.Value, text string) {
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if own, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		_ = own.UnmarshalText([]byte(text)) // the rule of the key has judged the text
		return
	}
	switch field.Kind() {
	case reflect.Bool:
		field.SetBool(text == "true" || text == "True" || text == "TRUE")
	case reflect.Int:
		if n, ok := wholeNumber(text); ok {
			field.SetInt(n)
		}
	default:
		field.SetString(text)
	}
}
