package channel

import (
	"fmt"
	"time"
)

// Class is what a failed Send means for what happens next.
type Class string

// The classes. All but Unknown are proof that the carrier did not take the message.
const (
	Temporary  Class = "temporary"   // not now: no connection, or the carrier is not ready
	Throttled  Class = "throttled"   // refused for the rate
	BadAddress Class = "bad_address" // this address cannot be reached, ever
	OptedOut   Class = "opted_out"   // the recipient refused at the carrier
	Permanent  Class = "permanent"   // this message will never be taken: its content, or a policy
	Config     Class = "config"      // nothing will be taken until a person acts: credentials, certificate, address of the carrier
	Unknown    Class = "unknown"     // it may have been taken
)

// Treatment is what follows from a class.
type Treatment struct {
	Class        Class
	Retry        bool   // the contact may be tried again by itself
	Fallback     bool   // the next channel of the ladder may be used at once
	CountsAsSent bool   // it counts against caps, because it may have reached the borrower
	StopsSender  bool   // the carrier is left alone for a while, and an operator told
	Doc          string // for a person
}

// treatments is the one table of classes.
var treatments = map[Class]Treatment{
	Temporary: {Retry: true,
		Doc: "proved not handed over; tried again after a growing wait"},
	Throttled: {Retry: true,
		Doc: "refused for the rate; tried again no earlier than the carrier said"},
	BadAddress: {Fallback: true,
		Doc: "the address does not work; the contact point is marked, the next channel is used"},
	OptedOut: {
		Doc: "the recipient refused at the carrier; the refusal is written down, no channel is tried in its place"},
	Permanent: {Fallback: true,
		Doc: "the carrier will not take this message; a person looks at it, the next channel is used"},
	Config: {Retry: true, StopsSender: true,
		Doc: "the carrier takes nothing from us as configured; it is left alone for a while and an operator told"},
	Unknown: {CountsAsSent: true,
		Doc: "may have been handed over; never tried again by itself, settled by a receipt, a query or a person"},
}

// Classes lists the classes, from what is tried again to what never is.
func Classes() []Class {
	return []Class{Temporary, Throttled, Config, BadAddress, Permanent, OptedOut, Unknown}
}

// Known reports whether c is one of the classes above.
func (c Class) Known() bool { _, ok := treatments[c]; return ok }

// Treatment returns what follows from c. A class that is not known is treated as Unknown, the only safe guess.
func (c Class) Treatment() Treatment {
	t, ok := treatments[c]
	if !ok {
		c, t = Unknown, treatments[Unknown]
	}
	t.Class = c
	return t
}

// Error is a Send that did not end in acceptance. It holds nothing personal: no address, no words, and never the
// carrier's own text, which likes to repeat them.
type Error struct {
	Class      Class
	RetryAfter time.Duration // how long the carrier wants to be left alone; 0 where it did not say
	Code       string        // short and of a closed list per adapter, fit for a metric's label: http_503, smtp_550, timeout
	Detail     string        // where it went wrong, for an operator: rcpt 5.1.1
	Parts      string        // of Unknown: as Accepted.Parts, with an empty line for a part that has no reference
}

// Error writes class, code and detail.
func (e *Error) Error() string {
	s := string(e.Class) + ": " + e.Code
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(", again after %s", e.RetryAfter)
	}
	return s
}
