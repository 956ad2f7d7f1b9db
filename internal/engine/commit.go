package engine

import (
	"context"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Standing is how a reservation stands: what a dialler asks right before it dials. A payment, a hold or a refusal that
// came in after the slot was kept cannot stop an agent's call as it stops Duly's own; here is where it shows.
type Standing struct {
	Reservation duly.Reservation `json:"reservation"`
	Good        bool             `json:"good"` // the slot is kept and the gate would let the contact pass now
	Paid        bool             `json:"paid"` // nothing of what it was reserved for is owed any more
	Held        bool             `json:"held"`
	OptedOut    bool             `json:"opted_out"`
	Expired     bool             `json:"expired"`
	Verdict     duly.Verdict     `json:"verdict"`
	NotBefore   time.Time        `json:"not_before,omitzero"`
	Reasons     []duly.Reason    `json:"reasons"`
}

// Stands tells how a reservation stands at an instant. It writes nothing.
func (e *Engine) Stands(ctx context.Context, now time.Time, id duly.ReservationID) (Standing, error) {
	if !plain(string(id)) {
		return Standing{}, duly.Errorf(duly.NotFound, "there is no reservation with this id")
	}
	var out Standing
	err := e.db.View(ctx, func(tx *store.Tx) error {
		v, err := tx.FindReservation(id)
		if err != nil {
			return err
		}
		out, err = e.stands(tx, v, now)
		return err
	})
	return out, err
}

func (e *Engine) stands(tx *store.Tx, v duly.Reservation, now time.Time) (Standing, error) {
	if v.State == duly.TouchReserved && !now.Before(v.ExpiresAt) { // the next transaction that writes will say so
		v.State, v.Outcome = duly.TouchUnknown, duly.OutcomeUnknown
	}
	s := Standing{Reservation: v, Expired: v.State == duly.TouchUnknown}
	j, err := e.look(tx, &v, now)
	if err != nil {
		return s, err
	}
	left := openItems(v.Items, j.p)
	s.Paid = len(v.Items) > 0 && len(left) == 0
	if v.Items = left; dated(v.Purpose) && len(left) > 0 { // the due day may have come or passed meanwhile
		v.Purpose = duly.PurposeAt(daysPastDue(&duly.Contact{Items: left}, e.Today(now)))
	}
	d := withoutWords(j.ask(""), j.rules)
	s.Verdict, s.NotBefore, s.Reasons = d.Verdict, d.NotBefore, d.Reasons
	for i := range d.Reasons {
		kind := kindOf(j.rules, &d.Reasons[i])
		s.Held = s.Held || kind == rule.Hold || d.Reasons[i].Code == rule.CodeHoldKind
		s.OptedOut = s.OptedOut || kind == rule.OptOut
	}
	s.Good = v.State == duly.TouchReserved && d.Verdict == duly.Allow && !s.Paid
	return s, nil
}

// kindOf returns the kind of the rule that gave a reason; "" for what no pack says.
func kindOf(set *rule.Set, r *duly.Reason) rule.Kind {
	for _, p := range set.Packs() {
		if p.ID != r.Pack {
			continue
		}
		for i := range p.Rules {
			if p.Rules[i].ID == r.Rule {
				return p.Rules[i].Kind
			}
		}
	}
	return ""
}

// withoutWords takes out of a decision what rules say of the words: they were judged when the slot was kept, and are not
// kept themselves.
func withoutWords(d duly.Decision, set *rule.Set) duly.Decision {
	reasons := d.Reasons
	d.Reasons, d.Verdict = []duly.Reason{}, duly.Allow
	for i := range reasons {
		if kindOf(set, &reasons[i]) != rule.Content {
			d.Reasons = append(d.Reasons, reasons[i])
			d.Verdict = max(d.Verdict, reasons[i].Verdict)
			if reasons[i].Until.After(d.NotBefore) {
				d.NotBefore = reasons[i].Until
			}
		}
	}
	if d.Verdict != duly.Defer {
		d.NotBefore = time.Time{}
	}
	return d
}

// Commit records that a reserved contact was made: it becomes a touch that counts as what it was. A zero at is now. The
// same again changes nothing. What comes after the slot ran out is for a person: see Settle.
func (e *Engine) Commit(ctx context.Context, now time.Time, by string, id duly.ReservationID, outcome string, at time.Time) (Standing, error) {
	return e.end(ctx, now, id, func(tx *store.Tx, v *duly.Reservation) error {
		when := at.UTC().Truncate(time.Microsecond)
		if v.State == duly.TouchCommitted && v.Outcome == outcome && (at.IsZero() || v.At.Equal(when)) {
			return nil
		}
		if err := wants(v, duly.TouchReserved); err != nil {
			return err
		}
		if at.IsZero() {
			when = tx.Now()
		}
		return e.made(tx, by, v, outcome, when)
	})
}

// Release gives a slot back before it runs out: the contact was not made and will not be. The same again changes nothing.
func (e *Engine) Release(ctx context.Context, now time.Time, by string, id duly.ReservationID, reason string) (Standing, error) {
	if reason == "" || !plain(reason) {
		return Standing{}, duly.Errorf(duly.Invalid, "a reason of at most %d bytes is needed", duly.MaxIDLen).At(duly.Place{Field: "reason"}).
			WithHint("a code, such as agent_busy or payment_came_in; nothing about the borrower")
	}
	return e.end(ctx, now, id, func(tx *store.Tx, v *duly.Reservation) error {
		if v.State == duly.TouchReleased {
			return nil
		}
		if err := wants(v, duly.TouchReserved); err != nil {
			return err
		}
		return e.notMade(tx, by, v, reason)
	})
}

// NotMade is the outcome by which a person says that an unknown contact was never made.
const NotMade = "not_made"

// Settle records what a person found out about a reservation that ran out: an outcome, or that it was not made. A zero at
// leaves the latest that it can have been.
func (e *Engine) Settle(ctx context.Context, now time.Time, by string, id duly.ReservationID, outcome string, at time.Time) (Standing, error) {
	return e.end(ctx, now, id, func(tx *store.Tx, v *duly.Reservation) error {
		if err := wants(v, duly.TouchUnknown); err != nil {
			return err
		}
		if outcome == NotMade {
			return e.notMade(tx, by, v, "resolved")
		}
		when := at.UTC().Truncate(time.Microsecond)
		if at.IsZero() {
			when = v.At
		}
		return e.made(tx, by, v, outcome, when)
	})
}

// end runs a change of one reservation in its bucket's transaction and tells how the reservation stands afterwards.
func (e *Engine) end(ctx context.Context, now time.Time, id duly.ReservationID, change func(*store.Tx, *duly.Reservation) error) (Standing, error) {
	b, ok := id.Bucket()
	if !ok || !plain(string(id)) {
		return Standing{}, duly.Errorf(duly.NotFound, "there is no reservation with this id")
	}
	var out Standing
	err := e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
		if _, err := e.overrun(tx, b); err != nil {
			return err
		}
		v, err := tx.FindReservation(id)
		if err != nil {
			return err
		}
		if err := change(tx, &v); err != nil {
			return err
		}
		out, err = e.stands(tx, v, tx.Now())
		return err
	})
	return out, err
}

