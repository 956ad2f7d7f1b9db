package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

const (
	contactCols = "id, borrower_id, strategy, strategy_hash, step, day, rung, channel, point_id, purpose, tone, template, late, priority, items, " +
		"state, reason, not_before, expires_at, fallback_at, attempts, sent_at, decision, planned_at, changed_at"
	contactQuery = "SELECT " + contactCols + " FROM contact WHERE "

	// A person's contacts that count since $4. The day bounds how much of a long history is read: a contact is planned
	// for its day and expires soon after it.
	contactPersonQuery = contactQuery + "bucket = $1 AND borrower_id @ids($2) AND day >= $3 " +
		"AND (changed_at >= $4 OR state IN ('planned', 'claimed', 'in_doubt')) ORDER BY borrower_id, day, not_before, id"
)

// contactScanner reads contacts. Decisions repeat from contact to contact, so those read before are kept by their text;
// contacts share them and must not change them in place.
type contactScanner struct {
	decisions map[string]duly.Decision
}

const decisionsKept = 512

func newContactScanner() *contactScanner {
	return &contactScanner{decisions: map[string]duly.Decision{}}
}

func (s *contactScanner) scan(r *row) duly.Contact {
	c := duly.Contact{
		ID: duly.ContactID(r.text()), BorrowerID: duly.BorrowerID(r.text()), Strategy: r.text(), StrategyHash: r.text(), Step: r.text(),
		Day: r.date(), Rung: r.int(), Channel: duly.Channel(r.text()), PointID: duly.PointID(r.text()), Purpose: duly.Purpose(r.text()),
		Tone: duly.Tone(r.text()), Template: r.text(), Late: r.bool(), Priority: r.int(),
	}
	c.Items = readItems(r)
	c.State, c.Reason = duly.ContactState(r.text()), r.text()
	c.NotBefore, c.ExpiresAt, c.FallbackAt, c.Attempts, c.SentAt = r.time(), r.time(), r.time(), r.int(), r.time()
	c.Decision = s.decision(r)
	c.PlannedAt, c.ChangedAt = r.time(), r.time()
	return c
}

func (s *contactScanner) decision(r *row) duly.Decision {
	text := r.text()
	if text == "" {
		return duly.Decision{}
	}
	if d, ok := s.decisions[text]; ok {
		return d
	}
	var d duly.Decision
	if err := json.Unmarshal([]byte(text), &d); err != nil && r.err == nil {
		r.err = fmt.Errorf("decision: %w", err)
	}
	if len(s.decisions) < decisionsKept {
		s.decisions[text] = d
	}
	return d
}

// decisionText writes a decision as JSON, "" for none.
func decisionText(d *duly.Decision) string {
	if d.Verdict == duly.NoVerdict && len(d.Reasons) == 0 {
		return ""
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic("store.decisionText: " + err.Error()) // a plain struct always marshals
	}
	return string(b)
}

// measureOf is 1 for a contact that went out, or may have, and so waits for its outcome; and for one that is yet to go, so that
// sending does not change it.
func measureOf(s duly.ContactState) int64 { return flag(s == duly.Planned || s.CountsAsSent()) }

func dayBefore(t time.Time, days int) int64 { return civil.Of(t.UTC()).Add(-days).Int() }

var putContacts = batch{
	head: "@insert INTO contact (bucket, id, borrower_id, strategy, strategy_hash, step, day, rung, channel, point_id, purpose, tone, template, late, " +
		"priority, items, state, reason, not_before, expires_at, fallback_at, attempts, sent_at, decision, planned_at, changed_at, measure, since) ",
	cols: 28,
	tail: " ON CONFLICT (bucket, id) DO NOTHING",
}

