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
	none          outcome = ""
	reserved      outcome = "reserved"
	delivered     outcome = "delivered"
	voicemail     outcome = "voicemail"
	answered      outcome = "answered"
	conversation  outcome = "conversation"
	noAnswer      outcome = "no_answer"
	busy          outcome = "busy"
	busyConnected outcome = "busy_connected" // the dialled number was reached and was engaged
	notConnected  outcome = "not_connected"  // the dialled number or address was never reached
)

// reachedOutcomes are the outcomes of what reached the person, or may have.
var reachedOutcomes = []outcome{reserved, delivered, voicemail, answered, conversation}

// outcomeWords are other words for outcomes, as dialers, agencies and carriers write them.
var outcomeWords = map[string]outcome{
	"connected": answered, "picked_up": answered, "talked": conversation, "spoke": conversation, "left_message": voicemail, "left_voicemail": voicemail,
	"read": delivered, "opened": delivered, "unanswered": noAnswer, "missed": noAnswer, "rang_out": noAnswer, "declined": noAnswer,
	"sent": reserved, "accepted": reserved, "queued": reserved, "pending": reserved, "in_doubt": reserved, "in_progress": reserved,
	"failed": notConnected, "undelivered": notConnected, "not_delivered": notConnected, "undeliverable": notConnected, "bounced": notConnected,
	"rejected": notConnected, "unreachable": notConnected, "invalid_number": notConnected, "disconnected": notConnected,
	"out_of_service": notConnected, "network_error": notConnected, "not_in_service": notConnected, "failed_to_connect": notConnected,
	"no_connection": notConnected, "cancelled": notConnected, "canceled": notConnected,
}

// known reports whether o is an outcome that caps can name. What ended otherwise counts in every cap.
func (o outcome) known() bool {
	return o == noAnswer || o == busy || o == busyConnected || o == notConnected || slices.Contains(reachedOutcomes, o)
}

// outcomeNamed reads how a contact outside Duly ended.
func outcomeNamed(s string) outcome {
	if o, ok := outcomeWords[s]; ok {
		return o
	}
	return outcome(s)
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
