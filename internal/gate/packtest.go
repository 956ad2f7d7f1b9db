package gate

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
)

// casesPerRule is how many cases must put each rule of a pack to the test: one that it refuses, one that it lets pass
// and one at the edge between.
const casesPerRule = 3

// Failure is a case that did not get its answer, or a rule that too few cases test.
type Failure struct {
	Pack string // the pack under test
	Case string // the case's id; "" for a rule without cases
	Rule string // the rule without cases
	Text string
}

// String writes the failure on one line.
func (f Failure) String() string {
	if f.Case == "" {
		return fmt.Sprintf("%s: rule %s: %s", f.Pack, f.Rule, f.Text)
	}
	return fmt.Sprintf("%s: case %s: %s", f.Pack, f.Case, f.Text)
}

// TestFS runs the tests.yaml of every pack in a folder of rule packs, and returns how many cases it ran.
func TestFS(fsys fs.FS) (cases int, failures []Failure, err error) {
	packs, err := rule.LoadFS(fsys)
	if err != nil {
		return 0, nil, err
	}
	for _, p := range packs {
		name := path.Join(p.ID, "tests.yaml")
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return 0, nil, fmt.Errorf("read cases: %w", err)
		}
		list, err := LoadCases(name, src)
		if err != nil {
			return 0, nil, err
		}
		cases += len(list)
		failures = append(failures, TestPack(p, packs, list)...)
	}
	return cases, failures, nil
}

// TestPack runs cases against a pack, with the other packs that they name, and checks that the cases put every rule of
// the pack to the test.
func TestPack(p *rule.Pack, all []*rule.Pack, cases []Case) []Failure {
	var out []Failure
	refused, passed := map[string]int{}, map[string]int{}
	for i := range cases {
		c := &cases[i]
		if text := runCase(c, p, all, refused, passed); text != "" {
			out = append(out, Failure{Pack: p.ID, Case: c.ID, Text: text})
		}
	}
	for i := range p.Rules {
		id := p.Rules[i].ID
		switch {
		case refused[id] == 0:
			out = append(out, Failure{Pack: p.ID, Rule: id, Text: "no case is refused by it"})
		case passed[id] == 0:
			out = append(out, Failure{Pack: p.ID, Rule: id, Text: "no case that it looks at passes it"})
		case refused[id]+passed[id] < casesPerRule:
			out = append(out, Failure{Pack: p.ID, Rule: id, Text: fmt.Sprintf("fewer than %d cases put it to the test", casesPerRule)})
		}
	}
	return out
}

// runCase returns what is wrong with the answer to a case, or "", and counts which rules refused it or let it pass.
func runCase(c *Case, p *rule.Pack, all []*rule.Pack, refused, passed map[string]int) string {
	set, text := casePacks(c, p, all)
	if text != "" {
		return text
	}
	f, err := c.Facts()
	if err != nil {
		return err.Error()
	}
	v := set.View(f)
	for r := range set.Rules(v) {
		switch {
		case r.Pack != p.ID:
		case r.Judge(v, f.Now).Verdict == duly.NoVerdict:
			passed[r.ID]++
		case r.ID == c.Expect.Rule:
			refused[r.ID]++
		}
	}
	v.Release()
	d := Check(f, set)
	if c.Expect.Rule != "" && isDraft(p, c.Expect.Rule) {
		d = duly.Decision{Verdict: d.Verdict, NotBefore: d.NotBefore, Reasons: Shadow(f, set)}
	}
	return c.compare(&d)
}

// isDraft reports whether a rule of the pack is in draft: its cases say what it would have answered.
func isDraft(p *rule.Pack, id string) bool {
	for i := range p.Rules {
		if p.Rules[i].ID == id {
			return p.Rules[i].Force == duly.ForceDraft
		}
	}
	return false
}

// casePacks returns the set of the packs that the case names.
func casePacks(c *Case, p *rule.Pack, all []*rule.Pack) (*rule.Set, string) {
	packs := []*rule.Pack{p}
	if len(c.Packs) > 0 {
		packs = nil
	}
	for _, id := range c.Packs {
		found := false
		for _, q := range all {
			if q.ID == id {
				packs, found = append(packs, q), true
			}
		}
		if !found {
			return nil, "there is no pack " + id
		}
	}
	set, err := rule.NewSet(packs)
	if err != nil {
		return nil, err.Error()
	}
	return set, ""
}

func (c *Case) compare(d *duly.Decision) string {
	var wrong []string
	if got := d.Verdict.String(); got != c.Expect.Verdict {
		wrong = append(wrong, fmt.Sprintf("verdict: got %s, want %s", got, c.Expect.Verdict))
	}
	want, _ := time.Parse(time.RFC3339Nano, c.Expect.NotBefore)
	if !d.NotBefore.Equal(want) {
		wrong = append(wrong, fmt.Sprintf("not_before: got %s, want %s", d.NotBefore, or(c.Expect.NotBefore, "none")))
	}
	if !c.given(d.Reasons) {
		var got []string
		for _, r := range d.Reasons {
			got = append(got, r.Rule+" "+r.Code+" ("+r.Facts+")")
		}
		wrong = append(wrong, fmt.Sprintf("reason: got [%s], want %s %s", strings.Join(got, "; "), c.Expect.Rule, c.Expect.Reason))
	}
	return strings.Join(wrong, "; ")
}

// given reports whether the reason that the case expects is among those given.
func (c *Case) given(reasons []duly.Reason) bool {
	if c.Expect.Rule == "" && c.Expect.Reason == "" {
		return c.Expect.Verdict == "allow"
	}
	for _, r := range reasons {
		if (c.Expect.Rule == "" || r.Rule == c.Expect.Rule) && (c.Expect.Reason == "" || r.Code == c.Expect.Reason) {
			return true
		}
	}
	return false
}
