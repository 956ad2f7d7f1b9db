package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// An address is found in any bucket and however it is written, by its kind, and under its new form once it changed.
func testAddresses(t *testing.T, w *world) {
	ctx := context.Background()
	a, b := InBucket(3, 1)[0], InBucket(700, 1)[0]
	point := func(owner duly.BorrowerID, id duly.PointID, kind duly.PointKind, value string) *duly.ContactPoint {
		return &duly.ContactPoint{BorrowerID: owner, ID: id, Kind: kind, Value: value, State: duly.PointActive, Version: 1}
	}
	moved := point(b, "old", duly.PointMobile, "+8613900000000")
	w.put(Borrower(a), Borrower(b), point(a, "m", duly.PointMobile, "+8613800000000"), point(b, "home", duly.PointLandline, "0086 138 0000 0000"),
		point(b, "mail", duly.PointEmail, "Some.Body@Example.com"), moved)
	find := func(value string, kinds ...duly.PointKind) []string {
		t.Helper()
		points, err := w.db.PointsOf(ctx, kinds, value, 10)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, p := range points {
			out = append(out, string(p.BorrowerID)+" "+string(p.ID))
		}
		return out
	}
	w.same("of two", find("8613800000000", duly.PointMobile, duly.PointLandline), []string{string(a) + " m", string(b) + " home"})
	w.same("of a kind", find("+86-138-0000-0000", duly.PointLandline), []string{string(b) + " home"})
	w.same("a mail address", find(" some.body@example.COM", duly.PointEmail, duly.PointWorkEmail), []string{string(b) + " mail"})
	w.same("nothing", find("", duly.PointMobile), []string{})
	again := *moved
	again.Version, again.Value = 2, "+8613911111111"
	w.put(&again)
	w.same("the number that was", find("+8613900000000", duly.PointMobile), []string{})
	w.same("the number that is", find("+8613911111111", duly.PointMobile), []string{string(b) + " old"})

	c := Contact(a, "d-3", today, 0)
	c.State, c.SentAt, c.PointID, c.Channel = duly.Delivered, Noon, "m", duly.ChannelSMS
	w.update([]int{3}, func(tx *store.Tx) error { return tx.PutContacts([]duly.Contact{c}) })
	last := func(ch duly.Channel, since civil.Date) time.Time {
		t.Helper()
		at, err := w.db.LastSent(ctx, a, "m", ch, since)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	w.same("last sent", last(duly.ChannelSMS, today), Noon)
	w.same("by another channel", last(duly.ChannelEmail, today), time.Time{})
	w.same("too long ago", last(duly.ChannelSMS, today.Add(1)), time.Time{})
}

func testUnmatched(t *testing.T, w *world) {
	ctx := context.Background()
	u := func(n int, at time.Time) store.Unmatched {
		return store.Unmatched{Carrier: "c", Key: fmt.Sprint(n), Kind: "reply", Data: "{}", ReceivedAt: at, TriedAt: at}
	}
	one, two, three := u(1, Noon), u(2, Noon.Add(time.Minute)), u(3, Noon.Add(2*time.Minute))
	list := func() []store.Unmatched {
		t.Helper()
		out, err := w.db.Unmatched(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for range 2 {
		if gone, err := w.db.PutUnmatched(ctx, w.now, []store.Unmatched{one, two}, 2); err != nil || gone != 0 {
			t.Fatalf("got %d gone, %v", gone, err)
		}
	}
	w.same("kept once", list(), []store.Unmatched{two, one})
	if gone, err := w.db.PutUnmatched(ctx, w.now, []store.Unmatched{three}, 2); err != nil || gone != 1 {
		t.Fatalf("over the bound: got %d gone, %v, want the oldest", gone, err)
	}
	w.same("bounded", list(), []store.Unmatched{three, two})
	untried, err := w.db.UntriedSince(ctx, Noon.Add(time.Minute+time.Second), 10)
	if err != nil {
		t.Fatal(err)
	}
	w.same("not tried since", untried, []store.Unmatched{two})
	if err := w.db.TriedUnmatched(ctx, Noon.Add(time.Hour), untried, nil, time.Time{}.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	two.TriedAt = Noon.Add(time.Hour)
	w.same("tried", list(), []store.Unmatched{three, two})
	if err := w.db.TriedUnmatched(ctx, Noon.Add(time.Hour), nil, []store.Unmatched{three}, Noon); err != nil {
		t.Fatal(err)
	}
	w.same("done", list(), []store.Unmatched{two})
	if err := w.db.TriedUnmatched(ctx, Noon.Add(time.Hour), nil, nil, Noon.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.same("too old", len(list()), 0)
}
