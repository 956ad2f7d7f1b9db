package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Format is what a file is made of.
type Format string

// The formats, gzipped or not.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl" // one JSON object to a line
	XLSX  Format = "xlsx"
)

// Mapping says how the rows of one sort of file become facts. It never changes once loaded, and may be shared.
type Mapping struct {
	Name   string
	Hash   string // SHA-256 of its text, in hexadecimal: two mappings of one hash read alike
	Format Format

	native     bool // JSON lines that are facts as they stand
	encoding   string
	delimiter  byte
	header     bool
	headerLine int
	currency   money.Currency
	zone       *time.Location
	defaults   source // of the options of fields
	sheets     []*sheet
}

// sheet is the mapping of one sheet of a workbook, or of the whole of any other file.
type sheet struct {
	name    string // "" is the first
	columns []column
	names   []string // given to the columns of a file that has no header
	records []*record
	skipDup bool // exact copies of earlier rows are left out
}

// column is one that the mapping uses.
type column struct {
	name     string
	optional bool // the file need not have it
}

// record is one kind of fact that each row makes.
type record struct {
	noun     *noun
	fields   []boundField
	currency *boundField // nil is the mapping's
	when     []filter
	columns  []int // of the sheet, that the fact depends on; nil if it depends on more
}

// boundField is a field with what the mapping says of it.
type boundField struct {
	field *field
	src   source
}

// operation is how a value is made.
type operation string

const (
	opColumn       operation = "column"
	opConst        operation = "const"
	opTemplate     operation = "template"
	opAdd          operation = "add"
	opSubtract     operation = "subtract"
	opDatePlusDays operation = "date_plus_days"
	opRowNumber    operation = "row_number"
	opHash         operation = "hash"      // the same for the same columns
	opHashEach     operation = "hash_each" // told apart by counting where the columns are the same
)

// source is how the value of a field is made.
type source struct {
	op       operation
	cols     []int    // of the sheet
	parts    []string // of a template: the text before each column, and after the last
	text     string   // of a constant
	days     int
	daysCol  bool // days are the second column
	formats  []string
	layouts  []layout
	clock    *civil.Clock
	table    map[string]string
	def      string
	required bool
	trim     bool
	minor    bool // amounts are in minor units
	decimal  byte
	grouping byte
	nulls    []string
}

// filter lets a record be made only of rows whose column is as it says.
type filter struct {
	col    int
	empty  *bool
	in, no []string
}

// tableAny is the key of a map that stands for every other value.
const tableAny = "*"

// LoadMapping reads a mapping. Everything that is wrong with it is reported at once, with line and column.
func LoadMapping(name string, src []byte) (*Mapping, error) {
	d := &document{file: name}
	sum := sha256.Sum256(src)
	m := &Mapping{
		Name: strings.TrimSuffix(name, ".yaml"), Hash: hex.EncodeToString(sum[:]),
		delimiter: ',', header: true, headerLine: 1, zone: time.UTC,
		defaults: source{trim: true, decimal: '.'},
	}
	if top := d.parse(src); top != nil {
		(&loader{m: m, d: d}).load(node{d, top, ""})
	}
	if len(d.problems) > 0 {
		return nil, errors.Join(d.problems...)
	}
	return m, nil
}

// loader fills a mapping from its file.
type loader struct {
	m        *Mapping
	d        *document
	sheet    *sheet // being loaded
	optional map[int]bool
	needed   map[int]bool
}

// topKeys are the keys of a mapping file.
func topKeys() []string {
	return []string{"name", "about", "format", "native", "sheet", "sheets", "header", "header_line", "columns", "delimiter",
		"encoding", "currency", "timezone", "defaults", "duplicates", "rows"}
}

func (l *loader) load(n node) {
	at := map[string]node{}
	for _, e := range n.entries(topKeys()...) {
		at[e.name] = e.node
		l.single(e)
	}
	l.whole(n, at)
	// The rows come last: they lean on all the rest.
	if columns, ok := at["columns"]; ok {
		l.sheetOf().names = columns.texts()
	}
	if dup, ok := at["duplicates"]; ok {
		l.duplicates(l.sheetOf(), dup)
	}
	if rows, ok := at["rows"]; ok {
		l.rows(l.sheetOf(), rows)
	}
	if sheets, ok := at["sheets"]; ok {
		l.sheets(sheets)
	}
}

