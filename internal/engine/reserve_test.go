package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// limited is a strategy that lets so many contacts through in a period, all channels counted together.
func limited(limit int, period string) string {
	return fmt.Sprintf(`name: test
title: {zh: 测试, en: test}
limits:
  - {max: %d, per: %q}
steps:
  - id: today
    at: due
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: plain
    template: due-today
    catch_up: expire
`, limit, period)
}

func newLedger(t *testing.T, db *store.DB, text string) *world {
	w := newWorld(t, db)
	w.e = w.engine(text, w.e.Config())
	return w
}

// call asks for an agent's call about the due instalment, under a key.
func call(key string) engine.Ask {
	return engine.Ask{BorrowerID: who, Channel: duly.ChannelAgent, Actor: duly.Actor{Type: "human"}, Minutes: 5, Key: key}
}

func (w *world) fresh(now time.Time) {
	w.t.Helper()
	if err := w.e.FeedThrough(w.t.Context(), now, engine.FeedPayments, now); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reserve(now time.Time, a engine.Ask) engine.Slot {
	w.t.Helper()
	w.fresh(now)
	s, err := w.e.Reserve(w.t.Context(), now, "test", a)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) stands(now time.Time, id duly.ReservationID) engine.Standing {
	w.t.Helper()
	s, err := w.e.Stands(w.t.Context(), now, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func codes(reasons []duly.Reason) []string {
	out := []string{}
	for _, r := range reasons {
		out = append(out, r.Code)
	}
	return out
}

// Duly's own message, an agent's call and an agency's call are counted in one place: the third of the day waits.
func TestOneLedger(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newLedger(t, db, limited(2, "calendar_day"))
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(0, "10:00"))
		w.want(who, "today sms accepted")
		first := w.reserve(w.at(0, "11:00"), call("first"))
		if first.Verdict != duly.Allow || first.Purpose != duly.PurposeDueDay || first.PointID != "m" || !first.ExpiresAt.Equal(w.at(0, "11:15")) {
			t.Fatalf("the agent's: got %+v", first)
		}
		agency := call("second")
		agency.Actor.Agency = "agency-1"
		second := w.reserve(w.at(0, "11:01"), agency)
		if second.Verdict != duly.Defer || second.ID != "" || !slices.Equal(codes(second.Reasons), []string{"contact_limit_reached"}) || !second.NotBefore.Equal(w.at(1, "08:00")) {
			t.Fatalf("the agency's: got %+v", second)
		}
		again := w.reserve(w.at(0, "11:02"), call("first"))
		if d := cmp.Diff(first, again); d != "" {
			t.Errorf("the same key again (-first +again):\n%s", d)
		}
		if _, err := w.e.Release(t.Context(), w.at(0, "11:03"), "test", first.ID, "agent_busy"); err != nil {
			t.Fatal(err)
		}
		third := w.reserve(w.at(0, "11:04"), agency)
		if third.Verdict != duly.Allow {
			t.Fatalf("after the release: got %+v", third)
		}
		if _, err := w.e.Reserve(t.Context(), w.at(0, "11:05"), "test", call("first")); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("the key of a released slot: got %v, want a conflict", err)
		}
		r, err := db.AuditVerify(t.Context())
		if err != nil || len(r.Breaks) > 0 {
			t.Errorf("audit: %v, %v", r.Breaks, err)
		}
	})
}

