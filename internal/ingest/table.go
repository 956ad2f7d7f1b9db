package ingest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// table is one sheet being read: its mapping, bound to the columns that the file has.
type table struct {
	r     *reading
	s     *sheet
	file  string
	day0  civil.Date // that a workbook counts days from
	index []int      // of the file's columns, for each of the sheet's; -1 if the file lacks it
	width int        // columns of the file; 0 is not known
	line  int
	cells []string
	cell  cell
	check checker

	last   []string         // the cells of the row before
	said   []bool           // for each record, whether the row before said it and was good
	saying []bool           // the same of this row
	money  []money.Currency // of what each record said last
	rec    *record
	part   int // of a field made from several columns: the one being read
	wrong  []Problem
	dups   seen
	hashes map[*boundField]*seen
	digest []byte
}

func (r *reading) newTable(s *sheet, file string) *table {
	return &table{r: r, s: s, file: file, day0: excelEpoch(false), said: make([]bool, len(s.records)),
		saying: make([]bool, len(s.records)), money: make([]money.Currency, len(s.records)), hashes: map[*boundField]*seen{}}
}

// excelEpoch returns the day before the first that a workbook counts.
func excelEpoch(from1904 bool) civil.Date {
	if from1904 {
		return civil.On(1904, time.January, 1)
	}
	return civil.On(1899, time.December, 30)
}

func (t *table) epoch() civil.Date    { return t.day0 }
func (t *table) zone() *time.Location { return t.r.m.zone }
func (t *table) binary() bool         { return t.r.workbook }

// bind finds the columns of the mapping among names. Header is the line they were read from.
func (t *table) bind(names []string, header int) error {
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	t.width, t.index = len(names), make([]int, len(t.s.columns))
	var missing []string
	for i, c := range t.s.columns {
		at := slices.Index(names, c.name)
		if at < 0 {
			at = slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, c.name) })
		}
		if at >= 0 && slices.Contains(names[at+1:], names[at]) {
			return t.r.fatal(header, at+1, "the header names column %q twice", c.name).WithHint("rename one of them")
		}
		if at < 0 && !c.optional {
			missing = append(missing, strconv.Quote(c.name))
		}
		t.index[i] = at
	}
	if len(missing) > 0 {
		e := duly.Errorf(duly.Invalid, "the header has no column %s", strings.Join(missing, ", ")).
			WithHint("the file has %d columns; check the mapping, its delimiter and header_line, and that this is the right file", len(names))
		return e.At(duly.Place{File: t.file, Line: header})
	}
	return nil
}

// bindKeys takes the sheet's columns as they are: cells come in their order.
func (t *table) bindKeys() {
	t.index = make([]int, len(t.s.columns))
	for i := range t.index {
		t.index[i] = i
	}
}

// get returns the cell of a column, trimmed and with what stands for nothing made empty.
func (t *table) get(col int, src *source) string {
	at := t.index[col]
	if at < 0 || at >= len(t.cells) {
		return ""
	}
	s := t.cells[at]
	if src.trim && len(s) > 0 && (s[0] <= ' ' || s[0] >= 0x80 || s[len(s)-1] <= ' ' || s[len(s)-1] >= 0x80) {
		s = strings.TrimSpace(s)
	}
	if src.isNull(s) {
		return ""
	}
	return s
}

// row makes the facts of one row and hands them on. Cells must not change afterwards.
func (t *table) row(cells []string, line int) error {
	if err := t.r.begin(); err != nil {
		return err
	}
	t.cells, t.line, t.wrong = cells, line, nil
	t.r.facts = t.r.facts[:0]
	switch {
	case t.width > 0 && len(cells) != t.width:
		t.bad(len(cells), fmt.Sprintf("columns(%d)", len(cells)), fmt.Sprintf("the row has %d columns, the header %d", len(cells), t.width),
			"quote values that hold the delimiter; in a workbook, clear the cells to the right of the table")
	case t.s.skipDup && t.copied():
	default:
		t.records()
	}
	return t.finish()
}

// refuse hands on a row that could not be split into cells.
func (t *table) refuse(line, column int, class, reason, hint string) error {
	if err := t.r.begin(); err != nil {
		return err
	}
	t.cells, t.line, t.wrong, t.r.facts = nil, line, nil, t.r.facts[:0]
	t.bad(column, class, reason, hint)
	return t.finish()
}

func (t *table) bad(column int, class, reason, hint string) {
	t.wrong = append(t.wrong, Problem{duly.Place{File: t.file, Line: t.line, Column: column}, class, reason, hint})
}

