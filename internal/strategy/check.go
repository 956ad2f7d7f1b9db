package strategy

import (
	"fmt"
	"time"

	"github.com/dulyhq/duly"
)

// check notes what is wrong between the parts of a strategy, each of which is well put by itself.
func (l *loader) check(s *Strategy) {
	if l.top.has("steps") && len(s.Steps) == 0 && len(l.list) == 0 {
		l.top.fail("steps", "a strategy has at least one step", "there is no step")
	}
	seen := map[string]int{}
	for i := range s.Steps {
		st, m := &s.Steps[i], &l.steps[i]
		if first, twice := seen[st.ID]; twice && st.ID != "" {
			m.fail("id", "contacts are known by the id of their step", "the id is taken by the step in line %d", first)
		} else {
			seen[st.ID] = st.Line
		}
		l.checkTone(s, st, m)
		l.checkHours(st, m)
		l.checkCatchUp(st, m)
		l.checkHoliday(s, st, m)
		l.checkLadder(st, m)
	}
}

func (l *loader) checkTone(s *Strategy, st *Step, m *mapping) {
	if st.Tone != duly.ToneFirm || !m.has("at") {
		return
	}
	if st.Offset <= 0 {
		m.fail("tone", "use friendly or plain, or a day after the due day", "nobody hears a firm word before an instalment is past due")
		return
	}
	for i := range s.Steps {
		if o := &s.Steps[i]; o.Offset < st.Offset && o.Tone != duly.ToneFirm {
			return
		}
	}
	m.fail("tone", "put a friendly or plain step on an earlier day", "the first word that a borrower hears must not be firm")
}

func (l *loader) checkHours(st *Step, m *mapping) {
	if open := time.Duration(st.To-st.From) * time.Minute; st.To > st.From && st.Spread >= open {
		m.fail("spread", fmt.Sprintf("the window is open for %d minutes", int(open.Minutes())), "contacts would be spread beyond the end of the window")
	}
}

func (l *loader) checkCatchUp(st *Step, m *mapping) {
	switch st.CatchUp {
	case Expire:
		if m.has("within") {
			m.fail("within", "take it out, or choose merge or send_late", "a step that expires is never late")
		}
		if m.has("late_template") {
			m.fail("late_template", "take it out, or choose merge or send_late", "a step that expires is never late")
		}
	case Merge, SendLate:
		if !m.has("late_template") {
			m.fail("catch_up", "name a late_template: the step's own words would not be true on another day", "a late message needs words of its own")
		}
	}
}

// checkHoliday keeps a step on its side of the due day: "due tomorrow" must not be said on the due day.
func (l *loader) checkHoliday(s *Strategy, st *Step, m *mapping) {
	if st.OnHoliday == Same {
		return
	}
	if s.Calendar == "" {
		m.fail("on_holiday", "name one at the top: calendar: CN", "which days are off is not known without a calendar")
	}
	if st.OnHoliday == Earlier && st.Offset >= 0 {
		m.fail("on_holiday", "use same, later or skip", "a step on or after the due day must not move towards it or before it")
	}
	if st.OnHoliday == Later && st.Offset <= 0 {
		m.fail("on_holiday", "use same, earlier or skip", "a step on or before the due day must not move past it")
	}
}

func (l *loader) checkLadder(st *Step, m *mapping) {
	for i, r := range st.Ladder {
		for _, before := range st.Ladder[:i] {
			if r.Channel == before.Channel && r.Channel != "" {
				m.fail("channels", "a channel that did not help once is not tried again on the same day", "channel %s is on two rungs", r.Channel)
			}
		}
	}
}
