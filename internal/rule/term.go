package rule

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// CalendarWeekdays, as the calendar of a term, counts every Monday to Friday and knows no holidays.
const CalendarWeekdays = "weekdays"

// Term is how long a clock runs, in one unit: P20D, P2W, P1M, P3Y, P10BD for business days, PT24H and PT5M. Days, months
// and years are of the calendar; hours and minutes are time that passes.
type Term struct {
	Months       int // years are twelve
	Days         int // weeks are seven
	BusinessDays int
	Time         time.Duration
}

var terms = regexp.MustCompile(`^P(?:([1-9][0-9]{0,4})(BD|D|W|M|Y)|T([1-9][0-9]{0,4})(H|M))$`)

// termYearsMax bounds a term.
const termYearsMax = 100

// ParseTerm reads a term of the forms above.
func ParseTerm(s string) (Term, error) {
	m := terms.FindStringSubmatch(s)
	if m == nil {
		return Term{}, fmt.Errorf("not a term such as P20D, P10BD, P1M, P3Y, PT24H or PT5M")
	}
	n, err := strconv.Atoi(m[1] + m[3])
	if err != nil {
		return Term{}, err
	}
	var t Term
	switch m[2] + "T" + m[4] {
	case "BDT":
		t.BusinessDays = n
	case "DT":
		t.Days = n
	case "WT":
		t.Days = 7 * n
	case "MT":
		t.Months = n
	case "YT":
		t.Months = 12 * n
	case "TH":
		t.Time = time.Duration(n) * time.Hour
	case "TM":
		t.Time = time.Duration(n) * time.Minute
	}
	if t.Months > 12*termYearsMax || t.Days+t.BusinessDays > 366*termYearsMax {
		return Term{}, fmt.Errorf("longer than %d years", termYearsMax)
	}
	return t, nil
}

// String writes the term as ParseTerm reads it.
func (t Term) String() string {
	switch {
	case t.Months > 0 && t.Months%12 == 0:
		return fmt.Sprintf("P%dY", t.Months/12)
	case t.Months > 0:
		return fmt.Sprintf("P%dM", t.Months)
	case t.BusinessDays > 0:
		return fmt.Sprintf("P%dBD", t.BusinessDays)
	case t.Time > 0 && t.Time%time.Hour == 0:
		return fmt.Sprintf("PT%dH", t.Time/time.Hour)
	case t.Time > 0:
		return fmt.Sprintf("PT%dM", t.Time/time.Minute)
	}
	return fmt.Sprintf("P%dD", t.Days)
}

// MarshalText writes the term as ParseTerm reads it; none is "".
func (t Term) MarshalText() ([]byte, error) {
	if t == (Term{}) {
		return nil, nil
	}
	return []byte(t.String()), nil
}

// Day returns the day on which a term of days, months or years that starts on day d ends. The day on which it starts is
// not counted, and a month that lacks the day ends on its last one: a month from 31 January is 28 or 29 February. Business
// days are those that the calendar says are worked; where it does not know a year, nor does Day.
func (t Term) Day(d civil.Date, calendar string, cals *civil.Calendars) (civil.Date, error) {
	switch {
	case t.BusinessDays > 0:
		return t.businessDay(d, calendar, cals)
	case t.Months > 0:
		return d.AddMonths(t.Months), nil
	}
	return d.Add(t.Days), nil
}

func (t Term) businessDay(d civil.Date, calendar string, cals *civil.Calendars) (civil.Date, error) {
	working := func(d civil.Date) (bool, error) {
		w := d.Weekday()
		return w != time.Saturday && w != time.Sunday, nil
	}
	if calendar != CalendarWeekdays {
		cal, ok := cals.Get(calendar)
		if !ok {
			return civil.Date{}, fmt.Errorf("there is no calendar %s", calendar)
		}
		working = func(d civil.Date) (bool, error) {
			day, err := cal.Day(d)
			return day.Working, err
		}
	}
	for left := t.BusinessDays; left > 0; {
		d = d.Add(1)
		ok, err := working(d)
		if err != nil {
			return civil.Date{}, err
		}
		if ok {
			left--
		}
	}
	return d, nil
}
