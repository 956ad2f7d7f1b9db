package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

var word = engine.Word{By: "desk-7", Reason: "read in the carrier's log, line 4711"}

// doubtful makes a world in which the push of the day before is in doubt for some borrowers.
func doubtful(t *testing.T, db *store.DB, ids ...duly.BorrowerID) *world {
	t.Helper()
	w := newWorld(t, db)
	for _, id := range ids {
		w.apply(w.at(-5, "10:00"), person(id)...)
	}
	w.car.fate = refuse(channel.Unknown)
	w.step(w.at(-1, "12:00"))
	w.car.fate = nil
	return w
}

func (w *world) attempt(id duly.BorrowerID, n int) duly.AttemptID {
	w.t.Helper()
	return duly.NewAttemptID(w.contacts(id)[0].ID, n)
}

// Each fate moves the contact as the table of moves says, and then only what the strategy has next may follow: nothing is sent a
// second time.
func TestResolveFates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fate engine.Fate
		want []string // the contacts two hours later
		sent int      // messages in all
	}{
		{engine.FateSent, []string{"before push accepted", "before sms accepted"}, 2}, // no delivery: the ladder's next rung after 2 h
		{engine.FateDelivered, []string{"before push delivered"}, 1},
		{engine.FateRead, []string{"before push read"}, 1},
		{engine.FateNotSent, []string{"before push failed failed", "before sms accepted"}, 2},
	} {
		t.Run(string(c.fate), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := doubtful(t, db, who)
				w.want(who, "before push in_doubt told_so")
				id := w.attempt(who, 1)
				d, err := w.e.Doubts(t.Context(), w.at(-1, "13:00"), 10)
				if err != nil || len(d) != 1 || d[0].ID != id || d[0].Age != 3600 || d[0].Borrower != "…" || d[0].Channel != duly.ChannelPush || d[0].Detail != "told_so" {
					t.Fatalf("got %+v, %v; want the attempt, an hour old", d, err)
				}
				r, err := w.e.Resolve(t.Context(), w.at(-1, "13:00"), engine.DoubtAnswer{Attempt: id, Fate: c.fate}, word)
				if err != nil || r.Result != engine.Resolved || r.From != duly.InDoubt || !duly.InDoubt.CanBecome(r.To) {
					t.Fatalf("got %+v, %v", r, err)
				}
				for h := 13; h < 20; h++ {
					w.step(w.at(-1, fmt.Sprintf("%02d:30", h)))
				}
				w.want(who, c.want...)
				if w.car.count() != c.sent {
					t.Errorf("got %d messages, want %d", w.car.count(), c.sent)
				}
				seen := map[duly.AttemptID]bool{}
				for _, m := range w.car.sent {
					if seen[m.AttemptID] {
						t.Errorf("attempt %s was made twice", m.AttemptID)
					}
					seen[m.AttemptID] = true
				}
				if r, err = w.e.Resolve(t.Context(), w.at(-1, "20:00"), engine.DoubtAnswer{Attempt: id, Fate: c.fate}, word); err != nil || r.Result != engine.ResolvedBefore {
					t.Errorf("again: got %+v, %v; want it known before", r, err)
				}
				other := engine.FateNotSent
				if c.fate == other {
					other = engine.FateSent
				}
				if _, err = w.e.Resolve(t.Context(), w.at(-1, "20:00"), engine.DoubtAnswer{Attempt: id, Fate: other}, word); duly.CodeOf(err) != duly.Refused {
					t.Errorf("the contrary: got %v, want it refused", err)
				}
				w.inAudit(who, id)
			})
		})
	}
}

// inAudit checks that who resolved an attempt is in the audit, and why is not, but opens from beside it.
func (w *world) inAudit(id duly.BorrowerID, attempt duly.AttemptID) {
	w.t.Helper()
	var found []audit.Entry
	err := w.db.AuditEntries(w.t.Context(), id.Bucket(), func(e audit.Entry) error {
		if strings.Contains(e.Detail, word.Reason) {
			w.t.Errorf("entry %d holds the words", e.Seq)
		}
		if e.Kind == "doubt_resolved" && e.Subject == string(attempt) {
			found = append(found, e)
		}
		return nil
	})
	if err != nil || len(found) != 1 || found[0].Actor != "person:desk-7" {
		w.t.Fatalf("got %+v, %v; want one entry by desk-7", found, err)
	}
	var openings []audit.Opening
	if err := w.db.View(w.t.Context(), func(tx *store.Tx) (err error) { openings, err = tx.Openings(id); return err }); err != nil {
		w.t.Fatal(err)
	}
	if !slices.ContainsFunc(openings, func(o audit.Opening) bool {
		return o.Holds() && o.Value == word.Reason && strings.Contains(found[0].Detail, o.Hash)
	}) {
		w.t.Errorf("no opening of %s gives the reason: %+v", found[0].Detail, openings)
	}
	if r, err := w.db.AuditVerify(w.t.Context()); err != nil || len(r.Breaks) > 0 {
		w.t.Errorf("audit: %v, %v", r.Breaks, err)
	}
}

