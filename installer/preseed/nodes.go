package preseed

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// form is what a piece of YAML looks like, in words for a message.
type form string

const (
	formNothing form = "nothing"
	formText    form = "text"
	formNumber  form = "a number"
	formSwitch  form = "true or false"
	formList    form = "a list"
	formSection form = "a section"
)

// formOfType is the form that values of simple types have in the file.
var formOfType = map[Type]form{Text: formText, Size: formText, Number: formNumber, Switch: formSwitch}

// unwrap removes anchors and tags, which are reported with the tokens. It returns
// false for an alias: what it stands for is not looked up, so that a small file
// cannot grow.
func unwrap(node ast.Node) (ast.Node, bool) {
	for {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.TagNode:
			node = n.Value
		case *ast.AliasNode:
			return nil, false
		default:
			return node, true
		}
	}
}

// formOf tells what a value looks like.
func formOf(node ast.Node) form {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return formText
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return formNumber
	case *ast.BoolNode:
		return formSwitch
	case *ast.SequenceNode:
		return formList
	case *ast.MappingNode, *ast.MappingValueNode:
		return formSection
	}
	return formNothing
}

// entries returns the keys and values of a mapping.
func entries(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// keyText returns the name of a mapping's key, and whether it is text.
func keyText(key ast.Node) (string, bool) {
	if named, ok := key.(*ast.MappingKeyNode); ok {
		key = named.Value
	}
	key, ok := unwrap(key)
	if !ok || key == nil {
		return "", false
	}
	return scalar(key), formOf(key) == formText
}

// scalar returns a simple value as it is written in the file, without quotes. A
// text in the | or > form loses its last line breaks: every text of the format is
// one line, or does not care.
func scalar(node ast.Node) string {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n")
	}
	if t := node.GetToken(); t != nil {
		return t.Value
	}
	return ""
}
