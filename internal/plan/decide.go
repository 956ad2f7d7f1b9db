package plan

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
)

// decide asks the gate about every want that is open, and writes down what became of each. What stands from before and what
// is late is asked first and today's steps after it, so that planning again asks in the same order.
func (pl *planner) decide() {
	var before, today []*want
	for i := range pl.wants {
		switch w := &pl.wants[i]; {
		case !w.open():
		case w.regular():
			today = append(today, w)
		default:
			before = append(before, w)
		}
	}
	pl.look(len(before) + len(today))
	byHour(before)
	for _, w := range before {
		pl.accept(w, pl.try(w))
	}
	if pl.s.Consolidate == strategy.ByPersonDay {
		pl.contest(today)
	} else {
		byHour(today)
		for _, w := range today {
			pl.accept(w, pl.try(w))
		}
	}
	for i := range pl.wants {
		pl.record(&pl.wants[i])
	}
}

// byHour sorts wants as they would go; what goes at the same time stays in the order of steps.
func byHour(ws []*want) {
	if len(ws) < 2 {
		return
	}
	slices.SortStableFunc(ws, func(a, b *want) int {
		if c := a.opening.Compare(b.opening); c != 0 {
			return c
		}
		if c := a.day.Compare(b.day); c != 0 {
			return c
		}
		if a.step.ID != b.step.ID {
			if a.step.ID < b.step.ID {
				return -1
			}
			return 1
		}
		return a.rung - b.rung
	})
}

// look makes the person that the gate sees: what is planned is decided anew, so it counts only once it is decided. With one
// want and nothing else planned there is nothing to take out, and no copy to make.
func (pl *planner) look(open int) {
	pl.seen = pl.p
	planned := 0
	for i := range pl.p.Contacts {
		if pl.p.Contacts[i].State == duly.Planned {
			planned++
		}
	}
	if planned == 0 && open < 2 || open == 0 {
		return
	}
	copied := *pl.p
	copied.Contacts = make([]duly.Contact, 0, len(pl.p.Contacts)+open)
	for i := range pl.p.Contacts {
		if pl.p.Contacts[i].State != duly.Planned {
			copied.Contacts = append(copied.Contacts, pl.p.Contacts[i])
		}
	}
	pl.seen = &copied
}

// try makes the contact that a want would become. It changes what is known of the want, not what becomes of it.
func (pl *planner) try(w *want) duly.Contact {
	point := pl.climb(w)
	c := pl.contactOf(w, point)
	switch {
	case point == nil:
		return pl.refuse(c, pl.reason(RulePoint, CodePoint, w.step, "no address in use for any channel of the ladder"))
	case !w.opening.Before(w.end):
		return pl.refuse(c, pl.reason(RuleWindow, CodeWindow, w.step, "the step's hours in one zone of the borrower's are over before they begin in another"))
	}
	at := w.opening
	if pl.now.After(at) {
		at = pl.now
	}
	planned := w.had != nil && w.had.State == duly.Planned
	anew, items := at, w.items
	if planned && standing(w.had, pl.s.Hash) && w.had.NotBefore.After(at) {
		at = w.had.NotBefore
	}
	c.NotBefore = at
	pl.askGate(w, &c, at)
	// The time that stood is of hours that the borrower no longer has. One that was put off is worked out anew from then on, see standing:
	// it is here too, so that planning again changes nothing.
	if put := c.Decision.Verdict == duly.Defer && c.Attempts == 0; at.After(anew) && (c.State == duly.Blocked || put) {
		w.items, w.note, at = items, "", anew
		c = pl.contactOf(w, point)
		c.NotBefore = at
		pl.askGate(w, &c, at)
	}
	if planned && c.Decision.Verdict == duly.Allow && !w.had.NotBefore.Before(w.opening) && !w.had.NotBefore.After(at) {
		c.NotBefore, c.Reason = w.had.NotBefore, w.had.Reason // it may go since then
	}
	return c
}

// standing reports whether a row's NotBefore stays: the engine moved it, or it was chosen before. One that a rule deferred,
// or that is of another version of the strategy, is worked out anew.
func standing(had *duly.Contact, hash string) bool {
	if had == nil || had.State != duly.Planned {
		return false
	}
	if had.Attempts > 0 {
		return true
	}
	if d := &had.Decision; d.Verdict == duly.Defer && had.NotBefore.Equal(wholeMicros(d.NotBefore)) {
		return false
	}
	return had.StrategyHash == hash || had.Reason != ""
}

