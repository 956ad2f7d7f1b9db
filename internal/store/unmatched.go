package store

import (
	"context"
	"fmt"
	"time"
)

// Unmatched is what a carrier told of somebody whom nobody knows yet. Data is personal.
type Unmatched struct {
	Carrier    string
	Key        string // the carrier's own, with its kind: the same one is kept once
	Kind       string
	Data       string // as JSON
	ReceivedAt time.Time
	TriedAt    time.Time // when it was last looked for
}

var putUnmatched = batch{
	head:       "@insert INTO unmatched (carrier, key, kind, data, received_at, tried_at) ",
	cols:       6,
	tail:       " ON CONFLICT (carrier, key) DO NOTHING",
	bucketless: true,
}

// PutUnmatched keeps what nobody is known for; the same twice is kept once. Beyond limit the oldest go, and it returns how many.
func (db *DB) PutUnmatched(ctx context.Context, now time.Time, list []Unmatched, limit int) (gone int64, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	err = db.Update(ctx, now, nil, func(tx *Tx) error {
		args := make([]any, 0, putUnmatched.cols*len(list))
		for i := range list {
			u := &list[i]
			args = append(args, u.Carrier, u.Key, u.Kind, u.Data, micros(u.ReceivedAt), micros(u.TriedAt))
		}
		if _, err := tx.rows(&putUnmatched, args); err != nil {
			return err
		}
		last := int64(-1)
		err := tx.query(func(r *row) error { last = r.int64(); return nil },
			"SELECT received_at FROM unmatched ORDER BY received_at DESC LIMIT 1 OFFSET $1", int64(limit))
		if err == nil && last >= 0 {
			gone, err = tx.exec("DELETE FROM unmatched WHERE received_at <= $1", last)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("keep what nobody is known for: %w", err)
	}
	return gone, nil
}

const unmatchedQuery = "SELECT carrier, key, kind, data, received_at, tried_at FROM unmatched "

func (db *DB) unmatched(ctx context.Context, query string, args ...any) (out []Unmatched, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		out = nil
		return tx.query(func(r *row) error {
			out = append(out, Unmatched{r.text(), r.text(), r.text(), r.text(), r.time(), r.time()})
			return nil
		}, unmatchedQuery+query, args...)
	})
	return out, err
}

// Unmatched returns what nobody is known for, the newest first.
func (db *DB) Unmatched(ctx context.Context, limit int) ([]Unmatched, error) {
	return db.unmatched(ctx, "ORDER BY received_at DESC, carrier, key LIMIT $1", int64(limit))
}

// UntriedSince returns what nobody is known for and was last looked for before an instant, longest ago first.
func (db *DB) UntriedSince(ctx context.Context, before time.Time, limit int) ([]Unmatched, error) {
	return db.unmatched(ctx, "WHERE tried_at < $1 ORDER BY tried_at, carrier, key LIMIT $2", micros(before), int64(limit))
}

// TriedUnmatched notes that it was looked in vain for those in the list, drops those of done, and all that came before an instant.
func (db *DB) TriedUnmatched(ctx context.Context, now time.Time, tried, done []Unmatched, before time.Time) error {
	err := db.Update(ctx, now, nil, func(tx *Tx) error {
		for i := range tried {
			if _, err := tx.exec("UPDATE unmatched SET tried_at = $3 WHERE carrier = $1 AND key = $2", tried[i].Carrier, tried[i].Key, micros(tx.now)); err != nil {
				return err
			}
		}
		for i := range done {
			if _, err := tx.exec("DELETE FROM unmatched WHERE carrier = $1 AND key = $2", done[i].Carrier, done[i].Key); err != nil {
				return err
			}
		}
		_, err := tx.exec("DELETE FROM unmatched WHERE received_at < $1", micros(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("note what nobody is known for: %w", err)
	}
	return nil
}
