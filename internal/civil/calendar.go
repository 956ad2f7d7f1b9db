package civil

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrNoYear is returned for a day of which a calendar does not know whether it is worked. It is never guessed.
var ErrNoYear = errors.New("no calendar for the year")

// WarnMonths is how long before 1 January a calendar that lacks the coming year says so: from 1 October on. The State
// Council's notice comes in November.
const WarnMonths = 3

// yearEnd is how many of December's last days may be moved by the notice of the year that follows, as the notices of
// 2008 and 2019 did from 29 December on. Until that notice is known, so is what those days are.
const yearEnd = 3

// Calendar tells the days that are worked in a country from those that are not. Saturdays and Sundays are off unless
// the calendar says otherwise. It answers only for the years it was told of.
type Calendar struct {
	name    string
	notices map[int]map[Date]Day // by the year that the notice is of, which may hold days of the years beside it
	days    map[Date]Day         // the same as one table; where two notices speak of a day, the later one counts
	spills  bool                 // notices move days of the year before their own
}

// Day is what a calendar says of one day.
type Day struct {
	Working bool   // whether it is worked
	Holiday string // the holiday that makes the day what it is; "" for an ordinary working day or weekend
}

// MakeUp reports whether the day is a weekend worked in exchange for a holiday (调休).
func (d Day) MakeUp() bool { return d.Working && d.Holiday != "" }

// NewCalendar returns a calendar of whole years with their holidays; every Saturday and Sunday is off. Holidays
// outside the years are not taken.
func NewCalendar(name string, years []int, holidays []Date) *Calendar {
	c := newCalendar(name)
	for _, y := range years {
		c.notices[y] = map[Date]Day{}
	}
	for _, d := range holidays {
		if n, ok := c.notices[d.Year()]; ok {
			n[d] = Day{Holiday: name + " holiday"}
		}
	}
	c.index()
	return c
}

func newCalendar(name string) *Calendar {
	return &Calendar{name: name, notices: map[int]map[Date]Day{}}
}

// Name returns the name that rules call the calendar by, in capitals for those of a [Calendars].
func (c *Calendar) Name() string { return c.name }

// Years lists the years that the calendar knows, in order.
func (c *Calendar) Years() []int { return slices.Sorted(maps.Keys(c.notices)) }

// Day tells what d is. It fails with ErrNoYear for a day of a year it was not told of; and where the next year's notice
// may still move the last days of December, for those too until it is there.
func (c *Calendar) Day(d Date) (Day, error) {
	if day, ok := c.days[d]; ok {
		return day, nil
	}
	y, m, n := d.YMD()
	if !c.has(y) {
		return Day{}, c.noYear(y)
	}
	if c.spills && m == time.December && n > 31-yearEnd && !c.has(y+1) {
		return Day{}, c.noYear(y + 1)
	}
	w := d.Weekday()
	return Day{Working: w != time.Saturday && w != time.Sunday}, nil
}

// Next returns the first working day on or after d. It fails as Day does.
func (c *Calendar) Next(d Date) (Date, error) { return c.seek(d, 1) }

// Prev returns the last working day on or before d. It fails as Day does.
func (c *Calendar) Prev(d Date) (Date, error) { return c.seek(d, -1) }

// seek ends where the years that the calendar knows end, if not before.
func (c *Calendar) seek(d Date, step int) (Date, error) {
	for {
		day, err := c.Day(d)
		if err != nil {
			return Date{}, err
		}
		if day.Working {
			return d, nil
		}
		d = d.Add(step)
	}
}

// Missing is a year that a calendar lacks and that is needed now or soon.
type Missing struct {
	Calendar string
	Year     int
	From     Date // the first day of which the calendar does not know what it is
}

// String says what is missing and what follows from it.
func (m Missing) String() string {
	return fmt.Sprintf("calendar %s has no %d: from %s on, whatever needs it is held back", m.Calendar, m.Year, m.From)
}

// Warnings returns the years that the calendar lacks: today's at any time, the next one's from WarnMonths before it.
func (c *Calendar) Warnings(today Date) []Missing {
	var out []Missing
	y := today.Year()
	if !c.has(y) {
		out = append(out, c.missing(y))
	}
	if !c.has(y+1) && !today.Before(On(y+1, time.January, 1).AddMonths(-WarnMonths)) {
		out = append(out, c.missing(y+1))
	}
	return out
}

func (c *Calendar) missing(year int) Missing {
	from := On(year, time.January, 1)
	if c.spills {
		from = from.Add(-yearEnd)
	}
	for from.Year() < year {
		if _, err := c.Day(from); err != nil {
			break
		}
		from = from.Add(1)
	}
	return Missing{Calendar: c.name, Year: year, From: from}
}

func (c *Calendar) has(year int) bool { _, ok := c.notices[year]; return ok }

func (c *Calendar) noYear(year int) error {
	return fmt.Errorf("calendar %s, %d: %w", c.name, year, ErrNoYear)
}

// index builds the one table of days from the notices, the later over the earlier.
func (c *Calendar) index() {
	c.days = map[Date]Day{}
	for _, y := range c.Years() {
		maps.Copy(c.days, c.notices[y])
	}
}
