package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/strategy"
)

// Verdict is what became of one step for one person.
type Verdict string

// The verdicts.
const (
	Planned   Verdict = "planned"
	Deferred  Verdict = "deferred"        // planned, but later than the step would have it
	Blocked   Verdict = "blocked"         // a rule holds it, of a pack or of the plan
	Sent      Verdict = "sent"            // it was tried: the note says how far it got
	Merged    Verdict = "merged"          // another message of the day is about it too
	Replaced  Verdict = "replaced"        // another message of the day goes in its place
	Expired   Verdict = "expired"         // its day passed unplanned and it is not made up for
	Paid      Verdict = "paid"            // nothing is owed any more
	Cancelled Verdict = "cancelled"       // it was planned and then taken back
	Unmet     Verdict = "condition_false" // the step's condition does not hold
	NotYet    Verdict = "not_yet"         // its day is to come
	Past      Verdict = "past"            // its day is over and nothing is on record
	DayOff    Verdict = "day_off"         // it fell on a day off, and is left out then
	Unknown   Verdict = "unknown"         // a store that was lost may have sent it
)

// maxConsidered bounds how many steps are told of one person.
const maxConsidered = 500

// Considered is one step of the strategy as seen from today: when it falls, for which instalments, and what becomes of it.
type Considered struct {
	Step      string           `json:"step"`
	Day       civil.Date       `json:"day"`
	Items     []duly.Item      `json:"items"`
	Verdict   Verdict          `json:"verdict"`
	Reasons   []duly.Reason    `json:"reasons,omitempty"`
	When      string           `json:"when,omitempty"`   // the step's condition
	Values    []strategy.Value `json:"values,omitempty"` // what the condition saw, where it was asked
	Note      string           `json:"note,omitempty"`   // one plain sentence more
	ContactID duly.ContactID   `json:"contact_id,omitempty"`
	Late      bool             `json:"late,omitempty"`
}

// ValuesText writes what the condition saw on one line.
func (c *Considered) ValuesText() string {
	parts := make([]string, len(c.Values))
	for i, v := range c.Values {
		parts[i] = v.Name + "=" + v.Value
	}
	return strings.Join(parts, ", ")
}

// explain tells of every step near today, and puts the whole in one sentence.
func (pl *planner) explain(r *Result) {
	for i := range pl.wants {
		r.Considered = append(r.Considered, pl.told(&pl.wants[i]))
	}
	before, after := pl.s.Reach()
	near := false
	for i := range pl.p.Installments {
		in := &pl.p.Installments[i]
		if dpd := in.DaysPastDue(pl.today); -dpd <= before && dpd <= after {
			near = near || in.Open()
			pl.tellAll(r, in)
		}
	}
	next := pl.next()
	if !near && next != nil {
		pl.tellAll(r, next)
	}
	slices.SortStableFunc(r.Considered, func(a, b Considered) int { return a.Day.Compare(b.Day) })
	r.Summary = pl.summary(r, next)
}

func (pl *planner) told(w *want) Considered {
	c := Considered{Step: w.step.ID, Day: w.day, Items: w.items, Verdict: w.verdict, Reasons: w.reasons, Values: w.values, Note: w.note, Late: w.late}
	if w.step.When != nil {
		c.When = w.step.When.Text
	}
	switch {
	case w.contact != nil:
		c.ContactID = w.contact.ID
	case w.had != nil:
		c.ContactID = w.had.ID
	}
	if c.Note == "" && w.contact != nil && w.contact.State == duly.Planned {
		c.Note = fmt.Sprintf("by %s from %s", w.contact.Channel, w.contact.NotBefore.In(pl.Location).Format("2006-01-02 15:04"))
	}
	return c
}

// tellAll tells of the steps of one instalment that no want tells of.
func (pl *planner) tellAll(r *Result, in *duly.Installment) {
	for j := range pl.s.Steps {
		st := &pl.s.Steps[j]
		day, on := pl.dayOf(st, in.DueOn.Add(st.Offset))
		if at := slices.IndexFunc(r.Considered, func(c Considered) bool { return c.Step == st.ID && c.Day == day }); at >= 0 {
			c := &r.Considered[at]
			if !has(c.Items, itemOf(in)) && c.Verdict != Paid && pl.quiet(c) {
				c.Items = append(c.Items, itemOf(in))
			}
			if c.Verdict == Paid && in.Open() {
				*c = pl.untold(st, day, on, in)
			}
			continue
		}
		if len(r.Considered) < maxConsidered {
			r.Considered = append(r.Considered, pl.untold(st, day, on, in))
		}
	}
}

// quiet reports whether nothing is decided or on record of what was considered, so that it is about every instalment that
// has the step on that day.
func (pl *planner) quiet(c *Considered) bool { return c.Verdict == NotYet || c.Verdict == Past }

