package rule

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dulyhq/duly/internal/civil"
)

// TestPreferredHours compares the hours of each day with what is asked for, minute by minute.
func TestPreferredHours(t *testing.T) {
	t.Parallel()
	inside := func(all []Hours, day int, c civil.Clock) bool {
		return slices.ContainsFunc(all, func(h Hours) bool {
			if h.From < h.To {
				return h.Days[day] && h.From <= c && c < h.To
			}
			return h.Days[day] && c >= h.From || h.Days[(day+6)%7] && c < h.To
		})
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		some := func() []Hours {
			out := make([]Hours, r.IntN(4))
			for i := range out {
				out[i].From, out[i].To = civil.Clock(r.IntN(24*60)), civil.Clock(r.IntN(24*60+1))
				for d := range out[i].Days {
					out[i].Days[d] = r.IntN(2) == 0
				}
			}
			return out
		}
		p := Preferences{Allow: some(), Forbid: some()}
		days := p.days()
		for d := range days {
			for i, s := range days[d] {
				if s.to <= s.from || i > 0 && s.from < days[d][i-1].to {
					t.Fatalf("seed %d, day %d: the hours are out of order: %v", seed, d, days[d])
				}
			}
			for c := range civil.Clock(24 * 60) {
				want := (len(p.Allow) == 0 || inside(p.Allow, d, c)) && !inside(p.Forbid, d, c)
				got := slices.ContainsFunc(days[d], func(s span) bool { return s.from <= c && c < s.to })
				if got != want {
					t.Fatalf("seed %d, day %d, %s: got %v, want %v from %+v", seed, d, c, got, want, p)
				}
			}
		}
	}
}
