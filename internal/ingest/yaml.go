package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	duly "github.com/dulyhq/duly"
)

// Limits of a mapping file.
const (
	mappingMax  = 64 << 10 // bytes
	nestMax     = 32       // brackets and indents within each other
	problemsMax = 50       // problems told at once
)

// document walks a YAML file and keeps every problem with its place.
type document struct {
	file     string
	problems []error
}

// parse returns the top of the file, or nil with the problem noted.
func (d *document) parse(src []byte) ast.Node {
	if len(src) > mappingMax {
		d.note(duly.Place{File: d.file}, fmt.Sprintf("a mapping is at most %d bytes", mappingMax), "")
		return nil
	}
	if deep(src) {
		d.note(duly.Place{File: d.file}, fmt.Sprintf("more than %d levels within each other", nestMax), "")
		return nil
	}
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		place, msg := duly.Place{File: d.file}, "not well-formed YAML"
		if y, ok := errors.AsType[yaml.Error](err); ok {
			msg = y.GetMessage()
			if tk := y.GetToken(); tk != nil && tk.Position != nil {
				place.Line, place.Column = tk.Position.Line, tk.Position.Column
			}
		}
		d.note(place, msg, "")
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		d.note(duly.Place{File: d.file}, "the file must hold one YAML document", "")
		return nil
	}
	return f.Docs[0].Body
}

// deep reports whether brackets open, or lines indent, further than any mapping does: the parser calls itself for each.
func deep(src []byte) bool {
	open := 0
	for line := range strings.Lines(string(src)) {
		body := strings.TrimLeft(line, " \t-?:&!*")
		if len(line)-len(body) > 4*nestMax {
			return true
		}
		for i := range len(body) {
			switch body[i] {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			if open > nestMax {
				return true
			}
		}
	}
	return false
}

func (d *document) note(p duly.Place, msg, hint string) {
	if len(d.problems) < problemsMax {
		d.problems = append(d.problems, &duly.Error{Code: duly.Invalid, Message: msg, Hint: hint, Place: p})
	}
}

func (d *document) place(n ast.Node, field string) duly.Place {
	p := duly.Place{File: d.file, Field: field}
	switch m := n.(type) { // a mapping begins at its first key, not at the first colon
	case *ast.MappingNode:
		if len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p.Line, p.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	return p
}

// node is a value of the file with its path, for problems.
type node struct {
	d    *document
	ast  ast.Node
	path string
}

func (n node) fail(hint, format string, args ...any) {
	n.d.note(n.d.place(n.ast, n.path), fmt.Sprintf(format, args...), hint)
}

// entry is a key of a mapping with its value.
type entry struct {
	name string
	key  ast.Node
	node
}

// entries returns the keys of n in order. Keys are plain text and stand once; with names given, no others are taken.
func (n node) entries(names ...string) []entry {
	var pairs []*ast.MappingValueNode
	switch m := n.ast.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		n.fail("", "keys and values are wanted here")
		return nil
	}
	var out []entry
	for _, p := range pairs {
		name, ok := scalar(p.Key)
		path := name
		if n.path != "" {
			path = n.path + "." + name
		}
		switch {
		case !ok:
			n.d.note(n.d.place(p.Key, n.path), "a key must be plain text; merge keys, anchors and aliases are not taken", "")
		case slices.ContainsFunc(out, func(e entry) bool { return e.name == name }):
			n.d.note(n.d.place(p.Key, path), "the key is given twice", "")
		case len(names) > 0 && !slices.Contains(names, name):
			n.d.note(n.d.place(p.Key, path), "unknown key", "the keys here are "+strings.Join(names, ", "))
		default:
			out = append(out, entry{name, p.Key, node{n.d, p.Value, path}})
		}
	}
	return out
}

// list returns the items of n; one that is no list is the only item.
func (n node) list() []node {
	s, ok := n.ast.(*ast.SequenceNode)
	if !ok {
		return []node{n}
	}
	out := make([]node, len(s.Values))
	for i, v := range s.Values {
		out[i] = node{n.d, v, n.path + "[" + strconv.Itoa(i) + "]"}
	}
	return out
}

// scalar returns the text of a scalar as it is written.
func scalar(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		if v.Value == nil {
			return "", false
		}
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		if tk := n.GetToken(); tk != nil {
			return tk.Value, true
		}
	}
	return "", false
}

// text returns the text of n, noting it as a problem if there is none.
func (n node) text() string {
	s, ok := scalar(n.ast)
	if !ok {
		n.fail("", "text is wanted here")
	}
	return s
}

// texts returns the text of every item of n.
func (n node) texts() []string {
	var out []string
	for _, item := range n.list() {
		if null, ok := item.ast.(*ast.NullNode); ok && null.Token != nil && null.Token.Value != "" {
			out = append(out, null.Token.Value) // NULL and null are words that lists of words have
			continue
		}
		out = append(out, item.text())
	}
	return out
}

func (n node) truth() bool {
	if b, ok := n.ast.(*ast.BoolNode); ok {
		return b.Value
	}
	n.fail("", "true or false is wanted here")
	return false
}

func (n node) number(least, most int) int {
	s, _ := scalar(n.ast)
	v, err := strconv.Atoi(s)
	if err != nil || v < least || v > most {
		n.fail("", "a number from %d to %d is wanted here", least, most)
		return least
	}
	return v
}

// char returns the one ASCII character that n is.
func (n node) char() byte {
	s := n.text()
	switch {
	case s == "tab" || s == "\t":
		return '\t'
	case s == "space" || s == " ":
		return ' '
	case len(s) == 1 && s[0] > ' ' && s[0] < 0x7f:
		return s[0]
	}
	n.fail("", "one character is wanted here, or the word tab or space")
	return ','
}
