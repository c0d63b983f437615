package preseed

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
)

// Redacted writes the answers as an answer file without their secrets: the replay
// file that an installation leaves behind. Parse reads it back to the same answers
// but for the secrets. A PIN becomes "ask", so that a person types it again; every
// other secret becomes secret:NAME, to be put into a secrets file.
func Redacted(a *Answers) []byte {
	copied := a.clone()
	if copied.Version == 0 {
		copied.Version = FormatVersion
	}
	r := &replay{}
	lines := r.section(reflect.ValueOf(copied).Elem(), "", "")
	if r.named && copied.Secrets.File == "" {
		copied.Secrets.File = "secrets.age"
		lines = r.section(reflect.ValueOf(copied).Elem(), "", "")
	}
	return []byte(replayHead + strings.Join(lines, "\n") + "\n")
}

const replayHead = "# Replay of an installation. It holds no secret: values written secret:NAME come from\n" +
	"# the secrets file, and a PIN is asked for again.\n"

// replay writes the replay file.
type replay struct {
	named bool // a value is written secret:NAME
}

// section writes the keys of a section in the order of the table.
func (r *replay) section(section reflect.Value, path, shown string) []string {
	var lines []string
	for _, key := range keyChildren[path] {
		at := child(section, key)
		if !at.IsValid() {
			continue
		}
		if key.Type == Section && at.Kind() == reflect.Pointer {
			if at.IsNil() {
				continue
			}
			at = at.Elem()
		}
		lines = append(lines, r.key(at, key, join(shown, key.Name()))...)
	}
	return lines
}

// key writes one key.
func (r *replay) key(at reflect.Value, key *Key, shown string) []string {
	head := key.Name() + ":"
	switch key.Type {
	case Section:
		below := r.section(at, key.Path, shown)
		if len(below) == 0 {
			return nil
		}
		return append([]string{head}, indented(below, "  ", "  ")...)
	case Items:
		if at.Len() == 0 {
			return nil
		}
		lines := []string{head}
		for i := range at.Len() {
			lines = append(lines, indented(r.section(at.Index(i), key.below(), numbered(shown, i)), "  - ", "    ")...)
		}
		return lines
	}
	values := texts(key, at)
	if len(values) == 0 {
		return nil
	}
	lines := []string{head}
	switch key.Type {
	case List:
		if key.Single && len(values) == 1 {
			return []string{head + " " + yamlText(values[0].text)}
		}
		for _, v := range values {
			lines = append(lines, "  - "+yamlText(v.text))
		}
		return lines
	case Pairs:
		for _, v := range values {
			lines = append(lines, "  "+yamlText(v.name)+": "+yamlText(v.text))
		}
		return lines
	case Text:
		if key.Secret {
			return []string{head + " " + r.secret(key, shown, Secret(values[0].text))}
		}
		return []string{head + " " + yamlText(values[0].text)}
	}
	return []string{head + " " + values[0].text}
}

// secret writes what stands for a secret. Words that are none are kept.
func (r *replay) secret(key *Key, shown string, value Secret) string {
	_, reference := value.Reference()
	switch pin := key.Path == "encryption.tpm2.pin"; {
	case reference:
		r.named = true
		return yamlText(value.Reveal())
	case pin && value == "ask", key.Default != "" && value.Reveal() == key.Default:
		return yamlText(value.Reveal())
	case pin:
		return "ask"
	}
	r.named = true
	return yamlText(SecretPrefix + strings.NewReplacer("[", ".", "]", "").Replace(shown))
}

// indented moves lines to the right; the first one may get a mark.
func indented(lines []string, first, rest string) []string {
	moved := make([]string, len(lines))
	for i, line := range lines {
		moved[i] = rest + line
	}
	if len(moved) > 0 {
		moved[0] = first + lines[0]
	}
	return moved
}

// plainText is text that every YAML reader takes as text without quotes.
var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_/.-]*$`)

// notText are plain words that some YAML version reads as something else.
var notText = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf)$`)

// yamlText writes a text as YAML. JSON's strings are YAML's double-quoted ones.
func yamlText(text string) string {
	if plainText.MatchString(text) && !notText.MatchString(text) {
		return text
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return `""` // cannot happen: any string is JSON
	}
	return strings.TrimSuffix(out.String(), "\n")
}
