package store

import (
	"context"
	"fmt"

	duly "github.com/dulyhq/duly"
)

// Outcome is what followed a contact, by the kinds of package outcome.
type Outcome struct {
	ContactID duly.ContactID
	Kind      string
}

var putOutcomes = batch{
	head: "@insert INTO outcome (bucket, contact_id, kind, at) ", cols: 4,
	tail: " ON CONFLICT (bucket, contact_id) DO NOTHING",
}

// PutOutcomes writes the outcomes of contacts of a bucket. The first one written is final.
func (tx *Tx) PutOutcomes(bucket int, outcomes []Outcome) error {
	if len(outcomes) == 0 {
		return nil
	}
	if _, err := tx.held(bucket); err != nil {
		return fmt.Errorf("put outcomes: %w", err)
	}
	args := make([]any, 0, putOutcomes.cols*len(outcomes))
	ids := make([]duly.ContactID, len(outcomes))
	for i, o := range outcomes {
		ids[i] = o.ContactID
		args = append(args, int64(bucket), string(o.ContactID), o.Kind, micros(tx.now))
	}
	if _, err := tx.rows(&putOutcomes, args); err != nil {
		return fmt.Errorf("put outcomes: %w", err)
	}
	if _, err := tx.exec("UPDATE contact SET measure = 2 WHERE bucket = $1 AND id @ids($2)", int64(bucket), list(tx, ids)); err != nil {
		return fmt.Errorf("put outcomes: %w", err)
	}
	return nil
}

// Unmeasured returns contacts of a bucket that went out, or may have, and whose outcome is not written, oldest day first.
func (tx *Tx) Unmeasured(bucket, limit int) ([]duly.Contact, error) {
	return tx.contacts(contactQuery+"bucket = $1 AND measure = 1 AND state <> 'planned' ORDER BY day, id LIMIT $2", int64(bucket), int64(limit))
}

// OutcomeCount is how many contacts of a step, channel and rung ended in one way.
type OutcomeCount struct {
	Strategy string
	Step     string
	Channel  duly.Channel
	Rung     int
	Kind     string
	Count    int64
}

// Outcomes counts what followed contacts, over all days.
func (db *DB) Outcomes(ctx context.Context) (out []OutcomeCount, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, OutcomeCount{r.text(), r.text(), duly.Channel(r.text()), r.int(), r.text(), r.int64()})
			return nil
		}, "SELECT c.strategy, c.step, c.channel, c.rung, o.kind, COUNT(*) FROM outcome o JOIN contact c ON c.bucket = o.bucket AND c.id = o.contact_id "+
			"GROUP BY c.strategy, c.step, c.channel, c.rung, o.kind ORDER BY c.strategy, c.step, c.rung, c.channel, o.kind")
	})
	return out, err
}
