package rule

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
)

// outcome is how a contact ended, as caps count it.
type outcome string

// The outcomes. Reserved is a contact whose end is not known: it went out, or may have, and counts as the worst.
const (
	none         outcome = ""
	reserved     outcome = "reserved"
	delivered    outcome = "delivered"
	voicemail    outcome = "voicemail"
	answered     outcome = "answered"
	conversation outcome = "conversation"
	noAnswer     outcome = "no_answer"
	busy         outcome = "busy"
)

// reachedOutcomes are the outcomes of what reached the person, or may have.
var reachedOutcomes = []outcome{reserved, delivered, voicemail, answered, conversation}

// known reports whether o is an outcome that caps can name. What ended otherwise counts in every cap.
func (o outcome) known() bool {
	return o == noAnswer || o == busy || slices.Contains(reachedOutcomes, o)
}

// outcomeOf returns how one of Duly's contacts counts, and from when. This is the whole table:
//
//	state                         a call         a message
//	claimed, accepted, in doubt   reserved       reserved      since it was claimed
//	delivered                     answered       delivered
//	read                          conversation   delivered
//	failed                        no_answer      –             a dial that reached nobody is a dial
//	planned                       reserved       reserved      while planning: if it is to go before this one
//	blocked, cancelled            –              –
func outcomeOf(v *View, x *duly.Contact, at time.Time) (outcome, time.Time) {
	when := x.SentAt
	if when.IsZero() {
		when = x.NotBefore
	}
	call := x.Channel.Call()
	switch x.State {
	case duly.Claimed, duly.Accepted, duly.InDoubt:
		return reserved, when
	case duly.Delivered:
		if call {
			return answered, when
		}
		return delivered, when
	case duly.Read:
		if call {
			return conversation, when
		}
		return delivered, when
	case duly.Failed:
		if call && !x.SentAt.IsZero() {
			return noAnswer, when
		}
		return none, when
	case duly.Planned:
		if v.phase() == PhasePlan && goesBefore(x, v.Contact.ID, at) {
			return reserved, x.NotBefore
		}
		return none, when
	case duly.Blocked, duly.Cancelled:
		return none, when
	}
	return reserved, when
}

// goesBefore reports whether the planned contact x goes before the one with the id that would go at an instant. Of two
// that would go together the one with the lower id is first, so that they do not hold each other back.
func goesBefore(x *duly.Contact, id duly.ContactID, at time.Time) bool {
	return x.NotBefore.Before(at) || x.NotBefore.Equal(at) && x.ID < id
}
