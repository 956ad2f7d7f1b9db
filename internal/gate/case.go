package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
)

// Limits of a file of cases.
const (
	MaxCaseBytes = 4 << 20
	MaxCases     = 5000
)

// TypeContact is the type of the cases that ask the gate about a contact.
const TypeContact = "contact_decision"

// Case is one question with the answer that it must get: how a rule pack is tested. Cases are JSON or YAML; docs/rules.md
// tells what they hold. Times are written as RFC 3339 with an offset, amounts as plain numbers. A key that is not known is
// told in Notes, and the case is judged all the same.
type Case struct {
	ID           string
	Type         string // contact_decision, which "" is too, or one that another package judges
	Title        string
	Jurisdiction string   // the borrower's country, unless borrower.country says it
	Packs        []string // the packs asked, in force wherever the borrower is; none is the pack that the case stands with
	Expect       Expectation
	Notes        []string // keys that are not known

	file     string
	alone    bool // it came by itself, not in a file of cases
	raw      map[string]any
	defaults *bag
	problems []error
}

// Expectation is the answer that a case must get. Reason and rule must be among the reasons, together.
type Expectation struct {
	Verdict   string
	NotBefore time.Time
	Reason    string
	Rule      string
	any       bool // a contact that is deferred may be so until any instant: not_before is null
}

// Raw returns the case as it was read. It must not be changed.
func (c *Case) Raw() map[string]any { return c.raw }

// Decode reads the case into v, as package json would.
func (c *Case) Decode(v any) error {
	b, err := json.Marshal(c.raw)
	if err != nil {
		return fmt.Errorf("read case %s: %w", c.ID, err)
	}
	return json.Unmarshal(b, v)
}

// LoadCases reads a file of cases, named name in errors: {cases: […], defaults: {…}}, or the list alone. What is wrong with
// one case fails that case and not the file.
func LoadCases(name string, src []byte) ([]Case, error) {
	if len(src) > MaxCaseBytes {
		return nil, duly.Errorf(duly.Invalid, "the file of cases is larger than %d KiB", MaxCaseBytes>>10).At(duly.Place{File: name})
	}
	top, err := readAny(name, src)
	if err != nil {
		return nil, err
	}
	file, ok := top.(map[string]any)
	if !ok {
		file = map[string]any{"cases": top}
	}
	list, ok := file["cases"].([]any)
	if !ok || len(list) == 0 || len(list) > MaxCases {
		return nil, duly.Errorf(duly.Invalid, "must have 1 to %d cases", MaxCases).At(duly.Place{File: name, Field: "cases"})
	}
	cases := make([]Case, len(list))
	seen := map[string]bool{}
	for i, v := range list {
		c := &cases[i]
		c.read(name, v, file["defaults"])
		if c.ID == "" {
			c.ID = fmt.Sprintf("#%d", i+1)
		}
		if seen[c.ID] {
			c.problems = append(c.problems, c.problem("id", "another case has this id"))
		}
		seen[c.ID] = true
	}
	return cases, nil
}

// ReadCase reads one case by itself.
func ReadCase(name string, src []byte) (*Case, error) {
	if len(src) > MaxCaseBytes {
		return nil, duly.Errorf(duly.Invalid, "the case is larger than %d KiB", MaxCaseBytes>>10).At(duly.Place{File: name})
	}
	top, err := readAny(name, src)
	if err != nil {
		return nil, err
	}
	if _, ok := top.(map[string]any); !ok {
		return nil, duly.Errorf(duly.Invalid, "must be one case: a mapping of keys to values").At(duly.Place{File: name})
	}
	c := &Case{alone: true}
	c.read(name, top, nil)
	return c, errors.Join(c.problems...)
}

// readAny reads JSON or YAML as plain values.
func readAny(name string, src []byte) (any, error) {
	var v any
	if t := bytes.TrimSpace(src); len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		dec := json.NewDecoder(bytes.NewReader(t))
		dec.UseNumber()
		if dec.Decode(&v) == nil && !dec.More() {
			return v, nil
		}
	}
	if err := yaml.Unmarshal(src, &v); err != nil {
		place := duly.Place{File: name}
		msg := "the file is not well-formed YAML"
		if e, ok := errors.AsType[yaml.Error](err); ok {
			msg = e.GetMessage()
			if tk := e.GetToken(); tk != nil && tk.Position != nil {
				place.Line, place.Column = tk.Position.Line, tk.Position.Column
			}
		}
		return nil, duly.Errorf(duly.Invalid, "%s", msg).At(place)
	}
	return v, nil
}

// read takes what the case says of itself, and tries whether facts can be made of the rest.
func (c *Case) read(file string, v, defaults any) {
	c.file = file
	b := &builder{c: c}
	top := b.open("", v)
	c.raw = top.m
	c.ID, c.Type, c.Title = top.text("id"), or(top.text("type"), TypeContact), top.text("title")
	c.Jurisdiction, c.Packs = top.text("jurisdiction"), top.texts("packs")
	c.defaults = (&builder{c: c}).open("defaults", defaults)
	if c.Type != TypeContact {
		c.problems = b.problems
		return
	}
	e := top.sub("expect")
	c.Expect = Expectation{Verdict: e.text("verdict"), NotBefore: e.time("not_before"), Reason: e.text("reason"), Rule: e.text("rule")}
	null, there := e.m["not_before"]
	c.Expect.any = there && null == nil
	e.skip("note", "why")
	_, err := c.facts(b, top)
	c.problems = nil
	if err != nil {
		c.problems = []error{err}
	}
	for _, x := range b.bags {
		c.Notes = append(c.Notes, x.unused()...)
	}
	c.Notes = slices.Compact(slices.Sorted(slices.Values(c.Notes)))
}

func (c *Case) problem(field, format string, args ...any) error {
	if !c.alone {
		field = "cases." + c.ID + "." + field
	}
	return duly.Errorf(duly.Invalid, format, args...).At(duly.Place{File: c.file, Field: field})
}

// Facts makes the facts that the case describes, anew each time.
func (c *Case) Facts() (*rule.Facts, error) {
	b := &builder{c: c}
	return c.facts(b, b.open("", c.raw))
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
