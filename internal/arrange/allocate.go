// Package arrange is the arithmetic of repayment: what each payment pays, and what a contract asks for on which day.
//
// [Allocate] is one pure function from everything a borrower owes and has paid to what is still owed. Payments count in
// the order of their value time; each pays what is due first, and of one instalment the fee, then the interest, then the
// principal. A reversed payment counts as if it had never been. Nothing is created and nothing is lost: what a payment
// does not settle stays unapplied and is told.
//
//	a, err := arrange.Allocate(installments, payments, loans, shanghai)
//	a.Installments[0].Outstanding() // what is still owed of the first
//
// [Schedule] makes the instalments of a new contract, to the cent.
package arrange

import (
	"cmp"
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Allocation is what became of one borrower's payments.
type Allocation struct {
	Installments []duly.Installment // as given and in that order, with Paid and SettledAt worked out anew
	Entries      []Entry            // what each payment paid, in the order it was applied
	Unapplied    []Unapplied        // what is left of payments, in the order they were taken
}

// Entry is the part of a payment that went to an instalment.
type Entry struct {
	PaymentID duly.PaymentID
	LoanID    duly.LoanID
	No        int
	Split     duly.Split
}

// Unapplied is the rest of a payment that found nothing to pay.
type Unapplied struct {
	PaymentID duly.PaymentID
	LoanID    duly.LoanID // as the payment has it
	Amount    money.Amount
}

// Allocate applies all payments of one borrower to all instalments of theirs; loans tell when each was disbursed, and a
// loan that is not among them may have been at any time. It changes none of its arguments, and the order of the slices
// makes no difference. Each fact is given once, as the store keeps it.
//
// Payments are taken in order of value time, then arrival, then id. A payment that names a loan pays that loan only; one
// that does not pays all loans of its currency, oldest due first, then by loan id and number. A payment never pays a
// loan disbursed after the payment's value day in loc, the zone of the lender's calendar. A payment whose id another one
// reverses counts for nothing, whichever of the two came first; a reversal that is itself reversed undoes nothing.
//
// It fails, with code conflict, where a payment's currency is not that of what it is for, and with code invalid for an
// amount that no contract or payment can have.
func Allocate(installments []duly.Installment, payments []duly.Payment, loans []duly.Loan, loc *time.Location) (Allocation, error) {
	if err := check(installments, payments); err != nil {
		return Allocation{}, err
	}
	l := ledger{out: Allocation{Installments: slices.Clone(installments)}, loc: loc}
	for i := range l.out.Installments {
		l.out.Installments[i].Paid, l.out.Installments[i].SettledAt = duly.Split{}, time.Time{}
	}
	// Every entry settles an instalment or uses up a payment.
	l.out.Entries = make([]Entry, 0, len(installments)+len(payments))
	l.line(loans)
	var buf [16]*duly.Payment
	for _, p := range effective(payments, buf[:0]) {
		if err := l.apply(p); err != nil {
			return Allocation{}, err
		}
	}
	return l.out, nil
}

// ledger is an allocation under way.
type ledger struct {
	out  Allocation
	due  []slot // oldest due first
	loc  *time.Location
	open int // the slots before this one are settled
}

// slot is an instalment in its turn.
type slot struct {
	*duly.Installment
	disbursedOn civil.Date // zero: unknown
}

// line puts the instalments in the order in which they are paid.
func (l *ledger) line(loans []duly.Loan) {
	l.due = make([]slot, len(l.out.Installments))
	last := 0
	for i := range l.due {
		in := &l.out.Installments[i]
		l.due[i].Installment = in
		// The instalments of a loan mostly stand together, so the search begins where the last one ended.
		for k := range loans {
			if j := (last + k) % len(loans); loans[j].ID == in.LoanID {
				last, l.due[i].disbursedOn = j, loans[j].DisbursedOn
				break
			}
		}
	}
	slices.SortFunc(l.due, func(a, b slot) int {
		if c := a.DueOn.Compare(b.DueOn); c != 0 {
			return c
		}
		if c := cmp.Compare(a.LoanID, b.LoanID); c != 0 {
			return c
		}
		return cmp.Compare(a.No, b.No)
	})
}

// apply pays with p what it may pay, and keeps the rest.
func (l *ledger) apply(p *duly.Payment) error {
	if !l.suits(p) {
		return duly.Errorf(duly.Conflict, "payment %s is in another currency than what it is for", p.ID).
			WithHint("correct the payment's currency or the loan it names, then send it again")
	}
	for l.open < len(l.due) && !l.due[l.open].Open() {
		l.open++
	}
	at := valueTime(p)
	left, day := p.Amount.Minor, civil.In(at, l.loc)
	for i := l.open; i < len(l.due) && left > 0; i++ {
		s := &l.due[i]
		if !s.Open() || !pays(p, s.Installment) || s.disbursedOn.After(day) {
			continue
		}
		paid := pay(s.Installment, left)
		left -= paid.Total()
		if !s.Open() {
			s.SettledAt = at
		}
		l.out.Entries = append(l.out.Entries, Entry{PaymentID: p.ID, LoanID: s.LoanID, No: s.No, Split: paid})
	}
	if left > 0 {
		l.out.Unapplied = append(l.out.Unapplied, Unapplied{PaymentID: p.ID, LoanID: p.LoanID, Amount: money.New(left, p.Amount.Currency)})
	}
	return nil
}

// suits reports whether the payment's currency is that of something it could be for, or there is nothing yet.
func (l *ledger) suits(p *duly.Payment) bool {
	none := true
	for i := range l.due {
		if pays(p, l.due[i].Installment) {
			return true
		}
		none = none && p.LoanID != "" && l.due[i].LoanID != p.LoanID
	}
	return none
}

// pays reports whether the payment may go to the instalment by loan and currency.
func pays(p *duly.Payment, in *duly.Installment) bool {
	return (p.LoanID == "" || p.LoanID == in.LoanID) && p.Amount.Currency == in.Currency()
}

// pay puts up to the given amount on an instalment and returns what it took: fee, then interest, then principal.
func pay(in *duly.Installment, amount int64) duly.Split {
	due := in.Due()
	var took duly.Split
	for _, part := range [...]struct{ paid, took, due *int64 }{
		{&in.Paid.Fee, &took.Fee, &due.Fee},
		{&in.Paid.Interest, &took.Interest, &due.Interest},
		{&in.Paid.Principal, &took.Principal, &due.Principal},
	} {
		*part.took = min(amount, *part.due-*part.paid)
		*part.paid += *part.took
		amount -= *part.took
	}
	return took
}

// valueTime is when a payment counts from; one that does not say counts from its arrival.
func valueTime(p *duly.Payment) time.Time {
	if p.ValueAt.IsZero() {
		return p.ArrivedAt
	}
	return p.ValueAt
}
