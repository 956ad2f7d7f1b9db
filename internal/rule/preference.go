package rule

import (
	"slices"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// preferredWindow is the contact window that the borrower asked for: only within the allowed hours, if there are any, and
// outside the forbidden ones. A borrower who asked for nothing may be contacted at any time this rule looks at. Where the
// borrower may be in several zones, it is open only while it is open in all of them.
//
//	params: {source: borrower_preference}
type preferredWindow struct{}

func (preferredWindow) check(v *View, at time.Time) finding {
	if len(v.Preferences.Allow) == 0 && len(v.Preferences.Forbid) == 0 {
		return pass()
	}
	w := contactWindow{week{days: v.Preferences.days()}}
	return w.check(v, at)
}

func parsePreferred(o *object) checker {
	if s := o.str("source"); s != "borrower_preference" {
		o.fail("source", "must be borrower_preference")
		o.r.hint("leave source out for hours of the rule's own")
	}
	for _, key := range []string{"days", "calendar", "holidays"} {
		if o.has(key) {
			o.fail(key, "is not used: the hours are the borrower's")
		}
	}
	return preferredWindow{}
}

// dayEnd is the midnight that ends a day.
const dayEnd civil.Clock = 24 * 60

// days returns the hours of each day of the week, Sunday first.
func (p *Preferences) days() [7][]span {
	var out [7][]span
	for day := range out {
		open := []span{{0, dayEnd}}
		if len(p.Allow) > 0 {
			open = join(hoursOn(p.Allow, day))
		}
		for _, s := range hoursOn(p.Forbid, day) {
			open = without(open, s)
		}
		out[day] = open
	}
	return out
}

// hoursOn returns the parts of the hours that lie on a day of the week, with what lasts into it from the day before.
func hoursOn(all []Hours, day int) []span {
	var out []span
	for i := range all {
		h := &all[i]
		switch {
		case h.From < h.To:
			if h.Days[day] {
				out = append(out, span{h.From, h.To})
			}
		default:
			if h.Days[day] {
				out = append(out, span{h.From, dayEnd})
			}
			if h.Days[(day+6)%7] && h.To > 0 {
				out = append(out, span{0, h.To})
			}
		}
	}
	return out
}

// join puts spans in order, those that meet as one.
func join(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return int(a.from) - int(b.from) })
	var out []span
	for _, s := range spans {
		if last := len(out) - 1; last >= 0 && s.from <= out[last].to {
			out[last].to = max(out[last].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// without takes s out of spans.
func without(spans []span, s span) []span {
	var out []span
	for _, x := range spans {
		if x.from < min(x.to, s.from) {
			out = append(out, span{x.from, min(x.to, s.from)})
		}
		if max(x.from, s.to) < x.to {
			out = append(out, span{max(x.from, s.to), x.to})
		}
	}
	return out
}
