package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Rule is one rule: an envelope that every kind shares, and the test of its kind. Rules are made by Load and NewCap.
type Rule struct {
	ID            string
	Pack          string
	Kind          Kind
	TitleZH       string
	TitleEN       string
	Jurisdiction  string
	Force         duly.Force
	From          civil.Date // in force from this day of the borrower's; no date: always was
	To            civil.Date // in force until and on this day; no date: no end
	When          When
	UnlessConsent string // the consent with which the rule does not apply
	Effect        duly.Verdict
	Reason        string
	Source        Source
	Shadow        bool // it is reported and not enforced; see Enforce
	Place         duly.Place
	checker       checker
	fields        []Field
}

// Field is one thing that a rule says, by its path in the pack's text.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Fields lists what the rule says, as its pack writes it, in the order of the text. A rule of a strategy's own has none.
func (r *Rule) Fields() []Field { return r.fields }

// When chooses the contacts that a rule looks at. Empty lists and nil limits choose all.
type When struct {
	Purpose         []duly.Purpose
	Channel         []duly.Channel
	Phase           []Phase
	MinDays         *int // days past due, inclusive
	MaxDays         *int
	ThirdParty      *bool    // who acts is an outside agency
	Product         []string // of one of the contact's loans
	ProductNot      []string // one of the contact's loans is of another product
	CreditPurchaser *bool    // the lender bought the credit
}

// The reasons that are not a rule's own, and the ids of the built-in rules that give them.
const (
	BuiltIn = "built-in" // the pack of built-in rules

	CodeMissing      = "missing_fact"
	CodeZone         = "timezone_unknown"
	CodeCalendar     = "calendar_missing"
	CodeJurisdiction = "jurisdiction_unknown"
	CodeNoSlot       = "no_slot"
	CodeHoldKind     = "hold_kind_unknown"
	CodeFeed         = "payment_feed_stale"

	RuleZone         = "CORE-01"
	RuleCalendar     = "CORE-02"
	RuleJurisdiction = "CORE-03"
	RuleNoSlot       = "CORE-04"
	RuleHoldKind     = "CORE-05"
	RuleFact         = "CORE-06"
	RuleFeed         = "FENCE-01"
)

// Judge answers for one rule at one instant, whatever the contact's purpose and channel: Set.Rules has chosen by those.
// The zero Reason is in favour. A Defer without Until has no end that is known.
func (r *Rule) Judge(v *View, at time.Time) duly.Reason {
	applies, missing := r.applies(v, at)
	var f finding
	switch {
	case missing != "":
		f = finding{lack: lackFact, seen: missing + " is not known, and the rule depends on it"}
	case !applies:
		return duly.Reason{}
	default:
		f = r.checker.check(v, at)
	}
	if f.ok {
		return duly.Reason{}
	}
	out := duly.Reason{Code: r.Reason, Rule: r.ID, Pack: r.Pack, Force: r.Force, Verdict: r.Effect, Source: r.Source.Instrument, Facts: f.seen}
	switch f.lack {
	case nothing:
		if r.Effect == duly.Defer {
			out.Until = r.until(v, at, f.until)
		}
	case lackFact:
		out.Code, out.Verdict = CodeMissing, duly.Block
	case lackZone:
		out.Code, out.Rule, out.Pack, out.Verdict = CodeZone, RuleZone, BuiltIn, duly.Block
	case lackCalendar:
		out.Code, out.Rule, out.Pack, out.Verdict = CodeCalendar, RuleCalendar, BuiltIn, duly.Block
	}
	return out
}

// Applies reports whether the rule looks at the contact at an instant: it is in force, and its conditions hold or depend on
// what is not known.
func (r *Rule) Applies(v *View, at time.Time) bool {
	applies, missing := r.applies(v, at)
	return applies || missing != ""
}

