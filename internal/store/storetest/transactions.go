package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

func testAudit(t *testing.T, w *world) {
	ctx := context.Background()
	for i := range 3 {
		w.update([]int{30, 31}, func(tx *store.Tx) error {
			tx.Audit(31, "facts", "import", "s", map[string]int{"n": i})
			tx.Audit(30, "facts", "import", "", "<&>\"")
			tx.Audit(31, "more", "import", "s", nil)
			return nil
		})
	}
	if err := w.try([]int{30}, func(tx *store.Tx) error { tx.Audit(30, "never", "x", "", nil); return errOnPurpose }); !errors.Is(err, errOnPurpose) {
		t.Errorf("got %v, want the function's own error", err)
	}
	if err := w.try([]int{30}, func(tx *store.Tx) error { tx.Audit(30, "never", "x", "", func() {}); return nil }); err == nil {
		t.Error("a detail that is no JSON: got no error")
	}
	var got []audit.Entry
	if err := w.db.AuditEntries(ctx, 31, func(e audit.Entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 6 || got[0].Kind != "facts" || got[5].Kind != "more" || got[4].Detail != `{"n":2}` || !got[0].At.Equal(w.now) {
		t.Errorf("entries: got %+v", got)
	}
	r, err := w.db.AuditVerify(ctx)
	if err != nil || r.Buckets != 2 || r.Entries != 9 || len(r.Breaks) != 0 {
		t.Errorf("verify: got %+v, %v; want 2 buckets, 9 entries, no break", r, err)
	}
}

func testRollback(t *testing.T, w *world) {
	b := InBucket(32, 1)[0]
	err := w.try([]int{32}, func(tx *store.Tx) error {
		if _, err := tx.Put([]duly.Fact{Borrower(b)}); err != nil {
			return err
		}
		return errOnPurpose
	})
	if !errors.Is(err, errOnPurpose) {
		t.Errorf("got %v, want the function's own error", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic did not come through")
			}
		}()
		w.try([]int{32}, func(tx *store.Tx) error {
			if _, err := tx.Put([]duly.Fact{Borrower(b)}); err != nil {
				return err
			}
			panic("on purpose")
		})
	}()
	ctx, cancel := context.WithCancel(context.Background())
	err = w.db.Update(ctx, w.now, []int{32}, func(tx *store.Tx) error {
		_, err := tx.Put([]duly.Fact{Borrower(b)})
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before commit: got %v, want that", err)
	}
	w.same("bucket", w.bucket(32), store.Bucket{})
	w.same("the store works on", w.put(Borrower(b)), []store.PutResult{store.Added})
}

func testNotHeld(t *testing.T, w *world) {
	b, other := InBucket(33, 1)[0], InBucket(34, 1)[0]
	c := Contact(other, "d-3", today, 0)
	a := Attempt(&c, 1)
	for name, fn := range map[string]func(tx *store.Tx) error{
		"put":      func(tx *store.Tx) error { _, err := tx.Put([]duly.Fact{Borrower(b), Borrower(other)}); return err },
		"paid":     func(tx *store.Tx) error { return tx.SetPaid([]duly.Installment{*Installment(other, "L", 1, today)}) },
		"dirty":    func(tx *store.Tx) error { return tx.MarkDirty([]duly.BorrowerID{other}) },
		"planned":  func(tx *store.Tx) error { return tx.SetPlannedThrough(34, today) },
		"contacts": func(tx *store.Tx) error { return tx.PutContacts([]duly.Contact{c}) },
		"move":     func(tx *store.Tx) error { return tx.MoveContacts([]store.Move{{Contact: c, From: duly.Planned}}) },
		"attempts": func(tx *store.Tx) error { return tx.PutAttempts([]duly.Attempt{a}) },
		"finish":   func(tx *store.Tx) error { return tx.FinishAttempts([]duly.Attempt{a}) },
		"receipts": func(tx *store.Tx) error { _, err := tx.PutReceipts([]duly.Receipt{{AttemptID: a.ID}}); return err },
		"audit":    func(tx *store.Tx) error { tx.Audit(34, "x", "x", "", nil); return nil },
		"point":    func(tx *store.Tx) error { return tx.SetPointState(34, other, "m1", duly.PointBounced) },
	} {
		if err := w.try([]int{33}, fn); err == nil {
			t.Errorf("%s in a bucket that is not held: got no error", name)
		}
		if err := w.db.View(context.Background(), fn); name != "audit" && err == nil {
			t.Errorf("%s in a view: got no error", name)
		}
	}
	if err := w.try([]int{1024}, func(*store.Tx) error { return nil }); err == nil {
		t.Error("bucket 1024: got no error")
	}
}

func testSnapshot(t *testing.T, w *world) {
	ids := InBucket(35, 2)
	w.put(Borrower(ids[0]))
	w.view(func(tx *store.Tx) error {
		before, err := tx.Bucket(35)
		if err != nil {
			return err
		}
		w.put(Borrower(ids[1]))
		after, err := tx.Bucket(35)
		w.same("bucket", after, before)
		if err != nil {
			return err
		}
		ps, err := tx.Persons(35, ids, w.now)
		w.same("persons", len(ps), 1)
		return err
	})
	w.same("afterwards", w.bucket(35).People, int64(2))
}

// testTurns has writers add to one instalment, each from what it reads: none may be lost.
func testTurns(t *testing.T, w *world) {
	const writers, payments = 2, 15
	b := InBucket(36, 1)[0]
	in := Installment(b, "L1", 1, civil.On(2026, 3, 13))
	w.put(Borrower(b), Loan(b, "L1"), in)
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range payments {
				err := w.db.Update(context.Background(), w.now.Add(time.Duration(i)*time.Second), []int{36}, func(tx *store.Tx) error {
					ls, err := tx.Ledgers(36, []duly.BorrowerID{b})
					if err != nil {
						return err
					}
					paid := ls[0].Installments[0]
					paid.Paid.Principal += 10
					tx.Audit(36, "payment", "test", "", i)
					if _, err := tx.Put([]duly.Fact{Payment(b, "L1", duly.PaymentID(fmt.Sprintf("P%d-%d", n, i)), 10)}); err != nil {
						return err
					}
					return tx.SetPaid([]duly.Installment{paid})
				})
				if err != nil {
					t.Errorf("writer %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	if got := w.person(b).Installments[0].Paid.Principal; got != writers*payments*10 {
		t.Errorf("paid: got %d, want %d", got, writers*payments*10)
	}
	if r, err := w.db.AuditVerify(context.Background()); err != nil || r.Entries != writers*payments || len(r.Breaks) > 0 {
		t.Errorf("audit: got %+v, %v", r, err)
	}
}
