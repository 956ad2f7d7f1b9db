package rule_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

const head = "id: p\nversion: \"1\"\njurisdiction: CN\nrules:\n"

// one writes a pack of one rule; each line of change replaces or adds a key.
func one(kind, params string, change ...string) string {
	keys := []string{"id: R-1", "kind: " + kind, "title: {zh: 标题, en: Title}", "force: law", "params: " + params, "reason: some_reason",
		"source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}"}
	for _, c := range change {
		name, _, _ := strings.Cut(c, ":")
		found := false
		for i := range keys {
			if strings.HasPrefix(keys[i], name+":") {
				keys[i], found = c, true
			}
		}
		if !found {
			keys = append(keys, c)
		}
	}
	return head + "  - " + strings.Join(keys, "\n    ") + "\n"
}

const window = `{days: {"*": ["08:00", "21:00"]}}`

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"nothing", "", "f.yaml: the file must hold one YAML document"},
		{"no mapping", "- 1\n", "f.yaml:1:1: must be a mapping of keys to values"},
		{"two documents", head + "---\nid: q\n", "f.yaml: the file must hold one YAML document"},
		{"unknown key", one("contact_window", window, "colour: red"), "f.yaml:12:5: rules.R-1.colour: unknown key"},
		{"unknown parameter", one("contact_window", `{days: {"*": ["08:00", "21:00"]}, zone: any}`), "rules.R-1.params.zone: unknown key"},
		{"unknown kind", one("telepathy", "{}"), "f.yaml:6:11: rules.R-1.kind: unknown kind of rule (the kinds are contact_window"},
		{"unknown force", one("contact_window", window, "force: habit"), "f.yaml:8:12: rules.R-1.force: unknown force"},
		{"no title", one("contact_window", window, "title: {zh: 标题}"), "rules.R-1.title.en: is missing"},
		{"bad reason", one("contact_window", window, "reason: Not A Code"), "f.yaml:10:13: rules.R-1.reason: must match"},
		{"wrong effect", one("hold", "{holds: [dispute]}", "effect: defer"), "a hold cannot have this effect (its effect is block)"},
		{"ever defers", one("frequency_cap", "{limit: 1, period: ever, scope: [person]}", "effect: defer"), "a cap for ever cannot defer"},
		{"ever by default", one("frequency_cap", "{limit: 1, period: ever, scope: [person]}", "when: {channel: [sms]}"), "a cap for ever cannot defer"},
		{"unquoted time", one("contact_window", `{days: {"*": [8, 21]}}`), "not a time of day written HH:MM"},
		{"hours backwards", one("contact_window", `{days: {"*": ["21:00", "08:00"]}}`), "the hours end before they begin"},
		{"no days", one("contact_window", "{}"), "rules.R-1.params.days: is missing"},
		{"unknown day", one("contact_window", `{days: {freitag: ["08:00", "21:00"]}}`), "rules.R-1.params.days.freitag: unknown day"},
		{"day twice", one("contact_window", `{days: {mon-wed: ["08:00", "21:00"], tue: ["08:00", "20:00"]}}`), "tue is given twice"},
		{"holiday without calendar", one("contact_window", `{days: {"*": ["08:00", "21:00"]}, holidays: closed}`), "rules.R-1.params.calendar: is missing"},
		{"calendar without holidays", one("contact_window", `{days: {"*": ["08:00", "21:00"]}, calendar: CN}`), "no hours for holidays are given"},
		{"limit of zero", one("frequency_cap", "{limit: 0, period: calendar_day, scope: [person]}"), "rules.R-1.params.limit: must be a whole number from 1 to 10000"},
		{"limit in words", one("frequency_cap", "{limit: three, period: calendar_day, scope: [person]}"), "must be a whole number"},
		{"huge limit", one("frequency_cap", "{limit: 99999999999999999999, period: calendar_day, scope: [person]}"), "must be a whole number"},
		{"unknown period", one("frequency_cap", "{limit: 1, period: fortnight, scope: [person]}"), "rules.R-1.params.period: must be calendar_day"},
		{"unknown scope", one("frequency_cap", "{limit: 1, period: iso_week, scope: [street]}"), "rules.R-1.params.scope: must be person"},
		{"two scopes", one("frequency_cap", "{limit: 1, period: iso_week, scope: [loan, address]}"), "not loan with address"},
		{"unknown outcome", one("frequency_cap", "{limit: 1, period: iso_week, scope: [loan], count: {outcome: [shrug]}}"), "rules.R-1.params.count.outcome[0]: unknown outcome"},
		{"unknown channel", one("hold", "{holds: [dispute]}", "when: {channel: [pigeon]}"), "rules.R-1.when.channel[0]: unknown channel"},
		{"unknown purpose", one("hold", "{holds: [dispute]}", "when: {purpose: [fun]}"), "rules.R-1.when.purpose[0]: unknown purpose"},
		{"empty list", one("hold", "{holds: []}"), "rules.R-1.params.holds: must not be empty"},
		{"unknown fact", one("prerequisite", "{require_fact: moon.full}"), `unknown fact "moon.full"`},
		{"uncompared number", one("prerequisite", "{require_fact: loan.amount_due}"), "loan.amount_due is a number: compare it"},
		{"compared truth", one("prerequisite", `{require_fact: "clock_ok>1"}`), "clock_ok is true or false"},
		{"fact and notice", one("prerequisite", "{require_fact: clock_ok, require_notice: {type: x, min_age_days: 1}}"), "and not both"},
		{"two prerequisites", one("prerequisite", "{require_fact: clock_ok, within: {event: opt_out, minutes: 5}}"), "must have one of"},
		{"unknown event", one("prerequisite", "{within: {event: full_moon, minutes: 5}}"), "rules.R-1.params.within.event: must be opt_out"},
		{"unknown source of hours", one("contact_window", "{source: horoscope}"), "rules.R-1.params.source: must be borrower_preference"},
		{"two sources of hours", one("contact_window", `{source: borrower_preference, days: {"*": ["08:00", "21:00"]}}`), "params.days: is not used"},
		{"cooldown after nothing", one("cooldown", "{days: 7, scope: [person]}"), "rules.R-1.params.after: is missing"},
		{"cooldown of no day", one("cooldown", "{after: {channel: [sms]}, days: 0, scope: [person]}"), "rules.R-1.params.days: must be a whole number from 1"},
		{"any address", one("address", "{}"), "must say which addresses pass"},
		{"any sender", one("sender", "{from_fact: x}"), "must have number_prefix, forbid_hidden_number or registered_template"},
		{"unknown class day", one("sender", "{number_prefix: [\"1600\"], from_by_entity_class: {bank: soon}}"), "params.from_by_entity_class.bank: not a day"},
		{"unknown demand", one("actor", "{require: brave}"), "rules.R-1.params.require: must be certified or human_reviewed"},
		{"unknown flag", one("actor", "{require: certified, if_flag: moon}"), `unknown fact "moon"`},
		{"distinct what", one("frequency_cap", "{limit: 1, period: iso_week, scope: [person], distinct: colour}"), "params.distinct: must be channel_group"},
		{"distinct when", one("frequency_cap", `{limit: 1, period: "rolling:24h", scope: [person], distinct: channel_group}`), "params.distinct: needs a period of days"},
		{"condition twice", one("hold", "{holds: [x]}", "when: {dpd_gt: 3}", "applies_if: {dpd_gt: 4}"), "applies_if.dpd_gt: is given twice"},
		{"condition of the pack twice", strings.Replace(one("hold", "{holds: [x]}", "when: {dpd_gt: 3}"), "rules:", "applies_if: {dpd_gt: 4}\nrules:", 1), "has a condition that applies_if of the pack has too"},
		{"unknown condition", one("hold", "{holds: [x]}", "applies_if: {moon: full}"), "applies_if.moon: unknown key"},
		{"bad pattern", one("content", `{must: ["(["]}`), "rules.R-1.params.must[0]: not a regular expression"},
		{"no pattern", one("content", "{}"), "must have must or must_not"},
		{"impossible day", one("hold", "{holds: [x]}", "valid: {from: 2026-02-30, to: null}"), "rules.R-1.valid.from: not a day written YYYY-MM-DD"},
		{"ends before it begins", one("hold", "{holds: [x]}", "valid: {from: 2026-02-02, to: 2026-02-01}"), "rules.R-1.valid.to: is before from"},
		{"unread source", one("hold", "{holds: [x]}", "source: {instrument: Act, read: skimmed, checked_on: 2026-11-23}"), "must be primary, secondary or memory"},
		{"alias", "id: &a p\nversion: *a\njurisdiction: CN\nrules: []\n", "must be text"},
		{"bad jurisdiction", "id: p\nversion: \"1\"\njurisdiction: China\nrules: []\n", "f.yaml:3:15: jurisdiction: must match"},
		{"unquoted version", "id: p\nversion: 2026.11\njurisdiction: CN\nrules: []\n", "f.yaml:2:10: version: must be text (put it in quotes)"},
		{"no rules", "id: p\nversion: \"1\"\njurisdiction: CN\nrules: []\n", "f.yaml:4:8: rules: must be a list of 1 to 500 rules"},
		{"nested brackets", "id: " + strings.Repeat("[\n", 40), "f.yaml:33:1: lists and mappings are nested more than 32 deep"},
		{"nested dashes", strings.Repeat("- ", 40), "f.yaml:1:65: lists and mappings are nested more than 32 deep"},
		{"too large", strings.Repeat("# padding\n", rule.MaxPackBytes/10+1), "f.yaml: the pack is larger than 256 KiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := rule.Load("f.yaml", []byte(c.src))
			if err == nil {
				t.Fatalf("got no error, want %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
			if got := duly.CodeOf(err); got != duly.Invalid {
				t.Errorf("code: got %s, want %s", got, duly.Invalid)
			}
		})
	}
}

