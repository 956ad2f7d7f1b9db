package engine_test

import (
	"fmt"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// inParts is a world whose text message of the due day was taken in parts, with the given references, or half of it.
func inParts(t *testing.T, db *store.DB, half bool, references ...string) *world {
	t.Helper()
	w := newWorld(t, db)
	w.car.fate = func(m channel.Message) (channel.Accepted, error) {
		if m.Channel != duly.ChannelSMS {
			return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "not_here"}
		}
		if half {
			return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "partial", Parts: channel.JoinParts(references)}
		}
		return channel.Accepted{ProviderID: references[0], Segments: len(references), Parts: channel.JoinParts(references)}, nil
	}
	w.apply(w.at(-5, "10:00"), person(who)...)
	w.step(w.at(0, "00:01"))
	w.step(w.at(0, "10:00"))
	return w
}

// told has the carrier report something of a part, by its reference alone.
func (w *world) told(reference string, status duly.ReceiptStatus, minute int) {
	w.t.Helper()
	w.car.mu.Lock()
	w.car.polls = append(w.car.polls, duly.Receipt{
		Provider: "test", Key: fmt.Sprint(reference, status, minute), ProviderID: reference, Status: status, At: w.at(0, fmt.Sprintf("11:%02d", minute)),
	})
	w.car.mu.Unlock()
	w.e = w.engine(ladder, w.e.Config()) // another process: nothing is known but what the store says
	w.step(w.at(0, fmt.Sprintf("12:%02d", minute)))
}

// A message that was taken in parts is delivered when all parts are, and failed when one is for good, in whatever order the receipts come.
func TestParts(t *testing.T) {
	t.Parallel()
	const delivered, failed = duly.ReceiptDelivered, duly.ReceiptFailed
	type step struct {
		part   string
		status duly.ReceiptStatus
		minute int
		want   duly.ContactState
	}
	for n, tt := range []struct {
		name  string
		half  bool
		parts []string
		steps []step
	}{
		{"both arrive", false, []string{"x1", "x2"}, []step{{"x2", delivered, 1, duly.Accepted}, {"x1", delivered, 2, duly.Delivered}}},
		{"one twice is not both", false, []string{"x1", "x2"}, []step{{"x2", delivered, 1, duly.Accepted}, {"x2", delivered, 2, duly.Accepted}}},
		{"one fails", false, []string{"x1", "x2", "x3"}, []step{{"x1", delivered, 1, duly.Accepted}, {"x3", failed, 2, duly.Failed}}},
		{"one fails and arrives after all", false, []string{"x1", "x2"},
			[]step{{"x1", failed, 1, duly.Failed}, {"x2", delivered, 2, duly.Failed}, {"x1", delivered, 3, duly.Delivered}}},
		{"a failure that was overtaken", false, []string{"x1", "x2"}, []step{{"x1", delivered, 5, duly.Accepted}, {"x1", failed, 2, duly.Accepted}}},
		{"of another carrier's reference", false, []string{"x1", "x2"}, []step{{"x3", failed, 1, duly.Accepted}}},
		{"half arrives", true, []string{"x1", ""}, []step{{"x1", delivered, 1, duly.InDoubt}}},
		{"half fails", true, []string{"x1", ""}, []step{{"x1", failed, 1, duly.Failed}}},
		{"the second half alone is known", true, []string{"", "x2"}, []step{{"x2", delivered, 1, duly.InDoubt}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each := func(t *testing.T, run func(*testing.T, *store.DB)) { run(t, storetest.Open(t, "sqlite")) }
			if n == 0 {
				each = storetest.Each
			}
			each(t, func(t *testing.T, db *store.DB) {
				w := inParts(t, db, tt.half, tt.parts...)
				for n, s := range tt.steps {
					w.told(s.part, s.status, s.minute)
					if got := w.stateToday(); got != s.want {
						t.Errorf("after %d receipts: got %s, want %s", n+1, got, s.want)
					}
				}
			})
		})
	}
}

// stateToday is that of the text message of the due day.
func (w *world) stateToday() duly.ContactState {
	w.t.Helper()
	for _, c := range w.contacts(who) {
		if c.Step == "today" {
			return c.State
		}
	}
	w.t.Fatal("there is no contact of the due day")
	return ""
}
