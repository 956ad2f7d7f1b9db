package strategy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/dulyhq/duly"
)

// maxProblems bounds how many problems of one file are told at once.
const maxProblems = 50

// problems gathers what is wrong with a file, each with its place.
type problems struct {
	file  string
	lines [][]byte
	list  []error
}

// add notes a problem at a token's place, with what to do about it.
func (p *problems) add(t *token.Token, field, hint, format string, args ...any) {
	place := duly.Place{File: p.file, Field: field}
	if t != nil && t.Position != nil {
		place.Line, place.Column = t.Position.Line, t.Position.Column
	}
	p.addAt(place, hint, format, args...)
}

func (p *problems) addAt(place duly.Place, hint, format string, args ...any) {
	if len(p.list) >= maxProblems {
		return
	}
	e := duly.Errorf(duly.Invalid, format, args...).At(place)
	if hint != "" {
		e = e.WithHint("%s", hint)
	}
	p.list = append(p.list, e)
}

// document parses src as one YAML document and returns its top, or nil with the problem noted.
func (p *problems) document(src []byte) ast.Node {
	if len(src) > MaxSource {
		p.add(nil, "", fmt.Sprintf("at most %d bytes", MaxSource), "the file has %d bytes", len(src))
		return nil
	}
	p.lines = bytes.Split(src, []byte("\n"))
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		var at *token.Token
		message := "the file is not well-formed YAML"
		if y, ok := errors.AsType[yaml.Error](err); ok {
			at, message = y.GetToken(), message+": "+y.GetMessage()
		}
		p.add(at, "", "look at the indentation and the quotes near this place", "%s", message)
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		p.add(nil, "", "one file holds one strategy", "the file must hold one YAML document")
		return nil
	}
	return f.Docs[0].Body
}

// mapping is a YAML mapping being read: every key must be known. That none comes twice the parser has seen to.
type mapping struct {
	p     *problems
	path  string // of the mapping itself; "" at the top
	at    *token.Token
	nodes map[string]ast.Node
	keys  map[string]*token.Token
}

// open reads n as a mapping that may have the keys.
func (p *problems) open(n ast.Node, path string, keys ...string) mapping {
	m := mapping{p: p, path: path, at: start(n), nodes: map[string]ast.Node{}, keys: map[string]*token.Token{}}
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		p.add(m.at, path, "write key: value", "must be a mapping of keys to values")
		return m
	}
	for _, pair := range pairs {
		m.take(pair, keys)
	}
	return m
}

func (m *mapping) take(pair *ast.MappingValueNode, keys []string) {
	at := start(pair.Key)
	key, ok := plain(pair.Key)
	switch {
	case !ok:
		m.p.add(at, m.path, "write the text out; merge keys, anchors and aliases are not taken", "a key must be plain text")
	case !slices.Contains(keys, key):
		m.p.add(at, m.field(key), "the keys here are "+strings.Join(keys, ", "), "unknown key")
	default:
		m.nodes[key], m.keys[key] = pair.Value, at
	}
}

func (m *mapping) field(key string) string {
	if m.path == "" {
		return key
	}
	return m.path + "." + key
}

// has reports whether the key is given and not empty.
func (m *mapping) has(key string) bool {
	n, ok := m.nodes[key]
	if !ok || n == nil {
		return false
	}
	_, null := n.(*ast.NullNode)
	return !null
}

// need is has, with the absence noted as a problem.
func (m *mapping) need(key, hint string) bool {
	if m.has(key) {
		return true
	}
	at := m.keys[key]
	if at == nil {
		at = m.at
	}
	m.p.add(at, m.field(key), hint, "is missing")
	return false
}

// fail notes a problem with the value of a key.
func (m *mapping) fail(key, hint, format string, args ...any) {
	at := m.at
	if n := m.nodes[key]; n != nil {
		at = start(n)
	}
	m.p.add(at, m.field(key), hint, format, args...)
}

// text returns the text at key; "" if it is not given or is not text.
func (m *mapping) text(key string) string {
	if !m.has(key) {
		return ""
	}
	s, ok := plain(m.nodes[key])
	if !ok {
		m.fail(key, "put it in quotes", "must be text")
	}
	return s
}

// whole returns the whole number at key from lowest to highest, or other if it is not given.
func (m *mapping) whole(key string, lowest, highest, other int) int {
	if !m.has(key) {
		return other
	}
	if n, ok := m.nodes[key].(*ast.IntegerNode); ok {
		switch v := n.Value.(type) {
		case uint64:
			if v <= uint64(highest) && (lowest <= 0 || v >= uint64(lowest)) {
				return int(v)
			}
		case int64:
			if v >= int64(lowest) && v <= int64(highest) {
				return int(v)
			}
		}
	}
	m.fail(key, fmt.Sprintf("write a whole number from %d to %d", lowest, highest), "must be a whole number from %d to %d", lowest, highest)
	return other
}

// list returns the entries of the list at key.
func (m *mapping) list(key string, limit int) []ast.Node {
	if !m.has(key) {
		return nil
	}
	seq, ok := m.nodes[key].(*ast.SequenceNode)
	switch {
	case !ok:
		m.fail(key, "write [a, b], or one entry a line beginning with -", "must be a list")
		return nil
	case len(seq.Values) > limit:
		m.fail(key, fmt.Sprintf("at most %d", limit), "has %d entries", len(seq.Values))
		return nil
	}
	return seq.Values
}

// oneOf returns the text at key if it is one of words, or other if it is not given.
func oneOf[T ~string](m *mapping, key string, other T, words ...T) T {
	if !m.has(key) {
		return other
	}
	s, ok := plain(m.nodes[key])
	if ok && slices.Contains(words, T(s)) {
		return T(s)
	}
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	m.fail(key, "write one of "+strings.Join(all, ", "), "must be one of %s", strings.Join(all, ", "))
	return other
}

// indent returns how far the text of a block is set in that begins after the line.
func (p *problems) indent(line int) int {
	for n := line; n < len(p.lines); n++ {
		if text := bytes.TrimLeft(p.lines[n], " "); len(bytes.TrimSpace(text)) > 0 {
			return len(p.lines[n]) - len(text)
		}
	}
	return 0
}

// plain returns the text of a scalar that is text.
func plain(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, true
	case *ast.LiteralNode:
		if s.Value != nil {
			return s.Value.Value, true
		}
	}
	return "", false
}

// start returns the token at which n begins: of a mapping that is its first key.
func start(n ast.Node) *token.Token {
	switch m := n.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return start(m.Values[0])
		}
	case *ast.MappingValueNode:
		return start(m.Key)
	}
	return n.GetToken()
}
