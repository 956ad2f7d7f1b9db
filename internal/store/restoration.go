package store

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Restoration is a copy of a store that was put in the place of it, or is still a copy. Nothing is sent while one is held.
type Restoration struct {
	ID         string
	TakenAt    time.Time  // of this moment is the copy; zero where it is not known
	RestoredAt time.Time  // zero for a copy that nobody has restored
	ReleasedAt time.Time  // zero: held
	Through    civil.Date // contacts of days up to this may have been sent by the store that was lost
	Unknown    string     // what becomes of them: in_doubt or skip
}

// Held reports whether the restoration keeps everything from being sent.
func (r *Restoration) Held() bool { return r.ReleasedAt.IsZero() }

// Restorations returns all restorations, in order of when they were restored.
func (db *DB) Restorations(ctx context.Context) (out []Restoration, err error) {
	err = db.View(ctx, func(tx *Tx) error { out, err = tx.Restorations(); return err })
	return out, err
}

// Restorations is [DB.Restorations] in a transaction.
func (tx *Tx) Restorations() (out []Restoration, err error) {
	err = tx.query(func(r *row) error {
		out = append(out, Restoration{r.text(), r.time(), r.time(), r.time(), r.date(), r.text()})
		return nil
	}, "SELECT id, taken_at, restored_at, released_at, through, unknown FROM restoration ORDER BY restored_at, id")
	return out, err
}

// PutRestoration records a restoration, or what became of it.
func (tx *Tx) PutRestoration(r *Restoration) error {
	_, err := tx.exec("INSERT INTO restoration (id, taken_at, restored_at, released_at, through, unknown) VALUES ($1, $2, $3, $4, $5, $6) "+
		"ON CONFLICT (id) DO UPDATE SET restored_at = excluded.restored_at, released_at = excluded.released_at, through = excluded.through, unknown = excluded.unknown",
		r.ID, micros(r.TakenAt), micros(r.RestoredAt), micros(r.ReleasedAt), r.Through.Int(), r.Unknown)
	return err
}
