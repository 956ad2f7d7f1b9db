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
	"log/slog"
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
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
// error is a *duly.Error, fit to be the answer. A call by GET is a carrier that asks whether we are who it is to call.
type Inbound interface {
	Hear(r *http.Request, body []byte) (Heard, error)
}

// Listener is a Sender that keeps a connection on which its carrier speaks. Listen runs until ctx ends, connecting anew as
// need be. What it hears it gives to take, and tells the carrier that it has it only once take returned nil: what take
// returned nil for is kept.
type Listener interface {
	Listen(ctx context.Context, take func(context.Context, Heard) error) error
}

// Reacher is a Sender that serves only some of the addresses of its channel, and tells by their form which: where several
// carriers share a channel, an address is for one that reaches it. A message to another is refused as Permanent, with code
// not_its_address, and says nothing against the address.
type Reacher interface {
	Reaches(to string) bool
}

// NotItsAddress is the code of a message that was given to a Reacher which does not reach its address.
const NotItsAddress = "not_its_address"

// Caller is a Sender that can connect two telephones: first an agent's, then the number of the person called. It returns once both
// speak, or with an *Error; whoever calls it has asked the gate and kept the slot.
type Caller interface {
	Connect(ctx context.Context, agent, number string) error
}

// Heard is what a carrier told of its own accord.
type Heard struct {
	Receipts []duly.Receipt // what became of attempts
	Replies  []Reply        // what people wrote or said to us
	Points   []PointNews    // what the carrier knows of addresses
	Answer   *Answer        // what the carrier wants to be told in return; nil: that it was kept
}

// Reply is what somebody wrote or said to one of our numbers. Who it is the engine works out: by the attempt that it answers,
// else by the address it came from.
type Reply struct {
	Key       string // the carrier's own id of it: the same one is the same reply
	Channel   duly.Channel
	AttemptID duly.AttemptID // what it answers; "" is not known
	From      string         // the address it came from, personal; "" is not known
	Text      string         // personal; "" where nothing was written
	Intent    string         // what was said without words, such as by a key: an intent of package reply (docs/replies.md); "" for none
	PromiseOn civil.Date     // the day promised, where Intent is promise and a day was said
	At        time.Time
}

// PointNews is what a carrier knows of an address, besides what receipts say of attempts to it.
type PointNews struct {
	Key       string         // the carrier's own id of the event
	AttemptID duly.AttemptID // through which it was learnt; "" is not known
	Kind      duly.PointKind
	Value     string          // the address, personal; "" is that of the attempt
	State     duly.PointState // what it is from now on; "" leaves it
	OptedOut  duly.Channel    // the channel on which its owner refused; "" for none
	At        time.Time
}

// Answer is the answer to a callback that a carrier asks for.
type Answer struct {
	Status int    // 0: 200
	Type   string // the media type
	Body   []byte
}

// Host is what an adapter is given besides its settings.
type Host struct {
	Clock    func() time.Time // nil where time stands still: then messages are signed as of their own Now, and callbacks not taken
	Channels []duly.Channel   // those that the operator gave the carrier; none: all that it can serve
	Log      *slog.Logger
}

// Message is one message on its way out. To, Subject and Text are personal: they are never logged.
type Message struct {
	AttemptID  duly.AttemptID // the reference that goes out with the message; unique to this try
	BorrowerID duly.BorrowerID
	Channel    duly.Channel
	To         string
	Subject    string // "" where the channel has none
	Text       string
	Language   string            // BCP 47
	Segments   int               // billed parts, as counted when the text was made
	ExpiresAt  time.Time         // after which the words are no longer true
	Now        time.Time         // when it is sent
	Items      []duly.Item       // what it is about
	Tone       duly.Tone         // how firm the words are
	Template   string            // the name of the template that the words were made from
	Variables  map[string]string // what the template speaks of, by the names that `duly strategy variables` lists; only where Caps.Variables says so: for a call, all that is known
	// Still reports whether the message may still be told: the items are owed as they were, and nothing has come in that stands in
	// the way. What takes minutes to bring asks it again before it names the debt. Nil: nobody can say, and it may.
	Still func(ctx context.Context) bool
}

// Accepted is a carrier's word that it took a message.
type Accepted struct {
	ProviderID string // the carrier's reference; "" where it gave none
	Segments   int    // billed parts; 0 where the carrier did not say
	Seconds    int    // billed seconds of a call; 0 where it did not say
	Delivered  bool   // the answer is itself proof of delivery: no receipt need follow
	Parts      string // where it took the message in several parts: the reference of each, one a line, the first of them ProviderID; see PartsOf
}

// Caps is what a carrier can do.
type Caps struct {
	Channels   []duly.Channel // those it can serve; the operator may give it fewer
	Idempotent bool           // the same attempt handed over twice reaches the borrower once
	Receipts   bool           // tells later what became of a message
	Query      bool           // can be asked what became of an attempt, see Querier and Finder
	Variables  bool           // sends a template of its own by Message.Template, filled with Message.Variables
	Timeout    time.Duration  // how long one Send may take
}
