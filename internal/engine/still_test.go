package engine_test

import (
	"context"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// What has been handed over may be told until a payment, a hold or a refusal comes in; a store that cannot be asked says no.
func TestStill(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fact func(w *world) duly.Fact // comes in meanwhile; nil for nothing
		want bool
	}{
		{"nothing came in", func(*world) duly.Fact { return nil }, true},
		{"paid", func(w *world) duly.Fact { return payment("A", "P", 101_50, w.at(0, "12:01")) }, false},
		{"paid in part", func(w *world) duly.Fact { return payment("A", "P", 50, w.at(0, "12:01")) }, false},
		{"held", func(w *world) duly.Fact {
			return &duly.Hold{BorrowerID: "A", ID: "H", Kind: "dispute", Scope: duly.HoldPerson, Reason: "test", Author: "test", From: w.at(0, "12:01"), ReviewOn: due.Add(9), Version: 1}
		}, false},
		{"refused", func(w *world) duly.Fact {
			return &duly.OptOut{BorrowerID: "A", ID: "O", Key: "calls", At: w.at(0, "12:01"), Source: "test", Version: 1}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Open(t, "sqlite"))
			w.apply(w.at(-5, "10:00"), person("A")...)
			w.step(w.at(0, "00:01"))
			var still func(context.Context) bool
			w.car.fate = func(m channel.Message) (channel.Accepted, error) {
				still = m.Still
				if !m.Still(t.Context()) {
					t.Error("not owed at the POST itself")
				}
				return channel.Accepted{ProviderID: "p"}, nil
			}
			w.step(w.at(0, "12:00"))
			if still == nil {
				t.Fatal("nothing was sent")
			}
			if f := c.fact(w); f != nil {
				w.apply(w.at(0, "12:01"), f)
			}
			if got := still(t.Context()); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			if still(gone) {
				t.Error("a store that does not answer says that it is owed")
			}
		})
	}
}
