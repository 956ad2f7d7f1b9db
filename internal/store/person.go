package store

import (
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
)

// How far back settled instalments are read before the instant from which contacts are asked for, and how many per loan.
const (
	settledDaysBefore = 365
	settledPerLoanMax = 24
	contactDaysBefore = 100 // a contact is sent within so many days of its day; see contactPersonQuery
)

// Persons returns all that is known of borrowers of a bucket, in the order of ids; those not known are left out, ids
// named twice are returned once. Of instalments it holds the open ones and those settled lately; of consents, opt-outs,
// holds and preferences those that had not ended at since; of contacts and touches those planned, changed or made since then. It
// takes one query per table, however many ids there are.
func (tx *Tx) Persons(bucket int, ids []duly.BorrowerID, since time.Time) ([]duly.Person, error) {
	return tx.PersonsSince(bucket, ids, Since{Facts: since, Contacts: since})
}

// Since is how far back persons are read. The zero instant is everything.
type Since struct {
	Facts    time.Time // consents, refusals, holds, preferences and debits; instalments that were settled go back a year more
	Contacts time.Time // contacts and touches, which limits count
}

// PersonsSince is [Tx.Persons] with a depth of its own for contacts and touches.
func (tx *Tx) PersonsSince(bucket int, ids []duly.BorrowerID, since Since) ([]duly.Person, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	g := &gatherer{tx: tx, bucket: int64(bucket), ids: list(tx, ids), people: make([]duly.Person, 0, len(ids)), at: make(map[duly.BorrowerID]int, len(ids))}
	zones := map[string][]duly.Zone{}
	err := tx.query(func(r *row) error {
		b := scanBorrower(r, zones)
		g.at[b.ID] = len(g.people)
		g.people = append(g.people, duly.Person{Borrower: b})
		return nil
	}, borrowerQuery, g.bucket, g.ids)
	if err != nil {
		return nil, fmt.Errorf("read persons: %w", err)
	}
	if err := g.all(since); err != nil {
		return nil, fmt.Errorf("read persons: %w", err)
	}
	out := make([]duly.Person, 0, len(g.people))
	for _, id := range ids {
		if i, ok := g.at[id]; ok {
			trimSettled(&g.people[i])
			out = append(out, g.people[i])
			delete(g.at, id)
		}
	}
	return out, nil
}

// gatherer collects the parts of persons table by table.
type gatherer struct {
	tx     *Tx
	bucket int64
	ids    any
	people []duly.Person
	at     map[duly.BorrowerID]int
}

func (g *gatherer) all(since Since) error {
	from, history := micros(since.Facts), micros(since.Contacts)
	settled := micros(since.Facts.AddDate(0, 0, -settledDaysBefore))
	contacts := newContactScanner()
	for _, err := range []error{
		gather(g, scanPoint, (*duly.ContactPoint).Owner, func(p *duly.Person, x []duly.ContactPoint) { p.Points = x }, pointQuery),
		gather(g, scanLoan, (*duly.Loan).Owner, func(p *duly.Person, x []duly.Loan) { p.Loans = x }, loanQuery),
		gather(g, scanInstallment, (*duly.Installment).Owner, func(p *duly.Person, x []duly.Installment) { p.Installments = x }, installmentQuery, settled),
		gather(g, scanDebit, (*duly.Debit).Owner, func(p *duly.Person, x []duly.Debit) { p.Debits = x }, debitQuery, from),
		gather(g, scanConsent, (*duly.Consent).Owner, func(p *duly.Person, x []duly.Consent) { p.Consents = x }, consentQuery, from),
		gather(g, scanOptOut, (*duly.OptOut).Owner, func(p *duly.Person, x []duly.OptOut) { p.OptOuts = x }, optOutQuery, from),
		gather(g, scanHold, (*duly.Hold).Owner, func(p *duly.Person, x []duly.Hold) { p.Holds = x }, holdQuery, from),
		gather(g, scanNotice, (*duly.Notice).Owner, func(p *duly.Person, x []duly.Notice) { p.Notices = x }, noticeQuery),
		gather(g, scanPreference, (*duly.Preference).Owner, func(p *duly.Person, x []duly.Preference) { p.Preferences = x }, preferenceQuery, from),
		gather(g, scanTouch, (*duly.Touch).Owner, func(p *duly.Person, x []duly.Touch) { p.Touches = x }, touchQuery, history),
		gather(g, contacts.scan, func(c *duly.Contact) duly.BorrowerID { return c.BorrowerID },
			func(p *duly.Person, x []duly.Contact) { p.Contacts = x }, contactPersonQuery, dayBefore(since.Contacts, contactDaysBefore), history),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// gather reads the rows of one table, which come grouped by borrower, and gives each person theirs: parts of one slice,
// each closed to appending.
func gather[T any](g *gatherer, scan func(*row) T, owner func(*T) duly.BorrowerID, set func(*duly.Person, []T), query string, args ...any) error {
	var rows []T
	err := g.tx.query(func(r *row) error { rows = append(rows, scan(r)); return nil }, query, append([]any{g.bucket, g.ids}, args...)...)
	for len(rows) > 0 && err == nil {
		id, n := owner(&rows[0]), 1
		for n < len(rows) && owner(&rows[n]) == id {
			n++
		}
		if i, ok := g.at[id]; ok {
			set(&g.people[i], rows[:n:n])
		}
		rows = rows[n:]
	}
	return err
}

// trimSettled keeps of each loan the instalments settled last. Those open are all kept; the order stays.
func trimSettled(p *duly.Person) {
	if len(p.Installments) <= settledPerLoanMax {
		return
	}
	settled := map[duly.LoanID][]time.Time{}
	for i := range p.Installments {
		if in := &p.Installments[i]; !in.Open() {
			settled[in.LoanID] = append(settled[in.LoanID], in.SettledAt)
		}
	}
	for id, times := range settled {
		if len(times) <= settledPerLoanMax {
			continue
		}
		slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
		oldest := times[settledPerLoanMax-1]
		p.Installments = slices.DeleteFunc(p.Installments, func(in duly.Installment) bool {
			return in.LoanID == id && !in.Open() && in.SettledAt.Before(oldest)
		})
	}
}
