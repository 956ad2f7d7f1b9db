package civil

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // so that the tests do not depend on the machine's zones
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestParseClock(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Clock{"00:00": 0, "08:30": 510, "23:59": 1439, "24:00": 1440} {
		if got, err := ParseClock(in); err != nil || got != want || got.String() != in {
			t.Errorf("%q: got %v, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "8:30", "08:60", "24:01", "25:00", "08:3", "08-30", "-1:00", "+8:00", "08:30:00", "０8:3", "aa:bb", "08:3a"} {
		if got, err := ParseClock(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
	var c Clock
	if err := c.UnmarshalText([]byte("21:15")); err != nil || c != 1275 {
		t.Errorf("got %v, %v, want 21:15", c, err)
	}
	if b, err := c.MarshalText(); err != nil || string(b) != "21:15" {
		t.Errorf("got %s, %v, want 21:15", b, err)
	}
	if err := c.UnmarshalText([]byte("x")); err == nil {
		t.Error("got no error for x")
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		what, zone, day, clock string
		first, last            string // UTC
	}{
		{"no change of clocks", "Asia/Shanghai", "2026-03-05", "08:00", "2026-03-05T00:00:00Z", "2026-03-05T00:00:00Z"},
		{"24:00 is the next midnight", "Asia/Shanghai", "2026-03-05", "24:00", "2026-03-05T16:00:00Z", "2026-03-05T16:00:00Z"},
		{"UTC", "UTC", "2026-03-05", "08:00", "2026-03-05T08:00:00Z", "2026-03-05T08:00:00Z"},
		{"Shanghai had summer time: gap", "Asia/Shanghai", "1991-04-14", "02:30", "1991-04-13T18:00:00Z", "1991-04-13T18:00:00Z"},
		{"Shanghai had summer time: overlap", "Asia/Shanghai", "1991-09-15", "01:30", "1991-09-14T16:30:00Z", "1991-09-14T17:30:00Z"},
		{"New York: gap", "America/New_York", "2026-03-08", "02:30", "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z"},
		{"New York: last minute before the gap", "America/New_York", "2026-03-08", "01:59", "2026-03-08T06:59:00Z", "2026-03-08T06:59:00Z"},
		{"New York: first after the gap", "America/New_York", "2026-03-08", "03:00", "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z"},
		{"New York: overlap", "America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"},
		{"New York: end of the overlap", "America/New_York", "2026-11-01", "02:00", "2026-11-01T07:00:00Z", "2026-11-01T07:00:00Z"},
		{"São Paulo: no midnight", "America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"São Paulo: 24:00 of the day before is that missing midnight", "America/Sao_Paulo", "2018-11-03", "24:00", "2018-11-04T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"São Paulo: overlap before midnight", "America/Sao_Paulo", "2019-02-16", "23:30", "2019-02-17T01:30:00Z", "2019-02-17T02:30:00Z"},
		{"Lord Howe: half an hour's gap", "Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z"},
		{"Lord Howe: half an hour's overlap", "Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"},
		{"Apia had no 30 December 2011", "Pacific/Apia", "2011-12-30", "12:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Apia: the day after", "Pacific/Apia", "2011-12-31", "00:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Casablanca leaves its summer time for Ramadan", "Africa/Casablanca", "2026-02-15", "02:30", "2026-02-15T01:30:00Z", "2026-02-15T02:30:00Z"},
	}
	for _, tt := range tests {
		d, err := Parse(tt.day)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseClock(tt.clock)
		if err != nil {
			t.Fatal(err)
		}
		loc := zone(t, tt.zone)
		first, last := d.At(c, loc).Format(time.RFC3339), d.AtLast(c, loc).Format(time.RFC3339)
		if first != tt.first || last != tt.last {
			t.Errorf("%s: got %s and %s, want %s and %s", tt.what, first, last, tt.first, tt.last)
		}
	}
}

// TestAtAgainstEveryMinute walks through the minutes around each change of many zones' clocks, writes down when each
// wall reading is shown first and last, and asks At and AtLast for all of them.
func TestAtAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	zones := []string{
		"Africa/Casablanca", "Africa/Cairo", "Africa/El_Aaiun", "Africa/Juba", "America/Caracas", "America/Havana", "America/New_York",
		"America/Santiago", "America/Sao_Paulo", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll", "Asia/Amman",
		"Asia/Kathmandu", "Asia/Pyongyang", "Asia/Shanghai", "Asia/Tehran", "Australia/Lord_Howe", "Europe/London", "Europe/Moscow",
		"Pacific/Apia", "Pacific/Chatham", "Pacific/Fakaofo", "Pacific/Kiritimati", "Pacific/Kwajalein", "Pacific/Tongatapu",
	}
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, name)
			changes := changesOf(loc)
			// Years are much alike: the first changes, the last, and every seventh between.
			for i, at := range changes {
				if i > 0 && at.Sub(changes[i-1]) < 2*reach {
					t.Fatalf("changes at %s and %s are too near for At", changes[i-1], at)
				}
				if i < 4 || i > len(changes)-4 || i%7 == 0 {
					around(t, loc, at)
				}
			}
		})
	}
}

