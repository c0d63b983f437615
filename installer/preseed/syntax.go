package preseed

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// tokenError is what go-yaml's syntax errors offer. Their Error method quotes the
// source, secrets included, so it is never called.
type tokenError interface {
	error
	GetToken() *token.Token
	GetMessage() string
}

// syntaxFault says in our words why the file is not YAML. The parser stops at the
// first such error, so there is one of these at most.
func (s *source) syntaxFault(err error) (position, Fault) {
	at, message := position{1, 1}, ""
	if known := tokenError(nil); errors.As(err, &known) {
		at, message = s.place(known.GetToken()), known.GetMessage()
	}
	fault := Fault{Kind: FaultSyntax}
	if brace := openBrace.FindStringSubmatchIndex(s.line(at.line)); brace != nil {
		at.column = 1 + utf8.RuneCountInString(s.line(at.line)[:brace[2]]) // the text, not where the parser gave up
	}
	fault.Message, fault.Remedy = s.explainSyntax(at, message)
	return at, fault
}

// openBrace finds a template that YAML reads as the beginning of a { } section.
var openBrace = regexp.MustCompile(`[:-]\s+(\{)(?:serial|mac|site|n)\}`)

// explainSyntax turns the parser's message into one for a person who knows YAML
// from examples only. What the line shows comes before what the parser says.
func (s *source) explainSyntax(at position, message string) (what, remedy string) {
	line := s.line(at.line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		return "a tab in the indentation", "indent with spaces"
	case openBrace.MatchString(line):
		return "text that begins with { is read as a section", `put the text in quotes: "{serial}-box"`
	case s.startsWith(at, ']'):
		return "] without a [", "remove it, or put the text in quotes"
	case s.startsWith(at, '}'):
		return "} without a {", "remove it, or put the text in quotes"
	case message == secondColon && strings.Count(line, ": ") < 2:
		return "this value has another key indented below it", "a key has a value or keys below it, not both: check the indentation of the next line"
	}
	if said, known := syntaxMessages[message]; known {
		return said[0], said[1]
	}
	if s.startsWith(at, '@') || s.startsWith(at, '`') {
		return "text cannot begin with this mark", "put the text in quotes"
	}
	return "this is not valid YAML", "compare the line and the one above it with an example: indentation, quotes, brackets, a colon and a blank after each key"
}

// secondColon is what the parser says of a value that looks like a key.
const secondColon = "mapping value is not allowed in this context"

// syntaxMessages translates what go-yaml v1.19.2 says. A message that is not here
// gets the general text above.
var syntaxMessages = map[string][2]string{
	"could not find end character of double-quoted text": {`text that begins with " has no end`, `close the quote with "`},
	"could not find end character of single-quoted text": {"text that begins with ' has no end", "close the quote with '"},
	"sequence end token ']' not found":                   {"the list that begins with [ has no end", "close it with ]"},
	"',' or ']' must be specified":                       {"the list in [ ] lacks a comma or its end", "put a comma between the entries and close the list with ]"},
	"could not find '[' character corresponding to ']'":  {"] without a [", "remove it, or put the text in quotes"},
	"could not find flow mapping end token '}'":          {"the section that begins with { has no end", "close it with }"},
	"',' or '}' must be specified":                       {"the section in { } lacks a comma or its end", "put a comma between the entries and close the section with }"},
	"could not find flow map content":                    {"the section in { } lacks a key", "write it as {key: value, key: value}"},
	"could not find '{' character corresponding to '}'":  {"} without a {", "remove it, or put the text in quotes"},
	"could not find map value":                           {"a key without a value, and the section in { } has no end", "write the value and close the section with }"},
	secondColon:                                          {"a second \": \" on one line", "put the text in quotes, or begin a new line"},
	"non-map value is specified":                         {"a key is expected here", "write it as key: value"},
	"unexpected key name":                                {"a key is expected here", "write it as key: value, with the same indentation as its neighbours"},
	"map key definition includes an implicit line break": {"a key that runs over a line break", "write key: value on one line"},
	"block sequence entries are not allowed in this context": {
		"a list that begins on the line of its key", "begin the list on the next line, or write it in [ ]"},
	"value is not allowed in this context": {"this does not fit below the line before", "check the indentation: the keys of one section stand in one column"},
	"value is not allowed in this context. map key-value is pre-defined": {
		"this does not fit below the line before, which already has a value", "check the indentation: the keys of one section stand in one column"},
	"found an invalid key for this map":                            {"a colon without a key before it", "write it as key: value, or put the text in quotes"},
	"found unexpected document separator":                          {"--- or ... inside quoted text", "close the quote"},
	"value cannot be placed after document separator":              {"text after ---", "begin it on the next line"},
	"tab character cannot use as a map key directly":               {"a tab where a blank is expected", "use spaces"},
	"tab character cannot use as a sequence delimiter":             {"a tab where a blank is expected", "use spaces"},
	"found character '\t' that cannot start any token":             {"a tab where a blank is expected", "use spaces"},
	"could not find multi-line content":                            {"nothing follows | or >", "indent the lines of the text below"},
	"could not find value for mapping key":                         {"? without a key", "write it as key: value"},
	"expected sequence element, but found ','":                     {"a comma without an entry before it", "remove it"},
	"not enough length for escaped UTF-16 character":               {`\u needs four hexadecimal digits`, "use single quotes when \\ is meant as it is"},
	"not enough length for escaped UTF-32 character":               {`\U needs eight hexadecimal digits`, "use single quotes when \\ is meant as it is"},
	"found a tab character where an indentation space is expected": {"a tab in the indentation", "indent with spaces"},
}
