package preseed

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// Redacted writes the answers as an answer file without their secrets: the replay
// file that an installation leaves behind. Parse reads it back to the same answers
// but for the secrets. A PIN becomes "ask", so that a person types it again; every
// other secret becomes a comment that says where to put it.
func Redacted(a *Answers) []byte {
	var out bytes.Buffer
	out.WriteString("# Replay of an installation. Secrets were left out: fill them in where a line says so.\n")
	copied := *a
	if copied.Version == 0 {
		copied.Version = FormatVersion
	}
	for _, line := range replaySection(&copied, "") {
		out.WriteString(line.text + "\n")
	}
	return out.Bytes()
}

// replayLine is a line of the replay file; a comment gives no answer.
type replayLine struct {
	text    string
	comment bool
}

// replaySection writes the keys of a section in the order of the table.
func replaySection(a *Answers, path string) []replayLine {
	var lines []replayLine
	for _, key := range keyChildren[path] {
		if key.Built {
			lines = append(lines, replayKey(a, key)...)
		}
	}
	return lines
}

// replayKey writes one key. A section that only holds comments is a comment
// itself: YAML would read it as a key without a value.
func replayKey(a *Answers, key *Key) []replayLine {
	head := key.Name() + ":"
	if key.Type == Section {
		below, live := replaySection(a, key.Path), false
		for _, line := range below {
			live = live || !line.comment
		}
		if len(below) == 0 {
			return nil
		}
		lines := []replayLine{{text: head}}
		if !live {
			lines[0] = replayLine{"# " + head, true}
		}
		for _, line := range below {
			if rest, comment := strings.CutPrefix(line.text, "# "); comment {
				line.text = "#   " + rest
			} else {
				line.text = "  " + line.text
			}
			lines = append(lines, line)
		}
		return lines
	}
	at := field(a, key.Path)
	values := texts(key, at)
	switch {
	case len(values) == 0:
		return nil
	case key.Secret && key.Path == "encryption.tpm2.pin":
		if values[0].text == "ask" {
			return []replayLine{{text: head + " ask"}}
		}
		return []replayLine{{text: head + " ask # the PIN that was given is not kept"}}
	case key.Secret:
		return []replayLine{{"# " + head + ` "` + redacted + `"`, true}}
	case key.Type == List:
		lines := []replayLine{{text: head}}
		for _, v := range values {
			lines = append(lines, replayLine{text: "  - " + yamlText(v.text)})
		}
		return lines
	case key.Type == Pairs:
		lines := []replayLine{{text: head}}
		for _, v := range values {
			lines = append(lines, replayLine{text: "  " + yamlText(v.name) + ": " + yamlText(v.text)})
		}
		return lines
	case key.Type == Text:
		return []replayLine{{text: head + " " + yamlText(values[0].text)}}
	}
	return []replayLine{{text: head + " " + values[0].text}}
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