// applies reports whether the rule looks at the contact at all, apart from purpose and channel; or which fact it would
// have to know to tell.
func (r *Rule) applies(v *View, at time.Time) (applies bool, missing string) {
	w := &r.When
	switch {
	case w.ThirdParty != nil && v.Actor.ThirdParty != *w.ThirdParty, w.CreditPurchaser != nil && v.CreditPurchaser != *w.CreditPurchaser:
		return false, ""
	case len(w.Phase) > 0 && !slices.Contains(w.Phase, v.phase()):
		return false, ""
	case r.UnlessConsent != "" && v.consent(r.UnlessConsent, at), !r.inForce(v, at):
		return false, ""
	}
	if w.MinDays != nil || w.MaxDays != nil {
		switch {
		case v.lacks(factDays):
			return false, "how many days past due the contact is"
		case w.MinDays != nil && v.DaysPastDue < *w.MinDays, w.MaxDays != nil && v.DaysPastDue > *w.MaxDays:
			return false, ""
		}
	}
	for _, p := range []struct {
		names []string
		not   bool
	}{{w.Product, false}, {w.ProductNot, true}} {
		if len(p.names) == 0 {
			continue
		}
		if is, known := v.product(p.names, p.not); !known {
			return false, "the loan's product"
		} else if !is {
			return false, ""
		}
	}
	return true, ""
}

// inForce reports whether at is a day of the rule's in any zone that the borrower may be in.
func (r *Rule) inForce(v *View, at time.Time) bool {
	if r.From.IsZero() && r.To.IsZero() || len(v.zones) == 0 {
		return true
	}
	for _, loc := range v.zones {
		d := civil.In(at, loc)
		if !d.Before(r.From) && (r.To.IsZero() || !d.After(r.To)) {
			return true
		}
	}
	return false
}

// until is when the rule lets pass: when its test does, or when the rule goes out of force, if that is sooner.
func (r *Rule) until(v *View, at, test time.Time) time.Time {
	if r.To.IsZero() {
		return test
	}
	var end time.Time
	for _, loc := range v.zones {
		if e := r.To.Add(1).At(0, loc); e.After(end) {
			end = e
		}
	}
	if end.After(at) && (test.IsZero() || end.Before(test)) {
		return end
	}
	return test
}

// within reports whether a pack for jurisdiction j applies to a borrower of country path c.
func within(c, j string) bool {
	return j == "*" || c == j || strings.HasPrefix(c, j) && c[len(j)] == '-' || j == europeanUnion && InUnion(c)
}

// NewCap makes a rule of a strategy's own limits: at most limit contacts of a person in a period, by the channels given
// or by all. What reached the person, or may have, counts; what failed does not. The reason is contact_limit_reached.
func NewCap(id, pack string, limit int, period string, channels []duly.Channel) (Rule, error) {
	p, err := parsePeriod(period)
	if err != nil {
		return Rule{}, duly.Errorf(duly.Invalid, "limit %s: %v", id, err)
	}
	if limit < 1 || limit > MaxLimit {
		return Rule{}, duly.Errorf(duly.Invalid, "limit %s: must be a whole number from 1 to %d", id, MaxLimit)
	}
	effect := duly.Defer
	if p.unit == ever {
		effect = duly.Block
	}
	for _, c := range channels {
		if !c.Known() {
			return Rule{}, duly.Errorf(duly.Invalid, "limit %s: unknown channel %q", id, string(c))
		}
	}
	count := counted{channels: channels, outcomes: reachedOutcomes, out: true}
	return Rule{
		ID: id, Pack: pack, Kind: FrequencyCap, TitleZH: "策略联系上限", TitleEN: "The strategy's own limit", Jurisdiction: "*",
		Force: duly.ForcePolicy, When: When{Channel: channels}, Effect: effect, Reason: "contact_limit_reached",
		Source:  Source{Instrument: fmt.Sprintf("strategy %s", pack), Read: "primary"},
		checker: &frequencyCap{limit: limit, period: p, scope: scopePerson, count: count},
	}, nil
}
