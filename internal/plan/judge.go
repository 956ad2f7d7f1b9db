package plan

import (
	"fmt"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
)

// The rules of the plan itself, and the reasons that they give.
const (
	RuleDebit     = "PLAN-01" // no reminder while the instalment is being debited
	RuleStop      = "PLAN-02" // the step's own stop
	RuleWindow    = "PLAN-03" // no hours that suit every zone of the borrower's
	RulePoint     = "PLAN-04" // no address for any rung
	RuleCondition = "PLAN-05" // the condition cannot be worked out

	CodeDebit     = "debit_in_flight"
	CodePromise   = "promise_open"
	CodeHold      = "on_hold"
	CodeOptOut    = "opted_out"
	CodeWindow    = "no_common_window"
	CodePoint     = "no_contact_point"
	CodeCondition = "condition_failed"
)

// judge looks at each want by itself: whether it is still to be made, whether its condition holds, and what of it must
// wait.
func (pl *planner) judge() {
	for i := range pl.wants {
		w := &pl.wants[i]
		if w.regular() {
			pl.judgeToday(w)
		}
		if w.open() && w.step.When != nil && !w.carried {
			pl.meet(w)
		}
		if w.open() && w.late && !w.carried && w.fallback == nil {
			pl.judgeLate(w)
		}
		if w.open() {
			pl.stop(w)
		}
	}
}

// judgeToday closes a step of today that was tried already, or whose hours are over. Where nobody planned today before they
// were over, it is missed like those of the days before.
func (pl *planner) judgeToday(w *want) {
	w.opening, w.end = pl.hours(w.step, w.day)
	row := pl.row(w.step, w.day)
	over := w.opening.Before(w.end) && !pl.now.Before(w.end)
	switch {
	case row != nil && (started(row) || over):
		w.had, w.rung, w.reasons, w.onRecord = row, row.Rung, row.Decision.Reasons, true
		w.close(verdictOf(row), noteOf(row))
	case over && w.open() && !pl.PlannedThrough.IsZero() && pl.PlannedThrough.Before(pl.today):
		w.late = true
	case over:
		w.onRecord = true
		w.close(Past, "its hours were over before it was wanted")
	}
}

// judgeLate closes what is too late to be made up for.
func (pl *planner) judgeLate(w *want) {
	w.send, w.opening, w.end = pl.hoursFrom(w.step)
	then := duly.PurposeAt(w.step.Offset)
	left := keep(w.items, func(it *duly.Item) bool { return duly.PurposeAt(w.send.Sub(it.DueOn)) == then })
	switch {
	case w.step.CatchUp == strategy.Expire:
		w.close(Expired, "its day passed unplanned, and the step is not made up for")
	case len(left) == 0:
		w.close(Expired, "its day passed unplanned, and the instalment is on another side of its due day by now")
	case w.send.Sub(w.day) > w.step.Within:
		w.close(Expired, fmt.Sprintf("its day passed unplanned, more than %d days ago", w.step.Within))
	default:
		w.items = left
	}
}

// keep returns the items that are good, in place but where that would change a slice that others see.
func keep(items []duly.Item, good func(*duly.Item) bool) []duly.Item {
	for i := range items {
		if !good(&items[i]) {
			out := append([]duly.Item(nil), items[:i]...)
			for j := i + 1; j < len(items); j++ {
				if good(&items[j]) {
					out = append(out, items[j])
				}
			}
			return out
		}
	}
	return items
}

// meet works out the step's condition. It is about the day of the step, even where the contact goes later.
func (pl *planner) meet(w *want) {
	w.step.Fill(&pl.vars, &strategy.Case{Person: pl.p, Items: w.items, Day: w.day, Now: pl.now, Location: pl.Location})
	if pl.Explain {
		w.values = w.step.When.Values(&pl.vars)
	}
	holds, err := w.step.Matches(&pl.vars)
	switch {
	case err != nil:
		w.block(pl.reason(RuleCondition, CodeCondition, w.step, "the step's condition cannot be worked out for this person"))
	case !holds:
		w.close(Unmet, "")
	}
}

// stop takes out what is being debited or what the step stops on, and blocks the want if nothing is left.
func (pl *planner) stop(w *want) {
	var why duly.Reason
	left := keep(w.items, func(it *duly.Item) bool {
		r, stopped := pl.stopped(w, it)
		if stopped && why.Code == "" {
			why = r
		}
		return !stopped
	})
	if len(left) == 0 {
		w.block(why)
		return
	}
	w.items = left
}

// stopped reports whether the instalment must not be reminded of now, and why.
func (pl *planner) stopped(w *want, it *duly.Item) (duly.Reason, bool) {
	p, st := pl.p, w.step
	switch {
	case len(p.Debits) > 0 && strategy.DebitInFlight(p, it.LoanID, it.No, pl.now, pl.Location):
		return pl.reason(RuleDebit, CodeDebit, st, "a debit of the instalment is on its way or due today"), true
	case len(p.Holds) > 0 && st.StopsOn(strategy.StopPromise) && strategy.PromiseOpen(p, it.LoanID, pl.now):
		return pl.reason(RuleStop, CodePromise, st, "a promise to pay is open"), true
	case len(p.Holds) > 0 && st.StopsOn(strategy.StopHold) && pl.held(it.LoanID):
		return pl.reason(RuleStop, CodeHold, st, "a hold stands"), true
	case len(p.OptOuts) > 0 && st.StopsOn(strategy.StopOptOut) && pl.refused(it.LoanID):
		return pl.reason(RuleStop, CodeOptOut, st, "the borrower refused to be contacted"), true
	}
	return duly.Reason{}, false
}

func (pl *planner) held(loan duly.LoanID) bool {
	for i := range pl.p.Holds {
		if h := &pl.p.Holds[i]; h.ActiveAt(pl.now) && (h.Scope != duly.HoldLoan || h.LoanID == "" || h.LoanID == loan) {
			return true
		}
	}
	return false
}

func (pl *planner) refused(loan duly.LoanID) bool {
	for i := range pl.p.OptOuts {
		if o := &pl.p.OptOuts[i]; o.ActiveAt(pl.now) && (o.LoanID == "" || o.LoanID == loan) {
			return true
		}
	}
	return false
}

// block closes the want with a reason of the plan's own.
func (w *want) block(r duly.Reason) { w.verdict, w.reasons = Blocked, []duly.Reason{r} }

func (pl *planner) reason(id, code string, st *strategy.Step, seen string) duly.Reason {
	return duly.Reason{
		Code: code, Rule: id, Pack: rule.BuiltIn, Force: duly.ForcePolicy, Verdict: duly.Block,
		Source: "strategy " + pl.s.Name + ", step " + st.ID, Facts: seen,
	}
}

// reasonCalendar is that of a step of which it is not known whether its day is worked.
func (pl *planner) reasonCalendar(st *strategy.Step) duly.Reason {
	r := pl.reason(rule.RuleCalendar, rule.CodeCalendar, st, "calendar "+pl.s.Calendar+" does not say whether the step's day is worked")
	r.Source = "what is not known is not allowed"
	return r
}
