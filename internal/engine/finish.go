package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store"
)

// Waits between tries of one contact, where there is no other carrier for it.
const (
	retryDelayMin = time.Minute
	retryDelayMax = 30 * time.Minute
)

// finish stores the answers of carriers: the attempts end, the contacts move on. It returns those that it could not store.
func (e *Engine) finish(ctx context.Context, now time.Time, batch []answer, r *DispatchReport) ([]answer, error) {
	byBucket := map[int][]*answer{}
	for i := range batch {
		b := batch[i].job.contact.BorrowerID.Bucket()
		byBucket[b] = append(byBucket[b], &batch[i])
	}
	var failed []answer
	var errs []error
	for _, group := range e.db.Groups(sortedKeys(byBucket)) {
		seen, err := e.finishBuckets(ctx, now, group, byBucket, false)
		if duly.CodeOf(err) == duly.Conflict && err != nil { // not all are as they were claimed: a receipt was here first
			seen, err = e.finishBuckets(ctx, now, group, byBucket, true)
		}
		if moving, ok := errors.AsType[*store.Moving](err); ok {
			failed = append(failed, e.moved(moving, group, byBucket)...)
			continue
		}
		fault.At(fault.FinishCommitted)
		if err != nil { // the answers of other groups are stored all the same
			errs = append(errs, err)
			for _, b := range group {
				for _, a := range byBucket[b] {
					failed = append(failed, *a)
				}
			}
			continue
		}
		r.add(seen)
	}
	return failed, errors.Join(errs...)
}

// finishBuckets stores the answers for a group of buckets, in one transaction. It takes all contacts to be claimed still, and fails with
// Conflict if they are not, or looks first.
func (e *Engine) finishBuckets(ctx context.Context, now time.Time, group []int, byBucket map[int][]*answer, look bool) (seen DispatchReport, err error) {
	err = e.db.UpdateBegun(ctx, now, group, func(tx *store.Tx) error {
		seen = DispatchReport{}
		current, err := standings(tx, group, byBucket, look)
		if err != nil {
			return err
		}
		err = e.finishGroup(tx, group, byBucket, current, &seen)
		fault.At(fault.FinishUncommitted)
		return err
	})
	return seen, err
}

// standings returns how far the contacts of answers have come: as they were claimed, or as the store says.
func standings(tx *store.Tx, group []int, byBucket map[int][]*answer, look bool) (map[duly.ContactID]store.Standing, error) {
	var ids []duly.ContactID
	claimed := map[duly.ContactID]store.Standing{}
	for _, b := range group {
		for _, a := range byBucket[b] {
			c := &a.job.contact
			ids, claimed[c.ID] = append(ids, c.ID), store.Standing{State: duly.Claimed, Attempts: c.Attempts}
		}
	}
	if !look {
		return claimed, nil
	}
	return tx.Standings(ids)
}

func (e *Engine) finishGroup(tx *store.Tx, group []int, byBucket map[int][]*answer, current map[duly.ContactID]store.Standing, r *DispatchReport) error {
	moves := make([]store.Move, 0, len(current))
	attempts := make([]duly.Attempt, 0, len(current))
	lessons := map[int][]lesson{}
	for _, b := range group {
		from := len(moves)
		for _, given := range byBucket[b] {
			a := &answer{}
			*a = *given // the store may run this again: the answer itself must stay as it was given
			if l := e.settleAnswer(tx.Now(), a, r); l != (lesson{}) {
				lessons[b] = append(lessons[b], l)
			}
			attempts = append(attempts, a.job.attempt)
			if c, ok := current[a.job.contact.ID]; ok {
				if next, ok := nextState(c, given.job.contact.Attempts, a.job.contact); ok {
					m := store.Move{Contact: next, From: c.State}
					if c.State == duly.Claimed { // nobody else moves what is claimed and leaves it so
						m.Was = &given.job.contact
					}
					moves = append(moves, m)
				}
			}
		}
		tx.Audit(b, "answered", "engine", "", moveDetail(moves[from:]))
	}
	if err := tx.FinishAttempts(attempts); err != nil {
		return err
	}
	if err := putParts(tx, group, byBucket); err != nil {
		return err
	}
	if err := tx.AnswerContacts(moves); err != nil {
		return err
	}
	for _, b := range sortedKeys(lessons) {
		if err := e.learn(tx, b, lessons[b]); err != nil {
			return err
		}
	}
	return nil
}

// nextState is what becomes of a contact as it stands after the answer to a try of it. A receipt may have moved it
// meanwhile; then it knows better. So does the answer itself where the lease had ended before it came.
func nextState(c store.Standing, try int, next duly.Contact) (duly.Contact, bool) {
	if c.State == duly.InDoubt && next.State == duly.Planned {
		next.State = duly.Failed // it was given up meanwhile, and is not tried again
	}
	return next, c.State == duly.Claimed || c.State == duly.InDoubt && c.Attempts == try && c.State.CanBecome(next.State)
}

// lesson is what a carrier taught of a borrower: an address that does not exist, or a refusal.
type lesson struct {
	borrower duly.BorrowerID
	bounced  duly.PointID // this contact point is dead
	refused  duly.Channel // this channel is refused
	point    duly.PointID // this contact point showed how good it is …
	event    duly.PointEvent
}

