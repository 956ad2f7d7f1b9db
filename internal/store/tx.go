package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
)

// Tries of a transaction that others keep from going through, and the wait between them.
const (
	triesMax     = 6
	tryDelay     = 5 * time.Millisecond
	bucketsMax   = duly.Buckets
	updateBudget = 5 * time.Minute
)

// Tx is a transaction. It belongs to the function that View or Update calls, and to one goroutine.
type Tx struct {
	db       *DB
	ctx      context.Context
	s        *session
	now      time.Time
	writable bool
	buckets  map[int]*bucketRow // those an Update holds
	order    []int              // their numbers, ascending
	entries  map[int][]audit.Entry
	err      error // of something that could not be reported where it happened
}

// Now returns the transaction's instant: that which Update was given, in whole microseconds. In a View it is zero.
func (tx *Tx) Now() time.Time { return tx.now }

// View runs fn on a snapshot: all that it reads is of one moment. It cannot write.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	s, err := db.reader.begin(ctx, db.d.beginView, false)
	if err != nil {
		return db.d.explain(fmt.Errorf("begin: %w", err))
	}
	defer db.reader.rollback(s)
	return db.d.explain(fn(&Tx{db: db, ctx: ctx, s: s}))
}

// Update runs fn in a transaction that holds the named buckets, and commits if fn returns nil. Nobody else changes those
// buckets meanwhile. Where another transaction gets in the way it is rolled back and fn is run again, a bounded number of
// times: fn must start afresh each time. On commit the audit entries are sealed and appended, and the version of every
// bucket whose facts or contacts changed goes up by one.
// A bucket that is on its way to another cell is refused; see [Moving].
func (db *DB) Update(ctx context.Context, now time.Time, buckets []int, fn func(*Tx) error) error {
	return db.update(ctx, now, buckets, toBegin, false, fn)
}

// UpdatePart is [DB.Update] for a part of something larger, which is done only when a later Update has committed: until then
// a machine that loses its power may lose the part, whole, as if it had not been. It does not wait for the disk.
func (db *DB) UpdatePart(ctx context.Context, now time.Time, buckets []int, fn func(*Tx) error) error {
	return db.update(ctx, now, buckets, toBegin, !db.spread, fn) // the commits of several servers do not last together
}

func (db *DB) update(ctx context.Context, now time.Time, buckets []int, may places, part bool, fn func(*Tx) error) error {
	order := slices.Clone(buckets)
	slices.Sort(order)
	order = slices.Compact(order)
	if len(order) > 0 && (order[0] < 0 || order[len(order)-1] >= bucketsMax) {
		return fmt.Errorf("update: bucket out of range 0 to %d", bucketsMax-1)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, updateBudget, fmt.Errorf("update took longer than %s", updateBudget))
	defer cancel()
	now = now.UTC().Truncate(time.Microsecond)
	for try := 1; ; try++ {
		err := db.updateOnce(ctx, now, order, may, part, fn)
		if err != nil && ctx.Err() != nil { // the driver may only say that it lost the connection
			return fmt.Errorf("update: %w", context.Cause(ctx))
		}
		if err == nil || try == triesMax || !db.d.again(err) {
			return db.d.explain(err)
		}
		if err := rest(ctx, tryDelay<<try+rand.N(tryDelay<<try)); err != nil {
			return err
		}
	}
}

// rest waits between two tries.
func rest(ctx context.Context, d time.Duration) error {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-wait.C:
		return nil
	}
}

func (db *DB) updateOnce(ctx context.Context, now time.Time, order []int, may places, part bool, fn func(*Tx) error) error {
	s, err := db.writer.begin(ctx, db.d.beginUpdate, part)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer db.writer.rollback(s)
	tx := &Tx{
		db: db, ctx: ctx, s: s, now: now, writable: true, order: order,
		buckets: make(map[int]*bucketRow, len(order)), entries: map[int][]audit.Entry{},
	}
	if err := tx.lock(); err != nil {
		return fmt.Errorf("lock buckets: %w", err)
	}
	for _, b := range order {
		if r := tx.buckets[b]; r != nil && !may.has(r.place) {
			return &Moving{b, r.place}
		}
	}
	if err := fn(tx); err != nil {
		return err
	}
	if tx.err != nil {
		return tx.err
	}
	if err := tx.finish(); err != nil {
		return fmt.Errorf("close buckets: %w", err)
	}
	tx.writes()
	if err := s.commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	tx.committed()
	return nil
}

// held returns the row of a bucket that the transaction holds, for writing.
func (tx *Tx) held(bucket int) (*bucketRow, error) {
	if r := tx.buckets[bucket]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("bucket %d is not held by this transaction", bucket)
}

// changed is held for a change of facts or contacts: it raises the bucket's version on commit.
func (tx *Tx) changed(bucket int) error {
	r, err := tx.held(bucket)
	if err != nil {
		return err
	}
	r.bumped, r.touched = true, true
	return nil
}

// next is the version that a bucket which the transaction holds has once it is changed and committed.
func (tx *Tx) next(bucket int) int64 { return tx.buckets[bucket].Version + 1 }

// Version returns the version that a bucket which the transaction holds and changes has once it is committed.
func (tx *Tx) Version(bucket int) int64 { return tx.next(bucket) }

func (tx *Tx) exec(query string, args ...any) (int64, error) {
	tx.writes()
	tx.told(query, args)
	return tx.s.conn.exec(tx.ctx, query, args)
}

// query hands every row to scan. All rows are read before it returns: another query may follow at once.
func (tx *Tx) query(scan func(*row) error, query string, args ...any) error {
	tx.told(query, args)
	return tx.s.conn.query(tx.ctx, query, args, scan)
}

// queries runs several queries in order. Where a server is asked it takes one round trip for all of them.
func (tx *Tx) queries(asks ...ask) error {
	for _, a := range asks {
		tx.told(a.text, a.args)
	}
	return tx.s.conn.queries(tx.ctx, asks)
}

// inBuckets hands to scan the rows of buckets that a query asks for in its $1: one query for all of them, or on a store that
// is spread one for each.
func (tx *Tx) inBuckets(buckets []int, scan func(*row) error, query string, args ...any) error {
	if alone := len(buckets) == 1 && tx.db.d.across == nil; !tx.db.spread && !alone {
		return tx.query(scan, query, append([]any{tx.db.d.numbers(buckets)}, args...)...)
	}
	query = tx.db.oneBucketText(query)
	asks := make([]ask, len(buckets))
	for i, b := range buckets {
		asks[i] = ask{query, append([]any{int64(b)}, args...), scan}
	}
	return tx.queries(asks...)
}

type oneBucketKey string

// oneBucketText is the text of a query for rows of buckets as it is for one of them.
func (db *DB) oneBucketText(text string) string {
	return db.made(oneBucketKey(text), func() string { return strings.ReplaceAll(text, "bucket @ids($1)", "bucket = $1") })
}

var errNoAnswer = errors.New("the store does not answer")

// told tells of a statement, in tests.
func (tx *Tx) told(query string, args []any) {
	if tx.db.trace != nil {
		tx.db.trace(tx, tx.db.d.words.Replace(query), args)
	}
}

// list is an argument for @ids.
func list[T ~string](tx *Tx, ids []T) any {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return tx.db.d.list(out)
}
