package rule

import (
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// party lets contacts pass to certain parties, and on conditions: facts that must all be so, and facts of which none may
// be.
//
//	params:
//	  allow: [contact_person]
//	  require_all: [state.debtor_unreachable]
//	  forbid_any: [state.contact_refused]
type party struct {
	allow   []string
	require []predicate
	forbid  []predicate
}

func (p *party) check(v *View, _ time.Time) finding {
	who := v.party()
	if !slices.Contains(p.allow, who) {
		return finding{seen: "to a " + who + "; allowed: " + strings.Join(p.allow, ", ")}
	}
	for i := range p.require {
		if ok, known := p.require[i].holds(v); !ok {
			return needed(&p.require[i], known)
		}
	}
	for i := range p.forbid {
		if is, known := p.forbid[i].holds(v); !known {
			return needed(&p.forbid[i], false)
		} else if is {
			return finding{seen: "must not be: " + p.forbid[i].text}
		}
	}
	return pass()
}

func parseParty(o *object) checker {
	o.need("allow")
	return &party{allow: o.strs("allow"), require: o.predicates("require_all"), forbid: o.predicates("forbid_any")}
}

func (o *object) predicates(key string) []predicate {
	var out []predicate
	for _, s := range o.strs(key) {
		p, err := parsePredicate(s)
		if err != nil {
			o.fail(key, "%v", err)
		}
		out = append(out, p)
	}
	if seq, ok := o.at[key].(*ast.SequenceNode); ok && len(seq.Values) != len(out) {
		return nil // a problem is noted already
	}
	return out
}
