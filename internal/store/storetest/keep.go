package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// later is an instant long after Noon, and laterDay its day.
var (
	later    = Noon.AddDate(1, 0, 0)
	laterDay = civil.Of(later)
)

// past makes a contact that was sent once and delivered, with a receipt and an outcome.
func (w *world) past(b duly.BorrowerID, step string, day civil.Date) duly.Contact {
	w.Helper()
	c := Contact(b, step, day, 0)
	c.State, c.Attempts, c.SentAt = duly.Delivered, 1, w.now
	a := Attempt(&c, 1)
	a.State, a.EndedAt = duly.AttemptAccepted, w.now
	rc := duly.Receipt{Provider: "p", Key: string(a.ID), AttemptID: a.ID, Status: duly.ReceiptDelivered, At: w.now, ReceivedAt: w.now}
	bucket := b.Bucket()
	w.putContacts(c)
	w.update([]int{bucket}, func(tx *store.Tx) error {
		if err := tx.PutAttempts([]duly.Attempt{a}); err != nil {
			return err
		}
		if _, err := tx.PutReceipts([]duly.Receipt{rc}); err != nil {
			return err
		}
		if err := tx.MarkReceipts(bucket, []duly.Receipt{rc}); err != nil {
			return err
		}
		return tx.PutOutcomes(bucket, []store.Outcome{{ContactID: c.ID, Kind: "paid"}})
	})
	return c
}

// removes checks that a View counts what an Update removes, and that there is nothing left then.
func (w *world) removes(what string, bucket int, want int64, forget func(tx *store.Tx) (int64, error)) {
	w.Helper()
	for i, run := range []func(func(*store.Tx) error){w.view, func(fn func(*store.Tx) error) { w.update([]int{bucket}, fn) }, w.view} {
		var n int64
		run(func(tx *store.Tx) (err error) { n, err = forget(tx); return err })
		if i == 2 {
			want = 0
		}
		w.same(what, n, want)
	}
}

func testForgetContacts(t *testing.T, w *world) {
	const bucket = 21
	ids := InBucket(bucket, 3)
	for _, id := range ids {
		w.put(Borrower(id))
	}
	gone, stays := w.past(ids[0], "d-3", today), w.past(ids[1], "d-3", today)
	waiting := Contact(ids[2], "d-3", today, 0)
	w.putContacts(waiting)
	persons := func(from, through civil.Date, after string) (out []string) {
		w.view(func(tx *store.Tx) (err error) {
			out, err = tx.ContactPersons(bucket, from, through, after, 2)
			return err
		})
		return out
	}
	w.same("the first page", persons(civil.Date{}, today, ""), []string{string(ids[0]), string(ids[1])})
	w.same("the next page", persons(civil.Date{}, today, string(ids[1])), []string{string(ids[2])})
	w.same("days that were gone through", persons(today, laterDay, ""), []string(nil))
	w.same("days to come", persons(civil.Date{}, today.Add(-1), ""), []string(nil))

	all := []string{string(ids[0]), string(ids[1]), string(ids[2])}
	over := map[duly.ContactID]bool{}
	old := func(at time.Time) {
		w.view(func(tx *store.Tx) error {
			cs, err := tx.OldContacts(bucket, all, civil.Date{}, today, at)
			for _, c := range cs {
				over[c.ID] = c.Over
			}
			w.same("items", cs[0].Items, gone.Items)
			return err
		})
	}
	old(later)
	w.same("over", over, map[duly.ContactID]bool{gone.ID: true, stays.ID: true, waiting.ID: false})
	old(gone.ChangedAt)
	w.same("over, before they changed", over, map[duly.ContactID]bool{gone.ID: false, stays.ID: false, waiting.ID: false})

	one := []duly.ContactID{gone.ID}
	for _, c := range []struct {
		record string
		want   int64
	}{{"words", 1}, {"proofs", 1}, {"receipts", 1}, {"outcomes", 1}, {"contacts", 1}} {
		w.removes(c.record, bucket, c.want, func(tx *store.Tx) (int64, error) { return tx.Forget(c.record, bucket, one) })
		w.view(func(tx *store.Tx) error {
			as, err := tx.Attempts(gone.ID)
			if err != nil || c.record == "contacts" {
				w.same("attempts of a contact that is gone", len(as), 0)
				return err
			}
			w.same(c.record+" of the attempt", [2]bool{as[0].Text == "", as[0].Known.Strategy == ""}, [2]bool{true, c.record != "words"})
			return nil
		})
	}
	if _, err := w.db.FindContact(context.Background(), gone.ID); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("the contact that is gone: got %v, want not found", err)
	}
	w.same("the other contact", w.contact(stays.ID).State, duly.Delivered)
	w.view(func(tx *store.Tx) error {
		as, err := tx.Attempts(stays.ID)
		w.same("its words", as[0].Text != "" && as[0].Known.Strategy != "", true)
		return err
	})
	if err := w.try(nil, func(tx *store.Tx) error { _, err := tx.Forget("words", bucket, []duly.ContactID{stays.ID}); return err }); err == nil {
		t.Error("in a bucket that is not held: got no error")
	}
}

