package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	duly "github.com/dulyhq/duly"
)

// readJSONL reads a file with one JSON object to a line: facts as they stand, or rows for a mapping.
func (r *reading) readJSONL(src io.Reader) error {
	in := newLines(r.decode(src))
	s := &sheet{}
	if !r.m.native {
		s = r.m.sheets[0]
	}
	t := r.newTable(s, r.file)
	t.bindKeys()
	for {
		line, long, err := in.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return r.broken(err, in.no)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if !long {
			if err := r.checkText(line, in.no); err != nil {
				return err
			}
		}
		switch {
		case long:
			err = t.refuse(in.no, 0, fmt.Sprintf("line(>%d)", lineMax), fmt.Sprintf("a line of more than %d bytes", lineMax), "one object stands on one line")
		case r.m.native:
			err = t.nativeRow(line, in.no)
		default:
			err = t.objectRow(line, in.no)
		}
		if err != nil {
			return err
		}
	}
}

// nativeRow reads a line that is a fact.
func (t *table) nativeRow(line []byte, no int) error {
	if err := t.r.begin(); err != nil {
		return err
	}
	t.line, t.wrong, t.r.facts = no, nil, t.r.facts[:0]
	f, found := t.check.parse(line, "")
	for _, x := range found {
		t.wrong = append(t.wrong, Problem{duly.Place{File: t.file, Line: no, Field: x.field}, x.class, x.reason, x.hint})
	}
	if len(found) == 0 {
		t.r.facts = append(t.r.facts, f)
	}
	return t.finish()
}

// objectRow reads a line that is an object whose values a mapping names by their keys, dotted where objects nest.
func (t *table) objectRow(line []byte, no int) error {
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	if err := dec.Decode(&object); err != nil || object == nil || trailing(dec) {
		return t.refuse(no, 0, "text", "not one JSON object", "one object stands on one line")
	}
	cells := make([]string, len(t.s.columns))
	for i, c := range t.s.columns {
		v, ok := lookUp(object, c.name)
		text, plain := plainValue(v)
		switch {
		case !ok && !c.optional:
			return t.refuse(no, 0, "empty", fmt.Sprintf("the object has no key %q", c.name), "mark the field optional in the mapping if it may be missing")
		case !plain:
			return t.refuse(no, 0, "object", fmt.Sprintf("key %q holds no plain value", c.name), "name the key within it, with a dot between")
		}
		cells[i] = text
	}
	return t.row(cells, no)
}

// lookUp finds the value of a key, which may be dotted.
func lookUp(object map[string]any, key string) (any, bool) {
	if v, ok := object[key]; ok {
		return v, true
	}
	head, rest, dotted := strings.Cut(key, ".")
	inner, ok := object[head].(map[string]any)
	if !dotted || !ok {
		return nil, false
	}
	return lookUp(inner, rest)
}

// plainValue writes a JSON value as a cell; of a list, its values with semicolons between.
func plainValue(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			_, nested := item.([]any)
			text, ok := plainValue(item)
			if !ok || nested {
				return "", false
			}
			parts[i] = text
		}
		return strings.Join(parts, ";"), true
	}
	return "", false
}

func trailing(dec *json.Decoder) bool {
	_, err := dec.Token()
	return err != io.EOF
}
