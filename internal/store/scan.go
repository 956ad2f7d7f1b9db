package store

import (
	"context"
	"maps"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// DayContacts returns the contacts of one bucket whose step fell on a day.
func (tx *Tx) DayContacts(bucket int, day civil.Date) ([]duly.Contact, error) {
	return tx.contacts(contactQuery+"bucket = $1 AND day = $2 ORDER BY id", int64(bucket), day.Int())
}

// BucketContacts returns every contact of one bucket.
func (tx *Tx) BucketContacts(bucket int) ([]duly.Contact, error) {
	return tx.contacts(contactQuery+"bucket = $1 ORDER BY id", int64(bucket))
}

// Sight is what is seen of a contact at a glance.
type Sight struct {
	ID        duly.ContactID
	Borrower  duly.BorrowerID
	State     duly.ContactState
	Reason    string
	NotBefore time.Time
}

// Sights returns the contacts of buckets that were changed at an instant (zero: all), at a glance and in no order.
func (tx *Tx) Sights(buckets []int, at time.Time) (out []Sight, err error) {
	err = tx.inBuckets(buckets, func(r *row) error {
		out = append(out, Sight{duly.ContactID(r.text()), duly.BorrowerID(r.text()), duly.ContactState(r.text()), r.text(), r.time()})
		return nil
	}, "SELECT id, borrower_id, state, reason, not_before FROM contact WHERE bucket @ids($1) AND (changed_at = $2 OR $2 = 0)", micros(at))
	return out, err
}

// BucketAttempts returns every attempt of one bucket, oldest first.
func (tx *Tx) BucketAttempts(bucket int) ([]duly.Attempt, error) {
	return tx.attempts("bucket = $1 ORDER BY claimed_at, contact_id, no", int64(bucket))
}

// BucketInstallments returns the instalments of one bucket that are due from one day to another.
func (tx *Tx) BucketInstallments(bucket int, from, to civil.Date) (out []duly.Installment, err error) {
	err = tx.query(func(r *row) error { out = append(out, scanInstallment(r)); return nil },
		"SELECT "+installmentCols+" FROM installment WHERE bucket = $1 AND due_on >= $2 AND due_on <= $3 ORDER BY borrower_id, loan_id, no",
		int64(bucket), from.Int(), to.Int())
	return out, err
}

// Payers returns those of the borrowers, who are given by bucket, who have paid anything yet, sorted.
func (tx *Tx) Payers(ids map[int][]duly.BorrowerID) ([]duly.BorrowerID, error) {
	has, err := tx.holdings(slices.Collect(maps.Keys(ids)))
	if err != nil {
		return nil, err
	}
	var members []member
	for bucket, tables := range has {
		if tables&paymentRows == 0 {
			continue
		}
		for _, id := range ids[bucket] {
			members = append(members, member{bucket, string(id)})
		}
	}
	var out []duly.BorrowerID
	err = tx.queries(tx.ask(newCrowd(members), func(r *row) error { out = append(out, duly.BorrowerID(r.text())); return nil },
		"SELECT DISTINCT borrower_id FROM payment WHERE bucket = $1 AND borrower_id @ids($2)")...)
	slices.Sort(out)
	return out, err
}

// People counts the borrowers.
func (db *DB) People(ctx context.Context) (n int64, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { n = r.int64(); return nil }, "SELECT CAST(SUM(people) AS BIGINT) FROM bucket")
	})
	return n, err
}

// CountContacts counts the contacts by state.
func (db *DB) CountContacts(ctx context.Context) (map[duly.ContactState]int, error) {
	out := map[duly.ContactState]int{}
	err := db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out[duly.ContactState(r.text())] = r.int(); return nil },
			"SELECT state, COUNT(*) FROM contact GROUP BY state")
	})
	return out, err
}

// FindAttempt returns one attempt, or NotFound.
func (db *DB) FindAttempt(ctx context.Context, id duly.AttemptID) (a duly.Attempt, err error) {
	err = db.View(ctx, func(tx *Tx) error { a, err = tx.FindAttempt(id); return err })
	return a, err
}

// SetFeed is Tx.SetFeed in a transaction of its own.
func (db *DB) SetFeed(ctx context.Context, now time.Time, name string, watermark time.Time) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error { return tx.SetFeed(name, watermark) })
}

// BareInsert copies the open instalments due from one day to another into a table made for it, by one statement that knows
// no rules and keeps no reasons, and drops the table. It is the yardstick of the benchmark of the plan.
func (db *DB) BareInsert(ctx context.Context, from, to civil.Date) (rows int64, err error) {
	err = db.Update(ctx, time.Time{}, nil, func(tx *Tx) error {
		if _, err := tx.exec("CREATE TABLE bare_contact (bucket INTEGER NOT NULL, id TEXT NOT NULL, borrower_id TEXT NOT NULL, due_on INTEGER NOT NULL, " +
			"outstanding BIGINT NOT NULL, PRIMARY KEY (bucket, id))"); err != nil {
			return err
		}
		rows, err = tx.exec("INSERT INTO bare_contact (bucket, id, borrower_id, due_on, outstanding) "+
			"SELECT i.bucket, i.loan_id || '/' || i.no, i.borrower_id, i.due_on, i.principal + i.interest + i.fee - i.paid_principal - i.paid_interest - i.paid_fee "+
			"FROM installment i JOIN borrower b ON b.bucket = i.bucket AND b.id = i.borrower_id WHERE i.open = 1 AND i.due_on >= $1 AND i.due_on <= $2",
			from.Int(), to.Int())
		if err != nil {
			return err
		}
		_, err = tx.exec("DROP TABLE bare_contact")
		return err
	})
	return rows, err
}
