package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// hear has the engine take what a carrier tells.
func (w *world) hear(now time.Time, h channel.Heard) engine.ReceiveReport {
	w.t.Helper()
	var r engine.ReceiveReport
	if err := w.e.Hear(w.t.Context(), now, "gate", h, &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// wrote is a reply as a carrier tells of it.
func wrote(key, from, text string, at time.Time) channel.Heard {
	return channel.Heard{Replies: []channel.Reply{{Key: key, Channel: duly.ChannelSMS, From: from, Text: text, At: at}}}
}

// personAt is person with a number of their own.
func personAt(id duly.BorrowerID, number string) []duly.Fact {
	facts := person(id)
	facts[1].(*duly.ContactPoint).Value = number
	return facts
}

func (w *world) known(id duly.BorrowerID) *duly.Person {
	w.t.Helper()
	out := &duly.Person{}
	err := w.db.View(w.t.Context(), func(tx *store.Tx) error {
		persons, err := tx.Persons(id.Bucket(), []duly.BorrowerID{id}, time.Time{})
		if len(persons) == 1 {
			out = &persons[0]
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// refusals returns the keys of a borrower's refusals.
func (w *world) refusals(id duly.BorrowerID) []string {
	out := []string{}
	for _, o := range w.known(id).OptOuts {
		out = append(out, o.Key)
	}
	slices.Sort(out)
	return out
}

// Who wrote is found by the address however it is written, and by the attempt that is answered; the same again is taken once.
func TestHearFindsWhoWrote(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-10, "08:00"), personAt("B1", "+8610000000001")...)
		w.apply(w.at(-10, "08:00"), personAt("B2", "+8610000000002")...)
		w.step(w.at(0, "10:00"))
		now := w.at(0, "11:00")
		for i, from := range []string{"8610000000001", "+86 100-0000-0001"} {
			h := wrote("k1", from, "TD", now.Add(-time.Minute))
			if r := w.hear(now.Add(time.Duration(i)*time.Second), h); r.Replies != 1-i || r.Unmatched != 0 {
				t.Errorf("time %d: got %+v, want it taken once", i+1, r)
			}
		}
		if got := w.refusals("B1"); !slices.Equal(got, []string{"sms"}) {
			t.Errorf("got refusals %q, want sms", got)
		}
		sent := w.car.attempts()
		i := slices.IndexFunc(sent, func(m channel.Message) bool { return m.BorrowerID == "B2" && m.Channel == duly.ChannelSMS })
		h := channel.Heard{Replies: []channel.Reply{{Key: "k2", Channel: duly.ChannelSMS, AttemptID: sent[i].AttemptID, Text: "打错了，我不认识这个人", At: now}}}
		if r := w.hear(now, h); r.Replies != 1 {
			t.Errorf("by the attempt: got %+v", r)
		}
		if p := w.known("B1").Point("m"); p.State != duly.PointGood {
			t.Errorf("the number that wrote is %s, want %s", p.State, duly.PointGood)
		}
		if p := w.known("B2").Point("m"); p.State != duly.PointWrong {
			t.Errorf("the number answered is %s, want %s", p.State, duly.PointWrong)
		}
	})
}

// A number that several have belongs to whoever was written to well after the others; else what protects is done for each of
// them, and a person looks.
func TestHearSharedNumber(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const number = "+8610000000009"
		w := newWorld(t, db)
		w.apply(w.at(-10, "08:00"), personAt("B1", number)...)
		w.apply(w.at(-10, "08:00"), personAt("B2", number)...)
		late := personAt("B3", number)
		late[4].(*duly.Installment).DueOn = due.Add(5)
		w.apply(w.at(-10, "08:00"), late...)
		w.step(w.at(0, "10:00"))
		at := w.at(0, "11:00")
		w.hear(at, wrote("k1", number, "明天还", at))
		for _, id := range []duly.BorrowerID{"B1", "B2", "B3"} {
			if diff := cmp.Diff([]string{"promise open"}, w.cases(id)); diff != "" {
				t.Errorf("%s, of several: cases (-want +got):\n%s", id, diff)
			}
			if holds := w.known(id).Holds; len(holds) != 0 {
				t.Errorf("%s: a promise of somebody else's holds the loan: %+v", id, holds)
			}
		}
		at = w.at(0, "11:30")
		w.hear(at, wrote("k2", number, "TD", at))
		for _, id := range []duly.BorrowerID{"B1", "B2", "B3"} {
			if got := w.refusals(id); !slices.Equal(got, []string{"sms"}) {
				t.Errorf("%s, of several: got refusals %q, want sms", id, got)
			}
			if diff := cmp.Diff([]string{"opt_out open", "promise open"}, w.cases(id)); diff != "" {
				t.Errorf("%s: cases (-want +got):\n%s", id, diff)
			}
		}
	})
}

