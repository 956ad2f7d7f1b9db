package engine_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func days(n int) rule.Term { return rule.Term{Days: n} }

// keeping gives the world an engine that keeps records for terms; a bank, which no Chinese rule binds to keep more.
func (w *world) keeping(keep map[engine.Record]rule.Term) {
	w.law = []string{"policy-default", "cn-mainland"}
	w.e = w.engine(ladder, engine.Config{
		Location: w.loc, Lender: "测试消金", LenderKind: "bank", ServicePhone: "95000", FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 4, Keep: keep,
	})
}

// left says what is left of the contacts of a borrower: how many there are, and how many of their attempts have words and proofs.
func (w *world) left(id duly.BorrowerID) (out struct{ Contacts, Words, Proofs, Receipts int }) {
	w.t.Helper()
	err := w.db.View(w.t.Context(), func(tx *store.Tx) error {
		for _, c := range w.contacts(id) {
			out.Contacts++
			as, err := tx.Attempts(c.ID)
			if err != nil {
				return err
			}
			for _, a := range as {
				if a.Text != "" {
					out.Words++
				}
				if a.Known.Strategy != "" {
					out.Proofs++
				}
			}
			rs, err := tx.Receipts(c.ID)
			if err != nil {
				return err
			}
			out.Receipts += len(rs)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// idle steps until a step had nothing else to do, and returns what it removed.
func (w *world) idle(now time.Time) engine.ForgetReport {
	w.t.Helper()
	r := w.step(now)
	r.Add(w.step(now))
	return r.Forgotten
}

// A contact is kept as long as its term, and longer while its person has a case, a hold or a slot that is not over, or its
// instalment is not settled. What was kept back goes the next time.
func TestForget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.keeping(map[engine.Record]rule.Term{engine.RecordWords: days(90), engine.RecordProofs: days(200), engine.RecordContacts: days(400), engine.RecordLoans: days(400)})
		whole := struct{ Contacts, Words, Proofs, Receipts int }{1, 1, 1, 1}
		all := []duly.BorrowerID{"plain", "case", "hold", "owes"}
		for i, id := range all {
			w.apply(w.at(0, "07:00"), person(id)...)
			w.step(w.at(0, "10:00"))
			w.car.receipt(string(id), duly.ReceiptDelivered)
			w.step(w.at(0, "10:01"))
			if id != "owes" {
				w.apply(w.at(1, "08:00"), payment(id, "P-"+string(id), 101_50, w.at(1, "08:00")))
			}
			if n := w.car.count(); n != i+1 {
				t.Fatalf("%d messages went out, want %d", n, i+1)
			}
		}
		w.apply(w.at(1, "09:00"),
			&duly.Case{BorrowerID: "case", ID: "C", Kind: duly.CaseDispute, LoanID: "L-case", State: duly.CaseOpen, OpenedAt: w.at(1, "09:00"), Version: 1},
			&duly.Hold{BorrowerID: "hold", ID: "H", Kind: "dispute", Scope: duly.HoldPerson, From: w.at(1, "09:00"), Version: 1})
		w.want("plain", "today sms delivered")
		w.idle(w.at(20, "12:00")) // outcomes are known by then, and every bucket was gone through
		for _, id := range all {
			if got := w.left(id); id != "owes" && got != whole {
				t.Errorf("%s: got %+v, want all of it", id, got)
			}
		}
		owes := w.left("owes").Contacts // some steps follow the due day

		r := w.idle(w.at(91, "12:00"))
		if r.Rows[engine.RecordWords] != 1 || r.Kept != 3 {
			t.Errorf("after 91 days: got %+v, want the words of one contact removed and three persons kept back", r)
		}
		if got := w.left("plain"); got != struct{ Contacts, Words, Proofs, Receipts int }{1, 0, 1, 1} {
			t.Errorf("after 91 days: got %+v left, want all but the words", got)
		}
		for _, id := range []duly.BorrowerID{"case", "hold"} {
			if got := w.left(id); got != whole {
				t.Errorf("%s after 91 days: got %+v left, want all of it", id, got)
			}
		}
		if got := w.left("owes"); got.Words != owes || got.Contacts != owes {
			t.Errorf("who owes, after 91 days: got %+v left, want %d whole contacts", got, owes)
		}
		if r := w.idle(w.at(92, "12:00")); r.Buckets != 0 {
			t.Errorf("the day after: got %+v, want nothing gone through", r)
		}

		w.apply(w.at(93, "09:00"),
			&duly.Hold{BorrowerID: "hold", ID: "H", Kind: "dispute", Scope: duly.HoldPerson, From: w.at(1, "09:00"), ReleasedAt: w.at(93, "09:00"), Version: 2},
			payment("owes", "P-owes", 101_50, w.at(93, "09:00")))
		w.idle(w.at(150, "12:00"))
		if got := [3]int{w.left("hold").Words, w.left("owes").Words, w.left("case").Words}; got != [3]int{0, 0, 1} {
			t.Errorf("once the hold and the debt are over: got %v words left, want none but those of the case", got)
		}

		now := w.at(500, "12:00")
		planned := func() int {
			d, err := engine.Decided(t.Context(), w.db, w.e.Today(w.at(0, "12:00")))
			if err != nil {
				t.Fatal(err)
			}
			return d.Rounds
		}
		if planned() == 0 {
			t.Error("no rounds of the first day are on record")
		}
		dry, err := w.e.ForgetAll(t.Context(), now, true)
		if err != nil {
			t.Fatal(err)
		}
		want := engine.ForgetReport{Buckets: len(all), Kept: dry.Kept, Rows: map[engine.Record]int64{
			engine.RecordProofs: 2 + int64(owes), engine.RecordContacts: 2 + int64(owes), engine.RecordLoans: 3}}
		if d := cmp.Diff(want, dry); d != "" {
			t.Errorf("a dry run after 500 days (-want +got):\n%s", d)
		}
		wet, err := w.e.ForgetAll(t.Context(), now, false)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(dry.Rows, wet.Rows); d != "" {
			t.Errorf("what a dry run counts is not what goes (-dry +wet):\n%s", d)
		}
		if n := planned(); n != 0 {
			t.Errorf("%d rounds of the first day are left, whose contacts are gone", n)
		}
		if again, err := w.e.ForgetAll(t.Context(), now, false); err != nil || len(again.Rows) != 0 {
			t.Errorf("again: got %+v, %v; want nothing removed", again, err)
		}
		if got := [4]int{w.left("plain").Contacts, w.left("hold").Contacts, w.left("owes").Contacts, w.left("case").Contacts}; got != [4]int{0, 0, 0, 1} {
			t.Errorf("after 500 days: got %v contacts, want those of the case alone", got)
		}
		// The book comes again: nobody is told of what was settled long ago.
		again, err := w.e.Apply(t.Context(), now, "test", person("plain"))
		if err != nil {
			t.Fatal(err)
		}
		if want := []store.PutResult{store.Same, store.Same, store.Same, store.Stale, store.Stale}; !slices.Equal(again.Results, want) {
			t.Errorf("the book again: got %v, want %v", again.Results, want)
		}
		sent := w.car.count()
		w.step(now)
		if w.car.count() != sent {
			t.Error("somebody was reminded of a loan whose facts are gone")
		}
		w.audited()
	})
}

// audited checks that the record holds, that it tells of what was removed, and names nobody.
func (w *world) audited() {
	w.t.Helper()
	v, err := w.db.AuditVerify(w.t.Context())
	if err != nil || len(v.Breaks) != 0 {
		w.t.Errorf("audit: got %v, %v; want no break", v.Breaks, err)
	}
	told := 0
	for b := range duly.Buckets {
		err := w.db.AuditEntries(w.t.Context(), b, func(e audit.Entry) error {
			if e.Kind == "forgotten" {
				told++
				for _, id := range []string{"plain", "hold", "owes"} {
					if strings.Contains(e.Subject+e.Detail, id) {
						w.t.Errorf("the audit names somebody: %s %s", e.Subject, e.Detail)
					}
				}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if told < 9 {
		w.t.Errorf("the audit tells %d times of what was removed, want one for each person and record", told)
	}
}

// fuse is a context that ends once it was looked at so often.
type fuse struct {
	context.Context
	blow func()
	mu   sync.Mutex
	left int
}

func (f *fuse) burn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left == 0 {
		f.blow()
	}
}

// Err looks at the context.
func (f *fuse) Err() error { f.burn(); return f.Context.Err() }

// Done looks at the context.
func (f *fuse) Done() <-chan struct{} { f.burn(); return f.Context.Done() }

// A run that is stopped leaves each page whole, and the next one goes on.
func TestForgetStopped(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.keeping(map[engine.Record]rule.Term{engine.RecordWords: days(90)})
		ids := storetest.InBucket(5, 3)
		for _, id := range ids {
			w.apply(w.at(0, "07:00"), person(id)...)
		}
		w.step(w.at(0, "10:00"))
		for _, id := range ids {
			w.apply(w.at(1, "08:00"), payment(id, "P", 101_50, w.at(1, "08:00")))
		}
		w.step(w.at(20, "12:00"))
		now := w.at(200, "12:00")
		w.step(now)
		stopped := 0
		for n := 1; ; n += 1 + n/8 {
			inner, cancel := context.WithCancel(t.Context())
			r, err := w.e.ForgetAll(&fuse{Context: inner, blow: cancel, left: n}, now, false)
			cancel()
			if err == nil {
				if r.Buckets != 1 {
					t.Errorf("a run to the end: got %+v, want one bucket", r)
				}
				break
			}
			stopped++
			words := w.left(ids[0]).Words + w.left(ids[1]).Words + w.left(ids[2]).Words
			if words != 3 && words != 0 {
				t.Fatalf("stopped after %d looks: %d words are left of one page", n, words)
			}
		}
		if stopped < 5 {
			t.Errorf("it was stopped %d times only", stopped)
		}
		if words := w.left(ids[0]).Words; words != 0 {
			t.Errorf("in the end: got %d words, want none", words)
		}
	})
}

// A term that would take away what law, a rule, a strategy or the engine itself looks at is refused, and the error names it.
func TestKeepRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	year := func(n int) rule.Term { return rule.Term{Months: 12 * n} }
	for _, c := range []struct {
		name  string
		kind  string
		limit string // of the strategy, or a pack beside the Chinese; "" for none
		keep  map[engine.Record]rule.Term
		want  []string
	}{
		{"long enough", "consumer_finance", "", map[engine.Record]rule.Term{engine.RecordContacts: year(5), engine.RecordWords: year(5), engine.RecordSandbox: days(7)}, nil},
		{"the law", "consumer_finance", "", map[engine.Record]rule.Term{engine.RecordContacts: year(4)}, []string{"keep.contacts", "cn-mainland/CN-07b", "P5Y"}},
		{"the law, by a day", "consumer_finance", "", map[engine.Record]rule.Term{engine.RecordTouches: days(5*365 + 1)}, []string{"keep.touches", "cn-mainland/CN-07b"}},
		{"in days", "consumer_finance", "", map[engine.Record]rule.Term{engine.RecordTouches: days(5*365 + 2)}, nil},
		{"whose law is not known", "", "", map[engine.Record]rule.Term{engine.RecordWords: year(3)}, []string{"keep.words", "CN-07b", "if lender is consumer_finance", "lender.kind"}},
		{"another's law", "card_issuer", "", map[engine.Record]rule.Term{engine.RecordWords: year(2)}, nil},
		{"from the last contact on", "agency", "us-regf", map[engine.Record]rule.Term{engine.RecordWords: days(1000)}, []string{"us-regf/US-12", "P3Y"}},
		{"a limit of the strategy", "bank", "{max: 3, per: 'rolling_days:300'}", map[engine.Record]rule.Term{engine.RecordContacts: days(250)}, []string{"keep.contacts", "test/LIMIT-01", "P302D"}},
		{"a limit that counts all that ever were", "bank", "{max: 3, per: ever}", map[engine.Record]rule.Term{engine.RecordTouches: year(50)}, []string{"keep.touches", "test/LIMIT-01", "for ever", "leave the key out"}},
		{"what the engine reads", "bank", "", map[engine.Record]rule.Term{engine.RecordLoans: days(399)}, []string{"keep.loans", "engine", "P400D"}},
		{"words longer than contacts", "bank", "", map[engine.Record]rule.Term{engine.RecordContacts: year(1), engine.RecordWords: year(2)}, []string{"keep.words", "keep.contacts"}},
		{"hours", "bank", "", map[engine.Record]rule.Term{engine.RecordWords: {Time: time.Hour}}, []string{"keep.words", "days, months or years"}},
		{"what is kept for ever", "bank", "", map[engine.Record]rule.Term{"audit": year(50)}, []string{`"audit"`, "contacts"}},
		{"two at once", "consumer_finance", "", map[engine.Record]rule.Term{engine.RecordContacts: year(1), engine.RecordLoans: days(1)}, []string{"keep.contacts", "keep.loans"}},
		{"a rule that counts all that ever were", "bank", "us-regf", map[engine.Record]rule.Term{engine.RecordContacts: year(50)}, []string{"keep.contacts", "us-regf/US-08b", "for ever"}},
	} {
		text := ladder
		w.law = []string{"policy-default", "cn-mainland"}
		if c.limit == "us-regf" {
			w.law = append(w.law, c.limit)
		} else if c.limit != "" {
			text += "limits: [" + c.limit + "]\n"
		}
		_, err := w.make(text, engine.Config{Location: w.loc, LenderKind: c.kind, FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 1, Keep: c.keep})
		if (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want an error: %v", c.name, err, c.want != nil)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want it to say %q", c.name, err, want)
			}
		}
		if err != nil && duly.CodeOf(err) != duly.Invalid && c.name != "two at once" {
			t.Errorf("%s: got code %s, want invalid", c.name, duly.CodeOf(err))
		}
	}
}
