package ingest

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dulyhq/duly/internal/civil"
)

// sourceKeys are the keys of a field.
func sourceKeys() []string {
	return []string{"column", "const", "template", "add", "subtract", "date_plus_days", "row_number", "hash", "hash_each",
		"format", "clock", "map", "default", "required", "optional", "trim", "decimal", "grouping", "unit", "nulls"}
}

func (l *loader) fields(r *record, n entry) {
	given := map[string]source{}
	for _, e := range n.entries() {
		f := r.noun.field(e.name)
		if e.name == fieldCurrency && r.noun.money && f == nil || f == nil {
			e.d.note(e.d.place(e.key, e.path), string(r.noun.kind)+" has no such field", "it has "+strings.Join(fieldNames(r.noun), ", "))
			continue
		}
		given[e.name] = l.source(f, e.node)
	}
	for i := range r.noun.fields {
		f := &r.noun.fields[i]
		src, ok := given[f.name]
		switch {
		case f.name == fieldCurrency:
			if ok {
				r.currency = &boundField{f, src}
			} else if l.m.currency == "" {
				n.fail("give the mapping a currency, or map this field", "%s needs a currency", r.noun.kind)
			}
			r.fields = append(r.fields, boundField{f, source{op: opConst}})
		case ok:
			r.fields = append(r.fields, boundField{f, src})
		case f.must:
			n.fail("", "field %s of %s is not mapped", f.name, r.noun.kind)
		}
	}
	if _, ok := given["zone"]; ok {
		if _, ok := given["zone_source"]; !ok {
			n.fail("zone_source: {const: lender}, or address, phone, device, stated", "a zone needs its evidence")
		}
	}
}

func fieldNames(n *noun) []string {
	var out []string
	for _, f := range n.fields {
		out = append(out, f.name)
	}
	return out
}

// source reads how a field's value is made: the name of a column, or a mapping of keys.
func (l *loader) source(f *field, n node) source {
	s := l.m.defaults
	if name, ok := scalar(n.ast); ok {
		s.op, s.cols = opColumn, []int{l.column(name, false)}
		l.needed[s.cols[0]] = true
		return s
	}
	optional := false
	var days *entry
	for _, e := range n.entries(sourceKeys()...) {
		switch e.name {
		case "required":
			s.required = e.truth()
		case "optional":
			optional = e.truth()
		case "default":
			s.def = e.text()
		case "format":
			l.formats(&s, f, e)
		case "clock":
			l.clock(&s, f, e)
		case "map":
			l.table(&s, e)
		case "unit":
			if s.minor = e.text() == "minor"; !s.minor || f.typ != typeAmount {
				e.fail("", "unit: minor is for amounts given in fen, cents or the like")
			}
		case "trim", "decimal", "grouping", "nulls":
			l.option(&s, e)
		default:
			if s.op != "" {
				e.fail("", "the value is made in two ways: %s and %s", s.op, e.name)
				continue
			}
			if l.operation(&s, e); s.op == opDatePlusDays {
				days = &e
			}
		}
	}
	if s.op == "" {
		n.fail("column, const, template, add, subtract, date_plus_days, row_number, hash or hash_each", "the field has no value")
		return s
	}
	l.suits(&s, f, n)
	if days != nil && f.typ != typeDate {
		days.fail("", "date_plus_days makes a day")
	}
	for _, c := range s.cols {
		if optional {
			l.optional[c] = true
		} else {
			l.needed[c] = true
		}
	}
	return s
}

// operation reads the key that says where a value comes from.
func (l *loader) operation(s *source, e entry) {
	s.op = operation(e.name)
	switch s.op {
	case opColumn:
		s.cols = []int{l.column(e.text(), false)}
	case opConst:
		s.text = e.text()
	case opTemplate:
		l.template(s, e)
	case opAdd, opSubtract, opHash, opHashEach:
		for _, c := range e.texts() {
			s.cols = append(s.cols, l.column(c, false))
		}
		if len(s.cols) == 0 || s.op == opSubtract && len(s.cols) < 2 {
			e.fail("", "too few columns")
		}
	case opDatePlusDays:
		l.datePlusDays(s, e)
	case opRowNumber:
		if !e.truth() {
			e.fail("", "row_number: true")
		}
	}
}

// template reads "{a}-{b}".
func (l *loader) template(s *source, e entry) {
	rest := e.text()
	for {
		before, after, ok := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			e.fail("", "a brace is closed that was not opened")
			return
		}
		s.parts = append(s.parts, before)
		if !ok {
			break
		}
		name, tail, ok := strings.Cut(after, "}")
		if !ok || name == "" || strings.Contains(name, "{") {
			e.fail(`columns stand in braces: "{customer}-{no}"`, "a brace is opened and not closed, or names no column")
			return
		}
		s.cols = append(s.cols, l.column(name, false))
		rest = tail
	}
	if len(s.cols) == 0 {
		e.fail("use const for text that never changes", "the template names no column")
	}
}

func (l *loader) datePlusDays(s *source, e entry) {
	date, days := -1, false
	for _, k := range e.entries("date", "days") {
		switch k.name {
		case "date":
			date = l.column(k.text(), false)
		case "days":
			days = true
			if _, number := k.ast.(*ast.IntegerNode); number {
				s.days = k.number(0, daysMax)
				continue
			}
			s.daysCol = true
			s.cols = append(s.cols, l.column(k.text(), false))
		}
	}
	if date < 0 || !days {
		e.fail("date_plus_days: {date: disbursed, days: tenor}", "a column of dates and days are needed")
		return
	}
	s.cols = append([]int{date}, s.cols...)
}

// suits notes an operation or option that makes no sense for a field.
func (l *loader) suits(s *source, f *field, n node) {
	if f == nil {
		return
	}
	ok := true
	switch s.op {
	case opAdd, opSubtract:
		ok = f.typ == typeAmount
	case opHash, opHashEach:
		ok = f.typ == typeID || f.typ == typeText
	case opRowNumber:
		ok = f.typ == typeID || f.typ == typeText || f.typ == typeInt || f.typ == typeVersion
	case opColumn, opConst, opTemplate, opDatePlusDays:
	}
	if !ok {
		n.fail("", "%s does not make values of type %s", s.op, f.typ)
	}
	if s.op == opConst && s.text == "" {
		n.fail("leave the field out instead", "the constant is empty")
	}
	if s.minor && s.op == opConst {
		n.fail("", "unit is for columns")
	}
}

func (l *loader) formats(s *source, f *field, e entry) {
	if f.typ != typeDate && f.typ != typeTime && f.typ != typeVersion {
		e.fail("", "a format is for days and times")
		return
	}
	for _, item := range e.list() {
		text := item.text()
		lay, err := newLayout(text)
		if err != nil {
			item.fail(err.Error(), "not a format of days or times")
			continue
		}
		s.formats, s.layouts = append(s.formats, text), append(s.layouts, lay)
	}
}

func (l *loader) clock(s *source, f *field, e entry) {
	c, err := civil.ParseClock(e.text())
	if err != nil || f.typ != typeTime && f.typ != typeVersion {
		e.fail(`clock: "23:59", for times whose source has days only`, "not a time of day, or not for a time")
		return
	}
	s.clock = &c
}

func (l *loader) table(s *source, e entry) {
	s.table = map[string]string{}
	for _, p := range e.entries() {
		s.table[p.name] = p.text()
	}
	if len(s.table) == 0 {
		e.fail("", "the map is empty")
	}
}

// isNull reports whether text stands for nothing.
func (s *source) isNull(text string) bool {
	return text == "" || len(s.nulls) > 0 && slices.Contains(s.nulls, text)
}