func TestHearLastWrittenTo(t *testing.T) {
	t.Parallel()
	const number = "+8610000000009"
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-10, "08:00"), personAt("B1", number)...)
	late := personAt("B2", number)
	late[4].(*duly.Installment).DueOn = due.Add(5)
	w.apply(w.at(-10, "08:00"), late...)
	w.step(w.at(0, "10:00"))
	w.step(w.at(3, "10:00"))
	at := w.at(3, "11:00")
	w.hear(at, wrote("k1", number, "别再给我打电话了，发短信就行", at))
	w.step(w.at(5, "10:00"))
	for range 2 {
		w.hear(w.at(5, "11:00"), wrote("k2", number, "TD", w.at(5, "11:00")))
		w.hear(w.at(5, "12:00"), wrote("k1", number, "别再给我打电话了，发短信就行", at)) // told again, it stays with whom it was told of
	}
	if b1, b2 := w.refusals("B1"), w.refusals("B2"); !slices.Equal(b1, []string{"calls"}) || !slices.Equal(b2, []string{"sms"}) {
		t.Errorf("got refusals %q and %q, want those of who was written to last alone", b1, b2)
	}
}

// What comes from an address that nobody has is kept apart, found once an import brings the address, and dropped in time.
func TestHearUnmatched(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		h := wrote("k1", "+8610000000005", "TD", w.at(-10, "07:00"))
		h.Points = []channel.PointNews{
			{Key: "p1", Kind: duly.PointMobile, Value: "+8610000000005", OptedOut: duly.ChannelRobot, At: w.at(-10, "07:00")},
			{Key: "p2", Kind: duly.PointMobile, Value: "+8610000000005", State: duly.PointBounced, At: w.at(-10, "07:00")},
		}
		for range 2 {
			if r := w.hear(w.at(-10, "07:01"), h); r.Unmatched != 2 || r.Replies != 0 {
				t.Errorf("got %+v, want the reply and the refusal unmatched", r)
			}
		}
		list, err := db.Unmatched(t.Context(), 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("got %d kept, %v, want 2", len(list), err)
		}
		w.step(w.at(-10, "07:30"))
		w.apply(w.at(-9, "08:00"), personAt("B5", "+8610000000005")...)
		w.step(w.at(-9, "09:00"))
		if got := w.refusals("B5"); !slices.Equal(got, []string{"calls", "sms"}) {
			t.Errorf("once the number is known: got refusals %q, want calls and sms", got)
		}
		w.hear(w.at(-9, "10:00"), wrote("k2", "+8610000000006", "TD", w.at(-9, "10:00")))
		w.step(w.at(25, "10:00"))
		if list, err = db.Unmatched(t.Context(), 10); err != nil || len(list) != 0 {
			t.Errorf("after a month: got %d kept, %v, want none", len(list), err)
		}
	})
}

