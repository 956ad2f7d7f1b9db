package rule

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
)

// hold stops contacts while a hold of one of its kinds stands. A hold on a loan stops what is about the loan, one on an
// address what goes to the address, one on the person everything; with scope all, every hold stops everything. Notices
// that law demands may pass all the same, and a hold may cover those who owe the loan together with whom it is for.
//
//	params: {holds: [promise_to_pay], scope: loan}
//	params: {holds: [breathing_space], scope: loan, covers_joint_debtors: true, except_purpose: [mandatory_notice]}
type hold struct {
	kinds  []string
	all    bool
	joint  bool
	except []duly.Purpose
}

func (h *hold) check(v *View, at time.Time) finding {
	if slices.Contains(h.except, v.Contact.Purpose) {
		return pass()
	}
	for i := range v.Person.Holds {
		x := &v.Person.Holds[i]
		if slices.Contains(h.kinds, x.Kind) && x.ActiveAt(at) && (h.all || v.stopped(x)) {
			return stands(x, "")
		}
	}
	if !h.joint {
		return pass()
	}
	for i := range v.JointHolds {
		x := &v.JointHolds[i]
		if slices.Contains(h.kinds, x.Kind) && x.ActiveAt(at) && x.Scope != duly.HoldAddress && v.about(x.LoanID) {
			return stands(x, " for somebody who owes the loan too")
		}
	}
	return pass()
}

func stands(x *duly.Hold, whose string) finding {
	f := finding{seen: "hold " + x.Kind + " stands" + whose}
	if !x.Until.IsZero() {
		f.seen += " until " + x.Until.UTC().Format(time.RFC3339)
	}
	return f
}

func parseHold(o *object) checker {
	o.need("holds")
	h := &hold{kinds: o.strs("holds"), joint: o.yes("covers_joint_debtors"), except: o.purposes("except_purpose")}
	switch s := o.str("scope"); s {
	case "all", "person":
		h.all = true
	case "", "loan", "address":
	default:
		o.fail("scope", "must be all, person, loan or address")
	}
	return h
}
