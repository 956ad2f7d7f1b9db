package store

import (
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

var paymentPut = putBatch("payment", []string{"borrower_id", "id"},
	[]string{"loan_id", "currency", "amount", "value_at", "arrived_at", "reverses", "method"}, []string{"known_version", "known_at"},
	", known_version = CASE WHEN payment.digest = excluded.digest THEN payment.known_version ELSE excluded.known_version END"+
		", known_at = CASE WHEN payment.digest = excluded.digest THEN payment.known_at ELSE excluded.known_at END")

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
	// What is written is known from the bucket's next version on: claims are made at the one before, or at this.
	extra: func(tx *Tx, a []any, f duly.Fact) []any {
		return append(a, tx.buckets[f.Owner().Bucket()].Version+1, micros(tx.now))
	},
	loan:   func(f duly.Fact) duly.LoanID { return f.(*duly.Payment).LoanID },
	ledger: true,
}

const paymentQuery = "SELECT borrower_id, id, loan_id, currency, amount, value_at, arrived_at, reverses, method, version " +
	"FROM payment WHERE bucket = $1 AND borrower_id @ids($2) ORDER BY borrower_id, id"

func scanPayment(r *row) duly.Payment {
	p := duly.Payment{BorrowerID: duly.BorrowerID(r.text()), ID: duly.PaymentID(r.text()), LoanID: duly.LoanID(r.text())}
	p.Amount = r.amount(money.Currency(r.text()))
	p.ValueAt, p.ArrivedAt, p.Reverses, p.Method, p.Version = r.time(), r.time(), duly.PaymentID(r.text()), r.text(), r.int64()
	return p
}

// Known is since when a payment, as it stands, is known.
type Known struct {
	Version int64     // of the bucket: a claim at this version or a later one knew of it; 0: it was not noted
	At      time.Time // the transaction's now, before its commit
}

// PaymentsKnown returns since when the payments of borrowers of a bucket are known.
func (tx *Tx) PaymentsKnown(bucket int, ids []duly.BorrowerID) (map[duly.BorrowerID]map[duly.PaymentID]Known, error) {
	out := map[duly.BorrowerID]map[duly.PaymentID]Known{}
	err := tx.query(func(r *row) error {
		b, id := duly.BorrowerID(r.text()), duly.PaymentID(r.text())
		if out[b] == nil {
			out[b] = map[duly.PaymentID]Known{}
		}
		out[b][id] = Known{r.int64(), r.time()}
		return nil
	}, "SELECT borrower_id, id, known_version, known_at FROM payment WHERE bucket = $1 AND borrower_id @ids($2)", int64(bucket), list(tx, ids))
	if err != nil {
		return nil, fmt.Errorf("read since when payments are known: %w", err)
	}
	return out, nil
}
