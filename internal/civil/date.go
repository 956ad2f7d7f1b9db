// Package civil holds calendar days, times of day and business calendars: time as a contract and a law
// write it, without a zone.
//
// A due day, a promise day or a holiday is a [Date]. It becomes an instant only where a zone is known, and
// that happens in one place, [Date.At]. Days are subtracted as days: a day has no fixed number of hours.
// A [Calendar] tells working days from others, and says so when it does not know.
//
//	due := civil.On(2026, time.January, 31)
//	due.AddMonths(1)         // 2026-02-28
//	due.At(9*60, shanghai)   // 2026-01-31 01:00 UTC
//	cn.Next(due)             // 2026-02-02: the 31st is a Saturday
package civil

import (
	"cmp"
	"fmt"
	"time"
)

// Date is one day of the proleptic Gregorian calendar. Dates compare with ==, < and >, and the zero Date means
// "no date": it is before every real one.
type Date struct{ n int32 } // days since 0000-12-31, so that 0001-01-01 is 1 and the zero value is no day

// MinYear and MaxYear bound the years that Parse, FromInt and the JSON and text forms take. A loan due before 1990 or
// after 2199 is a slip of the keyboard or an empty cell of a spreadsheet, not a date.
const (
	MinYear = 1990
	MaxYear = 2199
)

const unixDay = 719163 // the n of 1970-01-01

// On returns the Date of the given year, month and day; a day outside its month is carried over, as time.Date does.
func On(year int, month time.Month, day int) Date {
	return Date{int32(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()/86400 + unixDay)}
}

// Of returns the day that t is, as t's own location writes it.
func Of(t time.Time) Date { return On(t.Date()) }

// In returns the day that the instant t is in loc.
func In(t time.Time, loc *time.Location) Date { return Of(t.In(loc)) }

// Parse reads a day written YYYY-MM-DD. The year must lie in MinYear to MaxYear and the day must exist.
func Parse(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("not a day written YYYY-MM-DD")
	}
	return checked(Of(t))
}

// FromInt reads a day held as the number YYYYMMDD, which is how the store keeps it; 0 is no date. The year must lie in
// MinYear to MaxYear and the day must exist.
func FromInt(n int64) (Date, error) {
	if n == 0 {
		return Date{}, nil
	}
	if y := n / 10000; y < MinYear || y > MaxYear {
		return Date{}, fmt.Errorf("not a day written YYYYMMDD of the years %d to %d: %d", MinYear, MaxYear, n)
	}
	date := On(int(n/10000), time.Month(n/100%100), int(n%100))
	if date.Int() != n {
		return Date{}, fmt.Errorf("not a day written YYYYMMDD: %d", n)
	}
	return date, nil
}

// Int returns the day as the number YYYYMMDD, or 0 for no date. It sorts as the day does.
func (d Date) Int() int64 {
	if d.IsZero() {
		return 0
	}
	y, m, day := d.YMD()
	return int64(y)*10000 + int64(m)*100 + int64(day)
}

// IsZero reports whether d is no date.
func (d Date) IsZero() bool { return d.n == 0 }

// YMD returns the year, month and day.
func (d Date) YMD() (int, time.Month, int) { return d.utc().Date() }

// Year returns the calendar year.
func (d Date) Year() int { y, _, _ := d.YMD(); return y }

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return time.Weekday(((int(d.n) % 7) + 7) % 7) }

// Add returns the day n days after d (before it, for a negative n).
func (d Date) Add(n int) Date { return Date{d.n + int32(n)} }

// AddMonths returns the same day n months on; a day that month lacks becomes its last: 31 January and one month is
// 28 or 29 February, as repayment schedules have it.
func (d Date) AddMonths(n int) Date {
	y, m, day := d.YMD()
	first := On(y, m+time.Month(n), 1)
	fy, fm, _ := first.YMD()
	last := On(fy, fm+1, 0)
	if _, _, lastDay := last.YMD(); day > lastDay {
		return last
	}
	return first.Add(day - 1)
}

// Sub returns how many days d is after e.
func (d Date) Sub(e Date) int { return int(d.n) - int(e.n) }

// Before reports whether d is before e.
func (d Date) Before(e Date) bool { return d.n < e.n }

// After reports whether d is after e.
func (d Date) After(e Date) bool { return d.n > e.n }

// Equal reports whether d and e are the same day, as == does.
func (d Date) Equal(e Date) bool { return d == e }

// Compare is -1, 0 or +1 as d is before, on or after e.
func (d Date) Compare(e Date) int {
	return cmp.Compare(d.n, e.n)
}

// String writes the day as YYYY-MM-DD, or "" for no date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.utc().Format(time.DateOnly)
}

// MarshalText writes the day as String does.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes; "" is no date.
func (d *Date) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Date{}
		return nil
	}
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

func (d Date) utc() time.Time { return time.Unix((int64(d.n)-unixDay)*86400, 0).UTC() }

func checked(d Date) (Date, error) {
	if y := d.Year(); y < MinYear || y > MaxYear {
		return Date{}, fmt.Errorf("year %d is outside %d to %d", y, MinYear, MaxYear)
	}
	return d, nil
}