// changesOf finds the instants from MinYear to 2038 at which the clocks of loc are set, to the minute.
func changesOf(loc *time.Location) (out []time.Time) {
	end := time.Date(2038, time.January, 1, 0, 0, 0, 0, time.UTC)
	for at := time.Date(MinYear, time.January, 2, 0, 0, 0, 0, time.UTC); at.Before(end); at = at.Add(6 * time.Hour) {
		if next := at.Add(6 * time.Hour); offset(at, loc) != offset(next, loc) {
			for offset(at, loc) == offset(at.Add(time.Minute), loc) {
				at = at.Add(time.Minute)
			}
			at = at.Add(time.Minute)
			out = append(out, at)
		}
	}
	return out
}

func around(t *testing.T, loc *time.Location, change time.Time) {
	t.Helper()
	type shown struct{ first, last time.Time }
	seen := map[Date]map[Clock]shown{}
	const span = 78 * time.Hour
	for at := change.Add(-span); at.Before(change.Add(span)); at = at.Add(time.Minute) {
		d, c := In(at, loc), ClockOf(at.In(loc))
		if seen[d] == nil {
			seen[d] = map[Clock]shown{}
		}
		s, ok := seen[d][c]
		if !ok {
			s.first = at
		}
		s.last = at
		seen[d][c] = s
	}
	day := In(change.Add(-time.Minute), loc)
	for d := day.Add(-1); d.Sub(day) <= 2; d = d.Add(1) {
		for c := range Clock(1440) {
			s, ok := seen[d][c]
			if !ok {
				s = shown{change, change} // skipped: the first instant after the gap
			}
			if first, last := d.At(c, loc), d.AtLast(c, loc); !first.Equal(s.first) || !last.Equal(s.last) {
				t.Fatalf("%s %s: got %s and %s, want %s and %s", d, c, first, last, s.first, s.last)
			}
		}
		if got, want := d.At(1440, loc), d.Add(1).At(0, loc); !got.Equal(want) {
			t.Fatalf("%s 24:00: got %s, want the next day's 00:00, %s", d, got, want)
		}
	}
}

func FuzzParseClock(f *testing.F) {
	for _, s := range []string{"00:00", "24:00", "23:59", "24:01", "1:00", "", "ab:cd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseClock(s); err == nil && (c.String() != s || c < 0 || c > 1440) {
			t.Fatalf("ParseClock(%q) is %v", s, c)
		}
	})
}

func ExampleDate_At() {
	shanghai := time.FixedZone("UTC+8", 8*60*60)
	fmt.Println(On(2026, time.March, 5).At(9*60, shanghai).Format(time.RFC3339))
	// Output: 2026-03-05T01:00:00Z
}

func BenchmarkAt(b *testing.B) {
	loc := zone(b, "America/New_York")
	d := On(2026, time.March, 5)
	for b.Loop() {
		d.At(510, loc)
	}
}
