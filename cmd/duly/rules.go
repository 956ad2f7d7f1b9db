package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/rulepacks"
)

func (c *command) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rules", Short: "Rule packs: contact law and limits as data"}
	cmd.AddCommand(c.impactCommand(), &cobra.Command{
		Use: "list [FOLDER]", Short: "List packs and their rules with force and source", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			packs, err := c.packs(args)
			if err != nil {
				return err
			}
			for _, p := range packs {
				c.printf("%s %s (%s) %.12s\n", p.ID, p.Version, p.Jurisdiction, p.Hash)
				for i := range p.Rules {
					r := &p.Rules[i]
					c.printf("  %-8s %-17s %-10s %-9s %-36s %s\n", r.ID, r.Kind, r.Force, acting(r), r.Reason, r.Source.Instrument)
				}
				c.printDuties(p)
			}
			return nil
		},
	}, &cobra.Command{
		Use: "show PACK|RULE", Short: "Show a pack or a rule: what it says, where it comes from, and whether it acts", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.showRules(args[0]) },
	}, &cobra.Command{
		Use: "test [FILE|FOLDER…]", Short: "Run cases: those that the shipped packs carry, or those of files and of folders of packs",
		Long: "Run cases: those that the shipped packs carry, or those of files and of folders of packs.\n\n" +
			"Packs that a case names are in force wherever its borrower is. Rules that are in shadow because nobody has read their\n" +
			"instrument act in cases; which those are is told at the end. Drafts stay in shadow.",
		RunE: func(_ *cobra.Command, args []string) error { return c.testRules(args) },
	}, &cobra.Command{
		Use: "diff A B", Short: "Tell in words what changed between two packs, or between two folders of packs", Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return c.diffRules(args[0], args[1]) },
	}, &cobra.Command{
		Use: "lint FILE|FOLDER", Short: "Tell what is doubtful about packs that load: unread, unsigned, overdue, unreachable, slow, untested", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.lintRules(args[0]) },
	})
	return cmd
}

// acting says whether a rule acts.
func acting(r *rule.Rule) string {
	if r.Shadow {
		return "shadow"
	}
	return "enforced"
}

// packs returns the packs of a folder or, if none is named, the shipped and the configured ones, with the rules turned on
// that the configuration turns on.
func (c *command) packs(folder []string) ([]*rule.Pack, error) {
	if len(folder) == 1 {
		return folderPacks(folder[0])
	}
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		return nil, err
	}
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	own, err := app.LoadPacks(cfg.Packs)
	if err != nil {
		return nil, err
	}
	for _, p := range own {
		if i := slices.IndexFunc(packs, func(q *rule.Pack) bool { return q.ID == p.ID }); i >= 0 {
			packs[i] = p
		} else {
			packs = append(packs, p)
		}
	}
	return rule.Enforce(packs, cfg.Rules.Enforce)
}

// folderPacks reads the packs of a folder; none at all is an error, for it is never meant.
func folderPacks(folder string) ([]*rule.Pack, error) {
	place := duly.Place{File: folder}
	if i, err := os.Stat(folder); err != nil || !i.IsDir() {
		return nil, duly.Errorf(duly.NotFound, "there is no such folder").At(place).WithHint("leave it out for the packs that are shipped")
	}
	packs, err := rule.LoadFS(os.DirFS(folder))
	if err == nil && len(packs) == 0 {
		err = duly.Errorf(duly.Invalid, "there is no rule pack in this folder").At(place).
			WithHint("name the folder that holds packs: a pack is a folder of its own with pack.yaml and tests.yaml in it")
	}
	return packs, err
}

func (c *command) showRules(name string) error {
	packs, err := c.packs(nil)
	if err != nil {
		return err
	}
	found := false
	for _, p := range packs {
		whole := p.ID == name
		if whole {
			c.printf("%s %s\n  %s · %s\n  jurisdiction  %s\n  hash          %s\n  rules         %d\n", p.ID, p.Version, p.TitleZH, p.TitleEN, p.Jurisdiction, p.Hash, len(p.Rules))
			found = true
		}
		for i := range p.Rules {
			if r := &p.Rules[i]; whole || r.ID == name || p.ID+"/"+r.ID == name {
				c.printf("\n")
				c.showRule(p, r)
				found = true
			}
		}
	}
	if !found {
		return duly.Errorf(duly.NotFound, "there is no pack and no rule %q", name).WithHint("`duly rules list` shows them")
	}
	return nil
}

