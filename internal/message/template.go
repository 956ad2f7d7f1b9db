package message

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/dulyhq/duly"
)

// maxNameBytes bounds a template's name, and maxPlaceholders how many placeholders one text has.
const (
	maxNameBytes    = 64
	maxPlaceholders = 50
)

// template is one file, checked and compiled.
type template struct {
	name, file, hash string
	locale           *locale
	tone             duly.Tone
	title            string
	segmentsMax      int
	texts            [formCount]*text
}

// text is the words for one form.
type text struct {
	heading *phrase
	body    *phrase
}

// phrase is words with gaps: literals[0], variable 0, literals[1], variable 1, … literals[n].
type phrase struct {
	literals  []string
	variables []int // indexes of the table of variables
}

// draft is a template while its file is read.
type draft struct {
	*reader
	t        *template
	declared map[string]bool
	used     map[string]bool
}

// load parses, compiles and checks the source of one template.
func load(file string, src []byte) (*template, error) {
	if len(src) > MaxFileBytes {
		return nil, tooLarge(file)
	}
	s := strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\r\n", "\n")
	sum := sha256.Sum256([]byte(s))
	d := &draft{
		reader: &reader{file: file}, declared: map[string]bool{}, used: map[string]bool{},
		t: &template{file: file, hash: hex.EncodeToString(sum[:12]), segmentsMax: DefaultSegments},
	}
	fields := d.open(s, topKeys())
	if fields == nil {
		return nil, errors.Join(d.problems...)
	}
	d.read(fields)
	if len(d.problems) > 0 {
		return nil, errors.Join(d.problems...)
	}
	return d.t, nil
}

func topKeys() []string {
	keys := []string{"name", "language", "tone", "title", "variables", "max_segments", "text"}
	for i := range forms {
		keys = append(keys, forms[i].key)
	}
	return keys
}

func (d *draft) read(fields map[string]*field) {
	d.t.name = d.required(fields, "name")
	if n := d.t.name; n != "" && (len(n) > maxNameBytes || strings.Trim(n, "abcdefghijklmnopqrstuvwxyz0123456789-") != "") {
		d.fail(fields["name"], "use small letters, digits and hyphens", "must have 1 to %d of them", maxNameBytes)
	}
	d.readLanguage(fields)
	if tone := d.required(fields, "tone"); tone != "" {
		if d.t.tone = duly.Tone(tone); d.t.tone.Rank() == 0 {
			d.fail(fields["tone"], "the tones are friendly, plain and firm", "unknown tone")
		}
	}
	d.t.title = d.required(fields, "title")
	if f := fields["title"]; strings.ContainsAny(d.t.title, "{}\n") || utf8.RuneCountInString(d.t.title) > headingMax {
		d.fail(f, "say in a few words what the message is", "must be one line of at most %d characters without placeholders", headingMax)
	}
	d.readSegments(fields["max_segments"])
	d.readVariables(fields["variables"])
	d.readTexts(fields)
	d.checkUsed(fields["variables"])
}

// required returns the text of a key that must be there.
func (d *draft) required(fields map[string]*field, key string) string {
	f := fields[key]
	if f == nil {
		d.add(duly.Place{Field: key}, "add "+key+":", "is missing")
		return ""
	}
	s, _ := d.text(f)
	return s
}

func (d *draft) readLanguage(fields map[string]*field) {
	tag := d.required(fields, "language")
	if tag == "" {
		return
	}
	if d.t.locale = localeOf(tag); d.t.locale == nil {
		var known []string
		for _, l := range locales {
			known = append(known, l.tag)
		}
		d.fail(fields["language"], "the languages are "+strings.Join(known, ", "), "Duly cannot write money and dates in this language")
	}
}

func (d *draft) readSegments(f *field) {
	if f == nil {
		return
	}
	n, ok := f.value.(*ast.IntegerNode)
	if ok {
		var v uint64
		if v, ok = n.Value.(uint64); ok && v >= 1 && v <= MaxSegments {
			d.t.segmentsMax = int(v)
			return
		}
	}
	d.fail(f, "leave it out for "+fmt.Sprint(DefaultSegments), "must be a whole number from 1 to %d", MaxSegments)
}

