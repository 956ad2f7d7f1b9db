package rule

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Obligation is the kind of what has to be done, kept, deleted or waited for after something has happened. It answers no
// contact: the gate is never asked about it, [Deadlines] is. Obligations stand in a file of their own beside the pack,
// obligations.yaml, because they may carry the register id of a contact rule:
//
//	id: us-tcpa
//	version: "2026.01"
//	jurisdiction: US
//	obligations:
//	  - id: US-15
//	    title: {zh: 落实拒收, en: Honour a refusal}
//	    force: law
//	    on: [opt_out, consent_revoked]
//	    within: P10BD         # or keep, erase, wait: just one of them
//	    calendar: US  # whose business days; weekdays knows no holidays
//	    days: borrower        # whose local day it is: borrower, or lender
//	    if: {role: [third_party]}
//	    source: {instrument: 47 CFR 64.1200(a)(10), read: primary, checked_on: 2026-11-23, reviewer: null}
const Obligation Kind = "obligation"

// dutyFile is the name of the file of a pack's obligations, and deadlineFile that of their cases.
const (
	dutyFile     = "obligations.yaml"
	deadlineFile = "deadlines.yaml"
)

// Demand is what a duty demands.
type Demand string

// The demands.
const (
	DemandWithin Demand = "within" // do it at the latest then
	DemandKeep   Demand = "keep"   // keep it at least until then
	DemandErase  Demand = "erase"  // keep it at most until then
	DemandWait   Demand = "wait"   // do nothing of this kind before then
)

var demands = []Demand{DemandWithin, DemandKeep, DemandErase, DemandWait}

// late reports whether the later of two readings of a day is the strict one.
func (d Demand) late() bool { return d == DemandKeep || d == DemandWait }

// Runs reports whether the time of the demand can run out on somebody who did nothing: what is to be done or deleted by then
// can be overdue, what is to be kept or waited for cannot.
func (d Demand) Runs() bool { return d == DemandWithin || d == DemandErase }

// The days by which a duty counts.
const (
	daysBorrower = "borrower"
	daysLender   = "lender"
)

// Duty is one obligation: when something happens, something is to be done within a term.
type Duty struct {
	ID       string
	TitleZH  string
	TitleEN  string
	Force    duly.Force
	From     civil.Date // for what happens from this day on; no date: always
	To       civil.Date // and until and on this day; no date: no end
	On       []Event
	If       []Condition
	Demand   Demand
	Term     Term
	Calendar string // whose business days count
	Days     string // whose local day it is: borrower or lender
	Source   Source
}

// Condition is an input that a duty asks for, and the values with which it applies.
type Condition struct {
	Input  string
	Values []string
}

// String writes the condition for a person: lender is card_issuer.
func (c Condition) String() string { return c.Input + " is " + strings.Join(c.Values, " or ") }

// Shadow reports whether the duty is shown but must not be relied on: it is in draft, or nobody has read its source.
func (d *Duty) Shadow() bool { return d.Force == duly.ForceDraft || d.Source.Read == "memory" }

// LoadDuties reads the obligations of fsys, of every folder that has some, in the order of their names. A folder without
// pack.yaml is a pack that has no contact rules. Each needs cases beside it, in deadlines.yaml.
func LoadDuties(fsys fs.FS) ([]*Pack, error) {
	files, err := fs.Glob(fsys, "*/"+dutyFile)
	if err != nil {
		return nil, fmt.Errorf("find obligations: %w", err)
	}
	var packs []*Pack
	var problems []error
	for _, file := range files {
		p, err := loadDutyFolder(fsys, path.Dir(file))
		if err != nil {
			problems = append(problems, err)
			continue
		}
		packs = append(packs, p)
	}
	return packs, errors.Join(problems...)
}

func loadDutyFolder(fsys fs.FS, dir string) (*Pack, error) {
	if _, err := fs.Stat(fsys, path.Join(dir, "pack.yaml")); err == nil {
		return loadFile(fsys, path.Join(dir, "pack.yaml"))
	}
	p := &Pack{ID: dir}
	return p, p.addDuties(fsys)
}

// addDuties reads the obligations beside a pack, if there are any. The pack's hash is then of both texts.
func (p *Pack) addDuties(fsys fs.FS) error {
	file := path.Join(p.ID, dutyFile)
	src, err := fs.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read obligations: %w", err)
	}
	read, err := ParseDuties(file, src)
	switch {
	case err != nil:
		return err
	case read.ID != p.ID:
		return duly.Errorf(duly.Invalid, "the obligations of pack %s are in a folder called %s", read.ID, p.ID).At(duly.Place{File: file, Field: "id"}).
			WithHint("give the folder the pack's id")
	case p.Jurisdiction != "" && read.Jurisdiction != p.Jurisdiction:
		return duly.Errorf(duly.Invalid, "the obligations are of another jurisdiction than the pack").At(duly.Place{File: file, Field: "jurisdiction"})
	}
	if _, err := fs.Stat(fsys, path.Join(p.ID, deadlineFile)); err != nil {
		return duly.Errorf(duly.Invalid, "the obligations of pack %s have no cases", p.ID).At(duly.Place{File: file}).
			WithHint("write %s/%s with a case for each of them", p.ID, deadlineFile)
	}
	if p.Jurisdiction == "" {
		*p = *read
		return nil
	}
	p.Duties = read.Duties
	sum := sha256.Sum256([]byte(p.Hash + "\n" + read.Hash))
	p.Hash = hex.EncodeToString(sum[:])
	return nil
}

