package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// Doubt is an attempt of which it is not known whether it went out.
type Doubt struct {
	ID         duly.AttemptID    `json:"id"`
	ContactID  duly.ContactID    `json:"contact_id"`
	Borrower   string            `json:"borrower"` // masked
	Channel    duly.Channel      `json:"channel"`
	Step       string            `json:"step"`
	Day        civil.Date        `json:"day"`
	Carrier    string            `json:"carrier"`
	ProviderID string            `json:"provider_id"` // the provider's reference, if it gave one
	Detail     string            `json:"detail"`      // why it is in doubt: a code
	State      duly.ContactState `json:"contact_state"`
	ClaimedAt  time.Time         `json:"claimed_at"`
	Since      time.Time         `json:"since"` // when it came to be in doubt
	Age        int64             `json:"age_seconds"`
}

// Doubts returns the attempts in doubt: what may have gone out and cannot be proved, oldest first.
func (e *Engine) Doubts(ctx context.Context, now time.Time, limit int) ([]Doubt, error) {
	attempts, err := e.db.InDoubt(ctx, "", time.Time{}, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Doubt, len(attempts))
	for i := range attempts {
		a := &attempts[i]
		err := e.db.View(ctx, func(tx *store.Tx) error {
			c, err := tx.FindContact(a.ContactID)
			out[i] = Doubt{
				ID: a.ID, ContactID: a.ContactID, Borrower: a.BorrowerID.Masked(), Channel: c.Channel, Step: c.Step, Day: c.Day, Carrier: a.Carrier,
				ProviderID: a.ProviderID, Detail: a.Detail, State: c.State, ClaimedAt: a.ClaimedAt, Since: a.EndedAt, Age: int64(now.Sub(a.ClaimedAt) / time.Second),
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Fate is what became of an attempt in doubt, as somebody found out.
type Fate string

// The fates. A contact in doubt becomes what they say, and nothing else: see the table of moves in package duly.
const (
	FateSent      Fate = "sent" // the provider took it
	FateDelivered Fate = "delivered"
	FateRead      Fate = "read"
	FateNotSent   Fate = "not_sent" // the provider never had it, or did not send it
)

// Fates lists the fates.
func Fates() []Fate { return []Fate{FateSent, FateDelivered, FateRead, FateNotSent} }

// fates is what each fate makes of the contact and of the attempt, and as which receipt it is kept.
var fates = map[Fate]struct {
	contact duly.ContactState
	attempt duly.AttemptState
	receipt duly.ReceiptStatus
}{
	FateSent:      {duly.Accepted, duly.AttemptAccepted, duly.ReceiptAccepted},
	FateDelivered: {duly.Delivered, duly.AttemptAccepted, duly.ReceiptDelivered},
	FateRead:      {duly.Read, duly.AttemptAccepted, duly.ReceiptRead},
	FateNotSent:   {duly.Failed, duly.AttemptRefused, duly.ReceiptFailed},
}

// Known reports whether f is one of the fates above.
func (f Fate) Known() bool { _, ok := fates[f]; return ok }

// DoubtAnswer is what is said of one attempt in doubt. It is named by its id, or by its carrier and the provider's reference.
type DoubtAnswer struct {
	Attempt    duly.AttemptID `json:"attempt,omitempty"`
	Carrier    string         `json:"carrier,omitempty"`
	ProviderID string         `json:"provider_id,omitempty"`
	Fate       Fate           `json:"fate"`
}

// Word is on whose word, and why.
type Word struct {
	By     string `json:"by"`     // who found out: a name or code of the staff's
	Reason string `json:"reason"` // how; kept beside the audit, which holds a commitment to it
}

// Limits of what a person may say.
const (
	byMax      = 64
	reasonMax  = 500
	AnswersMax = 100_000 // in one file
)

func (w *Word) check() error {
	for _, f := range []struct {
		name, text string
		max        int
	}{{"by", w.By, byMax}, {"reason", w.Reason, reasonMax}} {
		switch {
		case strings.TrimSpace(f.text) == "":
			return duly.Errorf(duly.Usage, "it is not said %s", map[string]string{"by": "who found out", "reason": "why"}[f.name]).At(duly.Place{Field: f.name})
		case !utf8.ValidString(f.text) || utf8.RuneCountInString(f.text) > f.max || strings.ContainsFunc(f.text, unicode.IsControl):
			return duly.Errorf(duly.Usage, "not a line of at most %d characters", f.max).At(duly.Place{Field: f.name})
		}
	}
	return nil
}

// Resolution is what an answer does, or would do.
type Resolution struct {
	Line     int               `json:"line"` // of the answers, from 1
	Attempt  duly.AttemptID    `json:"attempt"`
	Contact  duly.ContactID    `json:"contact"`
	Borrower string            `json:"borrower"` // masked
	Fate     Fate              `json:"fate"`
	From     duly.ContactState `json:"from"` // the contact's state
	To       duly.ContactState `json:"to"`   // and what it becomes; the same where it is known better already
	Result   ResolveResult     `json:"result"`
	Why      string            `json:"why,omitempty"`
}

// ResolveResult is what became of an answer.
type ResolveResult string

// The results. Nothing is written for the last two.
const (
	Resolved        ResolveResult = "resolved" // or is to be
	ResolvedBefore  ResolveResult = "before"   // the attempt is known to be so already
	ResolvedRefused ResolveResult = "refused"  // see Why
)

// DoubtPreview is what answers would do, or did. It closes: Answers = Resolved + Before + Refused.
type DoubtPreview struct {
	Hash     string       `json:"preview"` // of all that is to happen: applying asks for it
	Answers  int          `json:"answers"`
	Resolved int          `json:"resolved"`
	Before   int          `json:"before"`
	Refused  int          `json:"refused"`
	Sent     int          `json:"sent"`     // of the resolved: taken, delivered or read
	NotSent  int          `json:"not_sent"` // of the resolved: the next rung may follow, if strategy and law let it
	Rows     []Resolution `json:"rows"`
	Applied  bool         `json:"applied"`
}

func (p *DoubtPreview) count() {
	for i := range p.Rows {
		p.Answers++
		switch r := &p.Rows[i]; {
		case r.Result == Resolved && r.Fate == FateNotSent:
			p.Resolved++
			p.NotSent++
		case r.Result == Resolved:
			p.Resolved++
			p.Sent++
		case r.Result == ResolvedBefore:
			p.Before++
		case r.Result == ResolvedRefused:
			p.Refused++
		}
	}
}

// Resolve records what became of one attempt in doubt, on a person's word. The contact moves as the table of moves allows, and
// never back to where it could be sent again: what was not sent has failed, and only the next rung of its step may follow, if the
// strategy has one and the gate lets it.
func (e *Engine) Resolve(ctx context.Context, now time.Time, a DoubtAnswer, w Word) (Resolution, error) {
	p, err := e.resolve(ctx, now, []DoubtAnswer{a}, &w)
	if err != nil {
		return Resolution{}, err
	}
	r := p.Rows[0]
	if r.Result == ResolvedRefused {
		code := duly.Refused
		if r.Contact == "" {
			code = duly.NotFound
		}
		return r, duly.Errorf(code, "%s", r.Why).WithHint("`duly doubt list` shows the attempts in doubt")
	}
	return r, nil
}

// PreviewAnswers tells what answers would do, and changes nothing.
func (e *Engine) PreviewAnswers(ctx context.Context, answers []DoubtAnswer) (DoubtPreview, error) {
	if len(answers) == 0 || len(answers) > AnswersMax {
		return DoubtPreview{}, duly.Errorf(duly.Usage, "from 1 to %d answers are taken, not %d", AnswersMax, len(answers))
	}
	var p DoubtPreview
	named := map[duly.AttemptID]Fate{}
	for i := range answers {
		r, err := e.previewOne(ctx, i+1, answers[i])
		if err != nil {
			return p, err
		}
		p.Rows = append(p.Rows, r)
	}
	for i := range p.Rows { // what the answers contradict each other about, nobody knows
		r := &p.Rows[i]
		switch f, twice := named[r.Attempt]; {
		case r.Contact == "" || r.Result == ResolvedRefused:
		case !twice:
			named[r.Attempt] = r.Fate
		case f == r.Fate && r.Result == Resolved:
			r.Result, r.Why = ResolvedBefore, "an answer before it says the same"
		case f != r.Fate:
			for j := range p.Rows[:i+1] {
				if q := &p.Rows[j]; q.Attempt == r.Attempt {
					q.Result, q.Why, q.To = ResolvedRefused, "the answers contradict each other about it", q.From
				}
			}
		}
	}
	b, err := json.Marshal(p.Rows)
	if err != nil {
		return p, err
	}
	sum := sha256.Sum256(b)
	p.Hash = hex.EncodeToString(sum[:8])
	p.count()
	return p, nil
}

// referenceMax bounds a provider's reference.
const referenceMax = 200

// plainReference reports whether a reference can be one.
func plainReference(s string) bool {
	return len(s) <= referenceMax && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (e *Engine) previewOne(ctx context.Context, line int, a DoubtAnswer) (r Resolution, err error) {
	if !plainReference(a.Carrier) || !plainReference(a.ProviderID) {
		return Resolution{Line: line, Attempt: a.Attempt, Fate: a.Fate, Result: ResolvedRefused, Why: badReference}, nil
	}
	if a.Attempt == "" {
		if a.Carrier == "" || a.ProviderID == "" {
			return Resolution{Line: line, Fate: a.Fate, Result: ResolvedRefused, Why: "neither attempt, nor carrier and provider_id, are given"}, nil
		}
		found, err := e.db.FindAttemptByProvider(ctx, a.Carrier, a.ProviderID)
		if err != nil && duly.CodeOf(err) == duly.NotFound {
			return Resolution{Line: line, Fate: a.Fate, Result: ResolvedRefused, Why: "the carrier has no attempt under this reference"}, nil
		}
		if err != nil {
			return r, err
		}
		a.Attempt = found.ID
	}
	err = e.db.View(ctx, func(tx *store.Tx) error { r, _, _, err = weigh(tx, a); return err })
	r.Line = line
	return r, err
}

const badReference = "the provider's reference is not a line of at most 200 characters"

// weigh says what an answer does to the attempt and the contact as they stand.
func weigh(tx *store.Tx, a DoubtAnswer) (Resolution, duly.Attempt, duly.Contact, error) {
	r := Resolution{Attempt: a.Attempt, Fate: a.Fate, Result: ResolvedRefused}
	if !a.Fate.Known() {
		r.Why = "the fate is none: sent, delivered, read or not_sent"
		return r, duly.Attempt{}, duly.Contact{}, nil
	}
	if !plainReference(a.ProviderID) {
		r.Why = badReference
		return r, duly.Attempt{}, duly.Contact{}, nil
	}
	at, err := tx.FindAttempt(a.Attempt)
	var c duly.Contact
	if err == nil {
		c, err = tx.FindContact(at.ContactID)
	}
	if err != nil {
		if duly.CodeOf(err) == duly.NotFound {
			r.Why, err = "there is no attempt with this id", nil
		}
		return r, at, c, err
	}
	r.Contact, r.Borrower, r.From, r.To = c.ID, at.BorrowerID.Masked(), c.State, c.State
	f := fates[a.Fate]
	switch {
	case at.State != duly.AttemptInDoubt && at.State == f.attempt && (c.State == f.contact || !c.State.CanBecome(f.contact)):
		r.Result, r.Why = ResolvedBefore, "it is known already"
	case at.State != duly.AttemptInDoubt:
		r.Why = "the attempt is not in doubt; it is " + string(at.State)
	case c.State == duly.InDoubt && c.Attempts == at.No && !c.State.CanBecome(f.contact):
		r.Why = "a contact in doubt cannot become " + string(f.contact)
	case c.State == duly.InDoubt && c.Attempts == at.No:
		r.Result, r.To = Resolved, f.contact
	default: // something newer is known of the contact: only the attempt is settled
		r.Result, r.Why = Resolved, "the contact is known to be "+string(c.State)+", and stays so"
	}
	return r, at, c, nil
}

// ApplyAnswers does what a preview said, given its hash. Where anything has changed since, nothing is done: look again.
func (e *Engine) ApplyAnswers(ctx context.Context, now time.Time, answers []DoubtAnswer, preview string, w Word) (DoubtPreview, error) {
	if err := w.check(); err != nil {
		return DoubtPreview{}, err
	}
	p, err := e.PreviewAnswers(ctx, answers)
	if err != nil {
		return p, err
	}
	if p.Hash != preview {
		return p, duly.Errorf(duly.Conflict, "the preview is now %s: the answers, or what is known, are not what they were", p.Hash).
			WithHint("look at the preview again, and apply that one")
	}
	var todo []DoubtAnswer
	for i := range p.Rows {
		if p.Rows[i].Result == Resolved {
			a := answers[i]
			a.Attempt = p.Rows[i].Attempt
			todo = append(todo, a)
		}
	}
	done := DoubtPreview{}
	if len(todo) > 0 {
		if done, err = e.resolve(ctx, now, todo, &w); err != nil {
			return p, err
		}
	}
	next := 0
	for i := range p.Rows { // a receipt may have come between the preview and now
		if p.Rows[i].Result == Resolved {
			line := p.Rows[i].Line
			p.Rows[i] = done.Rows[next]
			p.Rows[i].Line = line
			next++
		}
	}
	out := DoubtPreview{Hash: p.Hash, Rows: p.Rows, Applied: true}
	out.count()
	return out, nil
}

// resolve writes answers that name their attempts, bucket by bucket.
func (e *Engine) resolve(ctx context.Context, now time.Time, answers []DoubtAnswer, w *Word) (DoubtPreview, error) {
	p := DoubtPreview{Rows: make([]Resolution, len(answers))}
	if err := w.check(); err != nil {
		return p, err
	}
	byBucket := map[int][]int{}
	for i := range answers {
		if b, ok := answers[i].Attempt.Bucket(); ok {
			byBucket[b] = append(byBucket[b], i)
		} else {
			p.Rows[i] = Resolution{Attempt: answers[i].Attempt, Fate: answers[i].Fate, Result: ResolvedRefused, Why: "there is no attempt with this id"}
		}
	}
	for _, b := range sortedKeys(byBucket) {
		err := e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
			for _, i := range byBucket[b] {
				var err error
				if p.Rows[i], err = e.resolveOne(tx, answers[i], w); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return p, err
		}
	}
	p.count()
	return p, nil
}

// doubtDetail is what the audit keeps of a doubt that was resolved.
type doubtDetail struct {
	Fate   Fate              `json:"fate"`
	From   duly.ContactState `json:"from"`
	To     duly.ContactState `json:"to"`
	Reason string            `json:"reason"` // the commitment to it
}

// resolveOne settles one attempt. It is kept as a receipt too, so that it shows in the timeline; a later receipt can still know
// better. An answer of the carrier that comes later finds the attempt settled and changes nothing.
func (e *Engine) resolveOne(tx *store.Tx, a DoubtAnswer, w *Word) (Resolution, error) {
	r, at, c, err := weigh(tx, a)
	if err != nil || r.Result != Resolved {
		return r, err
	}
	b, f := c.BorrowerID.Bucket(), fates[a.Fate]
	reason, err := tx.Conceal(c.BorrowerID, w.Reason)
	if err != nil {
		return r, err
	}
	rc := duly.Receipt{
		Provider: "person", Key: "resolve:" + string(at.ID), AttemptID: at.ID, Status: f.receipt, Detail: w.By, At: tx.Now(), ReceivedAt: tx.Now(),
	}
	if _, err := tx.PutReceipts([]duly.Receipt{rc}); err != nil {
		return r, err
	}
	if err := tx.MarkReceipts(b, []duly.Receipt{rc}); err != nil {
		return r, err
	}
	if at.State = f.attempt; at.State == duly.AttemptRefused {
		at.Cost.Micros = 0
	}
	if at.ProviderID == "" {
		at.ProviderID = a.ProviderID
	}
	if err := tx.FinishAttempts([]duly.Attempt{at}); err != nil {
		return r, err
	}
	tx.Audit(b, "doubt_resolved", "person:"+w.By, string(at.ID), doubtDetail{Fate: a.Fate, From: r.From, To: r.To, Reason: reason})
	if r.To == r.From {
		return r, nil
	}
	c.State, c.Reason, c.ChangedAt = r.To, "", tx.Now()
	e.setFallback(&c, &rc, tx.Now())
	if !tx.Now().Before(c.ExpiresAt) {
		c.FallbackAt = time.Time{} // its time is over: a next rung now would be news of long ago
	}
	if err := tx.MoveContacts([]store.Move{{Contact: c, From: r.From}}); err != nil {
		return r, err
	}
	// The plan looks again: the next rung may have become needless, or due.
	return r, tx.MarkDirty([]duly.BorrowerID{c.BorrowerID})
}