func (d *draft) readVariables(f *field) {
	if f == nil {
		return
	}
	list, ok := f.value.(*ast.SequenceNode)
	if !ok {
		d.fail(f, "write variables: [lender, total]", "must be a list of variables")
		return
	}
	for _, n := range list.Values {
		name, ok := textOf(n)
		switch {
		case !ok:
			d.add(placeOf(n, f.name), "write variables: [lender, total]", "must be the name of a variable")
		case variableIndex(name) < 0:
			d.add(placeOf(n, f.name), "the variables are "+variableNames(), "there is no variable %q", clip(name))
		case d.declared[name]:
			d.add(placeOf(n, f.name), "keep one", "variable %s is declared twice", name)
		default:
			d.declared[name] = true
		}
	}
}

// readTexts reads the words of every form, the common text last: it serves the forms that share it and lack their own.
func (d *draft) readTexts(fields map[string]*field) {
	spoken := false
	for f := range formCount {
		if fd := fields[forms[f].key]; fd != nil {
			spoken = true
			d.t.texts[f] = d.readForm(f, fd)
		}
	}
	if fd := fields["text"]; fd != nil {
		spoken = true
		body := d.phrase(fd)
		for f := range formCount {
			if body != nil && forms[f].shared && fields[forms[f].key] == nil {
				d.t.texts[f] = &text{body: body}
				d.checkForm(f, fd, nil)
			}
		}
	}
	if !spoken {
		d.add(duly.Place{}, "add sms:, email:, push:, call:, im:, in_app:, letter: or text:", "the template has no words")
	}
}

// readForm reads the words of one form: text, or a heading with text.
func (d *draft) readForm(f form, fd *field) *text {
	before := len(d.problems)
	out := &text{}
	var heading *field
	if h := forms[f].heading; h != "" {
		parts := d.mapping(fd, []string{h, "text"})
		if parts == nil {
			return nil
		}
		if parts[h] == nil || parts["text"] == nil {
			d.fail(fd, "give "+h+": and text:", "must have %s and text", h)
			return nil
		}
		heading, fd = parts[h], parts["text"]
		out.heading = d.phrase(heading)
	}
	out.body = d.phrase(fd)
	if len(d.problems) > before {
		return nil
	}
	d.t.texts[f] = out
	d.checkForm(f, fd, heading)
	return out
}

// phrase compiles the text of a field.
func (d *draft) phrase(f *field) *phrase {
	s, ok := d.text(f)
	if !ok {
		return nil
	}
	if d.cutShort(f) {
		d.fail(f, "put the text in quotes if the # belongs to it, or the comment on a line of its own", "a comment stands behind the text")
		return nil
	}
	p := &phrase{}
	seen := map[string]int{}
	for {
		open, end := strings.Index(s, "{{"), strings.Index(s, "}}")
		if open < 0 && end < 0 {
			p.literals = append(p.literals, s)
			return p
		}
		switch {
		case open < 0 || end >= 0 && end < open:
			d.add(d.find(f, "}}", len(p.variables)), "write {{name}}", "}} closes no placeholder")
			return nil
		case end < 0:
			d.add(d.find(f, "{{", len(p.variables)), "write {{name}}", "{{ is not closed")
			return nil
		}
		name := s[open+2 : end]
		whole := "{{" + name + "}}"
		d.gap(f, name, d.find(f, whole, seen[whole]))
		seen[whole]++
		p.literals = append(p.literals, s[:open])
		p.variables = append(p.variables, max(variableIndex(name), 0))
		if len(p.variables) > maxPlaceholders {
			d.fail(f, "shorten the text", "has more than %d placeholders", maxPlaceholders)
			return nil
		}
		s = s[end+2:]
	}
}

// gap checks a placeholder.
func (d *draft) gap(f *field, name string, at duly.Place) {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		d.add(at, "write {{name}}: no space, no logic, no functions", "not a placeholder: {{%s}}", clip(name))
		return
	}
	switch {
	case variableIndex(name) < 0:
		d.add(at, "the variables are "+variableNames(), "there is no variable %q", clip(name))
	case !d.declared[name]:
		d.add(at, "add "+name+" to variables:", "variable %s is not declared", name)
	}
	d.used[name] = true
}

func (d *draft) checkUsed(f *field) {
	if f == nil {
		return
	}
	list, ok := f.value.(*ast.SequenceNode)
	if !ok {
		return
	}
	for _, n := range list.Values {
		if name, ok := textOf(n); ok && d.declared[name] && !d.used[name] {
			d.add(placeOf(n, f.name), "take it out, or use {{"+name+"}}", "variable %s is declared and not used", name)
		}
	}
}

// clip shortens what a file says before an error repeats it.
func clip(s string) string {
	const limit = 40
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}