// What was not sent does not open the way past a limit, a refusal or a payment: the next rung is asked about like any contact.
func TestNotSentOpensNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fact func(w *world) duly.Fact
		at   func(w *world) time.Time
	}{
		"refused": {func(w *world) duly.Fact {
			return &duly.OptOut{BorrowerID: who, ID: "o", Key: "all", At: w.at(-1, "12:30"), Version: 1}
		}, nil},
		"paid":     {func(w *world) duly.Fact { return payment(who, "P1", 101_50, w.at(-1, "12:30")) }, nil},
		"too late": {nil, func(w *world) time.Time { return w.at(0, "10:00") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := doubtful(t, storetest.Open(t, "sqlite"), who)
			if c.fact != nil {
				w.apply(w.at(-1, "12:40"), c.fact(w))
			}
			at := w.at(-1, "13:00")
			if c.at != nil {
				at = c.at(w)
			}
			if _, err := w.e.Resolve(t.Context(), at, engine.DoubtAnswer{Attempt: w.attempt(who, 1), Fate: engine.FateNotSent}, word); err != nil {
				t.Fatal(err)
			}
			for h := 1; h < 5; h++ {
				w.step(at.Add(time.Duration(h) * time.Hour))
			}
			for _, m := range w.car.sent[1:] {
				if contact, _ := m.AttemptID.Contact(); c.at == nil || contact == w.contacts(who)[0].ID || strings.Contains(m.Text, "明日") {
					t.Errorf("sent %s by %s", m.AttemptID, m.Channel)
				}
			}
			for _, k := range w.contacts(who) {
				if k.Step == "before" && k.Channel == duly.ChannelSMS && k.State.CountsAsSent() {
					t.Errorf("the next rung is %s", k.State)
				}
			}
		})
	}
}

// A receipt that comes later than a person's word can still know better, and the carrier's own late answer changes nothing.
func TestReceiptAfterResolving(t *testing.T) {
	t.Parallel()
	w := doubtful(t, storetest.Open(t, "sqlite"), who)
	if _, err := w.e.Resolve(t.Context(), w.at(-1, "13:00"), engine.DoubtAnswer{Attempt: w.attempt(who, 1), Fate: engine.FateNotSent}, word); err != nil {
		t.Fatal(err)
	}
	w.car.receipt("r1", duly.ReceiptDelivered)
	w.step(w.at(-1, "13:01"))
	w.want(who, "before push delivered")
	// Known better before anybody resolved: the attempt is no more in doubt.
	w = doubtful(t, storetest.Open(t, "sqlite"), who)
	w.car.receipt("r1", duly.ReceiptRead)
	w.step(w.at(-1, "13:01"))
	if _, err := w.e.Resolve(t.Context(), w.at(-1, "14:00"), engine.DoubtAnswer{Attempt: w.attempt(who, 1), Fate: engine.FateNotSent}, word); duly.CodeOf(err) != duly.Refused {
		t.Errorf("got %v, want it refused", err)
	}
	w.want(who, "before push read")
}

