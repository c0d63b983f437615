package preseed

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Facts is what a template in node.name can be filled with.
type Facts struct {
	Serial string // of the machine, from SMBIOS or the device tree
	MAC    string // of the first network card: aa:bb:cc:dd:ee:ff
	Site   string // node.site
}

// maxHostName is the longest host name in characters. Kubernetes puts it into the
// label kubernetes.io/hostname, whose values end there, and Linux stops one later.
const maxHostName = 63

// templateWords are the words in braces that a name may hold.
var templateWords = []string{"serial", "mac", "site", "n"}

// Expand fills a name's {serial}, {mac} and {site} and returns a host name; {n} was
// filled by File.For. What
// cannot stand in a host name becomes a dash, capitals become small letters.
//
// A fact that is missing, or that is a placeholder of a board's maker (a serial
// number "To be filled by O.E.M." is the same on every box), is an error: two
// boxes with one name take each other's place in a cluster.
func Expand(template string, facts Facts) (string, error) {
	parts, err := splitTemplate(template)
	if err != nil {
		return "", err
	}
	var name strings.Builder
	for _, part := range parts {
		if !part.word {
			name.WriteString(part.text)
			continue
		}
		value := ""
		switch part.text {
		case "serial":
			if value = hostLabel(facts.Serial); slices.Contains(fakeSerials, value) {
				value = ""
			}
			if value == "" {
				return "", errors.New("this machine has no serial number for {serial}: use {mac} or a fixed name in node.name")
			}
		case "mac":
			if value = strings.ReplaceAll(hostLabel(facts.MAC), "-", ""); value == "" {
				return "", errors.New("this machine has no network card for {mac}: use {serial} or a fixed name in node.name")
			}
		case "n":
			return "", errors.New("{n} is the number of a box in a file that names several: use {serial} or a fixed name in node.name")
		case "site":
			if value = hostLabel(facts.Site); value == "" {
				return "", errors.New("node.site is not given for {site}: write it, or a fixed name in node.name")
			}
		}
		name.WriteString(value)
	}
	if p := judgeHostName(name.String()); p != nil {
		return "", fmt.Errorf("the name %s from the template %s: %s", quote(name.String()), quote(template), p.message)
	}
	return name.String(), nil
}

// fakeSerials are serial numbers that say nothing, as hostLabel writes them:
// the defaults that board makers leave in SMBIOS.
var fakeSerials = []string{"to-be-filled-by-o-e-m", "default-string", "system-serial-number", "not-specified",
	"not-applicable", "not-available", "none", "n-a", "na", "unknown", "oem", "o-e-m", "invalid", "empty", "chassis-serial-number",
	"0", "00000000", "0000000000000000", "0123456789", "123456789", "1234567890", "01234567", "12345678", "xxxxxxxx", "serial"}

// hostLabel makes a text fit for a host name.
func hostLabel(text string) string {
	var label strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			label.WriteRune(r)
		case label.Len() > 0 && !strings.HasSuffix(label.String(), "-"):
			label.WriteByte('-')
		}
	}
	return strings.TrimSuffix(label.String(), "-")
}

// part is a piece of a template: literal text, or a word that was in braces.
type part struct {
	text string
	word bool
}

// splitTemplate takes a template apart.
func splitTemplate(template string) ([]part, error) {
	var parts []part
	for rest := template; rest != ""; {
		before, after, open := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return nil, errors.New("} without a {")
		}
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !open {
			break
		}
		word, after, closed := strings.Cut(after, "}")
		if !closed {
			return nil, errors.New("{ without a }")
		}
		if !slices.Contains(templateWords, word) {
			return nil, fmt.Errorf("{%s} is unknown; {serial}, {mac}, {site} and {n} are known", clip(word))
		}
		parts, rest = append(parts, part{word, true}), after
	}
	return parts, nil
}

// checkNodeName judges a host name that may hold templates.
func checkNodeName(value string) *problem {
	parts, err := splitTemplate(value)
	if err != nil {
		return bad(err.Error(), `for example "kas-{serial}"`)
	}
	var sample strings.Builder // with the shortest values that the words can get
	for _, p := range parts {
		if p.word {
			p.text = "x"
		}
		sample.WriteString(p.text)
	}
	return judgeHostName(sample.String())
}

// judgeHostName holds for names without templates: RFC 1123, section 2.1, in small
// letters, which Kubernetes demands of node names.
func judgeHostName(name string) *problem {
	const form = "use small letters, digits and dashes, as in kas-7"
	if len(name) > maxHostName {
		return bad(fmt.Sprintf("a host name has %d characters at most", maxHostName), "shorten it")
	}
	if strings.ToLower(name) != name {
		return bad("a host name has no capitals", form)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return bad("a host name has no empty part", form)
		case !isLabel(label):
			return bad("a host name has letters, digits and dashes only", form)
		case label[0] == '-' || label[len(label)-1] == '-':
			return bad("a part of a host name neither begins nor ends with a dash", form)
		}
	}
	if strings.Trim(name, "0123456789.") == "" {
		return bad("a host name of digits only looks like an address", form)
	}
	return nil
}

// isLabel reports whether a text has only small letters, digits and dashes.
func isLabel(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}

// checkSite judges node.site, which becomes a label and part of a host name.
func checkSite(value string) *problem {
	if !isLabel(value) || len(value) > maxHostName || value[0] == '-' || value[len(value)-1] == '-' {
		return bad("a site has small letters, digits and inner dashes, 63 at most", "for example westland-3")
	}
	return nil
}

// checkSerial judges the serial number of a machine.
func checkSerial(value string) *problem {
	if slices.Contains(fakeSerials, hostLabel(value)) {
		return bad(quote(value)+" stands in every machine of the maker", "name the machine by mac")
	}
	return nil
}