// single reads a key of the file that stands for itself.
func (l *loader) single(e entry) {
	m := l.m
	switch e.name {
	case "name":
		m.Name = e.text()
	case "about":
		e.text()
	case "format":
		m.Format = Format(e.text())
		if !m.Format.known() {
			e.fail("csv, jsonl or xlsx", "not a format")
		}
	case "native":
		m.native = e.truth()
	case "sheet":
		l.sheetOf().name = e.text()
	case "header":
		m.header = e.truth()
	case "header_line":
		m.headerLine = e.number(1, 1000)
	case "delimiter":
		m.delimiter = e.char()
		if m.delimiter == '"' || m.delimiter >= '0' && m.delimiter <= '9' {
			e.fail("", "this cannot set columns apart")
		}
	case "encoding":
		enc, err := knownEncoding(e.text())
		if err != nil {
			e.fail("one of "+encodingNames(), "unknown encoding")
		}
		m.encoding = enc
	case "currency":
		m.currency = money.Currency(e.text())
		if !m.currency.Known() {
			e.fail("write the ISO 4217 code: CNY", "not a currency that Duly knows")
		}
	case "timezone":
		l.zone(e)
	case "defaults":
		l.defaults(e)
	}
}

func (f Format) known() bool {
	switch f {
	case CSV, JSONL, XLSX:
		return true
	}
	return false
}

// whole notes what is missing from the file, or does not go together in it.
func (l *loader) whole(n node, at map[string]node) {
	m := l.m
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { _, ok := at[k]; return ok })
	}
	if !has("format") {
		n.fail("csv, jsonl or xlsx", "the mapping has no format")
	}
	if !m.Format.known() {
		return
	}
	switch {
	case m.native && (m.Format != JSONL || has("rows", "sheets")):
		n.fail("native files are JSON lines that need no rows", "native goes with format jsonl and without rows")
	case m.native:
	case has("rows") == has("sheets"):
		n.fail("each of rows says which fact a row makes; sheets is for workbooks", "the mapping needs either rows or sheets")
	}
	if m.Format != XLSX && has("sheet", "sheets") {
		n.fail("", "only workbooks have sheets")
	}
	if has("sheets") && has("sheet", "duplicates", "columns") {
		n.fail("say it of each of the sheets", "sheet, duplicates and columns do not go with sheets")
	}
	if m.Format != CSV && has("delimiter") || m.Format == XLSX && has("encoding") {
		n.fail("", "delimiter is for csv, and encoding for text files")
	}
	if m.Format == JSONL && has("header", "header_line", "columns") {
		n.fail("", "JSON lines have no header")
	}
	if !has("sheets") && m.header == has("columns") {
		n.fail("header: false goes with columns, the names of the columns in order", "columns are named by the header or by the mapping, not by both")
	}
}

// sheetOf returns the only sheet of a mapping that does not list sheets.
func (l *loader) sheetOf() *sheet {
	if len(l.m.sheets) == 0 {
		l.m.sheets = []*sheet{{}}
	}
	return l.m.sheets[0]
}

func (l *loader) sheets(n node) {
	if len(n.list()) == 0 {
		n.fail("", "there are no sheets")
	}
	for _, item := range n.list() {
		s := &sheet{}
		l.m.sheets = append(l.m.sheets, s)
		var rows, dup *entry
		for _, e := range item.entries("sheet", "columns", "duplicates", "rows") {
			switch e.name {
			case "sheet":
				s.name = e.text()
			case "columns":
				s.names = e.texts()
			case "duplicates":
				dup = &e
			case "rows":
				rows = &e
			}
		}
		if s.name == "" {
			item.fail("", "the sheet has no name")
		}
		if l.m.header != (s.names == nil) {
			item.fail("header: false goes with columns, the names of the columns in order", "columns are named by the header or by the mapping, not by both")
		}
		if dup != nil {
			l.duplicates(s, dup.node)
		}
		if rows == nil {
			item.fail("", "the sheet has no rows")
			continue
		}
		l.rows(s, rows.node)
	}
}

