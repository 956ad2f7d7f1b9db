package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/audit"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func complaint(id duly.BorrowerID, k duly.CaseID, at time.Time) *duly.Case {
	return &duly.Case{BorrowerID: id, ID: k, Kind: duly.CaseComplaint, State: duly.CaseOpen, OpenedAt: at, Author: "agent", Version: 1}
}

// dues writes the duties of a case as rule, demand, day and whether it is done.
func dues(duties []duly.CaseDuty) []string {
	var out []string
	for _, d := range duties {
		s := fmt.Sprintf("%s %s %s", d.Rule, d.Demand, d.DueOn)
		if !d.DoneAt.IsZero() {
			s += " done"
		}
		out = append(out, s)
	}
	return out
}

func (w *world) dues(id duly.BorrowerID, k duly.CaseID, want ...string) {
	w.t.Helper()
	f, err := w.e.FindCase(w.t.Context(), id, k)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := dues(f.Duties); !slices.Equal(got, want) {
		w.t.Errorf("duties of %s: got %q, want %q", k, got, want)
	}
}

// The clocks of a case start when it is opened, run longer once it is known to be complex, and end when it is done.
func TestCaseClocks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-10, "08:00"), person("B1")...)
		opened := w.at(-9, "23:30") // 1 March in Shanghai
		w.apply(w.at(-8, "08:00"), complaint("B1", "K1", opened))
		w.dues("B1", "K1", "CN-25 within 2026-03-16")
		w.dues("", "K1", "CN-25 within 2026-03-16")

		complex := complaint("B1", "K1", opened)
		complex.Complex, complex.Version = true, 2
		w.apply(w.at(-7, "08:00"), complex)
		w.dues("B1", "K1", "CN-25b within 2026-03-31")

		f, closed, err := w.e.CloseCase(t.Context(), w.at(-5, "10:00"), "test", "", "K1", "upheld")
		if err != nil || !closed || f.Case.State != duly.CaseDone || f.Case.Outcome != "upheld" || !f.Case.DoneAt.Equal(w.at(-5, "10:00")) {
			t.Errorf("close: got %+v, %t, %v", f.Case, closed, err)
		}
		w.dues("B1", "K1", "CN-25b within 2026-03-31 done")
		again, closed, err := w.e.CloseCase(t.Context(), w.at(-4, "10:00"), "test", "B1", "K1", "refused")
		if err != nil || closed || again.Case != f.Case {
			t.Errorf("close again: got %+v, %t, %v, want it as it was", again.Case, closed, err)
		}
		if _, _, err := w.e.CloseCase(t.Context(), w.at(-4, "10:00"), "test", "B1", "K404", ""); duly.CodeOf(err) != duly.NotFound {
			t.Errorf("close what is not there: got %v, want not found", err)
		}

		// What came in done is on record with what it demanded, and owes nothing.
		done := complaint("B1", "K2", opened)
		done.State, done.DoneAt, done.Outcome = duly.CaseDone, w.at(-8, "12:00"), "refused"
		w.apply(w.at(-3, "08:00"), done)
		w.dues("B1", "K2", "CN-25 within 2026-03-16 done")
		left, err := w.e.Deadlines(t.Context(), w.at(60, "08:00"), engine.DueQuery{})
		if err != nil || len(left) != 0 {
			t.Errorf("deadlines: got %v, %v, want none", left, err)
		}
	})
}

// A case that is opened twice, or by an import and by a call, is one case with its clocks once.
func TestCaseTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-10, "08:00"), person("B1")...)
	w.apply(w.at(-9, "08:00"), complaint("B1", "K1", w.at(-9, "07:00")))
	a, err := w.e.Apply(t.Context(), w.at(-8, "08:00"), "test", []duly.Fact{complaint("B1", "K1", w.at(-9, "07:00"))})
	if err != nil || a.Results[0] != store.Same {
		t.Errorf("again: got %v, %v, want the same", a.Results, err)
	}
	w.dues("B1", "K1", "CN-25 within 2026-03-16")
}

