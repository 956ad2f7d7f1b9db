package plan

import (
	"slices"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/strategy"
)

// merge decides which wants are made together or not at all: what a message of today already covers, and which one of the
// missed steps is made up for.
func (pl *planner) merge() {
	if pl.s.Consolidate == strategy.ByPersonDay {
		pl.afterSent()
	}
	pl.rejoin()
	made := pl.carriedLate()
	for _, w := range pl.lateOnes() {
		if pl.covered(w) || pl.joined(w) {
			continue
		}
		switch {
		case made:
			w.close(Expired, "its day passed unplanned, and one late message to a person is enough")
		case pl.s.Consolidate == strategy.ByPersonDay && pl.today == w.send && (pl.anyRegular() || pl.sentToday() >= 0):
			w.close(Expired, "its day passed unplanned, and another message goes to the person today")
		default:
			made = true
		}
	}
}

// afterSent closes steps of today that come after a message of the same day with the same or a higher priority.
func (pl *planner) afterSent() {
	sent := pl.sentToday()
	for i := range pl.wants {
		if w := &pl.wants[i]; w.regular() && w.open() && w.step.Priority <= sent {
			w.close(Replaced, "a message of this or a higher priority went to the person today")
		}
	}
}

// sentToday returns the highest priority of the strategy's contacts of today that went out, or may have; -1 if none did.
func (pl *planner) sentToday() int {
	top := -1
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Strategy == pl.s.Name && c.State.CountsAsSent() && (c.Day == pl.today || c.Late && civil.In(c.SentAt, pl.Location) == pl.today) {
			top = max(top, c.Priority)
		}
	}
	return top
}

// lateOnes returns the missed steps that are not closed: the latest day first, then the highest priority.
func (pl *planner) lateOnes() []*want {
	var out []*want
	for i := range pl.wants {
		if w := &pl.wants[i]; w.late && w.open() && !w.carried && w.fallback == nil {
			out = append(out, w)
		}
	}
	slices.SortStableFunc(out, func(a, b *want) int {
		if c := b.day.Compare(a.day); c != 0 {
			return c
		}
		return b.step.Priority - a.step.Priority
	})
	return out
}

// carriedLate reports whether a late contact stands from an earlier planning or was made up for today already, and closes
// those that today's steps make needless.
func (pl *planner) carriedLate() bool {
	made := pl.lateToday()
	chosen := map[civil.Date]bool{} // by the day on which somebody planned again
	for _, w := range pl.carriedOnes() {
		if w.send == pl.today && (pl.covered(w) || pl.s.Consolidate == strategy.ByPersonDay && pl.joined(w)) {
			continue
		}
		made = true
		day := civil.In(w.had.PlannedAt, pl.Location)
		if chosen[day] || pl.madeUp(w.had, day) {
			w.close(Expired, "its day passed unplanned, and one late message to a person is enough")
		}
		chosen[day] = true
	}
	return made
}

// carriedOnes returns the late contacts that stand and are not closed: what is planned before what was blocked, then the latest day,
// then the highest priority. What blocked several at once, such as a debit under way, frees them at once.
func (pl *planner) carriedOnes() []*want {
	var out []*want
	for i := range pl.wants {
		if w := &pl.wants[i]; w.carried && w.late && w.fallback == nil && w.open() {
			out = append(out, w)
		}
	}
	slices.SortStableFunc(out, func(a, b *want) int {
		if p := a.had.State == duly.Planned; p != (b.had.State == duly.Planned) {
			if p {
				return -1
			}
			return 1
		}
		if c := b.day.Compare(a.day); c != 0 {
			return c
		}
		return b.step.Priority - a.step.Priority
	})
	return out
}

// madeUp reports whether a message of another step went out, or may have, that was chosen on the day to make up for what was missed.
func (pl *planner) madeUp(had *duly.Contact, day civil.Date) bool {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Late && c.Strategy == pl.s.Name && c.State.CountsAsSent() && (c.Step != had.Step || c.Day != had.Day) && civil.In(c.PlannedAt, pl.Location) == day {
			return true
		}
	}
	return false
}

