package rule

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// predicate is one question about the facts, as packs write it: "clock_ok", "not state.vulnerable", "loan.amount_due>0".
// state.NAME asks for one of the borrower's flags.
type predicate struct {
	text  string
	name  string
	not   bool
	truth func(f *Facts) bool  // of a fact that is true or false, or
	value func(f *Facts) int64 // of a number, which is compared
	op    string
	with  int64
}

// holds answers the question, and reports whether the fact that it asks for is known.
func (p *predicate) holds(v *View) (ok, known bool) {
	if v.lacks(p.name) {
		return false, false
	}
	if p.truth != nil {
		return p.truth(v.Facts) != p.not, true
	}
	n, with := p.value(v.Facts), p.with
	if p.name == factAmount && with != 0 {
		c := v.currency()
		if c == "" {
			return false, false
		}
		for range c.Decimals() {
			with *= 10 // 14 digits by 4 at the most
		}
	}
	switch p.op {
	case ">":
		return n > with, true
	case ">=":
		return n >= with, true
	case "<":
		return n < with, true
	case "<=":
		return n <= with, true
	case "==":
		return n == with, true
	}
	return false, false
}

// factAmount is what the contact's items owe. Rules name it in whole units of the currency.
const factAmount = "loan.amount_due"

// truths and numbers are the facts that a predicate can ask for, besides state.NAME.
var (
	truths = map[string]func(*Facts) bool{
		"clock_ok":                func(f *Facts) bool { return f.ClockOK },
		"actor.third_party":       func(f *Facts) bool { return f.Actor.ThirdParty },
		"actor.certified":         func(f *Facts) bool { return f.Actor.Certified },
		"actor.human_reviewed":    func(f *Facts) bool { return f.Actor.HumanReviewed },
		"actor.identity_verified": func(f *Facts) bool { return f.Actor.IdentityVerified },
	}
	numbers = map[string]func(*Facts) int64{
		factAmount: func(f *Facts) int64 { return f.AmountDue },
		factDays:   func(f *Facts) int64 { return int64(f.DaysPastDue) },
	}
	predicates = regexp.MustCompile(`^(not +)?([a-z][a-z_.]*)(?: *(>=|<=|==|>|<) *(-?[0-9]{1,14}))?$`)
)

func parsePredicate(s string) (predicate, error) {
	m := predicates.FindStringSubmatch(s)
	if m == nil {
		return predicate{}, fmt.Errorf("not a question about the facts, such as \"not state.vulnerable\" or \"loan.amount_due>0\"")
	}
	p := predicate{text: s, name: m[2], not: m[1] != "", op: m[3]}
	name := p.name
	if flag, ok := strings.CutPrefix(name, "state."); ok && flag != "" {
		p.truth = func(f *Facts) bool { return f.Person.Borrower.HasFlag(flag) }
	} else if p.truth = truths[name]; p.truth == nil {
		p.value = numbers[name]
	}
	switch {
	case p.truth == nil && p.value == nil:
		return predicate{}, fmt.Errorf("unknown fact %q; the facts are %s and state.NAME", name, factNames())
	case p.truth != nil && p.op != "":
		return predicate{}, fmt.Errorf("%s is true or false and is not compared", name)
	case p.value != nil && (p.op == "" || p.not):
		return predicate{}, fmt.Errorf("%s is a number: compare it, without not", name)
	}
	if p.op != "" {
		n, err := strconv.ParseInt(m[4], 10, 64)
		if err != nil {
			return predicate{}, fmt.Errorf("the number is too large")
		}
		p.with = n
	}
	return p, nil
}

func factNames() string {
	return strings.Join(slices.Sorted(maps.Keys(truths)), ", ") + ", " + strings.Join(slices.Sorted(maps.Keys(numbers)), ", ")
}
