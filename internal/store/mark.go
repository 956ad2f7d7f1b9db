package store

import (
	"context"
	"fmt"
)

// Mark is a place in a log of commands: the log, by the instant at which it was made, and a number that rises in it.
type Mark struct {
	Log int64 // microseconds
	Seq int64
}

// After reports whether m comes later than o: in the same log by its number, in a newer log always.
func (m Mark) After(o Mark) bool {
	if m.Log != o.Log {
		return m.Log > o.Log
	}
	return m.Seq > o.Seq
}

// Reached is how far the commands of a log have taken effect in a bucket, and what became of the last of them.
type Reached struct {
	Mark
	Answer string // JSON
}

// Reached returns how far the commands of a log have taken effect in a bucket.
func (tx *Tx) Reached(bucket int) (Reached, error) {
	var out Reached
	found := false
	err := tx.query(func(r *row) error {
		out, found = Reached{Mark{r.int64(), r.int64()}, r.text()}, true
		return nil
	}, "SELECT log, last_seq, answer FROM stream_mark WHERE bucket = $1", int64(bucket))
	if err == nil && !found {
		err = fmt.Errorf("no mark of bucket %d", bucket)
	}
	return out, err
}

// Reach records that a command has taken effect in a bucket that the transaction holds, and what became of it. One that does
// not come after what is on record is a defect: whoever applies commands asks [Tx.Reached] first.
func (tx *Tx) Reach(bucket int, to Reached) error {
	if _, err := tx.held(bucket); err != nil {
		return err
	}
	n, err := tx.exec("UPDATE stream_mark SET log = $2, last_seq = $3, answer = $4 WHERE bucket = $1 AND (log < $2 OR log = $2 AND last_seq < $3)",
		int64(bucket), to.Log, to.Seq, to.Answer)
	if err == nil && n != 1 {
		err = fmt.Errorf("command %d of bucket %d comes after none that took effect", to.Seq, bucket)
	}
	return err
}

// Reached is [Tx.Reached] in a snapshot of its own.
func (db *DB) Reached(ctx context.Context, bucket int) (out Reached, err error) {
	err = db.View(ctx, func(tx *Tx) error { out, err = tx.Reached(bucket); return err })
	return out, err
}
