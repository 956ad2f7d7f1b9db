package store

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
)

const receiptQuery = "SELECT provider, key, attempt_id, provider_id, status, detail, at, received_at FROM receipt WHERE "

func scanReceipt(r *row) duly.Receipt {
	return duly.Receipt{
		Provider: r.text(), Key: r.text(), AttemptID: duly.AttemptID(r.text()), ProviderID: r.text(), Status: duly.ReceiptStatus(r.text()),
		Detail: r.text(), At: r.time(), ReceivedAt: r.time(),
	}
}

var putReceipts = batch{
	head: "@insert INTO receipt (bucket, provider, key, contact_id, attempt_id, provider_id, status, detail, at, received_at, applied_at) ",
	cols: 11,
	tail: " ON CONFLICT (bucket, provider, key) DO NOTHING",
}

// PutReceipts writes receipts to the inbox and returns how many were not there yet. Their attempts' buckets must be held.
func (tx *Tx) PutReceipts(receipts []duly.Receipt) (added int, err error) {
	args := make([]any, 0, putReceipts.cols*len(receipts))
	for i := range receipts {
		rc := &receipts[i]
		contact, ok := rc.AttemptID.Contact()
		b, _ := contact.Bucket()
		if !ok {
			return 0, fmt.Errorf("put receipts: %q is no attempt's id", rc.AttemptID)
		}
		if _, err := tx.held(b); err != nil {
			return 0, fmt.Errorf("put receipts: %w", err)
		}
		args = append(args, int64(b), rc.Provider, rc.Key, string(contact), string(rc.AttemptID), rc.ProviderID, string(rc.Status), rc.Detail,
			micros(rc.At), micros(rc.ReceivedAt), int64(0))
	}
	n, err := tx.rows(&putReceipts, args)
	if err != nil {
		return 0, fmt.Errorf("put receipts: %w", err)
	}
	return int(n), nil
}

// PartDetail is the detail of the receipts that PutParts writes.
const PartDetail = "part"

// PutParts writes down that a carrier took an attempt in parts, and under which references: "" for one that has none. They are receipts
// that were looked at already.
func (tx *Tx) PutParts(carrier string, id duly.AttemptID, references []string) error {
	contact, _ := id.Contact()
	b, ok := contact.Bucket()
	if !ok {
		return fmt.Errorf("put parts: %q is no attempt's id", id)
	}
	if _, err := tx.held(b); err != nil {
		return fmt.Errorf("put parts: %w", err)
	}
	args := make([]any, 0, putReceipts.cols*len(references))
	for n, ref := range references {
		args = append(args, int64(b), carrier, fmt.Sprintf("part:%s:%d", id, n+1), string(contact), string(id), ref, string(duly.ReceiptAccepted),
			PartDetail, micros(tx.now), micros(tx.now), micros(tx.now))
	}
	if _, err := tx.rows(&putReceipts, args); err != nil {
		return fmt.Errorf("put parts: %w", err)
	}
	return nil
}

func (tx *Tx) receipts(query string, args ...any) ([]duly.Receipt, error) {
	var out []duly.Receipt
	err := tx.query(func(r *row) error { out = append(out, scanReceipt(r)); return nil }, receiptQuery+query, args...)
	return out, err
}

// PendingReceipts returns the receipts of a bucket that were not looked at yet, in the order in which they came.
func (tx *Tx) PendingReceipts(bucket, limit int) ([]duly.Receipt, error) {
	return tx.receipts("bucket = $1 AND applied_at = 0 ORDER BY received_at, at, provider, key LIMIT $2", int64(bucket), int64(limit))
}

// Receipts returns the receipts of a contact, in the order in which they came.
func (tx *Tx) Receipts(id duly.ContactID) ([]duly.Receipt, error) {
	b, ok := id.Bucket()
	if !ok {
		return nil, nil
	}
	return tx.receipts("bucket = $1 AND contact_id = $2 ORDER BY received_at, at, provider, key", int64(b), string(id))
}

var markReceipts = batch{
	head: "@update receipt SET applied_at = v.column4 FROM (",
	cols: 4,
	tail: ") AS v WHERE receipt.bucket = v.column1 AND receipt.provider = v.column2 AND receipt.key = v.column3",
}

// MarkReceipts records that receipts of a bucket were looked at.
func (tx *Tx) MarkReceipts(bucket int, receipts []duly.Receipt) error {
	if _, err := tx.held(bucket); err != nil {
		return fmt.Errorf("mark receipts: %w", err)
	}
	args := make([]any, 0, markReceipts.cols*len(receipts))
	for i := range receipts {
		args = append(args, int64(bucket), receipts[i].Provider, receipts[i].Key, micros(tx.now))
	}
	if _, err := tx.rows(&markReceipts, args); err != nil {
		return fmt.Errorf("mark receipts: %w", err)
	}
	return nil
}