// PutContacts adds contacts, in the order given: claims are quick where that is the order in which they will be sent.
// Their buckets must be held. It fails with Conflict, and the transaction with it, where one of them is there already.
func (tx *Tx) PutContacts(contacts []duly.Contact) error {
	if len(contacts) == 0 {
		return nil
	}
	args, waits := make([]any, 0, putContacts.cols*len(contacts)), make([]any, 0, putWaits.cols*len(contacts))
	for i := range contacts {
		c := &contacts[i]
		b := c.BorrowerID.Bucket()
		if err := tx.changed(b); err != nil {
			return fmt.Errorf("put contacts: %w", err)
		}
		if kind, at, ok := waitOf(c); ok {
			waits = waitArgs(waits, c, kind, at)
		}
		args = append(args, int64(b), string(c.ID), string(c.BorrowerID), c.Strategy, c.StrategyHash, c.Step, c.Day.Int(), int64(c.Rung),
			string(c.Channel), string(c.PointID), string(c.Purpose), string(c.Tone), c.Template, flag(c.Late), int64(c.Priority), itemsText(c.Items),
			string(c.State), c.Reason, micros(c.NotBefore), micros(c.ExpiresAt), micros(c.FallbackAt), int64(c.Attempts),
			micros(c.SentAt), decisionText(&c.Decision), micros(c.PlannedAt), micros(c.ChangedAt), measureOf(c.State), tx.next(b))
	}
	n, err := tx.rows(&putContacts, args)
	if err != nil {
		return fmt.Errorf("put contacts: %w", err)
	}
	if n != int64(len(contacts)) {
		return duly.Errorf(duly.Conflict, "%d of %d contacts were planned already", int64(len(contacts))-n, len(contacts)).
			WithHint("another process plans the same bucket; try again")
	}
	if _, err := tx.rows(&putWaits, waits); err != nil {
		return fmt.Errorf("put contacts: %w", err)
	}
	return nil
}

// Move is a contact as it is to be, and the state that it must be in to become so.
type Move struct {
	Contact duly.Contact
	From    duly.ContactState
	Was     *duly.Contact // as it is, for whoever has just read it; nil has it read
}

// Identity and history of a contact never change; a decision that was not taken anew stays.
var moveContacts = batch{
	head: "@update contact SET state = v.column4, reason = v.column5, not_before = v.column6, expires_at = v.column7, " +
		"fallback_at = v.column8, attempts = v.column9, sent_at = v.column10, changed_at = v.column11, point_id = v.column12, tone = v.column13, " +
		"template = v.column14, late = v.column15, priority = v.column16, items = v.column17, strategy_hash = v.column18, purpose = v.column19, " +
		"channel = v.column20, decision = CASE WHEN v.column21 = '' THEN decision ELSE v.column21 END, " +
		"measure = CASE WHEN measure = 2 THEN 2 ELSE v.column22 END FROM (",
	cols: 22,
	tail: ") AS v WHERE contact.bucket = v.column1 AND contact.id = v.column2 AND contact.state = v.column3",
}

var answerContacts = batch{
	head: "@update contact SET state = v.column4, reason = v.column5, not_before = v.column6, expires_at = v.column7, " +
		"fallback_at = v.column8, attempts = v.column9, sent_at = v.column10, changed_at = v.column11, " +
		"measure = CASE WHEN measure = 2 THEN 2 ELSE v.column12 END FROM (",
	cols: 12,
	tail: moveContacts.tail,
}

// MoveContacts moves contacts from one state to another, or changes them within their state, and sets ChangedAt to the
// transaction's now. A move that [duly.ContactState.CanBecome] does not allow, or of a contact that is no longer in the
// state it is moved from, fails the transaction. No contact may be named twice. The decision is replaced only where the contact has one; strategy,
// step, day, rung and PlannedAt never change.
func (tx *Tx) MoveContacts(moves []Move) error {
	return tx.move(&moveContacts, moves, func(a []any, m *Move) []any {
		c := &m.Contact
		return append(tx.course(a, m), string(c.PointID), string(c.Tone), c.Template, flag(c.Late), int64(c.Priority), itemsText(c.Items), c.StrategyHash,
			string(c.Purpose), string(c.Channel), decisionText(&c.Decision), measureOf(c.State))
	})
}

// AnswerContacts is [Tx.MoveContacts] for contacts that were claimed, after the carrier's answer: what was to be sent, and
// why, stays as it was claimed.
func (tx *Tx) AnswerContacts(moves []Move) error {
	return tx.move(&answerContacts, moves, func(a []any, m *Move) []any { return append(tx.course(a, m), measureOf(m.Contact.State)) })
}

// course is where a contact is on its way, as the first columns of moveContacts and answerContacts have it.
func (tx *Tx) course(a []any, m *Move) []any {
	c := &m.Contact
	return append(a, int64(c.BorrowerID.Bucket()), string(c.ID), string(m.From), string(c.State), c.Reason, micros(c.NotBefore), micros(c.ExpiresAt),
		micros(c.FallbackAt), int64(c.Attempts), micros(c.SentAt), micros(tx.now))
}

