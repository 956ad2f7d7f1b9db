package strategy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/strategies"
)

func shipped(t testing.TB, name string) *strategy.Strategy {
	t.Helper()
	src, err := strategies.FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := strategy.Load(name, src)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// good is a strategy that has everything, for cases that change one thing.
const good = `name: good
title: {zh: 好, en: good}
calendar: CN
review_by: 2027-06-30
applies_to: country == "CN" && product != "x"
consolidate: person_day
limits:
  - {per: "rolling_days:7", max: 3, channels: [sms, push]}
steps:
  - id: d-7
    at: due-7d
    window: {from: "09:00", to: "20:00"}
    spread: 60
    when: tier in ["C", "D"] && !debit_in_flight
    channels: [{channel: push}, {channel: sms, after: 4h, unless: read}]
    tone: friendly
    template: soon
    late_template: late
    priority: 10
    catch_up: merge
    within: 2d
    on_holiday: earlier
    stop: [paid, promise]
  - id: d+7
    at: due+7d
    hour: "22:30"
    channels:
      - channel: sms
    tone: firm
    template: firm
`

func TestLoad(t *testing.T) {
	t.Parallel()
	s, err := strategy.Load("good.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	st := s.Steps[0]
	if st.When == nil || st.When.Line != 14 || s.AppliesTo == nil || !st.When.Uses("tier") || st.When.Uses("flags") {
		t.Errorf("conditions: got %+v, %+v", st.When, s.AppliesTo)
	}
	if s.Name != "good" || s.Calendar != "CN" || s.ReviewBy != civil.On(2027, 6, 30) || s.Consolidate != strategy.ByPersonDay || len(s.Hash) != 12 {
		t.Errorf("got %+v", s)
	}
	if d := cmp.Diff([]strategy.Limit{{Per: "rolling_days:7", Max: 3, Channels: []duly.Channel{"sms", "push"}, Line: 8}}, s.Limits); d != "" {
		t.Errorf("limits (-want +got):\n%s", d)
	}
	st.When = nil
	want := strategy.Step{
		ID: "d-7", Line: 10, Offset: -7, From: 9 * 60, To: 20 * 60, Spread: time.Hour, Tone: duly.ToneFriendly, Template: "soon", LateTemplate: "late",
		Ladder:   []strategy.Rung{{Channel: "push", Line: 15}, {Channel: "sms", After: 4 * time.Hour, Unless: strategy.UnlessRead, Line: 15}},
		Priority: 10, CatchUp: strategy.Merge, Within: 2, OnHoliday: strategy.Earlier, Stops: []strategy.Stop{strategy.StopPaid, strategy.StopPromise},
	}
	if d := cmp.Diff(want, st); d != "" {
		t.Errorf("step (-want +got):\n%s", d)
	}
	if last := s.Steps[1]; last.From != 22*60+30 || last.To != 24*60 || last.CatchUp != strategy.Expire || last.Within != 0 {
		t.Errorf("a step by its hour: got %+v", last)
	}
	if before, after := s.Reach(); before != 17 || after != 7 {
		t.Errorf("reach: got %d, %d, want 17, 7", before, after)
	}
	if got := s.Templates(); len(got) != 5 || got[1] != (strategy.TemplateUse{Template: "late", Channel: "push", Tone: "friendly", Step: "d-7", Late: true, Line: 10}) {
		t.Errorf("templates: got %+v", got)
	}
}

func TestLadder(t *testing.T) {
	t.Parallel()
	s, err := strategy.Load("good.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	st, ok := s.Step("d-7")
	if _, none := s.Step("d-8"); !ok || none {
		t.Fatal("steps are not found by their id")
	}
	for rung, want := range map[int]string{-1: "0s false false", 0: "4h0m0s true true", 1: "0s false false", 99: "0s false false"} {
		d, ok := st.FallbackAfter(rung)
		if got := fmt.Sprint(d, ok, st.FallbackUnlessRead(rung)); got != want {
			t.Errorf("rung %d: got %s, want %s", rung, got, want)
		}
	}
	if !st.StopsOn(strategy.StopPaid) || !st.StopsOn(strategy.StopPromise) || st.StopsOn(strategy.StopHold) || !s.Steps[1].StopsOn(strategy.StopPaid) {
		t.Error("payment stops every step, and other stops are those that are named")
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	hash := func(src string) string {
		t.Helper()
		s, err := strategy.Load("x.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		return s.Hash
	}
	if hash(good) != hash(strings.ReplaceAll(good, "\n", "\r\n")) {
		t.Error("how lines end changes the hash")
	}
	if hash(good) == hash(good+"# a word\n") {
		t.Error("another text has the same hash")
	}
}

// TestProblems changes one thing of a good strategy at a time: the problem is told at its place, with its remedy.
func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, to, want string }{
		{"name: good", "name: Good One", "x.yaml:1:7: name: is no name (lower-case letters"},
		{"name: good", "nane: good", "x.yaml:1:1: nane: unknown key (the keys here are name, title"},
		{"name: good", "nane: good", "x.yaml:1:1: name: is missing (a short name"},
		{"title: {zh: 好, en: good}", "title: {zh: 好}", "title.en: is missing (titles are shown in Chinese and in English)"},
		{"title: {zh: 好, en: good}", "title: good", "x.yaml:2:8: title: must be a mapping"},
		{"2027-06-30", "2027-02-30", "x.yaml:4:12: review_by: not a day written YYYY-MM-DD (write the day as 2027-06-30)"},
		{"calendar: CN", "calendar: CN\ncalendar: US", `x.yaml:4:1: the file is not well-formed YAML: mapping key "calendar" already defined at [3:1]`},
		{"person_day", "week", "x.yaml:6:14: consolidate: must be one of step, person_day"},
		{"rolling_days:7", "weekly", "x.yaml:8:11: limits[0].per: is no period (write calendar_day, rolling_days:7"},
		{"rolling_days:7", "rolling:0h", "limits[0].per: is no period"},
		{"max: 3", "max: 0", "x.yaml:8:34: limits[0].max: must be a whole number from 1 to 10000"},
		{"max: 3", "max: many", "limits[0].max: must be a whole number"},
		{"[sms, push]", "[sms, fax]", "x.yaml:8:53: limits[0].channels[1]: unknown channel (the channels are sms, email"},
		{"id: d-7", "id: 7", "x.yaml:10:9: steps[0].id: must be text (put it in quotes)"},
		{"id: d+7", "id: d-7", "x.yaml:24:9: steps[1].id: the id is taken by the step in line 10"},
		{"at: due-7d", "at: due-7", "x.yaml:11:9: steps[0].at: is no day of a step (write due, due-7d or due+3d)"},
		{"at: due-7d", "at: due7d", "steps[0].at: is no day of a step"},
		{"at: due-7d", "at: due-61d", "steps[0].at: no step can fall so far from the due day (from due-60d to due+365d)"},
		{"at: due-7d", "at: due+366d", "no step can fall so far"},
		{"    at: due-7d\n", "", "x.yaml:10:5: steps[0].at: is missing"},
		{`from: "09:00"`, `from: "20:00"`, "x.yaml:12:33: steps[0].window.to: the window ends before it begins"},
		{`from: "09:00"`, `from: "9:00"`, "x.yaml:12:20: steps[0].window.from: not a time of day written HH:MM"},
		{`from: "09:00"`, `form: "09:00"`, "x.yaml:12:14: steps[0].window.form: unknown key (the keys here are from, to)"},
		{"    hour: \"22:30\"\n", "", "steps[1].window: is missing"},
		{"spread: 60", "spread: 660", "x.yaml:13:13: steps[0].spread: contacts would be spread beyond the end of the window (the window is open for 660 minutes)"},
		{"spread: 60", "spread: -1", "steps[0].spread: must be a whole number from 0 to 720"},
		{"spread: 60", "hour: \"10:00\"", "x.yaml:13:11: steps[0].hour: the hours are given twice (keep window or hour)"},
		{"{channel: push}", "{channel: push, after: 1h}", "steps[0].channels[0].after: the first rung waits for nothing"},
		{"after: 4h", "after: 30s", "x.yaml:15:55: steps[0].channels[1].after: must be from 1m to 72h"},
		{"after: 4h, ", "", "steps[0].channels[1].after: is missing"},
		{"after: 4h", "after: 0h", "steps[0].channels[1].after: must be from 1m to 72h"},
		{"unless: read", "unless: seen", "steps[0].channels[1].unless: must be one of delivered, read"},
		{"{channel: sms, after", "{channel: push, after", "steps[0].channels: channel push is on two rungs"},
		{"{channel: push}, {channel: sms, after: 4h, unless: read}", "", "steps[0].channels: the ladder has no rung"},
		{"channel: push", "channel: pager", "x.yaml:15:26: steps[0].channels[0].channel: unknown channel"},
		{"tone: friendly", "tone: stern", "x.yaml:16:11: steps[0].tone: must be one of friendly, plain, firm"},
		{"tone: friendly", "tone: firm", "x.yaml:16:11: steps[0].tone: nobody hears a firm word before an instalment is past due"},
		{"at: due-7d\n    window", "at: due+8d\n    window", "steps[1].tone: the first word that a borrower hears must not be firm"},
		{"template: soon", "template: \"\"", "x.yaml:17:15: steps[0].template: is no name"},
		{"    late_template: late\n", "", "x.yaml:19:15: steps[0].catch_up: a late message needs words of its own"},
		{"catch_up: merge", "catch_up: expire", "steps[0].within: a step that expires is never late"},
		{"catch_up: merge", "catch_up: expire", "steps[0].late_template: a step that expires is never late"},
		{"within: 2d", "within: 15d", "x.yaml:21:13: steps[0].within: must be 1d to 14d"},
		{"priority: 10", "priority: 1001", "steps[0].priority: must be a whole number from 0 to 1000"},
		{"on_holiday: earlier", "on_holiday: later", "x.yaml:22:17: steps[0].on_holiday: a step on or before the due day must not move past it"},
		{"tone: firm", "on_holiday: earlier\n    tone: firm", "steps[1].on_holiday: a step on or after the due day must not move towards it"},
		{"calendar: CN\n", "", "steps[0].on_holiday: which days are off is not known without a calendar (name one at the top: calendar: CN)"},
		{"[paid, promise]", "[paid, rain]", "x.yaml:23:18: steps[0].stop[1]: unknown stop (the stops are paid, promise, hold, opt_out)"},
		{"tier in", "teir in", "x.yaml:14:11: steps[0].when: there is no variable or function 'teir' (did you mean 'tier'?) (the variables are dpd, days_to_due"},
		{"!debit_in_flight", "dpd == \"3\"", "x.yaml:14:37: steps[0].when: found no matching overload for '_==_' applied to '(int, string)'"},
		{"!debit_in_flight", "", "steps[0].when: Syntax error"},
		{`tier in ["C", "D"] && !debit_in_flight`, "dpd + 1", "x.yaml:14:11: steps[0].when: the condition is of type int, not bool"},
		{`tier in ["C", "D"] && !debit_in_flight`, `"teir == 'A'"`, "x.yaml:14:12: steps[0].when: there is no variable or function 'teir'"},
		{`tier in ["C", "D"] && !debit_in_flight`, "|\n      tier == 'A' &&\n      teir == 'B'", "x.yaml:16:7: steps[0].when: there is no variable or function 'teir'"},
		{`tier in ["C", "D"] && !debit_in_flight`, "flags.exists(a, flags.exists(b, flags.exists(c, a + b + c == tier)))", "steps[0].when: the condition may take too long"},
		{`tier in ["C", "D"] && !debit_in_flight`, "tier == '" + strings.Repeat("x", 1000) + "'", "steps[0].when: the condition has 1010 characters (at most 1000)"},
		{`tier in ["C", "D"] && !debit_in_flight`, "tier.matches('(')", "steps[0].when: invalid matches argument"},
		{`tier in ["C", "D"] && !debit_in_flight`, "true", "steps[0].when: must be a condition"},
		{`product != "x"`, "dpd > 3", "x.yaml:5:32: applies_to: applies_to cannot look at 'dpd' (it changes from day to day"},
		{"steps:", "steps: *a\nx:", "x.yaml:9:8: steps: must be a list"},
	}
	for _, tt := range tests {
		src := strings.Replace(good, tt.from, tt.to, 1)
		if src == good {
			t.Errorf("%q is not in the good strategy", tt.from)
		}
		_, err := strategy.Load("x.yaml", []byte(src))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %q:\n got %v\nwant %s", tt.to, tt.from, err, tt.want)
			continue
		}
		if duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%q: got code %s, want invalid", tt.to, duly.CodeOf(err))
		}
	}
}

func TestWholeFile(t *testing.T) {
	t.Parallel()
	tests := []struct{ src, want string }{
		{"", "the file must hold one YAML document"},
		{"# nothing", "the file must hold one YAML document"},
		{"a: b\n---\nc: d", "the file must hold one YAML document"},
		{"[a, b]", "must be a mapping"},
		{"a: [", "x.yaml:1:4: the file is not well-formed YAML"},
		{"steps: []\nname: x\ntitle: {zh: a, en: b}", "x.yaml:1:8: steps: there is no step"},
		{strings.Repeat("#", strategy.MaxSource+1), "the file has 262145 bytes (at most 262144 bytes)"},
		{"name: x\ntitle: {zh: a, en: b}\nsteps: [" + strings.Repeat("{},", strategy.MaxSteps) + "{}]", "steps: has 65 entries (at most 64)"},
	}
	for _, tt := range tests {
		if _, err := strategy.Load("x.yaml", []byte(tt.src)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: got %v, want %s", tt.src, err, tt.want)
		}
	}
}

// All problems are told at once, each as an error of its own.
func TestAllProblems(t *testing.T) {
	t.Parallel()
	src := strings.NewReplacer("name: good", "name: G", "tone: friendly", "tone: x", "max: 3", "max: 0", "hour: \"22:30\"", "hour: \"25:00\"").Replace(good)
	_, err := strategy.Load("x.yaml", []byte(src))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 {
		t.Fatalf("got %v, want four problems", err)
	}
	for _, e := range joined.Unwrap() {
		d, ok := errors.AsType[*duly.Error](e)
		if !ok || d.Place.File != "x.yaml" || d.Place.Line == 0 || d.Place.Column == 0 || d.Place.Field == "" || d.Hint == "" {
			t.Errorf("%v lacks its place or its remedy: %+v", e, d)
		}
	}
}

func person() *duly.Person {
	return &duly.Person{
		Borrower: duly.Borrower{ID: "B1", Tier: "D", Segment: "s", Language: "zh-CN", Country: "CN", Flags: []string{"vulnerable"}},
		Loans: []duly.Loan{
			{ID: "L1", Currency: "CNY", Product: "cash", Schedule: duly.Bullet},
			{ID: "L2", Currency: "CNY", Product: "card", Schedule: duly.Revolving, AutoDebit: true},
		},
		Installments: []duly.Installment{
			{LoanID: "L1", No: 2, DueOn: civil.On(2026, 3, 10), Principal: money.New(500, "CNY")},
			{LoanID: "L2", No: 1, DueOn: civil.On(2026, 3, 9), Principal: money.New(700, "CNY")},
			{LoanID: "L1", No: 1, DueOn: civil.On(2026, 2, 10), Principal: money.New(500, "CNY"), Paid: duly.Split{Principal: 500}, SettledAt: time.Date(2026, 2, 10, 16, 0, 0, 0, time.UTC)},
			{LoanID: "L0", No: 1, DueOn: civil.On(2026, 2, 11), Principal: money.New(500, "CNY"), Paid: duly.Split{Principal: 500}, SettledAt: time.Date(2026, 2, 11, 15, 0, 0, 0, time.UTC)},
		},
	}
}

func items(p *duly.Person) []duly.Item {
	var out []duly.Item
	for _, in := range p.Installments[:2] {
		out = append(out, duly.Item{LoanID: in.LoanID, No: in.No, DueOn: in.DueOn, Outstanding: in.Outstanding()})
	}
	return out
}

// conditional is a step with the condition, as Load makes it.
func conditional(t testing.TB, when string) *strategy.Step {
	t.Helper()
	s, err := strategy.Load("x.yaml", []byte(strings.Replace(good, `tier in ["C", "D"] && !debit_in_flight`, "|\n      "+when, 1)))
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	return &s.Steps[0]
}

func TestVariables(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 10, 2, 0, 0, 0, time.UTC)
	p := person()
	p.Debits = []duly.Debit{
		{ID: "1", LoanID: "L2", InstallmentNo: 1, At: now.Add(-3 * time.Hour), State: duly.DebitSucceeded},
		{ID: "2", LoanID: "L2", InstallmentNo: 1, At: now.Add(-2 * time.Hour), State: duly.DebitFailed, Reason: "insufficient_funds"},
		{ID: "3", LoanID: "L2", InstallmentNo: 1, At: now.Add(2 * time.Hour), State: duly.DebitScheduled},
		{ID: "4", LoanID: "L1", InstallmentNo: 9, At: now, State: duly.DebitInFlight},
	}
	p.Holds = []duly.Hold{{Kind: "promise_to_pay", Scope: duly.HoldLoan, LoanID: "L1", From: now.Add(-time.Hour)}}
	want := map[string]string{
		"dpd": "1", "days_to_due": "-1", "amount_due": "1200", "currency": `"CNY"`, "product": `"card"`, "schedule": `"revolving"`, "tier": `"D"`,
		"segment": `"s"`, "language": `"zh-CN"`, "country": `"CN"`, "installments": "2", "auto_debit": "true", "debit_failed": "true",
		"debit_reason": `"insufficient_funds"`, "debit_in_flight": "true", "promise_open": "true", "first_installment": "true",
		"flags": `["vulnerable"]`, "late_before": "1",
	}
	for _, v := range strategy.Variables() {
		st := conditional(t, v.Name+" == "+v.Name)
		var vars strategy.Vars
		st.Fill(&vars, &strategy.Case{Person: p, Items: items(p), Day: civil.On(2026, 3, 10), Now: now, Location: shanghai})
		got := st.When.Values(&vars)
		if len(got) != 1 || got[0] != (strategy.Value{Name: v.Name, Value: want[v.Name]}) {
			t.Errorf("%s: got %v, want %s", v.Name, got, want[v.Name])
		}
		if ok, err := st.Matches(&vars); !ok || err != nil {
			t.Errorf("%s equals itself: got %v, %v", v.Name, ok, err)
		}
		if v.English == "" || v.Chinese == "" || v.Type == "" {
			t.Errorf("%s is not documented", v.Name)
		}
		delete(want, v.Name)
	}
	if len(want) > 0 {
		t.Errorf("no such variables: %v", want)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	v := &strategy.Vars{DPD: 3, AmountDue: 100_000_00, Tier: "D", Flags: []string{"vulnerable"}, LateBefore: 0}
	tests := []struct {
		when string
		want string
	}{
		{`dpd == 3 && amount_due > 50000`, "true"},
		{`tier in ["A", "B", ""]`, "false"},
		{`"vulnerable" in flags`, "true"},
		{`flags.exists(f, f.startsWith("vul"))`, "true"},
		{`size(flags) == 0 || tier.matches("^[DE]$")`, "true"},
		{`debit_failed ? debit_reason == "x" : dpd > 0`, "true"},
		{`amount_due / late_before > 1`, "error"},
	}
	for _, tt := range tests {
		ok, err := conditional(t, tt.when).Matches(v)
		got := fmt.Sprint(ok)
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: got %s (%v), want %s", tt.when, got, err, tt.want)
		}
	}
	if ok, err := (&strategy.Step{}).Matches(v); !ok || err != nil {
		t.Errorf("no condition: got %v, %v, want true", ok, err)
	}
}

