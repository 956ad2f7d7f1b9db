package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// What need not be kept any more is removed bucket by bucket and in each person by person: whose records are looked at is
// asked for in the order of ids, a page at a time, so that no transaction is long. Nothing here decides what may go but the
// conditions that hold in every case: what waits, is in doubt or is not settled is never touched.

// versionGone is the version of a loan whose facts were removed: what a source tells of it later is older.
const versionGone = math.MaxInt64

// KeepMark is how far a bucket was gone through for what need not be kept any more.
type KeepMark struct {
	LookedOn civil.Date            // the last time
	Through  map[string]civil.Date // by kind of record: what hangs on contacts of this day and before is gone
}

// KeepMark returns the mark of a bucket.
func (tx *Tx) KeepMark(bucket int) (KeepMark, error) {
	m := KeepMark{Through: map[string]civil.Date{}}
	found := false
	err := tx.query(func(r *row) error {
		m.LookedOn, found = r.date(), true
		r.json(&m.Through)
		return nil
	}, "SELECT looked_on, through FROM keep_mark WHERE bucket = $1", int64(bucket))
	if err == nil && !found {
		err = fmt.Errorf("no keep mark of bucket %d", bucket)
	}
	return m, err
}

// SetKeepMark writes the mark of a bucket that the transaction holds.
func (tx *Tx) SetKeepMark(bucket int, m KeepMark) error {
	if _, err := tx.held(bucket); err != nil {
		return fmt.Errorf("set keep mark: %w", err)
	}
	through, err := json.Marshal(m.Through)
	if err != nil {
		return fmt.Errorf("set keep mark: %w", err)
	}
	_, err = tx.exec("UPDATE keep_mark SET looked_on = $2, through = $3 WHERE bucket = $1", int64(bucket), m.LookedOn.Int(), string(through))
	return err
}

// KeepBuckets returns the buckets with people that were not gone through after a day.
func (db *DB) KeepBuckets(ctx context.Context, day civil.Date) ([]int, error) {
	return db.bucketsWhere(ctx, "b.people > 0 AND EXISTS (SELECT 1 FROM keep_mark k WHERE k.bucket = b.bucket AND k.looked_on <= $1)", day.Int())
}

var putKeptBack = batch{
	head: "@insert INTO kept_back (bucket, borrower_id, looked_on) ", cols: 3,
	tail: " ON CONFLICT (bucket, borrower_id) DO UPDATE SET looked_on = excluded.looked_on",
}

// KeepBack notes persons of whom something that hangs on contacts was kept though it was old enough. Their buckets must be held.
func (tx *Tx) KeepBack(ids []duly.BorrowerID, day civil.Date) error {
	args := make([]any, 0, putKeptBack.cols*len(ids))
	for _, id := range ids {
		b := id.Bucket()
		if _, err := tx.held(b); err != nil {
			return fmt.Errorf("keep back: %w", err)
		}
		args = append(args, int64(b), string(id), day.Int())
	}
	_, err := tx.rows(&putKeptBack, args)
	return err
}

// KeptBack returns persons of a bucket that were noted, in the order of ids and after one of them.
func (tx *Tx) KeptBack(bucket int, after string, limit int) ([]string, error) {
	return tx.keys("SELECT borrower_id FROM kept_back WHERE bucket = $1 AND borrower_id > $2 ORDER BY borrower_id LIMIT $3", int64(bucket), after, int64(limit))
}

// DropKeptBack forgets the notes of a bucket that were made before a day.
func (tx *Tx) DropKeptBack(bucket int, day civil.Date) error {
	if _, err := tx.held(bucket); err != nil {
		return fmt.Errorf("drop kept back: %w", err)
	}
	_, err := tx.exec("DELETE FROM kept_back WHERE bucket = $1 AND looked_on < $2", int64(bucket), day.Int())
	return err
}

func (tx *Tx) keys(query string, args ...any) ([]string, error) {
	var out []string
	err := tx.query(func(r *row) error { out = append(out, r.text()); return nil }, query, args...)
	return out, err
}

