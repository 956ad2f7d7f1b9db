package rule_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

func calendars(t testing.TB) *civil.Calendars {
	t.Helper()
	c, err := civil.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shippedDuties(t testing.TB) []*rule.Pack {
	t.Helper()
	packs, err := rule.LoadDuties(rulepacks.FS)
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

func TestShippedDuties(t *testing.T) {
	t.Parallel()
	n, failures, err := rule.TestDuties(rulepacks.FS, calendars(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failures {
		t.Error(f)
	}
	duties := 0
	for _, p := range shippedDuties(t) {
		duties += len(p.Duties)
	}
	if n <= duties {
		t.Errorf("got %d cases for %d obligations, want more", n, duties)
	}
}

// The published cases for the contact gate are run where their file is at hand.
func TestPublishedDeadlines(t *testing.T) {
	t.Parallel()
	file := os.Getenv("DULY_GATE_CASES")
	if file == "" {
		t.Skip("name the file of published gate cases in DULY_GATE_CASES to run those of type deadline")
	}
	src, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the published gate cases are not here: %v", err)
	}
	cases, err := rule.LoadDeadlines(filepath.Base(file), src)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatal("the file has no case of type deadline")
	}
	packs, cals := shippedDuties(t), calendars(t)
	for i := range cases {
		if text := cases[i].Run(packs, cals); text != "" {
			t.Errorf("%s: %s", cases[i].ID, text)
		}
	}
}

// dutyPack writes a file of one obligation; each line of change replaces or adds a key.
func dutyPack(change ...string) string {
	keys := []string{"id: R-1", "title: {zh: 标题, en: Title}", "force: law", "on: [complaint]", "within: P20D",
		"source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}"}
	for _, c := range change {
		name, _, _ := strings.Cut(c, ":")
		i := slices.IndexFunc(keys, func(k string) bool { return strings.HasPrefix(k, name+":") })
		switch {
		case i < 0:
			keys = append(keys, c)
		case strings.HasSuffix(c, ": -"):
			keys = slices.Delete(keys, i, i+1)
		default:
			keys[i] = c
		}
	}
	return "id: p\nversion: \"1\"\njurisdiction: CN\nobligations:\n  - " + strings.Join(keys, "\n    ") + "\n"
}

func duties(t testing.TB, change ...string) []*rule.Pack {
	t.Helper()
	p, err := rule.ParseDuties("f.yaml", []byte(dutyPack(change...)))
	if err != nil {
		t.Fatal(err)
	}
	return []*rule.Pack{p}
}

func TestParseDutiesRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"nothing", "", "f.yaml: the file must hold one YAML document"},
		{"unknown key", dutyPack("effect: block"), "f.yaml:11:5: obligations.R-1.effect: unknown key"},
		{"no demand", dutyPack("within: -"), "must have within, keep, erase or wait"},
		{"two demands", dutyPack("keep: P1Y"), "a second demand beside within (an obligation has just one of"},
		{"no term", dutyPack("within: soon"), "f.yaml:9:13: obligations.R-1.within: not a term such as P20D"},
		{"a mixed term", dutyPack("within: P1M2D"), "not a term such as"},
		{"a term of nothing", dutyPack("within: P0D"), "not a term such as"},
		{"a term past all sense", dutyPack("within: P101Y"), "longer than 100 years"},
		{"business days of nowhere", dutyPack("within: P10BD"), "obligations.R-1.calendar: is missing"},
		{"a calendar for nothing", dutyPack("calendar: CN"), "no business days are counted"},
		{"unknown event", dutyPack("on: [full_moon]"), "obligations.R-1.on[0]: unknown event"},
		{"another name of an event", dutyPack("on: [dsar]"), "obligations.R-1.on[0]: unknown event"},
		{"no event", dutyPack("on: -"), "obligations.R-1.on: is missing"},
		{"unknown input", dutyPack("if: {moon: full}"), "obligations.R-1.if.moon: unknown input"},
		{"unknown word", dutyPack("if: {lender: [pawnbroker]}"), "obligations.R-1.if.lender: unknown word (lender is bank"},
		{"a word for a truth", dutyPack("if: {complex: very}"), "must be true or false"},
		{"days of whom", dutyPack("days: agency"), "obligations.R-1.days: must be borrower or lender"},
		{"unread source", dutyPack("source: {instrument: Act, read: skimmed, checked_on: 2026-11-23}"), "must be primary, secondary or memory"},
		{"an obligation twice", dutyPack() + strings.TrimPrefix(dutyPack(), "id: p\nversion: \"1\"\njurisdiction: CN\nobligations:\n"), "obligation R-1 is there already (tell the parts of one register entry apart"},
		{"none", "id: p\nversion: \"1\"\njurisdiction: CN\nobligations: []\n", "must be a list of 1 to 500 obligations"},
		{"too large", strings.Repeat("# padding\n", rule.MaxPackBytes/10+1), "f.yaml: the file is larger than 256 KiB"},
	} {
		_, err := rule.ParseDuties("f.yaml", []byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) || duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// The hash of a pack is of its obligations too, and a pack's folder and theirs must agree.
func TestDutiesBesideAPack(t *testing.T) {
	t.Parallel()
	files := func(pack, obligations string) fs.FS {
		m := fstest.MapFS{"p/tests.yaml": {}, "p/deadlines.yaml": {}}
		if pack != "" {
			m["p/pack.yaml"] = &fstest.MapFile{Data: []byte(pack)}
		}
		if obligations != "" {
			m["p/obligations.yaml"] = &fstest.MapFile{Data: []byte(obligations)}
		}
		return m
	}
	pack := one("hold", "{holds: [x]}")
	load := func(fsys fs.FS) *rule.Pack {
		t.Helper()
		packs, err := rule.LoadFS(fsys)
		if err != nil || len(packs) != 1 {
			t.Fatalf("got %d packs, %v, want one", len(packs), err)
		}
		return packs[0]
	}
	bare, with, other := load(files(pack, "")), load(files(pack, dutyPack())), load(files(pack, dutyPack("within: P21D")))
	if bare.Hash == with.Hash || with.Hash == other.Hash {
		t.Error("the hash does not change with the obligations")
	}
	if again := load(files(pack, strings.ReplaceAll(dutyPack(), "\n", "\r\n"))); again.Hash != with.Hash {
		t.Error("line ends change the hash")
	}
	if len(bare.Duties) != 0 || len(with.Duties) != 1 || len(with.Rules) != 1 {
		t.Errorf("got %d and %d obligations with %d rules, want 0 and 1 with 1", len(bare.Duties), len(with.Duties), len(with.Rules))
	}

	alone, err := rule.LoadDuties(files("", dutyPack()))
	if err != nil || len(alone) != 1 || len(alone[0].Rules) != 0 || len(alone[0].Duties) != 1 || alone[0].Jurisdiction != "CN" {
		t.Errorf("obligations without a pack: got %+v, %v", alone, err)
	}
	if none, err := rule.LoadFS(files("", dutyPack())); err != nil || len(none) != 0 {
		t.Errorf("obligations are no pack that answers contacts: got %d, %v", len(none), err)
	}
	untested := fstest.MapFS{"p/obligations.yaml": {Data: []byte(dutyPack())}}
	for name, c := range map[string]struct {
		fs   fs.FS
		want string
	}{
		"other jurisdiction": {files(pack, strings.Replace(dutyPack(), "jurisdiction: CN", "jurisdiction: US", 1)), "of another jurisdiction than the pack"},
		"other id":           {files(pack, strings.Replace(dutyPack(), "id: p", "id: q", 1)), "are in a folder called p"},
		"no cases":           {untested, "the obligations of pack p have no cases"},
	} {
		if _, err := rule.LoadDuties(c.fs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// A case that gets another answer fails, and so does an obligation that no case expects.
func TestDeadlineCasesThatFail(t *testing.T) {
	t.Parallel()
	const good = "  - {id: a, type: deadline, jurisdiction: CN, inputs: {event: complaint, at: 2026-03-01}, expect: {due: 2026-03-21, rule: R-1}}\n"
	for _, c := range []struct{ name, cases, want string }{
		{"all well", good, ""},
		{"wrong day", strings.Replace(good, "03-21", "03-22", 1), "p: case a: got [R-1 2026-03-21], want [R-1 2026-03-22]"},
		{"wrong rule", strings.Replace(good, "rule: R-1", "rule: R-9", 1), "want [R-9 2026-03-21]"},
		{"nothing wanted", good + strings.NewReplacer("id: a", "id: b", "{due: 2026-03-21, rule: R-1}", "{}").Replace(good), "p: case b: got [R-1 2026-03-21], want []"},
		{"other country", good + strings.NewReplacer("id: a", "id: b", "jurisdiction: CN", "jurisdiction: US").Replace(good), "p: case b: got [], want [R-1 2026-03-21]"},
		{"unknown event", good + strings.NewReplacer("id: a", "id: b", "event: complaint", "event: party").Replace(good), "inputs.event: unknown event"},
		{"no time", good + strings.NewReplacer("id: a", "id: b", ", at: 2026-03-01", "").Replace(good), "must have event and at"},
		{"not a time", good + strings.NewReplacer("id: a", "id: b", "2026-03-01", "noon").Replace(good), "inputs.at: must be a day"},
		{"other type only", strings.Replace(good, "type: deadline", "type: inbound_reply, text: STOP", 1), "p: obligation R-1: no case expects it"},
	} {
		fsys := fstest.MapFS{"p/obligations.yaml": {Data: []byte(dutyPack())}, "p/deadlines.yaml": {Data: []byte("cases:\n" + c.cases)}}
		_, failures, err := rule.TestDuties(fsys, calendars(t))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if all := strings.Join(failures, "\n"); c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, all, c.want)
		}
	}
	for _, src := range []string{"cases: 7\n", "cases: [}", "cases:\n  - {type: deadline}\n", "cases:\n  - {id: a, type: deadline}\n  - {id: a, type: deadline}\n"} {
		if _, err := rule.LoadDeadlines("f.yaml", []byte(src)); duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%q: got %v, want invalid", src, err)
		}
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	cals := calendars(t)
	for _, c := range []struct{ term, calendar, from, want string }{
		{"P20D", "", "2026-02-10", "2026-03-02"},
		{"P2W", "", "2026-02-10", "2026-02-24"},
		{"P1M", "", "2026-01-31", "2026-02-28"},
		{"P1M", "", "2028-01-31", "2028-02-29"},
		{"P1M", "", "2026-02-28", "2026-03-28"},
		{"P1Y", "", "2028-02-29", "2029-02-28"},
		{"P4Y", "", "2028-02-29", "2032-02-29"},
		{"P1BD", rule.CalendarWeekdays, "2026-07-02", "2026-07-03"}, // no holidays are known
		{"P1BD", "US", "2026-07-02", "2026-07-06"},
		{"P5BD", rule.CalendarWeekdays, "2026-02-14", "2026-02-20"}, // from a Saturday
		{"P1BD", "CN", "2026-02-13", "2026-02-14"},                  // a Saturday worked in exchange for the Spring Festival
		{"P2BD", "CN", "2026-02-13", "2026-02-24"},
	} {
		term, err := rule.ParseTerm(c.term)
		if err != nil {
			t.Fatal(err)
		}
		from, err := civil.Parse(c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := term.Day(from, c.calendar, cals); err != nil || got.String() != c.want {
			t.Errorf("%s from %s by %q: got %s, %v, want %s", c.term, c.from, c.calendar, got, err, c.want)
		}
	}
}

func TestTermTexts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"P20D": "P20D", "P2W": "P14D", "P24M": "P2Y", "P5M": "P5M", "P10BD": "P10BD", "PT24H": "PT24H", "PT60M": "PT1H", "PT5M": "PT5M"} {
		got, err := rule.ParseTerm(in)
		if err != nil || got.String() != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
}

// Random terms from random days: a term never ends before it starts, a later start never ends it earlier, and business days
// are those that a walk from day to day counts.
func TestTermLaws(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	cals := calendars(t)
	names := []string{rule.CalendarWeekdays, "US", "CN"}
	for range 4000 {
		from := civil.On(2024, 1, 1).Add(r.IntN(600)) // with room for the longest term in the years that every calendar has
		calendar := ""
		var text string
		switch n := 1 + r.IntN(400); r.IntN(4) {
		case 0:
			text = fmt.Sprintf("P%dD", n)
		case 1:
			text = fmt.Sprintf("P%dM", 1+n%60)
		case 2:
			text = fmt.Sprintf("P%dY", 1+n%10)
		default:
			text, calendar = fmt.Sprintf("P%dBD", 1+n%60), names[r.IntN(len(names))]
		}
		term, err := rule.ParseTerm(text)
		if err != nil {
			t.Fatal(err)
		}
		end, err := term.Day(from, calendar, cals)
		if err != nil {
			t.Fatalf("%s from %s by %s: %v", text, from, calendar, err)
		}
		next, err := term.Day(from.Add(1), calendar, cals)
		if err != nil {
			t.Fatalf("%s from %s by %s: %v", text, from.Add(1), calendar, err)
		}
		if !end.After(from) {
			t.Fatalf("%s from %s ends on %s, not after its start", text, from, end)
		}
		if next.Before(end) {
			t.Fatalf("%s from %s ends on %s, but from a day later on %s", text, from, end, next)
		}
		switch {
		case term.BusinessDays > 0:
			if got := worked(t, cals, calendar, from, end); got != term.BusinessDays || worked(t, cals, calendar, end.Add(-1), end) != 1 {
				t.Fatalf("%s from %s by %s ends on %s, in which %d days are worked", text, from, calendar, end, got)
			}
		case term.Months > 0:
			fy, fm, fd := from.YMD()
			y, m, d := end.YMD()
			if (y-fy)*12+int(m-fm) != term.Months || d > fd || d < fd && end.Add(1).Year()*12+int(month(end.Add(1))) == y*12+int(m) {
				t.Fatalf("%s from %s ends on %s: not the same day, nor the last of a month that lacks it", text, from, end)
			}
		}
	}
}

func month(d civil.Date) time.Month { _, m, _ := d.YMD(); return m }

// worked counts the days that are worked after one day, up to and with another, by looking at each.
func worked(t *testing.T, cals *civil.Calendars, calendar string, after, through civil.Date) int {
	t.Helper()
	n := 0
	cal, known := cals.Get(calendar)
	for d := through; d.After(after); d = d.Add(-1) {
		if !known {
			if w := d.Weekday(); w >= time.Monday && w <= time.Friday {
				n++
			}
			continue
		}
		day, err := cal.Day(d)
		if err != nil {
			t.Fatal(err)
		}
		if day.Working {
			n++
		}
	}
	return n
}

func zones(t testing.TB, names ...string) []*time.Location {
	t.Helper()
	var out []*time.Location
	for _, n := range names {
		out = append(out, zone(t, n))
	}
	return out
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("zone data for %s: %v", name, err)
	}
	return loc
}

// Where the borrower may be in two zones that have different days, what is to be done is due by the earlier and what is to
// be kept by the later; a duty of the lender's days asks for neither.
func TestDeadlineZones(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 10, 16, 30, 0, 0, time.UTC) // the 11th in Shanghai, still the 10th in New York
	for _, c := range []struct {
		change []string
		want   string
	}{
		{[]string{"within: P5D"}, "2026-03-15 2026-03-16T04:00:00Z"},
		{[]string{"within: -", "erase: P5D"}, "2026-03-15 2026-03-16T04:00:00Z"},
		{[]string{"within: -", "keep: P5D"}, "2026-03-16 2026-03-16T16:00:00Z"},
		{[]string{"within: -", "wait: P5D"}, "2026-03-16 2026-03-16T16:00:00Z"},
		{[]string{"days: lender", "within: P5D"}, "2026-03-15 2026-03-16T00:00:00Z"},
		{[]string{"within: PT5M"}, " 2026-03-10T16:35:00Z"},
		{[]string{"within: P5D", "valid: {from: 2026-03-11, to: null}"}, "2026-03-16 2026-03-16T16:00:00Z"},
	} {
		in := &rule.Incident{Event: "complaint", At: at, Country: "CN", Borrower: zones(t, "Asia/Shanghai", "America/New_York"), Lender: time.UTC}
		got := rule.Deadlines(duties(t, c.change...), in)
		if len(got) != 1 {
			t.Errorf("%v: got %d deadlines, want 1", c.change, len(got))
			continue
		}
		if text := got[0].On.String() + " " + got[0].At.UTC().Format(time.RFC3339); text != c.want {
			t.Errorf("%v: got %s, want %s", c.change, text, c.want)
		}
	}
}

