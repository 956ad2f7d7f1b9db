package rule

import (
	"time"
)

// actor lets contacts pass by somebody who is certified, or after a person has looked at the contact; with if_flag only
// where the borrower has the flag.
//
//	params: {require: human_reviewed, if_flag: state.vulnerable}
type actor struct {
	certified bool
	flag      *predicate
}

func (a *actor) check(v *View, _ time.Time) finding {
	if a.flag != nil {
		if ok, known := a.flag.holds(v); known && !ok {
			return pass()
		}
	}
	switch {
	case a.certified && !v.Actor.Certified:
		return finding{seen: "whoever makes the contact is not known to be certified"}
	case !a.certified && !v.Actor.HumanReviewed:
		return finding{seen: "no person has looked at it"}
	}
	return pass()
}

func parseActor(o *object) checker {
	a := &actor{}
	o.need("require")
	switch o.str("require") {
	case "certified":
		a.certified = true
	case "human_reviewed", "":
	default:
		o.fail("require", "must be certified or human_reviewed")
	}
	if o.has("if_flag") {
		p, err := parsePredicate(o.str("if_flag"))
		if err != nil {
			o.fail("if_flag", "%v", err)
		}
		a.flag = &p
	}
	return a
}
