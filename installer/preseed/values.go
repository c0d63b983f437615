package preseed

import (
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// namedText is one simple value of the answers, as it is written in the file
// without quotes; name is set for the values of Pairs.
type namedText struct{ name, text string }

// texts reads a field of the answers back. Nothing is returned for what the
// answers leave open, nor for sections.
func texts(key *Key, field reflect.Value) []namedText {
	if field.Kind() == reflect.Pointer {
		if field.IsNil() {
			return nil
		}
		return []namedText{{text: strconv.FormatBool(field.Elem().Bool())}}
	}
	switch key.Type {
	case Section:
		return nil
	case List:
		var all []namedText
		for _, text := range field.Interface().([]string) {
			all = append(all, namedText{text: text})
		}
		return all
	case Pairs:
		pairs := field.Interface().(map[string]string)
		var all []namedText
		for _, name := range slices.Sorted(maps.Keys(pairs)) {
			all = append(all, namedText{name, pairs[name]})
		}
		return all
	}
	if field.IsZero() {
		return nil
	}
	switch key.Type {
	case Switch:
		return []namedText{{text: strconv.FormatBool(field.Bool())}}
	case Number:
		return []namedText{{text: strconv.FormatInt(field.Int(), 10)}}
	case Size:
		return []namedText{{text: Bytes(field.Uint()).String()}}
	}
	return []namedText{{text: field.String()}}
}

// Defaults returns the answers with every key filled in that was left open and has
// a default. The answers given are not changed.
//
// boot.microsoft-keys is filled in only when keys are enrolled: it has no meaning
// otherwise.
func Defaults(a *Answers) *Answers {
	full := *a
	for i := range keyTable {
		key := &keyTable[i]
		at := field(&full, key.Path)
		if key.Default == "" || !at.IsValid() || !at.IsZero() {
			continue
		}
		if key.Path == "boot.microsoft-keys" && full.Boot.SecureBoot != "enrol" {
			continue
		}
		value := defaultValue(key)
		if key.Type == List {
			at.Set(reflect.ValueOf(value))
		} else {
			setScalar(at, key.Type, value[0])
		}
	}
	if full.Version == 0 {
		full.Version = FormatVersion
	}
	return &full
}

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