// wants refuses a reservation that is not in the state from which it can be changed so.
func wants(v *duly.Reservation, state duly.TouchState) error {
	if v.State == state {
		return nil
	}
	e := duly.Errorf(duly.Conflict, "the reservation is %s", v.State)
	switch v.State {
	case duly.TouchUnknown:
		return e.WithHint("its slot ran out; a person says what became of it: duly reservation resolve")
	case duly.TouchReserved:
		return e.WithHint("its slot is still kept: commit or release it")
	case duly.TouchCommitted, duly.TouchReleased:
	}
	return e.WithHint("what is known of it is not changed")
}

// made turns a reservation into a touch that was made.
func (e *Engine) made(tx *store.Tx, by string, v *duly.Reservation, outcome string, at time.Time) error {
	switch {
	case !slices.Contains(duly.Outcomes(), outcome) || v.Channel.Call() == (outcome == "delivered"):
		return duly.Errorf(duly.Invalid, "not how a contact by %s can end", v.Channel).At(duly.Place{Field: "outcome"}).
			WithHint("no_answer, busy, voicemail, answered or conversation for a call; delivered for a message")
	case at.Before(v.ReservedAt) || at.After(v.ExpiresAt) || at.After(tx.Now()):
		return duly.Errorf(duly.Invalid, "not a time within the slot that has come").At(duly.Place{Field: "at"}).
			WithHint("when the contact began: after it was reserved, before the slot ran out, and not in the future")
	}
	from := v.State
	v.State, v.Outcome, v.At = duly.TouchCommitted, outcome, at
	tx.Audit(v.BorrowerID.Bucket(), "touch_committed", by, string(v.ID), map[string]any{"outcome": outcome, "at": at, "was": from})
	if err := tx.MoveReservation(v, from); err != nil {
		return err
	}
	e.fence.stop(v.BorrowerID)
	return tx.MarkDirty([]duly.BorrowerID{v.BorrowerID})
}

// notMade frees a reservation's slot.
func (e *Engine) notMade(tx *store.Tx, by string, v *duly.Reservation, reason string) error {
	from := v.State
	v.State = duly.TouchReleased
	tx.Audit(v.BorrowerID.Bucket(), "reservation_released", by, string(v.ID), map[string]any{"reason": reason, "was": from})
	if err := tx.MoveReservation(v, from); err != nil {
		return err
	}
	return tx.MarkDirty([]duly.BorrowerID{v.BorrowerID})
}

// Reservations lists reservations in a state, oldest first. Those whose slot ran out are unknown, written or not.
func (e *Engine) Reservations(ctx context.Context, now time.Time, state duly.TouchState, limit int) ([]duly.Reservation, error) {
	list, err := e.db.Reservations(ctx, state, limit)
	if err != nil || state != duly.TouchReserved && state != duly.TouchUnknown {
		return list, err
	}
	over := func(v duly.Reservation) bool { return !now.Before(v.ExpiresAt) }
	if state == duly.TouchReserved {
		return slices.DeleteFunc(list, over), nil
	}
	kept, err := e.db.Reservations(ctx, duly.TouchReserved, limit)
	for _, v := range kept {
		if err == nil && over(v) && len(list) < limit {
			v.State, v.Outcome = duly.TouchUnknown, duly.OutcomeUnknown
			list = append(list, v)
		}
	}
	return list, err
}
