package plan

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
)

// Input is the question: who, by which strategy and rules, and when.
type Input struct {
	Person         *duly.Person
	Strategy       *strategy.Strategy
	Rules          *rule.Set
	Calendars      *civil.Calendars
	Lender         *rule.Lender   // what rules ask of the lender; nil: nothing is known
	Location       *time.Location // the lender's: its days are the strategy's days
	Now            time.Time
	PlannedThrough civil.Date // the last day that was planned for the person before today; no date: none was, and nothing was missed
	UnknownThrough civil.Date // contacts of days up to this may have been sent by a store that was lost: none of them is sent
	SkipUnknown    bool       // they are cancelled, not in doubt
	Explain        bool       // fill Result.Considered and Result.Summary
}

// Result is the answer.
type Result struct {
	Changes    []Change
	Considered []Considered // every step near today with its verdict, in order of the day; only with Input.Explain
	Summary    string       // one sentence; only with Input.Explain
	Due        int          // occurrences of steps that fell on today or were missed before it
}

// Change is a contact that is to be written. Contact.State is the state that it is to be in.
type Change struct {
	Contact duly.Contact
	From    duly.ContactState // the state that it is in; "" for a new contact
}

// Next returns what is to change so that the person's contacts are what the strategy and the rules want at an instant. It
// changes nothing itself. It fails only where Input is not complete.
func Next(in *Input) (Result, error) {
	if in.Person == nil || in.Strategy == nil || in.Rules == nil || in.Location == nil || in.Now.IsZero() {
		return Result{}, duly.Errorf(duly.Internal, "a plan needs a person, a strategy, rules, a location and the time")
	}
	pl := planner{Input: in, p: in.Person, s: in.Strategy, now: in.Now.UTC().Truncate(time.Microsecond)}
	pl.today = civil.In(pl.now, in.Location)
	if pl.s.Calendar != "" {
		pl.calendar, _ = in.Calendars.Get(pl.s.Calendar)
	}
	pl.collect()
	pl.inherit()
	if len(pl.wants) > 0 {
		pl.judge()
	}
	pl.doubt()
	if len(pl.wants) > 0 {
		pl.merge()
		pl.decide()
	}
	pl.drop()
	r := Result{Changes: pl.changes, Due: pl.due}
	if in.Explain {
		pl.explain(&r)
	}
	return r, nil
}

// CancelMerged is the reason of a contact that another one of the day is about too: it is cancelled and nothing is lost.
const CancelMerged = "merged"

// planner is one call of Next.
type planner struct {
	*Input
	p        *duly.Person
	s        *strategy.Strategy
	now      time.Time
	today    civil.Date
	calendar *civil.Calendar  // nil: not known
	places   []*time.Location // the borrower's zones, once asked for
	wants    []want
	due      int
	vars     strategy.Vars
	seen     *duly.Person // as the gate sees the person: with what is already decided
	facts    rule.Facts
	changes  []Change
}

// want is one occurrence of a step: what it is about, and what becomes of it. It is open while Verdict is "".
type want struct {
	step     *strategy.Step
	day      civil.Date // the day that the step fell on
	send     civil.Date // the day that the contact would go; the same, unless it is late
	items    []duly.Item
	late     bool
	fallback *duly.Contact // the rung that failed or was not delivered, if this is the next one
	carried  bool          // it is on record from before: its hours stand
	had      *duly.Contact // its row, if there is one
	rung     int
	verdict  Verdict
	reasons  []duly.Reason
	note     string
	opening  time.Time // of its hours on the day that it goes, the spread included
	end      time.Time
	values   []strategy.Value
	onRecord bool          // its row says all: it is not decided again
	decided  bool          // what becomes of it is written down
	contact  *duly.Contact // what it became; only to explain
}

// add puts an instalment to the want of a step on a day, and makes the want if there is none.
func (pl *planner) add(st *strategy.Step, day civil.Date, in *duly.Installment) *want {
	for i := range pl.wants {
		if w := &pl.wants[i]; w.step == st && w.day == day {
			w.items = append(w.items, itemOf(in))
			return w
		}
	}
	w := want{step: st, day: day, send: pl.today, late: day != pl.today}
	w.items = append(w.items, itemOf(in))
	pl.wants = append(pl.wants, w)
	pl.due++
	return &pl.wants[len(pl.wants)-1]
}

func itemOf(in *duly.Installment) duly.Item {
	return duly.Item{LoanID: in.LoanID, No: in.No, DueOn: in.DueOn, Outstanding: in.Outstanding()}
}

// open reports whether it is not yet decided what becomes of the want.
func (w *want) open() bool { return w.verdict == "" }

// regular reports whether the want is one of today's steps, and not late or the next rung of an earlier contact.
func (w *want) regular() bool { return !w.late && !w.carried && w.fallback == nil }

// close says what becomes of the want.
func (w *want) close(v Verdict, note string) { w.verdict, w.note = v, note }

// purpose is that of the most overdue item, on the day that the contact goes.
func (w *want) purpose() duly.Purpose { return duly.PurposeAt(w.daysPastDue()) }

func (w *want) daysPastDue() int {
	worst := 0
	for i := range w.items {
		if d := w.send.Sub(w.items[i].DueOn); i == 0 || d > worst {
			worst = d
		}
	}
	return worst
}

// take puts items to the want that it does not have yet.
func (w *want) take(items []duly.Item) {
	for _, it := range items {
		if !has(w.items, it) {
			w.items = append(w.items, it)
		}
	}
}

func has(items []duly.Item, it duly.Item) bool {
	for i := range items {
		if items[i].LoanID == it.LoanID && items[i].No == it.No {
			return true
		}
	}
	return false
}

// sortItems puts the oldest first, whatever the order in which they were read.
func sortItems(items []duly.Item) {
	if len(items) < 2 {
		return
	}
	slices.SortFunc(items, func(a, b duly.Item) int {
		if c := a.DueOn.Compare(b.DueOn); c != 0 {
			return c
		}
		if a.LoanID != b.LoanID {
			if a.LoanID < b.LoanID {
				return -1
			}
			return 1
		}
		return a.No - b.No
	})
}
