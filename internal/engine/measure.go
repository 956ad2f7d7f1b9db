package engine

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/outcome"
	"github.com/dulyhq/duly/internal/store"
)

// measureMax is how many contacts one bucket is measured for at a time.
const measureMax = 1000

// Measure writes what followed the contacts whose outcome is known by now, once a day and bucket, and returns how many.
func (e *Engine) Measure(ctx context.Context, now time.Time) (int, error) {
	if err := e.holding.joined(); err != nil {
		return 0, err
	}
	buckets, err := e.db.MeasureBuckets(ctx, e.Today(now))
	if err != nil {
		return 0, err
	}
	total := 0
	for _, group := range e.db.Groups(e.holding.Mine(buckets)) {
		n := 0
		err := e.db.Update(ctx, now, group, func(tx *store.Tx) error {
			n = 0
			for _, b := range group {
				k, err := e.measureBucket(tx, b)
				if err != nil {
					return err
				}
				n += k
			}
			if n > 0 {
				fault.At(fault.MeasureUncommitted)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

func (e *Engine) measureBucket(tx *store.Tx, bucket int) (int, error) {
	contacts, err := tx.Unmeasured(bucket, measureMax)
	if err != nil {
		return 0, err
	}
	var known []store.Outcome
	for i := range contacts {
		c := &contacts[i]
		settled, err := tx.SettledAt(bucket, c.Items)
		if err != nil {
			return 0, err
		}
		if kind, ok := outcome.Of(c, settled, tx.Now(), e.cfg.Location); ok {
			known = append(known, store.Outcome{ContactID: c.ID, Kind: string(kind)})
		}
	}
	if err := tx.PutOutcomes(bucket, known); err != nil {
		return 0, err
	}
	return len(known), tx.SetMeasuredThrough(bucket, e.Today(tx.Now()))
}