func (l *loader) duplicates(s *sheet, n node) {
	switch n.text() {
	case "keep":
	case "skip":
		s.skipDup = true
	default:
		n.fail("keep or skip", "not what can be done about duplicates")
	}
}

func (l *loader) zone(e entry) {
	name := e.text()
	loc, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		e.fail("write it as the IANA list does: Asia/Shanghai", "not a time zone")
		return
	}
	l.m.zone = loc
}

// defaults reads the options that every field has unless it says otherwise.
func (l *loader) defaults(e entry) {
	for _, o := range e.entries("trim", "decimal", "grouping", "nulls") {
		l.option(&l.m.defaults, o)
	}
}

// option reads one of the options that fields and defaults share.
func (l *loader) option(s *source, o entry) {
	switch o.name {
	case "trim":
		s.trim = o.truth()
	case "decimal":
		s.decimal = o.char()
	case "grouping":
		s.grouping = o.char()
	case "nulls":
		s.nulls = o.texts()
	}
	if s.decimal == s.grouping {
		o.fail("", "the decimal mark and the grouping mark are the same")
	}
}

func (l *loader) rows(s *sheet, n node) {
	l.sheet, l.optional, l.needed = s, map[int]bool{}, map[int]bool{}
	for _, item := range n.list() {
		l.record(item)
	}
	if len(n.list()) == 0 {
		n.fail("", "there are no rows")
	}
	for i := range s.columns {
		s.columns[i].optional = l.optional[i] && !l.needed[i]
	}
	if !l.m.header {
		for _, c := range s.columns {
			if !slices.Contains(s.names, c.name) && !c.optional {
				n.fail("", "column %q is not among columns", c.name)
			}
		}
	}
}

func (l *loader) record(n node) {
	r := &record{}
	var fields *entry
	for _, e := range n.entries("kind", "when", "fields") {
		switch e.name {
		case "kind":
			kind := duly.FactKind(e.text())
			if r.noun = findNoun(kind); r.noun == nil {
				e.fail("borrower, contact_point, loan, installment, payment, debit, consent, opt_out, hold or touch", "unknown kind")
				return
			}
		case "when":
			for _, f := range e.list() {
				l.filter(r, f)
			}
		case "fields":
			fields = &e
		}
	}
	if r.noun == nil || fields == nil {
		n.fail("", "each of rows needs a kind and fields")
		return
	}
	l.fields(r, *fields)
	r.columns = dependsOn(r)
	l.sheet.records = append(l.sheet.records, r)
}

func (l *loader) filter(r *record, n node) {
	f := filter{col: -1}
	for _, e := range n.entries("column", "empty", "in", "not_in") {
		switch e.name {
		case "column":
			f.col = l.column(e.text(), false)
		case "empty":
			b := e.truth()
			f.empty = &b
		case "in":
			f.in = e.texts()
		case "not_in":
			f.no = e.texts()
		}
	}
	if f.col < 0 || f.empty == nil && f.in == nil && f.no == nil {
		n.fail("when: {column: status, in: [active]}", "a condition needs a column and one of empty, in, not_in")
		return
	}
	if f.empty != nil {
		l.optional[f.col] = true
	} else {
		l.needed[f.col] = true
	}
	r.when = append(r.when, f)
}

// column returns the place of a column among those that the sheet uses.
func (l *loader) column(name string, optional bool) int {
	i := slices.IndexFunc(l.sheet.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		i = len(l.sheet.columns)
		l.sheet.columns = append(l.sheet.columns, column{name: name})
	}
	if optional {
		l.optional[i] = true
	}
	return i
}

// dependsOn lists the columns that decide what a record makes of a row, or nil if there is more to it.
func dependsOn(r *record) []int {
	out := []int{}
	add := func(cols ...int) {
		for _, c := range cols {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	for _, f := range r.when {
		add(f.col)
	}
	if r.currency != nil {
		add(r.currency.src.cols...)
	}
	for _, f := range r.fields {
		if f.src.op == opRowNumber || f.src.op == opHashEach {
			return nil
		}
		add(f.src.cols...)
	}
	return out
}
