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
		w.apply(w.at(0, "12:30"), person("B2")...)
		other := inbound("B2", "这钱不是我借的，我不认", w.at(0, "12:40"))
		other.ContactID = sent[i].ID
		w.apply(w.at(0, "12:41"), other)
		if other.LoanID != "" || other.PointID != "" || !slices.Equal(other.Meaning.Done, []string{"hold dispute"}) {
			t.Errorf("naming another's contact: got loan %q, point %q, done %q; want a hold on the person", other.LoanID, other.PointID, other.Meaning.Done)
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

// preferences returns what stands of a borrower's hours, each written as "source hours".
func (w *world) preferences(now time.Time) []string {
	w.t.Helper()
	out := []string{}
	err := w.db.View(w.t.Context(), func(tx *store.Tx) error {
		p, err := tx.Persons(who.Bucket(), []duly.BorrowerID{who}, time.Time{})
		if err != nil {
			return err
		}
		for _, x := range p[0].Preferences {
			if x.ActiveAt(now) {
				out = append(out, x.Source+" "+x.String())
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// Hours that are clear are kept from the reply on; those that are not, or would open what was closed, are for a person.
func TestHoursByReply(t *testing.T) {
	t.Parallel()
	type said struct {
		text  string
		done  []string
		cases []string // in all
		stand []string
	}
	for name, replies := range map[string][]said{
		"clear": {
			{"只能晚上7点后联系", []string{"preference allow 19:00-24:00"}, []string{}, []string{"reply allow 19:00-24:00"}},
			{"上班时间不要打电话", []string{"preference forbid 09:00-18:00"}, []string{}, []string{"reply allow 19:00-24:00", "reply forbid 09:00-18:00"}},
		},
		"days": {
			{"weekends only please", []string{"preference allow sat-sun 00:00-24:00"}, []string{}, []string{"reply allow sat-sun 00:00-24:00"}},
			{"please don't call on Sundays", []string{"preference forbid sun 00:00-24:00"}, []string{}, []string{"reply allow sat-sun 00:00-24:00", "reply forbid sun 00:00-24:00"}},
		},
		"narrower": {
			{"please call after 6pm", []string{"preference allow 18:00-24:00"}, []string{}, []string{"reply allow 18:00-24:00"}},
			{"you can reach me between 7 and 9 pm", []string{"preference allow 19:00-21:00"}, []string{}, []string{"reply allow 19:00-21:00"}},
		},
		"wider": {
			{"please call after 6pm", []string{"preference allow 18:00-24:00"}, []string{}, []string{"reply allow 18:00-24:00"}},
			{"best time is 9am to 11am", nil, []string{"time_preference open"}, []string{"reply allow 18:00-24:00"}},
		},
		"clear, and a question": { // a person reads it too
			{"Only call me after 6pm", []string{"preference allow 18:00-24:00"}, []string{"time_preference open"}, []string{"reply allow 18:00-24:00"}},
		},
		"not clear": {{"下午3点打给我", nil, []string{"time_preference open"}, []string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.Open(t, "sqlite"))
			w.apply(w.at(-10, "08:00"), person(who)...)
			for i, s := range replies {
				now := w.at(-9+i, "08:00")
				r := inbound(who, s.text, now)
				w.apply(now, r)
				if !slices.Equal(r.Meaning.Done, s.done) {
					t.Errorf("%s: got done %q, want %q", s.text, r.Meaning.Done, s.done)
				}
				if diff := cmp.Diff(s.cases, w.cases(who)); diff != "" {
					t.Errorf("%s: cases (-want +got):\n%s", s.text, diff)
				}
				if diff := cmp.Diff(s.stand, w.preferences(now)); diff != "" {
					t.Errorf("%s: hours (-want +got):\n%s", s.text, diff)
				}
			}
		})
	}
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, storetest.Open(t, "sqlite"))
		w.apply(w.at(-10, "08:00"), person(who)...)
		w.step(w.at(0, "08:00"))
		w.apply(w.at(0, "08:30"), inbound(who, "只能晚上7点后联系", w.at(0, "08:29")))
		w.step(w.at(0, "18:59"))
		w.want(who, "today sms planned customer_requested_times_policy")
		w.step(w.at(0, "19:00"))
		w.want(who, "today sms accepted")
	})
}

// Disputes of two loans whose long ids begin alike are two holds: the second does not take the first one's place.
func TestHoldsOfLongIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	facts := person("B1")
	w.apply(w.at(-10, "08:00"), facts...)
	loan, long := *facts[3].(*duly.Loan), strings.Repeat("L", duly.MaxIDLen-1)
	for i, id := range []duly.LoanID{duly.LoanID(long + "1"), duly.LoanID(long + "2")} {
		another := loan
		another.ID = id
		w.apply(w.at(-9, "08:00"), &another)
		r := inbound("B1", "这钱不是我借的，我不认", w.at(-8+i, "08:00"))
		r.LoanID = id
		w.apply(w.at(-8+i, "08:01"), r)
	}
	err := w.db.View(t.Context(), func(tx *store.Tx) error {
		p, err := tx.Persons(duly.BorrowerID("B1").Bucket(), []duly.BorrowerID{"B1"}, time.Time{})
		if err == nil && len(p[0].Holds) != 2 {
			t.Errorf("got %d holds, want one for each loan", len(p[0].Holds))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
