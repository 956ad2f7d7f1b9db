package duly_test

import (
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
)

// The states of a contact point by what happens with it, a row each: events a day apart, and what it ends as.
func TestPointLearns(t *testing.T) {
	t.Parallel()
	const f, d, a = duly.PointFailed, duly.PointDelivered, duly.PointAnswered
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	fresh, old := now.AddDate(0, -1, 0), now.AddDate(-2, 0, 0)
	tests := []struct {
		name   string
		from   duly.PointState
		seen   time.Time // by the lender
		events []duly.PointEvent
		want   duly.PointState
	}{
		{"delivered", duly.PointActive, fresh, []duly.PointEvent{d}, duly.PointGood},
		{"delivered, and nobody knows since when", duly.PointActive, time.Time{}, []duly.PointEvent{d}, duly.PointGood},
		{"delivered after years", duly.PointActive, old, []duly.PointEvent{d}, duly.PointSuspect},
		{"delivered after years, again", duly.PointActive, old, []duly.PointEvent{d, d, d}, duly.PointSuspect},
		{"delivered after years, and answered", duly.PointActive, old, []duly.PointEvent{d, a}, duly.PointGood},
		{"answered after years", duly.PointActive, old, []duly.PointEvent{a}, duly.PointGood},
		{"fails twice", duly.PointActive, fresh, []duly.PointEvent{f, f}, duly.PointActive},
		{"fails three times", duly.PointGood, fresh, []duly.PointEvent{f, f, f}, duly.PointSuspect},
		{"fails, with one that arrives between", duly.PointGood, fresh, []duly.PointEvent{f, f, d, f, f}, duly.PointGood},
		{"fails, then works", duly.PointGood, fresh, []duly.PointEvent{f, f, f, f, d}, duly.PointGood},
		{"dead stays dead", duly.PointBounced, fresh, []duly.PointEvent{d, a}, duly.PointBounced},
		{"another's stays another's", duly.PointWrong, fresh, []duly.PointEvent{a}, duly.PointWrong},
		{"recycled stays recycled", duly.PointRecycled, fresh, []duly.PointEvent{d}, duly.PointRecycled},
		{"retired stays retired", duly.PointRetired, fresh, []duly.PointEvent{f, f, f}, duly.PointRetired},
	}
	for _, tc := range tests {
		p := duly.ContactPoint{State: tc.from, ObservedAt: tc.seen}
		for i, ev := range tc.events {
			p.Learn(ev, now.AddDate(0, 0, i))
		}
		if p.State != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, p.State, tc.want)
		}
	}
	good := duly.ContactPoint{State: duly.PointGood, SeenAt: now}
	if good.Learn(d, now.AddDate(0, 0, 1)) || !good.Learn(d, now.AddDate(0, 0, 8)) {
		t.Error("a sign of life is written down once a week")
	}
}

func TestPointStates(t *testing.T) {
	t.Parallel()
	for _, s := range duly.PointStates() {
		if !s.Known() || s.Quality() == "" {
			t.Errorf("%s is not in the table", s)
		}
	}
	p := duly.Person{Points: []duly.ContactPoint{
		{ID: "suspect", Kind: duly.PointMobile, State: duly.PointSuspect, Rank: 0},
		{ID: "old", Kind: duly.PointMobile, State: duly.PointActive, Rank: 1, ObservedAt: time.Unix(1, 0)},
		{ID: "new", Kind: duly.PointMobile, State: duly.PointActive, Rank: 1, ObservedAt: time.Unix(2, 0)},
		{ID: "good", Kind: duly.PointMobile, State: duly.PointGood, Rank: 2},
		{ID: "dead", Kind: duly.PointMobile, State: duly.PointBounced},
	}}
	for _, want := range []duly.PointID{"good", "new", "old", "suspect"} {
		got := p.PointFor(duly.ChannelSMS)
		if got == nil || got.ID != want {
			t.Fatalf("got %v, want %s", got, want)
		}
		got.State = duly.PointRetired
	}
	if got := p.PointFor(duly.ChannelSMS); got != nil {
		t.Errorf("got %s, want none", got.ID)
	}
	if got := duly.PointMobile.Masked("+8613812345678"); got != "…5678" {
		t.Errorf("masked: got %s", got)
	}
	if got := duly.PointEmail.Masked("Wang@Mail.example"); got != "…@mail.example" {
		t.Errorf("masked: got %s", got)
	}
}
