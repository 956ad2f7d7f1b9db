package engine_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func inbound(id duly.BorrowerID, text string, at time.Time) *duly.Reply {
	return &duly.Reply{BorrowerID: id, ID: duly.ReplyID("R-" + at.Format(time.RFC3339)), Channel: duly.ChannelSMS, Text: text, At: at, Version: 1}
}

// cases returns the kinds of a borrower's cases with their states.
func (w *world) cases(id duly.BorrowerID) []string {
	w.t.Helper()
	all, err := w.e.Cases(w.t.Context(), id, true, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	out := []string{}
	for _, c := range all {
		out = append(out, string(c.Kind)+" "+string(c.State))
	}
	slices.Sort(out)
	return out
}

// What a reply stops is stopped when Apply returns, and what it does not speak of is not. Each text comes on the morning of the
// due day, ahead of the text message of the step today.
func TestRepliesAreTakenIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		intent string
		done   []string
		cases  []string
		sends  bool // the text message of the due day goes out all the same
	}{
		{"TD", "opt_out", []string{"opt_out sms"}, []string{"opt_out done"}, false},
		{"别再给我打电话了，发短信就行", "opt_out", []string{"opt_out calls"}, []string{"opt_out done"}, true},
		{"STOP ALL", "opt_out", []string{"opt_out all"}, []string{"opt_out done"}, false},
		{"这钱不是我借的，我不认", "dispute", []string{"hold dispute"}, []string{"dispute open"}, false},
		{"请联系我的律师", "attorney", []string{"opt_out all", "hold attorney_represented"}, []string{"attorney open"}, false},
		{"打错了，我不认识这个人", "wrong_party", []string{"hold wrong_party"}, []string{"wrong_party open"}, false},
		{"明天还", "promise", []string{"hold promise_to_pay"}, []string{}, true}, // it stops collection; of a reminder the strategy decides
		{"我不想活了", "crisis", nil, []string{"crisis open"}, false},
		{"我已经还了", "payment_claim", nil, []string{"payment_claim open"}, true},
		{"失业了，能不能延期", "hardship", nil, []string{"hardship open"}, true},
		{"我欠多少钱？", "question", nil, []string{"question open"}, true},
		{"绿水青山", "unknown", nil, []string{"unknown_reply open"}, true},
	}
	for _, tc := range tests {
		t.Run(tc.intent, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, "sqlite")
			w := newWorld(t, db)
			w.apply(w.at(-10, "08:00"), person("B1")...)
			w.step(w.at(0, "07:00"))
			w.want("B1", "today sms planned")
			r := inbound("B1", tc.text, w.at(0, "07:30"))
			r.LoanID, r.PointID = "L-B1", "m"
			w.apply(w.at(0, "07:31"), r)
			if r.Meaning.Intent != tc.intent {
				t.Fatalf("got intent %s (%s), want %s", r.Meaning.Intent, r.Meaning.Matched, tc.intent)
			}
			if !slices.Equal(r.Meaning.Done, tc.done) {
				t.Errorf("got done %q, want %q", r.Meaning.Done, tc.done)
			}
			if diff := cmp.Diff(tc.cases, w.cases("B1")); diff != "" {
				t.Errorf("cases (-want +got):\n%s", diff)
			}
			w.step(w.at(0, "12:00"))
			if got := w.car.count() > 0; got != tc.sends {
				t.Errorf("message sent: got %t, want %t; contacts %+v", got, tc.sends, w.contacts("B1"))
			}
		})
	}
}

