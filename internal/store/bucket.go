package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
)

// Bucket is the state of one partition of the people.
type Bucket struct {
	Version         int64      // counts the transactions that changed its facts or contacts
	ChangedAt       time.Time  // the latest now of those that wrote here
	People          int64      // borrowers in it
	PlannedThrough  civil.Date // the last day that was planned whole; zero: to be planned
	MeasuredThrough civil.Date // the last day on which outcomes were looked for
}

// bucketRow is a bucket that a transaction holds, written back on commit.
type bucketRow struct {
	Bucket
	head    audit.Chain
	place   Place
	moves   []byte // what contacts were before this transaction; see moved
	bumped  bool   // facts or contacts changed
	touched bool   // anything changed
}

const bucketCols = "bucket, version, changed_at, people, planned_through, measured_through, audit_seq, audit_hash, place"

func scanBucket(r *row) (int, bucketRow) {
	b := r.int()
	return b, bucketRow{
		Bucket: Bucket{r.int64(), r.time(), r.int64(), r.date(), r.date()},
		head:   audit.Chain{Bucket: b, Seq: r.int64(), Hash: r.text()},
		place:  Place(r.int()),
	}
}

// lock takes the rows of the transaction's buckets, in ascending order so that two transactions never wait for each
// other.
func (tx *Tx) lock() error {
	if len(tx.order) == 0 {
		return nil
	}
	if tx.db.spread {
		return tx.lockEach()
	}
	cols := bucketCols
	if len(tx.order) <= tx.db.d.groupMax { // not a chunk of an import, which may reckon for long
		cols += " @brief" // others wait for these buckets: a process that is paused here must not keep them
	}
	return tx.inBuckets(tx.order, func(r *row) error {
		b, state := scanBucket(r)
		tx.buckets[b] = &state
		return nil
	}, "SELECT "+cols+" FROM bucket WHERE bucket @ids($1) ORDER BY bucket @lock")
}

var closeBuckets = batch{
	head: "@update bucket SET version = v.column2, changed_at = v.column3, people = v.column4, planned_through = v.column5, " +
		"measured_through = v.column6, audit_seq = v.column7, audit_hash = v.column8 FROM (",
	cols: 8,
	tail: ") AS v WHERE bucket.bucket = v.column1",
}

// finish seals and appends the audit and writes back the buckets that changed.
func (tx *Tx) finish() error {
	var entries, states, moves []any
	for _, b := range tx.order {
		r := tx.buckets[b]
		for i := range tx.entries[b] {
			e := &tx.entries[b][i]
			r.head.Seal(e)
			entries = auditArgs(entries, e)
			r.touched = true
		}
		if !r.touched {
			continue
		}
		if r.bumped {
			r.Version++
		}
		if len(r.moves) > 0 {
			moves = append(moves, int64(b), r.Version, string(append(r.moves, ']')))
		}
		// The clock of the latest writer wins even when another's runs behind: what reads it learns that clocks differ.
		if tx.now.After(r.ChangedAt) {
			r.ChangedAt = tx.now
		}
		states = append(states, int64(b), r.Version, micros(r.ChangedAt), r.People, r.PlannedThrough.Int(), r.MeasuredThrough.Int(),
			r.head.Seq, r.head.Hash)
	}
	if _, err := tx.rows(&putAudit, entries); err != nil {
		return fmt.Errorf("append audit: %w", err)
	}
	if _, err := tx.rows(&putContactPast, moves); err != nil {
		return fmt.Errorf("keep what contacts were: %w", err)
	}
	_, err := tx.rows(&closeBuckets, states)
	return err
}

// Bucket returns the state of a bucket; in an Update that holds it, with the changes made so far.
func (tx *Tx) Bucket(bucket int) (Bucket, error) {
	if r := tx.buckets[bucket]; r != nil {
		return r.Bucket, nil
	}
	var out Bucket
	found := false
	err := tx.query(func(r *row) error {
		_, state := scanBucket(r)
		out, found = state.Bucket, true
		return nil
	}, "SELECT "+bucketCols+" FROM bucket WHERE bucket = $1", int64(bucket))
	if err == nil && !found {
		err = fmt.Errorf("no bucket %d", bucket)
	}
	return out, err
}

// Buckets returns the states of buckets, by number.
func (tx *Tx) Buckets(buckets []int) (map[int]Bucket, error) {
	out := make(map[int]Bucket, len(buckets))
	err := tx.inBuckets(buckets, func(r *row) error {
		b, state := scanBucket(r)
		out[b] = state.Bucket
		return nil
	}, "SELECT "+bucketCols+" FROM bucket WHERE bucket @ids($1)")
	return out, err
}

// SetPlannedThrough records that a bucket is planned whole up to and with a day.
func (tx *Tx) SetPlannedThrough(bucket int, day civil.Date) error {
	r, err := tx.held(bucket)
	if err != nil {
		return err
	}
	r.PlannedThrough, r.touched = day, true
	return nil
}

// MarkBucketDirty makes a bucket due to be planned whole again.
func (tx *Tx) MarkBucketDirty(bucket int) error { return tx.SetPlannedThrough(bucket, civil.Date{}) }

// SetMeasuredThrough records that outcomes of a bucket were looked for on a day.
func (tx *Tx) SetMeasuredThrough(bucket int, day civil.Date) error {
	r, err := tx.held(bucket)
	if err != nil {
		return err
	}
	r.MeasuredThrough, r.touched = day, true
	return nil
}

var putDirty = batch{
	head: "@insert INTO dirty (bucket, borrower_id, marked_at) ", cols: 3,
	tail: " ON CONFLICT (bucket, borrower_id) DO UPDATE SET marked_at = excluded.marked_at",
}

