package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/test/machines"
)

var verbs = regexp.MustCompile(`%[a-z0-9.]+`)

// Every language has every text that English has, with the same places for arguments.
func TestMessages(t *testing.T) {
	english := load("en")
	for _, l := range languages {
		c := load(l.tag)
		for id, text := range english.texts {
			own, ok := c.texts[id]
			switch {
			case !ok || own == "":
				t.Errorf("%s has no %s", l.tag, id)
			case !slices.Equal(verbs.FindAllString(own, -1), verbs.FindAllString(text, -1)):
				t.Errorf("%s: %s has other places for arguments: %q", l.tag, id, own)
			}
			if l.tag != "en" && toASCII(own) != own && strings.Contains(toASCII(own), "?") && !strings.Contains(own, "?") {
				t.Errorf("%s: %s has a letter that ASCII has no spelling for: %q", l.tag, id, own)
			}
		}
		for id := range c.texts {
			if _, ok := english.texts[id]; !ok {
				t.Errorf("%s has %s, which English has not", l.tag, id)
			}
		}
	}
}

// The key that a German keyboard calls Strg has that name in all German texts.
func TestGermanKeys(t *testing.T) {
	for id, text := range load("de").texts {
		if strings.Contains(text, "Ctrl") {
			t.Errorf("%s: %q", id, text)
		}
	}
}

// wants is what the program asks the catalogue for: texts by their names, and by how a name
// begins whose end is a value.
type wants struct{ names, beginnings map[string]token.Position }

// asksFor reads the sources of this package. A name that is put together otherwise is a fault:
// nothing could tell whether its text is there.
func asksFor(t *testing.T) wants {
	t.Helper()
	of := wants{map[string]token.Position{}, map[string]token.Position{}}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !isT(call.Fun) {
				return true
			}
			at := set.Position(call.Pos())
			if id, ok := literal(call.Args[0]); ok {
				of.names[id] = at
			} else if sum, ok := call.Args[0].(*ast.BinaryExpr); ok && isLiteral(sum.X) {
				id, _ := literal(sum.X)
				of.beginnings[id] = at
			} else {
				t.Errorf("%s: which text is asked for cannot be told", at)
			}
			return true
		})
	}
	return of
}

// isT tells whether a function is the catalogue's, by the name that it has everywhere.
func isT(fun ast.Expr) bool {
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun.Name == "t"
	case *ast.SelectorExpr:
		return fun.Sel.Name == "t"
	}
	return false
}

func isLiteral(e ast.Expr) bool {
	_, ok := literal(e)
	return ok
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// ends are the values that the ends of names are, by their beginnings.
func ends(t *testing.T) map[string][]string {
	t.Helper()
	values := func(path string) []string {
		key, known := preseed.Lookup(path)
		if !known {
			t.Fatalf("no key %s", path)
		}
		return slices.DeleteFunc(slices.Clone(key.Values), func(v string) bool { return slices.Contains(key.Later, v) })
	}
	titles := []string{"progress", "done", "failed", "keys", "quit", "log", "picture"}
	for _, s := range screens {
		titles = append(titles, s.id)
	}
	var parts, ids []string
	for _, f := range installer.Fitness(machines.Load(t, "mini-pc")) {
		parts = append(parts, f.Part)
	}
	for _, w := range ways {
		ids = append(ids, w.id)
	}
	secrets := []string{"tpm2", "passphrase"}
	return map[string][]string{
		"title.": titles, "part.": parts, "network.": ids,
		"wifi.": values("network.links[].wifi.security"), "wifi.eap.": values("network.links[].wifi.eap.method"),
		"method.": values("encryption.unlock"), "done.": values("on-finish"),
		"secret.": secrets, "secret.empty.": secrets, "strength.": append([]string{"weak", "fair", "good", "strong"}, secrets...),
	}
}

// Every text that the program asks for is in the catalogue, and each in there is asked for.
func TestTextsAreThere(t *testing.T) {
	english, of, ends := load("en"), asksFor(t), ends(t)
	for beginning, at := range of.beginnings {
		if len(ends[beginning]) == 0 {
			t.Errorf("%s: this test does not know how %s goes on", at, beginning)
		}
		for _, end := range ends[beginning] {
			of.names[beginning+end] = at
		}
	}
	for id, at := range of.names {
		if english.texts[id] == "" {
			t.Errorf("%s: there is no text %s", at, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(english.texts)) {
		if _, ok := of.names[id]; !ok {
			t.Errorf("nothing asks for the text %s", id)
		}
	}
}

// flows tells whether a text may take several lines: a paragraph, something below a row, what
// a row says of itself. All others are labels, titles and notices, of one line.
func flows(id string) bool {
	for _, ending := range []string{".text", ".note"} {
		if strings.HasSuffix(id, ending) {
			return true
		}
	}
	for _, beginning := range []string{"line.", "method.", "secret.", "strength.", "countdown.", "done.", "quit.ask"} {
		if strings.HasPrefix(id, beginning) && id != "secret.tpm2" && id != "secret.passphrase" && id != "secret.again" {
			return true
		}
	}
	return slices.Contains([]string{"welcome.resumed", "disk.holds", "disk.twin", "wifi.nothing", "file.none", "erases", "confirm.first", "rehearsal", "report"}, id)
}

// A label, a title or a notice is not cut, nor broken into lines, on a screen of 80 columns:
// before and around it are the cursor and a mark of four signs.
func TestTextsFit(t *testing.T) {
	const room, forTitle = leastWidth - 2 - 4, 30
	for _, l := range languages {
		for id, text := range load(l.tag).texts {
			most := room
			switch {
			case id == "help", id == "help.more", flows(id):
				continue
			case strings.HasPrefix(id, "title."):
				most = forTitle
			}
			argument := "stek/reports/0123456789"
			if id == "confirm" {
				argument = freeDisk[len(freeDisk)-confirmLength:]
			}
			for _, spelt := range []string{text, toASCII(text)} {
				spelt = verbs.ReplaceAllString(spelt, argument)
				if n := ansi.StringWidth(spelt); n > most || strings.Contains(spelt, "\n") {
					t.Errorf("%s: %s takes %d columns, of %d: %q", l.tag, id, n, most, spelt)
				}
			}
		}
		for line := range strings.SplitSeq(toASCII(load(l.tag).texts["keys.text"]), "\n") {
			if n := ansi.StringWidth(line); n > leastWidth-2 {
				t.Errorf("%s: a line about the keys takes %d columns: %q", l.tag, n, line)
			}
		}
	}
}

// Behind the label of each input there is room to see what is typed.
func TestInputsHaveRoom(t *testing.T) {
	const typed = 20
	for _, l := range languages {
		for name, st := range states(t) {
			st.texts = load(l.tag)
			for _, p := range pagesOf(st) {
				for _, r := range p.rows(st) {
					if n := ansi.StringWidth(toASCII("> " + r.text + ": ")); r.kind == input && leastWidth-n < typed {
						t.Errorf("%s, %s, page %s: only %d columns behind %q", l.tag, name, p.id, leastWidth-n, r.text)
					}
				}
			}
		}
	}
}
