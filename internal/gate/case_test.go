package gate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
)

const tinyPack = `id: tiny
version: "1"
jurisdiction: "*"
rules:
  - id: T-01
    kind: contact_window
    title: {zh: 时段, en: Hours}
    force: law
    params: {days: {"*": ["09:00", "17:00"]}}
    reason: closed
    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}
`

const tinyDefaults = "defaults: {timezones: [UTC]}\ncases:\n"

func TestCasesThatFail(t *testing.T) {
	t.Parallel()
	const (
		allow  = `  - {id: a, now: "2026-03-10T10:00:00Z", contact: {channel: sms, purpose: pre_due_reminder, template: {text: x}}, expect: {verdict: allow}}` + "\n"
		edge   = `  - {id: b, now: "2026-03-10T09:00:00Z", contact: {channel: sms, purpose: pre_due_reminder, template: {text: x}}, expect: {verdict: allow}}` + "\n"
		refuse = `  - {id: c, now: "2026-03-10T17:00:00Z", contact: {channel: sms, purpose: pre_due_reminder, template: {text: x}}, expect: {verdict: defer, not_before: "2026-03-11T09:00:00Z", reason: closed, rule: T-01}}` + "\n"
	)
	for _, c := range []struct{ name, cases, want string }{
		{"all well", allow + edge + refuse, ""},
		{"wrong verdict", allow + edge + refuse + strings.NewReplacer("id: a", "id: d", "T10:", "T08:").Replace(allow), "tiny: case d: verdict: got defer, want allow"},
		{"wrong instant", allow + edge + strings.Replace(refuse, "11T09", "11T10", 1), "not_before: got 2026-03-11 09:00:00 +0000 UTC, want 2026-03-11T10:00:00Z"},
		{"instant not expected", allow + edge + strings.Replace(refuse, `not_before: "2026-03-11T09:00:00Z", `, "", 1), "want none"},
		{"wrong reason", allow + edge + strings.Replace(refuse, "reason: closed", "reason: open", 1), "want T-01 open"},
		{"nothing refused", allow + edge + strings.Replace(allow, "id: a", "id: d", 1), "tiny: rule T-01: no case is refused by it"},
		{"nothing passed", refuse, "tiny: rule T-01: no case that it looks at passes it"},
		{"no edge", allow + refuse, "tiny: rule T-01: fewer than 3 cases put it to the test"},
		{"unknown pack", allow + edge + refuse + strings.NewReplacer("id: a", "id: d, packs: [huge]").Replace(allow), "there is no pack huge"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fsys := fstest.MapFS{"tiny/pack.yaml": {Data: []byte(tinyPack)}, "tiny/tests.yaml": {Data: []byte(tinyDefaults + c.cases)}}
			_, failures, err := gate.TestFS(fsys)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range failures {
				got = append(got, f.String())
			}
			all := strings.Join(got, "\n")
			if c.want == "" && all != "" || !strings.Contains(all, c.want) {
				t.Errorf("got %q, want %q", all, c.want)
			}
		})
	}
}

func TestLoadCasesRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"nothing", "", "must have 1 to 5000 cases"},
		{"unknown key", "cases:\n  - {id: a, colour: red}\n", "f.yaml:2:13:"},
		{"no time", "cases:\n  - {id: a, now: noon}\n", "f.yaml: cases.a.now: must be a time"},
		{"no id", "cases:\n  - {now: \"2026-03-10T17:00:00Z\"}\n", "case 1 has no id of its own"},
		{"an id twice", "cases:\n  - {id: a}\n  - {id: a}\n", "case 2 has no id of its own"},
		{"another type", "cases:\n  - {id: a, type: deadline}\n", "is not a question to the gate"},
		{"unknown state", "cases:\n  - {id: a, history: [{state: lost}]}\n", "unknown state of a contact"},
		{"impossible holiday", "cases:\n  - {id: a, calendars: {XX: {years: [2026], dates: [2026-02-30]}}}\n", "cases.a.calendars.XX"},
		{"wrong shape", "cases: 7\n", "f.yaml:1:8:"},
		{"not YAML", "cases: [}", "f.yaml:1:"},
	} {
		_, err := gate.LoadCases("f.yaml", []byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) || duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// The published layout of cases is JSON, which is YAML.
func TestPublishedCaseAsJSON(t *testing.T) {
	t.Parallel()
	src := `{"cases": [{"id": "X", "type": "contact_decision", "jurisdiction": "CN", "packs": ["cn-mainland", "policy-default"], "phase": "send", "title": "",
		"now": "2026-03-10T22:30:00+08:00", "contact": {"channel": "sms", "purpose": "pre_due_reminder", "party": "debtor", "person": "D1", "loan": "L1",
		"address": {"id": "A1", "kind": "mobile", "source": "debtor_provided"}, "days_past_due": -3, "template": {"text": "【某某消金】您本期账单将于3月13日到期。"}},
		"actor": {"type": "system", "third_party": false}, "borrower": {"timezones": ["Asia/Shanghai"]}, "loan": {"product": "consumer_loan", "amount_due": 100},
		"state": {}, "history": [], "calendars": {}, "expect": {"verdict": "defer", "not_before": "2026-03-11T08:00:00+08:00",
		"reason": "outside_policy_quiet_hours", "rule": "POL-01"}, "why": ""}]}`
	cases, err := gate.LoadCases("cases.json", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	packs := shipped(t)
	for _, f := range gate.TestPack(&rule.Pack{ID: "none"}, packs, cases) {
		t.Error(f)
	}
}
