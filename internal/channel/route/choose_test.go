package route_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel/route"
)

var noon = time.Date(2026, 3, 10, 4, 0, 0, 0, time.UTC)

func TestChoose(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) time.Time { return noon.Add(d) }
	tests := []struct {
		name     string
		of       []route.Candidate
		cheapest bool
		pin      int // 0: none; else the place, from 1
		want     route.Choice
	}{
		{"nobody", nil, false, 0, route.Choice{Index: -1, Why: route.WhyNone}},
		{"the first", make([]route.Candidate, 3), false, 0, route.Choice{Index: 0}},
		{"the first that serves the address", []route.Candidate{{Deaf: true}, {}}, false, 0, route.Choice{Index: 1}},
		{"none that serves the address", []route.Candidate{{Deaf: true}, {Deaf: true}}, false, 0, route.Choice{Index: -1, Why: route.WhyNone}},
		{"the one that serves the address rests", []route.Candidate{{Deaf: true}, {Open: in(1)}}, false, 0, route.Choice{Index: -1, At: in(1), Why: route.WhyResting}},
		{"the first that is in order", []route.Candidate{{Open: in(1)}, {}, {}}, false, 0, route.Choice{Index: 1}},
		{"the first with tokens", []route.Candidate{{Tokens: in(1)}, {}}, false, 0, route.Choice{Index: 1}},
		{"what was is over", []route.Candidate{{Open: noon, Tokens: in(-1)}, {}}, false, 0, route.Choice{Index: 0}},
		{"who refused goes last", []route.Candidate{{Tries: 1}, {}}, false, 0, route.Choice{Index: 1}},
		{"who refused least", []route.Candidate{{Tries: 2}, {Tries: 1}}, false, 0, route.Choice{Index: 1}},
		{"who refused rather than nobody", []route.Candidate{{Tries: 2}, {Open: in(1)}}, false, 0, route.Choice{Index: 0}},
		{"a last resort goes last", []route.Candidate{{Last: true}, {}}, false, 0, route.Choice{Index: 1}},
		{"a last resort rather than nobody", []route.Candidate{{Last: true}, {Open: in(1)}}, false, 0, route.Choice{Index: 0}},
		{"a last resort that did not refuse", []route.Candidate{{Tries: 1}, {Last: true}}, false, 0, route.Choice{Index: 1}},
		{"the price is not asked for", []route.Candidate{{Price: 3}, {Price: 2}}, false, 0, route.Choice{Index: 0}},
		{"the cheapest", []route.Candidate{{Price: 3}, {Price: 2}, {Price: 2}}, true, 0, route.Choice{Index: 1}},
		{"the cheapest that can", []route.Candidate{{Price: 3}, {Price: 2, Tokens: in(1)}}, true, 0, route.Choice{Index: 0}},
		{"the cheapest refused", []route.Candidate{{Price: 3}, {Price: 2, Tries: 1}}, true, 0, route.Choice{Index: 0}},
		{"pinned", []route.Candidate{{}, {Tries: 3, Last: true, Price: 9}}, true, 2, route.Choice{Index: 1}},
		{"pinned, and cannot", []route.Candidate{{}, {Tokens: in(5)}}, false, 2, route.Choice{Index: -1, At: in(5), Why: route.WhyRate}},
		{"none now: the first that can", []route.Candidate{{Open: in(9)}, {Tokens: in(5)}}, false, 0, route.Choice{Index: -1, At: in(5), Why: route.WhyRate}},
		{"none now: both must be", []route.Candidate{{Open: in(9), Tokens: in(3)}, {Open: in(2), Tokens: in(20)}}, false, 0, route.Choice{Index: -1, At: in(9), Why: route.WhyResting}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := route.Choose(noon, tt.of, tt.cheapest, tt.pin-1); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// A choice is of somebody who can, if anybody can; and nobody who can would have gone before.
func FuzzChoose(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5}, true)
	f.Add([]byte{255, 0, 17, 3, 99, 12, 64, 1, 1}, false)
	f.Fuzz(func(t *testing.T, b []byte, cheapest bool) {
		var cs []route.Candidate
		for ; len(b) >= 3 && len(cs) < route.CarriersMax; b = b[3:] {
			cs = append(cs, route.Candidate{
				Open: noon.Add(time.Duration(int8(b[0])) * time.Second), Tokens: noon.Add(time.Duration(int8(b[1])) * time.Second),
				Last: b[2]&1 > 0, Tries: int(b[2]>>1) & 3, Price: int64(b[2] >> 3),
			})
		}
		got := route.Choose(noon, cs, cheapest, -1)
		first := time.Time{}
		for i := range cs {
			c := &cs[i]
			at := c.Open
			if c.Tokens.After(at) {
				at = c.Tokens
			}
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(noon) || got.Index < 0 {
				continue
			}
			k := &cs[got.Index]
			if c.Tries < k.Tries || c.Tries == k.Tries && !c.Last && k.Last || cheapest && c.Tries == k.Tries && c.Last == k.Last && c.Price < k.Price {
				t.Errorf("%+v was chosen before %+v", k, c)
			}
		}
		if can := len(cs) > 0 && !first.After(noon); can != (got.Index >= 0) || got.Index < 0 && len(cs) > 0 && !got.At.Equal(first) {
			t.Errorf("got %+v of %+v, the first of whom can at %s", got, cs, first)
		}
	})
}

func ExampleChoose() {
	alpha := route.Candidate{Tokens: noon.Add(time.Second)} // at its rate
	beta := route.Candidate{}
	fmt.Println(route.Choose(noon, []route.Candidate{alpha, beta}, false, -1).Index)
	c := route.Choose(noon, []route.Candidate{alpha}, false, -1)
	fmt.Println(c.Index, c.Why, "for", c.At.Sub(noon))
	// Output:
	// 1
	// -1 carrier_rate for 1s
}