func TestLoadReportsEveryProblem(t *testing.T) {
	t.Parallel()
	src := one("contact_window", `{days: {"*": ["08:00", "8pm"]}}`, "force: habit", "colour: red", "reason: No")
	_, err := rule.Load("f.yaml", []byte(src))
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v, want several errors", err)
	}
	if got, want := len(joined.Unwrap()), 4; got != want {
		t.Errorf("got %d problems, want %d: %v", got, want, err)
	}
	for _, e := range joined.Unwrap() {
		if d, ok := errors.AsType[*duly.Error](e); !ok || d.Place.Line == 0 || d.Place.Column == 0 || d.Place.Field == "" {
			t.Errorf("problem without a place: %v", e)
		}
	}
}

func TestLoadTwiceTheSameRule(t *testing.T) {
	t.Parallel()
	src := one("hold", "{holds: [x]}")
	src += strings.TrimPrefix(src, head)
	_, err := rule.Load("f.yaml", []byte(src))
	if err == nil || !strings.Contains(err.Error(), "rule R-1 is there already") {
		t.Errorf("got %v, want the second rule refused", err)
	}
}

func TestHashIsOfTheText(t *testing.T) {
	t.Parallel()
	load := func(src string) *rule.Pack {
		t.Helper()
		p, err := rule.Load("f.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a := load(one("contact_window", window))
	if b := load(strings.ReplaceAll(one("contact_window", window), "\n", "\r\n")); a.Hash != b.Hash {
		t.Error("line ends change the hash")
	}
	if b := load(one("contact_window", `{days: {"*": ["08:00", "21:01"]}}`)); a.Hash == b.Hash {
		t.Error("a minute more does not change the hash")
	}
	if got, want := a.Name(), "p@"+a.Hash[:12]; got != want {
		t.Errorf("name: got %s, want %s", got, want)
	}
}

func TestLoadFS(t *testing.T) {
	t.Parallel()
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, p := range packs {
		for i := range p.Rules {
			got[p.ID] = append(got[p.ID], p.Rules[i].ID)
		}
	}
	want := map[string][]string{
		"policy-default": {"POL-01", "POL-02", "POL-03", "POL-04", "POL-05", "POL-06", "POL-07", "POL-10"},
		"cn-mainland": {"CN-01", "CN-02", "CN-03", "CN-04", "CN-05", "CN-05b", "CN-05c", "CN-06", "CN-08", "CN-11", "CN-11b", "CN-11c", "CN-12",
			"CN-16", "CN-19", "CN-21", "CN-26"},
		"us-regf": {"US-01", "US-03", "US-04", "US-05", "US-06", "US-07", "US-07b", "US-08", "US-08b", "US-09", "US-10", "US-11"},
		"us-tcpa": {"US-14", "US-15", "US-15b", "US-15c", "US-16"},
		"us-ma":   {"US-MA-01", "US-MA-02"}, "us-fl": {"US-FL-01"}, "us-wa": {"US-WA-01", "US-WA-02"},
		"us-dc":   {"US-DC-01", "US-DC-02", "US-DC-03", "US-DC-04"},
		"uk-conc": {"UK-01", "UK-02", "UK-03", "UK-04", "UK-05", "UK-06", "UK-07"},
		"eu-core": {"EU-01", "EU-02", "EU-03", "EU-04", "EU-06"},
		"in-rbi":  {"IN-01", "IN-02", "IN-03", "IN-05", "IN-06", "IN-07"}, "id-ojk": {"ID-01", "ID-03", "ID-05"},
		"ph-sec": {"PH-01", "PH-02"}, "vn-sbv": {"VN-01", "VN-02", "VN-03"}, "th-dca": {"TH-01", "TH-02"},
		"kr-pdpa": {"KR-01", "KR-02", "KR-03", "KR-04"}, "co-ley2300": {"CO-01", "CO-02", "CO-03"},
		"mx-condusef": {"MX-01", "MX-02", "MX-03"}, "br-sp": {"BR-SP-01"}, "br-rj": {"BR-RJ-01"},
		"ke-dcp": {"KE-01", "KE-02", "KE-03"}, "ng-fccpc": {"NG-01"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rules (-want +got):\n%s", d)
	}
	src := []byte(one("hold", "{holds: [x]}"))
	for _, c := range []struct {
		name, want string
		fs         fs.FS
	}{
		{"no tests", "pack p has no tests", fstest.MapFS{"p/pack.yaml": {Data: src}}},
		{"other folder", "pack p is in a folder called q", fstest.MapFS{"q/pack.yaml": {Data: src}, "q/tests.yaml": {}}},
	} {
		if _, err := rule.LoadFS(c.fs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestNewSetRefuses(t *testing.T) {
	t.Parallel()
	p, err := rule.Load("f.yaml", []byte(one("hold", "{holds: [x]}")))
	if err != nil {
		t.Fatal(err)
	}
	limit, err := rule.NewCap("LIMIT-01", "s", 1, "calendar_day", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		packs []*rule.Pack
		extra []rule.Rule
		want  duly.Code
	}{
		{"no packs", nil, nil, duly.Usage},
		{"a pack twice", []*rule.Pack{p, p}, nil, duly.Conflict},
		{"a limit twice", []*rule.Pack{p}, []rule.Rule{limit, limit}, duly.Conflict},
		{"a rule without a test", []*rule.Pack{p}, []rule.Rule{{ID: "X"}}, duly.Invalid},
	} {
		if _, err := rule.NewSet(c.packs, c.extra...); err == nil || duly.CodeOf(err) != c.want {
			t.Errorf("%s: got %v, want code %s", c.name, err, c.want)
		}
	}
}

func TestNewCapRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit    int
		period   string
		channels []duly.Channel
	}{
		{0, "calendar_day", nil}, {rule.MaxLimit + 1, "calendar_day", nil}, {1, "", nil}, {1, "rolling_days:0", nil}, {1, "rolling_days:367", nil},
		{1, "rolling:-1h", nil}, {1, "rolling:9000h", nil}, {1, "calendar_day", []duly.Channel{"pigeon"}},
	} {
		if _, err := rule.NewCap("LIMIT-01", "s", c.limit, c.period, c.channels); err == nil {
			t.Errorf("NewCap(%d, %q, %v): got no error", c.limit, c.period, c.channels)
		}
	}
}

func TestEveryKindIsDocumented(t *testing.T) {
	t.Parallel()
	for _, k := range rule.Kinds() {
		if k.Doc() == "" {
			t.Errorf("kind %s has no words", k)
		}
		if len(k.Params()) == 0 {
			t.Errorf("the parameters of kind %s are not listed", k)
		}
	}
	if got, want := len(rule.Kinds()), 13; got != want {
		t.Errorf("got %d kinds, want %d", got, want)
	}
}

// FuzzLoad holds that no text makes Load panic, and that what loads compiles and loads the same again.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"policy-default/pack.yaml", "cn-mainland/pack.yaml"} {
		src, err := fs.ReadFile(rulepacks.FS, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte(one("frequency_cap", "{limit: 1, period: rolling_days:7, scope: [loan], count: {outcome: [answered]}}")))
	f.Add([]byte(one("contact_window", `{days: {mon-fri: ["08:00", "24:00"], holiday: ["09:00", "10:00"]}, calendar: CN}`)))
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := rule.Load("f.yaml", src)
		if err != nil {
			if duly.CodeOf(err) != duly.Invalid {
				t.Errorf("code: got %s, want %s", duly.CodeOf(err), duly.Invalid)
			}
			return
		}
		if _, err := rule.NewSet([]*rule.Pack{p}); err != nil {
			t.Errorf("what loads does not compile: %v", err)
		}
		if q, err := rule.Load("f.yaml", bytes.Clone(src)); err != nil || q.Hash != p.Hash {
			t.Errorf("loads differently again: %v", err)
		}
	})
}
