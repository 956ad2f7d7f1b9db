package generic

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// path leads to a value in JSON: result.messages[0].id. In a form it is the name of a field.
type path struct {
	text  string
	steps []step
}

// step is a key of an object, or a place in an array.
type step struct {
	key   string
	index int // where key is ""
}

const (
	pathMax  = 256
	indexMax = 1000
)

func parsePath(s string) (path, error) {
	p := path{text: s}
	if s == "" {
		return p, nil
	}
	if len(s) > pathMax {
		return p, errors.New("longer than 256 bytes")
	}
	for name := range strings.SplitSeq(s, ".") {
		key, rest, _ := strings.Cut(name, "[")
		if key != "" {
			p.steps = append(p.steps, step{key: key})
		}
		for rest != "" {
			n, after, closed := strings.Cut(rest, "]")
			index, err := strconv.Atoi(n)
			if !closed || err != nil || index < 0 || index > indexMax || after != "" && after[0] != '[' {
				return p, errors.New("not a path such as result.messages[0].id")
			}
			p.steps = append(p.steps, step{index: index})
			rest = strings.TrimPrefix(after, "[")
		}
		if name == "" || key == "" && !strings.HasPrefix(name, "[") {
			return p, errors.New("not a path such as result.messages[0].id")
		}
	}
	return p, nil
}

// given reports whether there is a path at all.
func (p path) given() bool { return p.text != "" }

// in returns what the path leads to, or nil.
func (p path) in(v any) any {
	for _, s := range p.steps {
		switch at := v.(type) {
		case map[string]any:
			v = at[s.key]
		case []any:
			if s.key != "" || s.index >= len(at) {
				return nil
			}
			v = at[s.index]
		default:
			return nil
		}
	}
	return v
}

// source is where the values of an answer or a callback are read from.
type source interface {
	read(p path) string // "" where there is none
}

// tree is decoded JSON.
type tree struct{ v any }

func (t tree) read(p path) string {
	if !p.given() {
		return ""
	}
	switch v := p.in(t.v).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// fields are those of a form, or of a URL's query.
type fields url.Values

func (f fields) read(p path) string { return url.Values(f).Get(p.text) }
