package app

import (
	"context"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/inbox"
	"github.com/dulyhq/duly/internal/store"

	duly "github.com/dulyhq/duly"
)

// box keeps the messages of channel in_app in the store.
type box struct{ db *store.DB }

var _ inbox.Box = box{}

// Keep writes a message for the lender's app.
func (b box) Keep(ctx context.Context, carrier string, m channel.Message) error {
	return b.db.KeepInbox(ctx, m.Now, store.InboxEntry{
		BorrowerID: m.BorrowerID, AttemptID: m.AttemptID, Carrier: carrier, Title: m.Subject, Text: m.Text, Language: m.Language, Items: m.Items,
		At: m.Now, ExpiresAt: m.ExpiresAt,
	})
}

// Has reports whether an attempt's message is kept.
func (b box) Has(ctx context.Context, id duly.AttemptID) (bool, error) { return b.db.HasInbox(ctx, id) }