// A carrier's answer is previewed, and just that preview is applied, or nothing.
func TestAnswers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ids := []duly.BorrowerID{"A1", "A2", "A3", "A4", "A5"}
		w := doubtful(t, db, ids...)
		now := w.at(-1, "13:00")
		answers := []engine.DoubtAnswer{
			{Attempt: w.attempt("A1", 1), Fate: engine.FateSent, ProviderID: "x-1"},
			{Attempt: w.attempt("A2", 1), Fate: engine.FateNotSent},
			{Attempt: w.attempt("A2", 1), Fate: engine.FateNotSent},
			{Attempt: w.attempt("A3", 1), Fate: engine.FateSent},
			{Attempt: w.attempt("A3", 1), Fate: engine.FateNotSent}, // a contradiction: neither
			{Attempt: "a1", Fate: engine.FateSent},
			{Attempt: w.attempt("A4", 1), Fate: "perhaps"},
			{Carrier: "test", ProviderID: "nothing", Fate: engine.FateSent},
			{Fate: engine.FateSent},
			{Carrier: "test", ProviderID: "\x00", Fate: engine.FateSent},
		}
		p, err := w.e.PreviewAnswers(t.Context(), answers)
		if err != nil {
			t.Fatal(err)
		}
		var got []engine.ResolveResult
		for _, r := range p.Rows {
			got = append(got, r.Result)
		}
		yes, no := engine.Resolved, engine.ResolvedRefused
		if want := []engine.ResolveResult{yes, yes, engine.ResolvedBefore, no, no, no, no, no, no, no}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v: %+v", got, want, p.Rows)
		}
		closes := func(p engine.DoubtPreview, resolved, before, refused int) {
			t.Helper()
			if p.Answers != len(answers) || p.Resolved != resolved || p.Before != before || p.Refused != refused || p.Sent+p.NotSent != p.Resolved {
				t.Errorf("got %+v, want %d resolved, %d before, %d refused", p, resolved, before, refused)
			}
		}
		closes(p, 2, 1, 7)
		w.want("A1", "before push in_doubt told_so")

		if _, err := w.e.ApplyAnswers(t.Context(), now, answers, "00", word); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("another preview: got %v, want a conflict", err)
		}
		if _, err := w.e.ApplyAnswers(t.Context(), now, answers[:1], p.Hash, word); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("other answers: got %v, want a conflict", err)
		}
		for _, bad := range []engine.Word{{By: "x"}, {Reason: "x"}, {By: "x\ny", Reason: "x"}, {By: strings.Repeat("x", 65), Reason: "x"}, {By: "x", Reason: "\xff"}} {
			if _, err := w.e.ApplyAnswers(t.Context(), now, answers, p.Hash, bad); duly.CodeOf(err) != duly.Usage {
				t.Errorf("word %q: got %v, want it refused", bad, err)
			}
		}
		if _, err := w.e.PreviewAnswers(t.Context(), nil); duly.CodeOf(err) != duly.Usage {
			t.Errorf("no answers: got %v", err)
		}
		done, err := w.e.ApplyAnswers(t.Context(), now, answers, p.Hash, word)
		if err != nil || !done.Applied {
			t.Fatalf("got %+v, %v", done, err)
		}
		closes(done, 2, 1, 7)
		w.want("A1", "before push accepted")
		w.want("A2", "before push failed failed")
		w.want("A3", "before push in_doubt told_so")
		w.inAudit("A2", w.attempt("A2", 1))

		// The same file again does nothing; by the reference that the first answer brought, the attempt is found.
		answers[0] = engine.DoubtAnswer{Carrier: "test", ProviderID: "x-1", Fate: engine.FateSent}
		if p, err = w.e.PreviewAnswers(t.Context(), answers); err != nil {
			t.Fatal(err)
		}
		closes(p, 0, 3, 7)
		if done, err = w.e.ApplyAnswers(t.Context(), now, answers, p.Hash, word); err != nil || done.Resolved != 0 {
			t.Errorf("again: got %+v, %v; want nothing resolved", done, err)
		}
		// What was previewed is frozen: a receipt in between makes it another preview.
		answers = answers[:1]
		answers[0] = engine.DoubtAnswer{Attempt: w.attempt("A5", 1), Fate: engine.FateNotSent}
		p, err = w.e.PreviewAnswers(t.Context(), answers)
		if err != nil || p.Resolved != 1 {
			t.Fatalf("got %+v, %v", p, err)
		}
		w.car.polls = append(w.car.polls, duly.Receipt{Provider: "test", Key: "k", AttemptID: answers[0].Attempt, Status: duly.ReceiptDelivered})
		w.step(w.at(-1, "13:30"))
		if _, err := w.e.ApplyAnswers(t.Context(), now, answers, p.Hash, word); duly.CodeOf(err) != duly.Conflict {
			t.Errorf("got %v, want a conflict", err)
		}
		w.want("A5", "before push delivered")
	})
}
