package ingest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/mappings"
)

// realBook returns the path of a file of the published book, which lies beside the repository and is not part of it.
func realBook(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the credable book is not here: %s", path)
	}
	return path
}

func shipped(t testing.TB, name string) *ingest.Mapping {
	t.Helper()
	src, err := mappings.FS.ReadFile(name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ingest.LoadMapping(name+".yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tally counts what a file says.
type tally struct {
	Rows, Bad, Empty int
	Facts            map[duly.FactKind]int
	Borrowers        int
	PaidMinor        int64
}

func tallyOf(t *testing.T, path string, m *ingest.Mapping, opt ingest.Options, each func(duly.Fact)) tally {
	t.Helper()
	out := tally{Facts: map[duly.FactKind]int{}}
	who := map[duly.BorrowerID]bool{}
	err := ingest.Read(t.Context(), path, m, opt, func(row ingest.Row) error {
		out.Rows++
		if len(row.Problems) > 0 {
			out.Bad++
			if out.Bad < 5 {
				t.Logf("%+v", row.Problems)
			}
		} else if len(row.Facts) == 0 {
			out.Empty++
		}
		for _, f := range row.Facts {
			out.Facts[f.FactKind()]++
			who[f.Owner()] = true
			if p, ok := f.(*duly.Payment); ok {
				out.PaidMinor += p.Amount.Minor
			}
			if each != nil {
				each(f)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out.Borrowers = len(who)
	return out
}

type dueKey struct {
	due, lent      civil.Date
	principal, fee int64
	borrower       duly.BorrowerID
	no             int
	product        string
}

// The published workbook and the two normalised files tell the same story: rows in = rows read, and every loan falls due
// on the same day for the same amount.
func TestCredableReconciles(t *testing.T) {
	t.Parallel()
	book, csv, pay := realBook(t, "credable_book.xlsx"), realBook(t, "credable_instalments.csv.gz"), realBook(t, "credable_payments.csv.gz")
	collect := func(into map[duly.LoanID]dueKey) func(duly.Fact) {
		return func(f duly.Fact) {
			switch f := f.(type) {
			case *duly.Loan:
				k := into[f.ID]
				k.lent, k.product = f.DisbursedOn, f.Product
				into[f.ID] = k
			case *duly.Installment:
				k := into[f.LoanID]
				k.due, k.principal, k.fee, k.borrower, k.no = f.DueOn, f.Principal.Minor, f.Fee.Minor, f.BorrowerID, f.No
				into[f.LoanID] = k
			}
		}
	}
	fromBook, fromCSV := map[duly.LoanID]dueKey{}, map[duly.LoanID]dueKey{}

	xlsx := shipped(t, "credable-xlsx")
	ids := map[duly.PaymentID]bool{}
	got := tallyOf(t, book, xlsx, ingest.Options{Sheet: "Disbursements"}, collect(fromBook))
	if got.Rows != 26585 || got.Bad != 0 || got.Empty != 43 || got.Facts[duly.FactInstallment] != 26542 || got.Borrowers != 2996 {
		t.Errorf("disbursements: got %+v; want 26585 rows, 43 of them copies, 26542 instalments, 2996 borrowers", got)
	}
	if len(fromBook) != 26542 {
		t.Errorf("got %d loans, want 26542", len(fromBook))
	}
	clockless := 0
	got = tallyOf(t, book, xlsx, ingest.Options{Sheet: "Repayments"}, func(f duly.Fact) {
		p := f.(*duly.Payment)
		ids[p.ID] = true
		if p.LoanID != "" {
			t.Fatal("a repayment names a loan; the sheet does not")
		}
		if !p.ArrivedAt.Equal(p.ValueAt) {
			clockless++
		}
	})
	if got.Rows != 66016 || got.Bad != 0 || got.Facts[duly.FactPayment] != 66016 || len(ids) != 66016 {
		t.Errorf("repayments: got %+v and %d ids; want 66016 of each", got, len(ids))
	}
	if clockless != 7091 {
		t.Errorf("got %d repayments without a time of day, want 7091", clockless)
	}

	got = tallyOf(t, csv, shipped(t, "credable-instalments"), ingest.Options{}, collect(fromCSV))
	if got.Rows != 26542 || got.Bad != 0 || got.Facts[duly.FactInstallment] != 26542 || got.Borrowers != 2996 {
		t.Errorf("instalments: got %+v; want 26542 rows and instalments of 2996 borrowers", got)
	}
	differ := 0
	for id, want := range fromBook {
		if fromCSV[id] != want {
			if differ++; differ < 4 {
				t.Errorf("a loan differs: workbook %+v, CSV %+v", want, fromCSV[id])
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d loans differ", differ)
	}

	ids = map[duly.PaymentID]bool{}
	got = tallyOf(t, pay, shipped(t, "credable-payments"), ingest.Options{}, func(f duly.Fact) { ids[f.(*duly.Payment).ID] = true })
	if got.Rows != 61509 || got.Bad != 0 || got.Facts[duly.FactPayment] != 61509 || len(ids) != 61509 {
		t.Errorf("payments: got %+v and %d ids; want 61509 of each", got, len(ids))
	}
}

// Reading twice gives the same facts: ids made of columns are stable, copies of a row included.
func TestCredableIDsAreStable(t *testing.T) {
	t.Parallel()
	path, m := realBook(t, "credable_payments.csv.gz"), shipped(t, "credable-payments")
	read := func() []duly.PaymentID {
		var ids []duly.PaymentID
		tallyOf(t, path, m, ingest.Options{}, func(f duly.Fact) { ids = append(ids, f.(*duly.Payment).ID) })
		return ids
	}
	if diff := cmp.Diff(read(), read()); diff != "" {
		t.Errorf("ids differ from one reading to the next (-first +second):\n%s", diff)
	}
}
