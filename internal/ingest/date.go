package ingest

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// The formats of days and times that are no layouts.
const (
	formatExcel  = "excel"   // days since 1899-12-30, the fraction being the time of day
	formatUnix   = "unix"    // seconds since 1970-01-01 UTC
	formatUnixMs = "unix_ms" // milliseconds since then
)

// layout is a format, made ready.
type layout struct {
	special string // one of the formats above, or ""
	text    string // of package time
	zoned   bool   // the text carries the zone
	clocked bool   // the text carries the time of day
}

var (
	errDay   = errors.New("not a day of the given format")
	errTime  = errors.New("not a time of the given format")
	errYear  = errors.New("a year outside 1990 to 2199")
	errExist = errors.New("a day that the calendar does not have")
	errClock = errors.New("a day without a time of day")
)

// Days are read so when no format is given, and times so.
var (
	dayLayouts  = []layout{{text: time.DateOnly}}
	timeLayouts = []layout{
		{text: time.RFC3339, zoned: true, clocked: true},
		{text: "2006-01-02 15:04:05", clocked: true},
		{text: "2006-01-02T15:04:05", clocked: true},
		{text: "2006-01-02 15:04", clocked: true},
		{text: "2006-01-02 15:04:05Z07:00", zoned: true, clocked: true},
		{text: time.DateOnly},
	}
)

// formatTokens turns the letters of spreadsheets into the reference time of Go, the longer first.
var formatTokens = []struct{ from, to string }{
	{"YYYY", "2006"}, {"yyyy", "2006"}, {"YY", "06"}, {"yy", "06"}, {"MMMM", "January"}, {"MMM", "Jan"}, {"MM", "01"},
	{"DD", "02"}, {"dd", "02"}, {"HH", "15"}, {"hh", "03"}, {"mm", "04"}, {"ss", "05"}, {"SSS", "000"}, {"AM", "PM"},
}

// newLayout makes a format ready: excel, unix, unix_ms, letters such as MM/DD/YYYY, or a layout of package time.
func newLayout(format string) (layout, error) {
	switch format {
	case formatExcel:
		return layout{special: format}, nil
	case formatUnix, formatUnixMs:
		return layout{special: format, zoned: true, clocked: true}, nil
	}
	text := format
	if strings.Contains(format, "YY") || strings.Contains(format, "yy") {
		text = ""
		for rest := format; rest != ""; {
			n := 1
			part := rest[:1]
			for _, t := range formatTokens {
				if strings.HasPrefix(rest, t.from) {
					part, n = t.to, len(t.from)
					break
				}
			}
			text, rest = text+part, rest[n:]
		}
	}
	// What a layout carries is seen from what it makes of two times that differ in everything.
	a := time.Date(2031, 11, 23, 21, 37, 48, 0, time.FixedZone("", 5*3600+45*60))
	if strings.Contains(text, "MST") {
		return layout{}, errors.New("abbreviations of zones mean several; write the offset, or give the mapping a timezone")
	}
	out := a.Format(text)
	t, err := time.Parse(text, out)
	if err != nil || t.Year() != 2031 || t.Month() != 11 || t.Day() != 23 {
		return layout{}, errors.New("a format needs year, month and day: YYYY-MM-DD, 02.01.2006, excel, unix or unix_ms")
	}
	_, off := t.Zone()
	return layout{text: text, zoned: off == 5*3600+45*60, clocked: t.Hour() != 0}, nil
}

// day reads a day. Epoch is the day that a workbook counts from.
func (l layout) day(s string, epoch civil.Date, loc *time.Location) (civil.Date, error) {
	switch {
	case l.special == formatExcel:
		days, _, err := serial(s)
		if err != nil {
			return civil.Date{}, err
		}
		return year(epoch.Add(days))
	case l.special != "":
		t, err := unix(s, l.special)
		if err != nil {
			return civil.Date{}, err
		}
		return year(civil.In(t, loc))
	case l.text == time.DateOnly && len(s) == len(time.DateOnly):
		return isoDay(s)
	}
	t, err := time.Parse(l.text, s)
	if err != nil {
		return civil.Date{}, parseError(err, errDay)
	}
	if l.zoned {
		t = t.In(loc)
	}
	return year(civil.Of(t))
}

