package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	duly "github.com/dulyhq/duly"
)

// terms is what of a reservation no query asks for.
type terms struct {
	Key     string         `json:"key"`
	Loans   []duly.LoanID  `json:"loans,omitempty"`
	Items   []duly.Item    `json:"items,omitempty"`
	Party   string         `json:"party,omitempty"`
	Actor   duly.Actor     `json:"actor"`
	Minutes int            `json:"minutes,omitempty"`
	Known   duly.Knowledge `json:"known"`
}

var reservationPut = batch{
	head: "@insert INTO touch (bucket, borrower_id, id, loan_id, point_id, channel, purpose, inbound, outcome, at, agency, version, digest, " +
		"state, reserved_at, expires_at, terms, since) ",
	cols: 18,
	tail: " ON CONFLICT (bucket, borrower_id, id) DO NOTHING",
}

const reservationQuery = "SELECT borrower_id, id, point_id, channel, purpose, outcome, at, digest, state, reserved_at, expires_at, terms FROM touch WHERE "

func scanReservation(r *row) duly.Reservation {
	v := duly.Reservation{
		BorrowerID: duly.BorrowerID(r.text()), ID: duly.ReservationID(r.text()), PointID: duly.PointID(r.text()), Channel: duly.Channel(r.text()),
		Purpose: duly.Purpose(r.text()), Outcome: r.text(), At: r.time(), Digest: r.int64(), State: duly.TouchState(r.text()),
		ReservedAt: r.time(), ExpiresAt: r.time(),
	}
	var t terms
	r.json(&t)
	v.Key, v.Loans, v.Items, v.Party, v.Actor, v.Minutes, v.Known = t.Key, t.Loans, t.Items, t.Party, t.Actor, t.Minutes, t.Known
	return v
}

// loanOf is the loan that limits for each loan count it for; "" is every loan.
func loanOf(v *duly.Reservation) duly.LoanID {
	if len(v.Loans) == 1 {
		return v.Loans[0]
	}
	return ""
}

// PutReservation keeps a slot. Its bucket must be held. It fails with Conflict where one of its id is there already, or a
// touch that was told of.
func (tx *Tx) PutReservation(v *duly.Reservation) error {
	b := v.BorrowerID.Bucket()
	if err := tx.changed(b); err != nil {
		return fmt.Errorf("put reservation: %w", err)
	}
	text, err := json.Marshal(terms{v.Key, v.Loans, v.Items, v.Party, v.Actor, v.Minutes, v.Known})
	if err != nil {
		return fmt.Errorf("put reservation: %w", err)
	}
	n, err := tx.rows(&reservationPut, []any{
		int64(b), string(v.BorrowerID), string(v.ID), string(loanOf(v)), string(v.PointID), string(v.Channel), string(v.Purpose), int64(0),
		v.Outcome, micros(v.At), v.Actor.Agency, int64(0), v.Digest, string(v.State), micros(v.ReservedAt), micros(v.ExpiresAt), string(text), tx.next(b),
	})
	if err != nil {
		return fmt.Errorf("put reservation: %w", err)
	}
	if n != 1 {
		return duly.Errorf(duly.Conflict, "a touch with the reservation's id is known already").WithHint("give another key")
	}
	return nil
}

// MoveReservation changes a reservation's state, outcome and time, if it is in a state from which
// [duly.TouchState.CanBecome] allows it; else it fails.
func (tx *Tx) MoveReservation(v *duly.Reservation, from duly.TouchState) error {
	if !from.CanBecome(v.State) {
		return fmt.Errorf("move reservation %s: %s cannot become %s", v.ID, from, v.State)
	}
	b := v.BorrowerID.Bucket()
	if err := tx.changed(b); err != nil {
		return fmt.Errorf("move reservation: %w", err)
	}
	if err := tx.keepFact(&touchTable, v.BorrowerID, string(v.ID)); err != nil {
		return fmt.Errorf("move reservation: %w", err)
	}
	n, err := tx.exec("UPDATE touch SET state = $1, outcome = $2, at = $3, since = $8 WHERE bucket = $4 AND borrower_id = $5 AND id = $6 AND state = $7",
		string(v.State), v.Outcome, micros(v.At), int64(b), string(v.BorrowerID), string(v.ID), string(from), tx.next(b))
	if err != nil {
		return fmt.Errorf("move reservation: %w", err)
	}
	if n != 1 {
		return duly.Errorf(duly.Conflict, "the reservation is no longer %s", from)
	}
	return nil
}

// FindReservation returns a reservation, or an error with code NotFound.
func (tx *Tx) FindReservation(id duly.ReservationID) (duly.Reservation, error) {
	b, ok := id.Bucket()
	if !ok {
		return duly.Reservation{}, noReservation()
	}
	found, err := tx.reservations("bucket = $1 AND id = $2 AND state <> ''", int64(b), string(id))
	if err != nil {
		return duly.Reservation{}, fmt.Errorf("find reservation: %w", err)
	}
	if len(found) == 0 {
		return duly.Reservation{}, noReservation()
	}
	return found[0], nil
}

func noReservation() error { return duly.Errorf(duly.NotFound, "there is no reservation with this id") }

// ExpiredReservations returns the reservations of a bucket that are kept though their slot ran out before or at an instant.
func (tx *Tx) ExpiredReservations(bucket int, now time.Time) ([]duly.Reservation, error) {
	return tx.reservations("bucket = $1 AND state = 'reserved' AND expires_at <= $2 ORDER BY expires_at, id", int64(bucket), micros(now))
}

func (tx *Tx) reservations(query string, args ...any) ([]duly.Reservation, error) {
	var out []duly.Reservation
	err := tx.query(func(r *row) error { out = append(out, scanReservation(r)); return nil }, reservationQuery+query, args...)
	return out, err
}

// Reservations returns reservations in a state, oldest first.
func (db *DB) Reservations(ctx context.Context, state duly.TouchState, limit int) (out []duly.Reservation, err error) {
	query := "state = $1 AND state <> '' ORDER BY expires_at, id LIMIT $2"
	if state == duly.TouchUnknown { // the text that its index is made for
		query = "state = 'unknown' AND state = $1 ORDER BY expires_at, id LIMIT $2"
	}
	err = db.View(ctx, func(tx *Tx) error {
		out, err = tx.reservations(query, string(state), int64(min(limit, math.MaxInt32)))
		return err
	})
	return out, err
}

// ReservationBuckets returns the buckets with reservations that are kept though their slot ran out.
func (db *DB) ReservationBuckets(ctx context.Context, now time.Time) ([]int, error) {
	return db.bucketsWhere(ctx, db.first("touch WHERE state = 'reserved'")+"EXISTS (SELECT 1 FROM touch t WHERE t.bucket = b.bucket AND t.state = 'reserved' AND t.expires_at <= $1)", micros(now))
}
