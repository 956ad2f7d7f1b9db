package civil

import "time"

// CalendarFederalUS names the calendar of the public holidays of the United States' federal government.
const CalendarFederalUS = "US-FEDERAL"

// The years for which the calendar is worked out. Before and after them it is not known: the law has changed and will.
const (
	federalFirst = 1990
	federalLast  = 2099
)

// juneteenthFrom is the first year of Juneteenth National Independence Day, Public Law 117-17 of 17 June 2021.
const juneteenthFrom = 2021

// FederalUS returns the calendar of 5 USC 6103: the legal public holidays, which is what federal agencies mean by days that
// are not business days. A holiday on a Saturday is kept on the Friday before it, one on a Sunday on the Monday after it.
// Inauguration Day, which only the capital's region keeps, is not in it, nor are days that a President gives off once.
func FederalUS() *Calendar {
	c := newCalendar(CalendarFederalUS)
	for y := federalFirst; y <= federalLast; y++ {
		c.notices[y] = map[Date]Day{}
	}
	for y := federalFirst; y <= federalLast+1; y++ {
		for _, h := range federalDays(y) {
			if n, ok := c.notices[h.on.Year()]; ok { // New Year's Day of a Saturday is kept in the year before
				n[h.on] = Day{Holiday: h.name}
			}
		}
	}
	c.index()
	return c
}

// federalDay is a holiday, on the day on which it is kept.
type federalDay struct {
	on   Date
	name string
}

func federalDays(y int) []federalDay {
	days := []federalDay{
		{observed(On(y, time.January, 1)), "New Year's Day"},
		{nth(y, time.January, 3, time.Monday), "Birthday of Martin Luther King, Jr."},
		{nth(y, time.February, 3, time.Monday), "Washington's Birthday"},
		{nth(y, time.June, 1, time.Monday).Add(-7), "Memorial Day"}, // the last Monday of May
		{observed(On(y, time.July, 4)), "Independence Day"},
		{nth(y, time.September, 1, time.Monday), "Labor Day"},
		{nth(y, time.October, 2, time.Monday), "Columbus Day"},
		{observed(On(y, time.November, 11)), "Veterans Day"},
		{nth(y, time.November, 4, time.Thursday), "Thanksgiving Day"},
		{observed(On(y, time.December, 25)), "Christmas Day"},
	}
	if y >= juneteenthFrom {
		days = append(days, federalDay{observed(On(y, time.June, 19)), "Juneteenth National Independence Day"})
	}
	return days
}

// observed returns the day on which a holiday of a fixed day is kept.
func observed(d Date) Date {
	switch d.Weekday() {
	case time.Saturday:
		return d.Add(-1)
	case time.Sunday:
		return d.Add(1)
	default:
		return d
	}
}

// nth returns the n-th such weekday of a month, from 1.
func nth(y int, m time.Month, n int, w time.Weekday) Date {
	first := On(y, m, 1)
	ahead := (int(w) - int(first.Weekday()) + 7) % 7
	return first.Add(ahead + 7*(n-1))
}
