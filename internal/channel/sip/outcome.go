package sip

import (
	"errors"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/dialogue"
)

// Waits that a trunk does not tell of.
const (
	busyRest  = 20 * time.Minute // a line that is busy, a phone that is off
	trunkRest = 5 * time.Minute  // a trunk that cannot
)

// classes is what a final answer means that came before it rang, by its code. What is not here goes by the hundred: 3xx config, 4xx and
// 6xx permanent, 5xx temporary.
//
//	404 410 484 604            bad_address: there is no such number
//	486 600                    temporary: busy
//	480 408 487                temporary: the phone is off, or out of reach
//	401 402 403 407            config: the trunk does not know us, or not enough
//	415 488 606                config: no law of sound in common
//	429 503                    throttled; Retry-After is honoured
//	500 502 504 580            temporary: the trunk broke, and nobody was called
//	607                        opted_out: the callee has told its network that calls from us are unwanted
//	608                        permanent: the callee's network takes us for a nuisance
//
// 603, a person who declines, is not here: somebody saw the call.
var classes = map[int]struct {
	class channel.Class
	after time.Duration
}{
	404: {channel.BadAddress, 0}, 410: {channel.BadAddress, 0}, 484: {channel.BadAddress, 0}, 604: {channel.BadAddress, 0},
	486: {channel.Temporary, busyRest}, 600: {channel.Temporary, busyRest},
	480: {channel.Temporary, busyRest}, 408: {channel.Temporary, busyRest}, 487: {channel.Temporary, busyRest},
	401: {channel.Config, 0}, 402: {channel.Config, 0}, 403: {channel.Config, 0}, 407: {channel.Config, 0},
	415: {channel.Config, 0}, 488: {channel.Config, 0}, 606: {channel.Config, 0},
	429: {channel.Throttled, trunkRest}, 503: {channel.Throttled, trunkRest},
	500: {channel.Temporary, trunkRest}, 502: {channel.Temporary, trunkRest}, 504: {channel.Temporary, trunkRest}, 580: {channel.Temporary, trunkRest},
	607: {channel.OptedOut, 0}, 608: {channel.Permanent, 0},
}

// declined is the answer of a person who saw the call and did not want it.
const declined = 603

// refusal classes a call that did not come about before it rang.
func (f *failure) refusal() *channel.Error {
	if f.cause != nil {
		switch {
		case errors.Is(f.cause, errUnsent):
			return fail(channel.Temporary, "unsent", trunkRest)
		case errors.Is(f.cause, errSilent):
			return fail(channel.Unknown, "no_response", 0)
		case errors.Is(f.cause, errNoSound):
			return fail(channel.Config, "no_codec", 0)
		}
		return fail(channel.Unknown, "given_up", 0) // the other side had it, and may have rung without telling us
	}
	e := fail(channel.Permanent, fmt.Sprintf("sip_%d", f.code), 0)
	row, known := classes[f.code]
	switch {
	case known:
		e.Class, e.RetryAfter = row.class, row.after
	case f.code < 400:
		e.Class = channel.Config // redirects are not followed: the call would go to whom nobody checked
	case f.code/100 == 5:
		e.Class, e.RetryAfter = channel.Temporary, trunkRest
	}
	if f.after > 0 && (e.Class == channel.Throttled || e.Class == channel.Temporary) {
		e.RetryAfter = f.after
	}
	return e
}

// ended is what became of a call that rang and was not answered.
func (f *failure) ended() string {
	switch {
	case errors.Is(f.cause, errNoAnswer), f.code == 480, f.code == 408, f.code == 487:
		return "no_answer"
	case errors.Is(f.cause, errStopping):
		return "cut"
	case f.cause != nil:
		return "failed"
	case f.code == 486 || f.code == 600:
		return "busy"
	case f.code == declined:
		return "rejected"
	}
	return fmt.Sprintf("sip_%d", f.code)
}

// intents is what a person wants, by what came of the dialogue, in the words of package reply.
var intents = map[dialogue.Outcome]string{
	dialogue.Promised: "promise", dialogue.NeedsTime: "hardship", dialogue.WantsPerson: "question", dialogue.SaysPaid: "payment_claim",
	dialogue.WrongNumber: "wrong_party", dialogue.Refuses: "opt_out",
}

// detail is what a receipt says of a call, for an operator. It holds nothing personal.
func detail(outcome string, r dialogue.Result, talked time.Duration) string {
	yes := map[bool]string{true: "yes", false: "no"}
	s := fmt.Sprintf("outcome=%s confirmed=%s disclosed=%s seconds=%d", outcome, yes[r.Confirmed], yes[r.Disclosed], int(talked/time.Second))
	if r.State != "" {
		s += " state=" + r.State
	}
	return s
}

// report is what is told of a call that rang: the receipt, which is of delivery only where the right person was told, and what that person
// wants. A call that reached nobody stays accepted: it was made, and counts.
func (a *attempt) report(outcome string, r dialogue.Result, at time.Time, talked time.Duration) channel.Heard {
	status := duly.ReceiptAccepted
	if r.Confirmed && r.Disclosed {
		status = duly.ReceiptDelivered
	}
	id := string(a.m.AttemptID)
	h := channel.Heard{Receipts: []duly.Receipt{{
		Provider: a.s.name, Key: "call:" + id, AttemptID: a.m.AttemptID, ProviderID: a.callID, Status: status, Detail: detail(outcome, r, talked), At: at,
	}}}
	if intent := intents[r.Outcome]; intent != "" {
		h.Replies = []channel.Reply{{
			Key: "call:" + id, Channel: a.m.Channel, AttemptID: a.m.AttemptID, From: a.m.To, Intent: intent, PromiseOn: r.PromiseOn, At: at,
		}}
	}
	return h
}
