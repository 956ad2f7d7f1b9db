// Package route chooses the carrier of each message where a channel has several.
//
// [Choose] is the choice itself, a pure function of what is known of the carriers at one instant: their health, what their
// rate leaves, what they ask, what the operator pinned, and which of them refused this contact before. [Router] is what a
// process knows: it hands out tickets, is told what became of them, and learns from it. It reads no clock.
//
//	t, c := router.Take(&route.Ask{Now: now, Channel: duly.ChannelSMS, To: number, Segments: 2})
//	if c.Index < 0 {
//		// not now: again at c.At, because of c.Why
//	}
package route

import "time"

// Candidate is one carrier of a channel, as it stands at the instant of a choice.
type Candidate struct {
	Open   time.Time // health: not before; zero or past: now
	Tokens time.Time // its rate: not before; zero or past: now
	Last   bool      // only where no other will do
	Tries  int       // how often it refused this very contact
	Deaf   bool      // the address is none that it serves
	Price  int64     // of this message; where the cheapest goes first
}

// Why is why a carrier was not chosen: a code.
type Why string

// The reasons for which nothing is chosen now.
const (
	WhyResting Why = "carrier_resting" // all are out of order, or on trial
	WhyRate    Why = "carrier_rate"    // all are at their rate
	WhySpend   Why = "spend_limit"     // the channel has cost more in an hour than the operator allows
	WhyNone    Why = "no_carrier"      // the channel has none
)

// Choice is which carrier, or until when none.
type Choice struct {
	Index int       // of the candidates; -1: none
	At    time.Time // with -1, when to ask again; zero: never, of itself
	Why   Why       // with -1
}

// Choose takes of the candidates, which are in the operator's order, one that can have the message now: the one that refused the
// contact least often; of those, one that is no last resort; of those, where cheapest says so, the cheapest; of those, the
// first. Where pin is 0 or above that candidate alone is asked. Where none can have it now, it says when the first can.
func Choose(now time.Time, cs []Candidate, cheapest bool, pin int) Choice {
	best := Choice{Index: -1, Why: WhyNone}
	for i := range cs {
		c := &cs[i]
		if pin >= 0 && i != pin || c.Deaf {
			continue
		}
		at, why := c.Open, WhyResting
		if c.Tokens.After(at) {
			at, why = c.Tokens, WhyRate
		}
		switch {
		case at.After(now):
			if best.Index < 0 && (best.At.IsZero() || at.Before(best.At)) {
				best.At, best.Why = at, why
			}
		case best.Index < 0 || c.before(&cs[best.Index], cheapest):
			best = Choice{Index: i}
		}
	}
	return best
}

// before reports whether c goes before o, which stands before it.
func (c *Candidate) before(o *Candidate, cheapest bool) bool {
	switch {
	case c.Tries != o.Tries:
		return c.Tries < o.Tries
	case c.Last != o.Last:
		return o.Last
	}
	return cheapest && c.Price < o.Price
}
