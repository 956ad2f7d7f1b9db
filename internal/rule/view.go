package rule

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly"
)

// View is the facts of one question made ready to be judged: the borrower's zones found, the words folded.
type View struct {
	*Facts
	set    *Set
	place  *place
	zones  []*time.Location
	near   [4]*time.Location // zones points here where they are few
	folded string            // of Text, once asked for
}

// View makes f ready. Release must be called when the question is answered. Facts without a person or a contact must
// not be viewed.
func (s *Set) View(f *Facts) *View {
	v := s.views.Get().(*View)
	v.Facts, v.set, v.place = f, s, s.at(f.Person.Borrower.Country)
	v.zones = v.near[:0]
	for i := range f.Person.Borrower.Zones {
		loc := s.location(f.Person.Borrower.Zones[i].Name)
		if loc == nil {
			v.zones = v.zones[:0]
			break
		}
		v.zones = append(v.zones, loc)
	}
	return v
}

// Release gives the view back. It must not be used afterwards.
func (v *View) Release() {
	set := v.set
	*v = View{}
	set.views.Put(v)
}

// Packs returns the packs that apply to the borrower, as id@hash, by id. The caller must not change the slice.
func (v *View) Packs() []string { return v.place.ids }

// phase is the facts' phase; what is neither phase is judged as strictly as sending.
func (v *View) phase() Phase {
	if v.Phase == PhasePlan {
		return PhasePlan
	}
	return PhaseSend
}

// Unknown returns what must be known for any contact and is not, each as a reason to block, or nil.
func (v *View) Unknown() []duly.Reason {
	var out []duly.Reason
	say := func(rule, code, format string, args ...any) {
		out = append(out, duly.Reason{
			Code: code, Rule: rule, Pack: BuiltIn, Force: duly.ForcePolicy, Verdict: duly.Block,
			Source: "what is not known is not allowed", Facts: fmt.Sprintf(format, args...),
		})
	}
	if len(v.zones) == 0 {
		if len(v.Person.Borrower.Zones) == 0 {
			say(RuleZone, CodeZone, "no time zone is known")
		} else {
			say(RuleZone, CodeZone, "a time zone of the borrower does not exist")
		}
	}
	v.unknownCountry(say)
	if !knownPurpose(v.Contact.Purpose) {
		say(RuleFact, CodeMissing, "the contact's purpose is not known")
	}
	if !knownChannel(v.Contact.Channel) {
		say(RuleFact, CodeMissing, "the contact's channel is not known")
	}
	if v.Now.IsZero() {
		say(RuleFact, CodeMissing, "the time is not known")
	}
	for i := range v.Person.Holds {
		h := &v.Person.Holds[i]
		if h.ActiveAt(v.Now) && !v.place.holds[h.Kind] && v.stopped(h) {
			say(RuleHoldKind, CodeHoldKind, "no rule says what a hold of this kind stops")
			break
		}
	}
	return out
}

// unknownCountry refuses a borrower for whose country no pack is loaded, once packs of countries are.
func (v *View) unknownCountry(say func(rule, code, format string, args ...any)) {
	if !v.set.placed || v.place.named {
		return
	}
	country := v.Person.Borrower.Country
	if country == "" {
		say(RuleJurisdiction, CodeJurisdiction, "the borrower's country is not known")
		return
	}
	say(RuleJurisdiction, CodeJurisdiction, "no loaded rule pack is of %s", country)
}

// stopped reports whether the hold, by its own scope, stops the contact. An unknown scope stops everything.
func (v *View) stopped(h *duly.Hold) bool {
	switch h.Scope {
	case duly.HoldPerson:
		return true
	case duly.HoldLoan:
		return v.about(h.LoanID)
	case duly.HoldAddress:
		return v.at(h.PointID)
	}
	return true
}