// learn makes lessons known and has their persons planned again.
func (e *Engine) learn(tx *store.Tx, bucket int, lessons []lesson) error {
	if err := learnUse(tx, bucket, lessons); err != nil {
		return err
	}
	for _, l := range lessons {
		if l.bounced != "" {
			if err := tx.SetPointState(bucket, l.borrower, l.bounced, duly.PointBounced); err != nil {
				return err
			}
			if err := tx.MarkDirty([]duly.BorrowerID{l.borrower}); err != nil {
				return err
			}
		}
		if l.refused != "" {
			if _, err := e.apply(tx, "carrier", []duly.Fact{refusal(l, tx.Now())}, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// learnUse takes what lessons show of how good contact points are.
func learnUse(tx *store.Tx, bucket int, lessons []lesson) error {
	var ids []duly.BorrowerID
	for _, l := range lessons {
		if l.event != "" {
			ids = append(ids, l.borrower)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	points, err := tx.Points(bucket, unique(ids))
	if err != nil {
		return err
	}
	for i := range points {
		p := &points[i]
		was, news := p.State, false
		for _, l := range lessons {
			if l.event != "" && l.borrower == p.BorrowerID && l.point == p.ID && p.Learn(l.event, tx.Now()) {
				news = true
			}
		}
		if !news {
			continue
		}
		if err := tx.SetPointUse(p); err != nil {
			return err
		}
		if p.State != was { // another may be the best now
			tx.Audit(bucket, "point", "engine", string(p.ID), string(p.State))
			if err := tx.MarkDirty([]duly.BorrowerID{p.BorrowerID}); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleAnswer ends the attempt and sets the contact's next state, and returns what was learned.
func (e *Engine) settleAnswer(now time.Time, a *answer, r *DispatchReport) lesson {
	c, at := &a.job.contact, &a.job.attempt
	at.EndedAt, c.ChangedAt = now, now
	switch {
	case a.recalled:
		at.State, at.Cost.Micros = duly.AttemptRecalled, 0
		c.State, c.Reason = duly.Planned, "recalled"
		c.Attempts-- // nothing left: the try is not one of the contact's tries
		c.SentAt = time.Time{}
		if c.Attempts > 0 {
			c.SentAt = now
		}
		r.Recalled++
		return lesson{}
	case a.err == nil:
		at.State, at.ProviderID = duly.AttemptAccepted, a.accepted.ProviderID
		if a.accepted.Segments > 0 {
			at.Segments = a.accepted.Segments
		}
		c.State, c.Reason = duly.Accepted, ""
		if a.accepted.Delivered {
			c.State = duly.Delivered
		}
		c.FallbackAt = e.fallbackAt(c, now)
		r.Accepted++
		return lesson{}
	}
	at.Class, at.Detail, at.State = string(a.err.Class), a.err.Code, duly.AttemptRefused
	return e.settleRefusal(now, a, r)
}

// settleRefusal is settleAnswer for a carrier's error, by its class.
func (e *Engine) settleRefusal(now time.Time, a *answer, r *DispatchReport) lesson {
	c := &a.job.contact
	switch a.err.Class {
	case channel.Unknown:
		a.job.attempt.State, a.job.attempt.ProviderID = duly.AttemptInDoubt, firstReference(a.partsTaken())
		c.State, c.Reason, c.FallbackAt = duly.InDoubt, a.err.Code, time.Time{} // nobody is chased on another channel for a doubt
		r.InDoubt++
	case channel.Temporary, channel.Throttled:
		e.retry(a, now, r)
	case channel.Config:
		e.log.Error("carrier cannot work", "carrier", a.job.carrier.Name(), "code", a.err.Code, "detail", a.err.Detail)
		e.retry(a, now, r)
	case channel.BadAddress:
		e.fail(c, now, a.err.Code, r)
		return lesson{borrower: c.BorrowerID, bounced: c.PointID}
	case channel.OptedOut:
		e.fail(c, now, a.err.Code, r)
		c.FallbackAt = time.Time{} // who refuses one channel is not chased on the next
		return lesson{borrower: c.BorrowerID, refused: c.Channel}
	case channel.Permanent:
		e.fail(c, now, a.err.Code, r)
	}
	return lesson{}
}

// retry has a contact tried again that was proved not to have been taken: at once where another carrier has not refused it yet and is
// in order, else after a growing wait.
func (e *Engine) retry(a *answer, now time.Time, r *DispatchReport) {
	c, err := &a.job.contact, a.err
	if c.Attempts >= attemptsMax {
		e.fail(c, now, err.Code, r)
		return
	}
	delay := max(min(retryDelayMin<<(c.Attempts-1), retryDelayMax), err.RetryAfter)
	if e.router.Other(now, c.Channel, a.job.carrier.Name(), c.Attempts) {
		delay, r.More = 0, true
	}
	c.State, c.Reason, c.NotBefore = duly.Planned, string(err.Class), now.Add(delay)
	r.Retried++
}

func (e *Engine) fail(c *duly.Contact, now time.Time, code string, r *DispatchReport) {
	c.State, c.Reason = duly.Failed, code
	c.FallbackAt = now
	if e.fallbackAt(c, now).IsZero() {
		c.FallbackAt = time.Time{}
	}
	r.Failed++
}

// fallbackAt is when the next rung of the contact's ladder is due if this one is not delivered; zero without a next rung.
func (e *Engine) fallbackAt(c *duly.Contact, now time.Time) time.Time {
	l := e.laneOf(c.Strategy)
	if l == nil {
		return time.Time{}
	}
	step, ok := l.Step(c.Step)
	if !ok {
		return time.Time{}
	}
	after, ok := step.FallbackAfter(c.Rung)
	if !ok {
		return time.Time{}
	}
	return now.Add(after)
}

// refusal is the opt-out that a provider reports for a channel.
func refusal(l lesson, now time.Time) duly.Fact {
	key := string(l.refused)
	if l.refused.Call() {
		key = "calls"
	}
	return &duly.OptOut{
		BorrowerID: l.borrower, ID: duly.ConsentID("provider:" + key), Key: key, At: now, Source: "provider", Version: now.UnixMicro(),
	}
}

func sortedKeys[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }
