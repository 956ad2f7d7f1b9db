package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// fence returns the report of a day, after checking that it closes.
func (w *world) fence(now time.Time, from, to civil.Date) engine.FenceReport {
	w.t.Helper()
	r, err := w.e.Fence(w.t.Context(), now, from, to)
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0
	for _, n := range r.Classes {
		sum += n
	}
	if r.Attempts != r.NotSent+r.Before+sum || len(r.Findings) != sum || len(r.Classes) != len(engine.FenceClasses()) {
		w.t.Errorf("the report does not close: %d attempts, %d not sent, %d before, %v, %d findings", r.Attempts, r.NotSent, r.Before, r.Classes, len(r.Findings))
	}
	return r
}

// classes returns the class of each borrower's contact.
func classes(r engine.FenceReport) map[duly.BorrowerID]engine.FenceClass {
	out := map[duly.BorrowerID]engine.FenceClass{}
	for _, f := range r.Findings {
		out[f.Borrower] = f.Class
	}
	return out
}

// One person for each way in which a contact and a payment can meet, and each is in its class.
func TestFenceReport(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		const noon = "12:00"
		var facts []duly.Fact
		for _, id := range []duly.BorrowerID{"late", "handed", "rest", "later", "never", "doubt", "recalled", "refused"} {
			facts = append(facts, person(id)...)
		}
		w.apply(w.at(-5, "10:00"), facts...)
		w.step(w.at(0, "00:01"))
		w.apply(w.at(0, "08:00"), payment("rest", "P-rest", 50_00, w.at(0, "08:00"))) // known, and a part of it
		// Its bucket's other person is claimed in one go with this one, and the payment comes while that one is on its way.
		beside, _ := besides("recalled")
		w.apply(w.at(0, "08:00"), person(beside)...)
		w.step(w.at(0, "08:30"))
		w.car.fate = func(m channel.Message) (channel.Accepted, error) {
			pay := func(id duly.BorrowerID, at time.Time) {
				if _, err := w.e.Apply(context.Background(), w.at(0, noon), "test", []duly.Fact{payment(id, "P-"+string(id), 101_50, at)}); err != nil {
					t.Error(err)
				}
			}
			switch m.BorrowerID {
			case "handed":
				pay("handed", w.at(0, "11:59"))
			case "doubt":
				return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "timeout"}
			case "refused":
				return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "no"}
			case beside, "recalled":
				w.car.mu.Lock()
				first := w.car.sentTo(beside)+w.car.sentTo("recalled") == 1
				w.car.mu.Unlock()
				if other := map[duly.BorrowerID]duly.BorrowerID{beside: "recalled", "recalled": beside}[m.BorrowerID]; first {
					pay(other, w.at(0, "11:00"))
				}
			}
			return channel.Accepted{}, nil
		}
		cfg := w.e.Config()
		cfg.Workers = 1
		w.e = w.engine(ladder, cfg)
		w.step(w.at(0, noon))
		w.car.fate = nil
		w.apply(w.at(0, "15:00"), payment("late", "P-late", 101_50, w.at(0, "09:00")), payment("later", "P-later", 101_50, w.at(0, "14:00")),
			payment("doubt", "P-doubt", 101_50, w.at(0, "10:00")))

		r := w.fence(w.at(0, "16:00"), civil.Date{}, civil.Date{})
		want := map[duly.BorrowerID]engine.FenceClass{
			"late": engine.FenceFeedLate, "handed": engine.FenceHandedOver, "rest": engine.FenceRest, "doubt": engine.FenceFeedLate,
		}
		if d := cmp.Diff(want, classes(r)); d != "" {
			t.Errorf("classes (-want +got):\n%s", d)
		}
		if r.Attempts != 9 || r.NotSent != 2 || r.Before != 3 || r.Faults() != 0 {
			t.Errorf("got %d attempts, %d not sent, %d before, %d faults; want 9, 2, 3, 0", r.Attempts, r.NotSent, r.Before, r.Faults())
		}
		for _, f := range r.Findings {
			if f.Seal != engine.SealHolds || f.Begun.IsZero() || f.KnownAt.IsZero() {
				t.Errorf("%s: got seal %s, begun %s, known %s; want it sealed and timed", f.Borrower, f.Seal, f.Begun, f.KnownAt)
			}
		}
		if r := w.fence(w.at(0, "16:00"), due.Add(1), due.Add(9)); r.Attempts != 0 {
			t.Errorf("days after: got %d attempts", r.Attempts)
		}
		if _, err := w.e.Fence(t.Context(), w.at(0, "16:00"), due, due.Add(-1)); duly.CodeOf(err) != duly.Usage {
			t.Errorf("a span that ends before it begins: got %v", err)
		}
	})
}

// besides returns an id in the bucket of another.
func besides(id duly.BorrowerID) (duly.BorrowerID, bool) {
	for _, other := range storetest.InBucket(id.Bucket(), 2) {
		if other != id {
			return other, true
		}
	}
	return "", false
}

// sentTo counts the messages to a borrower; the carrier must be locked.
func (c *carrier) sentTo(id duly.BorrowerID) (n int) {
	for _, m := range c.sent {
		if m.BorrowerID == id {
			n++
		}
	}
	return n
}

