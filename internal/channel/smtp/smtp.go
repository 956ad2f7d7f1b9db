// Package smtp is the carrier that hands e-mail to a mail server.
//
// A mail is taken when the server says so after the final dot, and not before: whatever goes wrong ahead of the dot
// proves that nothing was taken, whatever goes wrong after it without an answer is [channel.Unknown]. The attempt's id
// begins the Message-ID, so what a server took can be found in its log.
//
// What comes back comes as mail: bounces (RFC 3464, RFC 6533), complaints (RFC 5965) and replies. They are POSTed to Hear, or
// delivered to a maildir that Listen reads. Anybody can send mail, so a bounce or a complaint counts only where it holds the
// mark that we gave the attempt ([channel.Marks]); a reply without one is known by its sender.
//
//	s, err := smtp.New("mail", smtp.Config{Host: "smtp.lender.example", From: "Lender <notice@lender.example>"})
//	defer s.Close()
//	accepted, err := s.Send(ctx, m) // accepted.ProviderID is the server's queue id, where it tells one
package smtp

import (
	"context"
	"errors"
	"log/slog"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Sender hands mail to one server over a bounded number of connections, which it keeps for the next mail.
type Sender struct {
	name       string
	c          Config
	pool       *pool
	signatures []dkim.SignOptions
	clock      func() time.Time
	log        *slog.Logger
	counts     [countEnd]atomic.Int64
}

var (
	_ channel.Sender       = (*Sender)(nil)
	_ channel.Inbound      = (*Sender)(nil)
	_ channel.Listener     = (*Sender)(nil)
	_ channel.Unsubscriber = (*Sender)(nil)
	_ channel.Counter      = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".smtp"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	signatures, err := c.signers(at)
	if err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{name: name, c: c, pool: newPool(c), signatures: signatures, clock: h.Clock, log: h.Log}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a mail server takes e-mail, takes a repeated mail as a second one, and tells of it only where bounces are read.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelEmail}, Receipts: s.c.Inbox != "" || len(s.c.InboundSecrets) > 0, Timeout: s.c.Timeout}
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
	raw, cerr := s.compose(m)
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
		reply, err := conn.deliver(ctx, s.named(s.c.EnvelopeFrom, m.AttemptID), m.To, raw)
		stale := err != nil && err.phase == phaseMail && conn.reused && err.lost()
		s.pool.put(conn, err) // from here on it may be another's
		if stale {
			continue
		}
		return reply, err
	}
}

// named puts the mark of an attempt into an address.
func (s *Sender) named(address string, id duly.AttemptID) string {
	return strings.ReplaceAll(address, attemptMark, s.mark(id))
}

// mark names an attempt to the outside, with a proof where there are secrets.
func (s *Sender) mark(id duly.AttemptID) string {
	if len(s.c.Secrets) == 0 {
		return string(id)
	}
	return s.marks().Make(id)
}

// marks are those of envelopes, Message-IDs and addresses to reply to.
func (s *Sender) marks() channel.Marks { return channel.Marks{Use: "mail", Secrets: s.c.Secrets} }

// unsubscribes are those of links of refusal.
func (s *Sender) unsubscribes() channel.Marks {
	return channel.Marks{Use: "unsubscribe", Secrets: s.c.Secrets}
}

// Unsubscribe returns the attempt that a link's token was made for.
func (s *Sender) Unsubscribe(token string) (duly.AttemptID, bool) {
	return s.unsubscribes().Read(token)
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
