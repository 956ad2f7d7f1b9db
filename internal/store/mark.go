package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
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

// Reached returns how far the commands of a log have taken effect in buckets.
func (tx *Tx) Reached(buckets []int) (map[int]Reached, error) {
	out := make(map[int]Reached, len(buckets))
	err := tx.inBuckets(buckets, func(r *row) error {
		out[r.int()] = Reached{Mark{r.int64(), r.int64()}, r.text()}
		return nil
	}, "SELECT bucket, log, last_seq, answer FROM stream_mark WHERE bucket @ids($1)")
	if err == nil && len(out) != len(buckets) {
		err = fmt.Errorf("%d of %d buckets have no mark", len(buckets)-len(out), len(buckets))
	}
	return out, err
}

var reach = batch{
	head: "@update stream_mark SET log = v.column2, last_seq = v.column3, answer = v.column4 FROM (",
	cols: 4,
	tail: ") AS v WHERE stream_mark.bucket = v.column1 AND (log < v.column2 OR log = v.column2 AND last_seq < v.column3)",
}

// Reach records of buckets that the transaction holds that a command has taken effect, and what became of it. One that does not
// come after what is on record is a defect: whoever applies commands asks [Tx.Reached] first.
func (tx *Tx) Reach(to map[int]Reached) error {
	args := make([]any, 0, reach.cols*len(to))
	for _, b := range slices.Sorted(maps.Keys(to)) {
		if _, err := tx.held(b); err != nil {
			return err
		}
		args = append(args, int64(b), to[b].Log, to[b].Seq, to[b].Answer)
	}
	n, err := tx.rows(&reach, args)
	if err == nil && n != int64(len(to)) {
		err = fmt.Errorf("in %d of %d buckets the command comes after none that took effect", int64(len(to))-n, len(to))
	}
	return err
}

// Reached is [Tx.Reached] of one bucket in a snapshot of its own.
func (db *DB) Reached(ctx context.Context, bucket int) (out Reached, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		all, err := tx.Reached([]int{bucket})
		out = all[bucket]
		return err
	})
	return out, err
}
