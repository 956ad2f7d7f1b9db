package engine

import (
	"context"
	"fmt"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/store"
)

// asks returns how a carrier is asked what became of an attempt in doubt: by the attempt's id, else by the address it went to
// and when. It is nil for one that cannot be asked.
func (e *Engine) asks(s channel.Sender) func(context.Context, duly.AttemptID) (duly.ReceiptStatus, bool, error) {
	if q, ok := s.(channel.Querier); ok {
		return q.Query
	}
	f, ok := s.(channel.Finder)
	if !ok {
		return nil
	}
	return func(ctx context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error) {
		a, to, err := e.address(ctx, id)
		if err != nil || to == "" {
			return "", false, err
		}
		at := a.BegunAt
		if at.IsZero() {
			at = a.ClaimedAt
		}
		return f.Find(ctx, channel.Question{AttemptID: a.ID, ProviderID: a.ProviderID, To: to, SentAt: at})
	}
}

// address returns an attempt and the address that it went to, as it is known now; "" where it is not.
func (e *Engine) address(ctx context.Context, id duly.AttemptID) (a duly.Attempt, to string, err error) {
	err = e.db.View(ctx, func(tx *store.Tx) error {
		to = ""
		var err error
		if a, err = tx.FindAttempt(id); err != nil {
			return err
		}
		c, err := tx.FindContact(a.ContactID)
		if err != nil {
			return err
		}
		persons, err := tx.PersonsOf([]duly.BorrowerID{a.BorrowerID}, store.Since{Facts: a.ClaimedAt, Contacts: a.ClaimedAt})
		if err != nil || len(persons) == 0 {
			return err
		}
		if p := persons[0].Point(c.PointID); p != nil {
			to = p.Value
		}
		return nil
	})
	if err != nil {
		return a, "", fmt.Errorf("look for an attempt's address: %w", err)
	}
	return a, to, nil
}
