package store

import (
	"context"
	"time"
)

// FeedAt returns up to when a feed's facts are known; zero if it never delivered.
func (tx *Tx) FeedAt(name string) (time.Time, error) {
	var at time.Time
	err := tx.query(func(r *row) error { at = r.time(); return nil }, "SELECT watermark FROM feed WHERE name = $1", name)
	return at, err
}

// FeedAt is [Tx.FeedAt] in a snapshot of its own.
func (db *DB) FeedAt(ctx context.Context, name string) (at time.Time, err error) {
	err = db.View(ctx, func(tx *Tx) error { at, err = tx.FeedAt(name); return err })
	return at, err
}

// SetFeed records that a feed's facts are known up to an instant. It never goes back.
func (tx *Tx) SetFeed(name string, watermark time.Time) error {
	_, err := tx.exec("INSERT INTO feed (name, watermark, changed_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE "+
		"SET watermark = excluded.watermark, changed_at = excluded.changed_at WHERE excluded.watermark > feed.watermark",
		name, micros(watermark), micros(tx.now))
	return err
}
