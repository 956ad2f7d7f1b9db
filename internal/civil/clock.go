package civil

import (
	"fmt"
	"sort"
	"time"
)

// Clock is a time of day, in minutes after midnight, 0 to 1440; 1440 is the midnight that ends the day.
type Clock int16

// ParseClock reads a time of day written HH:MM, 00:00 to 24:00.
func ParseClock(s string) (Clock, error) {
	var h, m int
	if len(s) != 5 || s[2] != ':' {
		return 0, fmt.Errorf("not a time of day written HH:MM")
	}
	for i, p := range []*int{&h, &m} {
		a, b := s[i*3], s[i*3+1]
		if a < '0' || a > '9' || b < '0' || b > '9' {
			return 0, fmt.Errorf("not a time of day written HH:MM")
		}
		*p = int(a-'0')*10 + int(b-'0')
	}
	if m > 59 || h > 24 || h == 24 && m != 0 {
		return 0, fmt.Errorf("not a time of day from 00:00 to 24:00")
	}
	return Clock(h*60 + m), nil
}

// ClockOf returns the time of day that t's own location shows, the seconds cut off.
func ClockOf(t time.Time) Clock { return Clock(t.Hour()*60 + t.Minute()) }

// String writes the time of day as HH:MM.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

// MarshalText writes the time of day as String does.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *Clock) UnmarshalText(b []byte) error {
	v, err := ParseClock(string(b))
	if err != nil {
		return err
	}
	*c = v
	return nil
}

// At returns the instant at which the clocks of loc show c on day d. Where the clocks skip c (spring), it is the first
// instant after the gap; where they show c twice (autumn), it is the earlier of the two. AtLast answers the later.
func (d Date) At(c Clock, loc *time.Location) time.Time {
	first, _ := d.instants(c, loc)
	return first
}

// AtLast is At with the later instant where the clocks of loc show c twice.
func (d Date) AtLast(c Clock, loc *time.Location) time.Time {
	_, last := d.instants(c, loc)
	return last
}

// reach is further than any zone's clocks are from UTC, and shorter than half the time between two changes of a zone:
// from 1990 on the furthest is 14 hours and the nearest two changes are a week apart.
const reach = 16 * time.Hour

// instants finds the first and last instant at which loc shows day d, time c. Whatever the instant, it lies within
// reach of the same reading in UTC, so the offset is the one in force at the one or the other end of that span.
func (d Date) instants(c Clock, loc *time.Location) (first, last time.Time) {
	wall := time.Unix((int64(d.n)-unixDay)*86400+int64(c)*60, 0).UTC()
	before, after := offset(wall.Add(-reach), loc), offset(wall.Add(reach), loc)
	early, late := wall.Add(-max(before, after)), wall.Add(-min(before, after))
	shownEarly := offset(early, loc) == max(before, after)
	shownLate := offset(late, loc) == min(before, after)
	switch {
	case shownEarly && shownLate:
		return early, late
	case shownEarly:
		return early, early
	case shownLate:
		return late, late
	}
	// The clocks skip c. They change between the two candidates, and the change is the first instant after the gap.
	n := sort.Search(int(late.Sub(early)/time.Second), func(i int) bool {
		return offset(early.Add(time.Duration(i)*time.Second), loc) == after
	})
	first = early.Add(time.Duration(n) * time.Second)
	return first, first
}

// offset returns how far the clocks of loc are ahead of UTC at t.
func offset(t time.Time, loc *time.Location) time.Duration {
	_, sec := t.In(loc).Zone()
	return time.Duration(sec) * time.Second
}
