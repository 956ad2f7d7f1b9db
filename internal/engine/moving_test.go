package engine_test

import (
	"fmt"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// put has the store say where the bucket of a person is.
func (w *world) put(id duly.BorrowerID, place store.Place) {
	w.t.Helper()
	err := w.db.Rehouse(w.t.Context(), id.Bucket(), func(_ *store.Tx, p *store.Placing) error { p.Place = place; return nil })
	if err != nil {
		w.t.Error(err)
	}
}

// apart returns a person of another bucket.
func apart(from duly.BorrowerID) duly.BorrowerID {
	id := duly.BorrowerID("Z1")
	for n := 2; id.Bucket() == from.Bucket(); n++ {
		id = duly.BorrowerID(fmt.Sprintf("Z%d", n))
	}
	return id
}

// Nothing begins for people who are on their way to another cell, and that holds up nobody else; should they stay, they are written to.
func TestNothingBeginsWhileMoving(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		other := apart(who)
		w.apply(w.at(-5, "10:00"), append(person(who), person(other)...)...)
		n := w.node(w.e.Config())
		w.beat(n)
		w.run(n, w.at(0, "06:00"))
		for _, place := range []store.Place{store.Leaving, store.Sealed, store.Left} {
			w.put(who, place)
			if r := w.run(n, w.at(0, "12:00")); r.Dispatched.InDoubt+r.Dispatched.Failed > 0 {
				t.Errorf("%s: %+v", place, r.Dispatched)
			}
			w.want(who, "today sms planned")
			w.want(other, "today sms accepted")
			if len(n.e.Holding().Mine([]int{who.Bucket()})) > 0 || len(n.e.Holding().Mine([]int{other.Bucket()})) == 0 {
				t.Errorf("%s: the node does not drop just what moves", place)
			}
			if _, err := n.e.Apply(t.Context(), w.at(0, "12:00"), "test", []duly.Fact{payment(who, "P1", 1, w.at(0, "11:00"))}); duly.CodeOf(err) != duly.Unavailable && duly.CodeOf(err) != duly.Refused {
				t.Errorf("%s: a payment is taken: %v", place, err)
			}
			w.put(who, store.Here)
			w.beat(n)
		}
		w.run(n, w.at(0, "12:10"))
		w.want(who, "today sms accepted")
		if w.car.count() != 2 {
			t.Errorf("got %d messages, want 2", w.car.count())
		}
	})
}

// The answer to a message that was under way when its person was to move is stored; one that comes while the rows are copied waits;
// one that comes when they have gone holds up nobody.
func TestAnswerWhileMoving(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		place       store.Place
		then, after string // of the contact, and once its person is here again
	}{
		{store.Leaving, "accepted", "accepted"}, {store.Sealed, "claimed", "accepted"}, {store.Left, "claimed", "in_doubt lease_ended"}, // as after the death of the process
	} {
		t.Run(c.place.String(), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := newWorld(t, db)
				w.apply(w.at(-5, "10:00"), person(who)...)
				n := w.node(w.e.Config())
				w.beat(n)
				w.run(n, w.at(0, "06:00"))
				w.car.fate = func(channel.Message) (channel.Accepted, error) {
					w.put(who, c.place)
					return channel.Accepted{ProviderID: "x"}, nil
				}
				w.run(n, w.at(0, "12:00"))
				w.want(who, "today sms "+c.then)
				w.car.fate = nil
				other := apart(who)
				w.beat(n)
				w.apply(w.at(0, "12:00"), person(other)...)
				w.run(n, w.at(0, "12:01"))
				w.want(other, "today sms accepted")
				w.put(who, store.Here)
				w.beat(n)
				w.run(n, w.at(0, "12:01"))
				w.want(who, "today sms "+c.after)
				if w.car.count() != 2 {
					t.Errorf("got %d messages, want 2", w.car.count())
				}
			})
		})
	}
}