// isoDay reads YYYY-MM-DD.
func isoDay(s string) (civil.Date, error) {
	y, m, d, ok := number(s[:4]), number(s[5:7]), number(s[8:]), s[4] == '-' && s[7] == '-'
	switch {
	case !ok || y < 0 || m < 0 || d < 0:
		return civil.Date{}, errDay
	case y < civil.MinYear || y > civil.MaxYear:
		return civil.Date{}, errYear
	}
	day, err := civil.FromInt(int64(y)*10000 + int64(m)*100 + int64(d))
	if err != nil {
		return civil.Date{}, errExist
	}
	return day, nil
}

// number reads digits, or returns -1.
func number(s string) int {
	if !allDigits(s) {
		return -1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

func year(d civil.Date) (civil.Date, error) {
	if y := d.Year(); y < civil.MinYear || y > civil.MaxYear {
		return civil.Date{}, errYear
	}
	return d, nil
}

// parseError tells a day that does not exist from text that is no day at all.
func parseError(err, other error) error {
	if p, ok := errors.AsType[*time.ParseError](err); ok && strings.Contains(p.Message, "out of range") {
		return errExist
	}
	return other
}

// time reads an instant. Without a zone in the text it is what the clocks of loc show; without a time of day it is
// clock, if that is given.
func (l layout) time(s string, epoch civil.Date, loc *time.Location, clock *civil.Clock) (time.Time, error) {
	switch l.special {
	case formatExcel:
		days, sec, err := serial(s)
		if err != nil {
			return time.Time{}, err
		}
		if !strings.ContainsRune(s, '.') || sec == 0 {
			return atClock(epoch.Add(days), clock, loc)
		}
		return wall(epoch.Add(days), sec, 0, loc)
	case formatUnix, formatUnixMs:
		t, err := unix(s, l.special)
		if err != nil {
			return time.Time{}, err
		}
		_, err = year(civil.Of(t))
		return t, err
	}
	if !l.clocked {
		d, err := l.day(s, epoch, loc)
		if err != nil {
			return time.Time{}, err
		}
		return atClock(d, clock, loc)
	}
	t, err := time.Parse(l.text, s)
	if err != nil {
		return time.Time{}, parseError(err, errTime)
	}
	if l.zoned {
		_, err := year(civil.Of(t))
		return t.UTC().Truncate(time.Microsecond), err
	}
	h, m, sec := t.Clock()
	return wall(civil.Of(t), h*3600+m*60+sec, t.Nanosecond(), loc)
}

func atClock(d civil.Date, clock *civil.Clock, loc *time.Location) (time.Time, error) {
	if clock == nil {
		return time.Time{}, errClock
	}
	return wall(d, int(*clock)*60, 0, loc)
}

// wall returns the instant at which the clocks of loc show sec seconds after midnight of d. A time that the clocks skip
// is the first instant after the gap.
func wall(d civil.Date, sec, nanos int, loc *time.Location) (time.Time, error) {
	if _, err := year(d); err != nil {
		return time.Time{}, err
	}
	c := civil.Clock(sec / 60)
	t := d.At(c, loc)
	if civil.ClockOf(t.In(loc)) == c%1440 {
		t = t.Add(time.Duration(sec%60)*time.Second + time.Duration(nanos))
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// serialMax bounds the days that a workbook's number may count.
const serialMax = 200_000

// serial reads a workbook's number of days, as days and seconds.
func serial(s string) (days, sec int, err error) {
	whole, frac, _ := strings.Cut(s, ".")
	days = number(whole)
	if days < 0 || days > serialMax || frac != "" && !allDigits(frac) {
		return 0, 0, errDay
	}
	const digits = 9 // of the fraction: 0.1 ms
	if len(frac) > digits {
		frac = frac[:digits]
	}
	n, pow := int64(max(number(frac), 0)), int64(1)
	for range len(frac) {
		pow *= 10
	}
	sec = int((n*86400 + pow/2) / pow)
	return days + sec/86400, sec % 86400, nil
}

// unix reads seconds or milliseconds since 1970.
func unix(s, format string) (time.Time, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, ".0"), 10, 64)
	if err != nil {
		return time.Time{}, errTime
	}
	if format == formatUnixMs {
		return time.UnixMilli(n).UTC(), nil
	}
	// Beyond this the year would overflow; year refuses what is left.
	if n > 1<<40 || n < -1<<40 {
		return time.Time{}, errYear
	}
	return time.Unix(n, 0).UTC(), nil
}
