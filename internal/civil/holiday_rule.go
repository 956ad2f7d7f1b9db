package civil

import (
	"slices"
	"time"
)

// The years for which holidays are worked out from the law that fixes them. They end where nobody can say yet that the law
// will still be the same: past them a calendar lacks the year, as one without a file does.
const (
	ruledFrom = 2024
	ruledTo   = 2030
)

// holidayRule is one holiday as a law fixes it: a day of a month, a weekday of a month, or a distance from Easter.
type holidayRule struct {
	name    string
	month   time.Month
	day     int
	weekday time.Weekday
	nth     int // of the weekday in the month; -1 is the last; 0: the rule is by day
	easter  int // days after Easter Sunday, where month is 0
	every   int // only in years that are this many apart from the first ruled year; 0: every year
	move    move
}

// move is what becomes of a holiday that falls on certain days.
type move int

const (
	stays      move = iota
	nextMonday      // kept on the Monday that follows, unless it is one
	nearest         // on a Saturday the Friday before is off too, on a Sunday the Monday after
	substitute      // on a weekend the next weekday that is no holiday is off too
)

// holidayRules are the calendars that follow from law, checked on 2026-11-23. Where holidays are decreed each year or
// follow the moon (Indonesia, Thailand, South Korea) there is nothing to work out: the operator gives a file.
var holidayRules = map[string][]holidayRule{
	// Federal: Lei 662/1949 as amended by Lei 10.607/2002, Lei 6.802/1980, Lei 14.759/2023; Good Friday by Lei 9.093/1995.
	// Holidays of states and towns are not in it, nor is carnival, which is none.
	"BR": {
		{name: "Confraternização Universal", month: time.January, day: 1},
		{name: "Paixão de Cristo", easter: -2},
		{name: "Tiradentes", month: time.April, day: 21},
		{name: "Dia do Trabalho", month: time.May, day: 1},
		{name: "Independência", month: time.September, day: 7},
		{name: "Nossa Senhora Aparecida", month: time.October, day: 12},
		{name: "Finados", month: time.November, day: 2},
		{name: "Proclamação da República", month: time.November, day: 15},
		{name: "Consciência Negra", month: time.November, day: 20},
		{name: "Natal", month: time.December, day: 25},
	},
	// Código Sustantivo del Trabajo art. 177 as amended by Ley 51 de 1983 (Ley Emiliani).
	"CO": {
		{name: "Año Nuevo", month: time.January, day: 1},
		{name: "Reyes Magos", month: time.January, day: 6, move: nextMonday},
		{name: "San José", month: time.March, day: 19, move: nextMonday},
		{name: "Jueves Santo", easter: -3},
		{name: "Viernes Santo", easter: -2},
		{name: "Día del Trabajo", month: time.May, day: 1},
		{name: "Ascensión del Señor", easter: 39, move: nextMonday},
		{name: "Corpus Christi", easter: 60, move: nextMonday},
		{name: "Sagrado Corazón", easter: 68, move: nextMonday},
		{name: "San Pedro y San Pablo", month: time.June, day: 29, move: nextMonday},
		{name: "Independencia", month: time.July, day: 20},
		{name: "Batalla de Boyacá", month: time.August, day: 7},
		{name: "Asunción de la Virgen", month: time.August, day: 15, move: nextMonday},
		{name: "Día de la Raza", month: time.October, day: 12, move: nextMonday},
		{name: "Todos los Santos", month: time.November, day: 1, move: nextMonday},
		{name: "Independencia de Cartagena", month: time.November, day: 11, move: nextMonday},
		{name: "Inmaculada Concepción", month: time.December, day: 8},
		{name: "Navidad", month: time.December, day: 25},
	},
	// England and Wales: Banking and Financial Dealings Act 1971, sch. 1, with New Year's Day and the first Monday in May by
	// proclamation, and Good Friday and Christmas Day at common law. A day that is proclaimed once is not in it.
	"GB": {
		{name: "New Year's Day", month: time.January, day: 1, move: substitute},
		{name: "Good Friday", easter: -2},
		{name: "Easter Monday", easter: 1},
		{name: "Early May bank holiday", month: time.May, weekday: time.Monday, nth: 1},
		{name: "Spring bank holiday", month: time.May, weekday: time.Monday, nth: -1},
		{name: "Summer bank holiday", month: time.August, weekday: time.Monday, nth: -1},
		{name: "Christmas Day", month: time.December, day: 25, move: substitute},
		{name: "Boxing Day", month: time.December, day: 26, move: substitute},
	},
	// Ley Federal del Trabajo art. 74. Days of elections are not in it.
	"MX": {
		{name: "Año Nuevo", month: time.January, day: 1},
		{name: "Día de la Constitución", month: time.February, weekday: time.Monday, nth: 1},
		{name: "Natalicio de Benito Juárez", month: time.March, weekday: time.Monday, nth: 3},
		{name: "Día del Trabajo", month: time.May, day: 1},
		{name: "Independencia", month: time.September, day: 16},
		{name: "Transmisión del Poder Ejecutivo", month: time.October, day: 1, every: 6},
		{name: "Revolución", month: time.November, weekday: time.Monday, nth: 3},
		{name: "Navidad", month: time.December, day: 25},
	},
	// Federal: 5 USC 6103(a), with the days off instead by 6103(b) and Executive Order 11582.
	"US": {
		{name: "New Year's Day", month: time.January, day: 1, move: nearest},
		{name: "Birthday of Martin Luther King, Jr.", month: time.January, weekday: time.Monday, nth: 3},
		{name: "Washington's Birthday", month: time.February, weekday: time.Monday, nth: 3},
		{name: "Memorial Day", month: time.May, weekday: time.Monday, nth: -1},
		{name: "Juneteenth", month: time.June, day: 19, move: nearest},
		{name: "Independence Day", month: time.July, day: 4, move: nearest},
		{name: "Labor Day", month: time.September, weekday: time.Monday, nth: 1},
		{name: "Columbus Day", month: time.October, weekday: time.Monday, nth: 2},
		{name: "Veterans Day", month: time.November, day: 11, move: nearest},
		{name: "Thanksgiving Day", month: time.November, weekday: time.Thursday, nth: 4},
		{name: "Christmas Day", month: time.December, day: 25, move: nearest},
	},
}

