package store

import (
	"context"
	"slices"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

var loanPut = putBatch("loan", []string{"borrower_id", "id"},
	[]string{"contract_no", "product", "schedule", "currency", "principal", "disbursed_on", "auto_debit"}, nil, "")

var loanTable = factTable{
	kind:  duly.FactLoan,
	known: "SELECT borrower_id, id, version, digest, currency FROM loan WHERE bucket = $1 AND borrower_id @ids($2)",
	add:   addBatch(loanPut),
	put:   loanPut,
	scan:  asFact(scanLoan),
	args: func(a []any, f duly.Fact) []any {
		l := f.(*duly.Loan)
		return append(a, string(l.BorrowerID), string(l.ID), l.ContractNo, l.Product, string(l.Schedule), string(l.Currency), l.Principal.Minor,
			l.DisbursedOn.Int(), flag(l.AutoDebit))
	},
}

// A person's loans but those whose facts were removed.
const loanQuery = "SELECT borrower_id, id, contract_no, product, schedule, currency, principal, disbursed_on, auto_debit, version " +
	"FROM loan WHERE bucket = $1 AND borrower_id @ids($2) AND version < 9223372036854775807 ORDER BY borrower_id, id"

func scanLoan(r *row) duly.Loan {
	l := duly.Loan{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.LoanID(r.text()), ContractNo: r.text(), Product: r.text(),
		Schedule: duly.ScheduleKind(r.text()), Currency: money.Currency(r.text()),
	}
	l.Principal, l.DisbursedOn, l.AutoDebit, l.Version = r.amount(l.Currency), r.date(), r.bool(), r.int64()
	return l
}

// ownersMax is how many loans are looked up in one statement.
const ownersMax = 1000

// OwnersOf returns the borrowers of loans; loans that are not known are left out. A lender's loan id has one borrower; if
// it was given two, the one that the newest version names is returned.
func (db *DB) OwnersOf(ctx context.Context, loans []duly.LoanID) (map[duly.LoanID]duly.BorrowerID, error) {
	loans = slices.Clone(loans)
	slices.Sort(loans)
	out := make(map[duly.LoanID]duly.BorrowerID, len(loans))
	err := db.View(ctx, func(tx *Tx) error {
		for part := range slices.Chunk(slices.Compact(loans), ownersMax) {
			err := tx.query(func(r *row) error {
				out[duly.LoanID(r.text())] = duly.BorrowerID(r.text())
				return nil
			}, "SELECT id, borrower_id FROM loan WHERE id @ids($1) ORDER BY id, version, borrower_id", list(tx, part))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}
