package engine

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// What becomes of contacts that a lost store may have sent.
const (
	UnknownInDoubt = "in_doubt" // they count against limits, until a receipt or a person says what became of them
	UnknownSkip    = "skip"     // they are cancelled, and count for nothing
)

// gap is what restorations say about what may be sent.
type gap struct {
	held    bool
	through civil.Date // contacts of days up to this are never sent; zero: there are none
	skip    bool
}

// gapOf sums restorations up as they stood at an instant.
func gapOf(all []store.Restoration, at time.Time) gap {
	var g gap
	for i := range all {
		r := &all[i]
		switch {
		case r.Held():
			g.held = true
		case !r.ReleasedAt.After(at) && r.Through.After(g.through):
			g.through, g.skip = r.Through, r.Unknown == UnknownSkip
		}
	}
	return g
}

// learnGap reads what restorations say, for what follows.
func (e *Engine) learnGap(ctx context.Context, now time.Time) (gap, error) {
	all, err := e.db.Restorations(ctx)
	if err != nil {
		return gap{held: true}, err
	}
	g := gapOf(all, now)
	e.gap.Store(&g)
	return g, nil
}

// restoredGap is what was learned last.
func (e *Engine) restoredGap() gap {
	if g := e.gap.Load(); g != nil {
		return *g
	}
	return gap{}
}

// notHeld refuses what would contact somebody while a restored store is held.
func notHeld(tx *store.Tx) error {
	all, err := tx.Restorations()
	if err == nil && gapOf(all, tx.Now()).held {
		err = duly.Errorf(duly.Refused, "this store was restored from a backup, and what was sent since that was taken is not known").
			WithHint("nobody is contacted until a person has seen to it: `duly resume --after-restore`")
	}
	return err
}

// Hold marks the store as one that was put back by other means than [store.Restore]: nothing is sent until it is released. It
// refuses while a node works on it.
func (e *Engine) Hold(ctx context.Context, now time.Time, id string) error {
	all, err := e.db.Leases(ctx)
	if err != nil {
		return err
	}
	if alive := all.Alive(); len(alive) > 0 {
		return duly.Errorf(duly.Refused, "node %s works on this store", alive[0].Name).WithHint("stop it first, or wait for the lease of one that has died: `duly nodes`")
	}
	return e.db.Update(ctx, now, nil, func(tx *store.Tx) error { return tx.PutRestoration(&store.Restoration{ID: id, RestoredAt: tx.Now()}) })
}

// Resume releases a store that was restored, once payments are known up to when it was. Contacts of days up to that of the
// restoration may have been sent by the store that was lost: none of them is sent, and unknown says what becomes of them. It
// returns the last such day.
func (e *Engine) Resume(ctx context.Context, now time.Time, actor, unknown string) (civil.Date, error) {
	if unknown != UnknownInDoubt && unknown != UnknownSkip {
		return civil.Date{}, duly.Errorf(duly.Usage, "what may have been sent is in_doubt, or skipped: in_doubt or skip")
	}
	all, err := e.db.Restorations(ctx)
	if err != nil {
		return civil.Date{}, err
	}
	var held []store.Restoration
	var from, through civil.Date // the days of which it is not known what was sent
	for _, r := range all {
		if !r.Held() {
			continue
		}
		if r.RestoredAt.IsZero() {
			r.RestoredAt = now // a copy that was put in place by hand: until now the other may have worked
		}
		if d := e.Today(r.RestoredAt); d.After(through) {
			through = d
		}
		d := e.Today(r.RestoredAt)
		if !r.TakenAt.IsZero() {
			d = e.Today(r.TakenAt)
		}
		if from.IsZero() || d.Before(from) {
			from = d
		}
		held = append(held, r)
	}
	if len(held) == 0 {
		return through, duly.Errorf(duly.Conflict, "this store is not held").WithHint("only a store that was restored is: see `duly status`")
	}
	if err := e.paymentsSince(ctx, held); err != nil {
		return through, err
	}
	if err := e.planAgain(ctx, now, actor, held[0].ID, from, through); err != nil {
		return through, err
	}
	return through, e.db.Update(ctx, now, nil, func(tx *store.Tx) error {
		for i := range held {
			r := &held[i]
			r.ReleasedAt, r.Through, r.Unknown = tx.Now(), through, unknown
			if err := tx.PutRestoration(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// paymentsSince refuses while payments are not known up to when the store was restored: the backup knows none that came after
// it was taken.
func (e *Engine) paymentsSince(ctx context.Context, held []store.Restoration) error {
	feed, err := e.db.FeedAt(ctx, FeedPayments)
	if err != nil {
		return err
	}
	for i := range held {
		if r := &held[i]; feed.Before(r.RestoredAt) {
			return duly.Errorf(duly.Refused, "payments are known up to %s only, and the store was restored at %s", stamp(feed), stamp(r.RestoredAt)).
				WithHint("import what came in since the backup was taken, holds and refusals too; then `duly feed` says that it is complete")
		}
	}
	return nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// planAgain has every bucket planned whole, with all days from one on as days that nobody planned, and puts the restoration on
// record.
func (e *Engine) planAgain(ctx context.Context, now time.Time, actor, id string, from, through civil.Date) error {
	all := make([]int, duly.Buckets)
	for b := range all {
		all[b] = b
	}
	for _, group := range e.db.Groups(all) {
		err := e.db.Update(ctx, now, group, func(tx *store.Tx) error {
			for _, b := range group {
				state, err := tx.Bucket(b)
				if err != nil {
					return err
				}
				if state.People == 0 {
					continue
				}
				tx.Audit(b, "restored", actor, id, map[string]string{"unknown_from": from.String(), "unknown_through": through.String()})
				if err := tx.SetPlannedThrough(b, from.Add(-1)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// doubtful returns the attempts that stand for contacts which a lost store may have sent. Their ids are those that it would have
// given: a receipt that comes for one of them is understood.
func (e *Engine) doubtful(contacts []duly.Contact, now time.Time) []duly.Attempt {
	var out []duly.Attempt
	for i := range contacts {
		c := &contacts[i]
		if c.State != duly.InDoubt || c.Reason != duly.ReasonRestored {
			continue
		}
		carrier := ""
		if list := e.carriers[c.Channel]; len(list) > 0 {
			carrier = list[0].Name() // which of them it was is not known
		}
		out = append(out, duly.Attempt{
			ID: duly.NewAttemptID(c.ID, c.Attempts), ContactID: c.ID, BorrowerID: c.BorrowerID, No: c.Attempts, Carrier: carrier, State: duly.AttemptInDoubt,
			Class: string(channel.Unknown), Detail: duly.ReasonRestored, ClaimedAt: now, LeaseUntil: now, EndedAt: now,
		})
	}
	return out
}
