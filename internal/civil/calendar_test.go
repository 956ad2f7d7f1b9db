package civil

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func builtIn(t testing.TB) *Calendar {
	t.Helper()
	s, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := s.Get("CN")
	if !ok {
		t.Fatalf("no CN among %v", s.Names())
	}
	return c
}

// date reads a day written in a test.
func date(t testing.TB, s string) Date {
	t.Helper()
	d, err := Parse(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return d
}

func TestChinaDays(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	tests := []struct {
		day     string
		working bool
		holiday string
	}{
		{"2026-02-17", false, "春节"}, // Spring Festival, a Tuesday
		{"2026-02-14", true, "春节"},  // Saturday worked in exchange
		{"2026-02-28", true, "春节"},
		{"2026-02-13", true, ""},
		{"2026-10-01", false, "国庆节"},
		{"2026-10-10", true, "国庆节"},
		{"2026-06-06", false, ""}, // an ordinary Saturday
		{"2026-06-08", true, ""},
		{"2007-12-29", true, "元旦"}, // of the notice of 2008: a Saturday worked
		{"2007-12-31", false, "元旦"},
		{"2018-12-29", true, "元旦"},
		{"2022-12-31", false, "元旦"},
		{"2022-12-30", true, ""},
		{"2006-12-30", true, "元旦"},  // told by the notice of 2007 although 2006 is not known
		{"2020-01-31", false, "春节"}, // lengthened by the second notice of that year
		{"2020-02-03", true, "春节"},  // a Monday, which the first notice would have left alone
		{"2025-12-31", true, ""},
		{"2026-12-28", true, ""},
	}
	for _, tt := range tests {
		got, err := c.Day(date(t, tt.day))
		if want := (Day{tt.working, tt.holiday}); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.day, got, err, want)
		}
	}
	if d, _ := c.Day(date(t, "2026-02-14")); !d.MakeUp() {
		t.Error("2026-02-14 is a make-up day")
	}
	if d, _ := c.Day(date(t, "2026-02-13")); d.MakeUp() {
		t.Error("2026-02-13 is no make-up day")
	}
}

func TestUnknownDays(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	for day, year := range map[string]string{
		"2027-01-01": "2027", "2027-06-15": "2027", "2030-01-01": "2030",
		// The notice of 2027 may still move the last days of 2026.
		"2026-12-29": "2027", "2026-12-31": "2027",
	} {
		got, err := c.Day(date(t, day))
		if !errors.Is(err, ErrNoYear) || !strings.Contains(err.Error(), year) {
			t.Errorf("%s: got %+v, %v, want %v naming %s", day, got, err, ErrNoYear, year)
		}
	}
	if _, err := c.Day(On(2006, time.June, 1)); !errors.Is(err, ErrNoYear) {
		t.Errorf("2006-06-01: got %v, want %v", err, ErrNoYear)
	}
	if got := c.Years(); got[0] != 2007 || got[len(got)-1] != 2026 || len(got) != 20 {
		t.Errorf("got years %v, want 2007 to 2026", got)
	}
}

