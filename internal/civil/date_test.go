package civil

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	good := map[string]int64{
		"1990-01-01": 19900101, "2024-02-29": 20240229, "2026-12-31": 20261231, "2199-12-31": 21991231, "2000-02-29": 20000229,
	}
	for in, want := range good {
		d, err := Parse(in)
		if err != nil || d.Int() != want || d.String() != in {
			t.Errorf("Parse(%q): got %v %d, %v, want %d", in, d, d.Int(), err, want)
		}
	}
	bad := []string{
		"", "2026", "2026-1-05", "2026-01-5", "2026-13-01", "2026-00-10", "2026-02-29", "2100-02-29", "2026-04-31", "2026-01-00",
		"1989-12-31", "2200-01-01", "0000-01-01", "20260101", "2026/01/01", "2026-01-01T00:00:00Z", " 2026-01-01", "2026-01-01 ",
		"２０２６-01-01", "-2026-01-01", "1900-01-00", "2026-01-011", "12026-01-01",
	}
	for _, in := range bad {
		if d, err := Parse(in); err == nil {
			t.Errorf("Parse(%q): got %v, want an error", in, d)
		}
	}
}

func TestFromInt(t *testing.T) {
	t.Parallel()
	if d, err := FromInt(0); err != nil || !d.IsZero() || d.Int() != 0 || d.String() != "" {
		t.Errorf("no date: got %v, %v", d, err)
	}
	for _, n := range []int64{101, 10101, 19891231, 22000101, 20260230, 20261301, 20260100, -20260101, 99999999, math.MaxInt64, math.MinInt64, 1 << 60} {
		if d, err := FromInt(n); err == nil {
			t.Errorf("FromInt(%d): got %v, want an error", n, d)
		}
	}
}

// TestDateAgainstTime walks every day that Duly takes and holds it against package time.
func TestDateAgainstTime(t *testing.T) {
	t.Parallel()
	end := On(MaxYear, time.December, 31)
	prev := On(MinYear, time.January, 1).Add(-1)
	for d := prev.Add(1); !d.After(end); d = d.Add(1) {
		y, m, day := d.YMD()
		ref := time.Date(y, m, day, 12, 0, 0, 0, time.UTC)
		back, err := FromInt(d.Int())
		if err != nil || back != d || Of(ref) != d || d.Weekday() != ref.Weekday() || d.String() != ref.Format("2006-01-02") || d.Year() != ref.Year() {
			t.Fatalf("%v: got weekday %v, back %v, %v", ref, d.Weekday(), back, err)
		}
		if d.Int() <= prev.Int() && prev.Year() >= MinYear || !prev.Before(d) || !d.After(prev) || d.Compare(prev) != 1 || prev.Compare(d) != -1 || d.Compare(d) != 0 {
			t.Fatalf("%v and %v are out of order", prev, d)
		}
		prev = d
	}
}

func TestDateLaws(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		d := On(1990+r.IntN(200), time.January, 1+r.IntN(366))
		n, m := r.IntN(200_000)-100_000, r.IntN(1000)-500
		if got := d.Add(n).Sub(d); got != n {
			t.Fatalf("(%v + %d) - %v: got %d", d, n, d, got)
		}
		e := d.Add(n)
		if got := d.Add(e.Sub(d)); got != e {
			t.Fatalf("%v + (%v - %v): got %v", d, e, d, got)
		}
		// A month on lies in the month after, on the same day unless that month is shorter.
		got := d.AddMonths(m)
		y, mo, day := d.YMD()
		first := time.Date(y, mo+time.Month(m), 1, 0, 0, 0, 0, time.UTC)
		wantDay := min(day, first.AddDate(0, 1, -1).Day())
		if gy, gm, gd := got.YMD(); gy != first.Year() || gm != first.Month() || gd != wantDay {
			t.Fatalf("%v + %d months: got %v, want %s-%02d", d, m, got, first.Format("2006-01"), wantDay)
		}
		if a, b := d.AddMonths(m), d.Add(1).AddMonths(m); b.Before(a) {
			t.Fatalf("%d months on, %v becomes %v and the day after it %v", m, d, a, b)
		}
	}
}

func TestAddMonths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from string
		n    int
		want string
	}{
		{"2026-01-31", 1, "2026-02-28"},
		{"2024-01-31", 1, "2024-02-29"},
		{"2026-01-31", 2, "2026-03-31"},
		{"2026-01-31", 3, "2026-04-30"},
		{"2024-02-29", 12, "2025-02-28"},
		{"2024-02-29", 48, "2028-02-29"},
		{"2026-03-31", -1, "2026-02-28"},
		{"2026-01-15", -1, "2025-12-15"},
		{"2026-12-31", 2, "2027-02-28"},
		{"2026-05-20", 0, "2026-05-20"},
	}
	for _, tt := range tests {
		d, err := Parse(tt.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.AddMonths(tt.n).String(); got != tt.want {
			t.Errorf("%s and %d months: got %s, want %s", tt.from, tt.n, got, tt.want)
		}
	}
}

func TestDateJSON(t *testing.T) {
	t.Parallel()
	type doc struct {
		On Date `json:"on"`
	}
	for _, s := range []string{`{"on":"2026-02-17"}`, `{"on":""}`} {
		var v doc
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(v); err != nil || string(got) != s {
			t.Errorf("got %s, %v, want %s", got, err, s)
		}
	}
	v := doc{On(2026, time.May, 1)}
	if err := json.Unmarshal([]byte(`{"on":"2026-02-30"}`), &v); err == nil || v.On != On(2026, time.May, 1) {
		t.Errorf("got %v, %v, want an error and the value as it was", v.On, err)
	}
}

func TestInZone(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 4, 16, 0, 0, 0, time.UTC)
	if got := In(at, zone(t, "Asia/Shanghai")); got != On(2026, time.March, 5) {
		t.Errorf("got %v, want 2026-03-05", got)
	}
	if got := In(at, time.UTC); got != On(2026, time.March, 4) {
		t.Errorf("got %v, want 2026-03-04", got)
	}
}

func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"2026-01-31", "1990-01-01", "2199-12-31", "2026-02-30", "", "２０２６-01-01", "2026-1-1", "0001-01-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			return
		}
		if d.String() != s || d.Year() < MinYear || d.Year() > MaxYear {
			t.Fatalf("Parse(%q) is %v", s, d)
		}
		if back, err := FromInt(d.Int()); err != nil || back != d {
			t.Fatalf("FromInt(%d): got %v, %v, want %v", d.Int(), back, err, d)
		}
	})
}

func ExampleDate_AddMonths() {
	first := On(2026, time.January, 31)
	for n := range 3 {
		fmt.Println(first.AddMonths(n))
	}
	// Output:
	// 2026-01-31
	// 2026-02-28
	// 2026-03-31
}
