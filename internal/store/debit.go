package store

import (
	duly "github.com/dulyhq/duly"
)

var debitPut = putBatch("debit", []string{"borrower_id", "id"}, []string{"loan_id", "installment_no", "at", "state", "reason"}, nil, "")

var debitTable = factTable{
	kind:  duly.FactDebit,
	known: knownQuery("debit", "borrower_id", "id"),
	add:   addBatch(debitPut),
	put:   debitPut,
	scan:  asFact(scanDebit),
	args: func(a []any, f duly.Fact) []any {
		d := f.(*duly.Debit)
		return append(a, string(d.BorrowerID), string(d.ID), string(d.LoanID), int64(d.InstallmentNo), micros(d.At), string(d.State), d.Reason)
	},
	loan:   func(f duly.Fact) duly.LoanID { return f.(*duly.Debit).LoanID },
	ledger: true,
}

// A person's debits that still count: those not finished, and those since $3.
const debitQuery = "SELECT borrower_id, id, loan_id, installment_no, at, state, reason, version FROM debit " +
	"WHERE bucket = $1 AND borrower_id @ids($2) AND (at >= $3 OR state IN ('scheduled', 'in_flight')) ORDER BY borrower_id, at, id"

func scanDebit(r *row) duly.Debit {
	return duly.Debit{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.DebitID(r.text()), LoanID: duly.LoanID(r.text()), InstallmentNo: r.int(),
		At: r.time(), State: duly.DebitState(r.text()), Reason: r.text(), Version: r.int64(),
	}
}
