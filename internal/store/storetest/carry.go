package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// carryRows is more than are read, or removed, at a time.
const carryRows = 5100

// marks are the rows that every bucket has, whosever it is: of the log, and of what was forgotten.
const marks = 2

// filled puts something of a person into every table that goes along with a bucket, and returns what the bucket holds.
func (w *world) filled(bucket int) store.BucketSum {
	w.Helper()
	ids := InBucket(bucket, 3)
	for _, b := range ids {
		w.put(allKinds(b)...)
	}
	b := ids[0]
	c := Contact(b, "d-3", civil.On(2026, 3, 10), 0)
	a := Attempt(&c, 1)
	a.State, a.EndedAt = duly.AttemptAccepted, Noon
	facts := make([]duly.Fact, carryRows)
	for i := range facts {
		facts[i] = &duly.OptOut{BorrowerID: ids[i%3], ID: duly.ConsentID(fmt.Sprintf("多%05d", i)), Key: "sms", At: Noon, Source: "agent", Version: 1}
	}
	w.put(facts...)
	renamed := *Borrower(b)
	renamed.Name, renamed.Version = "改名", renamed.Version+1
	w.put(&renamed)
	later := c
	later.NotBefore = c.NotBefore.Add(time.Minute)
	w.update([]int{bucket}, func(tx *store.Tx) error {
		v := Reservation(b, "k")
		_, err := tx.PutReceipts([]duly.Receipt{{Provider: "sandbox", Key: "r1", AttemptID: a.ID, Status: duly.ReceiptDelivered, At: Noon, ReceivedAt: Noon}})
		tx.Audit(bucket, "test", "suite", "", "说")
		k := caseOf(b, "K1", Noon)
		return errors.Join(err, tx.PutContacts([]duly.Contact{c}), tx.PutAttempts([]duly.Attempt{a}), tx.PutReservation(&v), tx.MarkDirty(ids),
			tx.SetPlannedThrough(bucket, civil.On(2026, 3, 9)), tx.PutOutcomes(bucket, []store.Outcome{{ContactID: c.ID, Kind: "paid"}}),
			tx.SetDuties(k, []duly.CaseDuty{{Rule: "R", Pack: "p"}}), tx.Reach(map[int]store.Reached{bucket: {Mark: store.Mark{Log: 7, Seq: 9}, Answer: "{}"}}), tx.KeepBack(ids[:1], civil.On(2026, 3, 9)),
			conceal(tx, b), tx.PutRounds([]store.Round{{Bucket: bucket, Day: civil.On(2026, 3, 9), Asked: ids, Configuration: "k", Hash: "h"}}))
	})
	w.update([]int{bucket}, func(tx *store.Tx) error { return tx.MoveContacts([]store.Move{{Contact: later, From: c.State}}) })
	if _, err := w.db.KeepSandbox(w.Context(), w.now, []store.SandboxMessage{{AttemptID: a.ID, Channel: duly.ChannelSMS, To: "+86", Text: "x", SentAt: Noon}},
		[]store.SandboxReceipt{{AttemptID: a.ID, No: 1, Key: "s1", Status: duly.ReceiptRead, At: Noon, DueAt: Noon}}); err != nil {
		w.Fatal(err)
	}
	if err := w.db.KeepInbox(w.Context(), w.now, inboxEntry(&c, a.ID)); err != nil {
		w.Fatal(err)
	}
	sum, err := w.db.SumBucket(w.Context(), bucket, nil)
	if err != nil {
		w.Fatal(err)
	}
	for _, t := range sum.Tables {
		if t.Rows == 0 {
			w.Errorf("table %s goes along and the suite has nothing in it", t.Name)
		}
	}
	return sum
}

func conceal(tx *store.Tx, id duly.BorrowerID) error {
	_, err := tx.Conceal(id, "说")
	return err
}

