package sim

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// Runner drives an engine through days: facts become known at their instants, and between them the engine is stepped.
type Runner struct {
	Engine *engine.Engine
	Events []Event // in order of time
	// Day, if not nil, is told after each day.
	Day func(DayReport)

	next int // in Events
}

// DayReport counts one day of a run.
type DayReport struct {
	Day      civil.Date
	Planned  int
	Blocked  int
	Sent     int
	Failed   int
	InDoubt  int
	Held     map[string]int // deferred, blocked or cancelled when asked again, by reason
	Paid     int            // payments that came in
	Settled  int            // instalments settled
	Stopped  int            // contacts cancelled because of a payment
	Receipts int
}

// stepsPerDay is when the engine is stepped, in minutes after midnight: just after the day begins, then every half hour
// from before the first window opens until after the last one closes.
func stepsPerDay() []civil.Clock {
	steps := []civil.Clock{1}
	for m := 7*60 + 30; m <= 22*60+30; m += 30 {
		steps = append(steps, civil.Clock(m))
	}
	return steps
}

// Run runs days from start. The feed of payments is told to be complete at every step: it is the carriers and people of
// this world that misbehave, not its bank.
func (r *Runner) Run(ctx context.Context, start civil.Date, days int) error {
	loc := r.Engine.Config().Location
	for d := range days {
		rep := DayReport{Day: start.Add(d), Held: map[string]int{}}
		for _, c := range stepsPerDay() {
			if err := r.until(ctx, rep.Day.At(c, loc).UTC(), &rep); err != nil {
				return fmt.Errorf("%s %s: %w", rep.Day, c, err)
			}
		}
		if r.Day != nil {
			r.Day(rep)
		}
	}
	return nil
}

// until makes known what happened up to now, and steps the engine at now.
func (r *Runner) until(ctx context.Context, now time.Time, rep *DayReport) error {
	var batch []duly.Fact
	for r.next < len(r.Events) && !r.Events[r.next].At.After(now) {
		e := r.Events[r.next]
		batch = append(batch, e.Fact)
		if e.Fact.FactKind() == duly.FactPayment {
			rep.Paid++
		}
		r.next++
	}
	if len(batch) > 0 {
		a, err := r.Engine.Apply(ctx, now, "sim", batch)
		if err != nil {
			return err
		}
		rep.Settled += a.Settled
		rep.Stopped += a.Stopped
	}
	if err := r.Engine.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	for more := true; more; {
		s, err := r.Engine.Step(ctx, now)
		if err != nil {
			return err
		}
		rep.add(s)
		more = s.More
	}
	return nil
}

func (rep *DayReport) add(s engine.Report) {
	rep.Planned += s.Planned.Planned
	rep.Blocked += s.Planned.Blocked
	rep.Sent += s.Dispatched.Accepted
	rep.Failed += s.Dispatched.Failed
	rep.InDoubt += s.Dispatched.InDoubt + s.Dispatched.Lapsed
	rep.Receipts += s.Received.Receipts
	for k, n := range s.Dispatched.Held {
		rep.Held[k] += n
	}
}

// Violation is a promise that was broken, told so that a person can follow it.
type Violation struct {
	Promise string
	Contact duly.ContactID
	Story   string
}

// String writes the violation on one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s: contact %s: %s", v.Promise, v.Contact, v.Story)
}

// Check reads every attempt in the store and holds it against the promises, by means of its own: payments are allocated
// anew from what had arrived when the attempt was claimed, times are read off the borrower's clock. What waits must be in the table
// of what waits, and nothing else.
func Check(ctx context.Context, db *store.DB, loc *time.Location) ([]Violation, int, error) {
	var out []Violation
	checked := 0
	for b := range duly.Buckets {
		c := checker{loc: loc, bucket: b}
		if err := db.View(ctx, c.read); err != nil {
			return out, checked, err
		}
		v, err := c.check()
		if err != nil {
			return out, checked, err
		}
		out = append(out, v...)
		checked += len(c.attempts)
		if err := db.View(ctx, func(tx *store.Tx) error { v, err = strayWaits(tx, b); return err }); err != nil {
			return out, checked, err
		}
		out = append(out, v...)
	}
	return out, checked, nil
}
