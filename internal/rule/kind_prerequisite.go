package rule

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// prerequisite lets contacts pass only if a fact is so, or if a notice was given at least some days before. Days are
// the borrower's calendar days; 0 lets pass from the notice on.
//
//	params: {require_fact: loan.amount_due>0}
//	params: {require_notice: {type: adverse_credit_notice, min_age_days: 0}}
type prerequisite struct {
	fact   *predicate
	notice string
	days   int
}

func (p *prerequisite) check(v *View, at time.Time) finding {
	if p.fact != nil {
		if p.fact.holds(v) {
			return pass()
		}
		return finding{seen: "needed: " + p.fact.text}
	}
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

func parsePrerequisite(o *object) checker {
	o.only("require_fact", "require_notice")
	p := &prerequisite{}
	if o.has("require_fact") == o.has("require_notice") {
		o.r.fail(o.node, o.field, "must have require_fact or require_notice, and not both")
		return p
	}
	if o.has("require_fact") {
		fact, err := parsePredicate(o.str("require_fact"))
		if err != nil {
			o.fail("require_fact", "%v", err)
		}
		p.fact = &fact
		return p
	}
	n := o.sub("require_notice", "type", "min_age_days")
	p.notice, p.days = n.name("type", codes), n.whole("min_age_days", 0, maxDays)
	return p
}