// A bucket's rows go along to another store and are the same there; what is left can be removed; nobody but a move writes to a
// bucket that is not here.
func testCarry(t *testing.T, w *world) {
	const bucket = 41
	ctx, to := t.Context(), w.open(t)
	want := w.filled(bucket)
	if _, _, err := w.db.MakeRoot(ctx, Noon, civil.On(2026, 3, 9)); err != nil {
		t.Fatal(err)
	}
	if err := to.Settle(ctx, func(int) store.Place { return store.Away }); err != nil {
		t.Fatal(err)
	}
	rehouse := func(db *store.DB, fn func(tx *store.Tx, p *store.Placing) error) {
		t.Helper()
		if err := db.Rehouse(ctx, bucket, fn); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // a run that was cut off is followed by another
		for done := false; !done; {
			rehouse(to, func(tx *store.Tx, _ *store.Placing) (err error) { done, err = tx.ClearRows(bucket, true); return err })
		}
		got, err := w.db.SumBucket(ctx, bucket, func(rows store.Rows) error {
			return to.Rehouse(ctx, bucket, func(tx *store.Tx, _ *store.Placing) error { return tx.PutRows(rows) })
		})
		if err != nil {
			t.Fatal(err)
		}
		w.same("the bucket while it is copied", got, want)
		if half, err := to.SumBucket(ctx, bucket, nil); err != nil || half.Differs(&want) != "bucket" {
			t.Errorf("a copy without its state: differs in %q, %v", half.Differs(&want), err)
		}
		rehouse(to, func(tx *store.Tx, _ *store.Placing) error { return tx.PutState(bucket, &want) })
		if got, err = to.SumBucket(ctx, bucket, nil); err != nil {
			t.Fatal(err)
		}
		w.same("the copy", got, want)
	}
	rehouse(to, func(_ *store.Tx, p *store.Placing) error { p.Place = store.Here; return nil })
	if r, err := to.AuditVerify(ctx); err != nil || len(r.Breaks) > 0 || r.Entries != want.Audit || want.Audit == 0 {
		t.Errorf("the audit of the copy: %+v, %v; want %d entries that hold", r, err, want.Audit)
	}
	rehouse(w.db, func(_ *store.Tx, p *store.Placing) error { p.Place = store.Left; return nil })
	steps := 0
	for done := false; !done; steps++ {
		rehouse(w.db, func(tx *store.Tx, _ *store.Placing) (err error) { done, err = tx.ClearRows(bucket, false); return err })
	}
	if steps < 2 {
		t.Errorf("%d rows were removed in one transaction", want.Rows())
	}
	rest, err := w.db.SumBucket(ctx, bucket, nil)
	if err != nil || rest.Rows() != marks || rest.State != (store.Bucket{}) {
		t.Errorf("after removal: %d rows, state %+v, %v; want the marks alone", rest.Rows(), rest.State, err)
	}
	if r, err := w.db.AuditVerify(ctx); err != nil || len(r.Breaks) > 0 || r.Entries != 0 || !slices.Equal(r.Elsewhere, []int{bucket}) {
		t.Errorf("the audit of what is left: %+v, %v; want bucket %d elsewhere", r, err, bucket)
	}
	if _, _, err := w.db.MakeRoot(ctx, Noon.Add(time.Hour), civil.On(2026, 3, 10)); err != nil {
		t.Fatal(err)
	}
	var export bytes.Buffer
	if err := w.db.ExportAudit(ctx, &export, Noon.Add(2*time.Hour), store.Span{}); err != nil {
		t.Fatal(err)
	}
	if _, r, err := audit.VerifyExport(&export, nil, nil); err != nil || len(r.Breaks) > 0 || r.Roots != 2 || !slices.Equal(r.Elsewhere, []int{bucket}) {
		t.Errorf("its export: %+v, %v; want two roots, and bucket %d elsewhere", r, err, bucket)
	}
	counts, err := to.CountRows(ctx)
	if err != nil || counts[bucket] != 1 {
		t.Errorf("contacts by bucket: got %d, %v; want 1", counts[bucket], err)
	}
}

