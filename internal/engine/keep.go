package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Record is a kind of record that is kept for a term, where one is given, and then removed.
type Record string

// The kinds of records. Facts that protect a borrower are none of them: consents, refusals, holds, notices, preferences and
// contact points stay as their source has them.
const (
	RecordWords    Record = "words"    // the words of contacts, and the texts of replies
	RecordProofs   Record = "proofs"   // what was known when a contact was sent
	RecordReceipts Record = "receipts" // the inbox of what carriers said
	RecordOutcomes Record = "outcomes" // what followed contacts
	RecordContacts Record = "contacts" // contacts that are over, with their attempts and all of the above
	RecordTouches  Record = "touches"  // what agents and agencies did
	RecordCases    Record = "cases"    // those that are done, with their duties
	RecordLoans    Record = "loans"    // the facts of settled loans: instalments, payments, debits; the id of the loan stays
	RecordSandbox  Record = "sandbox"  // what the sandbox kept instead of sending
)

// recordKind is a row of the table of kinds.
type recordKind struct {
	record   Record
	contacts string // what of contacts goes; see store.Tx.Forget
	owners   string // what else goes; see store.Tx.ForgetOf
	lawful   bool   // a record of contact, which law may demand to be kept
	counted  bool   // rules count it
	planned  bool   // the plan looks at it, so that no step is planned twice
	days     int    // it is read so far back, whatever rules say
}

// sandboxDays is how long the sandbox can be asked what became of a try.
const sandboxDays = 7

// recordKinds is the one table of kinds.
var recordKinds = []recordKind{
	{record: RecordWords, contacts: "words", owners: "replies", lawful: true, days: historyDays},
	{record: RecordProofs, contacts: "proofs", lawful: true, days: historyDays},
	{record: RecordReceipts, contacts: "receipts", lawful: true, days: historyDays},
	{record: RecordOutcomes, contacts: "outcomes", days: 1},
	{record: RecordContacts, contacts: "contacts", lawful: true, counted: true, planned: true, days: historyDays},
	{record: RecordTouches, owners: "touches", lawful: true, counted: true, days: historyDays},
	{record: RecordCases, owners: "cases", days: historyDays},
	{record: RecordLoans, owners: "loans", days: historyDays + store.SettledDaysBefore},
	{record: RecordSandbox, owners: "sandbox", days: sandboxDays},
}

// Records returns the kinds of records, in the order of the manual.
func Records() []Record {
	out := make([]Record, len(recordKinds))
	for i := range recordKinds {
		out[i] = recordKinds[i].record
	}
	return out
}

// Floor is for how long records of a kind must be kept at least, and why.
type Floor struct {
	Rule   string    `json:"rule"` // that of a pack or strategy, as pack/id, or "engine"
	Term   rule.Term `json:"term,omitzero"`
	Ever   bool      `json:"ever,omitempty"` // they must not be removed at all
	If     string    `json:"if,omitempty"`   // it applies only if this holds, which nobody said
	Source string    `json:"source,omitempty"`
	last   bool
}

// String says it in words.
func (f *Floor) String() string {
	out := f.Rule + " needs them for ever"
	if !f.Ever {
		out = f.Rule + " needs them for " + f.Term.String()
	}
	if f.If != "" {
		out += ", if " + f.If
	}
	return out
}

// floors returns the floors of a kind, those of the law first.
func (e *Engine) floors(k *recordKind) []Floor {
	var out []Floor
	if k.lawful {
		inputs := map[string]string{}
		if e.cfg.LenderKind != "" {
			inputs["lender"], inputs["role"] = e.cfg.LenderKind, rule.RoleOf(e.cfg.LenderKind)
		}
		for _, d := range rule.Keepings(e.packs, inputs) {
			out = append(out, Floor{Rule: d.Rule, Term: d.Term, If: d.If, Source: d.Source, last: d.Last})
		}
	}
	if h := e.furthest(); k.counted && h.Rule != "" {
		out = append(out, Floor{Rule: h.Rule, Term: rule.Term{Days: h.Days}, Ever: h.Ever})
	}
	if k.planned {
		for i := range e.strategies {
			before, after := e.strategies[i].Reach()
			out = append(out, Floor{Rule: e.strategies[i].Name, Term: rule.Term{Days: max(before+after+1, 1)}})
		}
	}
	return append(out, Floor{Rule: "engine", Term: rule.Term{Days: k.days}})
}

