package rule

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// windowZones have clocks that change by an hour, by half of one, at midnight, at noon of the year's other end, by a
// whole day, and never.
var windowZones = []string{
	"Africa/Cairo", "Africa/Casablanca", "America/Asuncion", "America/Havana", "America/New_York", "America/Santiago",
	"America/Sao_Paulo", "America/St_Johns", "Asia/Beirut", "Asia/Kathmandu", "Asia/Shanghai", "Asia/Tehran",
	"Australia/Lord_Howe", "Europe/London", "Pacific/Apia", "Pacific/Chatham",
}

// TestHoursAgainstTheClock compares the hours of three years, around every change of the clocks and on some other days,
// with a watch that is looked at every minute.
func TestHoursAgainstTheClock(t *testing.T) {
	t.Parallel()
	spans := []span{{480, 1260}, {0, 1440}, {0, 30}, {30, 90}, {60, 120}, {115, 150}, {1410, 1440}}
	for _, name := range windowZones {
		loc := zone(t, name)
		first, last := civil.On(2016, 1, 1), civil.On(2018, 12, 31)
		if name == "Pacific/Apia" {
			first, last = civil.On(2010, 1, 1), civil.On(2012, 12, 31)
		}
		for d := first; !d.After(last); d = d.Add(1) {
			if calm(d.At(720, loc), loc) && d.Sub(first)%97 != 0 {
				continue
			}
			watch := look(d, loc)
			for _, s := range spans {
				compareHours(t, s, d, loc, watch)
			}
		}
	}
}

// glance is what a watch shows at an instant.
type glance struct {
	at    time.Time
	day   civil.Date
	clock civil.Clock
}

func look(d civil.Date, loc *time.Location) []glance {
	var out []glance
	y, m, day := d.YMD()
	for at := time.Date(y, m, day-2, 0, 0, 0, 0, time.UTC); at.Before(time.Date(y, m, day+3, 0, 0, 0, 0, time.UTC)); at = at.Add(time.Minute) {
		local := at.In(loc)
		out = append(out, glance{at, civil.Of(local), civil.ClockOf(local)})
	}
	return out
}

// compareHours asserts, for each minute: open means that the watch shows a time in the span; closed while the watch
// shows one happens only where the clocks went back and the time of an end was shown twice.
func compareHours(t *testing.T, s span, d civil.Date, loc *time.Location, watch []glance) {
	t.Helper()
	w := week{}
	for i := range w.days {
		w.days[i] = []span{s}
	}
	twice := repeated(watch)
	for _, g := range watch {
		if g.day != d {
			continue
		}
		want := g.clock >= s.from && g.clock < s.to
		got, known := w.open(g.at, loc, 0, nil)
		switch {
		case !known:
			t.Fatalf("%s %s %s %s: hours without a calendar are not known", loc, d, s, g.clock)
		case got && !want:
			t.Fatalf("%s %s %s: open at %s", loc, d, s, g.clock)
		case want && !got && !twice:
			t.Fatalf("%s %s %s: closed at %s", loc, d, s, g.clock)
		}
	}
}

// repeated reports whether the watch ever went back.
func repeated(watch []glance) bool {
	for i := 1; i < len(watch); i++ {
		a, b := watch[i-1], watch[i]
		if b.day.Before(a.day) || b.day == a.day && b.clock < a.clock {
			return true
		}
	}
	return false
}

func TestNextIsTheFirstOpenMinute(t *testing.T) {
	t.Parallel()
	w := week{days: [7][]span{1: {{540, 1140}}, 2: {{540, 1140}}, 3: {{0, 90}}, 6: {{480, 900}}}}
	for _, name := range windowZones {
		loc := zone(t, name)
		start := civil.On(2018, 3, 1).At(0, loc)
		if name == "Pacific/Apia" {
			start = civil.On(2011, 12, 20).At(0, loc)
		}
		for i := range 60 {
			from := start.Add(time.Duration(i) * 467 * time.Minute)
			got, known := w.next(from, loc, 0, nil)
			if !known || got.IsZero() {
				t.Fatalf("%s: nothing opens after %s", loc, from.In(loc))
			}
			for at := from; at.Before(got); at = at.Add(time.Minute) {
				if open, _ := w.open(at, loc, 0, nil); open {
					t.Fatalf("%s: next(%s) = %s, but it is open at %s", loc, from.In(loc), got.In(loc), at.In(loc))
				}
			}
			if open, _ := w.open(got, loc, 0, nil); !open {
				t.Fatalf("%s: next(%s) = %s, when it is closed", loc, from.In(loc), got.In(loc))
			}
		}
	}
}

// The strict reading where the clocks of New York show 01:30 twice, on 1 November 2026.
func TestHoursWhenTheClocksGoBack(t *testing.T) {
	t.Parallel()
	loc := zone(t, "America/New_York")
	d := civil.On(2026, 11, 1)
	open, end := span{90, 480}.hours(d, loc)
	if got, want := open.In(loc).Format(time.RFC3339), "2026-11-01T01:30:00-05:00"; got != want {
		t.Errorf("opens: got %s, want the second 01:30, %s", got, want)
	}
	if got, want := end.Sub(open), 6*time.Hour+30*time.Minute; got != want {
		t.Errorf("length: got %s, want %s", got, want)
	}
	_, end = span{0, 90}.hours(d, loc)
	if got, want := end.In(loc).Format(time.RFC3339), "2026-11-01T01:30:00-04:00"; got != want {
		t.Errorf("ends: got %s, want the first 01:30, %s", got, want)
	}
}

func TestHolidays(t *testing.T) {
	t.Parallel()
	cals := civil.NewCalendars(civil.NewCalendar("XX", []int{2026}, []civil.Date{civil.On(2026, 12, 30)}))
	w := week{days: [7][]span{1: {{540, 1080}}, 2: {{540, 1080}}, 3: {{540, 1080}}, 4: {{540, 1080}}, 5: {{540, 1080}}}, holiday: []span{{600, 720}}, calendar: "XX"}
	at := func(s string) time.Time {
		t.Helper()
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		from, want string
		known      bool
	}{
		{"2026-12-29T20:00:00Z", "2026-12-30T10:00:00Z", true}, // the holiday opens at ten
		{"2026-12-30T12:00:00Z", "2026-12-31T09:00:00Z", true}, // and closes at noon
		{"2026-12-31T18:00:00Z", "", false},                    // 2027 is not known
		{"2027-01-04T10:00:00Z", "", false},
	} {
		got, known := w.next(at(c.from), time.UTC, 0, cals)
		if known != c.known || known && !got.Equal(at(c.want)) {
			t.Errorf("next(%s): got %s, %t, want %s, %t", c.from, got, known, c.want, c.known)
		}
	}
	if _, known := w.open(at("2026-12-29T10:00:00Z"), time.UTC, 0, nil); known {
		t.Error("hours of holidays are known without calendars")
	}
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("zone data for %s: %v", name, err)
	}
	return loc
}