// MarkDirty makes persons due to be planned again. Their buckets must be held.
func (tx *Tx) MarkDirty(ids []duly.BorrowerID) error {
	args := make([]any, 0, 3*len(ids))
	seen := make(map[duly.BorrowerID]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		b := id.Bucket()
		if _, err := tx.held(b); err != nil {
			return err
		}
		args = append(args, int64(b), string(id), micros(tx.now))
	}
	_, err := tx.rows(&putDirty, args)
	return err
}

// Dirty returns the persons of buckets that are due to be planned again, sorted.
func (tx *Tx) Dirty(buckets []int) ([]duly.BorrowerID, error) {
	return tx.borrowerIDs(buckets, "SELECT borrower_id FROM dirty WHERE bucket @ids($1)")
}

// ClearDirty takes the marks of persons away.
func (tx *Tx) ClearDirty(bucket int, ids []duly.BorrowerID) error {
	if len(ids) == 0 {
		return nil
	}
	if _, err := tx.held(bucket); err != nil {
		return err
	}
	_, err := tx.exec("DELETE FROM dirty WHERE bucket = $1 AND borrower_id @ids($2)", int64(bucket), list(tx, ids))
	return err
}

// TakeDirty is Dirty and ClearDirty in one.
func (tx *Tx) TakeDirty(bucket int) ([]duly.BorrowerID, error) {
	ids, err := tx.Dirty([]int{bucket})
	if err != nil {
		return nil, err
	}
	return ids, tx.ClearDirty(bucket, ids)
}

// PlanBuckets returns the buckets with something to plan: people and a day not yet planned, persons marked dirty, or a
// next rung that is due; and by bucket how many persons that is at most.
func (db *DB) PlanBuckets(ctx context.Context, day civil.Date, now time.Time) (buckets []int, persons map[int]int64, err error) {
	persons = map[int]int64{}
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			b := r.int()
			buckets, persons[b] = append(buckets, b), r.int64()
			return nil
		}, "SELECT bucket, persons FROM (SELECT b.bucket AS bucket, CASE WHEN b.planned_through < $1 THEN b.people ELSE "+
			"(SELECT COUNT(*) FROM dirty d WHERE d.bucket = b.bucket) + "+
			"(SELECT COUNT(*) FROM waiting w WHERE w.bucket = b.bucket AND w.kind = 1 AND w.at <= $2) END AS persons "+
			"FROM bucket b WHERE b.people > 0) work WHERE persons > 0 ORDER BY bucket", day.Int(), micros(now))
	})
	return buckets, persons, err
}

// LeaseBuckets returns the buckets with attempts that are open though their lease has ended.
func (db *DB) LeaseBuckets(ctx context.Context, now time.Time) ([]int, error) {
	return db.bucketsWhere(ctx, db.first("attempt WHERE state = 'open'")+"EXISTS (SELECT 1 FROM attempt a WHERE a.bucket = b.bucket AND a.state = 'open' AND a.lease_until <= $1)", micros(now))
}

// InboxBuckets returns the buckets with receipts that were not looked at yet.
func (db *DB) InboxBuckets(ctx context.Context) ([]int, error) {
	return db.bucketsWhere(ctx, db.first("receipt WHERE applied_at = 0")+"EXISTS (SELECT 1 FROM receipt r WHERE r.bucket = b.bucket AND r.applied_at = 0)")
}

// MeasureBuckets returns the buckets with contacts that wait for their outcome and were not looked at on the day.
func (db *DB) MeasureBuckets(ctx context.Context, day civil.Date) ([]int, error) {
	return db.bucketsWhere(ctx, "b.measured_through < $1 AND EXISTS (SELECT 1 FROM contact c WHERE c.bucket = b.bucket AND c.measure = 1 AND c.state <> 'planned')", day.Int())
}

// BucketsChangedAfter returns the buckets in which something was written later than at.
func (db *DB) BucketsChangedAfter(ctx context.Context, at time.Time) ([]int, error) {
	return db.bucketsWhere(ctx, "b.changed_at > $1", micros(at))
}

// bucketsWhere lists buckets by a condition on row b. It asks for each of the 1,024 with an index at hand, which stays
// quick however many contacts there are.
func (db *DB) bucketsWhere(ctx context.Context, condition string, args ...any) ([]int, error) {
	var out []int
	err := db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out = append(out, r.int()); return nil },
			"SELECT b.bucket FROM bucket b WHERE "+condition+" ORDER BY b.bucket", args...)
	})
	return out, err
}

// first is a condition that a bucket is not before the first that has such rows, of which there is an index by bucket: mostly there
// are none, and no bucket is asked. Where rows lie in several places it says nothing.
func (db *DB) first(rows string) string {
	if db.spread {
		return ""
	}
	return "b.bucket >= (SELECT MIN(bucket) FROM " + rows + ") AND "
}

// Audit notes what the transaction did in a bucket that it holds. The entry is sealed and written on commit, or not at
// all. Detail is kept as JSON; it names ids, never people.
func (tx *Tx) Audit(bucket int, kind, actor, subject string, detail any) {
	_, err := tx.held(bucket)
	var b []byte
	if err == nil {
		b, err = json.Marshal(detail)
	}
	if err != nil {
		if tx.err == nil {
			tx.err = fmt.Errorf("audit %s: %w", kind, err)
		}
		return
	}
	tx.entries[bucket] = append(tx.entries[bucket], audit.Entry{
		At: tx.now, Kind: kind, Actor: strings.ToValidUTF8(actor, "?"), Subject: strings.ToValidUTF8(subject, "?"), Detail: string(b),
	})
}
