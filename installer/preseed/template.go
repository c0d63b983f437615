package preseed

import (
	"fmt"
	"slices"
	"strings"
)

// Template writes an answer file for a person to go on with: every key with what it
// is for, the keys in set with their values, the others as examples that are
// commented out. A # without a blank behind it begins a line of the file; taking it
// away switches the line on.
//
// set holds values by path, written as CheckValue takes them: one for a simple key,
// any number for a list, those of named values by the name: k3s.labels.hall. Secrets
// are refused unless they are written secret:NAME or are words such as ask. The error
// is of type Faults.
func Template(set map[string][]string) ([]byte, error) {
	t := &template{set: set, used: map[string]bool{}}
	body := t.section("", "")
	for path := range set {
		switch key, known := keyIndex[path]; {
		case t.used[path]:
		case known && strings.Contains(path, "[]"):
			t.faults = append(t.faults, Fault{Key: path, Kind: FaultType, Message: path + ": stands in a list", Remedy: "write it into the file by hand"})
		case known:
			t.faults = append(t.faults, Fault{Key: path, Kind: FaultType, Message: fmt.Sprintf("%s: is a %s", path, key.Type), Remedy: "write it into the file by hand, or give the keys below it"})
		default:
			t.faults = append(t.faults, Fault{Key: path, Kind: FaultUnknown, Message: "unknown key " + quote(path), Remedy: suggestPath(path)})
		}
	}
	if len(t.faults) > 0 {
		slices.SortFunc(t.faults, func(a, b Fault) int { return strings.Compare(a.Key+a.Message, b.Key+b.Message) })
		return nil, t.faults
	}
	text := []byte(templateHead + strings.Join(body, "\n") + "\n")
	if _, err := Read("the new file", text); err != nil {
		return nil, err
	}
	return text, nil
}

const templateHead = `# Answer file of stek: what the installer would otherwise ask beside the box.
# Check it on any computer: stek preseed check FILE
# It goes onto the FAT partition of the stick, as stek/preseed.yaml.
# A # without a blank behind it switches a line off.

`

// template writes the file.
type template struct {
	set    map[string][]string
	used   map[string]bool // paths of set
	faults Faults
}

// section writes the keys of a section; shown is its path with numbers.
func (t *template) section(path, indent string) []string {
	var lines []string
	for _, key := range keyChildren[path] {
		if path == "boxes[]" && slices.Contains(ownSections, key.Path) {
			continue // they stand above
		}
		description := key.Description
		if above, nested := keyIndex[strings.TrimSuffix(path, "[]")]; !key.Built && (!nested || above.Built) {
			description = notYet + description
		}
		if len(key.Values) > 0 {
			description += " One of: " + strings.Join(key.Values, ", ") + "."
		}
		if len(key.Later) > 0 {
			description += " Not in this version: " + strings.Join(key.Later, ", ") + "."
		}
		if key.Default != "" {
			description += " Default: " + key.Default + "."
		}
		lines = append(lines, comment(description, indent)...)
		lines = append(lines, t.key(key, indent)...)
		if path == "" {
			lines = append(lines, "")
		}
	}
	return lines
}

// key writes one key, switched off when nothing below it is set.
func (t *template) key(key *Key, indent string) []string {
	head := indent + key.name + ":"
	var lines []string
	switch key.Type {
	case Section:
		lines = append([]string{head}, t.section(key.Path, indent+"  ")...)
		if slices.ContainsFunc(lines[1:], live) {
			return lines
		}
	case Items:
		entry := t.section(key.below(), indent+"    ")
		for i, line := range entry {
			if !strings.HasPrefix(strings.TrimSpace(line), "# ") {
				entry[i] = indent + "  - " + strings.TrimLeft(line, " #")
				break
			}
		}
		lines = append([]string{head}, entry...)
	case Pairs:
		if pairs := t.pairs(key, indent+"  "); len(pairs) > 0 {
			return append([]string{head}, pairs...)
		}
		lines = []string{head + " " + key.Example}
	default:
		if values, given := t.set[key.Path]; given && !strings.Contains(key.Path, "[]") {
			t.used[key.Path] = true
			return []string{head + " " + t.value(key, values)}
		}
		switch lines = []string{head + " " + key.Example}; {
		case key.Path == "stek":
			return lines
		case key.Lines && !strings.HasPrefix(key.Example, SecretPrefix):
			lines = []string{head + ` "-----BEGIN CERTIFICATE-----\n…"`}
		}
	}
	for i, line := range lines {
		if live(line) {
			key := strings.TrimLeft(line, " ")
			lines[i] = line[:len(line)-len(key)] + "#" + key
		}
	}
	return lines
}

// live tells whether a line of the file is switched on.
func live(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && line[0] != '#'
}

// value writes a value that was set.
func (t *template) value(key *Key, values []string) string {
	judge := func(value string) {
		if f := CheckValue(key.Path, value); f != nil {
			t.faults = append(t.faults, *f)
			return
		}
		_, reference := Secret(value).Reference()
		if key.Secret && !reference && value != key.Default && value != key.Example {
			t.faults = append(t.faults, Fault{Key: key.Path, Kind: FaultValue, Message: key.Path + ": a secret is not written into the file",
				Remedy: "write secret:NAME, and the value into the secrets file"})
		}
	}
	if key.Type != List {
		if len(values) != 1 {
			t.faults = append(t.faults, Fault{Key: key.Path, Kind: FaultDuplicate, Message: key.Path + ": given more than once", Remedy: "give one value"})
		}
		judge(values[0])
		if key.Type == Text {
			return yamlText(values[0])
		}
		return values[0]
	}
	texts := make([]string, len(values))
	for i, value := range values {
		judge(value)
		texts[i] = yamlText(value)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// pairs writes the named values of a key that were set.
func (t *template) pairs(key *Key, indent string) []string {
	var lines []string
	for path, values := range t.set {
		name, below := strings.CutPrefix(path, key.Path+".")
		if !below {
			continue
		}
		t.used[path] = true
		value := values[len(values)-1]
		if f := checkNamed(key, key.Path, namedText{name, value, -1}); f != nil {
			t.faults = append(t.faults, *f)
		}
		lines = append(lines, fmt.Sprintf("%s%s: %s", indent, yamlText(name), yamlText(value)))
	}
	slices.Sort(lines)
	return lines
}

// comment wraps a description into lines of a comment.
func comment(text, indent string) []string {
	const width = 78
	var lines []string
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && line != indent+"#" {
			lines = append(lines, line)
			line = indent + "#"
		}
		line += " " + word
	}
	return append(lines, line)
}
