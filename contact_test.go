package duly_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// The table of moves, walked: every state can be reached from planned, what has gone out never becomes unsent, and what
// may have gone out is never claimed again.
func TestMoves(t *testing.T) {
	t.Parallel()
	reached := map[duly.ContactState]bool{duly.Planned: true}
	for todo := []duly.ContactState{duly.Planned}; len(todo) > 0; todo = todo[1:] {
		for _, next := range duly.ContactStates() {
			if todo[0].CanBecome(next) && !reached[next] {
				reached[next] = true
				todo = append(todo, next)
			}
		}
	}
	out := []duly.ContactState{duly.Accepted, duly.Delivered, duly.Read, duly.InDoubt}
	for _, s := range duly.ContactStates() {
		if !reached[s] {
			t.Errorf("%s cannot be reached from planned", s)
		}
		if !s.Known() || s.CanBecome(s) {
			t.Errorf("%s: known %v, becomes itself %v", s, s.Known(), s.CanBecome(s))
		}
		for _, next := range []duly.ContactState{duly.Planned, duly.Claimed, duly.Cancelled, duly.Blocked} {
			if slices.Contains(out, s) && s.CanBecome(next) {
				t.Errorf("%s, which went out or may have, can become %s", s, next)
			}
		}
		if slices.Contains(out, s) && !s.CountsAsSent() {
			t.Errorf("%s went out or may have, and does not count against caps", s)
		}
	}
	if duly.Claimed.CanBecome("nonsense") || duly.ContactState("nonsense").CanBecome(duly.Planned) {
		t.Error("a state that does not exist takes part in a move")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	day := civil.On(2026, 3, 10)
	seen := map[duly.ContactID]string{}
	for i := range 2000 {
		b := duly.BorrowerID(fmt.Sprintf("B%d", i))
		for _, step := range []string{"d-1", "d0"} {
			for rung := range 2 {
				id := duly.NewContactID(b, "s", step, day, rung)
				what := fmt.Sprintf("%s %s %d", b, step, rung)
				if old, twice := seen[id]; twice {
					t.Fatalf("%s and %s have the same id", old, what)
				}
				seen[id] = what
				if got, ok := id.Bucket(); !ok || got != b.Bucket() {
					t.Fatalf("%s carries bucket %d, want %d", id, got, b.Bucket())
				}
				a := duly.NewAttemptID(id, 12)
				if c, ok := a.Contact(); !ok || c != id {
					t.Fatalf("attempt %s is of contact %s, want %s", a, c, id)
				}
				if got, ok := a.Bucket(); !ok || got != b.Bucket() {
					t.Fatalf("attempt %s carries bucket %d, want %d", a, got, b.Bucket())
				}
			}
		}
	}
	first := duly.NewContactID("B1", "s", "d0", day, 0)
	if again := duly.NewContactID("B1", "s", "d0", day, 0); first != again {
		t.Error("the same contact planned twice has two ids")
	}
}

// Buckets are even enough to share work by, and no text makes an id of a bucket that does not exist.
func TestBuckets(t *testing.T) {
	t.Parallel()
	var count [duly.Buckets]int
	for i := range 100 * duly.Buckets {
		count[duly.BorrowerID(fmt.Sprintf("customer-%07d", i)).Bucket()]++
	}
	for b, n := range count {
		if n < 50 || n > 160 {
			t.Errorf("bucket %d has %d of an expected 100", b, n)
		}
	}
}

func FuzzIDs(f *testing.F) {
	f.Add("c00381nbhdgsrxc6709m0dhng79d")
	f.Add("a00381nbhdgsrxc6709m0dhng79d-1")
	f.Add("cfff")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if b, ok := duly.ContactID(s).Bucket(); ok && (b < 0 || b >= duly.Buckets) {
			t.Errorf("%q carries bucket %d", s, b)
		}
		if c, ok := duly.AttemptID(s).Contact(); ok {
			if _, ok := c.Bucket(); !ok {
				t.Errorf("%q is said to be of %q, which is no contact", s, c)
			}
		}
	})
}

func TestInstants(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	until := from.Add(time.Hour)
	h := duly.Hold{From: from, Until: until}
	c := duly.Consent{GivenAt: from, Until: until}
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{{from.Add(-1), false}, {from, true}, {until.Add(-1), true}, {until, false}} {
		if got := h.ActiveAt(tt.at); got != tt.want {
			t.Errorf("hold at %s: got %v, want %v", tt.at, got, tt.want)
		}
		if got := c.ActiveAt(tt.at); got != tt.want {
			t.Errorf("consent at %s: got %v, want %v", tt.at, got, tt.want)
		}
	}
	o := duly.OptOut{At: from}
	if !o.ActiveAt(until.AddDate(10, 0, 0)) {
		t.Error("a refusal ended by itself")
	}
	o.RevokedAt = until
	if o.ActiveAt(until) {
		t.Error("a refusal that was taken back stands")
	}
}

// The best contact point is an active one, by the channel's order of kinds, then rank, then id.
func TestPointFor(t *testing.T) {
	t.Parallel()
	p := duly.Person{Points: []duly.ContactPoint{
		{ID: "w", Kind: duly.PointWorkEmail, State: duly.PointActive},
		{ID: "b", Kind: duly.PointEmail, State: duly.PointActive, Rank: 2},
		{ID: "a", Kind: duly.PointEmail, State: duly.PointBounced, Rank: 1},
		{ID: "c", Kind: duly.PointEmail, State: duly.PointActive, Rank: 2},
	}}
	if got := p.PointFor(duly.ChannelEmail); got == nil || got.ID != "b" {
		t.Errorf("got %v, want b", got)
	}
	if got := p.PointFor(duly.ChannelSMS); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	e := duly.Errorf(duly.Invalid, "not a day").At(duly.Place{File: "f.csv", Line: 3, Column: 7, Field: "due_on"}).WithHint("write YYYY-MM-DD")
	if got, want := e.Error(), "f.csv:3:7: due_on: not a day (write YYYY-MM-DD)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := duly.CodeOf(fmt.Errorf("import: %w", e)); got != duly.Invalid || got.Exit() != 3 {
		t.Errorf("got %s with status %d, want invalid with 3", got, got.Exit())
	}
	if got := duly.CodeOf(errors.New("disk on fire")); got != duly.Internal || got.Exit() != 1 {
		t.Errorf("got %s with status %d, want internal with 1", got, got.Exit())
	}
}

func ExampleInstallment_Outstanding() {
	in := duly.Installment{
		Principal: money.New(1000_00, "CNY"), Interest: money.New(12_34, "CNY"), Fee: money.New(0, "CNY"),
		Paid: duly.Split{Interest: 12_34, Principal: 100_00},
	}
	fmt.Println(in.Outstanding(), in.Open())
	// Output: CNY 900.00 true
}
