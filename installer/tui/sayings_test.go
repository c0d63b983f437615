package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// verb is a verb of package fmt. A blank as a flag is none here: some texts have a % of
// their own before a blank.
var verb = regexp.MustCompile(`%[-+#0]*[0-9]*(\.[0-9]+)?[vsdqxtwf]`)

// sayings are the texts in a package's sources, as a phrase book names them, each with its
// place. A sum of strings is one text, with {} for what is no literal; so are a verb and
// what stands for it.
func sayings(t *testing.T, files ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range files {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no sources (%v)", pattern, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			s := teller{func(text string, at token.Pos) {
				found[strings.Trim(strings.ReplaceAll(text, "{}{}", "{}"), "\n")] = set.Position(at).String()
			}}
			ast.Walk(s, file)
		}
	}
	return found
}

// teller walks through a source and tells its texts.
type teller struct {
	tell func(text string, at token.Pos)
}

func (s teller) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return nil
	case *ast.Field: // its tag is none
		ast.Walk(s, n.Type)
		return nil
	case *ast.CallExpr:
		if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "panic" {
			return nil // a fault of the program
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING {
			s.tell(template(n.Value), n.Pos())
		}
	case *ast.BinaryExpr:
		if n.Op == token.ADD {
			if text, literal := s.sum(n); literal {
				s.tell(text, n.Pos())
			}
			return nil
		}
	}
	return s
}

// sum is the text of a sum, and whether a part of it is a literal. The other parts may have
// texts inside.
func (s teller) sum(e ast.Expr) (text string, literal bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return template(e.Value), true
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			left, one := s.sum(e.X)
			right, two := s.sum(e.Y)
			return left + right, one || two
		}
	}
	ast.Walk(s, e)
	return "{}", false
}

// template is a literal as a phrase book names it.
func template(literal string) string {
	text, _ := strconv.Unquote(literal)
	return strings.ReplaceAll(verb.ReplaceAllString(text, "{}"), "%%", "%")
}

// sentence tells whether a text is one that a person reads: it has a blank, and two letters
// side by side.
func sentence(text string) bool {
	letters := 0
	for _, r := range strings.ReplaceAll(text, "{}", "") {
		if letters++; !unicode.IsLetter(r) {
			letters = 0
		}
		if letters == 2 {
			return strings.Contains(text, " ")
		}
	}
	return false
}
