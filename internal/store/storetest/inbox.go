package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

func testReceipts(t *testing.T, w *world) {
	ctx := context.Background()
	c := Contact(InBucket(18, 1)[0], "d-3", today, 0)
	receipt := func(key string, s duly.ReceiptStatus) duly.Receipt {
		return duly.Receipt{Provider: "p", Key: key, AttemptID: duly.NewAttemptID(c.ID, 1), ProviderID: "x1", Status: s, Detail: "0", At: Noon, ReceivedAt: w.now}
	}
	first, second := receipt("1", duly.ReceiptDelivered), receipt("2", duly.ReceiptRead)
	put := func(rs ...duly.Receipt) (n int) {
		w.update([]int{18}, func(tx *store.Tx) (err error) { n, err = tx.PutReceipts(rs); return err })
		return n
	}
	w.same("added", put(first, second, first), 2)
	w.same("added again", put(second), 0)
	w.view(func(tx *store.Tx) error {
		got, err := tx.PendingReceipts(18, 10)
		w.same("pending", got, []duly.Receipt{first, second})
		return err
	})
	buckets, err := w.db.InboxBuckets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.same("inbox buckets", buckets, []int{18})
	w.update([]int{18}, func(tx *store.Tx) error { return tx.MarkReceipts(18, []duly.Receipt{first}) })
	w.view(func(tx *store.Tx) error {
		got, err := tx.PendingReceipts(18, 10)
		w.same("pending after one", got, []duly.Receipt{second})
		if err != nil {
			return err
		}
		got, err = tx.Receipts(c.ID)
		w.same("of the contact", got, []duly.Receipt{first, second})
		return err
	})
	w.same("a receipt that was applied comes again", put(first), 0)

	lost := duly.Receipt{Provider: "p", Key: "9", AttemptID: "who knows", ProviderID: "zz", Status: duly.ReceiptFailed, At: Noon, ReceivedAt: w.now}
	for range 2 {
		if err := w.db.PutOrphans(ctx, w.now, []duly.Receipt{lost}); err != nil {
			t.Fatal(err)
		}
	}
	orphans, err := w.db.Orphans(ctx, 10)
	if err != nil {
		t.Fatal(err)
	}
	w.same("orphans", orphans, []store.Orphan{{Receipt: lost}})
	if err := w.try([]int{18}, func(tx *store.Tx) error { _, err := tx.PutReceipts([]duly.Receipt{lost}); return err }); err == nil {
		t.Error("a receipt without an attempt in the inbox: got no error")
	}
	testOrphans(t, w, orphans[0])
}

