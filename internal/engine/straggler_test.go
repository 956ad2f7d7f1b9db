package engine_test

import (
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// A message whose carrier hangs keeps nobody else's waiting: the dispatch ends without it, the next sends what is due by then, and
// its answer is stored when it comes. Only when half of the workers hang does the next dispatch wait.
func TestHangingCarrierHoldsUpNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		cfg := w.e.Config()
		cfg.Workers, cfg.Patience = 4, 10*time.Millisecond
		w.e = w.engine(ladder, cfg)
		hung := storetest.InBucket(1, 2)
		others := storetest.InBucket(2, 3)
		answer := make(chan error)
		w.car.fate = func(m channel.Message) (channel.Accepted, error) {
			if m.BorrowerID.Bucket() == hung[0].Bucket() {
				return channel.Accepted{ProviderID: string(m.AttemptID)}, <-answer
			}
			return channel.Accepted{ProviderID: string(m.AttemptID)}, nil
		}
		day := w.at(0, "12:00")
		w.apply(w.at(-5, "10:00"), append(person(hung[0]), person(others[0])...)...)
		r := w.step(day)
		if d := r.Dispatched; d.Claimed != 2 || d.Accepted != 1 || d.Unanswered != 1 {
			t.Fatalf("got %+v, want one accepted and one that is not answered yet", d)
		}
		w.want(hung[0], "today sms claimed")
		w.want(others[0], "today sms accepted")

		w.apply(day.Add(time.Second), append(person(hung[1]), person(others[1])...)...)
		if d := w.step(day.Add(time.Second)).Dispatched; d.Claimed != 2 || d.Accepted != 1 || d.Unanswered != 1 || d.Late != 0 {
			t.Fatalf("got %+v, want the others sent while the first hangs", d)
		}
		// Two of four workers hang. A third would leave one: it is sent, and then the next dispatch waits.
		w.apply(day.Add(2*time.Second), person(others[2])...)
		if d := w.step(day.Add(2 * time.Second)).Dispatched; d.Accepted != 1 {
			t.Fatalf("got %+v, want one more accepted", d)
		}
		answer <- nil
		answer <- &channel.Error{Class: channel.Temporary, Code: "busy"}
		if err := w.e.Drain(t.Context(), day.Add(3*time.Second)); err != nil {
			t.Fatal(err)
		}
		if w.car.count() != 5 {
			t.Errorf("got %d messages, want 5", w.car.count())
		}
		accepted := 0
		for _, id := range hung {
			err := db.View(t.Context(), func(tx *store.Tx) error {
				all, err := tx.BucketContacts(id.Bucket())
				for _, c := range all {
					if c.BorrowerID == id && c.State == duly.Accepted {
						accepted++
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if accepted != 1 {
			t.Errorf("got %d of those that hung accepted, want one; the other is tried again", accepted)
		}
		w.car.fate = nil
		w.step(day.Add(time.Hour))
		w.want(hung[0], "today sms accepted")
		w.want(hung[1], "today sms accepted")
		if w.car.count() != 6 {
			t.Errorf("got %d messages, want 6", w.car.count())
		}
	})
}
