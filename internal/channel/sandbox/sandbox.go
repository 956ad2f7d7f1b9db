// Package sandbox is a carrier that keeps messages instead of sending them.
//
// It behaves as badly as it is told to ([Behaviour]), and always the same way: what becomes of an attempt is a pure
// function of the seed and the attempt's id, so a run with the same seed replays. Without any telling it is a perfect
// carrier: it takes every message and reports it delivered five seconds later.
//
//	box := sandbox.NewMemory()
//	s, err := sandbox.New("sandbox", sandbox.Behaviour{Temporary: 50, Read: 300}, box)
//	s.Send(ctx, m)                                       // 1 in 20 is not taken
//	receipts, err := s.Poll(ctx, m.Now.Add(time.Minute), 100) // delivered, and 3 in 10 read
package sandbox

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Outbox is where a sandbox keeps its messages.
type Outbox interface {
	// Keep writes down a message with the receipts that will come of it. The same attempt twice is kept once.
	Keep(ctx context.Context, k Kept) error
	// DueReceipts returns receipts whose DueAt is now or past, oldest first. One is not returned again once it has
	// reached the inbox.
	DueReceipts(ctx context.Context, now time.Time, limit int) ([]duly.Receipt, error)
	// Has reports whether the attempt's message is kept.
	Has(ctx context.Context, id duly.AttemptID) (bool, error)
}

// Kept is a message that the sandbox took, and what it will say of it.
type Kept struct {
	Message  channel.Message
	Receipts []Receipt
}

// Receipt is a receipt to come.
type Receipt struct {
	No     int    // from 1, within the attempt
	Key    string // the same for a receipt that is told twice
	Status duly.ReceiptStatus
	At     time.Time // the carrier's clock: when it happened
	DueAt  time.Time // when it is told, which may be later, and in another order
}

// timeout is what the engine gives one Send: an Outbox on a busy disk may need some.
const timeout = 10 * time.Second

// Sender is the sandbox as a carrier.
type Sender struct {
	name string
	b    Behaviour
	box  Outbox
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Poller  = (*Sender)(nil)
	_ channel.Querier = (*Sender)(nil)
)

// New makes a sandbox of a name. It fails where the behaviour makes no sense.
func New(name string, b Behaviour, box Outbox) (*Sender, error) {
	if err := b.Check("carriers." + name + ".sandbox"); err != nil {
		return nil, err
	}
	if b.DelayMin == 0 && b.DelayMax == 0 {
		b.DelayMin, b.DelayMax = delayDefault, delayDefault
	}
	b.DelayMax = max(b.DelayMax, b.DelayMin)
	return &Sender{name: name, b: b, box: box}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that the sandbox serves every channel a machine can serve, keeps an attempt once, and can be asked unless
// its behaviour forbids it.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelSMS, duly.ChannelEmail, duly.ChannelPush, duly.ChannelIM, duly.ChannelInApp,
			duly.ChannelPrerecorded, duly.ChannelRobot, duly.ChannelLetter},
		Idempotent: true, Receipts: true, Query: !s.b.Mute, Timeout: timeout,
	}
}

// Send keeps the message, or fails as the behaviour says.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	if ctx.Err() != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Temporary, Code: "cancelled"}
	}
	f := s.b.fate(m.AttemptID)
	if f.class != "" && !f.kept {
		return channel.Accepted{}, s.refusal(f)
	}
	if err := s.box.Keep(ctx, Kept{Message: m, Receipts: f.receipts(m.AttemptID, m.Now)}); err != nil {
		// A commit whose answer was lost may have happened all the same.
		return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "outbox"}
	}
	if f.class != "" {
		return channel.Accepted{}, s.refusal(f)
	}
	return channel.Accepted{ProviderID: string(m.AttemptID), Segments: m.Segments}, nil
}

func (s *Sender) refusal(f fate) *channel.Error {
	e := &channel.Error{Class: f.class, Code: "sandbox_" + string(f.class)}
	if f.class == channel.Throttled {
		e.RetryAfter = s.b.RetryAfter
	}
	return e
}

// Poll returns the receipts that are due.
func (s *Sender) Poll(ctx context.Context, now time.Time, limit int) ([]duly.Receipt, error) {
	receipts, err := s.box.DueReceipts(ctx, now, limit)
	if err != nil {
		return nil, fmt.Errorf("poll sandbox: %w", err)
	}
	for i := range receipts {
		receipts[i].Provider = s.name
	}
	return receipts, nil
}

// Query says accepted of an attempt that was kept. Of one that was not it says that it cannot tell, as a carrier would.
func (s *Sender) Query(ctx context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error) {
	if s.b.Mute {
		return "", false, nil
	}
	kept, err := s.box.Has(ctx, id)
	if err != nil {
		return "", false, fmt.Errorf("query sandbox: %w", err)
	}
	if !kept {
		return "", false, nil
	}
	return duly.ReceiptAccepted, true, nil
}