// testOrphans looks for one orphan, twice in vain: then nobody does any more.
func testOrphans(t *testing.T, w *world, o store.Orphan) {
	ctx := context.Background()
	move := func(m store.OrphanMove) {
		t.Helper()
		if err := w.db.MoveOrphans(ctx, w.now, []store.OrphanMove{m}); err != nil {
			t.Fatal(err)
		}
	}
	due := func(at time.Time) []store.Orphan {
		t.Helper()
		got, err := w.db.DueOrphans(ctx, at, 10)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	w.same("due at once", due(w.now), []store.Orphan{o})
	move(store.OrphanMove{Orphan: o, Next: w.now.Add(time.Minute)})
	w.same("due before its time", len(due(w.now.Add(time.Minute-1))), 0)
	o.Tries = 1
	w.same("due again", due(w.now.Add(time.Minute)), []store.Orphan{o})
	count := func(parked, reported int) {
		t.Helper()
		p, r, err := w.db.CountOrphans(ctx)
		if err != nil || p != parked || r != reported {
			t.Errorf("orphans: got %d looked for and %d not, %v; want %d and %d", p, r, err, parked, reported)
		}
	}
	count(1, 0)
	for _, room := range []int{1, 0} {
		got, err := w.db.GiveUpOrphans(ctx, w.now, room)
		if err != nil || got != 1-room {
			t.Errorf("with room for %d: got %d given up, %v; want %d", room, got, err, 1-room)
		}
	}
	count(0, 1)
	move(store.OrphanMove{Orphan: o, Next: w.now.Add(time.Minute)})
	count(1, 0)
	move(store.OrphanMove{Orphan: o})
	w.same("due once it is reported", len(due(w.now.Add(time.Hour))), 0)
	count(0, 1)
	if err := w.db.DropOldOrphans(ctx, w.now, 1); err != nil {
		t.Fatal(err)
	}
	count(0, 1)
	move(store.OrphanMove{Orphan: o, Found: true})
	count(0, 0)
}

func testCarriers(t *testing.T, w *world) {
	ctx := context.Background()
	pin := store.Pin{Channel: duly.ChannelSMS, Carrier: "alpha", Until: w.now.Add(time.Hour), By: "desk-7", At: w.now}
	w.update(nil, func(tx *store.Tx) error {
		other := pin
		other.Carrier = "beta"
		if err := tx.PutPin(&other); err != nil {
			return err
		}
		return tx.PutPin(&pin)
	})
	pins, err := w.db.Pins(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.same("pins", pins, []store.Pin{pin})
	w.update(nil, func(tx *store.Tx) error {
		for _, want := range []bool{true, false} {
			was, err := tx.DropPin(duly.ChannelSMS)
			if err != nil {
				return err
			}
			w.same("was pinned", was, want)
		}
		return nil
	})
	for _, text := range []string{"1", "2"} {
		if err := w.db.PutCarrierReport(ctx, w.now, "n", text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.db.PutCarrierReport(ctx, w.now.Add(25*time.Hour), "m", "3"); err != nil {
		t.Fatal(err)
	}
	got, err := w.db.CarrierReports(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.same("reports", got, []store.CarrierReport{{Node: "m", At: w.now.Add(25 * time.Hour), Report: "3"}})

	// What was spent, and by whom a contact was refused.
	c := Contact(InBucket(18, 1)[0], "d-1", today, 0)
	tries := make([]duly.Attempt, 3)
	for i := range tries {
		tries[i] = duly.Attempt{
			ID: duly.NewAttemptID(c.ID, i+1), ContactID: c.ID, BorrowerID: c.BorrowerID, No: i + 1, Carrier: []string{"alpha", "beta", "alpha"}[i], State: duly.AttemptOpen,
			Cost: duly.Cost{Micros: 35_000, Currency: "CNY"}, ClaimedAt: w.now, LeaseUntil: w.now.Add(time.Minute),
		}
	}
	w.update([]int{18}, func(tx *store.Tx) error {
		if err := tx.PutContacts([]duly.Contact{c}); err != nil {
			return err
		}
		return tx.PutAttempts(tries)
	})
	for i := range tries {
		tries[i].State, tries[i].Cost.Micros, tries[i].EndedAt = duly.AttemptRefused, 0, w.now
	}
	tries[2].State, tries[2].Cost.Micros = duly.AttemptAccepted, 70_000
	w.update([]int{18}, func(tx *store.Tx) error { return tx.FinishAttempts(tries) })
	w.view(func(tx *store.Tx) error {
		by, err := tx.Refusers([]duly.ContactID{c.ID})
		slices.Sort(by[c.ID])
		w.same("refusers", by, map[duly.ContactID][]string{c.ID: {"alpha", "beta"}})
		got, ferr := tx.FindAttempt(tries[2].ID)
		w.same("its cost", got.Cost, tries[2].Cost)
		return errors.Join(err, ferr)
	})
	spent, err := w.db.SpentSince(ctx, w.now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	w.same("spent", spent, []store.Spent{{Channel: c.Channel, Minute: w.now.Truncate(time.Minute), Cost: tries[2].Cost}})
}

func testDirty(t *testing.T, w *world) {
	ctx := context.Background()
	ids, looked := InBucket(19, 3), int64(1)
	plan := func(day civil.Date) []int {
		got, persons, err := w.db.PlanBuckets(ctx, day, w.now)
		if err != nil {
			t.Fatal(err)
		}
		if want := looked; len(got) > 0 && persons[19] != want {
			t.Errorf("got %d persons to be looked at, want %d", persons[19], want)
		}
		return got
	}
	w.same("an empty store", plan(today), []int(nil))
	w.put(Borrower(ids[0]))
	w.same("a bucket with people", plan(today), []int{19})
	w.update([]int{19}, func(tx *store.Tx) error { return tx.SetPlannedThrough(19, today) })
	w.same("planned today", plan(today), []int(nil))
	w.same("tomorrow", plan(today.Add(1)), []int{19})
	w.update([]int{19}, func(tx *store.Tx) error { return tx.MarkDirty([]duly.BorrowerID{ids[2], ids[0], ids[2]}) })
	looked = 2
	w.same("dirty", plan(today), []int{19})
	w.update([]int{19}, func(tx *store.Tx) error {
		got, err := tx.Dirty([]int{19})
		w.same("who is dirty", got, []duly.BorrowerID{ids[0], ids[2]})
		if err != nil {
			return err
		}
		if err := tx.ClearDirty(19, ids[:1]); err != nil {
			return err
		}
		got, err = tx.TakeDirty(19)
		w.same("who is taken", got, ids[2:])
		return err
	})
	looked = 1
	w.same("clean", plan(today), []int(nil))
	w.update([]int{19}, func(tx *store.Tx) error { return tx.MarkBucketDirty(19) })
	w.same("a dirty bucket", plan(today), []int{19})
	w.update([]int{19}, func(tx *store.Tx) error { return tx.SetPlannedThrough(19, today) })
	c := Contact(ids[0], "d-3", today, 0)
	c.State, c.FallbackAt = duly.Failed, w.now
	w.putContacts(c)
	w.same("a next rung", plan(today), []int{19})
}

func testFeeds(t *testing.T, w *world) {
	ctx := context.Background()
	at := func() time.Time {
		got, err := w.db.FeedAt(ctx, "payments")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	w.same("before the first", at(), time.Time{})
	for _, d := range []time.Duration{0, time.Hour, -time.Hour} {
		w.update(nil, func(tx *store.Tx) error { return tx.SetFeed("payments", Noon.Add(d)) })
	}
	w.same("the latest", at(), Noon.Add(time.Hour))

	im, err := w.db.FindImport(ctx, "h", "m")
	if err != nil || im != (store.Import{}) {
		t.Errorf("an import that never was: got %+v, %v", im, err)
	}
	whole := store.Import{Hash: "h", Mapping: "m", Rows: 100, Version: 7, Complete: true}
	for _, x := range []store.Import{{Hash: "h", Mapping: "m", Rows: 50, Version: 7}, whole, {Hash: "h", Mapping: "m", Rows: 10, Version: 8}} {
		w.update(nil, func(tx *store.Tx) error { return tx.PutImport(x) })
	}
	if im, err = w.db.FindImport(ctx, "h", "m"); err != nil || im != whole {
		t.Errorf("import: got %+v, %v; want %+v", im, err, whole)
	}
	if im, err = w.db.FindImport(ctx, "h", "other"); err != nil || im != (store.Import{}) {
		t.Errorf("import with another mapping: got %+v, %v", im, err)
	}
}

func testOutcomes(t *testing.T, w *world) {
	ctx := context.Background()
	ids := InBucket(20, 3)
	sent, waiting, older := Contact(ids[0], "d-3", today, 0), Contact(ids[1], "d-3", today, 0), Contact(ids[2], "d-3", today.Add(-1), 0)
	w.putContacts(sent, waiting, older)
	for _, c := range []duly.Contact{sent, older} {
		c.State = duly.Claimed
		if err := w.move(c, duly.Planned); err != nil {
			t.Fatal(err)
		}
	}
	unmeasured := func() (out []duly.ContactID) {
		w.view(func(tx *store.Tx) error {
			cs, err := tx.Unmeasured(20, 10)
			for _, c := range cs {
				out = append(out, c.ID)
			}
			return err
		})
		return out
	}
	buckets := func() []int {
		got, err := w.db.MeasureBuckets(ctx, today)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	w.same("unmeasured", unmeasured(), []duly.ContactID{older.ID, sent.ID})
	w.same("buckets", buckets(), []int{20})
	w.update([]int{20}, func(tx *store.Tx) error { return tx.SetMeasuredThrough(20, today) })
	w.same("buckets looked at today", buckets(), []int(nil))

	w.update([]int{20}, func(tx *store.Tx) error {
		return tx.PutOutcomes(20, []store.Outcome{{ContactID: sent.ID, Kind: "paid_on_time"}})
	})
	w.update([]int{20}, func(tx *store.Tx) error {
		return tx.PutOutcomes(20, []store.Outcome{{ContactID: sent.ID, Kind: "unpaid"}})
	})
	c := w.contact(sent.ID)
	c.State = duly.Delivered // a late receipt does not have it measured anew
	if err := w.move(c, duly.Claimed); err != nil {
		t.Fatal(err)
	}
	w.same("unmeasured after one", unmeasured(), []duly.ContactID{older.ID})
	c = w.contact(older.ID)
	c.State = duly.Failed
	if err := w.move(c, duly.Claimed); err != nil {
		t.Fatal(err)
	}
	w.same("what failed is not measured", unmeasured(), []duly.ContactID(nil))
	got, err := w.db.Outcomes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.same("outcomes", got, []store.OutcomeCount{{Strategy: "consumer-cn", Step: "d-3", Channel: duly.ChannelSMS, Kind: "paid_on_time", Count: 1}})
}

func testVolumes(t *testing.T, w *world) {
	ctx := context.Background()
	ids := InBucket(21, 3)
	a, b, c := Contact(ids[0], "d-3", today, 0), Contact(ids[1], "d-3", today, 0), Contact(ids[2], "d-3", today, 0)
	b.NotBefore = b.NotBefore.Add(10 * time.Minute)
	c.State, c.Reason = duly.Blocked, "opted_out"
	other := Contact(ids[0], "d-1", today.Add(2), 0)
	w.putContacts(a, b, c, other)
	got, err := w.db.Volumes(ctx, today)
	if err != nil {
		t.Fatal(err)
	}
	slot := Noon.Add(-time.Hour).Truncate(15 * time.Minute)
	w.same("volumes", got, []store.Volume{
		{Strategy: "consumer-cn", Step: "d-3", Channel: duly.ChannelSMS, State: duly.Blocked, Reason: "opted_out", Slot: slot, Count: 1},
		{Strategy: "consumer-cn", Step: "d-3", Channel: duly.ChannelSMS, State: duly.Planned, Slot: slot, Count: 2},
	})

	w.put(allKinds(ids[0])...)
	w.put(Borrower(ids[1]))
	totals, err := w.db.Totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if totals.Borrowers != 2 || totals.Loans != 1 || totals.Installments != 1 || totals.Open != 1 || totals.Payments != 1 ||
		totals.Contacts[duly.Planned] != 3 || totals.Contacts[duly.Blocked] != 1 || len(totals.Outstanding) != 1 || totals.Outstanding[0].String() != "CNY 105.00" {
		t.Errorf("totals: got %+v", totals)
	}
}

func testSandbox(t *testing.T, w *world) {
	ctx := context.Background()
	c := Contact(InBucket(22, 1)[0], "d-3", today, 0)
	id := duly.NewAttemptID(c.ID, 1)
	m := store.SandboxMessage{AttemptID: id, Channel: duly.ChannelSMS, To: "+8613800000000", Text: "还款提醒", SentAt: Noon}
	rs := []store.SandboxReceipt{
		{AttemptID: id, No: 1, Key: "k1", Status: duly.ReceiptDelivered, At: Noon, DueAt: Noon.Add(5 * time.Second)},
		{AttemptID: id, No: 2, Key: "k2", Status: duly.ReceiptRead, At: Noon, DueAt: Noon.Add(time.Hour)},
	}
	for i, want := range []int{1, 0} {
		if n, err := w.db.KeepSandbox(ctx, w.now, []store.SandboxMessage{m}, rs); err != nil || n != want {
			t.Errorf("keep, time %d: got %d, %v; want %d", i+1, n, err, want)
		}
	}
	due := func(after time.Duration) []duly.Receipt {
		got, err := w.db.DueSandboxReceipts(ctx, Noon.Add(after), "sandbox", 10)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := duly.Receipt{Provider: "sandbox", Key: "k1", AttemptID: id, ProviderID: string(id), Status: duly.ReceiptDelivered, At: Noon}
	w.same("too early", due(time.Second), []duly.Receipt(nil))
	w.same("due", due(5*time.Second), []duly.Receipt{first})
	w.same("still due: it was not written down", due(6*time.Second), []duly.Receipt{first})
	first.ReceivedAt = Noon
	w.update([]int{22}, func(tx *store.Tx) error { _, err := tx.PutReceipts([]duly.Receipt{first}); return err })
	w.same("written down", due(7*time.Second), []duly.Receipt(nil))
	w.same("the next", len(due(time.Hour)), 1)
	got, err := w.db.SandboxMessages(ctx, Noon, 10)
	if err != nil {
		t.Fatal(err)
	}
	w.same("messages", got, []store.SandboxMessage{m})
	one, found, err := w.db.FindSandboxMessage(ctx, id)
	if err != nil || !found {
		t.Fatalf("message: got %v, %v", found, err)
	}
	w.same("message", one, m)
}
