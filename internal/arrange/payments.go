package arrange

import (
	"cmp"
	"math"
	"slices"

	"github.com/dulyhq/duly"
)

// effective appends the payments that count to buf, in the order in which they are taken.
func effective(payments []duly.Payment, buf []*duly.Payment) []*duly.Payment {
	undone := reversals(payments)
	out := buf
	for i := range payments {
		if p := &payments[i]; p.Reverses == "" && !undone.reversed(p.ID) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *duly.Payment) int {
		if c := valueTime(a).Compare(valueTime(b)); c != 0 {
			return c
		}
		if c := a.ArrivedAt.Compare(b.ArrivedAt); c != 0 {
			return c
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return out
}

// reversalSet holds the payments that reverse others, by what they reverse.
type reversalSet []*duly.Payment

func reversals(payments []duly.Payment) reversalSet {
	var out reversalSet
	for i := range payments {
		if payments[i].Reverses != "" {
			out = append(out, &payments[i])
		}
	}
	slices.SortFunc(out, func(a, b *duly.Payment) int { return cmp.Compare(a.Reverses, b.Reverses) })
	return out
}

// reversed reports whether a payment is undone: some reversal of it stands. Each payment reverses at most one, so from
// a payment that reverses none the search goes along a tree and ends.
func (s reversalSet) reversed(id duly.PaymentID) bool {
	i, _ := slices.BinarySearchFunc(s, id, func(p *duly.Payment, id duly.PaymentID) int { return cmp.Compare(p.Reverses, id) })
	for ; i < len(s) && s[i].Reverses == id; i++ {
		if !s.reversed(s[i].ID) {
			return true
		}
	}
	return false
}

// check refuses what would make the sums untrue.
func check(installments []duly.Installment, payments []duly.Payment) error {
	var owner duly.BorrowerID
	same := func(b duly.BorrowerID) bool {
		if owner == "" {
			owner = b
		}
		return b == "" || b == owner
	}
	for i := range installments {
		in := &installments[i]
		if !same(in.BorrowerID) {
			return duly.Errorf(duly.Internal, "arrange.Allocate: instalments of two borrowers")
		}
		due := in.Due()
		switch {
		case due.Fee < 0 || due.Interest < 0 || due.Principal < 0:
			return duly.Errorf(duly.Invalid, "instalment %d of loan %s asks for less than nothing", in.No, in.LoanID).
				WithHint("correct its principal, interest and fee")
		case due.Fee > math.MaxInt64-due.Interest || due.Fee+due.Interest > math.MaxInt64-due.Principal:
			return duly.Errorf(duly.Invalid, "instalment %d of loan %s is too large to count", in.No, in.LoanID).
				WithHint("correct its principal, interest and fee")
		case due.Interest != 0 && in.Interest.Currency != in.Currency(), due.Fee != 0 && in.Fee.Currency != in.Currency():
			return duly.Errorf(duly.Conflict, "instalment %d of loan %s mixes currencies", in.No, in.LoanID).
				WithHint("give its principal, interest and fee in the loan's currency")
		}
	}
	for i := range payments {
		p := &payments[i]
		if !same(p.BorrowerID) {
			return duly.Errorf(duly.Internal, "arrange.Allocate: payments of another borrower")
		}
		if p.Reverses == "" && p.Amount.Minor <= 0 {
			return duly.Errorf(duly.Invalid, "payment %s is not above nothing", p.ID).
				WithHint("to undo a payment, send one that reverses it")
		}
	}
	return nil
}
