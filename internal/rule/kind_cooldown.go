package rule

import (
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// cooldown keeps contacts back for some days after an event, the event's own local day being the first: after one on the
// 7th, seven days end where the 14th begins. A contact of Duly's own of which it is not known how it ended may have been
// the event, and counts as one.
//
//	params:
//	  after: {channel: [call_agent, call_inbound], outcome: [conversation]}
//	  days: 7
//	  scope: [person, loan]
type cooldown struct {
	after counted
	days  int
	scope scope
}

func (c *cooldown) check(v *View, at time.Time) finding {
	if len(v.zones) == 0 {
		return finding{lack: lackZone, seen: "the days after an event need the borrower's time zone"}
	}
	if c.scope == scopeAddress && v.Contact.PointID == "" {
		return finding{lack: lackFact, seen: "the rule is for each address, and the contact has none"}
	}
	if c.scope != scopeLoan {
		return c.judge(v, at, "")
	}
	if len(v.Contact.Items) == 0 {
		return finding{lack: lackFact, seen: "the rule is for each loan, and the contact is about none"}
	}
	worst := pass()
	for i := range v.Contact.Items {
		if f := c.judge(v, at, v.Contact.Items[i].LoanID); !f.ok && (worst.ok || f.until.After(worst.until)) {
			worst = f
		}
	}
	return worst
}

// judge answers for one loan, or for all with "".
func (c *cooldown) judge(v *View, at time.Time, loan duly.LoanID) finding {
	worst := pass()
	take := func(event time.Time) {
		if event.After(at) {
			return
		}
		for _, loc := range v.zones {
			open := civil.In(event, loc).Add(c.days).At(0, loc)
			if at.Before(open) && (worst.ok || open.After(worst.until)) {
				worst = finding{until: open, seen: "an event of " + civil.In(event, loc).String() + "; its days end with " +
					civil.In(event, loc).Add(c.days-1).String() + " " + loc.String()}
			}
		}
	}
	for i := range v.Person.Contacts {
		x := &v.Person.Contacts[i]
		if x.ID == v.Contact.ID || c.after.in && !c.after.out || !c.scope.covers(v, x.BorrowerID, x.PointID) {
			continue
		}
		got, when := outcomeOf(v, x, at)
		if got != none && (got == reserved || listed(c.after.outcomes, got)) && c.after.names(x.Channel, x.Purpose) && (loan == "" || aboutLoan(x, loan)) {
			take(when)
		}
	}
	for i := range v.Person.Touches {
		if x := &v.Person.Touches[i]; c.scope.covers(v, x.BorrowerID, x.PointID) && c.after.touch(x, loan) {
			take(x.At)
		}
	}
	return worst
}

func parseCooldown(o *object) checker {
	c := &cooldown{days: o.whole("days", 1, maxRolls), scope: o.scope()}
	if o.need("after") {
		c.after = o.counted("after")
	}
	return c
}
