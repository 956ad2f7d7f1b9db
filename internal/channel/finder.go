package channel

import (
	"context"
	"time"

	duly "github.com/dulyhq/duly"
)

// Finder is a Sender that can be asked what became of an attempt, but by more than its id: the carrier keeps what it sent by
// number and day. As with [Querier], false is no proof that it never had it.
type Finder interface {
	Find(ctx context.Context, q Question) (duly.ReceiptStatus, bool, error)
}

// Question is what is known of an attempt that nobody knows the outcome of. To is personal.
type Question struct {
	AttemptID  duly.AttemptID
	ProviderID string // "" where the carrier's answer was lost
	To         string
	SentAt     time.Time
}
