package preseed

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// Bounds on a file, so that none costs noticeable time or memory. An answer file
// for a whole site stays far below all of them.
const (
	// MaxSize is the largest answer file in bytes.
	MaxSize = 1 << 20
	// maxMarks bounds what becomes tokens: each token costs about 200 bytes.
	maxMarks = 100_000
	// maxDepth bounds nesting; the format itself needs six levels. The YAML parser
	// recurses, and Go ends the program when a stack grows too large.
	maxDepth = 32
	// maxSiblings bounds the keys of one mapping: go-yaml's parser takes time in the
	// square of their number (a minute for 100 000).
	maxSiblings = 5000
	// maxBoxes bounds the machines of one file: each is judged as a whole.
	maxBoxes = 5000
)

// position is a place in a file: line and column from 1, in characters.
type position struct{ line, column int }

// source is a file that passed every check below YAML.
type source struct {
	text  string   // UTF-8 without byte order mark, every line break is \n
	lines [][]rune // text, split; in characters, since a file may be one long line
}

// readSource checks what can be wrong with the bytes themselves.
func readSource(data []byte, faults *collector) (*source, bool) {
	refuse := func(at position, message, remedy string) (*source, bool) {
		faults.add(at, Fault{Kind: FaultSyntax, Message: message, Remedy: remedy})
		return nil, false
	}
	start := position{1, 1}
	if len(data) > MaxSize {
		return refuse(start, fmt.Sprintf("the file has %d bytes, more than the limit of %d", len(data), MaxSize),
			"an answer file is a few kilobytes: is this the right file?")
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return refuse(start, "the file is written in UTF-16", "save it as UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if at, r, bad := foreignCharacter(data); bad {
		if r == utf8.RuneError {
			return refuse(at, "the file is not valid UTF-8 here", "save it as UTF-8")
		}
		return refuse(at, fmt.Sprintf("control character %U", r), "remove it: is this a text file?")
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(data), "\r\n", "\n"), "\r", "\n")
	marks := 0
	for i := range len(text) {
		if strings.IndexByte("\n,:[]{}&*!%?|>#'\"-@`", text[i]) >= 0 {
			marks++
		}
	}
	if marks > maxMarks {
		return refuse(start, fmt.Sprintf("the file has more than %d lines and punctuation marks", maxMarks),
			"an answer file is a few kilobytes: is this the right file?")
	}
	src := &source{text: text}
	for line := range strings.SplitSeq(text, "\n") {
		src.lines = append(src.lines, []rune(line))
	}
	return src, true
}

// foreignCharacter finds the first character that YAML does not allow in a file
// (YAML 1.2.2, section 5.1).
func foreignCharacter(data []byte) (position, rune, bool) {
	at := position{1, 1}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size < 2,
			r < 0x20 && r != '\t' && r != '\n' && r != '\r',
			r >= 0x7f && r < 0xa0 && r != 0x85,
			r == 0xfeff, r == 0xfffe, r == 0xffff:
			return at, r, true
		}
		i += size
		if r == '\n' || r == '\r' && (i == len(data) || data[i] != '\n') {
			at = position{at.line + 1, 1}
		} else {
			at.column++
		}
	}
	return at, 0, false
}

// place returns where a token stands. go-yaml's own position of plain text is off
// by the number of blanks that follow it, so it is checked against the line.
func (s *source) place(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	at := position{t.Position.Line, t.Position.Column}
	word := strings.TrimLeft(t.Origin, " \t\n")
	first, _ := utf8.DecodeRuneInString(word)
	if word != "" && !s.startsWith(at, first) && t.Prev != nil && t.Prev.Position != nil {
		line := s.characters(at.line)
		column := 0
		if p := t.Prev.Position; p.Line == at.line {
			column = p.Column // the token before is one mark wide: `:`, `-`, `,`, `[`
		}
		for column < len(line) && (line[column] == ' ' || line[column] == '\t') {
			column++
		}
		if moved := (position{at.line, column + 1}); s.startsWith(moved, first) {
			at = moved
		}
	}
	// In some broken files go-yaml counts past the end of a line.
	at.line = min(max(at.line, 1), max(len(s.lines), 1))
	at.column = min(max(at.column, 1), len(s.characters(at.line))+1)
	return at
}

// characters returns a line, counted from 1, or nothing.
func (s *source) characters(number int) []rune {
	if number < 1 || number > len(s.lines) {
		return nil
	}
	return s.lines[number-1]
}

// line returns the text of a line, counted from 1, or nothing.
func (s *source) line(number int) string { return string(s.characters(number)) }

// startsWith reports whether the text at a position begins with a character.
func (s *source) startsWith(at position, first rune) bool {
	line := s.characters(at.line)
	return at.column >= 1 && at.column <= len(line) && line[at.column-1] == first
}
