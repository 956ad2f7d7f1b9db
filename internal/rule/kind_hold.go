package rule

import (
	"slices"
	"time"
)

// hold stops contacts while a hold of one of its kinds stands. A hold on a loan stops what is about the loan, one on an
// address what goes to the address, one on the person everything; with scope all, every hold stops everything.
//
//	params: {holds: [promise_to_pay], scope: loan}
type hold struct {
	kinds []string
	all   bool
}

func (h *hold) check(v *View, at time.Time) finding {
	for i := range v.Person.Holds {
		x := &v.Person.Holds[i]
		if slices.Contains(h.kinds, x.Kind) && x.ActiveAt(at) && (h.all || v.stopped(x)) {
			f := finding{seen: "hold " + x.Kind + " stands"}
			if !x.Until.IsZero() {
				f.seen += " until " + x.Until.UTC().Format(time.RFC3339)
			}
			return f
		}
	}
	return pass()
}

func parseHold(o *object) checker {
	o.only("holds", "scope")
	o.need("holds")
	h := &hold{kinds: o.strs("holds")}
	switch s := o.str("scope"); s {
	case "all", "person":
		h.all = true
	case "", "loan", "address":
	default:
		o.fail("scope", "must be all, person, loan or address")
	}
	return h
}
