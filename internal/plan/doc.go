// Package plan answers which contacts come next for one person: what each step of the strategy wants today, what was missed
// in an outage, which rung of a ladder is next, and what of that is already written down. It is pure, and planning twice
// changes nothing.
//
//	r, err := plan.Next(&plan.Input{Person: p, Strategy: s, Rules: set, Calendars: cals, Location: shanghai, Now: now})
//	for _, c := range r.Changes {
//		save(c.From, c.Contact) // From is "" for a contact that is new
//	}
//
// # What is one contact
//
// All instalments of a person that are at one step on one day are one contact. Its id is made of the person, the strategy,
// the step, the day and the rung, so there is never a second one. Under consolidate: person_day the step of the highest
// priority goes and takes along what the others of the same purpose were about; those are recorded as merged. Purposes are never mixed: what is not yet
// due does not come into a message about what is overdue, so a firm word is never said of an instalment before it is past
// due. What cannot come along is recorded as replaced, and waits for its next step.
//
// # What was missed
//
// Days that nobody planned are made up for by each step's catch_up, with at most one late contact for a person however
// long the outage was: the latest missed step. A step is never made up for once its instalment has come to another side of
// its due day, nor where today's contact is about the same instalment anyway. The rest is recorded as expired. If the hours
// of today are over, a late contact goes the next day.
//
// # What stays as it is
//
// A contact that was claimed, or went further, is never touched, but that its time to fall back is cleared once that was
// decided. A planned one changes only where something that can be seen of it does; the engine's postponements stay.
package plan
