package plan

import (
	"github.com/dulyhq/duly"
)

// doubt closes what a store that was lost may have sent: every open want of a day up to UnknownThrough, also one that would be
// made up for now, with the rungs that follow it. What is planned of those days, or waits to fall back, is closed with it.
func (pl *planner) doubt() {
	if pl.UnknownThrough.IsZero() {
		return
	}
	for i := range pl.wants {
		w := &pl.wants[i]
		if w.day.After(pl.UnknownThrough) || w.onRecord || !w.open() && w.verdict != Expired {
			continue
		}
		point := pl.climb(w)
		if point == nil && w.had == nil {
			continue // nobody could have been reached
		}
		w.close(Unknown, "the store was restored from a backup, and this may have been sent before")
		pl.write(w, pl.unknown(pl.contactOf(w, point)))
		pl.doubtRungs(*w)
	}
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Strategy != pl.s.Name || c.Day.After(pl.UnknownThrough) || c.State != duly.Planned && c.FallbackAt.IsZero() {
			continue
		}
		done := *c
		done.FallbackAt, done.ChangedAt = noTime, pl.now
		if c.State == duly.Planned {
			done = pl.unknown(*c)
		}
		if !pl.changed(c) {
			pl.changes = append(pl.changes, Change{Contact: done, From: c.State})
		}
		if st, ok := pl.s.Step(c.Step); ok {
			w := want{step: st, day: c.Day, send: c.Day, rung: c.Rung, items: c.Items}
			w.opening, w.end = pl.hours(st, c.Day)
			pl.doubtRungs(w)
		}
	}
}

// doubtRungs notes the rungs after that of a want: the store that was lost may have gone on to them.
func (pl *planner) doubtRungs(w want) {
	if pl.SkipUnknown {
		return // nobody falls back to them any more
	}
	for r := w.rung + 1; r < len(w.step.Ladder); r++ {
		point := pl.p.PointFor(w.step.Ladder[r].Channel)
		if point == nil || pl.rowOf(w.step, w.day, r) != nil {
			continue
		}
		next := w
		next.rung, next.had = r, nil
		c := pl.unknown(pl.contactOf(&next, point))
		if !pl.changed(&c) {
			pl.changes = append(pl.changes, Change{Contact: c})
		}
	}
}

// unknown is a contact that may have been sent, at the latest now.
func (pl *planner) unknown(c duly.Contact) duly.Contact {
	c.State, c.Reason, c.FallbackAt, c.ChangedAt = duly.InDoubt, duly.ReasonRestored, noTime, pl.now
	if pl.SkipUnknown {
		c.State = duly.Cancelled
	} else {
		c.Attempts++
	}
	if c.SentAt.IsZero() {
		c.SentAt = pl.now // so it is spent, and not planned again
	}
	return c
}

// changed reports whether it is decided already what becomes of a row.
func (pl *planner) changed(c *duly.Contact) bool {
	for i := range pl.changes {
		if pl.changes[i].Contact.ID == c.ID {
			return true
		}
	}
	return false
}
