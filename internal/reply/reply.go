package reply

import (
	"slices"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// TextMax is how many characters of a text are read: headMax of its beginning and the rest of its end.
const (
	TextMax = 1200
	headMax = 800
)

// PromiseDaysMax is how far ahead a promised day may lie to be recorded without a person.
const PromiseDaysMax = 31

// Intent is what a borrower means.
type Intent string

// The intents, in the order in which they win over one another.
const (
	Crisis      Intent = "crisis"      // may harm themselves
	OptOut      Intent = "opt_out"     // refuses contact, by some channels or all
	Attorney    Intent = "attorney"    // is represented, or under a court's protection
	WrongParty  Intent = "wrong_party" // is not the borrower, or the borrower died
	Dispute     Intent = "dispute"     // contests the debt, or refuses to pay it
	ThirdParty  Intent = "third_party_restriction"
	Place       Intent = "place_restriction"
	Complaint   Intent = "complaint"
	Hardship    Intent = "hardship" // cannot pay for now, or asks for time or a plan
	Claim       Intent = "payment_claim"
	Promise     Intent = "promise"
	Hour        Intent = "time_preference"
	Question    Intent = "question" // asks something, or for a person
	Unknown     Intent = "unknown"
	scopeHuman         = "human"
	scopeAll           = "all"
	scopeLoan          = "loan"
	scopeHours         = "hours"
	ruleCut            = "text_cut"
	ruleNothing        = "nothing_known"
	ruleSaid           = "said"
)

// meaning is one row of the table of intents: what it asks for unless the words say more.
type meaning struct {
	intent Intent
	scope  []string
	auto   bool // acting on it makes contact less
	person bool // a person reads it too
}

// meanings is the one table of intents, the strongest first.
var meanings = []meaning{
	{Crisis, []string{"stop_automation", "urgent_human"}, true, true},
	{OptOut, nil, true, false},
	{Attorney, []string{scopeAll}, true, true},
	{WrongParty, []string{"address"}, true, true},
	{Dispute, []string{scopeLoan}, true, true},
	{ThirdParty, []string{"third_party"}, true, false},
	{Place, nil, true, false},
	{Complaint, []string{scopeHuman}, false, true},
	{Hardship, []string{scopeHuman}, false, true},
	{Claim, []string{scopeHuman}, false, true},
	{Promise, []string{scopeHuman}, false, true},
	{Hour, []string{scopeHuman}, false, true},
	{Question, []string{scopeHuman}, false, true},
	{Unknown, []string{scopeHuman}, false, true},
}

// Intents returns all intents, the strongest first.
func Intents() []Intent {
	out := make([]Intent, len(meanings))
	for i := range meanings {
		out[i] = meanings[i].intent
	}
	return out
}

// Known reports whether i is one of the intents above.
func (i Intent) Known() bool { return slices.Contains(Intents(), i) }

// Person reports whether a person reads what has this intent, as a rule.
func (i Intent) Person() bool { return i.Known() && meanings[rank(i)].person }

// Message is an inbound text and what is known of it.
type Message struct {
	Text     string
	Language string       // BCP 47, a hint for days written as numbers; may be ""
	On       civil.Date   // the day it came where the borrower is; zero: days are not worked out
	Channel  duly.Channel // the channel it came by; "" is SMS
	Said     Intent       // what was said without words, such as by a key; "" for nothing
	SaidOn   civil.Date   // the day promised so
}

// Result is what a text means and what may be done about it.
type Result struct {
	Intent    Intent     `json:"intent"`
	Scope     []string   `json:"scope"`               // what it asks for: opt-out keys, or what the package's table names
	Auto      bool       `json:"auto"`                // may be acted on without a person; only ever for less contact
	Person    bool       `json:"person"`              // a person reads it, whether or not it was acted on
	Also      []Intent   `json:"also,omitempty"`      // what else it says, the strongest first
	Stops     []string   `json:"stops,omitempty"`     // every scope of less contact that the whole text asks for, that of Also with it
	PromiseOn civil.Date `json:"promise_on,omitzero"` // the promised day; zero if none is clear
	Hours     Hours      `json:"hours,omitzero"`      // when contact is asked for, or asked not to be
	Matched   string     `json:"matched"`             // the name of the rule that decided; never the text
}

// Classify says what a message means. It never fails: what it does not know is Unknown, for a person.
func Classify(m Message) Result {
	text, cut := fold(m.Text)
	r := read(text, m)
	if cut {
		r.Person = true
		if meanings[rank(r.Intent)].auto {
			return r
		}
		r.Auto, r.Scope, r.Matched = false, []string{scopeHuman}, ruleCut
	}
	return r
}

// read is Classify for a folded text.
func read(text string, m Message) Result {
	f := append(said(m), find(text, m)...)
	if has(f, Promise) || has(f, Claim) { // "don't press me, I pay tomorrow" is the promise
		f = slices.DeleteFunc(f, func(x finding) bool { return x.soft })
	}
	slices.SortStableFunc(f, func(a, b finding) int { return rank(a.intent) - rank(b.intent) })
	if len(f) == 0 {
		return Result{Intent: Unknown, Scope: []string{scopeHuman}, Person: true, Matched: ruleNothing}
	}
	top := f[0]
	row := meanings[rank(top.intent)]
	r := Result{Intent: top.intent, Scope: row.scope, Auto: row.auto, Person: row.person || top.unsure, Matched: top.rule}
	if top.scope != nil {
		r.Scope = top.scope
	}
	for _, x := range f[1:] {
		if x.intent != top.intent && !slices.Contains(r.Also, x.intent) {
			r.Also = append(r.Also, x.intent)
		}
	}
	for _, x := range f {
		if r.PromiseOn.IsZero() {
			r.PromiseOn = x.day
		}
		if r.Hours.IsZero() {
			r.Hours = x.hours
		}
	}
	r = settle(r, top, m)
	r.Stops = stops(r, f[1:])
	return r
}

// said is what was said without words. It is sure; an intent that is not known is one for a person.
func said(m Message) []finding {
	switch {
	case m.Said == "":
		return nil
	case !m.Said.Known():
		return []finding{{intent: Unknown, rule: ruleSaid}}
	}
	f := finding{intent: m.Said, rule: ruleSaid}
	switch m.Said {
	case OptOut:
		f.scope = []string{channelKey(m.Channel)}
	case Promise:
		f.day = m.SaidOn
	case Place: // which place a key does not say
		f.scope, f.unsure = []string{"work", "home"}, true
	default:
	}
	return []finding{f}
}

// stops gathers the scopes of less contact.
func stops(r Result, others []finding) []string {
	var out []string
	if r.Auto {
		out = append(out, r.Scope...)
	}
	for _, x := range others {
		switch row := meanings[rank(x.intent)]; {
		case row.auto && x.scope != nil:
			out = append(out, x.scope...)
		case row.auto:
			out = append(out, row.scope...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Guarded is what may be done where nobody knows who of several wrote: what protects is done for each, and a person reads it. What
// only the writer can mean, a promise and hours, is not done for the others.
func (r Result) Guarded() Result {
	dispute := r.Intent == Dispute || slices.Contains(r.Also, Dispute)
	r.Stops = slices.DeleteFunc(slices.Clone(r.Stops), func(s string) bool { return s == scopeHours || s == scopeLoan && !dispute })
	if r.Intent == Promise || r.Intent == Hour {
		r.Auto, r.Scope = false, []string{scopeHuman}
	}
	r.Person, r.PromiseOn, r.Hours = true, civil.Date{}, Hours{}
	return r
}

// settle says what the strongest finding means beside the others.
func settle(r Result, top finding, m Message) Result {
	switch top.intent {
	case OptOut:
		if slices.Contains(r.Also, Attorney) {
			r.Scope = []string{scopeAll}
		}
		for _, also := range r.Also {
			r.Person = r.Person || meanings[rank(also)].person
		}
	case Promise:
		ahead := top.day.Sub(m.On)
		if !top.day.IsZero() && !top.unsure && ahead >= 0 && ahead <= PromiseDaysMax && len(r.Also) == 0 {
			r.Auto, r.Person, r.Scope = true, false, []string{scopeLoan}
		}
	case Hour:
		if !top.hours.IsZero() && !top.unsure {
			r.Auto, r.Person, r.Scope = true, len(r.Also) > 0, []string{scopeHours}
		}
	case ThirdParty, Place:
		r.Person = r.Person || slices.ContainsFunc(r.Also, func(i Intent) bool { return meanings[rank(i)].person })
	}
	r.Scope = slices.Clone(r.Scope)
	return r
}

func has(f []finding, i Intent) bool {
	return slices.ContainsFunc(f, func(x finding) bool { return x.intent == i })
}

func rank(i Intent) int {
	return slices.IndexFunc(meanings, func(m meaning) bool { return m.intent == i })
}
