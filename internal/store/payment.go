package store

import (
	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

var paymentPut = putBatch("payment", []string{"borrower_id", "id"},
	[]string{"loan_id", "currency", "amount", "value_at", "arrived_at", "reverses", "method"}, nil, "")

var paymentTable = factTable{
	kind:  duly.FactPayment,
	known: knownQuery("payment", "borrower_id", "id"),
	add:   addBatch(paymentPut),
	put:   paymentPut,
	scan:  asFact(scanPayment),
	args: func(a []any, f duly.Fact) []any {
		p := f.(*duly.Payment)
		return append(a, string(p.BorrowerID), string(p.ID), string(p.LoanID), string(p.Amount.Currency), p.Amount.Minor,
			micros(p.ValueAt), micros(p.ArrivedAt), string(p.Reverses), p.Method)
	},
	loan: func(f duly.Fact) duly.LoanID { return f.(*duly.Payment).LoanID },
}

const paymentQuery = "SELECT borrower_id, id, loan_id, currency, amount, value_at, arrived_at, reverses, method, version " +
	"FROM payment WHERE bucket = $1 AND borrower_id @ids($2) ORDER BY borrower_id, id"

func scanPayment(r *row) duly.Payment {
	p := duly.Payment{BorrowerID: duly.BorrowerID(r.text()), ID: duly.PaymentID(r.text()), LoanID: duly.LoanID(r.text())}
	p.Amount = r.amount(money.Currency(r.text()))
	p.ValueAt, p.ArrivedAt, p.Reverses, p.Method, p.Version = r.time(), r.time(), duly.PaymentID(r.text()), r.text(), r.int64()
	return p
}
