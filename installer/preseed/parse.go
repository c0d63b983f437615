package preseed

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Parse reads an answer file. name is what faults call the file.
//
// The answers hold what the file says and nothing more; Defaults adds the rest.
// The error is nil or of type Faults and then lists every fault of the file. Only
// a file that is not YAML is given up at the first one: what follows it cannot be
// read.
func Parse(name string, data []byte) (*Answers, error) {
	faults := &collector{file: name}
	answers := new(Answers)
	src, ok := readSource(data, faults)
	if !ok {
		return nil, faults.err()
	}
	root, ok := src.parse(faults)
	if !ok {
		return nil, faults.err()
	}
	d := &decoder{src: src, faults: faults, answers: answers, places: map[string]position{}, heads: map[string]position{}}
	d.file(root)
	if err := faults.err(); err != nil {
		return nil, err
	}
	return answers, nil
}

// parse returns the one section that the file is.
func (s *source) parse(faults *collector) (ast.Node, bool) {
	file, err := s.tree(faults)
	if err != nil {
		// A mark that was refused above often confuses the parser as well.
		if len(faults.faults) == 0 {
			at, fault := s.syntaxFault(err)
			faults.add(at, fault)
		}
		return nil, false
	}
	if file == nil {
		return nil, false
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			root = doc.Body
		}
	}
	if root == nil || formOf(root) == formNothing {
		if len(faults.faults) == 0 {
			faults.add(position{1, 1}, Fault{Kind: FaultSyntax, Message: "the file is empty", Remedy: "begin with stek: 1"})
		}
		return nil, false
	}
	root, ok := unwrap(root)
	if !ok {
		return nil, false
	}
	if form := formOf(root); form != formSection {
		faults.add(s.place(root.GetToken()), Fault{Kind: FaultType,
			Message: fmt.Sprintf("an answer file is made of keys and values, found %s", form), Remedy: "begin with stek: 1"})
		return nil, false
	}
	return root, true
}

// errParser stands for a panic of the YAML parser.
var errParser = errors.New("the parser failed")

// tree parses the source. It returns nil without an error when the tokens already
// said that parsing is pointless.
func (s *source) tree(faults *collector) (file *ast.File, err error) {
	// The file is foreign bytes and the parser foreign code: a crash of it on the
	// box would look like a broken stick. It is a fault of the file instead.
	defer func() {
		if recover() != nil {
			file, err = nil, errParser
		}
	}()
	tokens := s.tokenize()
	if !s.checkTokens(tokens, faults) {
		return nil, nil
	}
	// Double keys are reported with the other faults, not instead of them.
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// file decodes the whole file and then compares its answers with each other.
func (d *decoder) file(root ast.Node) {
	// In a file of a later format every other fault would mislead.
	for _, entry := range entries(root) {
		name, _ := keyText(entry.Key)
		if value, ok := unwrap(entry.Value); name == "stek" && ok && formOf(value) == formNumber {
			if number, whole := wholeNumber(scalar(value)); whole && number > FormatVersion {
				d.value(entry.Value, d.src.place(entry.Key.GetToken()), keyIndex["stek"], "stek", reflect.ValueOf(&d.answers.Version).Elem())
				return
			}
		}
	}
	d.section(root, d.place(root), "", "", reflect.ValueOf(d.answers).Elem())
	for _, c := range conflicts(Defaults(d.answers)) {
		if !d.faults.under(c.Key) && !d.anyUnder(c.also) {
			d.faults.add(d.nearest(c.Key, root), c.Fault)
		}
	}
}

func (d *decoder) anyUnder(keys []string) bool {
	for _, key := range keys {
		// A word given twice does not change what the others mean.
		if d.faults.under(key, FaultDuplicate) {
			return true
		}
	}
	return false
}

// nearest returns where a key's value stands, or the nearest section around it
// that the file has.
func (d *decoder) nearest(key string, root ast.Node) position {
	if at, given := d.places[key]; given {
		return at
	}
	for ; key != ""; key = key[:max(strings.LastIndexByte(key, '.'), 0)] {
		if at, given := d.heads[key]; given {
			return at
		}
	}
	return d.place(root)
}
