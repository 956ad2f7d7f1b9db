package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/arrange"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Replayer decides past days again. Each bucket is put back as it was into a store of its own, and there the plan itself is
// asked, not a copy of it.
type Replayer struct {
	From    *store.DB // where the days are on record; it is only read
	Scratch *store.DB // a SQLite store for this alone; what it holds is overwritten
	Log     *slog.Logger
	// Decider returns what decided under a configuration that the store keeps, by its hash; for "" what decides now.
	Decider func(ctx context.Context, configuration string) (Decider, error)

	engines map[string]*Engine
}

// Decider is all of a configuration that decides what is planned.
type Decider struct {
	Deps      Deps     // of which strategies, packs and calendars are looked at
	Config    Config   // of which the location and the law are
	Enforced  []string // rules that were turned on by name
	Calendars string   // the hash of the operator's calendars
	Lender    string   // of what rules ask of the lender, and its zone
}

// Replayed is a past day that was decided again.
type Replayed struct {
	Recorded Decisions `json:"recorded"`
	Again    Decisions `json:"again"`
	Differ   []int     `json:"differ"`  // buckets in which a round was decided otherwise
	Removed  []int     `json:"removed"` // those of them of which records were removed since, by their term or by a person
	Same     bool      `json:"same"`
}

// Day decides a past day again, round by round, from the facts as they were then known and by what decided then.
func (r *Replayer) Day(ctx context.Context, day civil.Date) (Replayed, error) {
	rounds, err := roundsOf(ctx, r.From, day)
	if err == nil && len(rounds) == 0 {
		err = unplanned(day)
	}
	if err != nil {
		return Replayed{}, err
	}
	out := Replayed{Recorded: sumRounds(day, rounds), Differ: []int{}, Removed: []int{}}
	for i := range rounds {
		round := &rounds[i]
		e, err := r.engine(ctx, round.Configuration)
		if err != nil {
			return out, err
		}
		snap, err := r.asOf(ctx, round, round.Version-1)
		if err != nil {
			return out, err
		}
		in, err := r.decide(ctx, e, round, snap)
		if err != nil {
			return out, fmt.Errorf("bucket %d as of version %d: %w", round.Bucket, round.Version-1, err)
		}
		if in.hash != round.Hash && !slices.Contains(out.Differ, round.Bucket) {
			out.Differ = append(out.Differ, round.Bucket)
		}
		round.Persons, round.Changes, round.Hash = in.report.Persons, len(in.changes), in.hash
	}
	out.Again = sumRounds(day, rounds)
	out.Same = out.Again.Hash == out.Recorded.Hash
	for _, b := range out.Differ {
		removed, err := r.From.Removed(ctx, b)
		if err != nil {
			return out, err
		}
		if removed {
			out.Removed = append(out.Removed, b)
		}
	}
	return out, nil
}

func unplanned(day civil.Date) error {
	return duly.Errorf(duly.NotFound, "nothing is on record of how %s was planned", day).
		WithHint("it was not planned, or by an older version of Duly, or the term of contacts is over (`duly retention show`), or its people are in another cell")
}

// engine is an engine that plans in the scratch store by a past configuration.
func (r *Replayer) engine(ctx context.Context, configuration string) (*Engine, error) {
	if e := r.engines[configuration]; e != nil {
		return e, nil
	}
	d, err := r.Decider(ctx, configuration)
	if err != nil {
		return nil, err
	}
	e, err := r.planner(d)
	if err == nil {
		if r.engines == nil {
			r.engines = map[string]*Engine{}
		}
		r.engines[configuration] = e
	}
	return e, err
}

func (r *Replayer) planner(d Decider) (*Engine, error) {
	e := &Engine{db: r.Scratch, packs: d.Deps.Packs, calendars: d.Deps.Calendars, log: r.Log, cfg: d.Config}
	var err error
	if e.rules, err = rule.NewSet(d.Deps.Packs); err != nil {
		return nil, err
	}
	for _, s := range d.Deps.Strategies {
		l, err := newLane(s, d.Deps.Packs)
		if err != nil {
			return nil, err
		}
		e.strategies = append(e.strategies, l)
	}
	e.history = e.depth()
	return e, nil
}

// asOf reads the bucket of a round with the facts as they were known with a version of it, and the contacts as they stood when
// the round was decided.
func (r *Replayer) asOf(ctx context.Context, round *store.Round, facts int64) (snap *store.Snapshot, err error) {
	err = r.From.View(ctx, func(tx *store.Tx) error { snap, err = tx.AsOf(round.Bucket, facts, round.Version-1); return err })
	return snap, err
}

// decide puts a snapshot in the scratch store and decides the round there.
func (r *Replayer) decide(ctx context.Context, e *Engine, round *store.Round, snap *store.Snapshot) (*bucketInput, error) {
	all, err := r.From.Restorations(ctx)
	if err != nil {
		return nil, err
	}
	g := gapOf(all, round.At)
	e.gap.Store(&g)
	err = r.Scratch.Update(ctx, round.At, []int{round.Bucket}, func(tx *store.Tx) error {
		if err := tx.Load(snap, round.Through, round.Asked); err != nil {
			return err
		}
		return allocateAll(tx, snap, e.cfg.Location)
	})
	if err != nil {
		return nil, err
	}
	decided, err := e.decideGroup(ctx, round.At, round.Day, []int{round.Bucket})
	if err != nil {
		return nil, err
	}
	return decided[0], nil
}

// allocateAll works out what was paid of all that a snapshot's people owe.
func allocateAll(tx *store.Tx, snap *store.Snapshot, loc *time.Location) error {
	ledgers, err := tx.Ledgers(snap.Bucket, snap.Borrowers())
	if err != nil {
		return err
	}
	var paid []duly.Installment
	for i := range ledgers {
		paid = append(paid, allocated(&ledgers[i], snap, loc)...)
	}
	return tx.SetPaid(paid)
}

// allocated is what a ledger asks for, with what is paid. Payments that do not fit were never allocated (see distrust): what
// was paid before they came in stood, so the last to come in are left out until the rest fits.
func allocated(l *store.Ledger, snap *store.Snapshot, loc *time.Location) []duly.Installment {
	payments := l.Payments
	for {
		a, err := arrange.Allocate(l.Installments, payments, l.Loans, loc)
		if err == nil {
			return a.Installments
		}
		if len(payments) == 0 {
			return l.Installments
		}
		if len(payments) == len(l.Payments) {
			payments = slices.Clone(payments)
			slices.SortFunc(payments, func(a, b duly.Payment) int { return int(snap.PaymentSince(a.ID) - snap.PaymentSince(b.ID)) })
		}
		payments = payments[:len(payments)-1]
	}
}