// What nobody said leaves a duty in the answer, with its condition; what is true or false is false where nobody said.
func TestDeadlineConditions(t *testing.T) {
	t.Parallel()
	on := civil.On(2026, 3, 1)
	for _, c := range []struct {
		cond  string
		given map[string]string
		want  string
	}{
		{"{lender: [card_issuer]}", nil, "lender is card_issuer"},
		{"{lender: [card_issuer, bank], role: [third_party]}", nil, "lender is card_issuer or bank and role is third_party"},
		{"{lender: [card_issuer]}", map[string]string{"lender": "card_issuer"}, ""},
		{"{lender: [card_issuer]}", map[string]string{"lender": "bank"}, "none"},
		{"{complex: true}", nil, "none"},
		{"{complex: false}", nil, ""},
		{"{complex: true}", map[string]string{"complex": "true"}, ""},
		{"{complex: false}", map[string]string{"complex": "true"}, "none"},
	} {
		got := "none"
		for _, d := range rule.Deadlines(duties(t, "if: "+c.cond), &rule.Incident{Event: "complaint", On: on, Country: "CN", Inputs: c.given}) {
			got = d.If
		}
		if got != c.want {
			t.Errorf("%s with %v: got %q, want %q", c.cond, c.given, got, c.want)
		}
	}
}

