package gate

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
)

// casesPerRule is how many cases must put each rule of a pack to the test: one that it refuses, one that it lets pass
// and one at the edge between.
const casesPerRule = 3

// Runner judges a case of a type that is no question to the gate: it returns what is wrong with the answer, or "".
type Runner func(*Case) (failure string, err error)

// Runners are the runners by type of case.
type Runners map[string]Runner

// Failure is a case that did not get its answer, or a rule that too few cases test.
type Failure struct {
	Pack string // the pack under test, or the file of the case
	Case string // the case's id; "" for a rule without cases
	Rule string // the rule without cases
	Text string
}

// String writes the failure on one line.
func (f Failure) String() string {
	switch {
	case f.Pack == "":
		return f.Text
	case f.Case == "":
		return fmt.Sprintf("%s: rule %s: %s", f.Pack, f.Rule, f.Text)
	}
	return fmt.Sprintf("%s: case %s: %s", f.Pack, f.Case, f.Text)
}

// Result is what became of cases.
type Result struct {
	Passed   int
	Failures []Failure
	Skipped  map[string]int // by type, of those types that nobody judges
	Notes    []Failure      // keys that no case has, told and passed over
	Shadow   []string       // rules that were asked and would be in shadow outside of cases, as PACK/RULE
}

// Failed returns how many failures there are.
func (r *Result) Failed() int { return len(r.Failures) }

// Skips returns how many cases were skipped.
func (r *Result) Skips() int {
	n := 0
	for _, k := range r.Skipped {
		n += k
	}
	return n
}

// Add takes in another result.
func (r *Result) Add(o *Result) {
	r.Passed += o.Passed
	r.Failures, r.Notes = append(r.Failures, o.Failures...), append(r.Notes, o.Notes...)
	if r.Skipped == nil {
		r.Skipped = map[string]int{}
	}
	for k, n := range o.Skipped {
		r.Skipped[k] += n
	}
	r.Shadow = slices.Compact(slices.Sorted(slices.Values(append(r.Shadow, o.Shadow...))))
}

// TestFS runs the tests.yaml of every pack in a folder of rule packs.
func TestFS(fsys fs.FS, runners Runners) (*Result, error) {
	packs, err := rule.LoadFS(fsys)
	if err != nil {
		return nil, err
	}
	out := &Result{}
	for _, p := range packs {
		name := path.Join(p.ID, "tests.yaml")
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read cases: %w", err)
		}
		list, err := LoadCases(name, src)
		if err != nil {
			return nil, err
		}
		out.Add(TestPack(p, packs, list, runners))
	}
	return out, nil
}

// TestPack runs cases against a pack, with the other packs that they name, and checks that the cases put every rule of
// the pack to the test. A key of such a case that is not known is a failure: it is a slip of whoever writes the pack.
func TestPack(p *rule.Pack, all []*rule.Pack, cases []Case, runners Runners) *Result {
	t := &trial{pack: p, all: all, runners: runners, sets: map[string]*asked{}, refused: map[string]int{}, passed: map[string]int{}}
	for i := range cases {
		t.run(&cases[i])
		for _, n := range cases[i].Notes {
			t.fail(&cases[i], "unknown key "+n)
		}
	}
	t.out.Notes = nil
	t.coverage()
	return &t.out
}

// RunCases runs cases against the packs that they name. Rules that are in shadow because nobody has read their instrument
// act, as the cases of packs expect; Result.Shadow names them. Drafts stay in shadow.
func RunCases(cases []Case, packs []*rule.Pack, runners Runners) *Result {
	t := &trial{all: packs, runners: runners, sets: map[string]*asked{}}
	for i := range cases {
		t.run(&cases[i])
	}
	return &t.out
}

// trial is one run of cases.
type trial struct {
	pack            *rule.Pack // that the cases stand with; nil: none
	all             []*rule.Pack
	runners         Runners
	sets            map[string]*asked // by the packs named
	refused, passed map[string]int
	out             Result
}

// asked is a set of the packs that a case names, with the rules in it that would be in shadow outside of cases.
type asked struct {
	set    *rule.Set
	shadow []string
}

func (t *trial) fail(c *Case, text string) {
	f := Failure{Pack: c.file, Case: c.ID, Text: text}
	if t.pack != nil {
		f.Pack = t.pack.ID
	}
	t.out.Failures = append(t.out.Failures, f)
}

func (t *trial) run(c *Case) {
	for _, n := range c.Notes {
		t.out.Notes = append(t.out.Notes, Failure{Pack: c.file, Case: c.ID, Text: "unknown key " + n})
	}
	text := ""
	switch run := t.runners[c.Type]; {
	case len(c.problems) > 0:
		text = c.problems[0].Error()
	case c.Type == TypeContact:
		text = t.decide(c)
	case run == nil:
		t.out.Add(&Result{Skipped: map[string]int{c.Type: 1}})
		return
	default:
		var err error
		if text, err = run(c); err != nil {
			text = err.Error()
		}
	}
	if text != "" {
		t.fail(c, text)
		return
	}
	t.out.Passed++
}

// decide returns what is wrong with the gate's answer to a case, or "", and counts which rules of the pack refused it or
// let it pass.
func (t *trial) decide(c *Case) string {
	a, text := t.ask(c)
	if text != "" {
		return text
	}
	f, err := c.Facts()
	if err != nil {
		return err.Error()
	}
	if t.pack != nil {
		t.count(c, f, a.set)
	}
	d := Check(f, a.set)
	if c.Expect.Rule != "" && isDraft(a.set, c.Expect.Rule) {
		d = duly.Decision{Verdict: d.Verdict, NotBefore: d.NotBefore, Reasons: Shadow(f, a.set)}
	}
	return c.compare(&d, f.Now.Location())
}

