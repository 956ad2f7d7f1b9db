package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

// An attempt's id is that of its contact and its number, so those are its key.
const attemptQuery = "SELECT contact_id, no, borrower_id, carrier, state, provider_id, class, detail, segments, body, known, claimed_at, lease_until, ended_at, " +
	"begun_at, fenced_at, salt, cost, currency FROM attempt WHERE "

func scanAttempt(r *row) duly.Attempt {
	a := duly.Attempt{
		ContactID: duly.ContactID(r.text()), No: r.int(), BorrowerID: duly.BorrowerID(r.text()), Carrier: r.text(), State: duly.AttemptState(r.text()),
		ProviderID: r.text(), Class: r.text(), Detail: r.text(), Segments: r.int(), Text: r.text(),
	}
	r.json(&a.Known)
	a.ClaimedAt, a.LeaseUntil, a.EndedAt, a.BegunAt, a.FencedAt, a.Salt = r.time(), r.time(), r.time(), r.time(), r.time(), r.text()
	a.Cost = duly.Cost{Micros: r.int64(), Currency: money.Currency(r.text())}
	a.ID = duly.NewAttemptID(a.ContactID, a.No)
	return a
}

// A recalled attempt never left: its number, and with it the provider's reference, is used for the next.
var putAttempts = batch{
	head: "@insert INTO attempt (bucket, contact_id, no, borrower_id, carrier, state, provider_id, class, detail, segments, body, known, claimed_at, " +
		"lease_until, ended_at, begun_at, fenced_at, salt, cost, currency) ",
	cols: 20,
	tail: " ON CONFLICT (bucket, contact_id, no) DO UPDATE SET carrier = excluded.carrier, state = excluded.state, provider_id = excluded.provider_id, " +
		"class = excluded.class, detail = excluded.detail, segments = excluded.segments, body = excluded.body, known = excluded.known, " +
		"claimed_at = excluded.claimed_at, lease_until = excluded.lease_until, ended_at = excluded.ended_at, begun_at = excluded.begun_at, " +
		"fenced_at = excluded.fenced_at, salt = excluded.salt, cost = excluded.cost, currency = excluded.currency WHERE attempt.state = 'recalled'",
}

// PutAttempts adds attempts, before they leave. It fails, and the transaction with it, where one was made before, unless
// that one was recalled.
func (tx *Tx) PutAttempts(attempts []duly.Attempt) error {
	args := make([]any, 0, putAttempts.cols*len(attempts))
	for i := range attempts {
		a := &attempts[i]
		if a.No < 1 || a.ID != duly.NewAttemptID(a.ContactID, a.No) {
			return fmt.Errorf("put attempts: %q is not the id of try %d of its contact", a.ID, a.No)
		}
		b := a.BorrowerID.Bucket()
		if err := tx.changed(b); err != nil {
			return fmt.Errorf("put attempts: %w", err)
		}
		known, err := json.Marshal(&a.Known)
		if err != nil {
			return fmt.Errorf("put attempts: %w", err)
		}
		args = append(args, int64(b), string(a.ContactID), int64(a.No), string(a.BorrowerID), a.Carrier, string(a.State), a.ProviderID, a.Class, a.Detail,
			int64(a.Segments), a.Text, string(known), micros(a.ClaimedAt), micros(a.LeaseUntil), micros(a.EndedAt), micros(a.BegunAt),
			micros(a.FencedAt), a.Salt, a.Cost.Micros, string(a.Cost.Currency))
	}
	n, err := tx.rows(&putAttempts, args)
	if err != nil {
		return fmt.Errorf("put attempts: %w", err)
	}
	if n != int64(len(attempts)) {
		return duly.Errorf(duly.Conflict, "%d of %d attempts were made before", int64(len(attempts))-n, len(attempts)).
			WithHint("another process sends the same contacts; nothing was sent twice")
	}
	return nil
}

var finishAttempts = batch{
	head: "@update attempt SET state = v.column4, provider_id = CASE WHEN v.column5 = '' THEN provider_id ELSE v.column5 END, class = v.column6, " +
		"detail = v.column7, segments = v.column8, ended_at = v.column9, " +
		"begun_at = CASE WHEN v.column10 = 0 THEN begun_at ELSE v.column10 END, cost = v.column11 FROM (",
	cols: 11,
	tail: ") AS v WHERE attempt.bucket = v.column1 AND attempt.contact_id = v.column2 AND attempt.no = v.column3 " +
		"AND (attempt.state IN ('open', 'in_doubt') OR attempt.state = v.column4)",
}

