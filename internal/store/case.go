package store

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
)

var casePut = putBatch("case_file", []string{"borrower_id", "id"},
	[]string{"kind", "loan_id", "channel", "urgent", "complex", "state", "opened_at", "done_at", "author", "outcome"}, nil, "")

var caseTable = factTable{
	kind:  duly.FactCase,
	known: knownQuery("case_file", "borrower_id", "id"),
	add:   addBatch(casePut),
	put:   casePut,
	scan:  asFact(scanCase),
	args: func(a []any, f duly.Fact) []any {
		c := f.(*duly.Case)
		return append(a, string(c.BorrowerID), string(c.ID), string(c.Kind), string(c.LoanID), string(c.Channel), flag(c.Urgent), flag(c.Complex),
			string(c.State), micros(c.OpenedAt), micros(c.DoneAt), c.Author, c.Outcome)
	},
	loan: func(f duly.Fact) duly.LoanID { return f.(*duly.Case).LoanID },
}

const caseQuery = "SELECT borrower_id, id, kind, loan_id, channel, urgent, complex, state, opened_at, done_at, author, outcome, version FROM case_file WHERE "

func scanCase(r *row) duly.Case {
	return duly.Case{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.CaseID(r.text()), Kind: duly.CaseKind(r.text()), LoanID: duly.LoanID(r.text()),
		Channel: duly.Channel(r.text()), Urgent: r.bool(), Complex: r.bool(), State: duly.CaseState(r.text()), OpenedAt: r.time(), DoneAt: r.time(),
		Author: r.text(), Outcome: r.text(), Version: r.int64(),
	}
}

func (tx *Tx) cases(where string, args ...any) (out []duly.Case, err error) {
	err = tx.query(func(r *row) error { out = append(out, scanCase(r)); return nil }, caseQuery+where, args...)
	return out, err
}

// BorrowerCases returns the cases of a borrower, urgent ones first, then the oldest.
func (tx *Tx) BorrowerCases(id duly.BorrowerID) ([]duly.Case, error) {
	return tx.cases("bucket = $1 AND borrower_id = $2 ORDER BY urgent DESC, opened_at, id", int64(id.Bucket()), string(id))
}

// OpenCases returns up to limit cases of all borrowers that nobody has done yet, urgent ones first, then the oldest.
func (tx *Tx) OpenCases(limit int) ([]duly.Case, error) {
	return tx.cases("state = 'open' ORDER BY urgent DESC, opened_at, id, borrower_id LIMIT $1", int64(limit))
}

// AllCases returns up to limit cases of all borrowers, the newest first.
func (tx *Tx) AllCases(limit int) ([]duly.Case, error) {
	return tx.cases("1 = 1 ORDER BY opened_at DESC, id, borrower_id LIMIT $1", int64(limit))
}

// FindCases returns the cases of an id: as a rule one, for two borrowers may have a case of the same id.
func (db *DB) FindCases(ctx context.Context, id duly.CaseID) (out []duly.Case, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		out, err = tx.cases("id = $1 ORDER BY borrower_id", string(id))
		return err
	})
	return out, err
}

const dutyCols = "borrower_id, case_id, rule, pack, title_zh, title_en, demand, condition, due_on, due_at, lack, shadow, source, done_at"

func scanDuty(r *row) duly.CaseDuty {
	return duly.CaseDuty{
		BorrowerID: duly.BorrowerID(r.text()), CaseID: duly.CaseID(r.text()), Rule: r.text(), Pack: r.text(), TitleZH: r.text(), TitleEN: r.text(),
		Demand: r.text(), If: r.text(), DueOn: r.date(), DueAt: r.time(), Lack: r.text(), Shadow: r.bool(), Source: r.text(), DoneAt: r.time(),
	}
}

var putDuty = batch{
	head: "@insert INTO duty (bucket, " + dutyCols + ") ", cols: 15,
	tail: " ON CONFLICT (bucket, borrower_id, case_id, rule, pack) DO NOTHING",
}

