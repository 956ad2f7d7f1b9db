package rule

import (
	"strings"
	"time"

	"github.com/dulyhq/duly"
)

// Kind is what sort of question a rule asks.
type Kind string

// The kinds.
const (
	ContactWindow   Kind = "contact_window"
	FrequencyCap    Kind = "frequency_cap"
	Cooldown        Kind = "cooldown"
	OptOut          Kind = "opt_out"
	Hold            Kind = "hold"
	Prerequisite    Kind = "prerequisite"
	ConsentRequired Kind = "consent_required"
	Party           Kind = "party"
	Address         Kind = "address"
	Content         Kind = "content"
	IdentityGate    Kind = "identity_gate"
	SenderRule      Kind = "sender"
	ActorRule       Kind = "actor"
)

// Param is one parameter of a kind of rules.
type Param struct{ Name, Doc string }

// kindRow is one row of the table of kinds.
type kindRow struct {
	parse   func(o *object) checker
	effects []duly.Verdict // the first is the default
	doc     string
	params  []Param // what its params may hold; any other key is refused
}

// block and postpone are the effects of kinds.
var (
	block    = []duly.Verdict{duly.Block}
	postpone = []duly.Verdict{duly.Defer}
)

// kinds is the one table of kinds: how the parameters of each are read, which effects it can have, and what it does.
var kinds = map[Kind]kindRow{
	ContactWindow: {parse: parseWindow, effects: postpone, doc: "contact only within hours of the borrower's local day, in every zone the borrower may be in", params: []Param{
		{"days", "hours by day: mon, mon-fri, sat-sun, holiday, or * for the days not named; [from, to), a day that is not named is closed"},
		{"calendar", "whose holidays count; a year that it lacks blocks"},
		{"holidays", "closed: no contact on holidays"},
		{"source", "borrower_preference: the hours that the borrower asked for, instead of days"},
	}},
	FrequencyCap: {parse: parseCap, effects: []duly.Verdict{duly.Defer, duly.Block}, doc: "at most so many contacts in a period", params: []Param{
		{"limit", "how many may have been in the period when one more goes"},
		{"period", "calendar_day, rolling_days:N (today included), iso_week, rolling:72h or ever; days are the borrower's"},
		{"scope", "person (debtor says the same), with loan: for each loan, address: for each address"},
		{"count", "which count: lists of channel, outcome, direction, purpose; what is left out counts whatever it is"},
		{"distinct", "channel_group: groups of channels are counted, and a contact by one of the first ones used passes"},
	}},
	Cooldown: {parse: parseCooldown, effects: postpone, doc: "no contact for some days after an event", params: []Param{
		{"after", "the event: lists of channel, outcome, direction, purpose; an inbound call is of channel call_inbound"},
		{"days", "how many days, the event's own local day being the first"},
		{"scope", "person, with loan: the same loan, address: the same address"},
	}},
	OptOut: {parse: parseOptOut, effects: block, doc: "no contact that the borrower refused", params: []Param{
		{"keys", "the refusals that count"},
		{"by_channel", "true: also the refusal of the contact's own channel"},
	}},
	Hold: {parse: parseHold, effects: block, doc: "no contact while a hold of these kinds stands", params: []Param{
		{"holds", "the kinds of hold"},
		{"scope", "all or person: every such hold stops everything; loan or address: each stops what it is about"},
		{"except_purpose", "purposes that pass in spite of it: notices that law demands"},
		{"covers_joint_debtors", "true: a hold of somebody who owes the loan too counts"},
	}},
	Prerequisite: {parse: parsePrerequisite, effects: block, doc: "only if a fact is so, a notice was given long enough before, or something happened shortly before", params: []Param{
		{"require_fact", "a fact: clock_ok, not state.NAME, loan.amount_due>0 (in whole units of the currency)"},
		{"require_notice", "type and min_age_days: the notice was given that many of the borrower's days before; 0: before"},
		{"within", "event: opt_out, minutes, and once: true: that long after the latest refusal at the most, and only one of its purpose"},
	}},
	ConsentRequired: {parse: parseConsent, effects: block, doc: "only with the borrower's consent", params: []Param{
		{"consent", "the key of the consent"},
	}},
	Party: {parse: parseParty, effects: block, doc: "only these parties, and on these conditions", params: []Param{
		{"allow", "the parties"},
		{"require_all", "facts that must all be so"},
		{"forbid_any", "facts of which none may be so"},
	}},
	Address: {parse: parseAddress, effects: block, doc: "only addresses of these kinds and sources", params: []Param{
		{"allow_kind", "the kinds of contact point that pass"},
		{"forbid_kind", "the kinds that do not"},
		{"allow_source", "the sources of contact points that pass"},
		{"forbid_source", "the sources that do not"},
	}},
	Content: {parse: parseContent, effects: block, doc: "the rendered words must, and must not, match", params: []Param{
		{"must", "regular expressions that must all match"},
		{"must_not", "regular expressions of which none may match, nor where invisible or full-width letters hide it"},
	}},
	IdentityGate: {parse: parseIdentity, effects: block, doc: "within a conversation, only after the right party is verified", params: []Param{
		{"actions", "the acts that need it; an act that Duly does not know needs it too"},
	}},
	SenderRule: {parse: parseSender, effects: block, doc: "only from such a number or with such a registration", params: []Param{
		{"number_prefix", "the number begins with one of these"},
		{"forbid_hidden_number", "true: the number is not withheld"},
		{"registered_template", "true: the words are registered with the carrier"},
		{"from_by_entity_class", "from which day the rule binds each class of lender"},
		{"from_fact", "the name under which the lender's own first day may be given"},
	}},
	ActorRule: {parse: parseActor, effects: block, doc: "only by somebody who is certified, or after a person has looked at it", params: []Param{
		{"require", "certified or human_reviewed"},
		{"if_flag", "only for borrowers with this flag: state.NAME"},
	}},
}

// kindOrder is the order in which kinds are listed.
var kindOrder = []Kind{
	ContactWindow, FrequencyCap, Cooldown, OptOut, Hold, Prerequisite, ConsentRequired, Party, Address, Content, IdentityGate,
	SenderRule, ActorRule,
}

// Kinds lists the kinds.
func Kinds() []Kind { return append([]Kind(nil), kindOrder...) }

// Doc returns what a rule of kind k does, in one phrase; "" if there is no such kind.
func (k Kind) Doc() string { return kinds[k].doc }

// Params lists the parameters of rules of kind k.
func (k Kind) Params() []Param { return append([]Param(nil), kinds[k].params...) }

func (k *kindRow) names() []string {
	out := make([]string, len(k.params))
	for i, p := range k.params {
		out[i] = p.Name
	}
	return out
}

func kindNames() string {
	names := make([]string, len(kindOrder))
	for i, k := range kindOrder {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// checker is the test of one kind, with its parameters.
type checker interface {
	check(v *View, at time.Time) finding
}

// finding is what a checker found. The zero finding is against the contact, without a known end.
type finding struct {
	ok    bool
	until time.Time // against: the first instant after at that is not; zero if there is none or it is not known
	seen  string    // what was seen and what was needed
	lack  lack      // what had to be known and was not; it blocks, whatever the rule's effect
}

// pass is the finding in favour of the contact.
func pass() finding { return finding{ok: true} }

// lack is a fact that is not there.
type lack int

const (
	nothing lack = iota
	lackFact
	lackZone
	lackCalendar
)