// FinishAttempts stores how attempts ended. One that had already ended otherwise keeps its end: a receipt that overtook
// the answer knows better. A provider's reference is never lost, nor when the POST began.
func (tx *Tx) FinishAttempts(attempts []duly.Attempt) error {
	args := make([]any, 0, finishAttempts.cols*len(attempts))
	for i := range attempts {
		a := &attempts[i]
		b := a.BorrowerID.Bucket()
		if err := tx.changed(b); err != nil {
			return fmt.Errorf("finish attempts: %w", err)
		}
		args = append(args, int64(b), string(a.ContactID), int64(a.No), string(a.State), a.ProviderID, a.Class, a.Detail, int64(a.Segments), micros(a.EndedAt),
			micros(a.BegunAt), a.Cost.Micros)
	}
	if _, err := tx.rows(&finishAttempts, args); err != nil {
		return fmt.Errorf("finish attempts: %w", err)
	}
	return nil
}

var fenceAttempts = batch{
	head: "@update attempt SET fenced_at = v.column4 FROM (",
	cols: 4,
	tail: ") AS v WHERE attempt.bucket = v.column1 AND attempt.contact_id = v.column2 AND attempt.no = v.column3 AND attempt.state = 'open' " +
		"AND attempt.fenced_at = 0",
}

// FenceAttempts notes of the open tries of contacts that are claimed that money came in, and from when on they must not begin.
// The first time stays.
func (tx *Tx) FenceAttempts(claimed []duly.Contact, at time.Time) error {
	args := make([]any, 0, fenceAttempts.cols*len(claimed))
	for i := range claimed {
		c := &claimed[i]
		b := c.BorrowerID.Bucket()
		if _, err := tx.held(b); err != nil {
			return fmt.Errorf("fence attempts: %w", err)
		}
		args = append(args, int64(b), string(c.ID), int64(c.Attempts), micros(at))
	}
	if _, err := tx.rows(&fenceAttempts, args); err != nil {
		return fmt.Errorf("fence attempts: %w", err)
	}
	return nil
}

func (tx *Tx) attempts(query string, args ...any) ([]duly.Attempt, error) {
	var out []duly.Attempt
	err := tx.query(func(r *row) error { out = append(out, scanAttempt(r)); return nil }, attemptQuery+query, args...)
	return out, err
}

// OpenAttempts returns the attempts of a bucket that are open though their lease ended before or at an instant.
func (tx *Tx) OpenAttempts(bucket int, before time.Time, limit int) ([]duly.Attempt, error) {
	return tx.attempts("bucket = $1 AND state = 'open' AND lease_until <= $2 ORDER BY lease_until, contact_id, no LIMIT $3",
		int64(bucket), micros(before), int64(limit))
}

// AttemptsBetween returns the attempts of a bucket that were claimed from one instant until before another, oldest first.
func (tx *Tx) AttemptsBetween(bucket int, from, until time.Time) ([]duly.Attempt, error) {
	return tx.attempts("bucket = $1 AND claimed_at >= $2 AND claimed_at < $3 ORDER BY claimed_at, contact_id, no", int64(bucket), micros(from), micros(until))
}

// Attempts returns the attempts of a contact, first to last.
func (tx *Tx) Attempts(id duly.ContactID) ([]duly.Attempt, error) {
	b, ok := id.Bucket()
	if !ok {
		return nil, nil
	}
	return tx.attempts("bucket = $1 AND contact_id = $2 ORDER BY no", int64(b), string(id))
}

// Refusers returns the carriers of the tries of contacts that ended refused, by contact: one for each try.
func (tx *Tx) Refusers(ids []duly.ContactID) (map[duly.ContactID][]string, error) {
	out := map[duly.ContactID][]string{}
	tried := crowdOf(ids, func(id duly.ContactID) int { b, _ := id.Bucket(); return b })
	err := tx.queries(tx.ask(tried, func(r *row) error {
		id := duly.ContactID(r.text())
		out[id] = append(out[id], r.text())
		return nil
	}, "SELECT contact_id, carrier FROM attempt WHERE bucket = $1 AND contact_id @ids($2) AND state = 'refused'")...)
	return out, err
}