// untold is a step that is not of today, for one instalment.
func (pl *planner) untold(st *strategy.Step, day civil.Date, on stepDay, in *duly.Installment) Considered {
	c := Considered{Step: st.ID, Day: day, Items: []duly.Item{itemOf(in)}}
	if st.When != nil {
		c.When = st.When.Text
	}
	row := pl.row(st, day)
	switch {
	case row != nil && (started(row) || day.Before(pl.today)):
		c.Verdict, c.Note, c.Reasons, c.ContactID, c.Late = verdictOf(row), noteOf(row), row.Decision.Reasons, row.ID, row.Late
		c.Items = row.Items
	case !in.Open():
		c.Verdict, c.Note = Paid, "the instalment is settled"
	case on == stepOff:
		c.Verdict = DayOff
	case on == stepUnknown:
		c.Verdict, c.Reasons = Blocked, []duly.Reason{pl.reasonCalendar(st)}
		c.Note = "the calendar does not know the day yet"
	case day.After(pl.today):
		c.Verdict = NotYet
	default:
		c.Verdict = Past
	}
	return c
}

// verdictOf is the verdict that a row amounts to.
func verdictOf(c *duly.Contact) Verdict {
	switch c.State {
	case duly.Planned:
		if c.Decision.Verdict == duly.Defer {
			return Deferred
		}
		return Planned
	case duly.Blocked:
		return Blocked
	case duly.Claimed, duly.Accepted, duly.Delivered, duly.Read, duly.Failed, duly.InDoubt:
		return Sent
	case duly.Cancelled:
		switch c.Reason {
		case duly.CancelPaid:
			return Paid
		case CancelMerged:
			return Merged
		case duly.CancelReplaced:
			return Replaced
		case duly.CancelExpired:
			return Expired
		}
	}
	return Cancelled
}

// noteOf says what a row says.
func noteOf(c *duly.Contact) string {
	s := fmt.Sprintf("on record as %s", c.State)
	if c.Reason != "" {
		s += ": " + c.Reason
	}
	return s
}

// next returns the open instalment that is due next, today included, or nil.
func (pl *planner) next() *duly.Installment {
	var next *duly.Installment
	for i := range pl.p.Installments {
		in := &pl.p.Installments[i]
		if in.Open() && !in.DueOn.Before(pl.today) && (next == nil || in.DueOn.Before(next.DueOn)) {
			next = in
		}
	}
	return next
}

// summary puts what was considered in a sentence or two.
func (pl *planner) summary(r *Result, next *duly.Installment) string {
	count := map[Verdict]int{}
	var codes []string
	for i := range pl.wants {
		w := &pl.wants[i]
		count[w.verdict]++
		if w.verdict == Blocked && len(w.reasons) > 0 && !slices.Contains(codes, w.reasons[0].Code) {
			codes = append(codes, w.reasons[0].Code)
		}
	}
	var said []string
	if n := count[Planned] + count[Deferred]; n > 0 {
		said = append(said, plural(n, "contact")+" planned")
	}
	if n := count[Sent]; n > 0 {
		said = append(said, plural(n, "contact")+" sent")
	}
	if n := count[Blocked]; n > 0 {
		said = append(said, plural(n, "contact")+" blocked ("+strings.Join(codes, ", ")+")")
	}
	for _, v := range []Verdict{Merged, Replaced, Expired, Paid, Cancelled, Unmet} {
		if n := count[v]; n > 0 {
			said = append(said, plural(n, "step")+" "+strings.ReplaceAll(string(v), "_", " "))
		}
	}
	if len(said) > 0 {
		return "Today: " + strings.Join(said, ", ") + "."
	}
	return "No step falls on today. " + pl.outlook(next)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// outlook says what comes next for a person for whom nothing is due today.
func (pl *planner) outlook(next *duly.Installment) string {
	open := slices.ContainsFunc(pl.p.Installments, func(in duly.Installment) bool { return in.Open() })
	if !open {
		return "No instalment is open."
	}
	var first *strategy.Step
	var on civil.Date
	for i := range pl.p.Installments {
		in := &pl.p.Installments[i]
		for j := range pl.s.Steps {
			st := &pl.s.Steps[j]
			day, known := pl.dayOf(st, in.DueOn.Add(st.Offset))
			if in.Open() && known == stepOn && day.After(pl.today) && (first == nil || day.Before(on)) {
				first, on = st, day
			}
		}
	}
	s := "No instalment falls due any more; what is open is overdue."
	if next != nil {
		s = fmt.Sprintf("The next instalment is due on %s.", next.DueOn)
	}
	if first == nil {
		return s + " No step of the strategy is to come for what is open."
	}
	return s + fmt.Sprintf(" The next step is %s, on %s.", first.ID, on)
}
