package engine

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store"
)

// ReceiveReport counts what came back.
type ReceiveReport struct {
	Receipts  int // new in the inbox
	Applied   int // looked at: each is looked at once
	Moved     int // contacts that a receipt moved on
	Resolved  int // of these, contacts that were in doubt
	Orphans   int // receipts that name no attempt that is known
	Replies   int // new replies and refusals that carriers told of
	Points    int // contact points of which carriers told something new
	Unmatched int // replies and refusals from addresses that nobody has
	Traced    int // of those that were, receipts whose attempt is known now
	GivenUp   int // and receipts that were looked for too long
	More      bool
}

// queryAfter is how long a contact stays in doubt before its provider is asked what became of it.
const queryAfter = 10 * time.Minute

// queryMax bounds how many attempts one Step asks one carrier about: sending must not wait for it long.
const queryMax = 50

// Receive takes receipts from carriers that are polled, writes them to the inbox, and applies what the inbox holds. A
// receipt may be early, late, repeated or contradict another: the inbox keeps all, a contact only moves as
// [duly.ContactState.CanBecome] allows.
func (e *Engine) Receive(ctx context.Context, now time.Time) (ReceiveReport, error) {
	var r ReceiveReport
	if err := e.holding.joined(); err != nil {
		return r, err
	}
	for _, s := range e.senders {
		p, ok := s.(channel.Poller)
		if !ok {
			continue
		}
		receipts, err := p.Poll(ctx, now, receiptMax)
		if err != nil && ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err != nil {
			e.log.Warn("carrier cannot be polled; will try again", "carrier", s.Name(), "error", err)
			continue
		}
		r.More = r.More || len(receipts) == receiptMax
		if err := e.Accept(ctx, now, receipts, &r); err != nil {
			return r, err
		}
	}
	if err := e.query(ctx, now, &r); err != nil {
		return r, err
	}
	if err := e.trace(ctx, now, &r); err != nil {
		return r, err
	}
	if err := e.match(ctx, now, &r); err != nil {
		return r, err
	}
	return r, e.applyInbox(ctx, now, &r)
}

