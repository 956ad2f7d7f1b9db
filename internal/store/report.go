package store

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Volume counts the contacts of a day that agree in everything it names.
type Volume struct {
	Strategy string
	Step     string
	Channel  duly.Channel
	Rung     int
	State    duly.ContactState
	Reason   string
	Slot     time.Time // the quarter of an hour, UTC, in which NotBefore lies; fine enough for every time zone
	Count    int64
}

// Volumes counts the contacts whose step fell on a day.
func (db *DB) Volumes(ctx context.Context, day civil.Date) (out []Volume, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, Volume{
				r.text(), r.text(), duly.Channel(r.text()), r.int(), duly.ContactState(r.text()), r.text(), instant(r.int64() * slotMicros), r.int64(),
			})
			return nil
		}, "SELECT strategy, step, channel, rung, state, reason, not_before / 900000000, COUNT(*) FROM contact WHERE day = $1 "+
			"GROUP BY strategy, step, channel, rung, state, reason, not_before / 900000000 "+
			"ORDER BY strategy, step, rung, channel, state, reason, not_before / 900000000", day.Int())
	})
	return out, err
}

const slotMicros = 15 * 60 * 1_000_000

// Totals counts what the store holds.
type Totals struct {
	Borrowers    int64
	Loans        int64
	Installments int64
	Open         int64 // instalments
	Payments     int64
	Outstanding  []money.Amount // of the open instalments, by currency
	Contacts     map[duly.ContactState]int64
	Attempts     map[duly.AttemptState]int64
	Receipts     int64
	Orphans      int64 // receipts that name no attempt
}

// Totals counts what the store holds. It reads whole tables.
func (db *DB) Totals(ctx context.Context) (Totals, error) {
	t := Totals{Contacts: map[duly.ContactState]int64{}, Attempts: map[duly.AttemptState]int64{}}
	err := db.View(ctx, func(tx *Tx) error {
		for _, c := range []struct {
			into  *int64
			query string
		}{
			{&t.Borrowers, "SELECT COUNT(*) FROM borrower"},
			{&t.Loans, "SELECT COUNT(*) FROM loan"},
			{&t.Installments, "SELECT COUNT(*) FROM installment"},
			{&t.Open, "SELECT COUNT(*) FROM installment WHERE open = 1"},
			{&t.Payments, "SELECT COUNT(*) FROM payment"},
			{&t.Receipts, "SELECT COUNT(*) FROM receipt"},
			{&t.Orphans, "SELECT COUNT(*) FROM orphan_receipt"},
		} {
			if err := tx.query(func(r *row) error { *c.into = r.int64(); return nil }, c.query); err != nil {
				return err
			}
		}
		err := tx.query(func(r *row) error {
			c := money.Currency(r.text())
			t.Outstanding = append(t.Outstanding, r.amount(c))
			return nil
		}, "SELECT currency, CAST(SUM(principal + interest + fee - paid_principal - paid_interest - paid_fee) AS BIGINT) FROM installment WHERE open = 1 "+
			"GROUP BY currency ORDER BY currency")
		if err != nil {
			return err
		}
		if err := tx.query(func(r *row) error { t.Contacts[duly.ContactState(r.text())] = r.int64(); return nil },
			"SELECT state, COUNT(*) FROM contact GROUP BY state"); err != nil {
			return err
		}
		return tx.query(func(r *row) error { t.Attempts[duly.AttemptState(r.text())] = r.int64(); return nil },
			"SELECT state, COUNT(*) FROM attempt GROUP BY state")
	})
	return t, err
}

// DayFilter narrows the contacts of a day; what is "" does not.
type DayFilter struct {
	State   duly.ContactState
	Step    string
	Channel duly.Channel
	Reason  string
}

// DayPage returns up to limit contacts whose step fell on a day, by bucket and id, from behind the contact after of a bucket.
func (tx *Tx) DayPage(day civil.Date, f DayFilter, bucket int, after duly.ContactID, limit int) ([]duly.Contact, error) {
	return tx.contacts(contactQuery+"day = $1 AND (state = $2 OR $2 = '') AND (step = $3 OR $3 = '') AND (channel = $4 OR $4 = '') AND (reason = $5 OR $5 = '') "+
		"AND (bucket > $6 OR bucket = $6 AND id > $7) ORDER BY bucket, id LIMIT $8",
		day.Int(), string(f.State), f.Step, string(f.Channel), f.Reason, int64(bucket), string(after), int64(limit))
}

// ImportRun is a file that was read in, or begun.
type ImportRun struct {
	Import
	ChangedAt time.Time
}

// Imports returns up to limit files that were read in, the latest first.
func (db *DB) Imports(ctx context.Context, limit int) (out []ImportRun, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, ImportRun{Import{r.text(), r.text(), r.int64(), r.int64(), r.bool()}, r.time()})
			return nil
		}, "SELECT hash, mapping, line_count, version, complete, changed_at FROM import_run ORDER BY changed_at DESC, hash, mapping LIMIT $1", int64(limit))
	})
	return out, err
}