// finish hands the row on, and remembers what it said.
func (t *table) finish() error {
	good := len(t.wrong) == 0
	for i := range t.said {
		t.said[i] = good && t.saying[i]
		t.saying[i] = false
	}
	t.last = append(t.last[:0], t.cells...)
	return t.r.hand(Row{File: t.file, Line: t.line, Row: t.r.rows, Facts: t.r.facts, Problems: t.wrong})
}

// copied reports whether an earlier row had the same cells.
func (t *table) copied() bool {
	sum := t.sum(t.cells)
	times, ok := t.dups.add(key{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])})
	if !ok {
		t.full()
	}
	return ok && times > 1
}

func (t *table) full() {
	t.bad(0, "rows", fmt.Sprintf("more than %d different rows cannot be told apart in one file", seenMax), "split the file")
}

// sum digests values so that no two lists of values are mistaken for each other.
func (t *table) sum(values []string) [sha256.Size]byte {
	t.digest = t.digest[:0]
	for _, v := range values {
		t.digest = binary.AppendUvarint(t.digest, uint64(len(v)))
		t.digest = append(t.digest, v...)
	}
	return sha256.Sum256(t.digest)
}

func (t *table) records() {
	for i, rec := range t.s.records {
		if t.repeats(i, rec) {
			t.saying[i] = true
			continue
		}
		if !t.wanted(rec) {
			continue
		}
		if f := t.fact(rec); f != nil {
			t.r.facts = append(t.r.facts, f)
			t.saying[i], t.money[i] = true, currencyOf(f)
		}
	}
	if len(t.wrong) == 0 {
		t.oneCurrency()
	}
}

// repeats reports whether the row before made the same fact. A file of instalments says again with each what it said of
// the borrower and the loan; only the last of the records is made of every row.
func (t *table) repeats(i int, rec *record) bool {
	if !t.said[i] || rec.columns == nil || i == len(t.s.records)-1 {
		return false
	}
	for _, col := range rec.columns {
		if at := t.index[col]; at >= 0 && (at >= len(t.cells) || at >= len(t.last) || t.cells[at] != t.last[at]) {
			return false
		}
	}
	return true
}

func (t *table) wanted(rec *record) bool {
	for i := range rec.when {
		f := &rec.when[i]
		v := t.get(f.col, &t.r.m.defaults)
		if f.empty != nil && (v == "") != *f.empty || f.in != nil && !slices.Contains(f.in, v) || slices.Contains(f.no, v) {
			return false
		}
	}
	return true
}

// fact makes one record's fact, or returns nil with the problems noted.
func (t *table) fact(rec *record) duly.Fact {
	t.rec, t.part = rec, 0
	before := len(t.wrong)
	f := rec.noun.make()
	c := &t.cell
	c.t, c.currency = t, t.currency(rec)
	for i := range rec.fields {
		b := &rec.fields[i]
		c.bound, t.part = b, 0
		if b.field.name == fieldCurrency {
			b.field.set(f, c)
			continue
		}
		if t.read(c) {
			b.field.set(f, c)
		}
	}
	t.part = 0
	t.check.found = t.check.found[:0]
	t.check.check(f)
	for _, x := range t.check.found {
		t.finding(rec, x, before)
	}
	if len(t.wrong) > before {
		return nil
	}
	return f
}

// currency returns the currency of a record's amounts.
func (t *table) currency(rec *record) money.Currency {
	if rec.currency == nil {
		return t.r.m.currency
	}
	text, ok := t.make(rec.currency, &rec.currency.src)
	if !ok || text == "" {
		return t.r.m.currency
	}
	return money.Currency(text)
}

const reasonEmpty = "empty, and it is needed"

// read puts the text of a field's value into c and reports whether there is one to set.
func (t *table) read(c *cell) bool {
	b := c.bound
	switch b.src.op {
	case opAdd, opSubtract, opDatePlusDays:
		c.text = ""
		return true
	case opColumn, opConst, opTemplate, opRowNumber, opHash, opHashEach:
	}
	text, ok := t.make(b, &b.src)
	c.text = text
	if text == "" && ok && (b.field.must || b.src.required) {
		t.problem(b, "empty", reasonEmpty, "")
		return false
	}
	return ok && text != ""
}

