package plan

import (
	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/strategy"
)

// collect finds the steps that fall on today for some open instalment, and those that fell on days that nobody planned.
func (pl *planner) collect() {
	before, after := pl.s.Reach()
	if gap := pl.today.Sub(pl.PlannedThrough); !pl.PlannedThrough.IsZero() && gap > 0 {
		after += gap
	}
	for i := range pl.p.Installments {
		in := &pl.p.Installments[i]
		if dpd := in.DaysPastDue(pl.today); -dpd > before || dpd > after || in.DueOn.IsZero() || !in.Open() {
			continue
		}
		for j := range pl.s.Steps {
			pl.consider(&pl.s.Steps[j], in)
		}
	}
	for i := range pl.wants {
		sortItems(pl.wants[i].items)
	}
}

func (pl *planner) consider(st *strategy.Step, in *duly.Installment) {
	nominal := in.DueOn.Add(st.Offset)
	if st.OnHoliday == strategy.Same {
		if nominal == pl.today || pl.missed(st, nominal) {
			pl.add(st, nominal, in)
		}
		return
	}
	if far := pl.today.Sub(nominal); far < -strategy.MaxShift || far > strategy.MaxShift && !pl.unplanned(nominal) && !pl.unplanned(nominal.Add(strategy.MaxShift)) {
		return
	}
	day, on := pl.dayOf(st, nominal)
	switch {
	case on == stepUnknown && nominal == pl.today:
		// What is not known is not allowed, even if another instalment of the step has a day that is known.
		w := pl.add(st, nominal, in)
		w.block(pl.reasonCalendar(st))
	case on == stepOn && (day == pl.today || pl.missed(st, day)):
		pl.add(st, day, in)
	}
}

// unplanned reports whether nobody planned the day.
func (pl *planner) unplanned(day civil.Date) bool {
	return !pl.PlannedThrough.IsZero() && day.After(pl.PlannedThrough) && day.Before(pl.today)
}

// missed reports whether nobody planned the step on the day: one that has a row was planned after all.
func (pl *planner) missed(st *strategy.Step, day civil.Date) bool {
	return pl.unplanned(day) && pl.row(st, day) == nil
}

// stepOn, stepOff and stepUnknown say whether a step has a day: it falls out on a day off, or it is not known what the day
// is.
type stepDay int

const (
	stepOn stepDay = iota
	stepOff
	stepUnknown
)

// dayOf returns the day of a step that would fall on nominal.
func (pl *planner) dayOf(st *strategy.Step, nominal civil.Date) (civil.Date, stepDay) {
	if st.OnHoliday == strategy.Same {
		return nominal, stepOn
	}
	if pl.calendar == nil {
		return nominal, stepUnknown
	}
	d, err := pl.calendar.Day(nominal)
	if err != nil {
		return nominal, stepUnknown
	}
	if d.Working {
		return nominal, stepOn
	}
	day := nominal
	switch st.OnHoliday {
	case strategy.Skip:
		return nominal, stepOff
	case strategy.Earlier:
		day, err = pl.calendar.Prev(nominal)
	case strategy.Later:
		day, err = pl.calendar.Next(nominal)
	case strategy.Same:
	}
	if err != nil || day.Sub(nominal) > strategy.MaxShift || nominal.Sub(day) > strategy.MaxShift {
		return nominal, stepUnknown
	}
	return day, stepOn
}

// row returns the row of the occurrence of a step: the one that went furthest up the ladder of those that were tried, else
// any; nil if there is none.
func (pl *planner) row(st *strategy.Step, day civil.Date) *duly.Contact {
	var found *duly.Contact
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Day != day || c.Step != st.ID || c.Strategy != pl.s.Name {
			continue
		}
		if found == nil || started(c) && (!started(found) || c.Rung > found.Rung) {
			found = c
		}
	}
	return found
}

// rowOf returns the row of one rung, or nil.
func (pl *planner) rowOf(st *strategy.Step, day civil.Date, rung int) *duly.Contact {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Day == day && c.Rung == rung && c.Step == st.ID && c.Strategy == pl.s.Name {
			return c
		}
	}
	return nil
}

// started reports whether the contact went out, may have, or was tried to the end. One that gave way to another rung, or to
// another message, while its tries were refused did not end the occurrence.
func started(c *duly.Contact) bool {
	switch c.State {
	case duly.Claimed, duly.Accepted, duly.Delivered, duly.Read, duly.Failed, duly.InDoubt:
		return true
	case duly.Cancelled:
		return spent(c) && c.Reason != duly.CancelReplaced && c.Reason != CancelMerged
	case duly.Planned, duly.Blocked:
		return false
	}
	return true
}

// spent reports whether the contact was tried and then cancelled: such a row is not planned again.
func spent(c *duly.Contact) bool { return c.State == duly.Cancelled && !c.SentAt.IsZero() }

// inherit takes over what is on record: contacts that stand from an earlier planning, and rungs whose time to fall back
// has come.
func (pl *planner) inherit() {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if !c.FallbackAt.IsZero() && !c.FallbackAt.After(pl.now) {
			pl.fallBack(c)
		}
		if c.Strategy == pl.s.Name && pl.stands(c) {
			pl.carry(c)
		}
	}
}