// FindAttempt returns an attempt, or an error with code NotFound.
func (tx *Tx) FindAttempt(id duly.AttemptID) (duly.Attempt, error) {
	contact, ok := id.Contact()
	if !ok {
		return duly.Attempt{}, noAttempt()
	}
	b, _ := contact.Bucket()
	no, err := strconv.Atoi(string(id[strings.LastIndexByte(string(id), '-')+1:]))
	if err != nil {
		return duly.Attempt{}, noAttempt()
	}
	found, err := tx.attempts("bucket = $1 AND contact_id = $2 AND no = $3", int64(b), string(contact), int64(no))
	if err != nil {
		return duly.Attempt{}, fmt.Errorf("find attempt: %w", err)
	}
	if len(found) == 0 || found[0].ID != id {
		return duly.Attempt{}, noAttempt()
	}
	return found[0], nil
}

func noAttempt() error { return duly.Errorf(duly.NotFound, "there is no attempt with this id") }

// FindAttemptByProvider returns the latest attempt that a carrier knows, or knows a part of, by its own reference, or an error
// with code NotFound.
func (db *DB) FindAttemptByProvider(ctx context.Context, carrier, providerID string) (a duly.Attempt, err error) {
	if providerID == "" {
		return a, noAttempt()
	}
	err = db.View(ctx, func(tx *Tx) error { a, err = tx.FindAttemptByProvider(carrier, providerID); return err })
	return a, err
}

// FindAttemptByProvider is [DB.FindAttemptByProvider] in a snapshot of several looks.
func (tx *Tx) FindAttemptByProvider(carrier, providerID string) (duly.Attempt, error) {
	found, err := tx.attempts("provider_id = $1 AND provider_id <> '' AND carrier = $2 ORDER BY claimed_at DESC, contact_id, no LIMIT 1", providerID, carrier)
	if err == nil && len(found) == 0 {
		found, err = tx.attemptOfPart(carrier, providerID)
	}
	if err == nil && len(found) == 0 {
		err = noAttempt()
	}
	if err != nil {
		return duly.Attempt{}, err
	}
	return found[0], nil
}

// DoubtIDs is [DB.InDoubt] of one carrier, by id.
func (db *DB) DoubtIDs(ctx context.Context, carrier string, before time.Time, limit int) (out []duly.AttemptID, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			out = append(out, duly.NewAttemptID(duly.ContactID(r.text()), r.int()))
			return nil
		},
			"SELECT contact_id, no FROM attempt WHERE state = 'in_doubt' AND ended_at <= $1 AND carrier = $2 ORDER BY ended_at, contact_id, no LIMIT $3",
			micros(before), carrier, int64(limit))
	})
	return out, err
}

func (tx *Tx) attemptOfPart(carrier, providerID string) ([]duly.Attempt, error) {
	var id duly.AttemptID
	err := tx.query(func(r *row) error { id = duly.AttemptID(r.text()); return nil },
		"SELECT attempt_id FROM receipt WHERE provider_id = $1 AND detail = 'part' AND provider = $2 ORDER BY received_at DESC, key LIMIT 1", providerID, carrier)
	if err != nil || id == "" {
		return nil, err
	}
	a, err := tx.FindAttempt(id)
	if err != nil && duly.CodeOf(err) == duly.NotFound {
		return nil, nil
	}
	return []duly.Attempt{a}, err
}

// InDoubt returns the attempts in doubt of a carrier ("": of all) that came to be so before or at an instant (zero: at
// any), oldest first.
func (db *DB) InDoubt(ctx context.Context, carrier string, before time.Time, limit int) (out []duly.Attempt, err error) {
	until := micros(before)
	if until == 0 {
		until = 1<<63 - 1
	}
	err = db.View(ctx, func(tx *Tx) error {
		out, err = tx.attempts("state = 'in_doubt' AND ended_at <= $1 AND (carrier = $2 OR $2 = '') ORDER BY ended_at, contact_id, no LIMIT $3",
			until, carrier, int64(limit))
		return err
	})
	return out, err
}
