package gate_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
)

const worlds = 800

func limits(t testing.TB) []rule.Rule {
	t.Helper()
	return []rule.Rule{newCap(t, "LIMIT-01", 1, "calendar_day"), newCap(t, "LIMIT-02", 3, "rolling_days:7"), newCap(t, "LIMIT-03", 2, "rolling:36h", duly.ChannelSMS, duly.ChannelPush)}
}

// looser reports whether a lets more through than b: a milder verdict, or an earlier instant.
func looser(a, b duly.Decision) bool {
	return a.Verdict < b.Verdict || a.Verdict == duly.Defer && b.Verdict == duly.Defer && a.NotBefore.Before(b.NotBefore)
}

func TestMoreRulesNeverLoosen(t *testing.T) {
	t.Parallel()
	packs := shipped(t)
	policy := slices.IndexFunc(packs, func(p *rule.Pack) bool { return p.Jurisdiction == "*" })
	few, more, most := newSet(t, packs[policy:policy+1]), newSet(t, packs), newSet(t, packs, limits(t)...)
	packsDiffer, limitsDiffer := 0, 0
	for seed := range uint64(worlds) {
		f := world(seed).facts()
		a, b, c := gate.Check(f, few), gate.Check(f, more), gate.Check(f, most)
		if looser(b, a) || looser(c, b) {
			t.Fatalf("seed %d: %s %s, then %s %s, then %s %s", seed, a.Verdict, a.NotBefore, b.Verdict, b.NotBefore, c.Verdict, c.NotBefore)
		}
		if a.Verdict != b.Verdict {
			packsDiffer++
		}
		if b.Verdict != c.Verdict {
			limitsDiffer++
		}
	}
	if packsDiffer == 0 || limitsDiffer == 0 {
		t.Error("no world told the sets apart: the property was not tested")
	}
}

func TestLessConsentNeverAllowsMore(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), limits(t)...)
	differ := 0
	for seed := range uint64(worlds) {
		with := gate.Check(world(seed).facts(), set)
		f := world(seed).facts()
		f.Person.Consents = nil
		without := gate.Check(f, set)
		if looser(without, with) {
			t.Fatalf("seed %d: %s %s with consent, %s %s without", seed, with.Verdict, with.NotBefore, without.Verdict, without.NotBefore)
		}
		if with.Verdict != without.Verdict {
			differ++
		}
	}
	if differ == 0 {
		t.Error("consent made no difference in any world: the property was not tested")
	}
}

// TestNotBeforeIsTheFirst looks at many minutes up to not_before, and at the instant before it: none of them may be open.
// At not_before nothing may defer any more.
func TestNotBeforeIsTheFirst(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), limits(t)...)
	deferred := 0
	for seed := range uint64(worlds) {
		d := gate.Check(world(seed).facts(), set)
		if d.Verdict != duly.Defer {
			continue
		}
		deferred++
		at := func(now time.Time) duly.Verdict {
			f := world(seed).facts()
			f.Now, f.FeedAt = now, now
			return gate.Check(f, set).Verdict
		}
		start := world(seed).facts().Now
		for now := start; now.Before(d.NotBefore); now = now.Add(29 * time.Minute) {
			if got := at(now); got == duly.Allow {
				t.Fatalf("seed %d: not before %s, but allowed at %s", seed, d.NotBefore, now)
			}
		}
		if got := at(d.NotBefore.Add(-1)); got == duly.Allow {
			t.Fatalf("seed %d: not before %s, but allowed an instant before", seed, d.NotBefore)
		}
		if got := at(d.NotBefore); got == duly.Defer {
			t.Fatalf("seed %d: not before %s, but still deferred then", seed, d.NotBefore)
		}
	}
	if deferred < worlds/10 {
		t.Errorf("only %d worlds deferred: the property was hardly tested", deferred)
	}
}

func TestLaterIsNeverEarlier(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), limits(t)...)
	for seed := range uint64(worlds) {
		first := time.Time{}
		for step := range 12 {
			f := world(seed).facts()
			f.Now = f.Now.Add(time.Duration(step) * 113 * time.Minute)
			f.FeedAt = f.Now
			d := gate.Check(f, set)
			at := d.NotBefore
			switch d.Verdict {
			case duly.Allow:
				at = f.Now
			case duly.Block, duly.NoVerdict:
				continue
			case duly.Defer:
			}
			if at.Before(first) {
				t.Fatalf("seed %d, step %d: asked later, may go at %s, not at %s", seed, step, at, first)
			}
			first = at
		}
	}
}

func TestOrderMakesNoDifference(t *testing.T) {
	t.Parallel()
	packs, caps := shipped(t), limits(t)
	set := newSet(t, packs, caps...)
	slices.Reverse(packs)
	slices.Reverse(caps)
	reversed := newSet(t, packs, caps...)
	for seed := range uint64(worlds) {
		want := gate.Check(world(seed).facts(), set)
		f := world(seed).facts()
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(f.Person.Contacts), func(i, j int) {
			f.Person.Contacts[i], f.Person.Contacts[j] = f.Person.Contacts[j], f.Person.Contacts[i]
		})
		r.Shuffle(len(f.Person.Touches), func(i, j int) {
			f.Person.Touches[i], f.Person.Touches[j] = f.Person.Touches[j], f.Person.Touches[i]
		})
		slices.Reverse(f.Person.Borrower.Zones)
		got := gate.Check(f, reversed)
		for _, d := range []*duly.Decision{&want, &got} {
			for i := range d.Reasons {
				d.Reasons[i].Facts = "" // names the zone that was met first
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-in order +shuffled):\n%s", seed, diff)
		}
	}
}

// TestPlanAndSendAgree holds that a contact which may be sent could also be planned, where nothing else is planned.
func TestPlanAndSendAgree(t *testing.T) {
	t.Parallel()
	set := newSet(t, shipped(t), limits(t)...)
	for seed := range uint64(worlds) {
		f := world(seed).facts()
		f.Person.Contacts = slices.DeleteFunc(f.Person.Contacts, func(c duly.Contact) bool { return c.State == duly.Planned })
		f.Phase = rule.PhaseSend
		send := gate.Check(f, set)
		f.Phase, f.Text, f.FeedAt, f.ClockOK = rule.PhasePlan, "", time.Time{}, false
		if plan := gate.Check(f, set); looser(send, plan) {
			t.Fatalf("seed %d: may be sent (%s) and not planned (%s, %s)", seed, send.Verdict, plan.Verdict, plan.Code())
		}
	}
}
