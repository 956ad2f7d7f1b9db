package rule

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// TestPreferredHours compares the hours of each day with what is asked for, minute by minute.
func TestPreferredHours(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 2, 0, 0, 0, time.UTC)
	inside := func(all []duly.Preference, kind duly.PreferenceKind, day int, c civil.Clock) bool {
		return slices.ContainsFunc(all, func(h duly.Preference) bool {
			if h.Kind != kind || !h.ActiveAt(now) {
				return false
			}
			if h.From < h.To {
				return h.Days[day] && h.From <= c && c < h.To
			}
			return h.Days[day] && c >= h.From || h.Days[(day+6)%7] && c < h.To
		})
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		some := func(kind duly.PreferenceKind) []duly.Preference {
			out := make([]duly.Preference, r.IntN(4))
			for i := range out {
				out[i].Kind = kind
				switch r.IntN(4) {
				case 0:
					out[i].At = now.Add(time.Second) // to come
				case 1:
					out[i].RevokedAt = now
				case 2:
					out[i].At, out[i].RevokedAt = now, now.Add(time.Second)
				}
				out[i].From, out[i].To = civil.Clock(r.IntN(24*60)), civil.Clock(r.IntN(24*60+1))
				for d := range out[i].Days {
					out[i].Days[d] = r.IntN(2) == 0
				}
			}
			return out
		}
		p := append(some(duly.PreferAllow), some(duly.PreferForbid)...)
		days, asked := preferredDays(p, now)
		standing := slices.ContainsFunc(p, func(x duly.Preference) bool { return x.ActiveAt(now) })
		if asked != standing {
			t.Fatalf("seed %d: asked for: %v, want %v of %+v", seed, asked, standing, p)
		}
		if !asked {
			continue
		}
		allowed := slices.ContainsFunc(p, func(x duly.Preference) bool { return x.Kind == duly.PreferAllow && x.ActiveAt(now) })
		for d := range days {
			for i, s := range days[d] {
				if s.to <= s.from || i > 0 && s.from < days[d][i-1].to {
					t.Fatalf("seed %d, day %d: the hours are out of order: %v", seed, d, days[d])
				}
			}
			for c := range civil.Clock(24 * 60) {
				want := (!allowed || inside(p, duly.PreferAllow, d, c)) && !inside(p, duly.PreferForbid, d, c)
				got := slices.ContainsFunc(days[d], func(s span) bool { return s.from <= c && c < s.to })
				if got != want {
					t.Fatalf("seed %d, day %d, %s: got %v, want %v from %+v", seed, d, c, got, want, p)
				}
			}
		}
	}
}
