package plan_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/strategy"
)

// life is one person lived through day by day, with the engine played by hand: what plan proposes is written down, what is
// due is sent, carriers answer, money comes and goes.
type life struct {
	t   *testing.T
	r   *rand.Rand
	w   *world
	s   *strategy.Strategy
	p   duly.Person
	now time.Time
	// planned is the last day that was planned whole.
	planned civil.Date
	late    map[civil.Date]int // late contacts begun, by the day of planning
}

var dates = cmpopts.EquateComparable(civil.Date{})

var begin = civil.On(2026, time.March, 2)

func newLife(t *testing.T, w *world, s *strategy.Strategy, seed uint64) *life {
	r := rand.New(rand.NewPCG(seed, 7))
	l := &life{t: t, r: r, w: w, s: s, late: map[civil.Date]int{}, now: begin.At(5, shanghai)}
	id := duly.BorrowerID(fmt.Sprintf("B%d", seed))
	l.p.Borrower = duly.Borrower{
		ID: id, Country: "CN", Language: "zh-CN", Tier: pick(r, "", "A", "B", "C", "D", "E"),
		Zones: []duly.Zone{{Name: pick(r, "Asia/Shanghai", "Asia/Shanghai", "America/Los_Angeles", "Pacific/Kiritimati", "Europe/Berlin", "Nowhere/Land")}},
	}
	if r.IntN(5) == 0 {
		l.p.Borrower.Zones = append(l.p.Borrower.Zones, duly.Zone{Name: "Asia/Tokyo"})
	}
	if r.IntN(6) == 0 {
		l.p.Borrower.Flags = []string{"vulnerable"}
	}
	for i, k := range []duly.PointKind{duly.PointMobile, duly.PointApp, duly.PointEmail} {
		if r.IntN(3) > 0 {
			l.p.Points = append(l.p.Points, duly.ContactPoint{BorrowerID: id, ID: duly.PointID(fmt.Sprintf("p%d", i)), Kind: k, State: duly.PointActive})
		}
	}
	for k := range 1 + r.IntN(3) {
		l.addLoan(fmt.Sprintf("L%d", k))
	}
	return l
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (l *life) addLoan(id string) {
	b := l.p.Borrower.ID
	l.p.Loans = append(l.p.Loans, duly.Loan{BorrowerID: b, ID: duly.LoanID(id), Currency: "CNY", AutoDebit: l.r.IntN(2) == 0})
	first := begin.Add(l.r.IntN(25) - 5)
	for n := range 1 + l.r.IntN(2) {
		l.p.Installments = append(l.p.Installments, duly.Installment{
			BorrowerID: b, LoanID: duly.LoanID(id), No: n + 1, DueOn: first.AddMonths(n), Principal: money.New(10000, "CNY"),
			Interest: money.New(0, "CNY"), Fee: money.New(0, "CNY"),
		})
	}
}

func (l *life) ask() plan.Result {
	l.t.Helper()
	r, err := plan.Next(l.input())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func (l *life) input() *plan.Input {
	return &plan.Input{
		Person: &l.p, Strategy: l.s, Rules: l.w.rules(l.t, l.s), Calendars: l.w.calendars, Location: shanghai, Now: l.now, PlannedThrough: l.planned,
	}
}

// plan plans, holds the proposal against the promises, writes it down and plans again: nothing may change.
func (l *life) plan() {
	l.t.Helper()
	before := clonePerson(&l.p)
	r := l.ask()
	if !reflect.DeepEqual(before, l.p) {
		l.t.Fatalf("%v: the person was changed:\n%s", l.now, cmp.Diff(before, l.p, dates))
	}
	for _, c := range r.Changes {
		l.hold(c)
	}
	l.write(r)
	l.unchanged("planned twice")
	l.planned = civil.In(l.now, shanghai)
	l.unchanged("planned again as the same day")
	const while = 7 * time.Minute
	if l.quiet(while) {
		l.now = l.now.Add(while)
		l.unchanged("planned minutes later")
		l.now = l.now.Add(-while)
	}
}

// quiet reports whether nothing comes to pass by itself in a while: no day begins, nothing runs out.
func (l *life) quiet(while time.Duration) bool {
	soon := func(t time.Time) bool { return !t.Before(l.now) && !t.After(l.now.Add(while)) }
	for i := range l.p.Contacts {
		if c := &l.p.Contacts[i]; soon(c.ExpiresAt) || soon(c.FallbackAt) || c.NotBefore.After(l.now) && soon(c.NotBefore) {
			return false
		}
	}
	return civil.In(l.now.Add(while), shanghai) == civil.In(l.now, shanghai) &&
		!slices.ContainsFunc(l.p.Holds, func(h duly.Hold) bool { return soon(h.Until) }) &&
		!slices.ContainsFunc(l.p.Debits, func(d duly.Debit) bool { return soon(d.At) })
}

func (l *life) unchanged(what string) {
	l.t.Helper()
	if again := l.ask(); len(again.Changes) > 0 {
		c := again.Changes[0]
		var was duly.Contact
		for _, x := range l.p.Contacts {
			if x.ID == c.Contact.ID {
				was = x
			}
		}
		l.t.Fatalf("%v: %s: %d changes, from %q:\n%s", l.now, what, len(again.Changes), c.From, cmp.Diff(was, c.Contact, dates))
	}
}

// write is the store: it makes the changes, each of which must be allowed.
func (l *life) write(r plan.Result) {
	l.t.Helper()
	for _, c := range r.Changes {
		i := slices.IndexFunc(l.p.Contacts, func(x duly.Contact) bool { return x.ID == c.Contact.ID })
		switch {
		case c.From == "" && i >= 0:
			l.t.Fatalf("%v: contact %s of step %s is proposed as new and is on record as %s", l.now, c.Contact.ID, c.Contact.Step, l.p.Contacts[i].State)
		case c.From == "":
			l.p.Contacts = append(l.p.Contacts, c.Contact)
		case i < 0 || l.p.Contacts[i].State != c.From:
			l.t.Fatalf("%v: contact %s of step %s is not in state %s", l.now, c.Contact.ID, c.Contact.Step, c.From)
		case c.From != c.Contact.State && !c.From.CanBecome(c.Contact.State):
			l.t.Fatalf("%v: contact %s: %s cannot become %s", l.now, c.Contact.ID, c.From, c.Contact.State)
		default:
			l.p.Contacts[i] = c.Contact
		}
	}
}

// hold holds one proposed change against what must always be so.
func (l *life) hold(ch plan.Change) {
	l.t.Helper()
	c := &ch.Contact
	if c.State != ch.From && c.State == duly.Planned && !c.SentAt.IsZero() && ch.From == duly.Cancelled {
		l.t.Fatalf("%v: step %s was sent and is planned again", l.now, c.Step)
	}
	if (c.State == duly.Blocked || c.State == duly.Cancelled) && c.Reason == "" {
		l.t.Fatalf("%v: step %s is %s for no reason", l.now, c.Step, c.State)
	}
	if c.State != duly.Planned {
		return
	}
	if len(c.Items) == 0 {
		l.t.Fatalf("%v: step %s is about nothing", l.now, c.Step)
	}
	st, _ := l.s.Step(c.Step)
	send := civil.In(c.NotBefore, shanghai).Add(-1) // the borrower's day may be the one before
	for _, it := range c.Items {
		in := l.find(it)
		if in == nil || !in.Open() {
			l.t.Fatalf("%v: step %s is about an instalment that is paid", l.now, c.Step)
		}
		if c.Tone == duly.ToneFirm && !send.Add(1).After(it.DueOn) {
			l.t.Fatalf("%v: step %s is firm on %s of what is due on %s", l.now, c.Step, send, it.DueOn)
		}
		if got := duly.PurposeAt(st.Offset); got != c.Purpose {
			l.t.Fatalf("%v: step %s has purpose %s, want %s", l.now, c.Step, c.Purpose, got)
		}
	}
	if !c.NotBefore.Before(c.ExpiresAt) {
		l.t.Fatalf("%v: step %s may go from %v and expires at %v", l.now, c.Step, c.NotBefore, c.ExpiresAt)
	}
	if ch.From == "" && c.NotBefore.Before(l.now) {
		l.t.Fatalf("%v: step %s is planned for the past, %v", l.now, c.Step, c.NotBefore)
	}
	for _, x := range l.p.Contacts {
		if x.Step != c.Step || x.Day != c.Day || x.Rung >= c.Rung {
			continue
		}
		if x.State == duly.Read || x.State == duly.InDoubt || x.State == duly.Delivered && st.Ladder[c.Rung].Unless != strategy.UnlessRead {
			l.t.Fatalf("%v: step %s of %s goes by rung %d although rung %d is %s", l.now, c.Step, c.Day, c.Rung, x.Rung, x.State)
		}
		if x.State == duly.Accepted && x.FallbackAt.After(l.now) {
			l.t.Fatalf("%v: step %s of %s goes by rung %d although rung %d has until %v to arrive", l.now, c.Step, c.Day, c.Rung, x.Rung, x.FallbackAt)
		}
	}
	if c.Late && ch.From == "" && c.Rung == 0 {
		l.late[civil.In(l.now, shanghai)]++
		if l.late[civil.In(l.now, shanghai)] > 1 {
			l.t.Fatalf("%v: a second late contact on one day", l.now)
		}
	}
}

func (l *life) find(it duly.Item) *duly.Installment {
	for i := range l.p.Installments {
		if in := &l.p.Installments[i]; in.LoanID == it.LoanID && in.No == it.No {
			return in
		}
	}
	return nil
}

// dispatch is the engine: it sends what is due, and carriers answer as they like.
func (l *life) dispatch() {
	for i := range l.p.Contacts {
		c := &l.p.Contacts[i]
		switch {
		case c.State == duly.Planned && !l.now.Before(c.ExpiresAt):
			if l.r.IntN(2) == 0 { // or plan finds it first
				c.State, c.Reason = duly.Cancelled, duly.CancelExpired
			}
		case c.State == duly.Planned && !c.NotBefore.After(l.now):
			l.send(c)
		case c.State == duly.Accepted && l.r.IntN(3) == 0:
			st, _ := l.s.Step(c.Step)
			c.State = pick(l.r, duly.Delivered, duly.Read, duly.Failed)
			after, more := st.FallbackAfter(c.Rung)
			switch {
			case c.State == duly.Failed && more:
				c.FallbackAt = l.now
			case c.State == duly.Delivered && st.FallbackUnlessRead(c.Rung):
				c.FallbackAt = l.now.Add(after)
			default:
				c.FallbackAt = time.Time{}
			}
		}
	}
}

func (l *life) send(c *duly.Contact) {
	l.t.Helper()
	open := slices.DeleteFunc(slices.Clone(c.Items), func(it duly.Item) bool { return !l.find(it).Open() })
	if len(open) == 0 {
		l.t.Fatalf("%v: step %s would be sent after everything was paid", l.now, c.Step)
	}
	c.ChangedAt = l.now
	switch l.r.IntN(8) {
	case 0:
		c.Attempts++
		c.NotBefore, c.Reason = l.now.Add(time.Minute), "temporary"
		c.SentAt = l.now
	case 1:
		c.State, c.Reason = duly.Blocked, "words_refused"
	case 2:
		c.State, c.SentAt, c.Attempts = duly.InDoubt, l.now, c.Attempts+1
	default:
		c.State, c.Reason, c.SentAt, c.Attempts = duly.Accepted, "", l.now, c.Attempts+1
		st, _ := l.s.Step(c.Step)
		if after, ok := st.FallbackAfter(c.Rung); ok {
			c.FallbackAt = l.now.Add(after)
		}
	}
}

// happen lets something come to pass.
func (l *life) happen() {
	in := &l.p.Installments[l.r.IntN(len(l.p.Installments))]
	b := l.p.Borrower.ID
	switch l.r.IntN(14) {
	case 0, 1:
		in.Paid.Principal, in.SettledAt = in.Principal.Minor, l.now
		l.cancelPaid()
	case 2:
		in.Paid.Principal, in.SettledAt = 0, time.Time{} // reversed
	case 3:
		in.Paid.Principal = min(in.Principal.Minor, in.Paid.Principal+3000)
		if !in.Open() {
			in.SettledAt = l.now
			l.cancelPaid()
		}
	case 4, 5:
		l.p.Debits = append(l.p.Debits, duly.Debit{
			BorrowerID: b, ID: duly.DebitID(fmt.Sprint(len(l.p.Debits))), LoanID: in.LoanID, InstallmentNo: in.No, At: l.now,
			State: pick(l.r, duly.DebitFailed, duly.DebitFailed, duly.DebitInFlight, duly.DebitScheduled), Reason: "insufficient_funds",
		})
	case 6:
		for i := range l.p.Debits {
			if l.p.Debits[i].State == duly.DebitInFlight {
				l.p.Debits[i].State = duly.DebitFailed
			}
		}
	case 7:
		l.p.Holds = append(l.p.Holds, duly.Hold{
			BorrowerID: b, ID: duly.HoldID(fmt.Sprint(len(l.p.Holds))), Kind: pick(l.r, "promise_to_pay", "manual"), Scope: duly.HoldLoan, LoanID: in.LoanID,
			From: l.now, Until: l.now.Add(time.Duration(1+l.r.IntN(72)) * time.Hour),
		})
	case 8:
		if n := len(l.p.Points); n > 0 {
			l.p.Points[l.r.IntN(n)].State = pick(l.r, duly.PointActive, duly.PointBounced)
		}
	case 9:
		in.DueOn = in.DueOn.Add(l.r.IntN(9) - 2) // moved
	case 10:
		if len(l.p.Loans) < 5 {
			l.addLoan(fmt.Sprintf("N%d", len(l.p.Loans)))
		}
	case 11:
		l.p.Borrower.Tier = pick(l.r, "A", "D", "")
	}
}

// cancelPaid is what the engine does in the transaction of a payment.
func (l *life) cancelPaid() {
	for i := range l.p.Contacts {
		c := &l.p.Contacts[i]
		if c.State != duly.Planned || slices.ContainsFunc(c.Items, func(it duly.Item) bool { return l.find(it).Open() }) {
			continue
		}
		c.State, c.Reason, c.FallbackAt, c.ChangedAt = duly.Cancelled, duly.CancelPaid, time.Time{}, l.now
	}
}

// live lives some weeks, with outages of any length.
func (l *life) live(days int) {
	end := l.now.AddDate(0, 0, days)
	for l.now.Before(end) {
		if l.r.IntN(40) == 0 {
			l.now = l.now.Add(time.Duration(l.r.IntN(9*24)) * time.Hour) // nothing ran
		}
		l.plan()
		l.dispatch()
		if l.r.IntN(3) == 0 {
			l.happen()
		}
		l.now = l.now.Add(time.Duration(30+l.r.IntN(240)) * time.Minute)
	}
	l.once()
}

// once holds that nobody was sent the same step of a day twice on one rung, and never more rungs than the ladder has.
func (l *life) once() {
	l.t.Helper()
	type key struct {
		step string
		day  civil.Date
		rung int
	}
	seen := map[key]bool{}
	for _, c := range l.p.Contacts {
		k := key{c.Step, c.Day, c.Rung}
		if seen[k] {
			l.t.Fatalf("step %s of %s is on record twice on rung %d", c.Step, c.Day, c.Rung)
		}
		seen[k] = true
	}
}

func clonePerson(p *duly.Person) duly.Person {
	c := *p
	c.Contacts, c.Installments, c.Debits = slices.Clone(p.Contacts), slices.Clone(p.Installments), slices.Clone(p.Debits)
	for i := range c.Contacts {
		c.Contacts[i].Items = slices.Clone(c.Contacts[i].Items)
	}
	return c
}

// TestLives lives through the lives of persons whom everything befalls. `make soak` lives through others: SEED is the first,
// and LIVES how many.
func TestLives(t *testing.T) {
	t.Parallel()
	base, n := fromEnv(t, "SEED", 1), fromEnv(t, "LIVES", 150)
	w := newWorld(t)
	for _, s := range w.strategies {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			var total int
			seeds := slices.Clone(brokenSeeds)
			for i := range n {
				seeds = append(seeds, base+i)
			}
			for _, seed := range seeds {
				ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
					l := newLife(t, w, s, seed)
					l.live(40)
					total += len(l.p.Contacts)
				})
				if !ok {
					t.Fatalf("SEED=%d", seed)
				}
			}
			if total == 0 {
				t.Error("no life had a contact: the test tests nothing")
			}
		})
	}
}

// brokenSeeds are lives in which something once went wrong.
var brokenSeeds = []uint64{
	8907677968716882586, 2209090409563062444, 2209090409563062664, 1377842159230244262, 2112268789885808162,
	5629079854601059631, 5629079854601062117,
}

func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	given := os.Getenv(name)
	if given == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
