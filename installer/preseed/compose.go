package preseed

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Flatten takes answers apart: what they say, by path, as CheckValue takes it. Entries of
// lists of sections are numbered (network.links[0].name), a list is all values of its key,
// and those of named values stand below the key: k3s.labels.hall. What the answers leave
// open is not there. Secrets are: who keeps the values keeps them, too.
func Flatten(a *Answers) map[string][]string {
	values := map[string][]string{}
	visit(reflect.ValueOf(a).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
		for _, v := range texts(key, at) {
			path := shown
			if key.Type == Pairs {
				path = join(shown, v.name)
			}
			values[path] = append(values[path], v.text)
		}
		return true
	})
	delete(values, "stek")
	return values
}

// Compose makes answers of such values, by the rules of an answer file. A list without
// values is an empty one. Unlike Template it takes secrets. The error is of type Faults,
// each with the path of its value and no line.
func Compose(values map[string][]string) (*Answers, error) {
	c := &composer{values: values, used: map[string]bool{}}
	lines := append([]string{fmt.Sprintf("stek: %d", FormatVersion)}, c.section("", "")...)
	for path := range values {
		if !c.used[path] {
			c.faults = append(c.faults, Fault{Key: path, Kind: FaultUnknown, Message: "unknown key " + quote(path), Remedy: suggestPath(path)})
		}
	}
	if len(c.faults) > 0 {
		slices.SortFunc(c.faults, func(a, b Fault) int { return strings.Compare(a.Key, b.Key) })
		return nil, c.faults
	}
	a, err := Parse("", []byte(strings.Join(lines, "\n")+"\n"))
	var faults Faults
	if !errors.As(err, &faults) {
		return a, err
	}
	for i := range faults {
		faults[i].Line, faults[i].Column = 0, 0
	}
	return nil, faults
}

// composer writes values as a file.
type composer struct {
	values map[string][]string
	used   map[string]bool
	faults Faults
}

// section writes the keys of a section that have values, or keys below with some. shown
// is its path with numbers.
func (c *composer) section(path, shown string) []string {
	var lines []string
	for _, key := range keyChildren[path] {
		full := join(shown, key.name)
		switch {
		case key.Path == "stek", key.Path == "boxes", key.Path == "other-boxes":
		case key.Type == Section:
			if below := c.section(key.Path, full); len(below) > 0 {
				lines = append(append(lines, key.name+":"), indented(below, "  ", "  ")...)
			}
		case key.Type == Items:
			var entries []string
			for i := 0; c.any(numbered(full, i) + "."); i++ {
				entries = append(entries, indented(c.section(key.below(), numbered(full, i)), "  - ", "    ")...)
			}
			if len(entries) > 0 {
				lines = append(append(lines, key.name+":"), entries...)
			}
		case key.Type == Pairs:
			if pairs := c.pairs(key, full); len(pairs) > 0 {
				lines = append(append(lines, key.name+":"), pairs...)
			}
		default:
			if values, given := c.values[full]; given {
				lines = append(lines, key.name+": "+c.value(key, full, values))
			}
		}
	}
	return lines
}

// any tells whether something begins so.
func (c *composer) any(prefix string) bool {
	for path := range c.values {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// value writes the value of a simple key, or those of a list.
func (c *composer) value(key *Key, shown string, values []string) string {
	c.used[shown] = true
	written := make([]string, len(values))
	for i, value := range values {
		at := shown
		if key.Type == List {
			at = numbered(shown, i)
		}
		if f := CheckValue(at, value); f != nil {
			c.faults = append(c.faults, *f)
		}
		written[i] = value
		if key.Type == Text || key.Type == List || key.Type == Size {
			written[i] = yamlText(value)
		}
	}
	switch {
	case key.Type == List:
		return "[" + strings.Join(written, ", ") + "]"
	case len(written) != 1:
		c.faults = append(c.faults, Fault{Key: shown, Kind: FaultDuplicate, Message: shown + ": has one value", Remedy: "give one"})
		return ""
	}
	return written[0]
}

// pairs writes the named values of a key.
func (c *composer) pairs(key *Key, shown string) []string {
	var lines []string
	for path, values := range c.values {
		name, below := strings.CutPrefix(path, shown+".")
		if !below || len(values) != 1 {
			continue
		}
		c.used[path] = true
		if f := checkNamed(key, shown, namedText{name, values[0], -1}); f != nil {
			c.faults = append(c.faults, *f)
		}
		lines = append(lines, fmt.Sprintf("  %s: %s", yamlText(name), yamlText(values[0])))
	}
	slices.Sort(lines)
	return lines
}