func TestReserveChecks(t *testing.T) {
	t.Parallel()
	w := newLedger(t, storetest.Open(t, "sqlite"), limited(2, "calendar_day"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	now := w.at(0, "11:00")
	w.fresh(now)
	for _, c := range []struct {
		name   string
		change func(*engine.Ask)
		code   duly.Code
	}{
		{"no key", func(a *engine.Ask) { a.Key = "" }, duly.Invalid},
		{"nobody", func(a *engine.Ask) { a.BorrowerID = "" }, duly.Invalid},
		{"an unknown borrower", func(a *engine.Ask) { a.BorrowerID = "B9" }, duly.NotFound},
		{"an unknown loan alone", func(a *engine.Ask) { a.BorrowerID, a.Loans = "", []duly.LoanID{"L9"} }, duly.NotFound},
		{"somebody else's loan", func(a *engine.Ask) { a.Loans = []duly.LoanID{"L9"} }, duly.NotFound},
		{"no channel", func(a *engine.Ask) { a.Channel = "fax" }, duly.Invalid},
		{"no actor", func(a *engine.Ask) { a.Actor.Type = "" }, duly.Invalid},
		{"an agency without a name", func(a *engine.Ask) { a.Actor.ThirdParty = true }, duly.Invalid},
		{"a call of no length", func(a *engine.Ask) { a.Minutes = 0 }, duly.Invalid},
		{"for more than a day", func(a *engine.Ask) { a.ExpiresIn = 24*time.Hour + time.Second }, duly.Invalid},
		{"collection on the due day", func(a *engine.Ask) { a.Purpose = duly.PurposeCollection }, duly.Invalid},
		{"a key that is no text", func(a *engine.Ask) { a.Key = "a\x00b" }, duly.Invalid},
	} {
		a := call("k")
		c.change(&a)
		if _, err := w.e.Reserve(t.Context(), now, "test", a); duly.CodeOf(err) != c.code {
			t.Errorf("%s: got %v, want %s", c.name, err, c.code)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*engine.Ask)
		facts  []duly.Fact
		want   []string
	}{
		{"an address that is not known", func(a *engine.Ask) { a.PointID = "x" }, nil, []string{"no_contact_point"}},
		{"a message without words", func(a *engine.Ask) { a.Channel, a.Minutes = duly.ChannelSMS, 0 }, nil, []string{"missing_fact"}},
		{"a hold", nil, []duly.Fact{&duly.Hold{BorrowerID: who, ID: "h", Kind: "dispute", Scope: duly.HoldPerson, From: w.at(-1, "10:00"), Version: 1}}, []string{"contact_on_hold"}},
		{"paid", nil, []duly.Fact{payment(who, "P", 101_50, now)}, []string{"nothing_due"}},
	} {
		if len(c.facts) > 0 {
			w.apply(now, c.facts...)
		}
		a := call("k-" + c.name)
		if c.change != nil {
			c.change(&a)
		}
		s := w.reserve(now, a)
		if s.Verdict != duly.Block || !slices.Contains(codes(s.Reasons), c.want[0]) {
			t.Errorf("%s: got %s %v, want block %v", c.name, s.Verdict, codes(s.Reasons), c.want)
		}
	}
	if s, err := w.e.Reserve(t.Context(), now.Add(2*time.Hour), "test", call("stale")); err != nil || s.Verdict == duly.Allow {
		t.Errorf("with payments that are known up to two hours ago: got %+v, %v", s, err)
	}
	if s := w.reserve(w.at(-1, "12:00"), call("back")); s.Verdict == duly.Allow {
		t.Errorf("with a clock behind what is on record: got %+v", s)
	}
}

// A slot does not outlast the contact hours: a call that begins in it ends in them.
func TestSlotEndsWithTheHours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		now     string
		minutes int
		want    string
	}{{"20:30", 5, "20:55"}, {"20:54", 5, "20:55"}, {"12:00", 5, "20:55"}, {"20:50", 10, "20:50"}, {"19:00", 60, "20:00"}} {
		w := newLedger(t, storetest.Open(t, "sqlite"), limited(2, "calendar_day"))
		w.apply(w.at(-5, "10:00"), person(who)...)
		a := call("k")
		a.Minutes, a.ExpiresIn = c.minutes, 24*time.Hour
		s := w.reserve(w.at(0, c.now), a)
		want := w.at(0, c.want)
		if c.now == c.want {
			want = want.Add(time.Second)
		}
		if s.Verdict != duly.Allow || !s.ExpiresAt.Equal(want) {
			t.Errorf("at %s for %d minutes: got %s until %s, want until %s", c.now, c.minutes, s.Verdict, s.ExpiresAt, want)
		}
	}
}