func (t *trial) count(c *Case, f *rule.Facts, set *rule.Set) {
	v := set.View(f)
	defer v.Release()
	for r := range set.Rules(v) {
		switch {
		case r.Pack != t.pack.ID || !r.Applies(v, f.Now):
		case r.Judge(v, f.Now).Verdict == duly.NoVerdict:
			t.passed[r.ID]++
		case r.ID == c.Expect.Rule:
			t.refused[r.ID]++
		}
	}
}

func (t *trial) coverage() {
	say := func(id, format string, args ...any) {
		t.out.Failures = append(t.out.Failures, Failure{Pack: t.pack.ID, Rule: id, Text: fmt.Sprintf(format, args...)})
	}
	for i := range t.pack.Rules {
		id := t.pack.Rules[i].ID
		switch {
		case t.refused[id] == 0:
			say(id, "no case is refused by it")
		case t.passed[id] == 0:
			say(id, "no case that it looks at passes it")
		case t.refused[id]+t.passed[id] < casesPerRule:
			say(id, "fewer than %d cases put it to the test", casesPerRule)
		}
	}
}

// isDraft reports whether a rule is in draft: its cases say what it would have answered.
func isDraft(set *rule.Set, id string) bool {
	for _, p := range set.Packs() {
		for i := range p.Rules {
			if p.Rules[i].ID == id {
				return p.Rules[i].Force == duly.ForceDraft
			}
		}
	}
	return false
}

// ask returns the set of the packs that the case names.
func (t *trial) ask(c *Case) (*asked, string) {
	key := strings.Join(c.Packs, " ")
	a := t.sets[key]
	if a == nil {
		packs, shadow, err := CasePacks(c, t.pack, t.all)
		if err != nil {
			return nil, err.Error()
		}
		set, err := rule.NewSet(packs)
		if err != nil {
			return nil, err.Error()
		}
		a = &asked{set, shadow}
		t.sets[key] = a
		t.out.Shadow = slices.Compact(slices.Sorted(slices.Values(append(t.out.Shadow, shadow...))))
	}
	return a, ""
}

// CasePacks returns the packs that a case asks, and the rules among them, as PACK/RULE, that act in cases only. Packs that
// it names are in force wherever the borrower is; if it names none, it asks own, if there is one.
func CasePacks(c *Case, own *rule.Pack, all []*rule.Pack) (packs []*rule.Pack, shadow []string, err error) {
	byID := map[string]*rule.Pack{}
	for _, p := range all {
		byID[p.ID] = p
	}
	named := slices.Compact(slices.Sorted(slices.Values(c.Packs)))
	switch {
	case len(named) == 0 && own == nil:
		return nil, nil, duly.Errorf(duly.Invalid, "the case names no packs").WithHint("write packs: [policy-default, …]")
	case len(named) == 0:
		p, names := own.Trial()
		return []*rule.Pack{p}, names, nil
	}
	for _, id := range named {
		id, _, _ := strings.Cut(id, "@")
		if byID[id] == nil {
			if strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(id) > 64 {
				id = "of this name"
			}
			return nil, nil, duly.Errorf(duly.NotFound, "there is no pack %s", id).
				WithHint("there are %s", strings.Join(slices.Sorted(maps.Keys(byID)), ", "))
		}
		p, names := byID[id].Everywhere().Trial()
		packs, shadow = append(packs, p), append(shadow, names...)
	}
	return packs, shadow, nil
}

func (c *Case) compare(d *duly.Decision, loc *time.Location) string {
	var wrong []string
	if got := d.Verdict.String(); got != c.Expect.Verdict {
		wrong = append(wrong, fmt.Sprintf("verdict: got %s, want %s", got, c.Expect.Verdict))
	}
	if want := c.Expect.NotBefore; !sameMinute(d.NotBefore, want) && !(c.Expect.any && c.Expect.Verdict == duly.Defer.String()) {
		text := "none"
		if !want.IsZero() {
			text = want.In(loc).Format(time.RFC3339)
		}
		got := "none"
		if !d.NotBefore.IsZero() {
			got = d.NotBefore.In(loc).Format(time.RFC3339)
		}
		wrong = append(wrong, fmt.Sprintf("not_before: got %s, want %s", got, text))
	}
	if !c.given(d.Reasons) || len(wrong) > 0 && len(d.Reasons) > 0 {
		var got []string
		for _, r := range d.Reasons {
			got = append(got, r.Rule+" "+r.Code+" ("+r.Facts+")")
		}
		want := strings.TrimSpace(c.Expect.Rule + " " + c.Expect.Reason)
		if want == "" {
			want = "none"
		}
		wrong = append(wrong, fmt.Sprintf("reason: got [%s], want %s", strings.Join(got, "; "), want))
	}
	return strings.Join(wrong, "; ")
}

// sameMinute reports whether an instant is the expected one. Where a whole minute is expected, the instant is taken up to
// the next whole minute: that is how cases write it.
func sameMinute(got, want time.Time) bool {
	if !want.IsZero() && !got.IsZero() && want.Truncate(time.Minute).Equal(want) {
		if t := got.Truncate(time.Minute); t.Before(got) {
			got = t.Add(time.Minute)
		}
	}
	return got.Equal(want)
}

// given reports whether the reason that the case expects is among those given.
func (c *Case) given(reasons []duly.Reason) bool {
	if c.Expect.Rule == "" && c.Expect.Reason == "" {
		return c.Expect.Verdict != "allow" || len(reasons) == 0
	}
	for _, r := range reasons {
		if (c.Expect.Rule == "" || r.Rule == c.Expect.Rule) && (c.Expect.Reason == "" || r.Code == c.Expect.Reason) {
			return true
		}
	}
	return false
}
