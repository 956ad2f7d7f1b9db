package rule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// maxProblems bounds how many problems of one file are reported, and maxDepth how deep it nests.
const (
	maxProblems = 100
	maxDepth    = 32
)

// reader walks a YAML document and keeps every problem with its place.
type reader struct {
	file     string
	problems []error
}

// parse reads src as one YAML document whose top is a mapping, or returns nil with the problem noted.
func (r *reader) parse(src []byte) ast.Node {
	tokens := lexer.Tokenize(string(src))
	if tk := tooDeep(tokens); tk != nil {
		r.add(duly.Place{File: r.file, Line: tk.Position.Line, Column: tk.Position.Column}, "lists and mappings are nested more than %d deep", maxDepth)
		return nil
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		r.add(duly.Place{File: r.file}, "the file must hold one YAML document")
		return nil
	}
	return f.Docs[0].Body
}

// tooDeep returns the first token that is nested more than maxDepth deep within one line or one pair of brackets, or nil.
// The parser's time grows with the square of that depth; by indentation alone, depth costs its square in bytes.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, dashes, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			dashes, line = 0, tk.Position.Line
		}
		switch tk.Type { //nolint:exhaustive // only nesting matters
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			dashes++
		}
		if brackets > maxDepth || dashes > maxDepth {
			return tk
		}
	}
	return nil
}

// syntax notes an error of the YAML parser at its place.
func (r *reader) syntax(err error) {
	p := duly.Place{File: r.file}
	msg := "the file is not well-formed YAML"
	if y, ok := errors.AsType[yaml.Error](err); ok {
		msg = y.GetMessage()
		if tk := y.GetToken(); tk != nil && tk.Position != nil {
			p.Line, p.Column = tk.Position.Line, tk.Position.Column
		}
	}
	r.add(p, "%s", msg)
}

// fail notes a problem at a node.
func (r *reader) fail(n ast.Node, field, format string, args ...any) {
	r.add(r.place(n, field), format, args...)
}

func (r *reader) add(p duly.Place, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, duly.Errorf(duly.Invalid, format, args...).At(p))
	}
}

// hint tells what to do about the last problem.
func (r *reader) hint(format string, args ...any) {
	last := len(r.problems) - 1
	if e, ok := errors.AsType[*duly.Error](r.problems[last]); ok {
		r.problems[last] = e.WithHint(format, args...)
	}
}

func (r *reader) err() error { return errors.Join(r.problems...) }

func (r *reader) place(n ast.Node, field string) duly.Place {
	p := duly.Place{File: r.file, Field: field}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		at := n.GetToken().Position
		p.Line, p.Column = at.Line, at.Column
	}
	return p
}

// object is a mapping whose keys are known.
type object struct {
	r     *reader
	node  ast.Node
	field string
	at    map[string]ast.Node
	keys  []string // in the order of the file
	names []ast.Node
}

// open reads n as a mapping with the given keys; with none given, any key goes.
func (r *reader) open(n ast.Node, field string, keys ...string) object {
	o := object{r: r, node: n, field: field, at: map[string]ast.Node{}}
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		r.fail(n, field, "must be a mapping of keys to values")
		return o
	}
	for _, p := range pairs {
		o.take(p, keys)
	}
	return o
}

func (o *object) take(p *ast.MappingValueNode, keys []string) {
	key, ok := text(p.Key)
	if !ok {
		o.r.fail(p.Key, o.field, "a key must be plain text; merge keys, anchors and aliases are not taken")
		return
	}
	if _, twice := o.at[key]; twice {
		o.r.fail(p.Key, o.path(key), "the key is given twice")
		return
	}
	if len(keys) > 0 && !slices.Contains(keys, key) {
		o.r.fail(p.Key, o.path(key), "unknown key")
		o.r.hint("the keys here are %s", strings.Join(keys, ", "))
		return
	}
	o.at[key] = p.Value
	o.keys, o.names = append(o.keys, key), append(o.names, p.Key)
}

func (o *object) path(key string) string {
	if o.field == "" {
		return key
	}
	return o.field + "." + key
}

// has reports whether the key is there and not null.
func (o *object) has(key string) bool {
	n, ok := o.at[key]
	if !ok || n == nil {
		return false
	}
	_, null := n.(*ast.NullNode)
	return !null
}

// need is has, and notes the absence as a problem.
func (o *object) need(key string) bool {
	if o.has(key) {
		return true
	}
	o.r.fail(o.node, o.path(key), "is missing")
	return false
}

// str returns the text at key; "" if it is not there.
func (o *object) str(key string) string {
	if !o.has(key) {
		return ""
	}
	s, ok := text(o.at[key])
	if !ok {
		o.fail(key, "must be text")
		o.r.hint("put it in quotes")
	}
	return s
}

// strs returns the list of texts at key.
func (o *object) strs(key string) []string {
	if !o.has(key) {
		return nil
	}
	return o.r.texts(o.at[key], o.path(key))
}

func (r *reader) texts(n ast.Node, field string) []string {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(n, field, "must be a list")
		return nil
	}
	var out []string
	for i, v := range seq.Values {
		s, ok := text(v)
		if !ok || s == "" {
			r.fail(v, fmt.Sprintf("%s[%d]", field, i), "must be text")
			continue
		}
		out = append(out, s)
	}
	if len(seq.Values) == 0 {
		r.fail(n, field, "must not be empty")
	}
	return out
}

// whole returns the whole number at key, from min to max.
func (o *object) whole(key string, min, max int) int {
	if !o.need(key) {
		return 0
	}
	n, ok := o.at[key].(*ast.IntegerNode)
	if !ok {
		o.fail(key, "must be a whole number from %d to %d", min, max)
		return 0
	}
	v, ok := integer(n.Value)
	if !ok || v < int64(min) || v > int64(max) {
		o.fail(key, "must be a whole number from %d to %d", min, max)
		return 0
	}
	return int(v)
}

// yes returns the truth value at key; false if it is not there.
func (o *object) yes(key string) bool {
	if !o.has(key) {
		return false
	}
	b, ok := o.at[key].(*ast.BoolNode)
	if !ok {
		o.fail(key, "must be true or false")
		return false
	}
	return b.Value
}

// day returns the day at key; no date if it is not there.
func (o *object) day(key string) civil.Date {
	s := o.str(key)
	if s == "" {
		return civil.Date{}
	}
	d, err := civil.Parse(s)
	if err != nil {
		o.fail(key, "%v", err)
	}
	return d
}

// sub opens the mapping at key.
func (o *object) sub(key string, keys ...string) object {
	if !o.need(key) {
		return object{r: o.r, field: o.path(key), at: map[string]ast.Node{}}
	}
	return o.r.open(o.at[key], o.path(key), keys...)
}

// fail notes a problem with the value at key.
func (o *object) fail(key, format string, args ...any) {
	n := o.at[key]
	if n == nil {
		n = o.node
	}
	o.r.fail(n, o.path(key), format, args...)
}

func text(n ast.Node) (string, bool) {
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

func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= 1<<62
	case int:
		return int64(n), true
	}
	return 0, false
}
