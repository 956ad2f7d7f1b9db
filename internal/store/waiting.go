package store

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
)

// Table waiting holds a row of each contact that waits: to be sent, or for its next rung to be due. It is what every tick looks
// into and what a claim begins with. The rows of contacts have no index over anything that sending changes, so that Postgres
// changes them in place.

// What a contact waits for.
const (
	waitsToGo   int64 = iota // or to be over
	waitsToNext              // for its next rung
)

// waitOf returns what a contact waits for and until when; ok is false where it waits for nothing.
func waitOf(c *duly.Contact) (kind, at int64, ok bool) {
	switch c.State {
	case duly.Planned:
		return waitsToGo, min(micros(c.NotBefore), micros(c.ExpiresAt)), true
	case duly.Accepted, duly.Delivered, duly.Failed:
		return waitsToNext, micros(c.FallbackAt), !c.FallbackAt.IsZero()
	case duly.Claimed, duly.Read, duly.InDoubt, duly.Blocked, duly.Cancelled:
	}
	return 0, 0, false
}

// waited reports whether a contact in a state may have a row.
func waited(s duly.ContactState) bool {
	return s == duly.Planned || s == duly.Accepted || s == duly.Delivered || s == duly.Failed
}

var (
	putWaits = addBatch(batch{head: "@insert INTO waiting (bucket, contact_id, borrower_id, kind, at, priority) ", cols: 6})
	setWaits = batch{
		head: putWaits.head, cols: putWaits.cols,
		tail: " ON CONFLICT (bucket, contact_id) DO UPDATE SET kind = excluded.kind, at = excluded.at, priority = excluded.priority",
	}
	endWaits = batch{head: "DELETE FROM waiting USING (", cols: 2, tail: ") AS v WHERE waiting.bucket = v.column1 AND waiting.contact_id = v.column2"}
)

func waitArgs(a []any, c *duly.Contact, kind, at int64) []any {
	return append(a, int64(c.BorrowerID.Bucket()), string(c.ID), string(c.BorrowerID), kind, at, int64(c.Priority))
}

// wait has what contacts wait for be what their moves make it.
func (tx *Tx) wait(moves []Move) error {
	var set, end []any
	for i := range moves {
		c := &moves[i].Contact
		switch kind, at, ok := waitOf(c); {
		case ok:
			set = waitArgs(set, c, kind, at)
		case waited(moves[i].From):
			end = append(end, int64(c.BorrowerID.Bucket()), string(c.ID))
		}
	}
	if _, err := tx.rows(&endWaits, end); err != nil {
		return err
	}
	_, err := tx.rows(&setWaits, set)
	return err
}

// Due is a contact that may go, or is over.
type Due struct {
	Contact  duly.ContactID
	Borrower duly.BorrowerID
}

// DueContacts returns the planned contacts of buckets that may go at now, or whose time is over: bucket by bucket, in each the
// most urgent first.
func (tx *Tx) DueContacts(buckets []int, now time.Time, limit int) ([]Due, error) {
	var out []Due
	err := tx.inBuckets(buckets, func(r *row) error {
		out = append(out, Due{duly.ContactID(r.text()), duly.BorrowerID(r.text())})
		return nil
	},
		"SELECT contact_id, borrower_id FROM waiting WHERE bucket @ids($1) AND kind = 0 AND at <= $2 ORDER BY bucket, priority DESC, at, contact_id LIMIT $3",
		micros(now), int64(limit))
	return out[:min(limit, len(out))], err
}

// Followups returns the persons of buckets with a contact whose next rung is due at now, sorted.
func (tx *Tx) Followups(buckets []int, now time.Time) ([]duly.BorrowerID, error) {
	return tx.borrowerIDs(buckets, "SELECT borrower_id FROM waiting WHERE bucket @ids($1) AND kind = 1 AND at <= $2", micros(now))
}

// Waiting returns the borrowers of buckets for whom a contact is planned, sorted.
func (tx *Tx) Waiting(buckets []int) ([]duly.BorrowerID, error) {
	return tx.borrowerIDs(buckets, "SELECT borrower_id FROM waiting WHERE bucket @ids($1) AND kind = 0")
}

// DueBuckets returns the buckets with planned contacts that may go at now, or whose time is over.
func (db *DB) DueBuckets(ctx context.Context, now time.Time) ([]int, error) {
	return db.bucketsWhere(ctx, "EXISTS (SELECT 1 FROM waiting w WHERE w.bucket = b.bucket AND w.kind = 0 AND w.at <= $1)", micros(now))
}

// Wait is what a contact waits for, as it is kept beside the contact.
type Wait struct {
	Contact  duly.ContactID
	Borrower duly.BorrowerID
	Next     bool // for its next rung; else to be sent
	At       time.Time
	Priority int
}

// BucketWaits returns what the contacts of one bucket wait for, by contact.
func (tx *Tx) BucketWaits(bucket int) (out []Wait, err error) {
	err = tx.query(func(r *row) error {
		out = append(out, Wait{duly.ContactID(r.text()), duly.BorrowerID(r.text()), r.bool(), r.time(), r.int()})
		return nil
	}, "SELECT contact_id, borrower_id, kind, at, priority FROM waiting WHERE bucket = $1 ORDER BY contact_id", int64(bucket))
	return out, err
}
