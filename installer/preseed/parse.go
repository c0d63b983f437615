package preseed

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Parse reads an answer file of one box. name is what faults call the file.
//
// The answers hold what the file says and nothing more; Defaults adds the rest.
// The error is nil or of type Faults and then lists every fault of the file. Only
// a file that is not YAML is given up at the first one: what follows it cannot be
// read. Of a file for a whole site these are the answers for all; see Read.
func Parse(name string, data []byte) (*Answers, error) {
	file, err := Read(name, data)
	if err != nil {
		return nil, err
	}
	return file.Answers(), nil
}

// Read reads an answer file, of one box or of a whole site, like Parse.
func Read(name string, data []byte) (*File, error) {
	faults := &collector{file: name}
	src, ok := readSource(data, faults)
	if !ok {
		return nil, faults.err()
	}
	root, ok := src.parse(faults)
	if !ok {
		return nil, faults.err()
	}
	d := &decoder{src: src, faults: faults, doc: new(document), root: root,
		places: make(map[string]position, len(src.lines)), heads: make(map[string]position, len(src.lines)), said: map[said]bool{}}
	d.file()
	if err := faults.err(); err != nil {
		return nil, err
	}
	return &File{name: name, doc: d.doc, places: d.places}, nil
}

// beginWith is the remedy for a file that is none.
const beginWith = "begin with stek: 1"

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
			faults.add(position{1, 1}, Fault{Kind: FaultSyntax, Message: "the file is empty", Remedy: beginWith})
		}
		return nil, false
	}
	root, ok := unwrap(root)
	if !ok {
		return nil, false
	}
	if form := formOf(root); form != formSection {
		faults.add(s.place(root.GetToken()), Fault{Kind: FaultType,
			Message: fmt.Sprintf("an answer file is made of keys and values, found %s", form), Remedy: beginWith})
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
func (d *decoder) file() {
	// In a file of a later format every other fault would mislead.
	for _, entry := range entries(d.root) {
		name, _ := keyText(entry.Key)
		if value, ok := unwrap(entry.Value); name == "stek" && ok && formOf(value) == formNumber {
			if number, whole := wholeNumber(scalar(value)); whole && number > FormatVersion {
				d.value(entry.Value, d.src.place(entry.Key.GetToken()), keyIndex["stek"], "stek", reflect.ValueOf(&d.doc.Version).Elem())
				return
			}
		}
	}
	d.section(d.root, "", "", reflect.ValueOf(d.doc).Elem())
	if d.later != nil {
		d.boxes(d.later)
	}
	// Where only the boxes are installed, what all have in common may be incomplete.
	if len(d.doc.Boxes) == 0 || d.doc.OtherBoxes == "install" {
		d.judge("", &d.doc.Answers)
	}
	for i := range d.doc.Boxes {
		d.judge(numbered("boxes", i)+".", &d.doc.Boxes[i].Answers)
	}
	d.judgeBoxes()
}

// judge looks at the answers for one box, or for all, as a whole. box is the path
// of its entry, with a dot, or "".
func (d *decoder) judge(box string, a *Answers) {
	visit(reflect.ValueOf(a).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
		if !key.Required || !at.IsZero() {
			return true
		}
		parent, nested := strings.CutSuffix(shown, "."+key.name)
		_, inAll := d.heads[parent]
		_, inBox := d.heads[box+parent]
		if !nested || (inAll || inBox) && !d.faults.at(parent) && !d.faults.at(box+parent) {
			d.conflict(box, conflict{Fault: Fault{Key: shown, Kind: FaultMissing, Message: shown + " is missing", Remedy: key.howToWrite()}})
		}
		return true
	})
	for _, c := range conflicts(Defaults(a)) {
		d.conflict(box, c)
	}
}

// said is a conflict that was reported, so that the same one of many boxes is
// reported once.
type said struct {
	at      position
	message string
}

// conflict reports a conflict, unless it follows from a fault that is known.
func (d *decoder) conflict(box string, c conflict) {
	if c.Kind == "" {
		c.Kind = FaultConflict
	}
	for _, key := range append([]string{c.Key}, c.also...) {
		// A word given twice does not change what the others mean.
		ignore := []FaultKind{FaultDuplicate, FaultMissing, FaultConflict}
		if key == c.Key {
			ignore = []FaultKind{}
		}
		if d.faults.under(key, ignore...) || box != "" && d.faults.under(box+key, ignore...) {
			return
		}
	}
	at := d.nearest(box, c.Key)
	if d.said[said{at, c.Message}] {
		return
	}
	d.said[said{at, c.Message}] = true
	if d.places[box+c.Key] == at {
		c.Key = box + c.Key
	}
	d.faults.add(at, c.Fault)
}

// nearest returns where a key's value stands, or the nearest section around it
// that the file has. What a box does not say itself is said for all.
func (d *decoder) nearest(box, key string) position {
	for _, prefix := range []string{box, ""} {
		if at, given := d.places[prefix+key]; given {
			return at
		}
	}
	for ; key != ""; key = key[:max(strings.LastIndexByte(key, '.'), 0)] {
		for _, prefix := range []string{box, ""} {
			if at, given := d.heads[prefix+key]; given {
				return at
			}
		}
	}
	if at, given := d.heads[strings.TrimSuffix(box, ".")]; given {
		return at
	}
	return d.place(d.root)
}