// The same reply again changes nothing, its words are in no audit entry, and one that names only the contact it answers finds
// its borrower, loan and address by it.
func TestReplyToAContact(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-10, "08:00"), person("B1")...)
		w.step(w.at(0, "10:00"))
		sent := w.contacts("B1")
		i := slices.IndexFunc(sent, func(c duly.Contact) bool { return c.State == duly.Accepted })
		if i < 0 {
			t.Fatalf("nothing was sent: %+v", sent)
		}
		const words = "打错了，我不认识这个人"
		r := inbound("", words, w.at(0, "11:00"))
		r.ContactID = sent[i].ID
		w.apply(w.at(0, "11:01"), r)
		if r.BorrowerID != "B1" || r.LoanID != "L-B1" || r.PointID != "m" {
			t.Errorf("got borrower %q, loan %q, point %q", r.BorrowerID, r.LoanID, r.PointID)
		}
		again := inbound("", words, w.at(0, "11:00"))
		again.ContactID = sent[i].ID
		a, err := w.e.Apply(t.Context(), w.at(0, "11:05"), "test", []duly.Fact{again})
		if err != nil || a.Results[0] != store.Same || a.Replies != 0 {
			t.Errorf("again: got %v, %d taken, %v, want it the same", a.Results, a.Replies, err)
		}
		if got := w.cases("B1"); len(got) != 1 {
			t.Errorf("got cases %q, want one", got)
		}
		x, err := w.e.Why(t.Context(), w.at(0, "12:00"), "B1", due)
		if err != nil || len(x.Replies) != 1 || x.Replies[0].Text != words || x.Replies[0].Meaning.Intent != "wrong_party" {
			t.Errorf("why: got %+v, %v, want the reply with its meaning", x.Replies, err)
		}
		if x.Mask(); x.Replies[0].Text != "" {
			t.Error("the words are shown though masked")
		}
		err = db.AuditEntries(t.Context(), duly.BorrowerID("B1").Bucket(), func(e audit.Entry) error {
			if strings.Contains(e.Detail, "认识") {
				t.Errorf("audit entry %s holds the words", e.Kind)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		unknown := inbound("", "TD", w.at(0, "13:00"))
		unknown.ContactID = duly.NewContactID("nobody", "s", "x", due, 0)
		if a, err := w.e.Apply(t.Context(), w.at(0, "13:00"), "test", []duly.Fact{unknown}); err != nil || a.Results[0] != store.UnknownBorrower {
			t.Errorf("of an unknown contact: got %v, %v, want an unknown borrower", a.Results, err)
		}
	})
}

// A promise pauses the collection of its loan until the promised day is over.
func TestPromiseByReply(t *testing.T) {
	t.Parallel()
	for _, promised := range []bool{false, true} {
		w := newWorld(t, storetest.Open(t, "sqlite"))
		w.apply(w.at(-10, "08:00"), person("B1")...)
		if promised {
			r := inbound("B1", "14号还", w.at(2, "07:30"))
			r.LoanID = "L-B1"
			w.apply(w.at(2, "07:31"), r)
			if want := []string{"hold promise_to_pay"}; !slices.Equal(r.Meaning.Done, want) || r.Meaning.PromiseOn != due.Add(4) {
				t.Errorf("got done %q and day %s, want %q and %s", r.Meaning.Done, r.Meaning.PromiseOn, want, due.Add(4))
			}
		}
		w.step(w.at(3, "12:00"))
		if got, want := w.car.count(), map[bool]int{false: 1, true: 0}[promised]; got != want {
			t.Errorf("promised %t: got %d messages of the step after, want %d", promised, got, want)
		}
		if !promised {
			continue
		}
		err := w.db.View(t.Context(), func(tx *store.Tx) error {
			p, err := tx.Persons(duly.BorrowerID("B1").Bucket(), []duly.BorrowerID{"B1"}, time.Time{})
			if err != nil {
				return err
			}
			if h := p[0].Holds[0]; h.ActiveAt(w.at(5, "00:00")) || !h.ActiveAt(w.at(4, "23:59")) || h.LoanID != "L-B1" {
				t.Errorf("got hold %+v, want it on the loan until the promised day is over", h)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A refusal that was revoked stands again when the borrower writes again.
func TestRefusalAfterRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-10, "08:00"), person("B1")...)
	w.apply(w.at(-9, "08:00"), inbound("B1", "TD", w.at(-9, "08:00")))
	back := &duly.OptOut{BorrowerID: "B1", ID: "reply:sms", Key: "sms", At: w.at(-9, "08:00"), RevokedAt: w.at(-8, "08:00"), Source: "agent", Version: w.at(-8, "08:00").UnixMicro()}
	w.apply(w.at(-8, "08:00"), back)
	w.apply(w.at(-7, "08:00"), inbound("B1", "退订", w.at(-7, "08:00")))
	w.step(w.at(0, "12:00"))
	if n := w.car.count(); n != 0 {
		t.Errorf("%d messages went out after the second refusal", n)
	}
}