// What comes in between the slot and the call shows when the dialler asks, and when it tells.
func TestStanding(t *testing.T) {
	t.Parallel()
	w := newLedger(t, storetest.Open(t, "sqlite"), limited(2, "calendar_day"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	a := call("k")
	a.ExpiresIn = time.Hour
	slot := w.reserve(w.at(0, "11:00"), a)
	now := w.at(0, "11:10")
	if s := w.stands(now, slot.ID); !s.Good || s.Paid || s.Held || s.OptedOut || s.Expired || s.Verdict != duly.Allow {
		t.Errorf("at first: got %+v", s)
	}
	w.apply(now, &duly.OptOut{BorrowerID: who, ID: "o", Key: "calls", At: now, Version: 1})
	if s := w.stands(now, slot.ID); s.Good || !s.OptedOut || s.Held {
		t.Errorf("refused: got %+v", s)
	}
	w.apply(now, &duly.OptOut{BorrowerID: who, ID: "o", Key: "calls", At: now, RevokedAt: now, Version: 2},
		&duly.Hold{BorrowerID: who, ID: "h", Kind: "hardship", Scope: duly.HoldPerson, From: now, Version: 1})
	if s := w.stands(now, slot.ID); s.Good || !s.Held || s.OptedOut {
		t.Errorf("held: got %+v", s)
	}
	w.apply(now, payment(who, "P", 101_50, now))
	if s := w.stands(now, slot.ID); s.Good || !s.Paid {
		t.Errorf("paid: got %+v", s)
	}
	s, err := w.e.Commit(t.Context(), now, "test", slot.ID, "no_answer", now.Add(-time.Minute))
	if err != nil || !s.Paid || s.Reservation.State != duly.TouchCommitted {
		t.Errorf("committed: got %+v, %v", s, err)
	}
	if _, err := w.e.Commit(t.Context(), now, "test", slot.ID, "no_answer", now.Add(-time.Minute)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, err := w.e.Commit(t.Context(), now, "test", slot.ID, "answered", now.Add(-time.Minute)); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("another outcome: got %v, want a conflict", err)
	}
	if _, err := w.e.Release(t.Context(), now, "test", slot.ID, "mistake"); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("released after it was committed: got %v, want a conflict", err)
	}
}

// A slot that ran out is unknown and counts in every cap, until a person says what became of it.
func TestUnknownCounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newLedger(t, db, limited(2, "calendar_day"))
		w.apply(w.at(-5, "10:00"), person(who)...)
		one, two := w.reserve(w.at(0, "11:00"), call("1")), w.reserve(w.at(0, "11:00"), call("2"))
		later := w.at(0, "12:00")
		if s := w.stands(later, one.ID); s.Good || !s.Expired || s.Reservation.Outcome != "unknown" {
			t.Errorf("before anybody wrote it down: got %+v", s)
		}
		if got, err := w.e.Reservations(t.Context(), later, duly.TouchUnknown, 10); err != nil || len(got) != 2 {
			t.Errorf("listed before anybody wrote it down: got %d, %v", len(got), err)
		}
		w.e = w.engine(ladder, w.e.Config()) // Duly's own message is not limited: the step shall go through
		if r := w.step(later); r.Dispatched.Unknown != 2 {
			t.Errorf("the step: got %d unknown, want 2", r.Dispatched.Unknown)
		}
		w.e = w.engine(limited(2, "calendar_day"), w.e.Config())
		if got, err := w.e.Reservations(t.Context(), later, duly.TouchUnknown, 10); err != nil || len(got) != 2 {
			t.Errorf("listed: got %d, %v", len(got), err)
		}
		if s := w.reserve(later, call("3")); s.Verdict != duly.Defer {
			t.Errorf("with unknown ones: got %+v", s)
		}
		if _, err := w.e.Commit(t.Context(), later, "test", one.ID, "no_answer", w.at(0, "11:05")); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("committed after it ran out: got %v, want a conflict", err)
		}
		if _, err := w.e.Release(t.Context(), later, "test", one.ID, "x"); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("released after it ran out: got %v, want a conflict", err)
		}
		if _, err := w.e.Settle(t.Context(), later, "test", one.ID, "no_answer", w.at(0, "11:05")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.e.Settle(t.Context(), later, "test", two.ID, engine.NotMade, time.Time{}); err != nil {
			t.Fatal(err)
		}
		// The text message counts, the unanswered call does not, what was not made does not.
		if s := w.reserve(later, call("4")); s.Verdict != duly.Allow {
			t.Errorf("after a person looked: got %+v", s)
		}
	})
}