// Who may write to a bucket wherever it is.
func testPlaces(t *testing.T, w *world) {
	const bucket = 42
	ctx := t.Context()
	for _, c := range []struct {
		place         store.Place
		begin, finish bool
	}{
		{store.Unsaid, true, true}, {store.Here, true, true}, {store.Leaving, false, true}, {store.Sealed, false, false}, {store.Left, false, false},
		{store.Away, false, false}, {store.Coming, false, false}, {store.Ready, false, false},
	} {
		err := w.db.Rehouse(ctx, bucket, func(_ *store.Tx, p *store.Placing) error { p.Place, p.Moves, p.Peer = c.place, 3, "b"; return nil })
		if err != nil {
			t.Fatal(err)
		}
		all, err := w.db.Placings(ctx)
		if err != nil || all[bucket].Place != c.place || all[bucket].Moves != 3 || all[bucket].Peer != "b" || all[bucket+1].Place != store.Unsaid {
			t.Errorf("%s: got %+v, %v", c.place, all[bucket], err)
		}
		nothing := func(*store.Tx) error { return nil }
		for what, err := range map[string]error{"begin": w.db.Update(ctx, w.now, []int{bucket, bucket + 1}, nothing), "finish": w.db.UpdateBegun(ctx, w.now, []int{bucket}, nothing)} {
			moving, is := errors.AsType[*store.Moving](err)
			if may := map[string]bool{"begin": c.begin, "finish": c.finish}[what]; (err == nil) != may || is && (moving.Bucket != bucket || duly.CodeOf(err) != duly.Unavailable) {
				t.Errorf("%s at %q: got %v, want it to go: %t", what, c.place, err, may)
			}
		}
	}
	takeMoves(t, w, bucket)
}

// takeMoves has two runs of a move want one bucket.
func takeMoves(t *testing.T, w *world, bucket int) {
	ctx := t.Context()
	take := func(run string, lease time.Duration) error {
		return w.db.Rehouse(ctx, bucket, func(_ *store.Tx, p *store.Placing) error { p.Place = store.Sealed; return p.Take(run, lease) })
	}
	hold := func(run string) error {
		return w.db.Rehouse(ctx, bucket, func(_ *store.Tx, p *store.Placing) error { return p.Hold(run, time.Hour) })
	}
	reclaimed := func() bool {
		l, err := w.db.Leases(ctx)
		if err == nil {
			err = w.db.Reclaim(ctx, l.Halted)
		}
		if err != nil {
			t.Fatal(err)
		}
		all, err := w.db.Placings(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return all[bucket].Place == store.Here
	}
	for _, step := range []struct {
		name string
		err  error
		want duly.Code
	}{
		{"the first takes it", take("one", time.Hour), ""},
		{"the second may not", take("two", time.Hour), duly.Conflict},
		{"the first again", take("one", -time.Second), ""},
		{"it is silent: the second may", take("two", time.Hour), ""},
		{"the first finds out", hold("one"), duly.Conflict},
		{"the second goes on", hold("two"), ""},
	} {
		if (step.err == nil) != (step.want == "") || step.err != nil && duly.CodeOf(step.err) != step.want {
			t.Errorf("%s: got %v, want %q", step.name, step.err, step.want)
		}
	}
	if reclaimed() {
		t.Error("a bucket was taken back from a run that goes on")
	}
	if err := w.db.KeepMoving(ctx, "two", -time.Second); err != nil {
		t.Fatal(err)
	}
	if !reclaimed() || duly.CodeOf(hold("two")) != duly.Conflict {
		t.Error("a bucket whose move was cut off is not worked on again, or its run does not find out")
	}
}

// Commands are kept until they are dropped, in their order.
func testKept(t *testing.T, w *world) {
	ctx := context.Background()
	var want []store.KeptCommand
	for i := range 5 {
		k := store.KeptCommand{ID: fmt.Sprintf("k%d", 9-i), Part: i, At: store.Mark{Log: 5, Seq: int64(i)}, Kept: Noon.Add(time.Duration(i/2) * time.Second), Data: fmt.Sprint("数据", i)}
		if err := w.db.KeepCommand(ctx, k); err != nil {
			t.Fatal(err)
		}
		want = append(want, k)
	}
	want[0], want[1], want[2], want[3] = want[1], want[0], want[3], want[2]
	want[4].At = store.Mark{Log: 6, Seq: 1}
	if err := w.db.KeepCommand(ctx, want[4]); err != nil { // told again
		t.Fatal(err)
	}
	var got []store.KeptCommand
	for last := (store.KeptCommand{}); ; last = got[len(got)-1] {
		page, err := w.db.KeptCommands(ctx, last, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, page...); len(page) < 2 {
			break
		}
	}
	w.same("kept", got, want)
	if err := w.db.DropCommand(ctx, "k7"); err != nil {
		t.Fatal(err)
	}
	if left, err := w.db.KeptCommands(ctx, store.KeptCommand{}, 10); err != nil || len(left) != 4 {
		t.Errorf("after one was dropped: got %d, %v", len(left), err)
	}
}
