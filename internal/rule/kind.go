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
	OptOut          Kind = "opt_out"
	Hold            Kind = "hold"
	Prerequisite    Kind = "prerequisite"
	ConsentRequired Kind = "consent_required"
	Party           Kind = "party"
	Content         Kind = "content"
	IdentityGate    Kind = "identity_gate"
)

// kinds is the one table of kinds: how the parameters of each are read, which effects it can have, and what it does.
var kinds = map[Kind]struct {
	parse   func(o *object) checker
	effects []duly.Verdict // the first is the default
	doc     string
}{
	ContactWindow:   {parseWindow, []duly.Verdict{duly.Defer}, "contact only within hours of the borrower's local day, in every zone the borrower may be in"},
	FrequencyCap:    {parseCap, []duly.Verdict{duly.Defer, duly.Block}, "at most so many contacts in a period"},
	OptOut:          {parseOptOut, []duly.Verdict{duly.Block}, "no contact that the borrower refused"},
	Hold:            {parseHold, []duly.Verdict{duly.Block}, "no contact while a hold of these kinds stands"},
	Prerequisite:    {parsePrerequisite, []duly.Verdict{duly.Block}, "only if a fact is so, or a notice was given long enough before"},
	ConsentRequired: {parseConsent, []duly.Verdict{duly.Block}, "only with the borrower's consent"},
	Party:           {parseParty, []duly.Verdict{duly.Block}, "only these parties, and on these conditions"},
	Content:         {parseContent, []duly.Verdict{duly.Block}, "the rendered words must, and must not, match"},
	IdentityGate:    {parseIdentity, []duly.Verdict{duly.Block}, "within a conversation, only after the right party is verified"},
}

// kindOrder is the order in which kinds are listed.
var kindOrder = []Kind{ContactWindow, FrequencyCap, OptOut, Hold, Prerequisite, ConsentRequired, Party, Content, IdentityGate}

// Kinds lists the kinds.
func Kinds() []Kind { return append([]Kind(nil), kindOrder...) }

// Doc returns what a rule of kind k does, in one phrase; "" if there is no such kind.
func (k Kind) Doc() string { return kinds[k].doc }

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