// Accept writes receipts to the inbox. When it returns they are kept, whatever happens next; the same receipt twice is
// kept once. A receipt that names no attempt is traced by the provider's id, or else kept apart.
func (e *Engine) Accept(ctx context.Context, now time.Time, receipts []duly.Receipt, r *ReceiveReport) error {
	byBucket := map[int][]duly.Receipt{}
	var orphans []duly.Receipt
	for _, rc := range receipts {
		rc.ReceivedAt = now
		b, ok := rc.AttemptID.Bucket()
		if !ok && rc.ProviderID != "" {
			a, err := e.db.FindAttemptByProvider(ctx, rc.Provider, rc.ProviderID)
			if err == nil {
				rc.AttemptID = a.ID
				b, ok = a.ID.Bucket()
			} else if duly.CodeOf(err) != duly.NotFound {
				return err
			}
		}
		if ok && !e.holding.Has(b) {
			e.log.Error("a receipt is about a contact of another cell; it is kept apart", "carrier", rc.Provider)
			ok = false
		}
		if !ok {
			orphans = append(orphans, rc)
			continue
		}
		byBucket[b] = append(byBucket[b], rc)
	}
	r.Orphans += len(orphans)
	if err := e.db.PutOrphans(ctx, now, orphans); err != nil {
		return err
	}
	for _, group := range e.db.Groups(sortedKeys(byBucket)) {
		added := 0
		err := e.db.Update(ctx, now, group, func(tx *store.Tx) error {
			added = 0
			for _, b := range group {
				n, err := tx.PutReceipts(byBucket[b])
				if err != nil {
					return err
				}
				added += n
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("keep receipts: %w", err)
		}
		r.Receipts += added
	}
	return nil
}

func (e *Engine) applyInbox(ctx context.Context, now time.Time, r *ReceiveReport) error {
	buckets, err := e.db.InboxBuckets(ctx)
	if err != nil {
		return err
	}
	return e.applyBuckets(ctx, now, e.holding.Mine(buckets), r)
}

func (e *Engine) applyBuckets(ctx context.Context, now time.Time, buckets []int, r *ReceiveReport) error {
	for _, group := range e.db.Groups(buckets) {
		var seen ReceiveReport
		err := e.db.Update(ctx, now, group, func(tx *store.Tx) error {
			seen = ReceiveReport{}
			for _, b := range group {
				if err := e.applyReceipts(tx, b, &seen); err != nil {
					return err
				}
			}
			fault.At(fault.ReceiveUncommitted)
			return nil
		})
		if err != nil {
			return fmt.Errorf("apply receipts: %w", err)
		}
		r.Applied += seen.Applied
		r.Moved += seen.Moved
		r.Resolved += seen.Resolved
		r.Orphans += seen.Orphans
		r.More = r.More || seen.More
	}
	return nil
}

func (e *Engine) applyReceipts(tx *store.Tx, bucket int, r *ReceiveReport) error {
	pending, err := tx.PendingReceipts(bucket, receiptMax)
	if err != nil || len(pending) == 0 {
		return err
	}
	var lessons []lesson
	var moved []store.Move
	for i := range pending {
		m, learned, err := e.applyReceipt(tx, &pending[i], r)
		if err != nil {
			return err
		}
		if learned != (lesson{}) {
			lessons = append(lessons, learned)
		}
		moved = append(moved, m...)
	}
	r.Applied += len(pending)
	r.More = r.More || len(pending) == receiptMax
	if len(moved) > 0 {
		tx.Audit(bucket, "receipts", "carrier", "", moveDetail(moved))
	}
	if err := tx.MarkReceipts(bucket, pending); err != nil {
		return err
	}
	return e.learn(tx, bucket, lessons)
}

// applyReceipt moves the receipt's contact on, if it may move there, and returns what the receipt teaches.
func (e *Engine) applyReceipt(tx *store.Tx, rc *duly.Receipt, r *ReceiveReport) ([]store.Move, lesson, error) {
	a, err := tx.FindAttempt(rc.AttemptID)
	if duly.CodeOf(err) == duly.NotFound && err != nil {
		r.Orphans++
		return nil, lesson{}, nil
	}
	if err != nil {
		return nil, lesson{}, err
	}
	c, err := tx.FindContact(a.ContactID)
	if err != nil && duly.CodeOf(err) == duly.NotFound {
		r.Orphans++
		return nil, lesson{}, nil
	}
	if err != nil {
		return nil, lesson{}, err
	}
	learned := taught(&c, rc)
	if rc.Status == duly.ReceiptNotTaken && a.State != duly.AttemptInDoubt {
		return nil, lesson{}, nil // its carrier said otherwise, or has not spoken yet: that is better known
	}
	status, err := folded(tx, &a, rc)
	if err != nil {
		return nil, lesson{}, err
	}
	if status == duly.ReceiptDelivered && !a.EndedAt.IsZero() {
		e.router.Told(tx.Now(), a.Carrier, rc.ReceivedAt.Sub(a.EndedAt))
	}
	next := status.State()
	if next == duly.Failed && a.No != c.Attempts {
		return nil, learned, nil // an earlier try failed; the contact is about a later one
	}
	if next == duly.Failed && c.State == duly.Delivered {
		overtaken, err := deliveredSince(tx, c.ID, rc.At)
		if err != nil || overtaken {
			return nil, lesson{}, err
		}
	}
	if next == "" || next == c.State || !c.State.CanBecome(next) || c.State == duly.Planned && c.Attempts == 0 {
		return nil, learned, nil
	}
	from := c.State
	c.State, c.Reason, c.ChangedAt = next, "", tx.Now()
	e.setFallback(&c, rc, tx.Now())
	if a.State == duly.AttemptInDoubt || a.State == duly.AttemptOpen {
		a.State = duly.AttemptAccepted
		if rc.Status == duly.ReceiptNotTaken {
			a.State, a.Cost.Micros = duly.AttemptRefused, 0
		}
		if a.EndedAt.IsZero() { // one that was in doubt ended when it came to be so
			a.EndedAt = tx.Now()
		}
		if a.ProviderID == "" {
			a.ProviderID = rc.ProviderID
		}
		if err := tx.FinishAttempts([]duly.Attempt{a}); err != nil {
			return nil, lesson{}, err
		}
	}
	r.Moved++
	if from == duly.InDoubt {
		r.Resolved++
	}
	move := []store.Move{{Contact: c, From: from}}
	if err := tx.MoveContacts(move); err != nil {
		return nil, lesson{}, err
	}
	// The plan looks again: what waits as the next rung may have become needless.
	return move, learned, tx.MarkDirty([]duly.BorrowerID{c.BorrowerID})
}

// deliveredSince reports whether a receipt of the contact tells of delivery at an instant or after it: a failure that the
// provider saw earlier was overtaken, however late its receipt came. One that it saw later, such as a bounce, stands.
func deliveredSince(tx *store.Tx, id duly.ContactID, at time.Time) (bool, error) {
	receipts, err := tx.Receipts(id)
	if err != nil {
		return false, err
	}
	for _, r := range receipts {
		if (r.Status == duly.ReceiptDelivered || r.Status == duly.ReceiptRead) && !r.At.Before(at) {
			return true, nil
		}
	}
	return false, nil
}

// setFallback says when the next rung is due after a receipt: at once after a failure, not at all after delivery unless
// the step wants the message read.
func (e *Engine) setFallback(c *duly.Contact, rc *duly.Receipt, now time.Time) {
	has := !e.fallbackAt(c, now).IsZero()
	switch c.State {
	case duly.Failed:
		c.Reason, c.FallbackAt = string(rc.Status), time.Time{}
		if has && rc.Status != duly.ReceiptOptedOut {
			c.FallbackAt = now
		}
	case duly.Delivered:
		if l := e.laneOf(c.Strategy); l != nil {
			if step, ok := l.Step(c.Step); ok && !step.FallbackUnlessRead(c.Rung) {
				c.FallbackAt = time.Time{}
			}
		}
	case duly.Read:
		c.FallbackAt = time.Time{}
	case duly.Accepted:
		c.FallbackAt = e.fallbackAt(c, now)
	case duly.Planned, duly.Claimed, duly.InDoubt, duly.Blocked, duly.Cancelled:
	}
}

// taught returns what a receipt says of the borrower.
func taught(c *duly.Contact, rc *duly.Receipt) lesson {
	switch rc.Status {
	case duly.ReceiptBadAddress:
		return lesson{borrower: c.BorrowerID, bounced: c.PointID}
	case duly.ReceiptOptedOut:
		return lesson{borrower: c.BorrowerID, refused: c.Channel}
	case duly.ReceiptFailed:
		return lesson{borrower: c.BorrowerID, point: c.PointID, event: duly.PointFailed}
	case duly.ReceiptDelivered:
		return lesson{borrower: c.BorrowerID, point: c.PointID, event: duly.PointDelivered}
	case duly.ReceiptRead:
		return lesson{borrower: c.BorrowerID, point: c.PointID, event: duly.PointAnswered}
	case duly.ReceiptAccepted, duly.ReceiptNotTaken:
	}
	return lesson{}
}

// query asks carriers that can tell what became of attempts in doubt.
func (e *Engine) query(ctx context.Context, now time.Time, r *ReceiveReport) error {
	for _, s := range e.senders {
		ask := e.asks(s)
		if ask == nil {
			continue
		}
		doubts, err := e.db.DoubtIDs(ctx, s.Name(), now.Add(-queryAfter), queryMax)
		if err != nil {
			return err
		}
		var known []duly.Receipt
		for _, id := range doubts {
			if b, _ := id.Bucket(); len(e.holding.Mine([]int{b})) == 0 {
				continue // its owner asks
			}
			status, ok, err := ask(ctx, id)
			if err != nil {
				e.log.Warn("carrier does not answer a query; will try again", "carrier", s.Name(), "error", err)
				break
			}
			if ok {
				known = append(known, duly.Receipt{Provider: s.Name(), Key: "query:" + string(id), AttemptID: id, Status: status, At: now})
			}
		}
		if err := e.Accept(ctx, now, known, r); err != nil {
			return err
		}
	}
	return nil
}
