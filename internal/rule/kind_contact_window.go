package rule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/dulyhq/duly/internal/civil"
)

// contactWindow lets contacts pass in certain hours of the borrower's day. Where the borrower may be in several zones,
// it is open only while it is open in all of them.
//
//	params:
//	  days: {mon-fri: ["08:00", "20:00"], sat: ["08:00", "14:00"], holiday: ["09:00", "14:00"]}
//	  calendar: CO        # needed for holidays
//	  holidays: closed    # instead of hours for holiday
//	params: {source: borrower_preference}   # the hours that the borrower asked for; see preference.go
type contactWindow struct{ week week }

func (w *contactWindow) check(v *View, at time.Time) finding {
	if len(v.zones) == 0 {
		return finding{lack: lackZone, seen: "the rule needs the borrower's time zone"}
	}
	length := v.Length
	if !v.Contact.Channel.Call() && v.Contact.Channel != actVisit {
		length = 0
	}
	for _, loc := range v.zones {
		open, known := w.week.open(at, loc, length, v.Calendars)
		if !known {
			return w.unknown(at, loc)
		}
		if !open {
			return w.closed(v, at, loc, length)
		}
	}
	return pass()
}

// closed tells that the window is closed in loc at the instant, and finds when it is open in every zone.
func (w *contactWindow) closed(v *View, at time.Time, loc *time.Location, length time.Duration) finding {
	local := at.In(loc)
	hours, _ := w.week.on(civil.Of(local), v.Calendars)
	f := finding{seen: local.Format("15:04 ") + loc.String() + "; open " + hoursText(hours)}
	t := at
	for agreed := 0; agreed < len(v.zones); {
		for _, loc := range v.zones {
			next, known := w.week.next(t, loc, length, v.Calendars)
			switch {
			case !known:
				return w.unknown(t, loc)
			case next.IsZero(), next.Sub(at) > daysAhead*24*time.Hour:
				return f
			case next.Equal(t):
				agreed++
			default:
				t, agreed = next, 0
			}
			if agreed == len(v.zones) {
				break
			}
		}
	}
	f.until = t
	return f
}

func (w *contactWindow) unknown(at time.Time, loc *time.Location) finding {
	return finding{lack: lackCalendar, seen: fmt.Sprintf("calendar %s is not known from %s", w.week.calendar, civil.In(at, loc))}
}

// hoursText writes the hours of a day as 08:00–12:00, 14:00–22:00.
func hoursText(hours []span) string {
	if len(hours) == 0 {
		return "never that day"
	}
	text := hours[0].String()
	for _, s := range hours[1:] {
		text += ", " + s.String()
	}
	return text
}

// String writes the hours as 08:00–22:00.
func (s span) String() string { return s.from.String() + "–" + s.to.String() }

// dayNames are the names of days in rules, Sunday first.
var dayNames = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func parseWindow(o *object) checker {
	if o.has("source") {
		return parsePreferred(o)
	}
	w := &contactWindow{week{calendar: o.str("calendar")}}
	days := o.sub("days")
	if o.has("days") && len(days.at) == 0 {
		o.fail("days", "must not be empty")
	}
	var given [7]bool
	for _, key := range days.keys {
		if key != "*" && key != "holiday" {
			w.parseDays(&days, key, &given)
		}
	}
	if days.has("*") {
		s := days.span("*")
		for i := range given {
			if !given[i] {
				w.week.days[i] = s
			}
		}
	}
	w.parseHolidays(o, &days)
	return w
}

// parseDays reads the hours of a day or a range of days.
func (w *contactWindow) parseDays(days *object, key string, given *[7]bool) {
	named, ok := ParseDays(key)
	if !ok {
		days.fail(key, "unknown day")
		days.r.hint("write mon, mon-fri, sat-sun, holiday or *")
		return
	}
	s := days.span(key)
	for i := range named {
		if !named[i] {
			continue
		}
		if given[i] {
			days.fail(key, "%s is given twice", dayNames[i])
		}
		given[i], w.week.days[i] = true, s
	}
}

// ParseDays reads days of the week, Sunday first: mon, mon-fri, fri-mon, or * for all of them.
func ParseDays(s string) (days [7]bool, ok bool) {
	if s == "*" {
		return [7]bool{true, true, true, true, true, true, true}, true
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, to := slices.Index(dayNames[:], first), slices.Index(dayNames[:], last)
	if from < 0 || to < 0 {
		return days, false
	}
	for i := from; ; i = (i + 1) % 7 {
		days[i] = true
		if i == to {
			return days, true
		}
	}
}

func (w *contactWindow) parseHolidays(o, days *object) {
	word := o.str("holidays")
	if word != "" && word != "closed" {
		o.fail("holidays", "must be closed")
		o.r.hint("hours of holidays go under days, as holiday")
	}
	ruled := word != "" || days.has("holiday")
	switch {
	case word != "" && days.has("holiday"):
		o.fail("holidays", "holidays are ruled twice")
	case ruled && w.week.calendar == "":
		o.r.fail(o.node, o.path("calendar"), "is missing")
		o.r.hint("say whose holidays count")
	case !ruled && w.week.calendar != "":
		o.fail("calendar", "is not used: no hours for holidays are given")
	}
	if days.has("holiday") {
		w.week.holiday = days.span("holiday")
	}
}

// span reads hours written as ["08:00", "22:00"].
func (o *object) span(key string) []span {
	seq, ok := o.at[key].(*ast.SequenceNode)
	if !ok || len(seq.Values) != 2 {
		o.fail(key, `must be two times of day, such as ["08:00", "21:00"]`)
		return nil
	}
	var c [2]civil.Clock
	for i, n := range seq.Values {
		s, _ := text(n)
		v, err := civil.ParseClock(s)
		if err != nil {
			o.r.fail(n, fmt.Sprintf("%s[%d]", o.path(key), i), "%v", err)
			return nil
		}
		c[i] = v
	}
	if c[1] <= c[0] {
		o.fail(key, "the hours end before they begin")
		o.r.hint("a window lies within one day, 00:00 to 24:00")
		return nil
	}
	return []span{{c[0], c[1]}}
}