// A year that no calendar knows gives no day and says so, and stands before what has one.
func TestDeadlineWithoutCalendar(t *testing.T) {
	t.Parallel()
	packs := duties(t, "within: P10BD", "calendar: CN")
	for name, in := range map[string]*rule.Incident{
		"no calendars":    {Event: "complaint", On: civil.On(2026, 3, 1), Country: "CN"},
		"year not there":  {Event: "complaint", On: civil.On(2150, 3, 1), Country: "CN", Calendars: calendars(t)},
		"not told of all": {Event: "complaint", On: civil.On(2026, 12, 25), Country: "CN", Calendars: calendars(t)},
	} {
		got := rule.Deadlines(packs, in)
		if len(got) != 1 || got[0].Lack != rule.CodeCalendar || !got[0].On.IsZero() || !got[0].At.IsZero() || got[0].Seen == "" || got[0].When() != rule.CodeCalendar {
			t.Errorf("%s: got %+v, want no day and the calendar missing", name, got)
		}
	}
	far := rule.Deadlines(duties(t, "within: -", "keep: P5Y"), &rule.Incident{Event: "complaint", On: civil.On(2199, 3, 1), Country: "CN"})
	if len(far) != 1 || far[0].Lack != rule.CodeRange {
		t.Errorf("past the last year: got %+v, want %s", far, rule.CodeRange)
	}
}

