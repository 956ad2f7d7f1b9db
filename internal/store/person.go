package store

import (
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
)

// SettledDaysBefore is how many days before the instant from which facts are asked for settled instalments are read.
const SettledDaysBefore = 365

// How many settled instalments are read of a loan, and how old a contact's day may be when it is sent.
const (
	settledPerLoanMax = 24
	contactDaysBefore = 100 // a contact is sent within so many days of its day; see contactPersonQuery
)

// Since is how far back persons are read. The zero instant is everything.
type Since struct {
	Facts    time.Time // consents, refusals, holds, preferences and debits; instalments that were settled go back a year more
	Contacts time.Time // contacts and touches, which limits count
}

// Persons is [Tx.PersonsSince] with the same depth for facts and for contacts.
func (tx *Tx) Persons(bucket int, ids []duly.BorrowerID, since time.Time) ([]duly.Person, error) {
	return tx.PersonsSince(bucket, ids, Since{Facts: since, Contacts: since})
}

// PersonsSince is [Tx.PersonsOf] for borrowers of one bucket.
func (tx *Tx) PersonsSince(_ int, ids []duly.BorrowerID, since Since) ([]duly.Person, error) {
	return tx.PersonsOf(ids, since)
}

// PersonsOf returns all that is known of borrowers of any buckets, in the order of ids; those not known are left out, ids
// named twice are returned once. Of instalments it holds the open ones and those settled lately; of consents, opt-outs,
// holds and preferences those that had not ended at since; notices all; of contacts and touches those planned, changed or made since then. It
// takes two questions to the store, however many ids there are.
func (tx *Tx) PersonsOf(ids []duly.BorrowerID, since Since) ([]duly.Person, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	g := &gatherer{tx: tx, crowd: borrowers(ids), people: make([]duly.Person, 0, len(ids)), at: make(map[duly.BorrowerID]int, len(ids))}
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
	crowd  crowd
	people []duly.Person
	at     map[duly.BorrowerID]int
	asks   []ask
	place  []func() // give each person what was read
}

func (g *gatherer) all(since Since) error {
	from, history := micros(since.Facts), micros(since.Contacts)
	settled := micros(since.Facts.AddDate(0, 0, -SettledDaysBefore))
	contacts, zones := newContactScanner(), map[string][]duly.Zone{}
	has, err := g.tx.holdings(g.crowd.numbers())
	if err != nil {
		return err
	}
	g.asks = g.tx.ask(g.crowd, func(r *row) error {
		b := scanBorrower(r, zones)
		g.at[b.ID] = len(g.people)
		g.people = append(g.people, duly.Person{Borrower: b})
		return nil
	}, borrowerQuery)
	gather(g, g.crowd, scanUsedPoint, (*duly.ContactPoint).Owner, func(p *duly.Person, x []duly.ContactPoint) { p.Points = x }, pointQuery)
	gather(g, g.crowd, scanLoan, (*duly.Loan).Owner, func(p *duly.Person, x []duly.Loan) { p.Loans = x }, loanQuery)
	gather(g, g.crowd, scanInstallment, (*duly.Installment).Owner, func(p *duly.Person, x []duly.Installment) { p.Installments = x }, installmentQuery, settled)
	gather(g, has.of(g.crowd, debitRows), scanDebit, (*duly.Debit).Owner, func(p *duly.Person, x []duly.Debit) { p.Debits = x }, debitQuery, from)
	gather(g, has.of(g.crowd, consentRows), scanConsent, (*duly.Consent).Owner, func(p *duly.Person, x []duly.Consent) { p.Consents = x }, consentQuery, from)
	gather(g, has.of(g.crowd, optOutRows), scanOptOut, (*duly.OptOut).Owner, func(p *duly.Person, x []duly.OptOut) { p.OptOuts = x }, optOutQuery, from)
	gather(g, has.of(g.crowd, holdRows), scanHold, (*duly.Hold).Owner, func(p *duly.Person, x []duly.Hold) { p.Holds = x }, holdQuery, from)
	gather(g, has.of(g.crowd, noticeRows), scanNotice, (*duly.Notice).Owner, func(p *duly.Person, x []duly.Notice) { p.Notices = x }, noticeQuery)
	gather(g, has.of(g.crowd, preferenceRows), scanPreference, (*duly.Preference).Owner, func(p *duly.Person, x []duly.Preference) { p.Preferences = x },
		preferenceQuery, from)
	gather(g, has.of(g.crowd, touchRows), scanTouch, (*duly.Touch).Owner, func(p *duly.Person, x []duly.Touch) { p.Touches = x }, touchQuery, history)
	gather(g, has.of(g.crowd, contactRows), contacts.scan, func(c *duly.Contact) duly.BorrowerID { return c.BorrowerID },
		func(p *duly.Person, x []duly.Contact) { p.Contacts = x }, contactPersonQuery, dayBefore(since.Contacts, contactDaysBefore), history)
	if err := g.tx.queries(g.asks...); err != nil {
		return err
	}
	for _, place := range g.place {
		place()
	}
	return nil
}

// gather asks for the rows of one table, which come grouped by borrower, and gives each person theirs: parts of one slice,
// each closed to appending.
func gather[T any](g *gatherer, c crowd, scan func(*row) T, owner func(*T) duly.BorrowerID, set func(*duly.Person, []T), query string, args ...any) {
	var rows []T
	g.asks = append(g.asks, g.tx.ask(c, func(r *row) error { rows = append(rows, scan(r)); return nil }, query, args...)...)
	g.place = append(g.place, func() {
		for len(rows) > 0 {
			id, n := owner(&rows[0]), 1
			for n < len(rows) && owner(&rows[n]) == id {
				n++
			}
			if i, ok := g.at[id]; ok {
				set(&g.people[i], rows[:n:n])
			}
			rows = rows[n:]
		}
	})
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
