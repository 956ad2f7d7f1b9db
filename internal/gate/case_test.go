package gate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
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
		{"wrong instant", allow + edge + strings.Replace(refuse, "11T09", "11T10", 1), "not_before: got 2026-03-11T09:00:00Z, want 2026-03-11T10:00:00Z"},
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
			r, err := gate.TestFS(fsys, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range r.Failures {
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
		{"nothing", "", "f.yaml: cases: must have 1 to 5000 cases"},
		{"wrong shape", "cases: 7\n", "f.yaml: cases: must have 1 to 5000 cases"},
		{"not YAML", "cases: [}", "f.yaml:1:"},
		{"too large", strings.Repeat("# padding\n", gate.MaxCaseBytes/10+1), "larger than 4096 KiB"},
	} {
		_, err := gate.LoadCases("f.yaml", []byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) || duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// What is wrong with one case fails that case and leaves the others alone; a key that is not known is told, and the case
// is judged all the same.
func TestOneBadCase(t *testing.T) {
	t.Parallel()
	const good = `  - {id: good, packs: [policy-default], now: "2026-03-10T10:00:00Z", contact: {channel: sms, purpose: marketing}, borrower: {timezones: [UTC]}, expect: {verdict: allow}}` + "\n"
	for _, c := range []struct{ name, bad, want, note string }{
		{"unknown key", strings.Replace(good, "id: good", "id: bad, colour: red", 1), "", "f.yaml: case bad: unknown key colour"},
		{"unknown key inside", strings.NewReplacer("id: good", "id: bad", "sms,", "sms, mood: {red: 1},").Replace(good), "", "f.yaml: case bad: unknown key contact.mood"},
		{"no time", "  - {id: bad, now: noon}\n", "cases.bad.now: must be a time", ""},
		{"wrong shape", "  - {id: bad, contact: 7}\n", "cases.bad.contact: must be a mapping", ""},
		{"an id twice", good, "another case has this id", ""},
		{"no packs", "  - {id: bad}\n", "the case names no packs", ""},
		{"unknown pack", "  - {id: bad, packs: [huge]}\n", "there is no pack huge", ""},
		{"unknown state", "  - {id: bad, history: [{state: lost}]}\n", "unknown state of a contact", ""},
		{"impossible holiday", "  - {id: bad, calendars: {XX: {years: [2026], dates: [2026-02-30]}}}\n", "cases.bad.calendars.XX", ""},
		{"odd length", "  - {id: bad, contact: {expected_duration: long}}\n", "contact.expected_duration: must be a length of time", ""},
		{"odd day", "  - {id: bad, state: {preferences: {allow: [{days: freitag}]}}}\n", "unknown day", ""},
		{"no case", "  - 7\n", "must be a mapping", ""},
	} {
		cases, err := gate.LoadCases("f.yaml", []byte("cases:\n"+good+c.bad))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		r := gate.RunCases(cases, shipped(t), nil)
		if c.want != "" && (r.Passed != 1 || len(r.Failures) != 1 || !strings.Contains(r.Failures[0].String(), c.want)) {
			t.Errorf("%s: got %d passed, %v; want 1 and %q", c.name, r.Passed, r.Failures, c.want)
		}
		if c.note != "" && (r.Passed != 2 || len(r.Notes) != 1 || r.Notes[0].String() != c.note) {
			t.Errorf("%s: got %d passed, notes %v, failures %v; want 2 and %q", c.name, r.Passed, r.Notes, r.Failures, c.note)
		}
	}
}

// Cases of other types go to whoever judges them, and are skipped where nobody does.
func TestRunners(t *testing.T) {
	t.Parallel()
	src := `[{"id": "a", "type": "deadline", "inputs": {"at": "2026-02-01"}}, {"id": "b", "type": "deadline", "inputs": {"at": "2026-02-02"}}, {"id": "c", "type": "omen"}]`
	cases, err := gate.LoadCases("f.json", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	r := gate.RunCases(cases, nil, gate.Runners{"deadline": func(c *gate.Case) (string, error) {
		var x struct{ Inputs struct{ At string } }
		if err := c.Decode(&x); err != nil || x.Inputs.At != "2026-02-01" {
			return "got " + x.Inputs.At, err
		}
		return "", nil
	}})
	if r.Passed != 1 || len(r.Failures) != 1 || r.Failures[0].String() != "f.json: case b: got 2026-02-02" || r.Skipped["omen"] != 1 {
		t.Errorf("got %+v", r)
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
	r := gate.RunCases(cases, shipped(t), nil)
	for _, f := range append(r.Failures, r.Notes...) {
		t.Error(f)
	}
	if r.Passed != 1 {
		t.Errorf("got %d passed, want 1", r.Passed)
	}
}

// FuzzCases holds that no text makes reading and judging cases panic.
func FuzzCases(f *testing.F) {
	for _, src := range []string{
		tinyDefaults + `  - {id: a, now: "2026-03-10T10:00:00Z", packs: [policy-default], contact: {channel: sms, address: 7, template: [], expected_duration: 1e9}, history: [{address: {id: 3}}, x]}`,
		`[{"packs": ["us-regf", "policy-default"], "state": {"holds": [{"type": "breathing_space", "scope": "loan"}], "consents": {"a": true}}, "expect": {"not_before": null}}]`,
		`cases: [{loan: {amount_due: -1.005, currency: JPY}, borrower: {timezones: {UTC: true}}, calendars: {X: {years: [y], dates: {a: 1}}}}]`,
	} {
		f.Add([]byte(src))
	}
	packs := shipped(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		cases, err := gate.LoadCases("f.yaml", src)
		if err != nil {
			if duly.CodeOf(err) != duly.Invalid {
				t.Fatalf("got %v, want an error for a person", err)
			}
			return
		}
		if r := gate.RunCases(cases, packs, nil); r.Passed+r.Failed()+r.Skips() != len(cases) {
			t.Fatalf("%d cases became %d passed, %d failed, %d skipped", len(cases), r.Passed, r.Failed(), r.Skips())
		}
	})
}