// What nobody has read is in the answer as a shadow.
func TestDeadlineShadow(t *testing.T) {
	t.Parallel()
	got := map[string]bool{}
	for _, p := range shippedDuties(t) {
		for i := range p.Duties {
			if d := &p.Duties[i]; d.Shadow() {
				got[d.ID] = true
			}
		}
	}
	want := map[string]bool{"CN-11": true, "CN-25": true, "CN-25b": true, "US-10b": true, "US-11": true, "US-11b": true, "UK-06": true, "EU-03": true, "EU-03b": true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("shadows (-want +got):\n%s", d)
	}
}

// Packs of a country count for its parts, not the other way round; those of the Union count in its states.
func TestDeadlineJurisdictions(t *testing.T) {
	t.Parallel()
	on := civil.On(2026, 3, 1)
	for _, c := range []struct {
		country string
		event   rule.Event
		want    []string
	}{
		{"US", "dispute", nil},
		{"US-DC", "dispute", []string{"US-DC-04"}},
		{"US-DC", "opt_out", []string{"US-16", "US-15"}},
		{"NO", "access_request", []string{"EU-03"}},
		{"NO-03", "access_request", []string{"EU-03"}},
		{"GB", "access_request", nil},
		{"", "access_request", nil},
	} {
		var got []string
		for _, d := range rule.Deadlines(shippedDuties(t), &rule.Incident{Event: c.event, On: on, Country: c.country, Calendars: calendars(t)}) {
			got = append(got, d.Rule)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s in %s (-want +got):\n%s", c.event, c.country, d)
		}
	}
}

