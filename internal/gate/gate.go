// Package gate answers whether one contact may go out now: allow, defer until an instant, or block, with every reason.
// The strictest answer wins, and what is not known blocks; no rule can loosen what another one holds.
//
//	d := gate.Check(&rule.Facts{Phase: rule.PhaseSend, Now: now, Person: p, Contact: c, ClockOK: true}, set)
//	if d.Verdict == duly.Allow {
//		send(c)
//	}
package gate

import (
	"cmp"
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
)

// Limits of what the gate works out.
const (
	Horizon   = 30 * 24 * time.Hour // a contact that cannot go within this time is blocked: no_slot
	FeedRetry = 5 * time.Minute     // when a contact that a stale payment feed held back is tried again
	maxRounds = 10_000              // jumps from edge to edge; far more than 30 days of any rules have
)

// Check answers for the contact of the facts at their instant. It is pure: the same facts and set give the same
// decision. Rules in shadow are left out; see Shadow.
func Check(f *rule.Facts, set *rule.Set) duly.Decision {
	d := duly.Decision{Verdict: duly.Allow, Packs: set.IDs()}
	if f.Person == nil || f.Contact == nil {
		d.Verdict = duly.Block
		d.Reasons = []duly.Reason{core(rule.RuleFact, rule.CodeMissing, "the borrower or the contact is not known")}
		return d
	}
	v := set.View(f)
	defer v.Release()
	d.Packs = v.Packs()
	d.Reasons = append(v.Unknown(), judge(v, set, f.Now)...)
	from := f.Now
	if stale(f) {
		from = f.Now.Add(FeedRetry)
		d.Reasons = append(d.Reasons, staleFeed(f, from))
	}
	if len(d.Reasons) == 0 {
		return d
	}
	if strictest(d.Reasons) == duly.Defer {
		at, closed := slot(v, set, from)
		d.NotBefore = at
		d.Reasons = append(d.Reasons, closed...)
	}
	d.Reasons = order(d.Reasons)
	d.Verdict = d.Reasons[0].Verdict
	return d
}

// Shadow returns what the rules in shadow would have said: drafts, and those whose instrument nobody has read. They change
// no verdict.
func Shadow(f *rule.Facts, set *rule.Set) []duly.Reason {
	if f.Person == nil || f.Contact == nil {
		return nil
	}
	v := set.View(f)
	defer v.Release()
	var out []duly.Reason
	for r := range set.Rules(v) {
		if !r.Shadow {
			continue
		}
		if reason := r.Judge(v, f.Now); reason.Verdict != duly.NoVerdict {
			out = append(out, reason)
		}
	}
	return order(out)
}

// judge asks every rule that counts.
func judge(v *rule.View, set *rule.Set, at time.Time) []duly.Reason {
	var out []duly.Reason
	for r := range set.Rules(v) {
		if r.Shadow {
			continue
		}
		if reason := r.Judge(v, at); reason.Verdict != duly.NoVerdict {
			out = append(out, reason)
		}
	}
	return out
}

// slot returns the first instant from at on at which no rule defers. It jumps from edge to edge: a rule that defers
// tells when it lets pass, and nothing before that instant can do. If there is no such instant within the horizon, or
// what is known ends before it, it returns reasons to block.
func slot(v *rule.View, set *rule.Set, at time.Time) (time.Time, []duly.Reason) {
	last := v.Now.Add(Horizon)
	for range maxRounds {
		next := at
		for r := range set.Rules(v) {
			if r.Shadow || r.Effect != duly.Defer {
				continue
			}
			reason := r.Judge(v, at)
			switch {
			case reason.Verdict == duly.Block:
				return time.Time{}, []duly.Reason{reason}
			case reason.Verdict == duly.Defer && reason.Until.IsZero():
				return time.Time{}, []duly.Reason{core(rule.RuleNoSlot, rule.CodeNoSlot, "rule "+r.ID+" has no end that is known")}
			case reason.Verdict == duly.Defer && reason.Until.After(next):
				next = reason.Until
			}
		}
		if next.Equal(at) {
			return at, nil
		}
		if next.After(last) {
			break
		}
		at = next
	}
	return time.Time{}, []duly.Reason{core(rule.RuleNoSlot, rule.CodeNoSlot, "no time within 30 days at which every rule lets pass")}
}

// stale reports whether the payment feed is too old to send by. Planning does not ask.
func stale(f *rule.Facts) bool {
	return f.Phase != rule.PhasePlan && (f.FeedAt.IsZero() || f.Now.Sub(f.FeedAt) > f.FeedMaxAge)
}

func staleFeed(f *rule.Facts, until time.Time) duly.Reason {
	seen := "no payment feed was ever read"
	if !f.FeedAt.IsZero() {
		seen = "payments are known up to " + f.FeedAt.UTC().Format(time.RFC3339) + "; they may be " + f.FeedMaxAge.String() + " old"
	}
	return duly.Reason{
		Code: rule.CodeFeed, Rule: rule.RuleFeed, Pack: rule.BuiltIn, Force: duly.ForcePolicy, Verdict: duly.Defer,
		Until: until, Source: "no contact after payment", Facts: seen,
	}
}

func core(id, code, seen string) duly.Reason {
	return duly.Reason{
		Code: code, Rule: id, Pack: rule.BuiltIn, Force: duly.ForcePolicy, Verdict: duly.Block,
		Source: "what is not known is not allowed", Facts: seen,
	}
}

func strictest(reasons []duly.Reason) duly.Verdict {
	worst := duly.NoVerdict
	for i := range reasons {
		worst = max(worst, reasons[i].Verdict)
	}
	return worst
}

// order sorts reasons strictest first, then by rule, and keeps one of those that a built-in rule gives more than once.
func order(reasons []duly.Reason) []duly.Reason {
	slices.SortStableFunc(reasons, func(a, b duly.Reason) int {
		return cmp.Or(cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Pack, b.Pack), cmp.Compare(a.Code, b.Code))
	})
	return slices.CompactFunc(reasons, func(a, b duly.Reason) bool {
		return a.Pack == rule.BuiltIn && b.Pack == rule.BuiltIn && a.Rule == b.Rule && a.Code == b.Code
	})
}