// climb finds the rung to begin with and its address: nil if there is none.
func (pl *planner) climb(w *want) *duly.ContactPoint {
	if w.carried || w.fallback != nil {
		return pl.p.PointFor(w.step.Ladder[w.rung].Channel)
	}
	w.rung = 0
	for i := range w.step.Ladder {
		point := pl.p.PointFor(w.step.Ladder[i].Channel)
		if point == nil {
			continue
		}
		if row := pl.rowOf(w.step, w.day, i); row == nil || !spent(row) {
			w.rung, w.had = i, row
			return point
		}
	}
	w.had = pl.rowOf(w.step, w.day, w.rung)
	return nil
}

// contactOf makes the want's contact as it would be if nothing held it: new, or from its row.
func (pl *planner) contactOf(w *want, point *duly.ContactPoint) duly.Contact {
	sortItems(w.items)
	var c duly.Contact
	if w.had != nil {
		c = *w.had
	} else {
		c.ID = duly.NewContactID(pl.p.Borrower.ID, pl.s.Name, w.step.ID, w.day, w.rung)
		c.BorrowerID, c.Strategy, c.Step, c.Day, c.Rung = pl.p.Borrower.ID, pl.s.Name, w.step.ID, w.day, w.rung
		c.PlannedAt = pl.now
	}
	c.StrategyHash = pl.s.Hash
	c.Channel, c.Tone, c.Template, c.Priority = w.step.Ladder[w.rung].Channel, w.step.Tone, w.step.Template, w.step.Priority
	c.PointID = ""
	if point != nil {
		c.PointID = point.ID
	}
	if c.Late = w.late; w.late && w.step.LateTemplate != "" {
		c.Template = w.step.LateTemplate
	}
	c.Purpose, c.Items = w.purpose(), w.items
	c.State, c.Reason, c.Decision = duly.Planned, "", duly.Decision{}
	c.NotBefore, c.ExpiresAt, c.FallbackAt = w.opening, w.end, noTime
	c.ChangedAt = pl.now
	return c
}

// refuse blocks the contact by a rule of the plan's own.
func (pl *planner) refuse(c duly.Contact, why duly.Reason) duly.Contact {
	c.State, c.Reason = duly.Blocked, why.Code
	c.Decision = duly.Decision{Verdict: duly.Block, Reasons: []duly.Reason{why}, Packs: pl.Rules.IDsFor(pl.p.Borrower.Country)}
	return c
}

// askGate sets what the gate says of the contact at an instant. Where it blocks a contact about several loans because of
// some of them, the others go.
func (pl *planner) askGate(w *want, c *duly.Contact, at time.Time) {
	d := pl.check(w, c, at)
	if d.Verdict == duly.Block {
		if left := pl.allowedLoans(w, c, at); len(left) > 0 {
			w.items, c.Items = left, left
			c.Purpose = w.purpose()
			w.note = "what is about a loan that a rule blocks was left out"
			d = pl.check(w, c, at)
		}
	}
	c.Decision = d
	switch d.Verdict {
	case duly.Allow:
	case duly.Defer:
		if until := wholeMicros(d.NotBefore); until.Before(c.ExpiresAt) {
			c.NotBefore, c.Reason = until, d.Code()
			return
		}
		c.State, c.Reason = duly.Blocked, d.Code()
	case duly.Block, duly.NoVerdict:
		c.State, c.Reason = duly.Blocked, d.Code()
	}
}

func (pl *planner) check(w *want, c *duly.Contact, at time.Time) duly.Decision {
	due := int64(0)
	for i := range c.Items {
		due += c.Items[i].Outstanding.Minor
	}
	pl.facts = rule.Facts{
		Phase: rule.PhasePlan, Now: at, Person: pl.seen, Contact: c, DaysPastDue: w.daysPastDue(), AmountDue: due,
		Actor: rule.Actor{Type: "system"}, Calendars: pl.Calendars,
	}
	pl.Lender.Tell(&pl.facts)
	return gate.Check(&pl.facts, pl.Rules)
}

// allowedLoans returns the contact's items of those loans of which the gate would let pass a contact of their own, if that
// is some and not all.
func (pl *planner) allowedLoans(w *want, c *duly.Contact, at time.Time) []duly.Item {
	all := c.Items
	if !slices.ContainsFunc(all, func(it duly.Item) bool { return it.LoanID != all[0].LoanID }) {
		return nil
	}
	var left []duly.Item
	verdicts := map[duly.LoanID]duly.Verdict{}
	for _, it := range all {
		v, ok := verdicts[it.LoanID]
		if !ok {
			c.Items = keep(all, func(x *duly.Item) bool { return x.LoanID == it.LoanID })
			v = pl.check(w, c, at).Verdict
			verdicts[it.LoanID] = v
		}
		if v == duly.Allow || v == duly.Defer {
			left = append(left, it)
		}
	}
	c.Items = all
	if len(left) == len(all) {
		return nil
	}
	return left
}

