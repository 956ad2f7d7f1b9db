package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// pair is two persons of one bucket who are claimed together and sent to one after the other.
func (w *world) pair(clock func() time.Time) (a, b duly.BorrowerID) {
	w.t.Helper()
	a, b = sameBucket(w.t)
	w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
	w.step(w.at(0, "00:01"))
	cfg := w.e.Config()
	cfg.Workers, cfg.Clock = 1, clock
	w.e = w.engine(ladder, cfg)
	return a, b
}

// other returns the one of a pair that a message is not to.
func other(m channel.Message, a, b duly.BorrowerID) duly.BorrowerID {
	if m.BorrowerID == a {
		return b
	}
	return a
}

// The process that applied a payment died before it had told others of it; the caller tells it again, to another. What is known
// already stops a claim as news would.
func TestPaymentToldAgainStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	a, b := w.pair(nil)
	died := w.engine(ladder, w.e.Config())
	var once sync.Once
	w.car.fate = func(m channel.Message) (channel.Accepted, error) {
		once.Do(func() {
			p := payment(other(m, a, b), "P", 101_50, w.at(0, "11:00"))
			for _, e := range []*engine.Engine{died, w.e} {
				if _, err := e.Apply(context.Background(), w.at(0, "12:00"), "test", []duly.Fact{p}); err != nil {
					t.Error(err)
				}
			}
		})
		return channel.Accepted{}, nil
	}
	if r := w.step(w.at(0, "12:00")); w.car.count() != 1 || r.Dispatched.Recalled != 1 {
		t.Errorf("got %d messages and %d recalled, want 1 and 1", w.car.count(), r.Dispatched.Recalled)
	}
}

// A process reads a claim again that has waited, and is paused before it acts on what it read. Another applies a payment
// meanwhile, and waits its time. What was read is then too old, and is read again.
func TestPauseAfterReadingAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	noon := w.at(0, "12:00")
	var mu sync.Mutex
	now, calls, payer := noon, -1, duly.BorrowerID("") // calls of the clock once the second is in turn
	var elsewhere *engine.Engine
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if calls >= 0 {
			if calls++; calls == 4 { // when it was handed the job, when it began to look, when it read, and now that it has read
				now = now.Add(time.Second)
				if _, err := elsewhere.Apply(context.Background(), noon, "test", []duly.Fact{payment(payer, "P", 101_50, w.at(0, "11:00"))}); err != nil {
					t.Error(err)
				}
			}
		}
		return now
	}
	a, b := w.pair(clock)
	cfg := w.e.Config()
	cfg.Clock = nil
	elsewhere = w.engine(ladder, cfg)
	w.car.fate = func(m channel.Message) (channel.Accepted, error) {
		mu.Lock()
		defer mu.Unlock()
		if calls < 0 {
			calls, payer, now = 0, other(m, a, b), now.Add(150*time.Millisecond)
		}
		return channel.Accepted{}, nil
	}
	if r := w.step(noon); w.car.count() != 1 || r.Dispatched.Recalled != 1 {
		t.Errorf("got %d messages and %d recalled, want 1 and 1", w.car.count(), r.Dispatched.Recalled)
	}
}
