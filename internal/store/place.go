package store

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
)

// Place is what a bucket is to a store that is one cell of several.
type Place int

// The places, in the order in which a bucket goes through them: it leaves from Here to Away, and comes from Away to Here. At no
// instant is it Here in two cells, for the one that it comes to takes it only when it is Left by the other.
const (
	Unsaid  Place = iota // nobody has said: a store by itself has every bucket, a cell those that it begins with
	Here                 // the cell has it
	Leaving              // it is to go: nothing begins any more, what has begun is finished
	Sealed               // nothing is written any more, its rows are copied
	Left                 // the other cell has it, or is to take it; its rows are still here
	Away                 // another cell has it
	Coming               // its rows are being copied to here
	Ready                // they are here, all of them
)

// String names the place as reports do.
func (p Place) String() string {
	switch p {
	case Unsaid:
		return ""
	case Here:
		return "here"
	case Leaving:
		return "leaving"
	case Sealed:
		return "sealed"
	case Left:
		return "left"
	case Away:
		return "away"
	case Coming:
		return "coming"
	case Ready:
		return "ready"
	}
	return ""
}

// places is a set of them.
type places uint

func placesOf(all ...Place) (out places) {
	for _, p := range all {
		out |= 1 << p
	}
	return out
}

func (s places) has(p Place) bool { return s>>p&1 == 1 }

// Whose buckets a transaction may hold: one that begins something, one that finishes what has begun, one of a move.
const (
	toBegin  places = 1<<Unsaid | 1<<Here
	toFinish places = toBegin | 1<<Leaving
	toMove   places = ^places(0)
)

// Moving is the error of a transaction that would write to a bucket which is on its way to another cell, or is there.
type Moving struct {
	Bucket int
	Place  Place
}

// Error says so.
func (m *Moving) Error() string { return m.Unwrap().Error() }

// Unwrap is the error for a person.
func (m *Moving) Unwrap() error {
	return duly.Errorf(duly.Unavailable, "people of bucket %d are on their way to another cell, or there", m.Bucket).WithHint("try again in a moment")
}

// Gone reports whether nothing about the bucket will be written here any more, unless it comes back.
func (m *Moving) Gone() bool { return !placesOf(Here, Leaving, Sealed).has(m.Place) }

// Placing is where a bucket is, as one cell says.
type Placing struct {
	Place  Place
	Moves  int64     // how often it had changed its cell
	Peer   string    // the cell that it goes to or comes from
	Mover  string    // the run of a move that works on it, or ""
	Until  time.Time // how long that run may be silent
	Now    time.Time // the database's
	People int64
}

// Take has a run of a move work on the bucket. It fails while another does that was heard of late.
func (p *Placing) Take(run string, lease time.Duration) error {
	if p.Mover != "" && p.Mover != run && p.Until.After(p.Now) {
		return duly.Errorf(duly.Conflict, "another process is moving it").WithHint("wait for it; if it has died, try again in %s", p.Until.Sub(p.Now).Round(time.Second)+time.Second)
	}
	p.Mover, p.Until = run, p.Now.Add(lease)
	return nil
}

// Hold is Take for a run that has taken the bucket: it fails if another has taken it since.
func (p *Placing) Hold(run string, lease time.Duration) error {
	if p.Mover != run {
		return duly.Errorf(duly.Conflict, "another process has taken the move over").WithHint("this one was silent for too long; look at `duly cells list`")
	}
	return p.Take(run, lease)
}

const placingCols = "bucket, place, moves, peer, mover, mover_until, @clock, people"

func scanPlacing(r *row) (int, Placing) {
	return r.int(), Placing{Place(r.int()), r.int64(), r.text(), r.text(), r.time(), r.time(), r.int64()}
}

// Placings returns where every bucket is, as this cell says.
func (db *DB) Placings(ctx context.Context) (out [duly.Buckets]Placing, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		text, args := db.timed("SELECT "+placingCols+" FROM bucket b", nil)
		return tx.query(func(r *row) error {
			b, p := scanPlacing(r)
			out[b] = p
			return nil
		}, text, args...)
	})
	return out, err
}

// Rehouse runs fn in a transaction that holds a bucket wherever it is, and writes back where fn says that it is. No now is
// written by it.
func (db *DB) Rehouse(ctx context.Context, bucket int, fn func(tx *Tx, p *Placing) error) error {
	return db.update(ctx, time.Time{}, []int{bucket}, toMove, false, func(tx *Tx) error {
		var was Placing
		text, args := db.timed("SELECT "+placingCols+" FROM bucket WHERE bucket = $1", []any{int64(bucket)})
		err := tx.query(func(r *row) error { _, was = scanPlacing(r); return nil }, text, args...)
		if err != nil {
			return err
		}
		p := was
		if err := fn(tx, &p); err != nil || p == was {
			return err
		}
		_, err = tx.exec("UPDATE bucket SET place = $2, moves = $3, peer = $4, mover = $5, mover_until = $6 WHERE bucket = $1",
			int64(bucket), int64(p.Place), p.Moves, p.Peer, p.Mover, micros(p.Until))
		return err
	})
}

// KeepMoving keeps others out of the buckets that a run of a move works on.
func (db *DB) KeepMoving(ctx context.Context, run string, lease time.Duration) error {
	err := db.alone(ctx, nil, "UPDATE bucket SET mover_until = @clock + $2 WHERE mover = $1", run, lease.Microseconds())
	if err != nil {
		return fmt.Errorf("keep moving: %w", err)
	}
	return nil
}

// Reclaim has this cell work again on buckets that were to leave it and whose move was cut off: nobody else has them yet, and the
// run that moved them, should it wake up, finds that they are not its own any more.
func (db *DB) Reclaim(ctx context.Context, buckets []int) error {
	err := db.alone(ctx, nil, "UPDATE bucket SET place = 1, peer = '', mover = '', mover_until = 0 WHERE place IN (2, 3) AND mover_until < @clock AND bucket @ids($1)",
		db.d.numbers(buckets))
	if err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	return nil
}

// Settle says of every bucket of which nothing was said where it is. What was said it leaves alone.
func (db *DB) Settle(ctx context.Context, place func(bucket int) Place) error {
	all := make([]int, duly.Buckets)
	for b := range all {
		all[b] = b
	}
	for _, group := range db.Groups(all) {
		err := db.update(ctx, time.Time{}, group, toMove, false, func(tx *Tx) error {
			for _, b := range group {
				if tx.buckets[b].place != Unsaid {
					continue
				}
				if _, err := tx.exec("UPDATE bucket SET place = $2 WHERE bucket = $1", int64(b), int64(place(b))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
	}
	return nil
}

// UpdateBegun is [DB.Update] for what has begun and is to be finished: it also takes buckets that are [Leaving].
func (db *DB) UpdateBegun(ctx context.Context, now time.Time, buckets []int, fn func(*Tx) error) error {
	return db.update(ctx, now, buckets, toFinish, false, fn)
}

// OpenTries counts the attempts of a bucket without an answer.
func (tx *Tx) OpenTries(bucket int) (n int, err error) {
	err = tx.query(func(r *row) error { n = r.int(); return nil }, "SELECT COUNT(*) FROM attempt WHERE bucket = $1 AND state = 'open'", int64(bucket))
	return n, err
}