// Every event and input is in both languages, and no name stands for two events.
func TestOccurrences(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range rule.Occurrences() {
		if o.English == "" || o.Chinese == "" {
			t.Errorf("event %s has no words", o.Event)
		}
		for _, name := range append([]string{string(o.Event)}, o.Also...) {
			if seen[name] {
				t.Errorf("the name %s stands for two events", name)
			}
			seen[name] = true
			if got := rule.FindEvent(" " + strings.ToUpper(name)); got != o.Event {
				t.Errorf("%s: got event %q, want %s", name, got, o.Event)
			}
		}
	}
	for _, in := range rule.Inputs() {
		if in.English == "" || in.Chinese == "" || in.Truth == (len(in.Words) > 0) {
			t.Errorf("input %s has no words of its own", in.Name)
		}
	}
	if got := rule.FindEvent("full_moon"); got != "" {
		t.Errorf("got event %q for a name that is none", got)
	}
}

// The manual names every event with its other names, every input and every obligation that is shipped, in both languages.
func TestManualOfDeadlines(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"deadlines.md", "zh-CN/deadlines.md"} {
		src, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		text := string(src)
		want := func(format string, args ...any) {
			t.Helper()
			if s := fmt.Sprintf(format, args...); !strings.Contains(text, s) {
				t.Errorf("docs/%s does not name %s", page, s)
			}
		}
		for _, o := range rule.Occurrences() {
			want("| `%s` |", o.Event)
			for _, name := range o.Also {
				want("`%s`", name)
			}
		}
		for _, in := range rule.Inputs() {
			want("`%s`", in.Name)
			for _, w := range in.Words {
				want("`%s`", w)
			}
		}
		for _, p := range shippedDuties(t) {
			for i := range p.Duties {
				want("| %s | %s |", p.Duties[i].ID, p.ID)
				want("%s |", p.Duties[i].Term)
			}
		}
	}
}

// FuzzParseDuties holds that no text makes ParseDuties panic, and that what loads gives deadlines after their event.
func FuzzParseDuties(f *testing.F) {
	for _, name := range []string{"cn-mainland", "us-tcpa", "eu-core", "ng-fccpc"} {
		src, err := fs.ReadFile(rulepacks.FS, name+"/obligations.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	cals := calendars(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := rule.ParseDuties("f.yaml", src)
		if err != nil {
			if duly.CodeOf(err) != duly.Invalid {
				t.Errorf("code: got %s, want %s", duly.CodeOf(err), duly.Invalid)
			}
			return
		}
		at := time.Date(2026, 2, 28, 23, 30, 0, 0, time.UTC)
		for _, o := range rule.Occurrences() {
			for _, d := range rule.Deadlines([]*rule.Pack{p}, &rule.Incident{Event: o.Event, At: at, Country: p.Jurisdiction, Calendars: cals}) {
				if d.Lack == "" && !d.At.After(at) {
					t.Errorf("%s is due at %s, not after its event", d.Rule, d.At)
				}
			}
		}
	})
}
