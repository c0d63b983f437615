package preseed

import (
	"fmt"
	"strings"
)

// Explain describes a key for a person: what it is for, its form, default and an
// example. For a section, and for "" which is the whole file, it lists the keys.
func Explain(path string) (string, error) {
	if path == "" {
		return "Keys of an answer file:\n" + listKeys(""), nil
	}
	key, known := Lookup(path)
	if !known {
		return "", fmt.Errorf("unknown key %s; %s", quote(path), suggestPath(path))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s\n", key.Path, key.Type)
	if !key.Built {
		out.WriteString("Not in this version of stek: it can be written and checked, and not be installed by.\n")
	}
	out.WriteString(key.Description + "\n")
	line := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&out, "%s: %s\n", title, text)
		}
	}
	line("Values", strings.Join(key.Values, ", "))
	line("Not in this version", strings.Join(key.Later, ", "))
	line("Default", key.Default)
	line("Example", key.Example)
	if key.Secret {
		out.WriteString("Secret: never shown, left out of replay files.\n")
	}
	if key.Required {
		out.WriteString("Required.\n")
	}
	if keys := listKeys(key.below()); keys != "" {
		out.WriteString("Keys:\n" + keys)
	}
	return out.String(), nil
}

// listKeys lists the keys of a section, one on each line.
func listKeys(path string) string {
	var out strings.Builder
	for _, key := range keyChildren[path] {
		description := key.Description
		if !key.Built {
			description = notYet + description
		}
		fmt.Fprintf(&out, "  %-16s %s\n", key.Name(), description)
	}
	return out.String()
}
