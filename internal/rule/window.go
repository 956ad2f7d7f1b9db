package rule

import (
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// span is hours of one day: from, inclusive, to to, exclusive.
type span struct{ from, to civil.Clock }

// hours returns the instants between which the span lies on day d in loc. This is the one place where the hours of a
// rule become instants. Where the clocks go back over an end of the span, the strict reading is taken: it opens at the
// later of the two times and closes at the earlier; where they go forward over it, the change itself is the end.
func (s span) hours(d civil.Date, loc *time.Location) (open, end time.Time) {
	return d.AtLast(s.from, loc), d.At(s.to, loc)
}

// calm reports whether the clocks of loc stay as they are for more than a day around t, so that the time of day alone
// tells where in the day t is.
func calm(t time.Time, loc *time.Location) bool {
	const around = 50 * time.Hour
	from, to := t.In(loc).ZoneBounds()
	return (from.IsZero() || t.Sub(from) > around) && (to.IsZero() || to.Sub(t) > around)
}

// daysAhead bounds how far the next opening is looked for. Past it a rule has no end that is known.
const daysAhead = 40

// week is the hours of each day of the week, Sunday first, and of holidays. The hours of a day are in order and do not
// meet.
type week struct {
	days     [7][]span
	holiday  []span
	calendar string // whose holidays count; "" has none
}

// on returns the hours of a day; ok is false if the calendar does not tell.
func (w *week) on(d civil.Date, cals *civil.Calendars) (hours []span, ok bool) {
	if w.calendar == "" {
		return w.days[d.Weekday()], true
	}
	cal, ok := cals.Get(w.calendar)
	if !ok {
		return nil, false
	}
	day, err := cal.Day(d)
	if err != nil {
		return nil, false
	}
	if day.Holiday != "" && !day.Working {
		return w.holiday, true
	}
	return w.days[d.Weekday()], true
}

// open reports whether the hours are open at t in loc for a contact of the given length.
func (w *week) open(t time.Time, loc *time.Location, length time.Duration, cals *civil.Calendars) (open, known bool) {
	local := t.In(loc)
	d := civil.Of(local)
	hours, known := w.on(d, cals)
	if !known || len(hours) == 0 {
		return false, known
	}
	quiet := calm(t, loc)
	into := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute +
		time.Duration(local.Second())*time.Second + time.Duration(local.Nanosecond())
	for _, s := range hours {
		if quiet {
			open = into >= time.Duration(s.from)*time.Minute && into+max(length, 1) <= time.Duration(s.to)*time.Minute
		} else {
			from, to := s.hours(d, loc)
			open = !t.Before(from) && !t.Add(max(length, 1)).After(to)
		}
		if open {
			return true, true
		}
	}
	return false, true
}

// next returns the first instant at or after t at which the hours are open in loc for a contact of the given length;
// zero if there is none within daysAhead. known is false if the calendar ends before.
func (w *week) next(t time.Time, loc *time.Location, length time.Duration, cals *civil.Calendars) (at time.Time, known bool) {
	if open, known := w.open(t, loc, length, cals); open || !known {
		return t, known
	}
	d := civil.In(t, loc)
	for i := range daysAhead {
		hours, known := w.on(d.Add(i), cals)
		if !known {
			return time.Time{}, false
		}
		for _, s := range hours {
			from, to := s.hours(d.Add(i), loc)
			if from.Before(t) {
				from = t
			}
			if !from.Add(max(length, 1)).After(to) {
				return from, true
			}
		}
	}
	return time.Time{}, true
}
