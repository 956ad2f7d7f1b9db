package duly

import "time"

// PointState says whether a contact point may be used, and how good it is.
type PointState string

// The states. What a lender says is in use is not verified until it shows. The last four keep the reason why a point is not used.
const (
	PointActive   PointState = "active"       // in use; nothing shows yet that it reaches its owner
	PointGood     PointState = "good"         // it reached somebody, or its owner answered
	PointSuspect  PointState = "suspect"      // it fails again and again, or may be somebody else's: used where there is no better
	PointBounced  PointState = "bounced"      // the provider says it does not exist
	PointWrong    PointState = "wrong_number" // it reaches somebody else
	PointRecycled PointState = "recycled"     // the carrier gave it to somebody else
	PointRetired  PointState = "retired"      // the borrower or the lender withdrew it
)

// pointRanks is the one table of states: how a usable one stands among others, 0 for one that is not used, and its quality in a
// word.
var pointRanks = map[PointState]struct {
	rank    int
	quality string
}{
	PointGood: {1, "good"}, PointActive: {2, "unverified"}, PointSuspect: {3, "suspect"},
	PointBounced: {0, "dead"}, PointRetired: {0, "dead"}, PointWrong: {0, "wrong person"}, PointRecycled: {0, "wrong person"},
}

// PointStates lists the states, the best first.
func PointStates() []PointState {
	return []PointState{PointGood, PointActive, PointSuspect, PointBounced, PointRetired, PointWrong, PointRecycled}
}

// Known reports whether s is one of the states above.
func (s PointState) Known() bool { _, ok := pointRanks[s]; return ok }

// Usable reports whether a point in state s may be written to.
func (s PointState) Usable() bool { return pointRanks[s].rank > 0 }

// Quality is what the state says of the point, in a word: good, unverified, suspect, dead or wrong person.
func (s PointState) Quality() string { return pointRanks[s].quality }

// PointEvent is something that shows how good a contact point is.
type PointEvent string

// The events. A reply that says it is the wrong person, and a carrier that says what an address has become, set the state by
// themselves.
const (
	PointFailed    PointEvent = "failed"    // a message was not delivered, and may be another time
	PointDelivered PointEvent = "delivered" // a message arrived, at whoever has it
	PointAnswered  PointEvent = "answered"  // a message was read, or somebody answered
)

// Limits of the quality of contact points.
const (
	PointFailuresMax = 3                    // failures in a row that make a point suspect
	PointSeenMax     = 365 * 24 * time.Hour // a number that was not seen for so long may have been given to somebody else
	pointSeenEvery   = 7 * 24 * time.Hour   // a sign of life is not written down more often
)

// Learn changes the point by what happened with it at an instant, and reports whether that is worth writing down. A point that is
// not used stays as it is: only the lender, or a person, brings it back.
func (p *ContactPoint) Learn(ev PointEvent, at time.Time) bool {
	if !p.State.Usable() {
		return false
	}
	failing := p.Failures >= PointFailuresMax
	switch ev {
	case PointFailed:
		if failing {
			return false
		}
		if p.Failures++; p.Failures == PointFailuresMax {
			p.State = PointSuspect
		}
		return true
	case PointDelivered:
		last := p.LastSeen()
		if p.State == PointActive && !last.IsZero() && at.Sub(last) > PointSeenMax { // alive, but whose?
			p.State, p.Failures, p.SeenAt = PointSuspect, 0, at
			return true
		}
		if p.State == PointSuspect && !failing { // delivery does not say whose it is
			return p.sign(p.State, at)
		}
	case PointAnswered:
	}
	return p.sign(PointGood, at)
}

// sign notes a sign of life, and reports whether it is news.
func (p *ContactPoint) sign(s PointState, at time.Time) bool {
	if p.State == s && p.Failures == 0 && at.Sub(p.SeenAt) < pointSeenEvery {
		return false
	}
	p.State, p.Failures = s, 0
	if at.After(p.SeenAt) {
		p.SeenAt = at
	}
	return true
}

// LastSeen is when the point last showed that it works, as the lender says or as Duly saw it; zero if nobody knows.
func (p *ContactPoint) LastSeen() time.Time {
	last := p.ObservedAt
	for _, t := range []time.Time{p.VerifiedAt, p.SeenAt} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// better reports whether p is to be used before q, which has the same kind: by state, by the lender's rank, by when it was last
// seen, by id.
func (p *ContactPoint) better(q *ContactPoint) bool {
	if a, b := pointRanks[p.State].rank, pointRanks[q.State].rank; a != b {
		return a < b
	}
	if p.Rank != q.Rank {
		return p.Rank < q.Rank
	}
	if a, b := p.LastSeen(), q.LastSeen(); !a.Equal(b) {
		return a.After(b)
	}
	return p.ID < q.ID
}
