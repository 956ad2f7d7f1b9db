package rule

import "time"

// historian is a checker that looks at contacts of the past: how many days back, or at all that ever were.
type historian interface {
	history() (days int, ever bool)
}

var (
	_ historian = (*frequencyCap)(nil)
	_ historian = (*cooldown)(nil)
)

// History is how far back a rule counts contacts and touches.
type History struct {
	Rule string // as pack/id; "" where no rule counts any
	Days int
	Ever bool // all that ever were
}

// Longer returns that of two which reaches back further.
func (h History) Longer(o History) History {
	if o.Ever && !h.Ever || o.Ever == h.Ever && o.Days > h.Days {
		return o
	}
	return h
}

// History returns how far back contacts and touches must be known for every rule of the set to count right, with those in
// draft: that of the rule that counts furthest back. Where less is known, caps count too few.
func (s *Set) History() (out History) {
	for i := range s.rules {
		h, ok := s.rules[i].checker.(historian)
		if !ok {
			continue
		}
		r := History{Rule: s.rules[i].Pack + "/" + s.rules[i].ID}
		r.Days, r.Ever = h.history()
		out = out.Longer(r)
	}
	return out
}

// zoneDays is how much further back a period of local days reaches than its days: they begin in the borrower's zone, and
// the clock may have been set meanwhile.
const zoneDays = 2

func (c *frequencyCap) history() (days int, ever bool) {
	switch c.period.unit {
	case calendarDay, rollingDays:
		return c.period.days + zoneDays, false
	case isoWeek:
		return 7 + zoneDays, false
	case rolling:
		return int((c.period.length+24*time.Hour-1)/(24*time.Hour)) + zoneDays, false
	}
	return 0, true // ever, and what is not known
}

func (c *cooldown) history() (days int, ever bool) { return c.days + zoneDays, false }
