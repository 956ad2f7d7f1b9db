// Package channel is the contract with carriers: whoever takes a message from Duly and brings it to a borrower.
//
// A [Sender] is handed one message and says, as exactly as it can, what became of it. There are three answers and no
// more: taken ([Accepted]), proved not taken (an [*Error] of any class but [Unknown]), or not known ([Unknown]). The
// difference decides whether a borrower is told twice, so the rule of every adapter is: where there is no proof that the
// carrier did not take the message, the answer is Unknown. [Class.Treatment] is the one table of what follows.
//
//	got, err := sender.Send(ctx, channel.Message{AttemptID: id, Channel: duly.ChannelSMS, To: number, Text: text, Now: now})
//	if e, ok := errors.AsType[*channel.Error](err); ok && e.Class.Treatment().Retry {
//		// nothing left: try again, not before e.RetryAfter
//	}
//
// Adapters live in the folders below and know nothing of each other; package channeltest is the suite each must pass.
package channel

import (
	"context"
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
)

// Sender hands messages to one carrier. It is safe for concurrent use.
type Sender interface {
	// Name is the operator's name of the carrier: the one that attempts and receipts carry.
	Name() string
	// Caps says what the carrier can do. It does not change.
	Caps() Caps
	// Send hands over one message, once, and returns when the carrier answered or ctx ended. The error, if any, is an
	// *Error.
	Send(ctx context.Context, m Message) (Accepted, error)
}

// Poller is a Sender whose receipts are fetched. A receipt may be returned again until it was kept.
type Poller interface {
	Poll(ctx context.Context, now time.Time, limit int) ([]duly.Receipt, error)
}

// Querier is a Sender that can be asked what became of an attempt; false means that the carrier cannot tell, which is
// no proof that it never had it.
type Querier interface {
	Query(ctx context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error)
}

// Inbound is a Sender that is called back: it proves that a callback is the carrier's own, and only then reads it. The
// error is a *duly.Error, fit to be the answer.
type Inbound interface {
	Receipts(r *http.Request, body []byte) ([]duly.Receipt, error)
}

// Message is one message on its way out. To, Subject and Text are personal: they are never logged.
type Message struct {
	AttemptID  duly.AttemptID // the reference that goes out with the message; unique to this try
	BorrowerID duly.BorrowerID
	Channel    duly.Channel
	To         string
	Subject    string // "" where the channel has none
	Text       string
	Language   string    // BCP 47
	Segments   int       // billed parts, as counted when the text was made
	ExpiresAt  time.Time // after which the words are no longer true
	Now        time.Time // when it is sent
}

// Accepted is a carrier's word that it took a message.
type Accepted struct {
	ProviderID string // the carrier's reference; "" where it gave none
	Segments   int    // billed parts; 0 where the carrier did not say
	Delivered  bool   // the answer is itself proof of delivery: no receipt need follow
}

// Caps is what a carrier can do.
type Caps struct {
	Channels   []duly.Channel // those it can serve; the operator may give it fewer
	Idempotent bool           // the same attempt handed over twice reaches the borrower once
	Receipts   bool           // tells later what became of a message
	Query      bool           // can be asked what became of an attempt, see Querier
	Timeout    time.Duration  // how long one Send may take
}