// A fact cannot change a reservation, whatever its version and id.
func TestFactsLeaveReservationsAlone(t *testing.T) {
	t.Parallel()
	w := newLedger(t, storetest.Open(t, "sqlite"), limited(2, "calendar_day"))
	w.apply(w.at(-5, "10:00"), person(who)...)
	now := w.at(0, "11:00")
	slot := w.reserve(now, call("k"))
	a, err := w.e.Apply(t.Context(), now, "test", []duly.Fact{&duly.Touch{BorrowerID: who, ID: string(slot.ID), Channel: duly.ChannelAgent, Outcome: "no_answer", At: now, Version: 1 << 62}})
	if err != nil || a.Results[0] != store.Stale {
		t.Errorf("got %v, %v; want it stale", a.Results, err)
	}
	if s := w.stands(now, slot.ID); !s.Good {
		t.Errorf("got %+v", s)
	}
}

// Caps of long periods count what is long ago. The engine once read 35 days, whatever the rules said.
func TestHistoryIsAsDeepAsTheRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		per  string
		ago  int
		want duly.Verdict
	}{
		{"rolling_days:366", 365, duly.Defer}, {"rolling_days:366", 366, duly.Allow}, {"rolling_days:60", 59, duly.Defer}, {"rolling_days:60", 60, duly.Allow},
		{"ever", 3000, duly.Block}, {"rolling_days:7", 7, duly.Allow},
	} {
		for _, kind := range []string{"touch", "contact"} {
			w := newLedger(t, storetest.Open(t, "sqlite"), limited(1, c.per))
			then := due.Add(-c.ago)
			at := then.At(12*60, w.loc).UTC()
			w.apply(w.at(-5, "10:00"), person(who)...)
			if kind == "touch" {
				w.apply(w.at(-5, "10:00"), &duly.Touch{BorrowerID: who, ID: "T", Channel: duly.ChannelAgent, Outcome: "answered", At: at, Version: 1})
			} else {
				old := duly.Contact{ID: duly.NewContactID(who, "old", "s", then, 0), BorrowerID: who, Strategy: "old", Step: "s", Day: then, Channel: duly.ChannelSMS,
					State: duly.Delivered, SentAt: at, NotBefore: at, ExpiresAt: at.Add(time.Hour), PlannedAt: at, ChangedAt: at}
				if err := w.db.Update(t.Context(), at, []int{duly.BorrowerID(who).Bucket()}, func(tx *store.Tx) error { return tx.PutContacts([]duly.Contact{old}) }); err != nil {
					t.Fatal(err)
				}
			}
			if s := w.reserve(w.at(0, "11:00"), call("k")); s.Verdict != c.want {
				t.Errorf("at most one %s, and a %s %d days ago: an agent's call: got %s, want %s", c.per, kind, c.ago, s.Verdict, c.want)
			}
			if c.want == duly.Allow {
				continue
			}
			w.step(w.at(0, "11:30")) // Duly's own message is held back by the same
			if w.car.count() != 0 {
				t.Errorf("at most one %s, and a %s %d days ago: Duly's own message went out", c.per, kind, c.ago)
			}
		}
	}
}

// slotModel is what a ledger of slots must be, in the simplest words: a list.
type slotModel struct {
	state   duly.TouchState
	outcome string
	at      time.Time
	expires time.Time
	from    time.Time
}