// Deadlines come with those overdue first, by the borrower's day, and the sooner before the later.
func TestDeadlineOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-40, "08:00"), slices.Concat(person("B1"), person("B2"))...)
	objection := complaint("B2", "K2", w.at(-9, "08:00"))
	objection.Kind = duly.CaseObjection
	question := complaint("B2", "K3", w.at(-9, "08:00"))
	question.Kind = duly.CaseQuestion // no law has a clock for it
	w.apply(w.at(-9, "08:00"), complaint("B1", "K1", w.at(-9, "08:00")), objection, question)
	list := func(now time.Time, q engine.DueQuery) string {
		t.Helper()
		due, err := w.e.Deadlines(t.Context(), now, q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range due {
			out = append(out, fmt.Sprintf("%s %s %t", d.CaseID, d.Rule, d.Overdue))
		}
		return strings.Join(out, ", ")
	}
	for _, c := range []struct {
		now  time.Time
		q    engine.DueQuery
		want string
	}{
		{w.at(0, "08:00"), engine.DueQuery{}, "K1 CN-25 false, K2 CN-21 false"},
		{w.at(0, "08:00"), engine.DueQuery{Within: 5 * 24 * time.Hour}, ""},
		{w.at(0, "08:00"), engine.DueQuery{Within: 6 * 24 * time.Hour}, "K1 CN-25 false"},
		{w.at(6, "08:00"), engine.DueQuery{Within: 15 * time.Hour}, ""},
		{w.at(6, "08:00"), engine.DueQuery{Within: 16 * time.Hour}, "K1 CN-25 false"},
		{w.at(6, "23:59"), engine.DueQuery{Overdue: true}, ""},
		{w.at(7, "00:00"), engine.DueQuery{Overdue: true}, "K1 CN-25 true"},
		{w.at(7, "00:00"), engine.DueQuery{Limit: 1}, "K1 CN-25 true"},
		{w.at(7, "00:00"), engine.DueQuery{Borrower: "B2"}, "K2 CN-21 false"},
		{w.at(30, "00:00"), engine.DueQuery{Overdue: true}, "K1 CN-25 true, K2 CN-21 true"},
	} {
		if got := list(c.now, c.q); got != c.want {
			t.Errorf("at %s %+v: got %q, want %q", c.now, c.q, got, c.want)
		}
	}
	if _, err := w.e.EndDuty(t.Context(), w.at(8, "00:00"), "test", "B1", "K1", "CN-25"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.e.EndDuty(t.Context(), w.at(8, "00:00"), "test", "B1", "K1", "CN-25"); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("end twice: got %v, want not found", err)
	}
	if got, want := list(w.at(30, "00:00"), engine.DueQuery{}), "K2 CN-21 true"; got != want {
		t.Errorf("after one was done: got %q, want %q", got, want)
	}
	for _, c := range []struct {
		b    duly.BorrowerID
		done bool
		want int
	}{{"", false, 3}, {"B2", false, 2}, {"", true, 3}, {"B404", true, 0}} {
		got, err := w.e.Cases(t.Context(), c.b, c.done, 10)
		if err != nil || len(got) != c.want {
			t.Errorf("cases of %q: got %d, %v, want %d", c.b, len(got), err, c.want)
		}
	}
}

// An id that two borrowers have needs the borrower's name.
func TestCaseIDOfTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-10, "08:00"), slices.Concat(person("B1"), person("B2"))...)
	w.apply(w.at(-9, "08:00"), complaint("B1", "K1", w.at(-9, "08:00")), complaint("B2", "K1", w.at(-9, "08:00")))
	if _, err := w.e.FindCase(t.Context(), "", "K1"); duly.CodeOf(err) != duly.Conflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if f, err := w.e.FindCase(t.Context(), "B2", "K1"); err != nil || f.Case.BorrowerID != "B2" {
		t.Errorf("got %+v, %v, want that of B2", f.Case, err)
	}
}

// A crisis is urgent, and stops what is planned in the same transaction; a person ends the hold, closing the case does not.
func TestCrisisStopsAutomation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-10, "08:00"), person("B1")...)
		w.apply(w.at(-1, "08:00"), complaint("B1", "K0", w.at(-1, "08:00")))
		w.step(w.at(-1, "08:30"))
		w.want("B1", "before push planned")
		crisis := complaint("B1", "K1", w.at(-1, "08:40"))
		crisis.Kind = duly.CaseCrisis
		w.apply(w.at(-1, "08:40"), crisis)
		w.step(w.at(-1, "10:00"))
		w.step(w.at(0, "10:00"))
		if n := w.car.count(); n != 0 {
			t.Errorf("sent in a crisis: got %d, want 0", n)
		}
		for _, c := range w.contacts("B1") {
			if c.State != duly.Blocked && c.State != duly.Cancelled {
				t.Errorf("contact %s: got %s, want it stopped", c.Step, c.State)
			}
			for _, r := range c.Decision.Reasons {
				if c.State == duly.Blocked && r.Rule == "CORE-05" {
					t.Error("the gate does not know the kind of hold")
				}
			}
		}
		open, err := w.e.Cases(t.Context(), "", false, 10)
		if err != nil || len(open) != 2 || open[0].ID != "K1" || !open[0].Urgent {
			t.Errorf("open cases: got %+v, %v, want the crisis first and urgent", open, err)
		}

		if _, _, err := w.e.CloseCase(t.Context(), w.at(1, "09:00"), "test", "B1", "K1", "safe"); err != nil {
			t.Fatal(err)
		}
		h, err := w.e.FindHold(t.Context(), "B1", duly.CrisisHoldID("K1"))
		if err != nil || h.Kind != duly.HoldCrisis || h.Scope != duly.HoldPerson || !h.ReleasedAt.IsZero() {
			t.Fatalf("hold: got %+v, %v, want it to stand", h, err)
		}
		h.ReleasedAt, h.Version = w.at(1, "10:00"), 2
		w.apply(w.at(1, "10:00"), &h)
		again := *crisis
		again.Version, again.State, again.Author = w.at(1, "11:00").UnixMicro(), duly.CaseOpen, "another"
		w.apply(w.at(1, "11:00"), &again)
		h, err = w.e.FindHold(t.Context(), "B1", duly.CrisisHoldID("K1"))
		if err != nil || h.ReleasedAt.IsZero() {
			t.Errorf("hold: got %+v, %v, want it to stay released", h, err)
		}

		kinds := map[string]int{}
		if err := db.AuditEntries(t.Context(), duly.BorrowerID("B1").Bucket(), func(e audit.Entry) error { kinds[e.Kind]++; return nil }); err != nil {
			t.Fatal(err)
		}
		if kinds["case"] != 4 {
			t.Errorf("audit: got %v, want four entries about cases", kinds)
		}
		if r, err := db.AuditVerify(t.Context()); err != nil || len(r.Breaks) > 0 {
			t.Errorf("audit: got %+v, %v, want it to hold", r, err)
		}
	})
}

