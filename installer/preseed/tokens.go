package preseed

import (
	"fmt"
	"io"

	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// tokenize splits the source. It stops at the first token that is not YAML; the
// scanner would go on from there with nonsense.
func (s *source) tokenize() token.Tokens {
	var (
		scan   scanner.Scanner
		tokens token.Tokens
	)
	scan.Init(s.text)
	for {
		some, err := scan.Scan()
		if err == io.EOF {
			return tokens
		}
		tokens.Add(some...)
		if err != nil {
			return tokens
		}
	}
}

// checkTokens refuses the parts of YAML that answer files do not use, and files
// that would cost the parser too much. It reports whether parsing may go on.
func (s *source) checkTokens(tokens token.Tokens, faults *collector) bool {
	refuse := func(t *token.Token, message, remedy string) {
		faults.add(s.place(t), Fault{Kind: FaultSyntax, Message: message, Remedy: remedy})
	}
	const quotes = "text that begins with this mark needs quotes"
	var (
		nest  nesting
		begun bool // something other than comments came before
		ended bool // the first document is over
	)
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		switch t.Type {
		case token.DocumentHeaderType:
			if begun {
				refuse(t, "a second document begins here", "an answer file is one document: remove the --- line and what does not belong")
				return false
			}
		case token.DocumentEndType:
			begun, ended = true, true
			continue
		case token.AnchorType:
			refuse(t, "anchors (&name) are not used in answer files", "write the value out; "+quotes)
		case token.AliasType:
			refuse(t, "aliases (*name) are not used in answer files", "write the value out; "+quotes)
		case token.TagType:
			refuse(t, "tags (!name) are not used in answer files", "remove the tag; "+quotes)
		case token.DirectiveType:
			refuse(t, "directives (%NAME) are not used in answer files", "remove the line")
			return false
		case token.MergeKeyType:
			refuse(t, "merge keys (<<) are not used in answer files", "write the keys out")
		}
		if ended {
			refuse(t, "a second document begins here", "an answer file is one document: remove what follows the ... line")
			return false
		}
		begun = true
		depth, siblings := nest.add(t)
		if depth > maxDepth {
			refuse(t, fmt.Sprintf("more than %d levels of nesting", maxDepth), "an answer file needs six at most")
			return false
		}
		if siblings > maxSiblings {
			refuse(t, fmt.Sprintf("more than %d keys in one section", maxSiblings), "is this the right file?")
			return false
		}
	}
	return true
}

// nesting follows how deep the tokens of a file are nested.
type nesting struct {
	flow   int // open [ and {
	blocks []block
}

// block is one level of indentation and the number of keys seen in it.
type block struct{ column, keys int }

// add takes the next token and returns the depth there, and how many keys its
// mapping has so far.
func (n *nesting) add(t *token.Token) (depth, siblings int) {
	column, key := t.Position.Column, false
	switch t.Type {
	case token.MappingStartType, token.SequenceStartType:
		n.flow++
		return len(n.blocks) + n.flow, 0
	case token.MappingEndType, token.SequenceEndType:
		n.flow = max(n.flow-1, 0)
		return 0, 0
	case token.MappingValueType:
		if t.Prev != nil && t.Prev.Position != nil && t.Prev.Position.Line == t.Position.Line {
			column = t.Prev.Position.Column // of the key, which opens the level
		}
		key = true
	case token.SequenceEntryType, token.MappingKeyType:
	default:
		return 0, 0
	}
	if n.flow > 0 {
		return len(n.blocks) + n.flow, 0
	}
	for len(n.blocks) > 0 && n.blocks[len(n.blocks)-1].column > column {
		n.blocks = n.blocks[:len(n.blocks)-1]
	}
	if len(n.blocks) == 0 || n.blocks[len(n.blocks)-1].column < column {
		n.blocks = append(n.blocks, block{column: column})
	}
	top := &n.blocks[len(n.blocks)-1]
	if key {
		top.keys++
	}
	return len(n.blocks), top.keys
}