// What must never happen is written by hand, behind the engine's back: the report says so.
func TestFenceReportSeesFaults(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), append(append(append(person("asked"), person("through")...), person("cut")...), person("some")...)...)
		w.step(w.at(0, "12:00"))
		now := w.at(0, "13:00")
		w.apply(now, payment("asked", "P1", 101_50, now), payment("through", "P2", 101_50, now), payment("cut", "P3", 101_50, now),
			payment("some", "P4", 10_00, now), payment("some", "P5", 20_00, now))
		for _, c := range []struct {
			id     duly.BorrowerID
			change func(a *duly.Attempt)
		}{
			{"asked", func(a *duly.Attempt) { a.Known.LedgerVersion += 1000 }}, // it knew of the payment, and asked for everything
			{"some", func(a *duly.Attempt) { a.Known.LedgerVersion += 1000 }},  // of both
			{"through", func(a *duly.Attempt) { // it was fenced, and began a microsecond later
				a.FencedAt, a.BegunAt, a.EndedAt = now, now.Add(time.Microsecond), now.Add(time.Second)
			}},
			{"cut", func(a *duly.Attempt) { // the process died, and it is not known whether the POST began
				a.FencedAt, a.BegunAt, a.State, a.EndedAt = now, time.Time{}, duly.AttemptInDoubt, now.Add(time.Minute)
			}},
		} {
			contact := w.contacts(c.id)[0]
			err := db.Update(t.Context(), now, []int{c.id.Bucket()}, func(tx *store.Tx) error {
				list, err := tx.Attempts(contact.ID)
				if err != nil {
					return err
				}
				a := list[0]
				a.No, a.ID, a.ClaimedAt, a.BegunAt = 2, duly.NewAttemptID(contact.ID, 2), now, now
				c.change(&a)
				return tx.PutAttempts([]duly.Attempt{a})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		r := w.fence(w.at(0, "16:00"), due, due)
		want := map[duly.BorrowerID]engine.FenceClass{
			"asked": engine.FenceFault, "some": engine.FenceFault, "through": engine.FenceFault, "cut": engine.FenceUnproved,
		}
		if d := cmp.Diff(want, classes(r)); d != "" {
			t.Errorf("classes (-want +got):\n%s", d)
		}
		if r.Faults() != 3 || r.Findings[0].Class != engine.FenceFault || r.Findings[0].Seal != engine.SealBroken {
			t.Errorf("got %d faults, the first %+v; want 3, first in the list, under a seal that does not hold", r.Faults(), r.Findings[0])
		}
	})
}

// The certificate of a try is sealed in the audit with the claim; whatever is changed in it breaks the seal, and what is erased
// leaves the audit whole.
func TestCertificate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		w.step(w.at(-1, "12:00"))
		w.step(w.at(0, "12:00"))
		c := w.contacts(who)[1]
		id := duly.NewAttemptID(c.ID, 1)
		proof := func() engine.Proof {
			p, err := w.e.Certificate(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		p := proof()
		if k := p.Known; p.Seal != engine.SealHolds || len(k.Outstanding) != 1 || k.Outstanding[0].Minor != 101_50 || k.Decision != c.Decision.Hash() || k.Entry == 0 || k.FeedAge != 0 {
			t.Fatalf("got %+v, want it sealed, with CNY 101.50 owed and the decision's hash", p)
		}
		var entry audit.Entry
		if err := db.View(t.Context(), func(tx *store.Tx) (err error) { entry, err = tx.AuditEntry(p.Bucket, p.Known.Entry); return err }); err != nil {
			t.Fatal(err)
		}
		if !p.Opens() || !p.In(&entry) {
			t.Error("the certificate is not in the entry that it names")
		}
		entry.Seq++
		if masked := p; p.In(&entry) || func() bool { masked.Mask(); return masked.Opens() }() {
			t.Error("another entry, or no salt, passes")
		}
		why, err := w.e.Why(t.Context(), w.at(0, "16:00"), who, due)
		if err != nil || len(why.Recorded) != 1 || len(why.Recorded[0].Proofs) != 1 || why.Recorded[0].Proofs[0].Seal != engine.SealHolds || why.Recorded[0].Proofs[0].Salt != "" {
			t.Errorf("why: got %+v, %v; want a certificate that holds, without its salt", why.Recorded, err)
		}
		erased := func() store.Erased {
			x, err := w.e.EraseOpenings(t.Context(), w.at(0, "17:00"), "cli:test", who)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		if x := erased(); x.Attempts != 2 {
			t.Errorf("got %+v erased, want two certificates", x)
		}
		if x := erased(); x != (store.Erased{}) {
			t.Errorf("again: got %+v, want nothing left to erase", x)
		}
		if p := proof(); p.Seal != engine.SealErased || len(p.Known.Items) != 0 {
			t.Errorf("got %+v, want an erased certificate", p)
		}
		if r, err := db.AuditVerify(t.Context()); err != nil || len(r.Breaks) != 0 {
			t.Errorf("after erasure the audit has breaks %v, %v", r.Breaks, err)
		}
		w.apply(w.at(0, "18:00"), payment(who, "P1", 101_50, w.at(0, "09:00")))
		if r := w.fence(w.at(0, "19:00"), due.Add(-1), due); classes(r)[who] != engine.FenceUnproved {
			t.Errorf("got %v, want what was erased to be unproved", classes(r))
		}
		if _, err := w.e.Certificate(t.Context(), "a1"); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("no such attempt: got %v", err)
		}
	})
}
