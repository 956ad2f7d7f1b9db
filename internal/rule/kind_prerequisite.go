package rule

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// prerequisite lets contacts pass only if a fact is so, if a notice was given at least some days before, or within some
// minutes of an event. Days are the borrower's calendar days; 0 lets pass from the notice on.
//
//	params: {require_fact: loan.amount_due>0}
//	params: {require_notice: {type: adverse_credit_notice, min_age_days: 0}}
//	params: {within: {event: opt_out, minutes: 5, once: true}}
type prerequisite struct {
	fact   *predicate
	notice string
	days   int
	within time.Duration // of the latest refusal, inclusive; 0 asks for none
	once   bool
}

func (p *prerequisite) check(v *View, at time.Time) finding {
	switch {
	case p.fact != nil:
		if ok, known := p.fact.holds(v); !ok {
			return needed(p.fact, known)
		}
		return pass()
	case p.within > 0:
		return p.soon(v, at)
	}
	return p.noticed(v, at)
}

// needed is the finding against a contact for which a fact is not so, or is not known.
func needed(p *predicate, known bool) finding {
	if known {
		return finding{seen: "needed: " + p.text}
	}
	return finding{lack: lackFact, seen: p.name + " is not known"}
}

func (p *prerequisite) noticed(v *View, at time.Time) finding {
	var given time.Time
	for _, n := range v.Notices {
		if n.Type == p.notice && !n.At.IsZero() && !n.At.After(at) && (given.IsZero() || n.At.Before(given)) {
			given = n.At
		}
	}
	if given.IsZero() {
		return finding{seen: "no notice " + p.notice + " was given"}
	}
	if p.days == 0 {
		return pass()
	}
	if len(v.zones) == 0 {
		return finding{lack: lackZone, seen: "the notice's age needs the borrower's time zone"}
	}
	for _, loc := range v.zones {
		if age := civil.In(at, loc).Sub(civil.In(given, loc)); age < p.days {
			return finding{seen: fmt.Sprintf("notice %s is %d days old; needed %d", p.notice, age, p.days)}
		}
	}
	return pass()
}

// soon judges by the latest refusal: whether it is fresh, and whether nothing of the contact's purpose has gone since.
func (p *prerequisite) soon(v *View, at time.Time) finding {
	var refused time.Time
	for i := range v.Person.OptOuts {
		if o := &v.Person.OptOuts[i]; o.ActiveAt(at) && o.At.After(refused) {
			refused = o.At
		}
	}
	switch {
	case refused.IsZero():
		return finding{seen: "it is not known when the borrower refused"}
	case at.Sub(refused) > p.within:
		return finding{seen: fmt.Sprintf("the refusal is %s old; at most %s", at.Sub(refused).Truncate(time.Second), p.within)}
	case p.once && v.goneSince(v.Contact.Purpose, refused):
		return finding{seen: "one has gone since the refusal"}
	}
	return pass()
}

// goneSince reports whether something for the purpose went to the person since an instant, or may have.
func (v *View) goneSince(p duly.Purpose, since time.Time) bool {
	for i := range v.Person.Contacts {
		x := &v.Person.Contacts[i]
		if x.ID != v.Contact.ID && x.Purpose == p && v.same(x.BorrowerID) && x.State.CountsAsSent() && !x.SentAt.Before(since) {
			return true
		}
	}
	for i := range v.Person.Touches {
		if x := &v.Person.Touches[i]; x.Purpose == p && !x.Inbound && v.same(x.BorrowerID) && outcomeNamed(x.Outcome) != notConnected && !x.At.Before(since) {
			return true
		}
	}
	return false
}

func parsePrerequisite(o *object) checker {
	p := &prerequisite{}
	n := 0
	for _, key := range []string{"require_fact", "require_notice", "within"} {
		if o.has(key) {
			n++
		}
	}
	switch {
	case n != 1:
		o.r.fail(o.node, o.field, "must have one of require_fact, require_notice and within, and not both")
	case o.has("require_fact"):
		fact, err := parsePredicate(o.str("require_fact"))
		if err != nil {
			o.fail("require_fact", "%v", err)
		}
		p.fact = &fact
	case o.has("require_notice"):
		x := o.sub("require_notice", "type", "min_age_days")
		p.notice, p.days = x.name("type", codes), x.whole("min_age_days", 0, maxDays)
	default:
		x := o.sub("within", "event", "minutes", "once")
		if x.need("event") && x.str("event") != "opt_out" {
			x.fail("event", "must be opt_out")
		}
		p.within, p.once = time.Duration(x.whole("minutes", 1, maxDays))*time.Minute, x.yes("once")
	}
	return p
}