// What keeps a person's records, each alone.
func testBound(w *world, bucket int, id duly.BorrowerID) {
	who := []string{string(id)}
	bound := func() (b store.Bound) {
		w.view(func(tx *store.Tx) (err error) { b, err = tx.Bound(bucket, who, later); return err })
		return b
	}
	c := caseOf(id, "C1", Noon)
	for _, x := range []struct {
		name     string
		set, end []duly.Fact
	}{
		{"a case", []duly.Fact{c}, []duly.Fact{&duly.Case{BorrowerID: id, ID: "C1", Kind: c.Kind, LoanID: "L1", State: duly.CaseDone, OpenedAt: Noon, DoneAt: Noon, Version: 2}}},
		{"a hold", []duly.Fact{&duly.Hold{BorrowerID: id, ID: "H1", Kind: "dispute", Scope: duly.HoldPerson, From: Noon, Version: 1}},
			[]duly.Fact{&duly.Hold{BorrowerID: id, ID: "H1", Kind: "dispute", Scope: duly.HoldPerson, From: Noon, ReleasedAt: Noon, Version: 2}}},
	} {
		w.same("before "+x.name, bound().Persons, map[string]bool{})
		w.put(x.set...)
		w.same(x.name, bound().Persons, map[string]bool{string(id): true})
		w.put(x.end...)
	}
	w.update([]int{bucket}, func(tx *store.Tx) error {
		return tx.SetDuties(c, []duly.CaseDuty{dutyOf(c, "R1", "keep", laterDay.Add(5))})
	})
	w.same("what is to be kept for a case", bound().Persons, map[string]bool{string(id): true})
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.SetDuties(c, nil) })
	v := Reservation(id, "k")
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.PutReservation(&v) })
	w.same("a slot", bound().Persons, map[string]bool{string(id): true})
	v.State = duly.TouchReleased
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.MoveReservation(&v, duly.TouchReserved) })
	w.same("after all that", bound().Persons, map[string]bool{})
	w.same("what is not settled", bound().Items, map[store.OpenItem]bool{{BorrowerID: id, LoanID: "L1", No: 1}: true})
	w.past(id, "d-3", laterDay)
	w.view(func(tx *store.Tx) error {
		b := bound()
		err := b.ContactedAfter(tx, bucket, who, laterDay, later)
		w.same("contacted on the day", b.Persons, map[string]bool{})
		if err == nil {
			err = b.ContactedAfter(tx, bucket, who, laterDay.Add(-1), later)
		}
		w.same("contacted after it", b.Persons, map[string]bool{string(id): true})
		return err
	})
}

func testForgetOwners(_ *testing.T, w *world) {
	const bucket = 22
	id := InBucket(bucket, 1)[0]
	who := []string{string(id)}
	w.put(Borrower(id), Loan(id, "L1"), Installment(id, "L1", 1, today))
	testBound(w, bucket, id)
	w.put(
		&duly.Touch{BorrowerID: id, ID: "T1", Channel: duly.ChannelAgent, Outcome: "answered", At: Noon, Version: 1},
		&duly.Reply{BorrowerID: id, ID: "R1", Channel: duly.ChannelSMS, Text: "明天还", At: Noon, Version: 1},
	)
	c := w.past(id, "d-1", today)
	m := store.SandboxMessage{AttemptID: duly.NewAttemptID(c.ID, 1), Channel: duly.ChannelSMS, To: "+8613800000000", Text: "words", SentAt: Noon}
	if _, err := w.db.KeepSandbox(context.Background(), Noon, []store.SandboxMessage{m}, nil); err != nil {
		w.Fatal(err)
	}
	for _, x := range []struct {
		record string
		owners []string
		want   int64
	}{
		{"touches", who, 2}, {"replies", who, 1}, {"cases", who, 1}, {"sandbox", []string{string(m.AttemptID)}, 1}, // the slot that was given back is a touch
	} {
		w.view(func(tx *store.Tx) error {
			got, err := tx.OldOwners(x.record, bucket, later, "", 10)
			w.same("owners of "+x.record, got, x.owners)
			if err != nil {
				return err
			}
			none, err := tx.OldOwners(x.record, bucket, Noon, "", 10)
			w.same("owners of what is not old", none, []string(nil))
			return err
		})
		w.removes(x.record, bucket, x.want, func(tx *store.Tx) (int64, error) { return tx.ForgetOf(x.record, bucket, x.owners, later) })
	}
	w.view(func(tx *store.Tx) error {
		rs, err := tx.BorrowerReplies(id, Noon, later)
		if err == nil {
			w.same("the reply is known still, without its text", [2]string{string(rs[0].ID), rs[0].Text}, [2]string{"R1", ""})
		}
		return err
	})
	again := &duly.Reply{BorrowerID: id, ID: "R1", Channel: duly.ChannelSMS, Text: "明天还", At: Noon, Version: 1}
	w.same("the reply comes again", w.put(again), []store.PutResult{store.Same})
}