// stands reports whether the contact is to be looked at again although it is no step of today: it is late, its day is not
// yet over where the borrower lives, or it is a next rung.
func (pl *planner) stands(c *duly.Contact) bool {
	switch c.State {
	case duly.Planned, duly.Blocked:
	case duly.Cancelled:
		if c.Reason != duly.CancelPaid || !c.SentAt.IsZero() {
			return false
		}
	case duly.Claimed, duly.Accepted, duly.Delivered, duly.Read, duly.Failed, duly.InDoubt:
		return false
	}
	return pl.now.Before(c.ExpiresAt) && !c.Day.After(pl.today) && (c.Late || c.Day != pl.today || pl.rungBefore(c) != nil)
}

// rungBefore returns the rung that c is the fallback of, or nil.
func (pl *planner) rungBefore(c *duly.Contact) *duly.Contact {
	if c.Rung == 0 {
		return nil
	}
	var before *duly.Contact
	for i := range pl.p.Contacts {
		x := &pl.p.Contacts[i]
		if x.Day == c.Day && x.Step == c.Step && x.Strategy == c.Strategy && x.Rung < c.Rung && started(x) && (before == nil || x.Rung > before.Rung) {
			before = x
		}
	}
	return before
}

// carry makes a want of a contact that stands.
func (pl *planner) carry(c *duly.Contact) {
	st, ok := pl.s.Step(c.Step)
	if !ok || c.Rung >= len(st.Ladder) || st.Ladder[c.Rung].Channel != c.Channel {
		return // the strategy has no such step any more: drop cancels what is planned
	}
	w := want{step: st, day: c.Day, send: pl.sendDay(c, st), late: c.Late, carried: true, had: c, rung: c.Rung}
	w.opening, w.end = pl.hours(st, w.send)
	w.items = pl.stillOpen(c, w.send)
	if before := pl.rungBefore(c); before != nil {
		w.fallback = before
		switch {
		case pl.arrived(st, c.Day, c.Rung):
			w.close(Cancelled, "the rung before arrived after all")
		case pl.pending(before):
			w.close(Cancelled, "the rung before went out after all, and what became of it is not known yet")
		}
	}
	if len(w.items) == 0 {
		w.close(Paid, "nothing is owed any more")
	}
	pl.wants = append(pl.wants, w)
}

// stillOpen returns the contact's items that are still owed, still due on the same day, and on the same side of it on the
// day that the contact goes.
func (pl *planner) stillOpen(c *duly.Contact, send civil.Date) []duly.Item {
	var out []duly.Item
	for _, it := range c.Items {
		for i := range pl.p.Installments {
			in := &pl.p.Installments[i]
			if in.LoanID == it.LoanID && in.No == it.No && in.Open() && in.DueOn == it.DueOn && duly.PurposeAt(in.DaysPastDue(send)) == c.Purpose {
				out = append(out, itemOf(in))
			}
		}
	}
	sortItems(out)
	return out
}

// fallBack makes a want of the next rung of c, if there is one to go to, and has c's time to fall back cleared.
func (pl *planner) fallBack(c *duly.Contact) {
	switch c.State {
	case duly.Failed, duly.Accepted, duly.Delivered:
	case duly.Planned, duly.Claimed, duly.Read, duly.InDoubt, duly.Blocked, duly.Cancelled:
		return
	}
	done := *c
	done.FallbackAt, done.ChangedAt = noTime, pl.now
	pl.changes = append(pl.changes, Change{Contact: done, From: c.State})
	st, ok := pl.s.Step(c.Step)
	if !ok || c.Strategy != pl.s.Name || pl.now.Sub(c.FallbackAt) > fallbackWait || pl.laterRung(c) {
		return
	}
	for r := c.Rung + 1; r < len(st.Ladder); r++ {
		if pl.p.PointFor(st.Ladder[r].Channel) == nil || pl.arrived(st, c.Day, r) {
			continue
		}
		w := want{step: st, day: c.Day, late: c.Late, fallback: c, rung: r}
		w.send, w.opening, w.end = pl.hoursFrom(st)
		if w.items = pl.stillOpen(c, w.send); len(w.items) > 0 {
			pl.wants = append(pl.wants, w)
			pl.due++
		}
		return
	}
}

// arrived reports whether an earlier rung of the occurrence got so far that the rung is needless.
func (pl *planner) arrived(st *strategy.Step, day civil.Date, rung int) bool {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Day != day || c.Step != st.ID || c.Strategy != pl.s.Name || c.Rung >= rung {
			continue
		}
		if c.State == duly.Read || c.State == duly.Delivered && st.Ladder[rung].Unless != strategy.UnlessRead {
			return true
		}
	}
	return false
}

// pending reports whether it is still to be seen what becomes of a rung: it is on its way, in doubt, or has time left to
// arrive. Nobody is chased on another channel for a doubt.
func (pl *planner) pending(c *duly.Contact) bool {
	switch c.State {
	case duly.Claimed, duly.InDoubt:
		return true
	case duly.Accepted, duly.Delivered:
		return c.FallbackAt.After(pl.now)
	case duly.Planned, duly.Read, duly.Failed, duly.Blocked, duly.Cancelled:
	}
	return false
}

// laterRung reports whether a rung after c is on record already.
func (pl *planner) laterRung(c *duly.Contact) bool {
	for i := range pl.p.Contacts {
		x := &pl.p.Contacts[i]
		if x.Day == c.Day && x.Step == c.Step && x.Strategy == c.Strategy && x.Rung > c.Rung {
			return true
		}
	}
	return false
}