func TestNextPrev(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	tests := []struct{ day, next, prev string }{
		{"2026-03-05", "2026-03-05", "2026-03-05"},
		{"2026-03-07", "2026-03-09", "2026-03-06"}, // ordinary weekend
		{"2026-02-17", "2026-02-24", "2026-02-14"}, // to the Saturday worked before
		{"2026-02-14", "2026-02-14", "2026-02-14"},
		{"2026-01-01", "2026-01-04", "2025-12-31"}, // Sunday the 4th is worked
		{"2007-12-30", "2008-01-02", "2007-12-29"},
	}
	for _, tt := range tests {
		next, err := c.Next(date(t, tt.day))
		if err != nil || next.String() != tt.next {
			t.Errorf("next of %s: got %v, %v, want %s", tt.day, next, err, tt.next)
		}
		prev, err := c.Prev(date(t, tt.day))
		if err != nil || prev.String() != tt.prev {
			t.Errorf("prev of %s: got %v, %v, want %s", tt.day, prev, err, tt.prev)
		}
	}
	if d, err := c.Next(On(2027, time.January, 1)); !errors.Is(err, ErrNoYear) {
		t.Errorf("got %v, %v, want %v", d, err, ErrNoYear)
	}
	// A search that runs out of the known years fails too.
	shut := NewCalendar("X", []int{2026}, []Date{On(2026, time.December, 31)})
	if d, err := shut.Next(On(2026, time.December, 31)); !errors.Is(err, ErrNoYear) {
		t.Errorf("got %v, %v, want %v", d, err, ErrNoYear)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	cn := builtIn(t)
	simple := NewCalendar("ID", []int{2026}, nil)
	tests := []struct {
		c     *Calendar
		today string
		want  string
	}{
		{cn, "2026-01-01", "[]"},
		{cn, "2026-09-30", "[]"},
		{cn, "2026-10-01", "[calendar CN has no 2027: from 2026-12-29 on, whatever needs it is held back]"},
		{cn, "2026-12-31", "[calendar CN has no 2027: from 2026-12-29 on, whatever needs it is held back]"},
		{cn, "2027-02-01", "[calendar CN has no 2027: from 2026-12-29 on, whatever needs it is held back]"},
		{cn, "2027-10-02", "[calendar CN has no 2027: from 2026-12-29 on, whatever needs it is held back " +
			"calendar CN has no 2028: from 2027-12-29 on, whatever needs it is held back]"},
		{simple, "2026-09-30", "[]"},
		{simple, "2026-10-01", "[calendar ID has no 2027: from 2027-01-01 on, whatever needs it is held back]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(tt.c.Warnings(date(t, tt.today))); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.today, got, tt.want)
		}
	}
	set := NewCalendars(cn, simple)
	got := set.Warnings(On(2026, time.November, 1))
	if len(got) != 2 || got[0].Calendar != "CN" || got[1].Calendar != "ID" || got[0].Year != 2027 {
		t.Errorf("of a set: got %v, want CN and ID without 2027", got)
	}
}

func TestNewCalendar(t *testing.T) {
	t.Parallel()
	c := NewCalendar("BR", []int{2026}, []Date{On(2026, time.September, 7), On(2027, time.January, 1)})
	for day, want := range map[string]bool{
		"2026-09-07": false, "2026-09-08": true, "2026-09-06": false, "2026-09-05": false, "2026-12-31": true,
	} {
		got, err := c.Day(date(t, day))
		if err != nil || got.Working != want {
			t.Errorf("%s: got %+v, %v, want working %v", day, got, err, want)
		}
	}
	if d, err := c.Day(On(2027, time.January, 1)); !errors.Is(err, ErrNoYear) {
		t.Errorf("a holiday outside the years: got %+v, %v, want %v", d, err, ErrNoYear)
	}
	if d, _ := c.Day(On(2026, time.September, 7)); d.Holiday == "" {
		t.Error("a holiday has no name")
	}
}

func TestCalendarsGet(t *testing.T) {
	t.Parallel()
	s := NewCalendars(NewCalendar("id", []int{2026}, nil))
	for _, name := range []string{"ID", "id"} {
		if _, ok := s.Get(name); !ok {
			t.Errorf("%s: not found", name)
		}
	}
	if _, ok := s.Get("CN"); ok {
		t.Error("CN: found in a set without it")
	}
	var none *Calendars
	if _, ok := none.Get("CN"); ok || none.Names() != nil || none.Warnings(On(2026, time.May, 1)) != nil {
		t.Error("a nil set has calendars")
	}
}

func TestAddReplaces(t *testing.T) {
	t.Parallel()
	s, err := BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := s.Get("CN")
	add := func(doc string) {
		t.Helper()
		if err := s.Add("cn", strings.NewReader(doc)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(day string, want Day) {
		t.Helper()
		if got, err := c.Day(date(t, day)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", day, got, err, want)
		}
	}
	add(`{"year": 2027, "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": true}, {"name": "元旦", "date": "2026-12-31", "isOffDay": false}]}`)
	expect("2027-01-01", Day{false, "元旦"})
	expect("2026-12-31", Day{true, "元旦"})
	expect("2026-12-30", Day{true, ""})
	// A correction takes back what the first notice said, also of the year before.
	add(`{"$schema": "s", "$id": "i", "papers": [], "year": 2027, "days": [{"name": "元旦", "date": "2027-01-04", "isOffDay": true}]}`)
	expect("2026-12-31", Day{true, ""})
	expect("2027-01-01", Day{true, ""})
	expect("2027-01-04", Day{false, "元旦"})
	expect("2026-02-17", Day{false, "春节"})
	// An empty notice is no notice.
	add(`{"year": 2027, "days": []}`)
	if got, err := c.Day(On(2027, time.January, 4)); !errors.Is(err, ErrNoYear) {
		t.Errorf("after an empty notice: got %+v, %v, want %v", got, err, ErrNoYear)
	}
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ doc, want string }{
		{``, "not a calendar"},
		{`[]`, "not a calendar"},
		{`{"year": 2026, "holidays": []}`, "holidays"},
		{`{"year": 2026, "days": []} {}`, "more text"},
		{`{"year": 1800, "days": []}`, "year"},
		{`{"days": []}`, "year"},
		{`{"year": "2026", "days": []}`, "not a calendar"},
		{`{"year": 2026, "days": [{"name": "x", "date": "2026-13-01", "isOffDay": true}]}`, "days[0].date"},
		{`{"year": 2026, "days": [{"name": "x", "date": "2025-12-24", "isOffDay": true}]}`, "not of 2026"},
		{`{"year": 2026, "days": [{"name": "x", "date": "2027-01-08", "isOffDay": true}]}`, "not of 2026"},
		{`{"year": 2026, "days": [{"name": "", "date": "2026-01-01", "isOffDay": true}]}`, "days[0].name"},
		{`{"year": 2026, "days": [{"name": "x", "date": "2026-01-01"}]}`, "isOffDay"},
		{`{"year": 2026, "days": [{"name": "x", "date": "2026-01-01", "isOffDay": true, "x": 1}]}`, "x"},
		{`{"year": 2026, "days": [{"name": "x", "date": "2026-01-01", "isOffDay": true}, {"name": "y", "date": "2026-01-01", "isOffDay": false}]}`, "days[1].date: 2026-01-01 comes twice"},
		{`{"year": 2026, "days": []}` + strings.Repeat(" ", MaxCalendarFile), "longer"},
	}
	for _, tt := range tests {
		s := NewCalendars()
		if err := s.Add("X", strings.NewReader(tt.doc)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.80s: got %v, want an error with %q", tt.doc, err, tt.want)
		}
		if len(s.Names()) != 0 {
			t.Errorf("%.80s: a refused file left a calendar behind", tt.doc)
		}
	}
	if err := NewCalendars().Add("", strings.NewReader(`{"year": 2026, "days": []}`)); err == nil {
		t.Error("no name: got no error")
	}
}

func TestLoadCalendars(t *testing.T) {
	t.Parallel()
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	good := fstest.MapFS{
		"th/2026.json": file(`{"year": 2026, "days": [{"name": "n", "date": "2026-12-10", "isOffDay": true}]}`),
		"th/LICENSE":   file("text"),
		"README":       file("text"),
	}
	s, err := LoadCalendars(good)
	if err != nil {
		t.Fatal(err)
	}
	th, ok := s.Get("TH")
	if !ok || th.Name() != "TH" {
		t.Fatalf("got %v, want TH", s.Names())
	}
	if d, err := th.Day(On(2026, time.December, 10)); err != nil || d.Working {
		t.Errorf("got %+v, %v, want a holiday", d, err)
	}
	for name, doc := range map[string]string{"th/2025.json": `{"year": 2026, "days": []}`, "th/2026.json": `{`} {
		if _, err := LoadCalendars(fstest.MapFS{name: file(doc)}); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
	}
}

func FuzzAddCalendar(f *testing.F) {
	f.Add(`{"year": 2026, "days": [{"name": "春节", "date": "2026-02-17", "isOffDay": true}]}`)
	f.Add(`{"year": 2026, "days": []}`)
	f.Add(`{"year": 2008, "days": [{"name": "x", "date": "2007-12-29", "isOffDay": false}]}`)
	f.Add(`{`)
	f.Fuzz(func(t *testing.T, doc string) {
		s := NewCalendars()
		if s.Add("X", strings.NewReader(doc)) != nil {
			return
		}
		c, _ := s.Get("x")
		for _, y := range c.Years() {
			for d := On(y, time.January, 1); d.Before(On(y, time.December, 25)); d = d.Add(1) {
				if _, err := c.Day(d); err != nil {
					t.Fatalf("%v of a known year: %v", d, err)
				}
			}
		}
	})
}

func ExampleCalendar_Next() {
	set, err := BuiltIn()
	if err != nil {
		fmt.Println(err)
		return
	}
	cn, _ := set.Get("CN")
	next, err := cn.Next(On(2026, time.October, 1)) // National Day: off until the 7th
	fmt.Println(next, err)
	_, err = cn.Next(On(2031, time.January, 1))
	fmt.Println(err)
	// Output:
	// 2026-10-08 <nil>
	// calendar CN, 2031: no calendar for the year
}
