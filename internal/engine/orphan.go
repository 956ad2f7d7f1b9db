package engine

import (
	"context"
	"errors"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// How long receipts are looked for that name no attempt that is known: after a wait that doubles, up to orphanWaitMax, until they
// are orphanAge old. Then they are reported, and orphansKept of them kept.
const (
	orphansMax    = 200 // looked for in one step
	orphanWaitMin = 10 * time.Second
	orphanWaitMax = time.Hour
	orphanAge     = 72 * time.Hour
	orphansKept   = 10_000
	orphansParked = 100_000 // looked for at one time
)

// trace looks again for the attempts of receipts that came before their attempt's answer was stored.
func (e *Engine) trace(ctx context.Context, now time.Time, r *ReceiveReport) error {
	orphans, err := e.db.DueOrphans(ctx, now, orphansMax)
	if err != nil || len(orphans) == 0 {
		return err
	}
	var found []duly.Receipt
	moves := make([]store.OrphanMove, 0, len(orphans))
	given := 0
	for _, o := range orphans {
		a, err := e.orphaned(ctx, &o.Receipt)
		switch {
		case err == nil:
			rc := o.Receipt
			rc.AttemptID = a
			found = append(found, rc)
			moves = append(moves, store.OrphanMove{Orphan: o, Found: true})
		case duly.CodeOf(err) != duly.NotFound:
			return err
		case now.Sub(o.ReceivedAt) >= orphanAge:
			given++
			moves = append(moves, store.OrphanMove{Orphan: o})
		default:
			wait := min(orphanWaitMin<<min(o.Tries, 20), orphanWaitMax)
			moves = append(moves, store.OrphanMove{Orphan: o, Next: now.Add(wait)})
		}
	}
	if err := e.Accept(ctx, now, found, r); err != nil {
		if _, moving := errors.AsType[*store.Moving](err); moving { // they stay orphans until the move is over
			return nil
		}
		return err
	}
	r.Traced += len(found)
	if err := e.db.MoveOrphans(ctx, now, moves); err != nil {
		return err
	}
	if len(orphans) == orphansMax { // there may be too many to be looked for in good time
		over, err := e.db.GiveUpOrphans(ctx, now, orphansParked)
		if err != nil {
			return err
		}
		given += over
	}
	if given == 0 {
		return nil
	}
	r.GivenUp += given
	e.log.Error("receipts name no attempt that is known, and are no longer looked for", "receipts", given)
	return e.db.DropOldOrphans(ctx, now, orphansKept)
}

// orphaned returns the attempt that a receipt is about, or NotFound.
func (e *Engine) orphaned(ctx context.Context, rc *duly.Receipt) (duly.AttemptID, error) {
	a, err := e.db.FindAttemptByProvider(ctx, rc.Provider, rc.ProviderID)
	return a.ID, err
}