// furthest is the rule that counts contacts furthest back.
func (e *Engine) furthest() rule.History {
	h := e.rules.History()
	for i := range e.strategies {
		h = h.Longer(e.strategies[i].rules.History())
	}
	return h
}

// setKeep takes the terms of the configuration, or says of each that is too short what it would take the ground from.
func (e *Engine) setKeep() error {
	var errs []error
	for _, r := range slices.Sorted(maps.Keys(e.cfg.Keep)) {
		if !slices.Contains(Records(), r) {
			errs = append(errs, duly.Errorf(duly.Invalid, "no records are of kind %q", string(r)).At(duly.Place{Field: "keep"}).WithHint("the kinds are %s", joinRecords()))
		}
	}
	for i := range recordKinds {
		k := &recordKinds[i]
		term, ok := e.cfg.Keep[k.record]
		if !ok {
			continue
		}
		if err := e.checkTerm(k, term); err != nil {
			errs = append(errs, err)
			continue
		}
		e.addLegs(k, term)
	}
	return errors.Join(errs...)
}

func (e *Engine) addLegs(k *recordKind, term rule.Term) {
	last := slices.ContainsFunc(e.floors(k), func(f Floor) bool { return f.last })
	if k.contacts != "" {
		e.legs = append(e.legs, leg{k, term, k.contacts, byKeptBack, last}, leg{k, term, k.contacts, byDay, last})
	}
	if k.owners != "" {
		e.legs = append(e.legs, leg{k, term, k.owners, byOwner, last})
	}
}

func (e *Engine) checkTerm(k *recordKind, term rule.Term) error {
	place := duly.Place{Field: "keep." + string(k.record)}
	if term.BusinessDays > 0 || term.Time > 0 || term == (rule.Term{}) {
		return duly.Errorf(duly.Invalid, "not a term of days, months or years").At(place).WithHint("write it as P1830D, P60M or P5Y")
	}
	for _, f := range e.floors(k) {
		if !f.Ever && !term.Shorter(f.Term) {
			continue
		}
		hint := fmt.Sprintf("keep them for %s or longer", f.Term)
		if f.Ever {
			hint = "leave the key out"
		}
		if f.If != "" {
			hint += ", or say what the lender is (lender.kind)"
		}
		return duly.Errorf(duly.Invalid, "%s is too short: %s", term, f.String()).At(place).WithHint("%s", hint)
	}
	if whole, ok := e.cfg.Keep[RecordContacts]; ok && k.contacts != "" && whole.Shorter(term) {
		return duly.Errorf(duly.Invalid, "%s is longer than the contacts themselves are kept", term).At(place).
			WithHint("lengthen keep.contacts, or leave this key out: they go with their contacts")
	}
	return nil
}

func joinRecords() string {
	out := make([]string, len(recordKinds))
	for i := range recordKinds {
		out[i] = string(recordKinds[i].record)
	}
	return strings.Join(out, ", ")
}

// Retained is how long records of one kind are kept.
type Retained struct {
	Record Record     `json:"record"`
	Keep   rule.Term  `json:"keep,omitzero"`   // none: for ever
	Before civil.Date `json:"before,omitzero"` // what is of this day or older may go today
	Floors []Floor    `json:"at_least"`
}

// Retention is what is kept for how long, and how far removing has come.
type Retention struct {
	Records []Retained `json:"records"`
	Every   int        `json:"every_days"`  // a bucket is gone through so often
	Behind  int        `json:"buckets_due"` // are to be gone through now
}

// Retention returns how long records are kept.
func (e *Engine) Retention(ctx context.Context, now time.Time) (Retention, error) {
	r, today := Retention{Every: forgetEvery}, e.Today(now)
	for i := range recordKinds {
		k := &recordKinds[i]
		x := Retained{Record: k.record, Floors: e.floors(k)}
		if term, ok := e.cfg.Keep[k.record]; ok {
			x.Keep, x.Before = term, term.Before(today)
		}
		r.Records = append(r.Records, x)
	}
	if len(e.legs) == 0 {
		return r, nil
	}
	due, err := e.db.KeepBuckets(ctx, today.Add(-forgetEvery))
	r.Behind = len(due)
	return r, err
}