// lateToday reports whether an earlier planning of today chose a late contact.
func (pl *planner) lateToday() bool {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Late && c.Strategy == pl.s.Name && civil.In(c.PlannedAt, pl.Location) == pl.today && (c.State != duly.Cancelled || c.Reason == duly.CancelPaid) {
			return true
		}
	}
	return false
}

// covered takes out of a late want what today's steps are about, and closes it if nothing is left.
func (pl *planner) covered(w *want) bool {
	if w.send != pl.today {
		return false
	}
	all := w.items
	w.items = keep(w.items, func(it *duly.Item) bool {
		for i := range pl.wants {
			if r := &pl.wants[i]; r.regular() && r.open() && has(r.items, *it) {
				return false
			}
		}
		return true
	})
	if len(w.items) > 0 {
		return false
	}
	w.items = all
	w.close(Merged, "today's message is about the same instalment")
	return true
}

// joined puts a late want into today's message of the same purpose, if there is one and the want is of that kind.
func (pl *planner) joined(w *want) bool {
	if w.step.CatchUp != strategy.Merge && pl.s.Consolidate != strategy.ByPersonDay || w.send != pl.today {
		return false
	}
	r := pl.host(w.purpose())
	if r == nil {
		return false
	}
	r.take(w.items)
	w.close(Merged, "it comes with today's step "+r.step.ID)
	return true
}

// host returns today's open step of the highest priority that has the purpose, or nil.
func (pl *planner) host(p duly.Purpose) *want {
	var best *want
	for i := range pl.wants {
		if w := &pl.wants[i]; w.regular() && w.open() && w.purpose() == p && (best == nil || w.step.Priority > best.step.Priority) {
			best = w
		}
	}
	return best
}

func (pl *planner) anyRegular() bool {
	for i := range pl.wants {
		if w := &pl.wants[i]; w.regular() && w.open() {
			return true
		}
	}
	return false
}

// rejoin puts back into today's message what an earlier planning of today made come with it: the missed steps are known
// by their rows only.
func (pl *planner) rejoin() {
	for i := range pl.p.Contacts {
		c := &pl.p.Contacts[i]
		if c.Strategy != pl.s.Name || !c.Late || c.State != duly.Cancelled || c.Reason != CancelMerged || civil.In(c.ChangedAt, pl.Location) != pl.today {
			continue
		}
		if r := pl.host(c.Purpose); r != nil {
			r.take(pl.stillOpen(c, pl.today))
		}
	}
}

// contest decides today's steps where one a day goes to a person: the one of the highest priority that the rules let pass,
// with what the others of the same purpose are about.
func (pl *planner) contest(steps []*want) {
	slices.SortStableFunc(steps, func(a, b *want) int { return b.step.Priority - a.step.Priority })
	for i, w := range steps {
		own := pl.try(w)
		switch {
		case own.State != duly.Planned:
			pl.accept(w, own)
		case i+1 == len(steps):
			pl.accept(w, own)
		default:
			pl.takeAlong(w, own, steps[i+1:])
			return
		}
	}
}

// takeAlong lets the winner go with the items of the others, where the rules let those pass too.
func (pl *planner) takeAlong(w *want, own duly.Contact, others []*want) {
	items, p := w.items, w.purpose()
	w.items = slices.Clone(items)
	for _, o := range others {
		if o.purpose() != p {
			o.close(Replaced, "step "+w.step.ID+" goes to the person today, and its purpose is another")
			continue
		}
		w.take(o.items)
		o.close(Merged, "it comes with today's step "+w.step.ID)
	}
	if len(w.items) == len(items) {
		pl.accept(w, own)
		return
	}
	sortItems(w.items)
	all := pl.try(w)
	if all.State != duly.Planned {
		w.items, all = items, own
	}
	pl.accept(w, all)
}
