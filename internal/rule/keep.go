package rule

import (
	"slices"
	"strings"

	"github.com/dulyhq/duly/internal/civil"
)

// Keeping is a duty to keep records, and for how long.
type Keeping struct {
	Rule   string `json:"rule"` // as pack/id
	Term   Term   `json:"term"`
	If     string `json:"if,omitempty"` // it applies only if this holds, which nobody said
	Source string `json:"source,omitempty"`
	Last   bool   `json:"from_last_contact,omitempty"` // it counts from the last contact about the debt, not from each
}

// Events that records of contacts are kept from.
const (
	eventRecord Event = "contact_record"
	eventLast   Event = "last_collection_activity"
)

// Keepings returns the duties to keep records of contacts, whatever country they are of and since when they bind: a book has
// borrowers of several, and records of many years. What depends on an input that nobody said is among them; what must not be
// relied on is not, for it would demand what nobody has read.
func Keepings(packs []*Pack, inputs map[string]string) []Keeping {
	var out []Keeping
	for _, p := range packs {
		for i := range p.Duties {
			d := &p.Duties[i]
			if d.Demand != DemandKeep || d.Shadow() || !slices.Contains(d.On, eventRecord) && !slices.Contains(d.On, eventLast) {
				continue
			}
			if open, applies := d.open(inputs); applies {
				out = append(out, Keeping{p.ID + "/" + d.ID, d.Term, strings.Join(open, " and "), d.Source.Instrument, slices.Contains(d.On, eventLast)})
			}
		}
	}
	return out
}

// open returns the conditions that nobody said whether they hold, and whether the others do.
func (d *Duty) open(inputs map[string]string) (open []string, applies bool) {
	for _, c := range d.If {
		switch met, known := c.met(inputs); {
		case known && !met:
			return nil, false
		case !known:
			open = append(open, c.String())
		}
	}
	return open, true
}

// daysInCycle is after how many days the lengths of months and years come again, within a century.
const daysInCycle = 1461

// Shorter reports whether a term of days, months or years can end before another that begins on the same day; one of hours or
// business days counts as shorter than any.
func (t Term) Shorter(than Term) bool {
	switch {
	case t.BusinessDays > 0 || t.Time > 0:
		return true
	case t.Months > 0 && than.Months > 0:
		return t.Months < than.Months
	case t.Months == 0 && than.Months == 0:
		return t.Days < than.Days
	}
	start := civil.On(2001, 1, 1)
	for i := range daysInCycle {
		if t.from(start.Add(i)).Before(than.from(start.Add(i))) {
			return true
		}
	}
	return false
}

// from is the day on which a term of days or months ends.
func (t Term) from(d civil.Date) civil.Date { return d.AddMonths(t.Months).Add(t.Days) }

// Before returns the last day that lies a whole term back: what began on it or before has been there for the term.
func (t Term) Before(d civil.Date) civil.Date {
	out := d.AddMonths(-t.Months).Add(-t.Days)
	for t.from(out).After(d) { // a month that lacks the day ends on its last one
		out = out.Add(-1)
	}
	for !t.from(out.Add(1)).After(d) {
		out = out.Add(1)
	}
	return out
}
