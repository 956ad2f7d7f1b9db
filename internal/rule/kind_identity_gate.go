package rule

import (
	"slices"
	"time"
)

// identityGate lets an act within a conversation pass only after the right party has been verified. Opening the
// conversation is no such act: it is how the party is verified.
//
//	params: {actions: [disclose_debt, negotiate, take_payment]}
type identityGate struct{ actions []string }

func (g *identityGate) check(v *View, _ time.Time) finding {
	if v.Action == "" || v.Actor.IdentityVerified || !slices.Contains(g.actions, v.Action) {
		return pass()
	}
	return finding{seen: v.Action + " before the right party is verified"}
}

func parseIdentity(o *object) checker {
	o.only("actions")
	o.need("actions")
	return &identityGate{actions: o.strs("actions")}
}