func testForgetLoans(_ *testing.T, w *world) {
	const bucket = 23
	id := InBucket(bucket, 1)[0]
	who := []string{string(id)}
	settle := func(l duly.LoanID, no int) duly.Installment {
		in := *Installment(id, l, no, today)
		in.Paid.Principal, in.Paid.Interest, in.Paid.Fee, in.SettledAt = in.Principal.Minor, in.Interest.Minor, in.Fee.Minor, Noon
		return in
	}
	revolving := Loan(id, "L3")
	revolving.Schedule = duly.Revolving
	facts := []duly.Fact{
		Borrower(id), Loan(id, "L1"), Installment(id, "L1", 1, today), Installment(id, "L1", 2, today), Loan(id, "L2"), Installment(id, "L2", 1, today),
		Installment(id, "L2", 2, today), revolving, Installment(id, "L3", 1, today), Payment(id, "L1", "P1", 100), Payment(id, "L2", "P2", 100),
	}
	older := []duly.Fact{Loan(id, "L1"), Installment(id, "L1", 1, today.Add(1)), Installment(id, "L2", 1, today.Add(1))}
	older[0].(*duly.Loan).Product, older[0].(*duly.Loan).Version = "another", 0
	older[1].(*duly.Installment).Version, older[2].(*duly.Installment).Version = 0, 0
	w.put(Borrower(id), older[0], Loan(id, "L2"))
	w.put(older[1:]...)
	w.put(facts...)
	w.same("what facts were", w.rows(bucket, "fact_past"), int64(3))
	w.update([]int{bucket}, func(tx *store.Tx) error {
		return tx.SetPaid([]duly.Installment{settle("L1", 1), settle("L1", 2), settle("L2", 1), settle("L3", 1)})
	})
	forget := func(at time.Time) func(tx *store.Tx) (int64, error) {
		return func(tx *store.Tx) (int64, error) { return tx.ForgetOf("loans", bucket, who, at) }
	}
	w.removes("loans settled lately", bucket, 0, forget(Noon))
	w.removes("loans", bucket, 1, forget(later))
	w.same("what facts of the loan left were", w.rows(bucket, "fact_past"), int64(1))
	p := w.person(id)
	w.same("loans left", []duly.LoanID{p.Loans[0].ID, p.Loans[1].ID}, []duly.LoanID{"L2", "L3"})
	w.view(func(tx *store.Tx) error {
		ls, err := tx.Ledgers(bucket, []duly.BorrowerID{id})
		if err == nil {
			w.same("the ledger left", [3]int{len(ls[0].Loans), len(ls[0].Installments), len(ls[0].Payments)}, [3]int{2, 3, 1})
		}
		return err
	})
	// The book comes again, in an older and in a newer version: nothing of the loan is news, and nothing is owed.
	newer := *Installment(id, "L1", 1, today)
	newer.Version = 99
	loan := *Loan(id, "L1")
	loan.Version = 99
	w.same("the loan comes again", w.put(Loan(id, "L1"), &loan, Installment(id, "L1", 2, today), &newer, Payment(id, "L1", "P1", 100),
		&duly.Debit{BorrowerID: id, ID: "D1", LoanID: "L1", InstallmentNo: 1, At: Noon, State: duly.DebitFailed, Version: 1}),
		[]store.PutResult{store.Stale, store.Stale, store.Stale, store.Stale, store.Stale, store.Stale})
	w.same("a hold on it is news", w.put(&duly.Hold{BorrowerID: id, ID: "H1", Kind: "dispute", Scope: duly.HoldLoan, LoanID: "L1", From: Noon, Version: 1}),
		[]store.PutResult{store.Added})
	w.due(bucket, today, today, id) // of L2
	w.view(func(tx *store.Tx) error {
		got, err := tx.OldOwners("loans", bucket, later, "", 10)
		w.same("who has settled instalments still", got, who)
		return err
	})
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.SetPaid([]duly.Installment{settle("L2", 2)}) })
	w.put(Payment(id, "", "P9", 100))
	w.removes("a loan while a payment is for any of them", bucket, 0, forget(later))
	other, err := w.db.OwnersOf(context.Background(), []duly.LoanID{"L1"})
	if err != nil {
		w.Fatal(err)
	}
	w.same("whose the loan was", other, map[duly.LoanID]duly.BorrowerID{"L1": id})
}