// accept closes the want with the contact that it becomes.
func (pl *planner) accept(w *want, c duly.Contact) {
	w.reasons = c.Decision.Reasons
	switch {
	case c.State == duly.Blocked:
		w.verdict = Blocked
	case c.Decision.Verdict == duly.Defer:
		w.verdict = Deferred
	default:
		w.verdict = Planned
	}
	if c.State == duly.Planned && pl.seen != pl.p {
		before := c
		before.NotBefore = c.NotBefore.Add(-time.Microsecond) // of two that go together the one asked first counts for the other
		pl.seen.Contacts = append(pl.seen.Contacts, before)
	}
	pl.write(w, c)
}

// record writes down the wants that were closed without the gate: blocked by the plan itself, merged, expired.
func (pl *planner) record(w *want) {
	var state duly.ContactState
	var reason string
	switch w.verdict {
	case Blocked:
		state = duly.Blocked
	case Merged:
		state, reason = duly.Cancelled, CancelMerged
	case Replaced, Cancelled:
		state, reason = duly.Cancelled, duly.CancelReplaced
	case Expired:
		state, reason = duly.Cancelled, duly.CancelExpired
	case Paid:
		state, reason = duly.Cancelled, duly.CancelPaid
	case Planned, Deferred, Sent, Unmet, NotYet, Past, DayOff, Unknown, "":
		return
	}
	if w.decided || w.onRecord {
		return
	}
	point := pl.climb(w)
	if row := pl.row(w.step, w.day); w.had == nil && state == duly.Cancelled && row != nil && spent(row) {
		return // the rung that was tried says already that nothing came of it
	}
	c := pl.contactOf(w, point)
	if state == duly.Blocked {
		c = pl.refuse(c, w.reasons[0])
	} else {
		c.State, c.Reason = state, reason
	}
	if len(c.Items) == 0 && w.had != nil {
		c.Items, c.Purpose = w.had.Items, w.had.Purpose
	}
	pl.write(w, c)
}

// write notes the change from the want's row to the contact, if it is one and may be made.
func (pl *planner) write(w *want, c duly.Contact) {
	w.decided = true
	if pl.Explain {
		w.contact = &c
	}
	had := w.had
	switch {
	case had == nil:
		pl.changes = append(pl.changes, Change{Contact: c})
	case had.State == c.State:
		if c.State == duly.Planned && differs(had, &c) || c.State == duly.Blocked && had.Reason != c.Reason {
			pl.changes = append(pl.changes, Change{Contact: c, From: had.State})
		}
	case had.State.CanBecome(c.State) && !spent(had):
		pl.changes = append(pl.changes, Change{Contact: c, From: had.State})
	}
}

// differs reports whether something that can be seen of a planned contact changed.
func differs(a, b *duly.Contact) bool {
	return !a.NotBefore.Equal(b.NotBefore) || !a.ExpiresAt.Equal(b.ExpiresAt) || a.PointID != b.PointID || a.Channel != b.Channel ||
		a.Purpose != b.Purpose || a.Tone != b.Tone || a.Template != b.Template || a.Late != b.Late || a.Priority != b.Priority ||
		a.StrategyHash != b.StrategyHash || a.Reason != b.Reason || !slices.Equal(a.Items, b.Items)
}

// drop cancels what is planned and no longer wanted.
func (pl *planner) drop() {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.State != duly.Planned || c.Strategy == "" || c.Day.After(pl.today) || pl.kept(c) || !pl.UnknownThrough.IsZero() && pl.changed(c) {
			continue
		}
		gone := *c
		gone.State, gone.FallbackAt, gone.ChangedAt = duly.Cancelled, noTime, pl.now
		switch {
		case !pl.now.Before(c.ExpiresAt):
			gone.Reason = duly.CancelExpired
		case !pl.owes(c):
			gone.Reason = duly.CancelPaid
		default:
			gone.Reason = duly.CancelReplaced
		}
		pl.changes = append(pl.changes, Change{Contact: gone, From: duly.Planned})
	}
}

// kept reports whether some want decided what becomes of the row.
func (pl *planner) kept(c *duly.Contact) bool {
	for i := range pl.wants {
		if w := &pl.wants[i]; w.had == c && (w.decided && !w.onRecord || pl.now.Before(c.ExpiresAt)) {
			return true
		}
	}
	return false
}

// owes reports whether one of the contact's instalments is still open.
func (pl *planner) owes(c *duly.Contact) bool {
	for i := range pl.p.Installments {
		if in := &pl.p.Installments[i]; in.Open() && has(c.Items, duly.Item{LoanID: in.LoanID, No: in.No}) {
			return true
		}
	}
	return false
}

// wholeMicros rounds an instant up to what the store can keep: a contact must not go a moment too early.
func wholeMicros(t time.Time) time.Time {
	if r := t.Truncate(time.Microsecond); r.Equal(t) {
		return t
	} else {
		return r.Add(time.Microsecond)
	}
}