// ParseDuties reads a file of obligations, as a pack that has no contact rules. It refuses unknown keys, values and
// duplicates, and reports every problem it finds, each a *duly.Error with its place in the file called name.
func ParseDuties(name string, src []byte) (*Pack, error) {
	r := &reader{file: name}
	if len(src) > MaxPackBytes {
		return nil, duly.Errorf(duly.Invalid, "the file is larger than %d KiB", MaxPackBytes>>10).At(duly.Place{File: name})
	}
	top := r.parse(src)
	if top == nil {
		return nil, r.err()
	}
	o := r.open(top, "", "id", "version", "jurisdiction", "title", "obligations")
	p := &Pack{ID: o.name("id", packIDs), Version: o.str("version"), Jurisdiction: o.name("jurisdiction", jurisdictions)}
	o.need("version")
	if o.has("title") {
		p.TitleZH, p.TitleEN = o.titles()
	}
	if o.need("obligations") {
		p.Duties = o.duties("obligations")
	}
	sum := sha256.Sum256(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")))
	p.Hash = hex.EncodeToString(sum[:])
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (o *object) duties(key string) []Duty {
	list, ok := o.at[key].(*ast.SequenceNode)
	if !ok || len(list.Values) == 0 || len(list.Values) > MaxRules {
		o.fail(key, "must be a list of 1 to %d obligations", MaxRules)
		return nil
	}
	var out []Duty
	for i, n := range list.Values {
		d := o.r.duty(n, i, out)
		out = append(out, d)
	}
	return out
}

var dutyKeys = []string{"id", "title", "force", "valid", "on", "if", "within", "keep", "erase", "wait", "calendar", "days", "source"}

func (r *reader) duty(n ast.Node, i int, before []Duty) Duty {
	o := r.open(n, fmt.Sprintf("obligations[%d]", i))
	d := Duty{ID: o.name("id", ruleIDs)}
	if d.ID != "" {
		o.field = "obligations." + d.ID
		if slices.ContainsFunc(before, func(q Duty) bool { return q.ID == d.ID }) {
			o.fail("id", "obligation %s is there already", d.ID)
			r.hint("tell the parts of one register entry apart by a letter: %sb", d.ID)
		}
	}
	o.only(dutyKeys...)
	d.TitleZH, d.TitleEN = o.titles()
	d.Force = duly.Force(o.str("force"))
	if o.need("force") && !d.Force.Known() {
		o.fail("force", "unknown force")
		r.hint("a force is law, regulator, standard, self_reg, carrier, policy or draft")
	}
	d.From, d.To = o.valid()
	o.need("on")
	for i, s := range o.strs("on") {
		if FindEvent(s) != Event(s) || s == "" {
			r.fail(o.at["on"], fmt.Sprintf("%s[%d]", o.path("on"), i), "unknown event")
			r.hint("`duly deadlines events` lists them")
		}
		d.On = append(d.On, Event(s))
	}
	d.If = o.ifs()
	o.clock(&d)
	d.Source = o.source()
	return d
}

// clock reads what is demanded, and how its days are counted.
func (o *object) clock(d *Duty) {
	for _, k := range demands {
		if !o.has(string(k)) {
			continue
		}
		if d.Demand != "" {
			o.fail(string(k), "a second demand beside %s", d.Demand)
			o.r.hint("an obligation has just one of within, keep, erase and wait")
			continue
		}
		t, err := ParseTerm(o.str(string(k)))
		if err != nil {
			o.fail(string(k), "%v", err)
		}
		d.Demand, d.Term = k, t
	}
	if d.Demand == "" {
		o.r.fail(o.node, o.field, "must have within, keep, erase or wait")
	}
	d.Calendar = o.str("calendar")
	switch {
	case d.Term.BusinessDays > 0 && d.Calendar == "":
		o.r.fail(o.node, o.path("calendar"), "is missing")
		o.r.hint("say whose business days count; weekdays is every Monday to Friday")
	case d.Term.BusinessDays == 0 && d.Calendar != "":
		o.fail("calendar", "is not used: no business days are counted")
	}
	d.Days = o.str("days")
	switch d.Days {
	case "":
		d.Days = daysBorrower
	case daysBorrower, daysLender:
	default:
		o.fail("days", "must be borrower or lender")
	}
}

func (o *object) ifs() []Condition {
	if !o.has("if") {
		return nil
	}
	in := o.sub("if")
	var out []Condition
	for i, key := range in.keys {
		def := findInput(key)
		switch {
		case def == nil:
			o.r.fail(in.names[i], in.path(key), "unknown input")
			o.r.hint("`duly deadlines events` lists what a condition may ask for")
		case def.Truth:
			out = append(out, Condition{key, []string{fmt.Sprint(in.yes(key))}})
		default:
			words := in.strs(key)
			for _, w := range words {
				if !slices.Contains(def.Words, w) {
					in.fail(key, "unknown word")
					o.r.hint("%s is %s", key, strings.Join(def.Words, ", "))
				}
			}
			out = append(out, Condition{key, words})
		}
	}
	return out
}
