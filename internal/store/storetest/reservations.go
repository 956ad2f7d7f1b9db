package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// Reservation makes a slot that is kept for a quarter of an hour from Noon on.
func Reservation(b duly.BorrowerID, key string) duly.Reservation {
	return duly.Reservation{
		ID: duly.NewReservationID(b, key), BorrowerID: b, Key: key, Loans: []duly.LoanID{"L1", "L2"}, Items: Contact(b, "d-3", today, 0).Items,
		PointID: "m1", Channel: duly.ChannelAgent, Purpose: duly.PurposeCollection, Party: "guarantor",
		Actor: duly.Actor{Type: "human", ThirdParty: true, Agency: "agency-1", Certified: true}, Minutes: 5,
		State: duly.TouchReserved, Outcome: duly.OutcomeReserved, At: Noon.Add(15 * time.Minute), ReservedAt: Noon, ExpiresAt: Noon.Add(15 * time.Minute),
		Known: duly.Knowledge{LedgerVersion: 4, FeedAt: Noon.Add(-time.Minute), Packs: []string{"cn-mainland@1f"}, Strategy: "consumer-cn@abc123"}, Digest: -7,
	}
}

// testReservations walks the table of a reservation's moves, and what of it is a touch in each state.
func testReservations(t *testing.T, w *world) {
	b := InBucket(36, 1)[0]
	w.put(Borrower(b))
	put := func(v duly.Reservation) error {
		return w.try([]int{36}, func(tx *store.Tx) error { return tx.PutReservation(&v) })
	}
	find := func(id duly.ReservationID) (v duly.Reservation) {
		w.view(func(tx *store.Tx) (err error) { v, err = tx.FindReservation(id); return err })
		return v
	}
	v := Reservation(b, "k")
	if err := put(v); err != nil {
		t.Fatal(err)
	}
	w.same("reservation", find(v.ID), v)
	touch := duly.Touch{BorrowerID: b, ID: string(v.ID), PointID: "m1", Channel: duly.ChannelAgent, Purpose: duly.PurposeCollection, Outcome: "reserved", At: v.At, Agency: "agency-1"}
	w.same("as a touch", w.person(b).Touches, []duly.Touch{touch})
	if err := put(v); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("put twice: got %v, want a conflict", err)
	}
	one := Reservation(b, "one")
	one.Loans = []duly.LoanID{"L1"}
	one.State, one.Outcome = duly.TouchUnknown, duly.OutcomeUnknown
	if err := put(one); err != nil {
		t.Fatal(err)
	}
	if got := w.person(b).Touches; len(got) != 2 || got[0].LoanID == got[1].LoanID {
		t.Errorf("of one loan, and of two: got %+v", got)
	}

	n := 0
	for _, from := range duly.TouchStates() {
		for _, to := range duly.TouchStates() {
			n++
			x := Reservation(b, fmt.Sprint(n))
			x.State = from
			if err := put(x); err != nil {
				t.Fatal(err)
			}
			x.State, x.Outcome, x.At = to, "answered", Noon.Add(time.Minute)
			err := w.try([]int{36}, func(tx *store.Tx) error { return tx.MoveReservation(&x, from) })
			if from.CanBecome(to) != (err == nil) {
				t.Errorf("%s to %s: allowed %v, got %v", from, to, from.CanBecome(to), err)
			}
			if err == nil {
				w.same("moved", find(x.ID), x)
			}
		}
	}
	v.State = duly.TouchReleased
	if err := w.try([]int{36}, func(tx *store.Tx) error { return tx.MoveReservation(&v, duly.TouchUnknown) }); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("a move from a state it is not in: got %v, want a conflict", err)
	}
	w.update([]int{36}, func(tx *store.Tx) error { return tx.MoveReservation(&v, duly.TouchReserved) })
	for _, x := range w.person(b).Touches {
		if x.ID == string(v.ID) {
			t.Error("what was released is among the touches")
		}
	}
}

func testReservationQueries(t *testing.T, w *world) {
	ctx := context.Background()
	b := InBucket(37, 1)[0]
	w.put(Borrower(b))
	early, late := Reservation(b, "early"), Reservation(b, "late")
	early.ExpiresAt = Noon
	w.update([]int{37}, func(tx *store.Tx) error {
		if err := tx.PutReservation(&late); err != nil {
			return err
		}
		return tx.PutReservation(&early)
	})
	for _, c := range []struct {
		at   time.Time
		want int
	}{{Noon.Add(-time.Microsecond), 0}, {Noon, 1}, {late.ExpiresAt, 2}} {
		var got []duly.Reservation
		w.view(func(tx *store.Tx) (err error) { got, err = tx.ExpiredReservations(37, c.at); return err })
		buckets, err := w.db.ReservationBuckets(ctx, c.at)
		if len(got) != c.want || err != nil || len(buckets) != min(c.want, 1) {
			t.Errorf("ran out at %s: got %d in buckets %v, %v; want %d", c.at, len(got), buckets, err, c.want)
		}
	}
	list := func(state duly.TouchState) (ids []duly.ReservationID) {
		got, err := w.db.Reservations(ctx, state, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range got {
			ids = append(ids, v.ID)
		}
		return ids
	}
	w.same("reserved", list(duly.TouchReserved), []duly.ReservationID{early.ID, late.ID})
	w.same("unknown", len(list(duly.TouchUnknown)), 0)
	early.State, early.Outcome = duly.TouchUnknown, duly.OutcomeUnknown
	w.update([]int{37}, func(tx *store.Tx) error { return tx.MoveReservation(&early, duly.TouchReserved) })
	w.same("unknown", list(duly.TouchUnknown), []duly.ReservationID{early.ID})
	if err := w.db.View(ctx, func(tx *store.Tx) error { _, err := tx.FindReservation("r000"); return err }); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("a reservation that is not there: got %v, want not found", err)
	}
}