// ContactPersons returns persons of a bucket with contacts of the days after one and up to another, in the order of ids and
// after one of them.
func (tx *Tx) ContactPersons(bucket int, from, through civil.Date, after string, limit int) ([]string, error) {
	return tx.keys("SELECT DISTINCT borrower_id FROM contact WHERE bucket = $1 AND borrower_id > $2 AND day > $3 AND day <= $4 ORDER BY borrower_id LIMIT $5",
		int64(bucket), after, from.Int(), through.Int(), int64(limit))
}

// OldContact is a contact that is old enough for something of it to go.
type OldContact struct {
	ID         duly.ContactID
	BorrowerID duly.BorrowerID
	Items      []duly.Item
	Over       bool // nothing will happen to it any more, and its outcome is known
}

// OldContacts returns contacts of persons of a bucket, of the days after one and up to another; those that changed at an
// instant or later are not over.
func (tx *Tx) OldContacts(bucket int, ids []string, from, through civil.Date, at time.Time) ([]OldContact, error) {
	var out []OldContact
	err := tx.query(func(r *row) error {
		out = append(out, OldContact{duly.ContactID(r.text()), duly.BorrowerID(r.text()), readItems(r), r.bool()})
		return nil
	}, "SELECT id, borrower_id, items, CASE WHEN state IN ('blocked', 'cancelled', 'accepted', 'delivered', 'read', 'failed') AND measure <> 1 "+
		"AND (fallback_at = 0 OR state IN ('blocked', 'cancelled', 'read')) AND changed_at < $5 THEN 1 ELSE 0 END "+
		"FROM contact WHERE bucket = $1 AND borrower_id @ids($2) AND day > $3 AND day <= $4 ORDER BY borrower_id, day, id",
		int64(bucket), tx.db.d.list(ids), from.Int(), through.Int(), micros(at))
	return out, err
}

// OpenItem names an instalment that is not settled.
type OpenItem struct {
	BorrowerID duly.BorrowerID
	LoanID     duly.LoanID
	No         int
}

// Bound is what keeps the records of persons from being removed.
type Bound struct {
	Persons map[string]bool   // with a case, a duty, a hold or a slot that is not over
	Items   map[OpenItem]bool // their instalments that are not settled
}

// Bound returns what keeps the records of persons of a bucket at an instant.
func (tx *Tx) Bound(bucket int, ids []string, now time.Time) (Bound, error) {
	out := Bound{map[string]bool{}, map[OpenItem]bool{}}
	person := func(r *row) error { out.Persons[r.text()] = true; return nil }
	who := []any{int64(bucket), tx.db.d.list(ids)}
	whoNow := append(who[:2:2], micros(now))
	err := tx.queries(
		ask{"SELECT borrower_id FROM case_file WHERE bucket = $1 AND borrower_id @ids($2) AND state = 'open'", who, person},
		ask{"SELECT borrower_id FROM duty WHERE bucket = $1 AND borrower_id @ids($2) AND done_at = 0 AND (due_at = 0 OR due_at > $3 OR demand IN ('within', 'erase'))", whoNow, person},
		ask{"SELECT borrower_id FROM hold WHERE bucket = $1 AND borrower_id @ids($2) AND (until = 0 OR until > $3) AND (released_at = 0 OR released_at > $3)", whoNow, person},
		ask{"SELECT borrower_id FROM touch WHERE bucket = $1 AND borrower_id @ids($2) AND state IN ('reserved', 'unknown')", who, person},
		ask{"SELECT borrower_id, loan_id, no FROM installment WHERE bucket = $1 AND borrower_id @ids($2) AND open = 1", who, func(r *row) error {
			out.Items[OpenItem{duly.BorrowerID(r.text()), duly.LoanID(r.text()), r.int()}] = true
			return nil
		}},
	)
	return out, err
}

// ContactedAfter adds to the persons those with a contact or touch after a day, of which at is the end.
func (b Bound) ContactedAfter(tx *Tx, bucket int, ids []string, day civil.Date, at time.Time) error {
	person := func(r *row) error { b.Persons[r.text()] = true; return nil }
	return tx.queries(
		ask{"SELECT DISTINCT borrower_id FROM contact WHERE bucket = $1 AND borrower_id @ids($2) AND day > $3", []any{int64(bucket), tx.db.d.list(ids), day.Int()}, person},
		ask{"SELECT DISTINCT borrower_id FROM touch WHERE bucket = $1 AND borrower_id @ids($2) AND at >= $3", []any{int64(bucket), tx.db.d.list(ids), micros(at)}, person},
	)
}