var putOrphans = batch{
	head:       "@insert INTO orphan_receipt (provider, key, attempt_id, provider_id, status, detail, at, received_at) ",
	cols:       8,
	tail:       " ON CONFLICT (provider, key) DO NOTHING",
	bucketless: true,
}

// PutOrphans keeps receipts that name no attempt that is known; the same one twice is kept once.
func (db *DB) PutOrphans(ctx context.Context, now time.Time, receipts []duly.Receipt) error {
	if len(receipts) == 0 {
		return nil
	}
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		args := make([]any, 0, putOrphans.cols*len(receipts))
		for i := range receipts {
			rc := &receipts[i]
			args = append(args, rc.Provider, rc.Key, string(rc.AttemptID), rc.ProviderID, string(rc.Status), rc.Detail, micros(rc.At), micros(rc.ReceivedAt))
		}
		_, err := tx.rows(&putOrphans, args)
		return err
	})
}

// Orphan is a receipt that names no attempt that is known, and how often it was looked for.
type Orphan struct {
	duly.Receipt
	Tries      int
	ReportedAt time.Time // since when nobody looks for it any more; zero: it is looked for
}

const orphanQuery = "SELECT provider, key, attempt_id, provider_id, status, detail, at, received_at, tries, reported_at FROM orphan_receipt "

func (db *DB) orphans(ctx context.Context, query string, args ...any) (out []Orphan, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out = append(out, Orphan{scanReceipt(r), r.int(), r.time()}); return nil }, orphanQuery+query, args...)
	})
	return out, err
}

// Orphans returns receipts that name no attempt that is known, oldest first.
func (db *DB) Orphans(ctx context.Context, limit int) ([]Orphan, error) {
	return db.orphans(ctx, "ORDER BY received_at, provider, key LIMIT $1", int64(limit))
}

// DueOrphans returns those of them that are to be looked for at now, in the order in which they are due.
func (db *DB) DueOrphans(ctx context.Context, now time.Time, limit int) ([]Orphan, error) {
	return db.orphans(ctx, "WHERE reported_at = 0 AND next_at <= $1 ORDER BY next_at, received_at, provider, key LIMIT $2", micros(now), int64(limit))
}

// OrphanMove is what becomes of an orphan: found, it is forgotten here; else it is looked for again at Next, or for zero no more.
type OrphanMove struct {
	Orphan
	Found bool
	Next  time.Time
}

// MoveOrphans records what became of orphans that were looked for.
func (db *DB) MoveOrphans(ctx context.Context, now time.Time, moves []OrphanMove) error {
	if len(moves) == 0 {
		return nil
	}
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		for i := range moves {
			m := &moves[i]
			query, args := "DELETE FROM orphan_receipt WHERE provider = $1 AND key = $2", []any{m.Provider, m.Key}
			if !m.Found {
				reported := int64(0)
				if m.Next.IsZero() {
					reported = micros(tx.now)
				}
				query = "UPDATE orphan_receipt SET tries = tries + 1, next_at = $3, reported_at = $4 WHERE provider = $1 AND key = $2"
				args = append(args, micros(m.Next), reported)
			}
			if _, err := tx.exec(query, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// CountOrphans counts the receipts that name no attempt that is known: those that are looked for still, and those that are not.
func (db *DB) CountOrphans(ctx context.Context) (parked, reported int, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { parked, reported = r.int(), r.int(); return nil },
			"SELECT COALESCE(SUM(CASE WHEN reported_at = 0 THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN reported_at <> 0 THEN 1 ELSE 0 END), 0) FROM orphan_receipt")
	})
	return parked, reported, err
}

// GiveUpOrphans has nobody look any more for all but so many of those that are looked for, the oldest first. It returns how many
// those are.
func (db *DB) GiveUpOrphans(ctx context.Context, now time.Time, keep int) (n int, err error) {
	err = db.Update(ctx, now, nil, func(tx *Tx) error {
		over, err := tx.exec("UPDATE orphan_receipt SET reported_at = $1 WHERE reported_at = 0 AND received_at <= COALESCE((SELECT received_at FROM orphan_receipt "+
			"WHERE reported_at = 0 ORDER BY received_at DESC LIMIT 1 OFFSET $2), -1)", micros(tx.now), int64(keep))
		n = int(over)
		return err
	})
	return n, err
}

// DropOldOrphans forgets all but so many of those that nobody looks for any more, the oldest first.
func (db *DB) DropOldOrphans(ctx context.Context, now time.Time, keep int) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		_, err := tx.exec("DELETE FROM orphan_receipt WHERE reported_at <> 0 AND reported_at < COALESCE((SELECT reported_at FROM orphan_receipt "+
			"WHERE reported_at <> 0 ORDER BY reported_at DESC LIMIT 1 OFFSET $1), 0)", int64(keep))
		return err
	})
}
