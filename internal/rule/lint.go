package rule

import (
	"fmt"
	"regexp/syntax"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Limits of what Lint lets pass.
const (
	checkedMax = 180 // days since a rule was last compared with its source
	costMax    = 600 // steps of a pattern's program; the longest pattern that ships has fewer than 100
)

// Lint reads a pack and tells what is doubtful about it though it loads: rules that no lawyer has signed off, that nobody
// has read or looked at lately, that can never act, or whose patterns are slow. Each is a problem with its place. An error
// is one of Load's: the pack does not load.
func Lint(name string, src []byte, today civil.Date) ([]*duly.Error, error) {
	p, err := Load(name, src)
	if err != nil {
		return nil, err
	}
	r := &reader{file: name}
	top := r.open(r.parse(src), "")
	list, ok := top.at["rules"].(*ast.SequenceNode)
	if !ok {
		return nil, nil
	}
	l := &linter{r: r, today: today}
	for i, n := range list.Values {
		l.rule(&p.Rules[i], r.open(n, "rules."+p.Rules[i].ID))
		l.again(&p.Rules[i], p.Rules[:i])
	}
	return l.found, nil
}

// linter keeps what is doubtful.
type linter struct {
	r     *reader
	today civil.Date
	found []*duly.Error
}

func (l *linter) say(n ast.Node, field, hint, format string, args ...any) {
	l.found = append(l.found, duly.Errorf(duly.Invalid, format, args...).At(l.r.place(n, field)).WithHint("%s", hint))
}

func (l *linter) rule(r *Rule, o object) {
	s := o.sub("source")
	at := func(key string) ast.Node {
		if n := s.at[key]; n != nil {
			return n
		}
		return s.node
	}
	if r.Source.Reviewer == "" {
		l.say(at("reviewer"), s.path("reviewer"), "have a lawyer read it, and write who", "nobody has signed the rule off")
	}
	if r.Source.Read == readMemory {
		l.say(at("read"), s.path("read"), "read the instrument, or turn the rule on by name: rules.enforce", "nobody has read the instrument: %s", acts(r))
	}
	if age := l.today.Sub(r.Source.CheckedOn); age > checkedMax {
		l.say(at("checked_on"), s.path("checked_on"), "compare the rule with its source, and write the day", "the source was last looked at %d days ago; at most %d", age, checkedMax)
	}
	if why := r.unreachable(l.today); why != "" {
		n := o.at["when"]
		if n == nil {
			n = o.node
		}
		l.say(n, o.path("when"), "take the rule out, or mend its conditions", "the rule can never act: %s", why)
	}
	if c, ok := r.checker.(*content); ok {
		params := o.sub("params")
		l.patterns(&params, "must", c.must)
		l.patterns(&params, "must_not", c.mustNot)
	}
}

// acts tells whether a rule acts.
func acts(r *Rule) string {
	if r.Shadow {
		return "it runs in shadow"
	}
	return "it acts as a policy of the product"
}

// again tells of a rule that asks what an earlier one asks.
func (l *linter) again(r *Rule, before []Rule) {
	same := func(q *Rule) bool {
		return slices.Equal(asks(r), asks(q))
	}
	for i := range before {
		if same(&before[i]) {
			l.found = append(l.found, duly.Errorf(duly.Invalid, "the rule asks what %s asks", before[i].ID).At(r.Place).WithHint("keep one of them"))
		}
	}
}

// asks lists what a rule says of contacts: everything but its name, force, reason and source.
func asks(r *Rule) []Field {
	var out []Field
	for _, f := range r.fields {
		switch f.Name {
		case "id", "title.zh", "title.en", "force", "reason", "source.instrument", "source.url", "source.read", "source.checked_on", "source.reviewer":
		default:
			out = append(out, f)
		}
	}
	return out
}

// unreachable tells why a rule can never act from today on, or "".
func (r *Rule) unreachable(today civil.Date) string {
	w := &r.When
	switch {
	case !r.To.IsZero() && r.To.Before(today):
		return fmt.Sprintf("it went out of force with %s", r.To)
	case w.MinDays != nil && w.MaxDays != nil && *w.MinDays > *w.MaxDays:
		return "no day is both over dpd_gt and up to dpd_lte"
	case len(w.Product) > 0 && !slices.ContainsFunc(w.Product, func(p string) bool { return !slices.Contains(w.ProductNot, p) }) && len(w.ProductNot) > 0:
		return "product and product_not leave no product"
	case r.Kind == Content && len(w.Phase) == 1 && w.Phase[0] == PhasePlan:
		return "there are no words while planning"
	}
	if len(w.Purpose) == 0 || w.MinDays == nil && w.MaxDays == nil {
		return ""
	}
	for _, p := range w.Purpose {
		first, last := -maxDays, maxDays
		switch p { //nolint:exhaustive // the others have any number of days
		case duly.PurposePreDue:
			last = -1
		case duly.PurposeDueDay:
			first, last = 0, 0
		case duly.PurposeCollection:
			first = 1
		}
		if (w.MinDays == nil || *w.MinDays <= last) && (w.MaxDays == nil || *w.MaxDays >= first) {
			return ""
		}
	}
	return "contacts for its purpose are never so many days past due"
}

// patterns tells of those that are slow: the time of a pattern grows with its program for every character of the words.
func (l *linter) patterns(o *object, key string, list []pattern) {
	seq, ok := o.at[key].(*ast.SequenceNode)
	if !ok {
		return
	}
	for i := range list {
		if n := cost(list[i].re.String()); n > costMax && i < len(seq.Values) {
			l.say(seq.Values[i], fmt.Sprintf("%s[%d]", o.path(key), i), "write fewer repetitions, or several shorter patterns", "the pattern is slow: %d steps; at most %d", n, costMax)
		}
	}
}

// cost returns how many steps a pattern's program has.
func cost(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0
	}
	return len(prog.Inst)
}
