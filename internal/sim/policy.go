package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
)

// policy is what a lender has published: a strategy and a rule pack of its own, beside the shipped ones. Its numbers are
// drawn here and written into the files that the product reads, so that what is right can be told without asking it.
type policy struct {
	no       int
	person   bool // one message a day to a person
	steps    []policyStep
	dayMax   int // the strategy's limits
	weekMax  int
	from, to civil.Clock // the pack's window
	lawMax   int         // and its limit a day
	strategy *strategy.Strategy
	packs    []*rule.Pack
	set      *rule.Set // with the strategy's limits, for planning again
}

// policyStep is one step, as it is written into the strategy.
type policyStep struct {
	id        string
	offset    int
	when      string
	from, to  civil.Clock
	ladder    string
	words     string // tone and template
	priority  int
	catchUp   string
	onHoliday string
}

// catalogue is the steps that policies are made of; the hours are moved by seed. The step of the day before is in every one
// of them, for everybody: nobody may be forgotten.
var catalogue = []policyStep{
	{"d-3", -3, `tier != "A"`, 9 * 60, 20 * 60, "[{channel: push}, {channel: sms, after: 4h, unless: delivered}]", "tone: friendly\n    template: due-soon\n    late_template: late-due-soon", 20, "catch_up: merge\n    within: 3d", "earlier"},
	{daily, -1, "", 9 * 60, 20 * 60, "[{channel: push}, {channel: sms, after: 3h, unless: delivered}]", "tone: friendly\n    template: due-tomorrow", 30, "catch_up: expire", "same"},
	{"d0", 0, "!debit_failed", 9 * 60, 14 * 60, "[{channel: push}, {channel: sms, after: 2h, unless: delivered}]", "tone: friendly\n    template: due-today", 40, "catch_up: expire", "same"},
	{"d0-debit", 0, "debit_failed", 17*60 + 30, 20*60 + 30, "[{channel: sms}, {channel: push, after: 30m, unless: delivered}]", "tone: plain\n    template: due-today-debit-failed", 50, "catch_up: expire", "same"},
	{"d+1", 1, "", 9*60 + 30, 20 * 60, "[{channel: push}, {channel: sms, after: 2h, unless: read}]", "tone: friendly\n    template: overdue-friendly\n    late_template: late-overdue\n    stop: [promise]", 60, "catch_up: send_late\n    within: 5d", "same"},
	{"d+3", 3, "", 9*60 + 30, 19*60 + 30, "[{channel: sms}, {channel: push, after: 2h, unless: delivered}, {channel: call_ai, after: 4h, unless: delivered}]", "tone: plain\n    template: overdue-plain\n    late_template: late-overdue\n    stop: [promise]", 70, "catch_up: send_late\n    within: 5d", "same"},
	{"d+7", 7, "", 9*60 + 30, 19 * 60, "[{channel: sms}, {channel: email, after: 4h, unless: delivered}]", "tone: firm\n    template: overdue-firm\n    late_template: late-overdue\n    stop: [promise]", 80, "catch_up: send_late\n    within: 5d", "later"},
}

// daily is the step that everybody gets.
const daily = "d-1"

// newPolicy draws the n-th policy of a lender.
func newPolicy(r *rand.Rand, n int, shipped []*rule.Pack, cut func(*policy)) (*policy, error) {
	p := &policy{no: n, person: r.IntN(2) == 0, dayMax: 1 + r.IntN(3), weekMax: 3 + r.IntN(4), lawMax: 2 + r.IntN(2)}
	p.from, p.to = civil.Clock(8*60+15*r.IntN(6)), civil.Clock(19*60+15*r.IntN(9))
	for _, st := range catalogue {
		st.from += civil.Clock(15 * (r.IntN(5) - 2))
		st.to += civil.Clock(15 * (r.IntN(13) - 2))
		if st.id != daily && r.IntN(8) == 0 {
			continue
		}
		p.steps = append(p.steps, st)
	}
	if cut != nil {
		cut(p)
	}
	var err error
	if p.strategy, err = strategy.Load("sim.yaml", []byte(p.text())); err != nil {
		return nil, err
	}
	own, err := rule.Load("sim-law/pack.yaml", []byte(p.pack()))
	if err != nil {
		return nil, err
	}
	p.packs = append(append([]*rule.Pack(nil), shipped...), own)
	var caps []rule.Rule
	for i, l := range p.strategy.Limits {
		c, err := rule.NewCap(fmt.Sprintf("LIMIT-%02d", i+1), p.strategy.Name, l.Max, l.Per, l.Channels)
		if err != nil {
			return nil, err
		}
		caps = append(caps, c)
	}
	p.set, err = rule.NewSet(p.packs, caps...)
	return p, err
}

func (p *policy) step(id string) *policyStep {
	for i := range p.steps {
		if p.steps[i].id == id {
			return &p.steps[i]
		}
	}
	return nil
}

// text is the strategy's file.
func (p *policy) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# policy %d\nname: sim\ntitle: {zh: 模拟, en: simulated}\ncalendar: CN\n", p.no)
	if p.person {
		b.WriteString("consolidate: person_day\n")
	}
	fmt.Fprintf(&b, "limits:\n  - {per: calendar_day, max: %d}\n  - {per: \"rolling_days:7\", max: %d}\nsteps:\n", p.dayMax, p.weekMax)
	for _, s := range p.steps {
		fmt.Fprintf(&b, "  - id: %s\n    at: due%s\n", s.id, offsetText(s.offset))
		if s.when != "" {
			fmt.Fprintf(&b, "    when: %q\n", s.when)
		}
		fmt.Fprintf(&b, "    window: {from: %q, to: %q}\n    spread: 90\n    channels: %s\n    %s\n    priority: %d\n    %s\n    on_holiday: %s\n",
			s.from, s.to, s.ladder, s.words, s.priority, s.catchUp, s.onHoliday)
	}
	return b.String()
}

func offsetText(days int) string {
	if days == 0 {
		return ""
	}
	return fmt.Sprintf("%+dd", days)
}

// pack is the rule pack's file.
func (p *policy) pack() string {
	source := "\n    source:\n      instrument: simulated\n      read: primary\n      checked_on: 2026-01-01\n      reviewer: null\n"
	return fmt.Sprintf("id: sim-law\nversion: \"%d\"\njurisdiction: \"*\"\ntitle: {zh: 模拟, en: simulated}\nrules:\n"+
		"  - id: SIM-01\n    kind: contact_window\n    title: {zh: 时段, en: hours}\n    force: policy\n    params: {days: {\"*\": [%q, %q]}}\n    effect: defer\n    reason: outside_simulated_hours"+source+
		"  - id: SIM-02\n    kind: frequency_cap\n    title: {zh: 上限, en: limit}\n    force: policy\n    params: {limit: %d, period: calendar_day, scope: [person], count: {direction: [out]}}\n    effect: defer\n    reason: simulated_limit"+source,
		p.no, p.from, p.to, p.lawMax)
}

// lawful is the hours of the shipped packs for borrowers in China, by purpose: POL-01 and CN-01.
func lawful(p duly.Purpose) (from, to civil.Clock) {
	if p == duly.PurposeCollection {
		return 8 * 60, 22 * 60
	}
	return 8 * 60, 21 * 60
}

// within reports whether an instant lies in hours of the day, in every one of the zones.
func within(at time.Time, from, to civil.Clock, zones []*time.Location) bool {
	for _, loc := range zones {
		if c := civil.ClockOf(at.In(loc)); c < from || c >= to {
			return false
		}
	}
	return true
}