// oldRows are rows of one table that may go: deleted, or emptied by set.
type oldRows struct {
	table string
	set   string
	where string
}

// What hangs on contacts, by kind of record; what is counted stands last. $1 is the bucket, $2 the contacts.
var ofContacts = map[string][]oldRows{
	"words": {{"inbox_entry", "", "bucket = $1 AND contact_id @ids($2)"},
		{"attempt", "body = ''", "bucket = $1 AND contact_id @ids($2) AND body <> '' AND state NOT IN ('open', 'in_doubt')"}},
	"proofs":   {{"attempt", "known = ''", "bucket = $1 AND contact_id @ids($2) AND known <> '' AND state NOT IN ('open', 'in_doubt')"}},
	"receipts": {{"receipt", "", "bucket = $1 AND contact_id @ids($2) AND applied_at > 0"}},
	"outcomes": {{"outcome", "", "bucket = $1 AND contact_id @ids($2)"}},
	"contacts": {
		{"inbox_entry", "", "bucket = $1 AND contact_id @ids($2)"},
		{"attempt", "", "bucket = $1 AND contact_id @ids($2)"}, {"receipt", "", "bucket = $1 AND contact_id @ids($2)"},
		{"outcome", "", "bucket = $1 AND contact_id @ids($2)"}, {"waiting", "", "bucket = $1 AND contact_id @ids($2)"}, {"contact", "", "bucket = $1 AND id @ids($2)"},
	},
}

// ofPersons is what is found by its owner and an instant: $1 is the bucket, $2 the owners, or the last that was looked at, $3
// the instant before which it is old.
type ofPersons struct {
	key  string // the owner's column
	from string // where owners are looked for
	old  string // what makes a row of from old
	rows []oldRows
}

const (
	touchOld = "at < $3 AND state NOT IN ('reserved', 'unknown')"
	caseOld  = "state <> 'open' AND done_at > 0 AND done_at < $3"
)

// pastOf finds what facts of a kind were before, whose rows in a table are old.
func pastOf(kind, table, old string) string {
	return "bucket = $1 AND borrower_id @ids($2) AND kind = '" + kind + "' AND EXISTS (SELECT 1 FROM " + table +
		" f WHERE f.bucket = $1 AND f.borrower_id = fact_past.borrower_id AND f.id = fact_past.key AND f." + old + ")"
}

var ofOwners = map[string]ofPersons{
	"touches": {"borrower_id", "touch", touchOld, []oldRows{
		{"fact_past", "", pastOf("touch", "touch", touchOld)},
		{"touch", "", "bucket = $1 AND borrower_id @ids($2) AND " + touchOld},
	}},
	"replies": {"borrower_id", "reply", "at < $3 AND text <> ''", []oldRows{
		{"fact_past", "", pastOf("reply", "reply", "at < $3 AND text <> ''")},
		{"reply", "text = ''", "bucket = $1 AND borrower_id @ids($2) AND at < $3 AND text <> ''"},
	}},
	"cases": {"borrower_id", "case_file", caseOld, []oldRows{
		{"duty", "", "bucket = $1 AND borrower_id @ids($2) AND EXISTS (SELECT 1 FROM case_file c WHERE c.bucket = $1 AND c.borrower_id = duty.borrower_id " +
			"AND c.id = duty.case_id AND c." + caseOld + ")"},
		{"fact_past", "", pastOf("case", "case_file", caseOld)},
		{"case_file", "", "bucket = $1 AND borrower_id @ids($2) AND " + caseOld},
	}},
	"loans": {"borrower_id", "installment", "open = 0 AND settled_at < $3", nil}, // see ForgetLoans
	"sandbox": {"attempt_id", "sandbox_message", "sent_at < $3", []oldRows{
		{"sandbox_receipt", "", "bucket = $1 AND attempt_id @ids($2) AND taken = 1"},
		{"sandbox_message", "", "bucket = $1 AND attempt_id @ids($2) AND sent_at < $3"},
	}},
}

