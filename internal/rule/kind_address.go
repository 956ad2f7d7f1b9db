package rule

import (
	"slices"
	"time"
)

// address lets contacts pass to addresses of certain kinds and sources.
//
//	params: {forbid_kind: [work_email], forbid_source: [contact_list, public_data]}
type address struct{ allowKind, forbidKind, allowSource, forbidSource []string }

func (a *address) check(v *View, _ time.Time) finding {
	kind, source := "", ""
	if p := v.point(); p != nil {
		kind, source = string(p.Kind), p.Source
	}
	if f := oneOf("kind", kind, a.allowKind, a.forbidKind); !f.ok {
		return f
	}
	return oneOf("source", source, a.allowSource, a.forbidSource)
}

// oneOf lets a value pass that is among the allowed ones, if there are any, and not among the forbidden.
func oneOf(what, value string, allow, forbid []string) finding {
	switch {
	case len(allow)+len(forbid) == 0:
		return pass()
	case value == "":
		return finding{lack: lackFact, seen: "the " + what + " of the address is not known"}
	case len(allow) > 0 && !slices.Contains(allow, value), slices.Contains(forbid, value):
		return finding{seen: "the " + what + " of the address is " + value}
	}
	return pass()
}

func parseAddress(o *object) checker {
	a := &address{o.strs("allow_kind"), o.strs("forbid_kind"), o.strs("allow_source"), o.strs("forbid_source")}
	if len(o.at) == 0 {
		o.r.fail(o.node, o.field, "must say which addresses pass or do not")
	}
	return a
}
