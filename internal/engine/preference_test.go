package engine_test

import (
	"context"
	"slices"
	"testing"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// prefer makes a preference of every day.
func (w *world) prefer(kind duly.PreferenceKind, from, to string, day int, clock string) *duly.Preference {
	w.t.Helper()
	p := &duly.Preference{BorrowerID: who, ID: "W", Kind: kind, Days: civil.EveryDay, Source: "agent", At: w.at(day, clock), Version: 1}
	for text, c := range map[string]*civil.Clock{from: &p.From, to: &p.To} {
		if err := c.UnmarshalText([]byte(text)); err != nil {
			w.t.Fatal(err)
		}
	}
	return p
}

// A contact waits for the hours that the borrower asked for, whether they were known when it was planned or not, and is not
// made within those forbidden.
func TestHoursAskedFor(t *testing.T) {
	t.Parallel()
	const reason = "customer_requested_times_policy"
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		t.Run("known when planned", func(t *testing.T) {
			w := newWorld(t, db)
			w.apply(w.at(-5, "10:00"), append(person(who), w.prefer(duly.PreferAllow, "18:00", "20:00", -5, "10:00"))...)
			w.step(w.at(0, "07:00"))
			w.want(who, "today sms planned "+reason)
			if c := w.contacts(who)[0]; !c.NotBefore.Equal(w.at(0, "18:00")) {
				t.Errorf("got not before %s, want 18:00", c.NotBefore.In(w.loc))
			}
			w.step(w.at(0, "17:59"))
			w.want(who, "today sms planned "+reason)
			w.step(w.at(0, "18:00"))
			w.want(who, "today sms accepted")
		})
	})
	t.Run("told after planning", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, storetest.Open(t, "sqlite"))
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(0, "08:00"))
		w.want(who, "today sms planned")
		p := w.prefer(duly.PreferForbid, "08:30", "13:00", 0, "08:30")
		w.apply(w.at(0, "08:30"), p)
		w.step(w.at(0, "12:59"))
		w.want(who, "today sms planned "+reason)
		w.step(w.at(0, "13:00"))
		w.want(who, "today sms accepted")
	})
	t.Run("taken back", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, storetest.Open(t, "sqlite"))
		p := w.prefer(duly.PreferForbid, "08:30", "13:00", -5, "10:00")
		w.apply(w.at(-5, "10:00"), append(person(who), p)...)
		w.step(w.at(0, "10:00"))
		w.want(who, "today sms planned "+reason)
		p.RevokedAt, p.Version = w.at(0, "10:30"), 2
		w.apply(w.at(0, "10:30"), p)
		w.step(w.at(0, "10:31"))
		w.want(who, "today sms accepted")
	})
	t.Run("no hours are left", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, storetest.Open(t, "sqlite")) // the step's own hours end at 20:00
		w.apply(w.at(-5, "10:00"), append(person(who), w.prefer(duly.PreferAllow, "20:30", "08:00", -5, "10:00"))...)
		for _, clock := range []string{"07:00", "12:00", "20:40"} {
			w.step(w.at(0, clock))
		}
		if n := w.car.count(); n != 0 {
			t.Errorf("%d messages went out", n)
		}
		w.want(who, "today sms blocked "+reason)
	})
}

// Hours told while a message of the same bucket is on its way keep the next one from leaving.
func TestHoursBetweenClaimAndPost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	a, b := sameBucket(t)
	w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
	w.step(w.at(0, "00:01"))
	told := false
	w.car.fate = func(m channel.Message) (channel.Accepted, error) { // one worker: no two at a time
		if !told {
			told = true
			p := w.prefer(duly.PreferForbid, "08:00", "18:00", 0, "12:00")
			if p.BorrowerID = a; m.BorrowerID == a {
				p.BorrowerID = b
			}
			if _, err := w.e.Apply(context.Background(), w.at(0, "12:00"), "test", []duly.Fact{p}); err != nil {
				return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: err.Error()}
			}
		}
		return channel.Accepted{}, nil
	}
	cfg := w.e.Config()
	cfg.Workers = 1
	w.e = w.engine(ladder, cfg)
	r := w.step(w.at(0, "12:00"))
	if w.car.count() != 1 || r.Dispatched.Recalled != 1 {
		t.Errorf("got %d messages and %d recalled, want 1 and 1", w.car.count(), r.Dispatched.Recalled)
	}
}

// What is to be told before an act is asked of the store: a notice of another loan, or of a time to come, is none.
func TestNoticeBeforeTheAct(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		second := duly.Loan{BorrowerID: who, ID: "L2", Schedule: duly.Bullet, Currency: "CNY", Version: 1}
		w.apply(w.at(-5, "10:00"), append(person(who), &second)...)
		ask := call("report")
		ask.Channel, ask.Purpose, ask.Minutes, ask.Loans = duly.ChannelLetter, duly.PurposeCreditReport, 0, []duly.LoanID{"L-B1"}
		notice := func(id duly.NoticeID, typ string, loan duly.LoanID, day int) {
			w.apply(w.at(3, "09:00"), &duly.Notice{BorrowerID: who, ID: id, Type: typ, LoanID: loan, At: w.at(day, "09:00"), Version: 1})
		}
		missing := func(step string) {
			t.Helper()
			if s := w.reserve(w.at(3, "10:00"), ask); s.Verdict != duly.Block || !slices.Contains(codes(s.Reasons), "prior_notice_missing") {
				t.Errorf("%s: got %s %q, want it blocked for want of the notice", step, s.Verdict, codes(s.Reasons))
			}
		}
		missing("none")
		notice("N1", "transfer_notice", "", 1)
		missing("of another type")
		notice("N2", "adverse_credit_notice", "L2", 1)
		missing("of another loan")
		notice("N3", "adverse_credit_notice", "L-B1", 4)
		missing("to come")
		notice("N4", "adverse_credit_notice", "L-B1", 1)
		if s := w.reserve(w.at(3, "10:00"), ask); s.Verdict != duly.Allow {
			t.Errorf("given: got %s %q, want it allowed", s.Verdict, codes(s.Reasons))
		}
	})
}
