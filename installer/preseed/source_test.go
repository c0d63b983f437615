package preseed

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const smallest = "stek: 1\nencryption: {recovery: {show: true}}\n"

// TestBytesOfFiles covers what a text editor does not show.
func TestBytesOfFiles(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"byte order mark":          {"\ufeff" + smallest, ""},
		"Windows line ends":        {strings.ReplaceAll(smallest, "\n", "\r\n"), ""},
		"old Mac line ends":        {strings.ReplaceAll(smallest, "\n", "\r"), ""},
		"place with Windows lines": {strings.ReplaceAll(smallest+"node:\n  nmae: x\n", "\n", "\r\n"), "f:4:3: unknown key"},
		"place behind a mark":      {"\ufeffnode: 1\n", "f:1:7: node:"},
		"place behind wide text":   {smallest + "node: {site: \"höhe\", nmae: ü}\n", "f:3:22: unknown key"},
		"no last line break":       {strings.TrimSuffix(smallest, "\n"), ""},
		"UTF-16":                   {"\xff\xfes\x00t\x00", "f:1:1: the file is written in UTF-16"},
		"Latin-1":                  {smallest + "node: {site: h\xf6he}\n", "f:3:15: the file is not valid UTF-8"},
		"NUL":                      {smallest + "node: \x00\n", "f:3:7: control character U+0000"},
		"escape character":         {smallest + "node: \x1b[31m\n", "f:3:7: control character U+001B"},
		"mark inside":              {smallest + "node: \ufeff\n", "f:3:7: control character U+FEFF"},
		"NUL in an escape":         {smallest + `node: {name: "a\0b"}` + "\n", "f:3:14: node.name: the text holds a control character"},
		"line break in an escape":  {smallest + `node: {site: "a\nb"}` + "\n", "f:3:14: node.site: the text has more than one line"},
		"tab as indentation":       {smallest + "node:\n\tname: kas-7\n", "f:4:1: a tab in the indentation; indent with spaces"},
		"tab within":               {smallest + "node:\n  name:\tkas-7\n", ""},
		"tab behind spaces":        {smallest + "node:\n  site: west\n \tname: kas-7\n", "a tab in the indentation"},
		"too large":                {smallest + "#" + strings.Repeat("x", MaxSize), "more than the limit of 1048576"},
		"just not too large":       {smallest + "#" + strings.Repeat("x", MaxSize-len(smallest)-1), ""},
		"only blanks":              {" \n \n", "f:1:1: the file is empty"},
		"only a mark":              {"\ufeff", "f:1:1: the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", []byte(test.text))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && err == nil:
				t.Error("accepted")
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// TestHostileFiles checks that files made to be slow are refused at once.
func TestHostileFiles(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, MaxSize/len(s)) }
	many := func(pattern string, count int) string {
		var text strings.Builder
		for i := range count {
			fmt.Fprintf(&text, pattern, i)
		}
		return text.String()
	}
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 20; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	for name, text := range map[string]string{
		"aliases that multiply": bomb, "lists in lists": repeat("["), "sections in sections": repeat("{a: "),
		"lists in lists on a line": repeat("- "), "keys in keys": repeat("? "), "colons": repeat("a: "), "closing": repeat("]"),
		"commas": repeat(","), "anchors": repeat("&a "), "alias list": "[" + repeat("*a,"), "tags": repeat("!!str "),
		"directives": repeat("%"), "documents": repeat("---\n"), "comments": repeat("#\n"), "tabs": repeat("\t"), "blanks": "a: " + repeat(" ")[5:],
		"line breaks": repeat("\n"), "carriage returns": repeat("\r"), "open quote": "a: \"" + repeat("x")[9:], "escapes": "a: \"" + repeat("\\n")[9:],
		"block text": "a: |\n" + repeat("  x\n")[9:], "folded text": "a: >\n" + repeat("  x\n")[9:], "text over lines": "a: x\n" + repeat("  x\n")[9:],
		"one long word": repeat("x"), "digits": "stek: " + repeat("1")[9:], "long name": "node: {name: " + repeat("a")[20:] + "}",
		"unknown keys": many("k%d: 1\n", 30000), "unknown keys in braces": "{" + many("k%d: 1,", 30000) + "}", "names": "k3s:\n  labels:\n" + many("    k%d: 1\n", 4000),
		"templates": "node: {name: \"" + repeat("{serial}")[40:] + "\"}", "one taint of dashes": "k3s: {taints: [\"" + repeat("a")[60:] + ":NoSchedule\"]}",
		"many bad taints": "k3s: {taints: [" + many("a%d,", 40000) + "]}", "many boxes": "stek: 1\nboxes:\n" + many("- {serial: A%d}\n", 12000), "boxes with a fault each": "stek: 1\nboxes:\n" + many("- {serial: A%d, k3s: {role: agent}}\n", 4900),
		"many links": smallest + "network: {links: [" + many("{name: a%d},", 12000) + "]}\n", "many bad zones": many("timezone: %dabc\n", 4000),
		"deep by indentation": func() string {
			var text strings.Builder
			for i := range 1400 {
				text.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return text.String()
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := Parse("f", []byte(text[:min(len(text), MaxSize)]))
			var faults Faults
			if !errors.As(err, &faults) || len(faults) > maxFaults+1 {
				t.Errorf("got %d faults", len(faults))
			}
			if len(fmt.Sprint(err)) > maxFaults*1000 {
				t.Errorf("%d bytes of messages", len(fmt.Sprint(err)))
			}
			// Far more than any machine needs: it only has to catch what explodes.
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}
