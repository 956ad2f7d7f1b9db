package rule

import (
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// sender lets contacts pass that come from numbers of a series, do not withhold their number, or whose words are
// registered. A rule may begin on a day that depends on the lender: the lender's own first day (Facts.StartDays), or that
// of its class. Of a lender of no known class the rule asks nothing before the first of those days, everything from the
// last on, and in between its class, which must then be known.
//
//	params: {number_prefix: ["1600"], from_fact: trai_1600_from, from_by_entity_class: {commercial_bank: 2026-01-01}}
//	params: {forbid_hidden_number: true}
//	params: {registered_template: true}
type sender struct {
	prefixes   []string
	shown      bool
	registered bool
	fact       string
	classes    map[string]civil.Date
}

func (s *sender) check(v *View, at time.Time) finding {
	binding, known := s.binds(v, at)
	switch {
	case !known:
		return finding{lack: lackFact, seen: "the class of the lender is not known, nor from when the rule binds it"}
	case !binding:
		return pass()
	case s.shown && v.Sender.Hidden:
		return finding{seen: "the sender's number is withheld"}
	case s.registered && v.Sender.TemplateID == "":
		return finding{seen: "the words have no registration"}
	case len(s.prefixes) == 0:
		return pass()
	case v.Sender.Number == "" && !v.Sender.Hidden:
		return finding{lack: lackFact, seen: "the sender's number is not known"}
	}
	number := strings.Map(numeral, v.Sender.Number)
	if v.Sender.Hidden || !slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(number, p) }) {
		return finding{seen: "the sender's number must begin with " + strings.Join(s.prefixes, " or ")}
	}
	return pass()
}

// numeral drops what numbers are grouped by.
func numeral(r rune) rune {
	if strings.ContainsRune(" -()./", r) {
		return -1
	}
	return r
}

// binds reports whether the rule binds the lender at an instant, in any zone of the borrower's, and whether that is known.
func (s *sender) binds(v *View, at time.Time) (binding, known bool) {
	if s.fact == "" && len(s.classes) == 0 {
		return true, true
	}
	if d, ok := v.StartDays[s.fact]; ok {
		return reached(v, at, d), true
	}
	if d, ok := s.classes[v.EntityClass]; ok {
		return reached(v, at, d), true
	}
	if len(s.classes) == 0 {
		return false, false
	}
	all := true
	for _, d := range s.classes {
		got := reached(v, at, d)
		binding, all = binding || got, all && got
	}
	return all, all || !binding
}

// reached reports whether the day has come at an instant in any zone that the borrower may be in; with no zone it has.
func reached(v *View, at time.Time, day civil.Date) bool {
	return len(v.zones) == 0 || slices.ContainsFunc(v.zones, func(loc *time.Location) bool { return !civil.In(at, loc).Before(day) })
}

func parseSender(o *object) checker {
	s := &sender{prefixes: o.strs("number_prefix"), shown: o.yes("forbid_hidden_number"), registered: o.yes("registered_template")}
	if len(s.prefixes) == 0 && !s.shown && !s.registered {
		o.r.fail(o.node, o.field, "must have number_prefix, forbid_hidden_number or registered_template")
	}
	if o.has("from_fact") {
		s.fact = o.name("from_fact", codes)
	}
	if o.has("from_by_entity_class") {
		days := o.sub("from_by_entity_class")
		s.classes = map[string]civil.Date{}
		for _, class := range days.keys {
			s.classes[class] = days.day(class)
		}
	}
	return s
}