// A case that the store refuses holds nobody and starts no clock.
func TestCaseRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.apply(w.at(-10, "08:00"), person("B1")...)
	crisis := complaint("B1", "K1", w.at(-9, "08:00"))
	crisis.Kind, crisis.LoanID = duly.CaseCrisis, "L404"
	stranger := complaint("B404", "K1", w.at(-9, "08:00"))
	a, err := w.e.Apply(t.Context(), w.at(-9, "08:00"), "test", []duly.Fact{crisis, stranger})
	if err != nil || a.Results[0] != store.UnknownLoan || a.Results[1] != store.UnknownBorrower {
		t.Errorf("got %v, %v, want both refused", a.Results, err)
	}
	if _, err := w.e.FindHold(t.Context(), "B1", duly.CrisisHoldID("K1")); duly.CodeOf(err) != duly.NotFound {
		t.Errorf("hold: got %v, want none", err)
	}
}

// clocks is a pack whose duties ask for what is known of the lender and of the case, and for a calendar that is not there.
const clocks = `id: own
version: "1"
jurisdiction: CN
obligations:
  - id: X-1
    title: {zh: 甲, en: One}
    force: law
    on: [dispute]
    if: {lender: [card_issuer], role: [first_party], oral: true}
    within: P5D
    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}
  - id: X-2
    title: {zh: 乙, en: Two}
    force: law
    on: [dispute]
    within: P5BD
    calendar: nowhere
    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}
  - id: X-3
    title: {zh: 丙, en: Three}
    force: law
    on: [dispute]
    keep: P1Y
    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}
`

// What sort of lender it is decides which duties it has; where nobody says, they come with their condition. A duty without a
// day is listed first and is not overdue.
func TestCaseInputs(t *testing.T) {
	t.Parallel()
	own, err := rule.ParseDuties("own.yaml", []byte(clocks))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind    string
		channel duly.Channel
		want    string
	}{
		{"card_issuer", duly.ChannelAgent, "[X-2 NO DAY] [X-1] [X-3]"},
		{"card_issuer", duly.ChannelEmail, "[X-2 NO DAY] [X-3]"},
		{"bank", duly.ChannelAgent, "[X-2 NO DAY] [X-3]"},
		{"agency", duly.ChannelAgent, "[X-2 NO DAY] [X-3]"},
		{"", duly.ChannelAgent, "[X-2 NO DAY] [X-1 if lender is card_issuer and role is first_party] [X-3]"},
	} {
		w := newWorld(t, storetest.Open(t, "sqlite"))
		w.e = w.engine(ladder, engine.Config{Location: w.loc, LenderKind: c.kind, FeedMaxAge: time.Hour, Lease: time.Minute, Workers: 1}, own)
		w.apply(w.at(-10, "08:00"), person("B1")...)
		k := complaint("B1", "K1", w.at(-9, "08:00"))
		k.Kind, k.Channel = duly.CaseDispute, c.channel
		w.apply(w.at(-9, "08:00"), k)
		due, err := w.e.Deadlines(t.Context(), w.at(-8, "08:00"), engine.DueQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range due {
			s := d.Rule
			if d.If != "" {
				s += " if " + d.If
			}
			if d.Lack == rule.CodeCalendar && d.DueAt.IsZero() && !d.Overdue {
				s += " NO DAY"
			}
			got = append(got, "["+s+"]")
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q by %s: got %s, want %s", c.kind, c.channel, s, c.want)
		}
		if left, err := w.e.Deadlines(t.Context(), w.at(400, "08:00"), engine.DueQuery{Borrower: "B1"}); err != nil || slices.ContainsFunc(left, func(d engine.Due) bool { return d.Rule == "X-3" }) {
			t.Errorf("after a year: got %v, %v, want nothing to be kept", left, err)
		}
	}
}