// ruledCalendar works out a calendar from its rules.
func ruledCalendar(name string, rules []holidayRule) *Calendar {
	c := newCalendar(name)
	for y := ruledFrom; y <= ruledTo; y++ {
		c.notices[y] = map[Date]Day{}
	}
	// The year after the last has a holiday that may be kept in December.
	for y := ruledFrom; y <= ruledTo+1; y++ {
		for d, name := range holidays(rules, y) {
			if n, ok := c.notices[d.Year()]; ok {
				n[d] = Day{Holiday: name}
			}
		}
	}
	c.index()
	return c
}

// holidays returns the days off of the holidays of a year, with those that are off instead.
func holidays(rules []holidayRule, year int) map[Date]string {
	out := map[Date]string{}
	var weekend []Date // that have a substitute, in order
	for i := range rules {
		r := &rules[i]
		if r.every > 0 && (year-ruledFrom)%r.every != 0 {
			continue
		}
		d := r.on(year)
		w := d.Weekday()
		if r.move == nextMonday {
			d = d.Add((int(time.Monday) - int(w) + 7) % 7)
		}
		out[d] = r.name
		switch {
		case r.move == nearest && w == time.Saturday:
			out[d.Add(-1)] = r.name
		case r.move == nearest && w == time.Sunday:
			out[d.Add(1)] = r.name
		case r.move == substitute && (w == time.Saturday || w == time.Sunday):
			weekend = append(weekend, d)
		}
	}
	slices.SortFunc(weekend, Date.Compare)
	for _, d := range weekend {
		name := out[d]
		for out[d] != "" || d.Weekday() == time.Saturday || d.Weekday() == time.Sunday {
			d = d.Add(1)
		}
		out[d] = name
	}
	return out
}

// on returns the day of the year on which the holiday falls.
func (r *holidayRule) on(year int) Date {
	switch {
	case r.month == 0:
		return easter(year).Add(r.easter)
	case r.nth == 0:
		return On(year, r.month, r.day)
	case r.nth < 0:
		last := On(year, r.month+1, 0)
		return last.Add(-((int(last.Weekday()) - int(r.weekday) + 7) % 7))
	}
	first := On(year, r.month, 1)
	return first.Add((int(r.weekday)-int(first.Weekday())+7)%7 + 7*(r.nth-1))
}

// easter returns Easter Sunday of the Gregorian calendar (Meeus, Astronomical Algorithms, ch. 8).
func easter(year int) Date {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (b - (b+8)/25 + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	l := (32 + 2*e + 2*(c/4) - h - c%4) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return On(year, time.Month(n/31), n%31+1)
}
