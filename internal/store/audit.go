package store

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/audit"
)

// auditPage is how many entries are read at a time when a record is followed.
const auditPage = 2000

var putAudit = batch{head: "@insert INTO audit (bucket, seq, at, kind, actor, subject, detail, hash) ", cols: 8}

func auditArgs(a []any, e *audit.Entry) []any {
	return append(a, int64(e.Bucket), e.Seq, micros(e.At), e.Kind, e.Actor, e.Subject, e.Detail, e.Hash)
}

func scanEntry(r *row) audit.Entry {
	return audit.Entry{
		Bucket: r.int(), Seq: r.int64(), At: r.time(), Kind: r.text(), Actor: r.text(), Subject: r.text(), Detail: r.text(), Hash: r.text(),
	}
}

// AuditEntries hands the entries of a bucket to fn, oldest first, until fn returns an error.
func (db *DB) AuditEntries(ctx context.Context, bucket int, fn func(audit.Entry) error) error {
	return db.View(ctx, func(tx *Tx) error { return tx.auditEntries(bucket, fn) })
}

func (tx *Tx) auditEntries(bucket int, fn func(audit.Entry) error) error {
	var after int64
	for {
		var page []audit.Entry
		err := tx.query(func(r *row) error { page = append(page, scanEntry(r)); return nil },
			"SELECT bucket, seq, at, kind, actor, subject, detail, hash FROM audit WHERE bucket = $1 AND seq > $2 ORDER BY seq LIMIT $3",
			int64(bucket), after, int64(auditPage))
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := fn(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if len(page) < auditPage {
			return nil
		}
	}
}

// FactsAt returns when the facts were applied that are known since a version of their bucket; zero where the record does not say.
func (db *DB) FactsAt(ctx context.Context, bucket int, version int64) (at time.Time, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			t := r.time()
			var detail struct{ Version int64 }
			if r.json(&detail); detail.Version == version {
				at = t
			}
			return nil
		}, "SELECT at, detail FROM audit WHERE bucket = $1 AND kind = 'facts'", int64(bucket))
	})
	return at, err
}

// AuditReport is the outcome of AuditVerify.
type AuditReport struct {
	Buckets int            // with a record
	Entries int64          // that hold
	Breaks  []*audit.Break // the first of each bucket whose record does not hold
}

// AuditVerify follows the record of every bucket and compares its end with the bucket's head.
func (db *DB) AuditVerify(ctx context.Context) (AuditReport, error) {
	var out AuditReport
	for b := range bucketsMax {
		chain, broken, err := db.auditVerify(ctx, b)
		if err != nil {
			return out, err
		}
		if chain.Seq > 0 || broken != nil {
			out.Buckets++
		}
		out.Entries += chain.Seq
		if broken != nil {
			out.Breaks = append(out.Breaks, broken)
		}
	}
	return out, nil
}

// auditVerify follows one bucket in one snapshot: what is appended meanwhile is neither entry nor head.
func (db *DB) auditVerify(ctx context.Context, bucket int) (chain audit.Chain, broken *audit.Break, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		var head audit.Chain
		err := tx.query(func(r *row) error { _, state := scanBucket(r); head = state.head; return nil },
			"SELECT "+bucketCols+" FROM bucket WHERE bucket = $1", int64(bucket))
		if err != nil {
			return err
		}
		chain, broken, err = audit.Verify(audit.Chain{Bucket: bucket, Seq: head.Seq, Hash: head.Hash}, func(yield func(audit.Entry, error) bool) {
			stop := false
			err := tx.auditEntries(bucket, func(e audit.Entry) error {
				if !stop && !yield(e, nil) {
					stop = true
				}
				return nil
			})
			if err != nil && !stop {
				yield(audit.Entry{}, err)
			}
		})
		return err
	})
	return chain, broken, err
}