// rows counts what a bucket has in a table.
func (w *world) rows(bucket int, table string) int64 {
	w.Helper()
	sum, err := w.db.SumBucket(w.Context(), bucket, nil)
	if err != nil {
		w.Fatal(err)
	}
	for _, t := range sum.Tables {
		if t.Name == table {
			return t.Rows
		}
	}
	w.Fatalf("no table %s", table)
	return 0
}

// What was known goes with the days that were planned from it; days after that can be decided again as before.
func testForgetPast(_ *testing.T, w *world) {
	const bucket = 25
	id := InBucket(bucket, 1)[0]
	c := Contact(id, "d-3", today.Add(2), 0)
	name := func(n string, version int64) {
		b := *Borrower(id)
		b.Name, b.Version = n, version
		w.put(&b)
	}
	move := func(minutes int) {
		moved := c
		moved.NotBefore = c.NotBefore.Add(time.Duration(minutes) * time.Minute)
		w.update([]int{bucket}, func(tx *store.Tx) error { return tx.MoveContacts([]store.Move{{Contact: moved, From: c.State}}) })
	}
	var rounds []int64
	round := func(day civil.Date) {
		w.update([]int{bucket}, func(tx *store.Tx) error {
			rounds = append(rounds, tx.Version(bucket))
			return tx.PutRounds([]store.Round{{Bucket: bucket, Day: day, Hash: "h"}})
		})
	}
	name("甲", 1)
	w.putContacts(c)
	round(today)
	name("乙", 2)
	move(1)
	round(today.Add(1))
	name("丙", 3)
	move(2)
	had := [3]int64{w.rows(bucket, "plan_round"), w.rows(bucket, "fact_past"), w.rows(bucket, "contact_past")}
	w.same("before", had, [3]int64{2, 2, 2})
	asOf := func() (snap *store.Snapshot) {
		w.view(func(tx *store.Tx) (err error) { snap, err = tx.AsOf(bucket, rounds[1]-1, rounds[1]-1); return err })
		return snap
	}
	was := asOf()
	if err := w.try(nil, func(tx *store.Tx) error { return tx.ForgetPast(bucket, today) }); err == nil {
		w.Error("in a bucket that is not held: got no error")
	}
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.ForgetPast(bucket, today) })
	left := [3]int64{w.rows(bucket, "plan_round"), w.rows(bucket, "fact_past"), w.rows(bucket, "contact_past")}
	w.same("after the first day went", left, [3]int64{1, 1, 1})
	if d := cmp.Diff(was, asOf(), cmp.AllowUnexported(store.Snapshot{})); d != "" {
		w.Errorf("what the second day was planned from (-want +got):\n%s", d)
	}
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.ForgetPast(bucket, laterDay) })
	left = [3]int64{w.rows(bucket, "plan_round"), w.rows(bucket, "fact_past"), w.rows(bucket, "contact_past")}
	w.same("after all went", left, [3]int64{})
}

func testKeepMarks(t *testing.T, w *world) {
	const bucket = 24
	ids := InBucket(bucket, 3)
	due := func(day civil.Date) []int {
		got, err := w.db.KeepBuckets(context.Background(), day)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	w.same("a store without people", due(today), []int(nil))
	w.put(Borrower(ids[0]))
	w.same("never gone through", due(today), []int{bucket})
	mark := store.KeepMark{LookedOn: today, Through: map[string]civil.Date{"words": today.Add(-90)}}
	w.update([]int{bucket}, func(tx *store.Tx) error {
		m, err := tx.KeepMark(bucket)
		w.same("no mark", m, store.KeepMark{Through: map[string]civil.Date{}})
		if err != nil {
			return err
		}
		if err := tx.SetKeepMark(bucket, mark); err != nil {
			return err
		}
		m, err = tx.KeepMark(bucket)
		w.same("the mark", m, mark)
		return err
	})
	w.same("gone through today", due(today.Add(-30)), []int(nil))
	w.same("a month later", due(today), []int{bucket})
	w.update([]int{bucket}, func(tx *store.Tx) error {
		if err := tx.KeepBack(ids[:2], today); err != nil {
			return err
		}
		return tx.KeepBack(ids[1:], today.Add(1))
	})
	kept := func(after string) (out []string) {
		w.view(func(tx *store.Tx) (err error) { out, err = tx.KeptBack(bucket, after, 2); return err })
		return out
	}
	w.same("kept back", kept(""), []string{string(ids[0]), string(ids[1])})
	w.same("the next page", kept(string(ids[1])), []string{string(ids[2])})
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.DropKeptBack(bucket, today.Add(1)) })
	w.same("kept back on the later day", kept(""), []string{string(ids[1]), string(ids[2])})
}