// showRule prints everything that a rule says, and whether it acts.
func (c *command) showRule(p *rule.Pack, r *rule.Rule) {
	c.printf("%s/%s  %s · %s\n", p.ID, r.ID, r.TitleZH, r.TitleEN)
	line := func(name, text string) { c.printf("  %-28s %s\n", name, text) }
	switch {
	case !r.Shadow:
		line("acts", "enforced")
	case r.Force == duly.ForceDraft:
		line("acts", "in shadow: it is a draft; rules.enforce in the configuration turns it on")
	default:
		line("acts", "in shadow: nobody has read its instrument; rules.enforce in the configuration turns it on")
	}
	line("what", r.Kind.Doc())
	for _, f := range p.Conditions() {
		line("pack."+f.Name, f.Value)
	}
	for _, f := range r.Fields() {
		if f.Name != "id" && f.Name != "title.zh" && f.Name != "title.en" {
			line(f.Name, f.Value)
		}
	}
	if r.Source.Reviewer == "" {
		line("signed off", "by nobody: this is not legal advice")
	}
}

// printDuties lists the obligations of a pack.
func (c *command) printDuties(p *rule.Pack) {
	for i := range p.Duties {
		d := &p.Duties[i]
		state := "enforced"
		if d.Shadow() {
			state = "shadow"
		}
		c.printf("  %-8s %-17s %-10s %-9s %-36s %s\n", d.ID, rule.Obligation, d.Force, state, string(d.Demand)+" "+d.Term.String(), d.Source.Instrument)
	}
}

func (c *command) testRules(args []string) error {
	all, err := c.packs(nil)
	if err != nil {
		return err
	}
	runners, err := caseRunners(all)
	if err != nil {
		return err
	}
	total := &gate.Result{}
	if len(args) == 0 {
		r, err := testFolder(rulepacks.FS, runners)
		if err != nil {
			return err
		}
		total.Add(r)
	}
	for _, name := range args {
		r, err := testOf(name, all, runners)
		if err != nil {
			return err
		}
		total.Add(r)
	}
	for _, f := range total.Failures {
		c.printf("FAIL %s\n", f)
	}
	for _, n := range total.Notes {
		c.printf("note %s\n", n)
	}
	if len(total.Shadow) > 0 {
		c.printf("acted here and are in shadow elsewhere, unless rules.enforce turns them on: %s\n", strings.Join(total.Shadow, ", "))
	}
	last := fmt.Sprintf("%d passed, %d failed", total.Passed, total.Failed())
	if total.Skips() > 0 {
		c.printf("skipped, because nothing here judges their type: %s\n", skipped(total))
		last += fmt.Sprintf(", %d skipped", total.Skips())
	}
	c.printf("%s\n", last)
	if total.Failed() > 0 {
		return duly.Errorf(duly.Invalid, "%s failed", count(total.Failed(), "case"))
	}
	return nil
}

func skipped(r *gate.Result) string {
	var parts []string
	for kind, n := range r.Skipped {
		parts = append(parts, fmt.Sprintf("%d of %s", n, kind))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// testOf runs the cases of a file, or of a folder of packs.
func testOf(name string, all []*rule.Pack, runners gate.Runners) (*gate.Result, error) {
	i, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, duly.Errorf(duly.NotFound, "there is no such folder or file").At(duly.Place{File: name}).WithHint("leave it out for the packs that are shipped")
	case i.IsDir():
		if _, err := folderPacks(name); err != nil {
			return nil, err
		}
		return testFolder(os.DirFS(name), runners)
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: name})
	}
	cases, err := gate.LoadCases(name, src)
	if err != nil {
		return nil, err
	}
	return gate.RunCases(cases, all, runners), nil
}

// testFolder runs the cases of a folder of packs: of their rules and of their obligations.
func testFolder(fsys fs.FS, runners gate.Runners) (*gate.Result, error) {
	r, err := gate.TestFS(fsys, runners)
	if err != nil {
		return nil, err
	}
	calendars, err := civil.BuiltIn()
	if err != nil {
		return nil, err
	}
	cases, wrong, err := rule.TestDuties(fsys, calendars)
	if err != nil {
		return nil, err
	}
	r.Passed += cases - len(wrong)
	for _, text := range wrong {
		r.Failures = append(r.Failures, gate.Failure{Text: text})
	}
	return r, nil
}

