package store

import (
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

var installmentPut = putBatch("installment", []string{"borrower_id", "loan_id", "no"},
	[]string{"due_on", "currency", "principal", "interest", "fee"}, []string{"open"},
	", open = CASE WHEN excluded.principal + excluded.interest + excluded.fee > "+
		"installment.paid_principal + installment.paid_interest + installment.paid_fee THEN 1 ELSE 0 END")

// The column open follows what is due and what is paid, so that an index can hold the open instalments alone.
var installmentTable = factTable{
	kind:  duly.FactInstallment,
	known: knownQuery("installment", "borrower_id", "loan_id || '/' || CAST(no AS TEXT)"),
	add:   addBatch(installmentPut),
	put:   installmentPut,
	scan:  asFact(scanDues),
	args: func(a []any, f duly.Fact) []any {
		i := f.(*duly.Installment)
		return append(a, string(i.BorrowerID), string(i.LoanID), int64(i.No), i.DueOn.Int(), string(i.Currency()),
			i.Principal.Minor, i.Interest.Minor, i.Fee.Minor)
	},
	extra: func(_ *Tx, a []any, f duly.Fact) []any {
		return append(a, flag(f.(*duly.Installment).Due().Total() > 0))
	},
	loan:   func(f duly.Fact) duly.LoanID { return f.(*duly.Installment).LoanID },
	ledger: true,
}

const (
	installmentCols = "borrower_id, loan_id, no, due_on, currency, principal, interest, fee, version, paid_principal, paid_interest, paid_fee, settled_at"
	// A person's instalments that still count: open ones, and those settled since $3.
	installmentQuery = "SELECT " + installmentCols + " FROM installment WHERE bucket = $1 AND borrower_id @ids($2) AND (open = 1 OR settled_at >= $3) " +
		"ORDER BY borrower_id, loan_id, no"
	installmentAllQuery = "SELECT " + installmentCols + " FROM installment WHERE bucket = $1 AND borrower_id @ids($2) ORDER BY borrower_id, loan_id, no"
)

func scanInstallment(r *row) duly.Installment {
	i := scanDues(r)
	i.Paid.Principal, i.Paid.Interest, i.Paid.Fee, i.SettledAt = r.int64(), r.int64(), r.int64(), r.time()
	return i
}

// scanDues is scanInstallment without what is derived from payments.
func scanDues(r *row) duly.Installment {
	i := duly.Installment{BorrowerID: duly.BorrowerID(r.text()), LoanID: duly.LoanID(r.text()), No: r.int(), DueOn: r.date()}
	c := money.Currency(r.text())
	i.Principal, i.Interest, i.Fee = r.amount(c), r.amount(c), r.amount(c)
	i.Version = r.int64()
	return i
}

var setPaid = batch{
	head: "@update installment SET paid_principal = v.column5, paid_interest = v.column6, paid_fee = v.column7, settled_at = v.column8, " +
		"open = CASE WHEN principal + interest + fee > v.column5 + v.column6 + v.column7 THEN 1 ELSE 0 END FROM (",
	cols: 8,
	tail: ") AS v WHERE installment.bucket = v.column1 AND installment.borrower_id = v.column2 AND installment.loan_id = v.column3 " +
		"AND installment.no = v.column4",
}

// SetPaid stores what is paid on instalments and when they were settled. They must be known, their buckets held, and
// none named twice.
func (tx *Tx) SetPaid(ins []duly.Installment) error {
	args := make([]any, 0, setPaid.cols*len(ins))
	for i := range ins {
		in := &ins[i]
		b := in.BorrowerID.Bucket()
		if err := tx.changed(b); err != nil {
			return fmt.Errorf("set paid: %w", err)
		}
		args = append(args, int64(b), string(in.BorrowerID), string(in.LoanID), int64(in.No), in.Paid.Principal, in.Paid.Interest, in.Paid.Fee,
			micros(in.SettledAt))
	}
	n, err := tx.rows(&setPaid, args)
	if err == nil && n != int64(len(ins)) {
		err = fmt.Errorf("%d of %d instalments are not known", int64(len(ins))-n, len(ins))
	}
	if err != nil {
		return fmt.Errorf("set paid: %w", err)
	}
	return nil
}

// Due returns the persons of buckets with an open instalment that is due in from … to, both included, sorted.
func (tx *Tx) Due(buckets []int, from, to civil.Date) ([]duly.BorrowerID, error) {
	return tx.borrowerIDs(buckets, "SELECT borrower_id FROM installment WHERE bucket @ids($1) AND open = 1 AND due_on >= $2 AND due_on <= $3",
		from.Int(), to.Int())
}

// borrowerIDs reads ids of buckets and returns each once, sorted by bytes: the engines sort texts each in their own way.
func (tx *Tx) borrowerIDs(buckets []int, query string, args ...any) ([]duly.BorrowerID, error) {
	var out []duly.BorrowerID
	err := tx.inBuckets(buckets, func(r *row) error { out = append(out, duly.BorrowerID(r.text())); return nil }, query, args...)
	slices.Sort(out)
	return slices.Compact(out), err
}

// Ledger is what one person owes and has paid, whole.
type Ledger struct {
	BorrowerID   duly.BorrowerID
	Loans        []duly.Loan
	Installments []duly.Installment // all, by loan and number
	Payments     []duly.Payment     // all, reversals too, by id
}

// Ledgers returns the ledgers of borrowers of a bucket, in the order of ids; those of whom nothing is known are left out.
func (tx *Tx) Ledgers(bucket int, ids []duly.BorrowerID) ([]Ledger, error) {
	at := make(map[duly.BorrowerID]*Ledger, len(ids))
	get := func(id duly.BorrowerID) *Ledger {
		l := at[id]
		if l == nil {
			l = &Ledger{BorrowerID: id}
			at[id] = l
		}
		return l
	}
	arg := list(tx, ids)
	var asks []ask
	for _, q := range []struct {
		text string
		scan func(r *row)
	}{
		{loanQuery, func(r *row) { x := scanLoan(r); l := get(x.BorrowerID); l.Loans = append(l.Loans, x) }},
		{installmentAllQuery, func(r *row) {
			x := scanInstallment(r)
			l := get(x.BorrowerID)
			l.Installments = append(l.Installments, x)
		}},
		{paymentQuery, func(r *row) { x := scanPayment(r); l := get(x.BorrowerID); l.Payments = append(l.Payments, x) }},
	} {
		asks = append(asks, ask{q.text, []any{int64(bucket), arg}, func(r *row) error { q.scan(r); return nil }})
	}
	if err := tx.queries(asks...); err != nil {
		return nil, fmt.Errorf("read ledgers: %w", err)
	}
	out := make([]Ledger, 0, len(at))
	for _, id := range ids {
		if l := at[id]; l != nil {
			out = append(out, *l)
			delete(at, id)
		}
	}
	return out, nil
}

// SettledAt returns, for each item in order, when the instalment was settled; zero while it is open or unknown.
func (tx *Tx) SettledAt(bucket int, items []duly.Item) ([]time.Time, error) {
	loans := make([]duly.LoanID, len(items))
	for i, it := range items {
		loans[i] = it.LoanID
	}
	type key struct {
		loan duly.LoanID
		no   int
	}
	at := map[key]time.Time{}
	err := tx.query(func(r *row) error {
		k := key{duly.LoanID(r.text()), r.int()}
		at[k] = r.time()
		return nil
	}, "SELECT i.loan_id, i.no, i.settled_at FROM loan l CROSS JOIN installment i "+ // CROSS: SQLite looks the loans up first
		"WHERE l.bucket = $1 AND l.id @ids($2) AND i.bucket = l.bucket AND i.borrower_id = l.borrower_id AND i.loan_id = l.id AND i.open = 0", int64(bucket), list(tx, loans))
	out := make([]time.Time, len(items))
	for i, it := range items {
		out[i] = at[key{it.LoanID, it.No}]
	}
	return out, err
}
