package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/ingest"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/mappings"
)

const (
	bookPeople = 7_000
	bookEach   = 4 // instalments
	bookHead   = "borrower_id,name,language,country,tier,zone,mobile,loan_id,contract_no,product,schedule,currency,loan_principal,disbursed_on,auto_debit,no,due_on,principal,interest,fee\n"
)

func bookRow(who, no int, principal string) string {
	return fmt.Sprintf("B%05d,Test,zh-CN,CN,A,Asia/Shanghai,+86100%08d,L%05d,,p,bullet,CNY,4000.00,2026-01-05,true,%d,2026-0%d-13,%s,1.00,0.00\n",
		who, who, who, no, no+2, principal)
}

// importMore imports a file into w and returns the lines of the rows told to be wrong, in the order in which they were told.
func (w *world) importMore(ctx context.Context, file, mapping string, progress func(engine.ImportReport)) (engine.ImportReport, []int, error) {
	w.t.Helper()
	src, err := mappings.FS.ReadFile(mapping + ".yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	m, err := ingest.LoadMapping(mapping+".yaml", src)
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []int
	r, err := w.e.Import(ctx, w.at(-20, "10:00"), file, engine.ImportOptions{Mapping: m, Progress: progress,
		Problem: func(p ingest.Problem) { lines = append(lines, p.Place.Line) }})
	return r, lines, err
}

// A book of more rows than a chunk is sorted by bucket before it is applied. What is wrong with it is told in the order of the
// file, whoever found it, and the rest is applied once; a run that was cut off goes on at the first row that is not settled.
func TestImportInWindows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		unreadable, contradicts := "a lot", "7.00"
		wrong := map[int]string{900: unreadable, 20_000: contradicts, 26_000: unreadable, 26_400: contradicts, 27_500: contradicts, 27_600: unreadable}
		var rows []string
		for i := range bookPeople * bookEach {
			if principal, ok := wrong[len(rows)]; ok {
				rows = append(rows, bookRow(i/8, 1, principal)) // of somebody who came before
			}
			rows = append(rows, bookRow(i/bookEach, i%bookEach+1, "1000.00"))
		}
		file := filepath.Join(t.TempDir(), "book.csv")
		write(t, file, bookHead+strings.Join(rows, ""))

		ctx, cancel := context.WithCancel(t.Context())
		r, told, err := w.importMore(ctx, file, "duly-book", func(engine.ImportReport) { cancel() }) // after the first window
		if err == nil || r.Complete {
			t.Fatalf("a run that was cut off ended with %+v, %v", r, err)
		}
		if want := []int{902, 20_002}; !slices.Equal(told[:min(2, len(told))], want) { // what was read and not applied may follow
			t.Errorf("first told of lines %v, want %v", told, want)
		}
		r, told, err = w.importMore(t.Context(), file, "duly-book", nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := []int{20_002, 26_002, 26_402, 27_502, 27_602}; !slices.Equal(told, want) {
			t.Errorf("then told of lines %v, want %v", told, want)
		}
		if total := int64(len(rows)); r.Rows != total || r.Rows != r.Skipped+r.Good+r.Bad || r.Skipped != 20_000 || r.Complete {
			t.Errorf("got %+v, want %d rows of which 20000 skipped, and not complete", r, total)
		}
		if n, err := db.People(t.Context()); err != nil || n != bookPeople {
			t.Errorf("people: got %d, %v, want %d", n, err, bookPeople)
		}
		owed := map[int64]int{}
		for who := range bookPeople {
			id := duly.BorrowerID(fmt.Sprintf("B%05d", who))
			err := db.View(t.Context(), func(tx *store.Tx) error {
				ledgers, err := tx.Ledgers(id.Bucket(), []duly.BorrowerID{id})
				for _, l := range ledgers {
					for _, in := range l.Installments {
						owed[in.Principal.Minor]++
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if owed[1000_00] != bookPeople*bookEach || len(owed) != 1 {
			t.Errorf("instalments by principal: %v, want %d of 100000", owed, bookPeople*bookEach)
		}
	})
}

// Payments that name only their loan find it among the loans of their own file, before or behind them.
func TestImportOwnerless(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		file := filepath.Join(t.TempDir(), "facts.jsonl")
		write(t, file, `{"kind":"payment","id":"P1","loan_id":"L1","amount":{"minor":15000,"currency":"CNY"},"value_at":"2026-02-01T10:00:00+08:00","arrived_at":"2026-02-01T10:00:00+08:00"}
{"kind":"borrower","id":"B1","name":"x","language":"zh-CN","country":"CN"}
{"kind":"loan","borrower_id":"B1","id":"L1","schedule":"bullet","currency":"CNY","principal":{"minor":15000,"currency":"CNY"},"disbursed_on":"2026-01-05"}
{"kind":"installment","borrower_id":"B1","loan_id":"L1","no":1,"due_on":"2026-03-13","principal":{"minor":15000,"currency":"CNY"},"interest":{"minor":0,"currency":"CNY"},"fee":{"minor":0,"currency":"CNY"}}
{"kind":"payment","id":"P2","loan_id":"L2","amount":{"minor":15000,"currency":"CNY"},"value_at":"2026-02-01T10:00:00+08:00","arrived_at":"2026-02-01T10:00:00+08:00"}
`)
		r, told, err := w.importMore(t.Context(), file, "duly-jsonl", nil)
		if err != nil || r.Good != 4 || r.Bad != 1 || r.Settled != 1 || !r.FeedHeld || r.Complete || !slices.Equal(told, []int{5}) {
			t.Errorf("got %+v, told of lines %v, %v", r, told, err)
		}
	})
}
