// Package inbox is the carrier of channel in_app: it keeps messages for the lender's app to fetch. A message is delivered
// when the app fetched it, and read when the app says so.
//
// What is kept says whether it was paid meanwhile, see the call GET /v1/inbox/{borrower}: nobody is asked for money that
// came in after the message was written.
package inbox

import (
	"context"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Box keeps messages. What is kept twice is kept once.
type Box interface {
	Keep(ctx context.Context, carrier string, m channel.Message) error
	Has(ctx context.Context, id duly.AttemptID) (bool, error)
}

// Config is how long the store may take.
type Config struct {
	Timeout time.Duration `yaml:"timeout"` // of one message; 10s where it is not given
}

const (
	timeoutDefault = 10 * time.Second
	timeoutMax     = 5 * time.Minute
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if c.Timeout < 0 || c.Timeout > timeoutMax {
		p.Add("timeout", "not from 0 to "+timeoutMax.String(), "write it as 10s")
	}
	return p.Err()
}

// Sender keeps messages in a box.
type Sender struct {
	name string
	c    Config
	box  Box
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Querier = (*Sender)(nil)
)

// New makes a sender of a name.
func New(name string, c Config, box Box) (*Sender, error) {
	if err := c.Check("carriers." + name + ".inbox"); err != nil {
		return nil, err
	}
	if c.Timeout == 0 {
		c.Timeout = timeoutDefault
	}
	return &Sender{name, c, box}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a message kept twice is one, and that what became of it is known.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelInApp}, Idempotent: true, Receipts: true, Query: true, Timeout: s.c.Timeout}
}

// Send keeps the message. Where the store does not say whether it has it, it is asked later.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	switch {
	case ctx.Err() != nil:
		return channel.Accepted{}, &channel.Error{Class: channel.Temporary, Code: "cancelled"}
	case !utf8.ValidString(m.Subject) || !utf8.ValidString(m.Text):
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	if err := s.box.Keep(ctx, s.name, m); err != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "store"}
	}
	return channel.Accepted{ProviderID: string(m.AttemptID)}, nil
}

// Query tells whether an attempt's message is kept.
func (s *Sender) Query(ctx context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error) {
	has, err := s.box.Has(ctx, id)
	if err != nil || !has {
		return "", false, err
	}
	return duly.ReceiptAccepted, true, nil
}