// make returns the text that a source makes of the row; ok is false if a problem was noted.
func (t *table) make(b *boundField, src *source) (text string, ok bool) {
	switch src.op {
	case opColumn:
		text = t.get(src.cols[0], src)
	case opConst:
		return src.text, true
	case opTemplate:
		text = t.fill(src)
	case opRowNumber:
		return strconv.FormatInt(t.r.rows, 10), true
	case opHash:
		return t.hash(src)
	case opHashEach:
		return t.hashEach(b, src)
	case opAdd, opSubtract, opDatePlusDays:
		return "", true
	}
	if src.table != nil && text != "" {
		to, known := src.table[text]
		if !known {
			to, known = src.table[tableAny]
		}
		if !known {
			t.problem(b, classOf(text), "a value that the mapping's map does not have", `add it, or "*" for every other value`)
			return "", false
		}
		text = to
	}
	if text == "" {
		text = src.def
	}
	return text, true
}

// fill fills a template. If a column is empty, so is the whole: half an id is none.
func (t *table) fill(src *source) string {
	var b strings.Builder
	for i, col := range src.cols {
		v := t.get(col, src)
		if v == "" {
			return ""
		}
		b.WriteString(src.parts[i])
		b.WriteString(v)
	}
	b.WriteString(src.parts[len(src.cols)])
	return b.String()
}

var hashText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// values returns what a source's columns hold, or nil if that is nothing.
func (t *table) values(src *source) []string {
	out := make([]string, 0, 8)
	empty := true
	for _, col := range src.cols {
		v := t.get(col, src)
		empty = empty && v == ""
		out = append(out, v)
	}
	if empty {
		return nil
	}
	return out
}

func (t *table) hash(src *source) (string, bool) {
	v := t.values(src)
	if v == nil {
		return "", true
	}
	sum := t.sum(v)
	return "h" + hashText.EncodeToString(sum[:15]), true
}

// hashEach is hash with a counter after the second and every further row of the same values.
func (t *table) hashEach(b *boundField, src *source) (string, bool) {
	v := t.values(src)
	if v == nil {
		return "", true
	}
	sum := t.sum(v)
	id := "h" + hashText.EncodeToString(sum[:15])
	s := t.hashes[b]
	if s == nil {
		s = &seen{}
		t.hashes[b] = s
	}
	times, ok := s.add(key{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])})
	if !ok {
		t.full()
		return "", false
	}
	if times > 1 {
		id += "-" + strconv.Itoa(times)
	}
	return id, true
}

// problem notes what is wrong with a field, once.
func (t *table) problem(b *boundField, class, reason, hint string) {
	full := string(t.rec.noun.kind) + "." + b.field.name
	place := duly.Place{File: t.file, Line: t.line, Field: full}
	if len(b.src.cols) > 0 && t.width > 0 {
		place.Column = t.index[b.src.cols[min(t.part, len(b.src.cols)-1)]] + 1
	}
	// A wrong cell is told of once, however many facts are made from it and whatever follows from its being wrong.
	if slices.ContainsFunc(t.wrong, func(p Problem) bool {
		return p.Place == place || p.Place.Column == place.Column && place.Column > 0
	}) {
		return
	}
	t.wrong = append(t.wrong, Problem{place, class, reason, hint})
}

// finding notes what a check found, unless the field was found wrong before.
func (t *table) finding(rec *record, x finding, from int) {
	full := string(rec.noun.kind) + "." + x.field
	for _, p := range t.wrong[from:] {
		if p.Place.Field == full {
			return
		}
	}
	b := &boundField{field: &field{name: x.field}}
	for i := range rec.fields {
		if rec.fields[i].field.name == x.field {
			b.src = rec.fields[i].src
		}
	}
	if x.field == fieldCurrency && rec.currency != nil {
		b.src = rec.currency.src
	}
	t.problem(b, x.class, x.reason, x.hint)
}

// oneCurrency wants what a row says, again or anew, to be of one currency.
func (t *table) oneCurrency() {
	var c money.Currency
	for i, rec := range t.s.records {
		of := t.money[i]
		if !t.saying[i] || of == "" {
			continue
		}
		if c != "" && of != c {
			t.wrong = append(t.wrong, Problem{duly.Place{File: t.file, Line: t.line, Field: string(rec.noun.kind) + "." + fieldCurrency},
				"currency", "an amount of another currency than the rest of the row", "one row has one currency"})
			return
		}
		c = of
	}
}

// currencyOf returns the currency of a fact that has one.
func currencyOf(f duly.Fact) money.Currency {
	switch f := f.(type) {
	case *duly.Loan:
		return f.Currency
	case *duly.Installment:
		return f.Currency()
	case *duly.Payment:
		return f.Amount.Currency
	}
	return ""
}
