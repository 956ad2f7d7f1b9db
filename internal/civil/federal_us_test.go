package civil

import (
	"errors"
	"testing"
	"time"
)

// The days on which federal offices were or will be closed, as the Office of Personnel Management lists them.
func TestFederalUS(t *testing.T) {
	t.Parallel()
	c := FederalUS()
	listed := map[int][]string{
		2020: {"2020-01-01", "2020-01-20", "2020-02-17", "2020-05-25", "2020-07-03", "2020-09-07", "2020-10-12", "2020-11-11", "2020-11-26", "2020-12-25"},
		2021: {"2021-01-01", "2021-01-18", "2021-02-15", "2021-05-31", "2021-06-18", "2021-07-05", "2021-09-06", "2021-10-11", "2021-11-11", "2021-11-25", "2021-12-24", "2021-12-31"},
		2026: {"2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-07-03", "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25"},
		2027: {"2027-01-01", "2027-01-18", "2027-02-15", "2027-05-31", "2027-06-18", "2027-07-05", "2027-09-06", "2027-10-11", "2027-11-11", "2027-11-25", "2027-12-24", "2027-12-31"},
	}
	for year, want := range listed {
		var got []string
		for d := On(year, time.January, 1); d.Year() == year; d = d.Add(1) {
			day, err := c.Day(d)
			if err != nil {
				t.Fatal(err)
			}
			weekend := d.Weekday() == time.Saturday || d.Weekday() == time.Sunday
			if day.Working == weekend && day.Holiday == "" {
				t.Errorf("%s: got working %t", d, day.Working)
			}
			if day.Holiday != "" {
				got = append(got, d.String())
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d: got %v, want %v", year, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%d: got %s, want %s", year, got[i], want[i])
			}
		}
	}
	for _, d := range []Date{On(federalFirst-1, time.December, 29), On(federalLast+1, time.January, 4)} {
		if _, err := c.Day(d); !errors.Is(err, ErrNoYear) {
			t.Errorf("%s: got %v, want that the year is not known", d, err)
		}
	}
}

func TestBuiltInHasFederalUS(t *testing.T) {
	t.Parallel()
	s, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := s.Get("US-federal")
	if !ok {
		t.Fatalf("no US-federal among %v", s.Names())
	}
	if day, err := c.Day(On(2026, time.July, 3)); err != nil || day.Working {
		t.Errorf("3 July 2026: got %+v, %v, want a holiday", day, err)
	}
}
