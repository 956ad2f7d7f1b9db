package storetest

import (
	"context"
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
	w.same("orphans", orphans, []duly.Receipt{lost})
	if err := w.db.DropOrphans(ctx, w.now, orphans); err != nil {
		t.Fatal(err)
	}
	if orphans, err = w.db.Orphans(ctx, 10); err != nil || len(orphans) != 0 {
		t.Errorf("orphans that were dropped: got %d, %v", len(orphans), err)
	}
	if err := w.try([]int{18}, func(tx *store.Tx) error { _, err := tx.PutReceipts([]duly.Receipt{lost}); return err }); err == nil {
		t.Error("a receipt without an attempt in the inbox: got no error")
	}
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