// OldOwners returns the owners in a bucket of records of a kind that are from before an instant, in the order of ids and after
// one of them. They are persons; of the sandbox's records, attempts.
func (tx *Tx) OldOwners(record string, bucket int, at time.Time, after string, limit int) ([]string, error) {
	o, ok := ofOwners[record]
	if !ok {
		return nil, fmt.Errorf("no records of kind %q have owners", record)
	}
	return tx.keys("SELECT DISTINCT "+o.key+" FROM "+o.from+" WHERE bucket = $1 AND "+o.key+" > $2 AND "+o.old+" ORDER BY "+o.key+" LIMIT $4",
		int64(bucket), after, micros(at), int64(limit))
}

// Forget removes what hangs on contacts, by kind of record, or in a View counts what it would remove. The contacts must be
// over, and in an Update their bucket held.
func (tx *Tx) Forget(record string, bucket int, ids []duly.ContactID) (int64, error) {
	rows, ok := ofContacts[record]
	if !ok {
		return 0, fmt.Errorf("no records of kind %q hang on contacts", record)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	return tx.forget(rows, bucket, record == "contacts", int64(bucket), list(tx, ids))
}

// ForgetOf removes the records of a kind that owners have from before an instant, or in a View counts them.
func (tx *Tx) ForgetOf(record string, bucket int, owners []string, at time.Time) (int64, error) {
	o, ok := ofOwners[record]
	switch {
	case !ok:
		return 0, fmt.Errorf("no records of kind %q have owners", record)
	case len(owners) == 0:
		return 0, nil
	case o.rows == nil:
		return tx.forgetLoans(bucket, owners, at)
	}
	return tx.forget(o.rows, bucket, false, int64(bucket), tx.db.d.list(owners), micros(at))
}

// forget runs over tables, and returns how many rows of the last of them are concerned.
func (tx *Tx) forget(rows []oldRows, bucket int, changes bool, args ...any) (n int64, err error) {
	if !tx.writable {
		last := rows[len(rows)-1]
		return n, tx.query(func(r *row) error { n = r.int64(); return nil }, "SELECT COUNT(*) FROM "+last.table+" WHERE "+last.where, last.needs(args)...)
	}
	if _, err = tx.held(bucket); err == nil && changes {
		err = tx.changed(bucket)
	}
	if err != nil {
		return 0, fmt.Errorf("forget: %w", err)
	}
	for _, o := range rows {
		text := "DELETE FROM " + o.table
		if o.set != "" {
			text = "UPDATE " + o.table + " SET " + o.set
		}
		if n, err = tx.exec(text+" WHERE "+o.where, o.needs(args)...); err != nil {
			return 0, fmt.Errorf("forget %s: %w", o.table, err)
		}
	}
	return n, nil
}

// needs leaves out the instant where the text does not name it: Postgres takes no value too many.
func (o *oldRows) needs(args []any) []any {
	if !strings.Contains(o.where, "$3") {
		return args[:2]
	}
	return args
}

// A loan is over when all its instalments are settled, the last of them and the last payment lie before $3, and none of its
// owner's payments leaves open which loan it was for: the rest of the ledger must come out the same without it. A revolving
// loan may be drawn again.
const loansOver = "SELECT borrower_id, id FROM loan WHERE bucket = $1 AND borrower_id @ids($2) AND version < 9223372036854775807 AND schedule <> 'revolving' " +
	"AND EXISTS (SELECT 1 FROM installment i WHERE i.bucket = $1 AND i.borrower_id = loan.borrower_id AND i.loan_id = loan.id) " +
	"AND NOT EXISTS (SELECT 1 FROM installment i WHERE i.bucket = $1 AND i.borrower_id = loan.borrower_id AND i.loan_id = loan.id " +
	"AND (i.open = 1 OR i.settled_at >= $3 OR i.due_on >= $4)) " +
	"AND NOT EXISTS (SELECT 1 FROM payment p WHERE p.bucket = $1 AND p.borrower_id = loan.borrower_id AND (p.loan_id = '' OR p.loan_id = loan.id AND p.arrived_at >= $3)) " +
	"ORDER BY borrower_id, id"

// forgetLoans removes the facts of loans that are over. Of each its id stays, as one whose facts are gone, so that what a
// source tells of it again is not taken for news.
func (tx *Tx) forgetLoans(bucket int, owners []string, at time.Time) (int64, error) {
	var over [][2]string
	err := tx.query(func(r *row) error { over = append(over, [2]string{r.text(), r.text()}); return nil },
		loansOver, int64(bucket), tx.db.d.list(owners), micros(at), civil.Of(at.UTC()).Int())
	if err != nil || !tx.writable || len(over) == 0 {
		return int64(len(over)), err
	}
	if err := tx.changed(bucket); err != nil {
		return 0, fmt.Errorf("forget loans: %w", err)
	}
	for _, l := range over {
		for _, text := range []string{
			"DELETE FROM installment WHERE bucket = $1 AND borrower_id = $2 AND loan_id = $3",
			"DELETE FROM payment WHERE bucket = $1 AND borrower_id = $2 AND loan_id = $3",
			"DELETE FROM debit WHERE bucket = $1 AND borrower_id = $2 AND loan_id = $3",
			"UPDATE loan SET contract_no = '', product = '', principal = 0, disbursed_on = 0, version = 9223372036854775807, digest = 0 WHERE bucket = $1 AND borrower_id = $2 AND id = $3",
		} {
			if _, err := tx.exec(text, int64(bucket), l[0], l[1]); err != nil {
				return 0, fmt.Errorf("forget loans: %w", err)
			}
		}
	}
	return int64(len(over)), tx.forgetLoansPast(bucket, over)
}

// forgetLoansPast removes what the facts of loans were before.
func (tx *Tx) forgetLoansPast(bucket int, over [][2]string) error {
	gone := map[[2]string]bool{}
	owners := map[string]bool{}
	for _, l := range over {
		gone[l], owners[l[0]] = true, true
	}
	type past struct {
		owner, kind, key string
		until            int64
	}
	var list []past
	err := tx.query(func(r *row) error {
		p := past{r.text(), r.text(), r.text(), r.int64()}
		cells, err := readCells(r.text())
		if err != nil {
			return err
		}
		loan, _ := cells["loan_id"].(string)
		if p.kind == string(duly.FactLoan) {
			loan = p.key
		}
		if gone[[2]string{p.owner, loan}] {
			list = append(list, p)
		}
		return nil
	}, "SELECT borrower_id, kind, key, until, content FROM fact_past WHERE bucket = $1 AND borrower_id @ids($2) AND kind IN ('loan', 'installment', 'payment', 'debit')",
		int64(bucket), tx.db.d.list(slices.Sorted(maps.Keys(owners))))
	if err != nil {
		return fmt.Errorf("forget what loans were: %w", err)
	}
	for _, p := range list {
		if _, err := tx.exec("DELETE FROM fact_past WHERE bucket = $1 AND borrower_id = $2 AND kind = $3 AND key = $4 AND until = $5",
			int64(bucket), p.owner, p.kind, p.key, p.until); err != nil {
			return fmt.Errorf("forget what loans were: %w", err)
		}
	}
	return nil
}

// ForgetPast removes what was known and planned up to a day in a bucket that the transaction holds: rounds of those days, and what
// facts and contacts were before that no later round was decided from. Those days cannot be decided again; later ones can.
func (tx *Tx) ForgetPast(bucket int, through civil.Date) error {
	if _, err := tx.held(bucket); err != nil {
		return fmt.Errorf("forget the past: %w", err)
	}
	first := int64(math.MaxInt64)
	err := tx.query(func(r *row) error { first = r.int64(); return nil },
		"SELECT COALESCE(MIN(version), 9223372036854775807) FROM plan_round WHERE bucket = $1 AND day > $2", int64(bucket), through.Int())
	for _, text := range []string{
		"DELETE FROM plan_round WHERE bucket = $1 AND version < $2", "DELETE FROM contact_past WHERE bucket = $1 AND version < $2",
		"DELETE FROM fact_past WHERE bucket = $1 AND until < $2",
	} {
		if err == nil {
			_, err = tx.exec(text, int64(bucket), first)
		}
	}
	if err != nil {
		return fmt.Errorf("forget the past: %w", err)
	}
	return nil
}

// Removed reports whether records of a bucket were removed or erased: then a past day may be decided otherwise for that.
func (db *DB) Removed(ctx context.Context, bucket int) (yes bool, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(*row) error { yes = true; return nil },
			"SELECT seq FROM audit WHERE bucket = $1 AND kind IN ('forgotten', 'erased') LIMIT 1", int64(bucket))
	})
	return yes, err
}
