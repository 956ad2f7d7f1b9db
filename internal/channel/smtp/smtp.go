// Package smtp is the carrier that hands e-mail to a mail server.
//
// A mail is taken when the server says so after the final dot, and not before: whatever goes wrong ahead of the dot
// proves that nothing was taken, whatever goes wrong after it without an answer is [channel.Unknown]. The attempt's id
// is the Message-ID, so what a server took can be found in its log.
//
//	s, err := smtp.New("mail", smtp.Config{Host: "smtp.lender.example", From: "Lender <notice@lender.example>"})
//	defer s.Close()
//	accepted, err := s.Send(ctx, m) // accepted.ProviderID is the server's queue id, where it tells one
package smtp

import (
	"context"
	"errors"
	"net/textproto"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Sender hands mail to one server over a bounded number of connections, which it keeps for the next mail.
type Sender struct {
	name string
	c    Config
	pool *pool
}

var _ channel.Sender = (*Sender)(nil)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, _ channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".smtp"); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	return &Sender{name: name, c: c, pool: newPool(c)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a mail server takes e-mail, takes a repeated mail as a second one, and tells nothing more of it.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelEmail}, Timeout: s.c.Timeout}
}

// Close ends the connections that are kept. A Send under way ends its own.
func (s *Sender) Close() error {
	s.pool.close()
	return nil
}

var errTimeout = errors.New("the mail server did not answer in time")

// Send hands over one mail.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Timeout, errTimeout)
	defer cancel()
	raw, cerr := s.c.compose(m)
	if cerr != nil {
		return channel.Accepted{}, cerr
	}
	reply, err := s.deliver(ctx, m, raw)
	if err != nil {
		return channel.Accepted{}, s.classify(err)
	}
	return channel.Accepted{ProviderID: queueID(reply)}, nil
}

// deliver makes the transaction on a kept connection or a new one. A kept connection that the server has given up
// meanwhile shows at the first command; then a new one is tried, for nothing was said yet.
func (s *Sender) deliver(ctx context.Context, m channel.Message, raw []byte) (string, *failure) {
	for {
		conn, err := s.pool.get(ctx)
		if err != nil {
			return "", err
		}
		reply, err := conn.deliver(ctx, s.c.envelope(m.AttemptID), m.To, raw)
		stale := err != nil && err.phase == phaseMail && conn.reused && err.lost()
		s.pool.put(conn, err) // from here on it may be another's
		if stale {
			continue
		}
		return reply, err
	}
}

// envelope is the address that a bounce goes to.
func (c *Config) envelope(id duly.AttemptID) string {
	return strings.ReplaceAll(c.EnvelopeFrom, attemptMark, string(id))
}

// queueIDMax is the longest reference that is taken for one.
const queueIDMax = 64

// queueID finds the reference that servers of the common kinds give: "2.0.0 Ok: queued as 4F2A81".
func queueID(reply string) string {
	_, after, ok := strings.Cut(reply, "queued as ")
	if !ok {
		return ""
	}
	end := strings.IndexFunc(after, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_')
	})
	if end >= 0 {
		after = after[:end]
	}
	if len(after) > queueIDMax {
		return ""
	}
	return after
}

// phase is how far a transaction got.
type phase string

// The phases, in order. Ahead of phaseDot the server cannot have taken the mail.
const (
	phaseWait     phase = "wait" // for a free connection
	phaseConnect  phase = "connect"
	phaseTLS      phase = "tls"
	phaseGreeting phase = "greeting"
	phaseAuth     phase = "auth"
	phaseMail     phase = "mail"
	phaseRcpt     phase = "rcpt"
	phaseData     phase = "data"
	phaseContent  phase = "content"
	phaseDot      phase = "dot"
)

// failure is an error with the phase it happened in. Its text may hold what the server said, so it goes no further than
// classify.
type failure struct {
	phase phase
	err   error
	ctx   error // of the context, if the server did not answer because it had ended
}

// reply returns the server's code and text, or 0 where it did not answer.
func (f *failure) reply() (int, string) {
	if e, ok := errors.AsType[*textproto.Error](f.err); ok {
		return e.Code, e.Msg
	}
	return 0, ""
}

// lost reports whether the connection is gone rather than the command refused.
func (f *failure) lost() bool {
	code, _ := f.reply()
	return f.ctx == nil && (code == 0 || code == codeClosing)
}

// failed makes a failure. Where the server did not answer and the context has ended, that end is what went wrong.
func failed(ctx context.Context, p phase, err error) *failure {
	f := &failure{phase: p, err: err}
	if code, _ := f.reply(); code == 0 {
		f.ctx = ctx.Err()
	}
	return f
}

// retryAfterBusy is how long a server that is busy is left alone; it does not say itself.
const retryAfterBusy = time.Minute