// SetDuties replaces the duties of a case that are not done by the given ones. Those done stay, and a duty that is done is not
// owed a second time. The bucket must be held.
func (tx *Tx) SetDuties(c *duly.Case, duties []duly.CaseDuty) error {
	b := c.BorrowerID.Bucket()
	if err := tx.changed(b); err != nil {
		return fmt.Errorf("set duties: %w", err)
	}
	if _, err := tx.exec("DELETE FROM duty WHERE bucket = $1 AND borrower_id = $2 AND case_id = $3 AND done_at = 0",
		int64(b), string(c.BorrowerID), string(c.ID)); err != nil {
		return fmt.Errorf("set duties: %w", err)
	}
	done, err := tx.Duties(c.BorrowerID, c.ID)
	if err != nil {
		return err
	}
	was := map[string]bool{}
	for i := range done {
		was[done[i].Rule] = true
	}
	var args []any
	for i := range duties {
		d := &duties[i]
		if was[d.Rule] {
			continue
		}
		args = append(args, int64(b), string(c.BorrowerID), string(c.ID), d.Rule, d.Pack, d.TitleZH, d.TitleEN, d.Demand, d.If, d.DueOn.Int(),
			micros(d.DueAt), d.Lack, flag(d.Shadow), d.Source, micros(d.DoneAt))
	}
	if _, err := tx.rows(&putDuty, args); err != nil {
		return fmt.Errorf("set duties: %w", err)
	}
	return nil
}

// EndDuties records that what a case demanded to be done, at the latest by some time, was done at t. What is to be kept,
// deleted or waited for goes on. It returns how many duties it ended. The bucket must be held.
func (tx *Tx) EndDuties(c *duly.Case, t time.Time) (int64, error) {
	return tx.endDuties(c, t, "demand = $5", "within")
}

// EndDuty records that the duty of one rule, whatever it demands, was done at t; see EndDuties.
func (tx *Tx) EndDuty(c *duly.Case, t time.Time, rule string) (int64, error) {
	return tx.endDuties(c, t, "rule = $5", rule)
}

func (tx *Tx) endDuties(c *duly.Case, t time.Time, which, what string) (int64, error) {
	b := c.BorrowerID.Bucket()
	if err := tx.changed(b); err != nil {
		return 0, fmt.Errorf("end duties: %w", err)
	}
	n, err := tx.exec("@update duty SET done_at = $1 WHERE bucket = $2 AND borrower_id = $3 AND case_id = $4 AND done_at = 0 AND "+which,
		micros(t), int64(b), string(c.BorrowerID), string(c.ID), what)
	if err != nil {
		return 0, fmt.Errorf("end duties: %w", err)
	}
	return n, nil
}

func (tx *Tx) duties(where string, args ...any) (out []duly.CaseDuty, err error) {
	err = tx.query(func(r *row) error { out = append(out, scanDuty(r)); return nil }, "SELECT "+dutyCols+" FROM duty WHERE "+where, args...)
	return out, err
}

// Duties returns the duties of a case, soonest first; those whose time is not known stand before all others.
func (tx *Tx) Duties(b duly.BorrowerID, id duly.CaseID) ([]duly.CaseDuty, error) {
	return tx.duties("bucket = $1 AND borrower_id = $2 AND case_id = $3 ORDER BY due_at, rule, pack", int64(b.Bucket()), string(b), string(id))
}

// OpenDuties returns up to limit duties of all borrowers that are not done and whose time is not known or runs out before or
// at an instant, soonest first. What was to be kept or waited for until an instant before from is over and left out.
func (tx *Tx) OpenDuties(from, until time.Time, limit int) ([]duly.CaseDuty, error) {
	return tx.duties("done_at = 0 AND due_at <= $2 AND (due_at = 0 OR due_at > $1 OR demand IN ('within', 'erase')) ORDER BY due_at, borrower_id, case_id, rule LIMIT $3",
		micros(from), micros(until), int64(limit))
}

// BorrowerDuties is OpenDuties of one borrower.
func (tx *Tx) BorrowerDuties(b duly.BorrowerID, from, until time.Time) ([]duly.CaseDuty, error) {
	return tx.duties("bucket = $3 AND borrower_id = $4 AND done_at = 0 AND due_at <= $2 AND (due_at = 0 OR due_at > $1 OR demand IN ('within', 'erase')) "+
		"ORDER BY due_at, case_id, rule", micros(from), micros(until), int64(b.Bucket()), string(b))
}