// What is said without words acts by the same rules as words do.
func TestHearSaid(t *testing.T) {
	t.Parallel()
	tests := []struct {
		intent string
		on     civil.Date
		done   []string
		cases  []string
	}{
		{"promise", due.Add(1), []string{"hold promise_to_pay"}, []string{}},
		{"promise", civil.Date{}, nil, []string{"promise open"}},
		{"question", civil.Date{}, nil, []string{"question open"}},
		{"hardship", civil.Date{}, nil, []string{"hardship open"}},
		{"wrong_party", civil.Date{}, []string{"hold wrong_party"}, []string{"wrong_party open"}},
		{"opt_out", civil.Date{}, []string{"opt_out calls"}, []string{"opt_out done"}},
		{"dispute", civil.Date{}, []string{"hold dispute"}, []string{"dispute open"}},
		{"no_such", civil.Date{}, nil, []string{"unknown_reply open"}},
	}
	for _, tc := range tests {
		t.Run(tc.intent+tc.on.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Open(t, "sqlite"))
			w.apply(w.at(-10, "08:00"), person("B1")...)
			at := w.at(0, "11:00")
			w.hear(at, channel.Heard{Replies: []channel.Reply{{Key: "k", Channel: duly.ChannelRobot, From: "+8610000000001", Intent: tc.intent, PromiseOn: tc.on, At: at}}})
			x, err := w.e.Why(t.Context(), w.at(0, "12:00"), "B1", due)
			if err != nil || len(x.Replies) != 1 {
				t.Fatalf("got replies %+v, %v", x.Replies, err)
			}
			if m := x.Replies[0].Meaning; !slices.Equal(m.Done, tc.done) || m.Matched != "said" {
				t.Errorf("got done %q by %s, want %q by said", m.Done, m.Matched, tc.done)
			}
			if diff := cmp.Diff(tc.cases, w.cases("B1")); diff != "" {
				t.Errorf("cases (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever else has the number, a carrier's word on an address is for all of them.
func TestHearPointNews(t *testing.T) {
	t.Parallel()
	const number = "+8610000000009"
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-10, "08:00"), personAt("B1", number)...)
	w.apply(w.at(-10, "08:00"), personAt("B2", number)...)
	h := channel.Heard{Points: []channel.PointNews{{Key: "p", Kind: duly.PointMobile, Value: number, State: duly.PointRecycled, At: w.at(-9, "08:00")}}}
	if r := w.hear(w.at(-9, "08:00"), h); r.Points != 2 {
		t.Errorf("got %+v, want two points", r)
	}
	for _, id := range []duly.BorrowerID{"B1", "B2"} {
		if p := w.known(id).Point("m"); p.State != duly.PointRecycled {
			t.Errorf("%s: got %s", id, p.State)
		}
	}
	if r := w.hear(w.at(-9, "08:00"), h); r.Points != 0 {
		t.Errorf("again: got %+v", r)
	}
	w.step(w.at(0, "10:00"))
	if got := w.car.attempts(); slices.ContainsFunc(got, func(m channel.Message) bool { return m.Channel == duly.ChannelSMS }) {
		t.Errorf("a number that is somebody else's now was written to: %d messages", len(got))
	}
}

// What receipts show of a contact point stays with it, and the best one is written to.
func TestPointQuality(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		facts := person("B1")
		w.apply(w.at(-10, "08:00"), facts[0], facts[1], facts[3], facts[4])
		w.step(w.at(0, "10:00"))
		w.car.receipt("r1", duly.ReceiptDelivered)
		w.step(w.at(0, "10:05"))
		if p := w.known("B1").Point("m"); p.State != duly.PointGood || !p.SeenAt.Equal(w.at(0, "10:05")) {
			t.Errorf("delivered: got %s, seen %s", p.State, p.SeenAt)
		}
		second := *facts[1].(*duly.ContactPoint)
		second.ID, second.Value = "m0", "+8610000000002" // of no better rank, and not verified
		w.apply(w.at(1, "08:00"), &second)
		w.step(w.at(3, "10:00"))
		if sent := w.car.attempts(); sent[len(sent)-1].To != "+8610000000001" {
			t.Error("another number than the good one was written to")
		}
		again := *facts[1].(*duly.ContactPoint)
		again.Version = 2
		if a, err := w.e.Apply(t.Context(), w.at(3, "11:00"), "test", []duly.Fact{&again}); err != nil || a.Results[0] != store.Same {
			t.Fatalf("got %v, %v", a.Results, err)
		}
		if p := w.known("B1").Point("m"); p.State != duly.PointGood {
			t.Errorf("the lender says the same again: got %s", p.State)
		}
	})
}
