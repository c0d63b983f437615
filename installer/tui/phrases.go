package tui

import (
	"cmp"
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// The phrase books are a folder for each language but English, with a file for each part of
// the engine that has words of its own. An entry is an English text as the engine's sources
// have it, with {} for each thing that is put in, and what is said instead: {1} is the first
// of those things as it is, {1*} is one that is itself a phrase, and {1,} is a list of words
// of the answer file, of which only the last joint is said.
//
//	"partition {}": "partitie {1}"
//	"the disk {} is not empty": "de schijf {1*} is niet leeg"
//	", with a preshared key": ", met een gedeelde sleutel"
//
// One that begins with a comma, a semicolon or a blank is the end of a longer text; one that
// ends with a blank as well stands between two phrases.
//
//go:embed messages/*/*.yaml
var phraseFiles embed.FS

// phrases is the phrase book of one language.
type phrases struct {
	exact     map[string]string
	joints    map[string]string // those between two phrases
	templates []phrase          // the most literal first
}

// phrase is an entry with something put in.
type phrase struct {
	literals []string // what stands around the things put in
	size     int      // of the literals together, bytes
	words    bool     // there is a word among them, and not signs alone
	tail     bool     // the first of the things is what stands before: nothing, in the entry
	between  bool     // it stands between two phrases
	pieces   []piece
}

// piece is a part of what is said: a text, or a thing that was put in.
type piece struct {
	text  string
	thing int    // from 1; 0: the text
	kind  string // aPhrase, aList, or nothing: as it is
}

// The kinds of things, as they are marked.
const (
	aPhrase = "*"
	aList   = ","
)

var (
	thing  = regexp.MustCompile(`\{([0-9])([*,]?)\}`)
	letter = regexp.MustCompile(`\pL`)
)

// books are read when they are first opened: most sessions need one of them at most.
var books = func() map[string]func() *phrases {
	all := map[string]func() *phrases{}
	for _, l := range languages[1:] {
		all[l.tag] = sync.OnceValue(func() *phrases { return readPhrases(l.tag) })
	}
	return all
}()

// readPhrases reads a book, which is part of the program as the catalogues are.
func readPhrases(tag string) *phrases {
	p := &phrases{exact: map[string]string{}, joints: map[string]string{}}
	for _, entries := range phraseBook(tag) {
		for english, own := range entries {
			p.add(english, own)
		}
	}
	slices.SortFunc(p.templates, func(a, b phrase) int {
		return cmp.Or(cmp.Compare(b.size, a.size), slices.Compare(a.literals, b.literals))
	})
	return p
}

// phraseBook has the entries of a language by the names of their files.
func phraseBook(tag string) map[string]map[string]string {
	files, err := phraseFiles.ReadDir("messages/" + tag)
	book := map[string]map[string]string{}
	for _, f := range files {
		var b []byte
		if b, err = phraseFiles.ReadFile("messages/" + tag + "/" + f.Name()); err != nil {
			break
		}
		var entries map[string]string
		if err = yaml.Unmarshal(b, &entries); err != nil {
			break
		}
		book[strings.TrimSuffix(f.Name(), path.Ext(f.Name()))] = entries
	}
	if err != nil {
		panic(fmt.Sprintf("tui: the phrases of %s: %v", tag, err))
	}
	return book
}

// add puts an entry into the book.
func (p *phrases) add(english, own string) {
	var f phrase
	f.tail = english[0] == ',' || english[0] == ';' || english[0] == ' ' && english[1] != ' '
	f.between = f.tail && strings.HasSuffix(english, " ")
	literals, shift := english, 0
	switch {
	case f.between:
		p.joints[english] = own
		literals, own = "{}"+english+"{}", "{1*}"+own+"{2*}"
	case f.tail:
		literals, shift = "{}"+english, 1
	case !strings.Contains(english, "{}"):
		p.exact[english] = own
		return
	}
	f.literals = strings.Split(literals, "{}")
	f.size, f.words = len(strings.Join(f.literals, "")), letter.MatchString(strings.Join(f.literals, ""))
	if shift > 0 {
		f.pieces = append(f.pieces, piece{thing: 1, kind: aPhrase})
	}
	from := 0
	for _, at := range thing.FindAllStringSubmatchIndex(own, -1) {
		f.pieces = append(f.pieces, piece{text: own[from:at[0]]}, piece{thing: int(own[at[2]]-'0') + shift, kind: own[at[4]:at[5]]})
		from = at[1]
	}
	f.pieces = append(f.pieces, piece{text: own[from:]})
	p.templates = append(p.templates, f)
}

// say gives a finished English text of the engine in the book's language: what is no phrase,
// and what was put in, stays as it is. No book has English.
func (p *phrases) say(text string) string {
	if p == nil {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if len(line) <= longest {
			r := reading{book: p, read: map[part]said{}, left: most}
			lines[i] = r.of(part{line, false}).text
		}
	}
	return strings.Join(lines, "\n")
}