// counts reports whether a model's slot counts in a cap of what reached the person, over a period.
func (m *slotModel) counts(now time.Time, period time.Duration) bool {
	reached := slices.Contains([]string{"reserved", "unknown", "voicemail", "answered", "conversation"}, m.outcome)
	return m.state != duly.TouchReleased && reached && m.at.After(now.Add(-period))
}

// Whatever is reserved, committed, released, resolved or runs out, in whatever order: a slot is given just when a list says
// that there is one.
func TestSlotsAreAModel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const limit, period, steps = 3, 2 * time.Hour, 400
		for seed := range uint64(3) {
			id := duly.BorrowerID(fmt.Sprintf("M%d", seed))
			w := newLedger(t, db, limited(limit, "rolling:2h"))
			w.apply(w.at(-5, "10:00"), person(id)...)
			r := rand.New(rand.NewPCG(seed, 1))
			model := map[duly.ReservationID]*slotModel{}
			var ids []duly.ReservationID
			now := w.at(-1, "08:00")
			for step := range steps {
				now = now.Add(time.Duration(r.IntN(9*60)+1) * time.Second)
				if now.After(w.at(-1, "20:00")) && now.Before(w.at(0, "08:00")) {
					now = w.at(0, "08:00")
				} else if now.After(w.at(0, "20:00")) {
					break
				}
				for _, m := range model {
					if m.state == duly.TouchReserved && !now.Before(m.expires) {
						m.state, m.outcome = duly.TouchUnknown, "unknown"
					}
				}
				if len(ids) == 0 || r.IntN(2) == 0 {
					taken := 0
					for _, m := range model {
						if m.counts(now, period) {
							taken++
						}
					}
					a := call(fmt.Sprint(step))
					a.BorrowerID, a.ExpiresIn = id, time.Duration(r.IntN(40)+1)*time.Minute
					s := w.reserve(now, a)
					if (s.Verdict == duly.Allow) != (taken < limit) {
						t.Fatalf("seed %d, step %d: %d taken of %d, got %s %v", seed, step, taken, limit, s.Verdict, codes(s.Reasons))
					}
					if s.Verdict == duly.Allow {
						ids = append(ids, s.ID)
						model[s.ID] = &slotModel{duly.TouchReserved, "reserved", s.ExpiresAt, s.ExpiresAt, now}
					}
					continue
				}
				pick := ids[r.IntN(len(ids))]
				m := model[pick]
				outcome := []string{"no_answer", "answered", "voicemail", "busy"}[r.IntN(4)]
				at := now.Add(-time.Duration(r.IntN(300)) * time.Second)
				var err error
				var want bool
				switch r.IntN(3) {
				case 0:
					want = m.state == duly.TouchReserved && !at.Before(m.from)
					if _, err = w.e.Commit(context.Background(), now, "test", pick, outcome, at); want {
						m.state, m.outcome, m.at = duly.TouchCommitted, outcome, at
					}
					want = want || m.state == duly.TouchCommitted && m.outcome == outcome && m.at.Equal(at)
				case 1:
					want = m.state == duly.TouchReserved || m.state == duly.TouchReleased
					if _, err = w.e.Release(context.Background(), now, "test", pick, "test"); want {
						m.state = duly.TouchReleased
					}
				case 2:
					want = m.state == duly.TouchUnknown
					if r.IntN(2) == 0 {
						outcome = engine.NotMade
					}
					if _, err = w.e.Settle(context.Background(), now, "test", pick, outcome, time.Time{}); !want {
						break
					}
					if m.state, m.outcome = duly.TouchCommitted, outcome; outcome == engine.NotMade {
						m.state = duly.TouchReleased
					}
				}
				if want != (err == nil) {
					t.Fatalf("seed %d, step %d: a slot that is %s: allowed %v, got %v", seed, step, m.state, want, err)
				}
			}
			if len(ids) < 20 {
				t.Errorf("seed %d: only %d slots were given: the test tests little", seed, len(ids))
			}
		}
	})
}