func (tx *Tx) move(b *batch, moves []Move, columns func([]any, *Move) []any) error {
	if len(moves) == 0 {
		return nil
	}
	if err := tx.keepContacts(moves, b == &moveContacts); err != nil {
		return fmt.Errorf("move contacts: %w", err)
	}
	args := make([]any, 0, b.cols*len(moves))
	for i := range moves {
		m, c := &moves[i], &moves[i].Contact
		if c.State != m.From && !m.From.CanBecome(c.State) {
			return fmt.Errorf("move contact %s: %s cannot become %s", c.ID, m.From, c.State)
		}
		if err := tx.changed(c.BorrowerID.Bucket()); err != nil {
			return fmt.Errorf("move contacts: %w", err)
		}
		args = columns(args, m)
	}
	n, err := tx.rows(b, args)
	if err != nil {
		return fmt.Errorf("move contacts: %w", err)
	}
	if n != int64(len(moves)) {
		return duly.Errorf(duly.Conflict, "%d of %d contacts are no longer in the state they were read in", int64(len(moves))-n, len(moves)).
			WithHint("another process moved them; try again")
	}
	if err := tx.wait(moves); err != nil {
		return fmt.Errorf("move contacts: %w", err)
	}
	return nil
}

func (tx *Tx) contacts(query string, args ...any) ([]duly.Contact, error) {
	var out []duly.Contact
	s := newContactScanner()
	err := tx.query(func(r *row) error { out = append(out, s.scan(r)); return nil }, query, args...)
	return out, err
}

// OpenContacts returns the planned and claimed contacts of borrowers of a bucket. In an Update it does not look for those
// of long ago, which have expired.
func (tx *Tx) OpenContacts(bucket int, ids []duly.BorrowerID) ([]duly.Contact, error) {
	var from int64
	if !tx.now.IsZero() {
		from = dayBefore(tx.now, contactDaysBefore)
	}
	return tx.contacts(contactQuery+"bucket = $1 AND borrower_id @ids($2) AND day >= $3 AND state IN ('planned', 'claimed') "+
		"ORDER BY borrower_id, day, not_before, id", int64(bucket), list(tx, ids), from)
}

// FindContact returns a contact, or an error with code NotFound.
func (tx *Tx) FindContact(id duly.ContactID) (duly.Contact, error) {
	b, ok := id.Bucket()
	if !ok {
		return duly.Contact{}, noContact()
	}
	cs, err := tx.contacts(contactQuery+"bucket = $1 AND id = $2", int64(b), string(id))
	if err != nil {
		return duly.Contact{}, fmt.Errorf("find contact: %w", err)
	}
	if len(cs) == 0 {
		return duly.Contact{}, noContact()
	}
	return cs[0], nil
}

func noContact() error { return duly.Errorf(duly.NotFound, "there is no contact with this id") }

// FindContact is [Tx.FindContact] in a snapshot of its own.
func (db *DB) FindContact(ctx context.Context, id duly.ContactID) (c duly.Contact, err error) {
	err = db.View(ctx, func(tx *Tx) error { c, err = tx.FindContact(id); return err })
	return c, err
}

// FindContacts returns the contacts with the ids, by id; those not known are left out.
func (tx *Tx) FindContacts(ids []duly.ContactID) (map[duly.ContactID]duly.Contact, error) {
	out := make(map[duly.ContactID]duly.Contact, len(ids))
	s := newContactScanner()
	known := crowdOf(ids, func(id duly.ContactID) int { b, _ := id.Bucket(); return b })
	err := tx.queries(tx.ask(known, func(r *row) error { c := s.scan(r); out[c.ID] = c; return nil }, contactQuery+"bucket = $1 AND id @ids($2)")...)
	return out, err
}

// Standing is how far a contact has come.
type Standing struct {
	State    duly.ContactState
	Attempts int
}

// Standings returns the standings of the contacts with the ids, by id; those not known are left out.
func (tx *Tx) Standings(ids []duly.ContactID) (map[duly.ContactID]Standing, error) {
	out := make(map[duly.ContactID]Standing, len(ids))
	known := crowdOf(ids, func(id duly.ContactID) int { b, _ := id.Bucket(); return b })
	err := tx.queries(tx.ask(known, func(r *row) error {
		out[duly.ContactID(r.text())] = Standing{duly.ContactState(r.text()), r.int()}
		return nil
	}, "SELECT id, state, attempts FROM contact WHERE bucket = $1 AND id @ids($2)")...)
	return out, err
}