func TestApplies(t *testing.T) {
	t.Parallel()
	today := civil.On(2026, 3, 10)
	for cond, want := range map[string]bool{
		`country == "CN"`: true, `country == "US"`: false, `product == "card"`: true, `product == "cash"`: false, `tier == "D" && auto_debit`: true,
	} {
		s, err := strategy.Load("x.yaml", []byte(strings.Replace(good, `country == "CN" && product != "x"`, cond, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Applies(person(), today); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", cond, got, err, want)
		}
		if _, err := s.Applies(&duly.Person{}, today); err != nil {
			t.Errorf("%s of a person of whom nothing is known: %v", cond, err)
		}
	}
	if ok, err := (&strategy.Strategy{}).Applies(person(), today); !ok || err != nil {
		t.Errorf("no condition: got %v, %v, want true", ok, err)
	}
}

// What ships is what the product promises: every day of the ladder, friendlier before than after, never firm before due.
func TestShipped(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"consumer-cn.yaml", "consumer-en.yaml"} {
		s := shipped(t, name)
		var offsets []int
		for i := range s.Steps {
			st := &s.Steps[i]
			offsets = append(offsets, st.Offset)
			if st.Tone == duly.ToneFirm && st.Offset <= 0 {
				t.Errorf("%s: step %s is firm before the instalment is past due", name, st.ID)
			}
			if i > 0 && (st.Tone.Rank() < s.Steps[i-1].Tone.Rank() && st.Offset != 1 || st.Priority <= s.Steps[i-1].Priority) {
				t.Errorf("%s: step %s is out of the order of tone or priority", name, st.ID)
			}
		}
		if got := slices.Compact(offsets); !slices.Equal(got, []int{-7, -3, -1, 0, 1, 3, 7}) {
			t.Errorf("%s: got steps on days %v", name, got)
		}
		if strings.TrimSuffix(name, ".yaml") != s.Name {
			t.Errorf("%s: its name is %s", name, s.Name)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(good))
	for _, name := range []string{"consumer-cn.yaml", "consumer-en.yaml"} {
		src, err := strategies.FS.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	for _, s := range []string{"", "a", "steps: [{}]", "steps:\n- at: due-d\n", "name: &a x\ntitle: *a", "applies_to: |\n  x ==\n", "limits: [1, {max: -5}]", "steps: [{channels: [{channel: {}}]}]", "when: >-\n a\n b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		s, err := strategy.Load("x.yaml", src)
		if err != nil {
			if duly.CodeOf(err) != duly.Invalid {
				t.Fatalf("an error that no person can read: %v", err)
			}
			return
		}
		if s.Name == "" || len(s.Steps) == 0 {
			t.Fatalf("loaded without a name or a step: %+v", s)
		}
		for i := range s.Steps {
			st := &s.Steps[i]
			if st.From >= st.To || len(st.Ladder) == 0 || st.Tone.Rank() == 0 || st.Tone == duly.ToneFirm && st.Offset <= 0 || st.Template == "" {
				t.Fatalf("a step that must not load: %+v", st)
			}
			if _, err := st.Matches(&strategy.Vars{}); err != nil && st.When == nil {
				t.Fatal(err)
			}
		}
	})
}

func Example() {
	s, err := strategy.Load("mine.yaml", []byte(`name: mine
title: {zh: 我的, en: mine}
steps:
  - id: d-3
    at: due-3d
    window: {from: "09:00", to: "20:00"}
    channels: [{channel: sms}]
    tone: firm
    template: due-soon
`))
	fmt.Println(s == nil)
	fmt.Println(err)
	// Output:
	// true
	// mine.yaml:8:11: steps[0].tone: nobody hears a firm word before an instalment is past due (use friendly or plain, or a day after the due day)
}

// BenchmarkMatches has a target of 1 µs.
func BenchmarkMatches(b *testing.B) {
	st, _ := shipped(b, "consumer-cn.yaml").Step("d-7")
	v := &strategy.Vars{Tier: "C"}
	for b.Loop() {
		if ok, err := st.Matches(v); !ok || err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}