// packFiles returns the pack files that a path means: the file itself, the pack.yaml of a pack's folder, or those of a
// folder of packs.
func packFiles(path string) ([]string, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "there is no such file or folder").At(duly.Place{File: path})
	}
	if !i.IsDir() {
		return []string{path}, nil
	}
	if own := filepath.Join(path, "pack.yaml"); exists(own) {
		return []string{own}, nil
	}
	files, err := filepath.Glob(filepath.Join(path, "*", "pack.yaml"))
	if err == nil && len(files) == 0 {
		err = duly.Errorf(duly.Invalid, "there is no rule pack in this folder").At(duly.Place{File: path})
	}
	return files, err
}

func exists(path string) bool { _, err := os.Stat(path); return !errors.Is(err, fs.ErrNotExist) }

func loadPackFiles(path string) (map[string]*rule.Pack, error) {
	files, err := packFiles(path)
	if err != nil {
		return nil, err
	}
	out := map[string]*rule.Pack{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return nil, duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: file})
		}
		p, err := rule.Load(file, src)
		if err != nil {
			return nil, err
		}
		out[p.ID] = p
	}
	return out, nil
}

func (c *command) diffRules(was, is string) error {
	a, err := loadPackFiles(was)
	if err != nil {
		return err
	}
	b, err := loadPackFiles(is)
	if err != nil {
		return err
	}
	if len(a) == 1 && len(b) == 1 { // two packs are compared even if they have not the same name
		for _, p := range a {
			for _, q := range b {
				return c.diffPacks([2]*rule.Pack{p, q})
			}
		}
	}
	var pairs [][2]*rule.Pack
	for id, p := range a {
		pairs = append(pairs, [2]*rule.Pack{p, b[id]})
	}
	for id, q := range b {
		if a[id] == nil {
			pairs = append(pairs, [2]*rule.Pack{nil, q})
		}
	}
	slices.SortFunc(pairs, func(x, y [2]*rule.Pack) int { return strings.Compare(pairName(x), pairName(y)) })
	return c.diffPacks(pairs...)
}

func pairName(p [2]*rule.Pack) string {
	if p[0] != nil {
		return p[0].ID
	}
	return p[1].ID
}

func (c *command) diffPacks(pairs ...[2]*rule.Pack) error {
	n := 0
	for _, p := range pairs {
		var lines []string
		switch {
		case p[0] == nil:
			lines = []string{"pack: is new"}
		case p[1] == nil:
			lines = []string{"pack: is gone"}
		default:
			lines = rule.Diff(p[0], p[1])
		}
		for _, l := range lines {
			c.printf("%s %s\n", pairName(p), l)
		}
		n += len(lines)
	}
	c.printf("%s\n", count(n, "difference"))
	return nil
}

func (c *command) lintRules(path string) error {
	files, err := packFiles(path)
	if err != nil {
		return err
	}
	shipped, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		return err
	}
	today, n := civil.In(c.now(), time.UTC), 0
	for _, file := range files {
		found, err := lintFile(file, shipped, today)
		if err != nil {
			return err
		}
		for _, f := range found {
			c.printf("%s\n", f)
		}
		n += len(found)
	}
	c.printf("%s in %s\n", count(n, "doubt"), count(len(files), "pack"))
	if n > 0 {
		return duly.Errorf(duly.Invalid, "%s", count(n, "doubt"))
	}
	return nil
}

// lintFile tells what is doubtful about one pack, and about the cases beside it.
func lintFile(file string, others []*rule.Pack, today civil.Date) ([]*duly.Error, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, duly.Errorf(duly.NotFound, "the file cannot be read").At(duly.Place{File: file})
	}
	found, err := rule.Lint(file, src, today)
	if err != nil {
		return nil, err
	}
	p, err := rule.Load(file, src)
	if err != nil {
		return nil, err
	}
	tests := filepath.Join(filepath.Dir(file), "tests.yaml")
	src, err = os.ReadFile(tests)
	if err != nil {
		return append(found, duly.Errorf(duly.Invalid, "the pack has no tests").At(duly.Place{File: file, Line: 1, Column: 1}).
			WithHint("write %s with an allowing and a refusing case for each rule", tests)), nil
	}
	cases, err := gate.LoadCases(tests, src)
	if err != nil {
		return nil, err
	}
	all := append(slices.DeleteFunc(slices.Clone(others), func(q *rule.Pack) bool { return q.ID == p.ID }), p)
	for _, f := range gate.TestPack(p, all, cases, gate.Runners{}).Failures {
		place := duly.Place{File: tests}
		if r := p.Rule(f.Rule); r != nil {
			place = r.Place
		}
		found = append(found, duly.Errorf(duly.Invalid, "%s", f).At(place))
	}
	return found, nil
}
