package message

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/dulyhq/duly"
)

// maxProblems bounds how many problems of one file are reported, and maxDepth how deep its YAML nests: a template needs
// two levels.
const (
	maxProblems = 50
	maxDepth    = 8
)

// reader walks the YAML of one file and keeps every problem with its place.
type reader struct {
	file     string
	lines    []string
	trailing []int // the lines on which a comment stands behind unquoted text
	problems []error
}

// field is a key of a mapping with its value, and the lines that the value may reach over.
type field struct {
	name  string // from the top: email.subject
	value ast.Node
	until int // the line of the next key, from 1
}

func (r *reader) add(p duly.Place, hint, format string, args ...any) {
	if len(r.problems) < maxProblems {
		p.File = r.file
		r.problems = append(r.problems, duly.Errorf(duly.Invalid, format, args...).At(p).WithHint("%s", hint))
	}
}

// fail notes a problem at a field's value.
func (r *reader) fail(f *field, hint, format string, args ...any) {
	r.add(placeOf(f.value, f.name), hint, format, args...)
}

func placeOf(n ast.Node, name string) duly.Place {
	p := duly.Place{Field: name}
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		p.Line, p.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
	}
	return p
}

// find returns the place of the nth needle (from 0) within the field's value, or of the value where an escape hides it.
func (r *reader) find(f *field, needle string, nth int) duly.Place {
	start := placeOf(f.value, f.name)
	skip := start.Column - 1
	for n := start.Line; n > 0 && n < f.until && n <= len(r.lines); n++ {
		line, column := []rune(r.lines[n-1]), skip
		skip = 0
		for column >= 0 && column <= len(line) {
			i := strings.Index(string(line[column:]), needle)
			if i < 0 {
				break
			}
			column += utf8.RuneCountInString(string(line[column:])[:i])
			if nth == 0 {
				return duly.Place{Line: n, Column: column + 1, Field: f.name}
			}
			nth--
			column += utf8.RuneCountInString(needle)
		}
	}
	return start
}

// open reads the source as one mapping with the given keys, or returns nil with the problem noted.
func (r *reader) open(src string, keys []string) map[string]*field {
	r.lines = strings.Split(src, "\n")
	if !r.clean() {
		return nil
	}
	tokens := lexer.Tokenize(src)
	if at := tooDeep(tokens); at != nil {
		r.add(duly.Place{Line: at.Line, Column: at.Column}, "a template has keys and texts, and one list", "nested more than %d deep", maxDepth)
		return nil
	}
	r.noteComments(tokens)
	doc, err := parser.Parse(tokens, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	if len(doc.Docs) != 1 || doc.Docs[0].Body == nil {
		r.add(duly.Place{}, "see docs or a shipped template for what it holds", "the file must hold one YAML document")
		return nil
	}
	top := &field{value: doc.Docs[0].Body, until: len(r.lines) + 1}
	return r.mapping(top, keys)
}

// clean refuses characters that cannot be seen, and bytes that are no characters.
func (r *reader) clean() bool {
	for n, line := range r.lines {
		if !utf8.ValidString(line) {
			r.add(duly.Place{Line: n + 1}, "save the file as UTF-8", "the line is not UTF-8")
			return false
		}
		for i, c := range line {
			if c != '\t' && unicode.IsControl(c) || unseen(c) {
				r.add(duly.Place{Line: n + 1, Column: utf8.RuneCountInString(line[:i]) + 1}, "delete it", "there is a character that cannot be seen, U+%04X", c)
				return false
			}
		}
	}
	return true
}

// tooDeep returns where brackets or dashes of one line nest deeper than maxDepth, or nil. The parser's time grows with
// the square of that depth.
func tooDeep(tokens token.Tokens) *token.Position {
	brackets, marks, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			marks, line = 0, tk.Position.Line
		}
		switch tk.Type { //nolint:exhaustive // only what nests matters
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			marks++
		}
		if brackets > maxDepth || marks > maxDepth {
			return tk.Position
		}
	}
	return nil
}

func (r *reader) syntax(err error) {
	p, message, hint := duly.Place{}, "the file is not well-formed YAML", "put text in quotes"
	if y, ok := errors.AsType[yaml.Error](err); ok {
		message = y.GetMessage()
		if tk := y.GetToken(); tk != nil && tk.Position != nil {
			p.Line, p.Column = tk.Position.Line, tk.Position.Column
		}
	}
	if p.Line > 0 && p.Line <= len(r.lines) && strings.Contains(r.lines[p.Line-1], "{{") {
		hint = "text that opens with {{ must be in quotes"
	}
	r.add(p, hint, "%s", message)
}

// mapping reads a field's value as a mapping with the given keys, each at most once.
func (r *reader) mapping(f *field, keys []string) map[string]*field {
	pairs, ok := pairsOf(f.value)
	if !ok {
		r.fail(f, "the keys are "+strings.Join(keys, ", "), "must be a mapping of keys to values")
		return nil
	}
	out := make(map[string]*field, len(pairs))
	for i, p := range pairs {
		name, ok := textOf(p.Key)
		at := join(f.name, name)
		switch {
		case !ok:
			r.add(placeOf(p.Key, f.name), "write a plain key; anchors, aliases and merges are not taken", "a key must be plain text")
		case !slices.Contains(keys, name):
			r.add(placeOf(p.Key, at), "the keys here are "+strings.Join(keys, ", "), "unknown key")
		case out[name] != nil:
			r.add(placeOf(p.Key, at), "keep one", "the key comes twice")
		default:
			out[name] = &field{name: at, value: p.Value, until: f.until}
			if i+1 < len(pairs) {
				out[name].until = placeOf(pairs[i+1].Key, "").Line
			}
			if line := placeOf(p.Key, "").Line; out[name].until <= line {
				out[name].until = line + 1 // a mapping in braces, on one line
			}
		}
	}
	return out
}

func pairsOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// text reads a field's value as text that is not blank, without the space around it.
func (r *reader) text(f *field) (string, bool) {
	s, ok := textOf(f.value)
	if !ok {
		r.fail(f, "put it in quotes", "must be text")
		return "", false
	}
	if s = strings.TrimSpace(s); s == "" {
		r.fail(f, "fill it in, or take the key out", "is empty")
		return "", false
	}
	return s, true
}

// cutShort reports whether a comment stands behind the unquoted text of a field, which may be text that was meant.
func (r *reader) cutShort(f *field) bool {
	s, ok := f.value.(*ast.StringNode)
	if !ok || s.Token.Type != token.StringType {
		return false
	}
	for _, line := range r.trailing {
		if line >= s.Token.Position.Line && line < f.until {
			return true
		}
	}
	return false
}

func (r *reader) noteComments(tokens token.Tokens) {
	for i, tk := range tokens {
		if i > 0 && tk.Type == token.CommentType && tokens[i-1].Type == token.StringType && tokens[i-1].Position.Line == tk.Position.Line {
			r.trailing = append(r.trailing, tk.Position.Line)
		}
	}
}

func textOf(n ast.Node) (string, bool) {
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
