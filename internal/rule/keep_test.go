package rule_test

import (
	"fmt"
	"testing"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

func term(t *testing.T, s string) rule.Term {
	t.Helper()
	x, err := rule.ParseTerm(s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A term is shorter than another if it can end before it, whatever the day on which both begin.
func TestTermShorter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"P5Y", "P5Y", false}, {"P60M", "P5Y", false}, {"P59M", "P5Y", true}, {"P5Y", "P59M", false},
		{"P1827D", "P5Y", false}, {"P1826D", "P5Y", true}, // five years may have two leap days
		{"P5Y", "P1826D", false}, {"P5Y", "P1827D", true}, // or only one
		{"P31D", "P1M", false}, {"P30D", "P1M", true}, {"P1M", "P28D", false}, {"P1M", "P29D", true},
		{"P14D", "P2W", false}, {"P13D", "P2W", true},
		{"P1000BD", "P1D", true}, {"PT90000H", "P1D", true},
	} {
		if got := term(t, c.a).Shorter(term(t, c.b)); got != c.want {
			t.Errorf("%s shorter than %s: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// What began on the day Before returns, or earlier, has been there for the whole term; what began a day later has not.
func TestTermBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ term, day, want string }{
		{"P1Y", "2026-11-25", "2025-11-25"}, {"P90D", "2026-03-31", "2025-12-31"}, {"P1M", "2026-03-31", "2026-02-28"},
		{"P1M", "2026-02-28", "2026-01-31"}, {"P1Y", "2025-02-28", "2024-02-29"}, {"P4Y", "2024-02-29", "2020-02-29"},
	} {
		x := term(t, c.term)
		day, err := civil.Parse(c.day)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Before(day).String(); got != c.want {
			t.Errorf("%s before %s: got %s, want %s", c.term, c.day, got, c.want)
		}
	}
	start := civil.On(2023, 1, 1)
	for _, s := range []string{"P1M", "P1Y", "P5Y", "P40D"} {
		x := term(t, s)
		for i := range 1500 {
			day := start.Add(i)
			b := x.Before(day)
			for d, want := range map[civil.Date]bool{b: true, b.Add(1): false} {
				end, err := x.Day(d, "", nil)
				if err != nil {
					t.Fatal(err)
				}
				if over := !end.After(day); over != want {
					t.Fatalf("%s from %s ends on %s: over on %s is %v, want %v", s, d, end, day, over, want)
				}
			}
		}
	}
}

// Of the duties to keep records of contact, those bind that are of this sort of lender, or of a sort that nobody gave.
func TestKeepings(t *testing.T) {
	t.Parallel()
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		inputs map[string]string
		want   string
	}{
		{nil, "[{cn-mainland/CN-07 P2Y lender is card_issuer false} {cn-mainland/CN-07b P5Y lender is consumer_finance false} {us-regf/US-12 P3Y role is third_party true}]"},
		{map[string]string{"lender": "consumer_finance", "role": "first_party"}, "[{cn-mainland/CN-07b P5Y  false}]"},
		{map[string]string{"lender": "agency", "role": "third_party"}, "[{us-regf/US-12 P3Y  true}]"},
		{map[string]string{"lender": "bank", "role": "first_party"}, "[]"},
	} {
		type short struct {
			Rule, Term, If string
			Last           bool
		}
		got := []short{}
		for _, k := range rule.Keepings(packs, c.inputs) {
			got = append(got, short{k.Rule, k.Term.String(), k.If, k.Last})
		}
		if s := fmt.Sprint(got); s != c.want {
			t.Errorf("%v: got %s\nwant %s", c.inputs, s, c.want)
		}
	}
}
