package rule

import (
	"slices"
	"time"
)

// identityGate lets an act within a conversation pass only after the right party has been verified. Opening the
// conversation is no such act: it is how the party is verified.
//
// An act that Duly does not know is taken for one that needs it.
//
//	params: {actions: [disclose_debt, negotiate, take_payment]}
type identityGate struct{ actions []string }

func (g *identityGate) check(v *View, _ time.Time) finding {
	if v.Action == "" || v.Actor.IdentityVerified || !slices.Contains(g.actions, v.Action) && slices.Contains(plainActs, v.Action) {
		return pass()
	}
	return finding{seen: v.Action + " before the right party is verified"}
}

// plainActs are acts within a conversation that tell nothing of the debt.
var plainActs = []string{
	"dial", "call", "start_call", "open", "send", "introduce", "greet", "identify", "verify_identity", "ask_identity", "ask_callback", "transfer", "transfer_to_human",
	"record_refusal", "hang_up", "end",
}

func parseIdentity(o *object) checker {
	o.need("actions")
	return &identityGate{actions: o.strs("actions")}
}
