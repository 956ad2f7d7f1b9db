// Package outcome says what followed a contact: was it paid in time, paid late, or not at all.
//
// It attributes, it does not claim cause: that a payment followed a message does not mean the message brought it. An
// outcome is final once its horizon has passed, so measuring twice gives the same answer.
package outcome

import (
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Kind is what followed a contact.
type Kind string

// The kinds, each judged over all the instalments of the contact.
const (
	PaidOnTime Kind = "paid_on_time" // sent by the due day, and everything settled by it
	PaidLate   Kind = "paid_late"    // sent by the due day, everything settled after it but within the horizon
	Cured      Kind = "cured"        // sent after the due day, everything settled within the horizon
	Unpaid     Kind = "unpaid"       // something was still owed when the horizon passed
)

// HorizonDays is how long after the day of a contact, or the due day where that is later, payment is waited for.
const HorizonDays = 7

// Of returns what followed a contact that was sent, or false while that is not yet known. Settled holds, for each item
// in order, the value time of the payment that settled it, zero while open; loc is the lender's zone.
func Of(c *duly.Contact, settled []time.Time, now time.Time, loc *time.Location) (Kind, bool) {
	if len(c.Items) == 0 || len(settled) != len(c.Items) {
		return "", false
	}
	var due, last civil.Date
	open := false
	for i, it := range c.Items {
		due = later(due, it.DueOn)
		if settled[i].IsZero() {
			open = true
			continue
		}
		last = later(last, civil.In(settled[i], loc))
	}
	horizon := later(due, c.Day).Add(HorizonDays)
	switch {
	case !open && !last.After(due) && !c.Day.After(due):
		return PaidOnTime, true
	case !open && !last.After(horizon) && c.Day.After(due):
		return Cured, true
	case !open && !last.After(horizon):
		return PaidLate, true
	case civil.In(now, loc).After(horizon):
		return Unpaid, true
	}
	return "", false
}

func later(a, b civil.Date) civil.Date {
	if a.Before(b) {
		return b
	}
	return a
}
