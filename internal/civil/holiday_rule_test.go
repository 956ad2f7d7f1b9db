package civil

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Weekdays off as the governments publish them.
var published = map[string]string{
	"US 2025": "01-01 01-20 02-17 05-26 06-19 07-04 09-01 10-13 11-11 11-27 12-25",
	"US 2026": "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25",
	"US 2027": "01-01 01-18 02-15 05-31 06-18 07-05 09-06 10-11 11-11 11-25 12-24 12-31",
	"GB 2025": "01-01 04-18 04-21 05-05 05-26 08-25 12-25 12-26",
	"GB 2026": "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28",
	"GB 2027": "01-01 03-26 03-29 05-03 05-31 08-30 12-27 12-28",
	"GB 2028": "01-03 04-14 04-17 05-01 05-29 08-28 12-25 12-26",
	"CO 2025": "01-01 01-06 03-24 04-17 04-18 05-01 06-02 06-23 06-30 08-07 08-18 10-13 11-03 11-17 12-08 12-25",
	"CO 2026": "01-01 01-12 03-23 04-02 04-03 05-01 05-18 06-08 06-15 06-29 07-20 08-07 08-17 10-12 11-02 11-16 12-08 12-25",
	"CO 2027": "01-01 01-11 03-22 03-25 03-26 05-10 05-31 06-07 07-05 07-20 08-16 10-18 11-01 11-15 12-08",
	"MX 2025": "01-01 02-03 03-17 05-01 09-16 11-17 12-25",
	"MX 2026": "01-01 02-02 03-16 05-01 09-16 11-16 12-25",
	"MX 2027": "01-01 02-01 03-15 09-16 11-15",
	"MX 2030": "01-01 02-04 03-18 05-01 09-16 10-01 11-18 12-25",
	"BR 2025": "01-01 04-18 04-21 05-01 11-20 12-25",
	"BR 2026": "01-01 04-03 04-21 05-01 09-07 10-12 11-02 11-20 12-25",
	"BR 2027": "01-01 03-26 04-21 09-07 10-12 11-02 11-15",
}

func TestRuledHolidays(t *testing.T) {
	t.Parallel()
	s, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range published {
		name, year, _ := strings.Cut(key, " ")
		c, ok := s.Get(name)
		if !ok {
			t.Fatalf("there is no calendar %s", name)
		}
		first, err := Parse(year + "-01-01")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for d := first; d.Year() == first.Year(); d = d.Add(1) {
			day, err := c.Day(d)
			if err != nil {
				t.Fatal(err)
			}
			if w := d.Weekday(); w != time.Saturday && w != time.Sunday && day.Holiday != "" {
				got = append(got, d.String()[5:])
			}
			if day.Working && day.Holiday != "" {
				t.Errorf("%s: %s is a holiday and worked", key, d)
			}
		}
		if d := cmp.Diff(want, strings.Join(got, " ")); d != "" {
			t.Errorf("%s (-want +got):\n%s", key, d)
		}
	}
}

func TestEaster(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"1818-03-22", "1943-04-25", "2000-04-23", "2008-03-23", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2030-04-21", "2038-04-25"} {
		day, err := time.Parse(time.DateOnly, want)
		if err != nil {
			t.Fatal(err)
		}
		if got := easter(day.Year()); got != Of(day) {
			t.Errorf("Easter of %d: got %s, want %s", day.Year(), got, want)
		}
	}
}

// Past the years that are worked out a calendar does not know, and says so beforehand.
func TestRuledYearsEnd(t *testing.T) {
	t.Parallel()
	s, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	us, _ := s.Get("US")
	if _, err := us.Day(On(2030, time.December, 31)); err != nil {
		t.Error(err)
	}
	if _, err := us.Day(On(2031, time.January, 1)); err == nil {
		t.Error("2031 is known")
	}
	got := s.Lacking([]string{"US", "ID", "th"}, On(2030, time.November, 1))
	want := []Missing{
		{"ID", 2030, On(2030, time.January, 1)}, {"TH", 2030, On(2030, time.January, 1)}, {"US", 2031, On(2031, time.January, 1)},
	}
	slices.SortFunc(got, func(a, b Missing) int { return strings.Compare(a.Calendar, b.Calendar) })
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b Date) bool { return a == b })); d != "" {
		t.Errorf("lacking (-want +got):\n%s", d)
	}
}

// An operator's file of one year takes the place of what was worked out for it, and of nothing else.
func TestFileOverRules(t *testing.T) {
	t.Parallel()
	s, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Add("GB", strings.NewReader(`{"year": 2027, "days": [{"name": "A day proclaimed", "date": "2027-06-01", "isOffDay": true}]}`)); err != nil {
		t.Fatal(err)
	}
	gb, _ := s.Get("GB")
	for day, want := range map[Date]string{
		On(2027, time.June, 1): "A day proclaimed", On(2027, time.March, 26): "", On(2026, time.December, 28): "Boxing Day", On(2030, time.December, 31): "",
	} {
		got, err := gb.Day(day)
		if err != nil || got.Holiday != want {
			t.Errorf("%s: got %q, %v, want %q", day, got.Holiday, err, want)
		}
	}
}
