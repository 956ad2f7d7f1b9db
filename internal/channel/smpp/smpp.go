// Package smpp is the carrier that hands SMS to a message centre over SMPP 3.4.
//
// A message is taken when submit_sm is answered without an error, and not taken when it is answered with one, or was never wholly
// written to the connection. Everything else is [channel.Unknown]: the PDU left and no answer came, or one that is none. A text longer
// than one SMS goes in parts; the first is sent alone, so that a refusal of the message costs nothing, and the others follow until
// all are taken. Where in the end some were taken and others not, the answer is Unknown too, with code partial (ADR 22).
//
// What the carrier tells, receipts and what people wrote, is answered only after [Sender.Listen]'s take has it. The borrower's phone
// cannot forge a receipt: what makes a message one is its class, which the carrier sets.
//
//	s, err := smpp.New("sms", smpp.Config{Host: "smpp.carrier.example", SystemID: "lender", Password: channel.NewSecret("…"), From: "10690001"}, h)
//	defer s.Close()
//	accepted, err := s.Send(ctx, m) // accepted.ProviderID is the message_id, which receipts name
package smpp

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Sender hands SMS to one message centre over a bounded number of binds, which it makes at the first message, or when it is listened to.
type Sender struct {
	name  string
	c     Config
	clock func() time.Time
	log   *slog.Logger
	pace  *pace
	pool  *pool
	ear   *ear

	mu      sync.Mutex
	started bool
	closed  bool
	stop    context.CancelFunc
	wg      sync.WaitGroup

	doubts doubts
}

var (
	_ channel.Sender   = (*Sender)(nil)
	_ channel.Listener = (*Sender)(nil)
	_ channel.Querier  = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".smpp"); err != nil {
		return nil, err
	}
	s := &Sender{name: name, c: c.withDefaults(), clock: h.Clock, log: h.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("carrier", name)
	s.pace = newPace(c.Rate)
	s.ear = newEar(s)
	s.pool = newPool(&s.c, s.ear.hear, s.log.Warn)
	return s, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a message centre takes SMS, takes a repeated one as a second, and tells later what became of it where it is asked to.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelSMS}, Receipts: s.c.Receipts != ReceiptsNone, Query: s.c.Query, Timeout: s.c.Timeout,
	}
}

// start connects, unless that was done or the sender is closed.
func (s *Sender) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return
	}
	s.started = true
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.wg.Go(func() { s.pace.run(ctx) })
	s.pool.start()
}

// Close unbinds, and waits until every connection has ended. Messages under way are answered by what is known of them then.
func (s *Sender) Close() error {
	s.mu.Lock()
	running := s.started && !s.closed
	s.closed = true
	s.mu.Unlock()
	if running {
		s.stop()
		s.pool.close()
		s.wg.Wait()
	}
	return nil
}

func (s *Sender) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Codes of what is refused here, before anything leaves.
const (
	codeText    = "malformed_message"
	codeLong    = "too_long"
	codeExpired = "expired"
	codePartial = "partial"
)

// Send hands over one message.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Timeout, errTimeout)
	defer cancel()
	if ctx.Err() != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Temporary, Code: ended(ctx)}
	}
	if s.isClosed() {
		return channel.Accepted{}, &channel.Error{Class: channel.Temporary, Code: codeClosed}
	}
	submits, billed, err := s.c.compose(m)
	if err != nil {
		return channel.Accepted{}, err
	}
	s.start()
	u := s.c.unsure(m.AttemptID, submits)
	s.doubts.open(u)
	ids, err := s.submitAll(ctx, m, submits)
	s.doubts.close(u, ids, err)
	if err != nil {
		return channel.Accepted{}, err
	}
	return channel.Accepted{ProviderID: ids[0], Segments: billed, Parts: channel.JoinParts(ids)}, nil
}

// compose writes the submit_sm that a message takes, or says why this message can be none. It returns how many SMS are billed, too.
func (c *Config) compose(m channel.Message) ([]shortMessage, int, *channel.Error) {
	to, err := channel.Number(m.To, c.Region)
	if err != nil {
		return nil, 0, &channel.Error{Class: channel.BadAddress, Code: err.(*channel.Error).Code}
	}
	if m.Text == "" || !utf8.ValidString(m.Text) {
		return nil, 0, &channel.Error{Class: channel.Permanent, Code: codeText}
	}
	validity, live := c.validity(m.Now, m.ExpiresAt)
	if !live {
		return nil, 0, &channel.Error{Class: channel.Permanent, Code: codeExpired}
	}
	if !c.Plus {
		to = to[1:]
	}
	p := c.split(m.Text, m.AttemptID)
	if p.billed > c.PartsMax {
		return nil, 0, &channel.Error{Class: channel.Permanent, Code: codeLong, Detail: fmt.Sprintf("%d parts", p.billed)}
	}
	var out []shortMessage
	for n, part := range p.list {
		sm := shortMessage{
			service: c.Service, from: c.from, to: address{c.toTON, c.toNPI, to}, validity: validity, registered: c.registered(), coding: p.coding,
			text: part.words, options: part.tags,
		}
		if part.header != nil {
			sm.class, sm.text = classUDH, append(append([]byte{}, part.header...), part.words...)
		}
		if c.Reference {
			ref := reference(m.AttemptID, n+1)
			sm.options = append(sm.options, option{tagReference, []byte{byte(ref >> 8), byte(ref)}})
		}
		out = append(out, sm)
	}
	return out, p.billed, nil
}

// Bits of esm_class; section 5.2.12.
const (
	classUDH          = 0x40
	classKind         = 0x3c // what kind of message a deliver_sm is
	classReceipt      = 0x04
	classIntermediate = 0x20
)

// registered is registered_delivery; section 5.2.17.
func (c *Config) registered() byte {
	switch c.Receipts {
	case ReceiptsNone:
		return 0
	case ReceiptsFailures:
		return 2
	case ReceiptsAll:
	}
	return 1
}

// Bounds of validity_period.
const (
	validityMin = time.Minute
	validityMax = 30 * 24 * time.Hour
)

// validity writes until when a message may be delivered, section 7.1.1; false where that has passed.
func (c *Config) validity(now, until time.Time) (string, bool) {
	if until.IsZero() {
		return "", true
	}
	left := until.Sub(now)
	if left <= 0 {
		return "", false
	}
	left = min(max(left, validityMin), validityMax)
	switch c.Validity {
	case ValidityNone:
		return "", true
	case ValidityAbsolute:
		return now.Add(left).UTC().Format("060102150405") + "000+", true
	case ValidityRelative:
	}
	s := int(left / time.Second)
	return fmt.Sprintf("0000%02d%02d%02d%02d000R", s/86400, s/3600%24, s/60%60, s%60), true
}

// submitAll hands over the parts of a message. The first decides; what follows it is tried until it is taken, for a borrower who has one
// part should have all.
func (s *Sender) submitAll(ctx context.Context, m channel.Message, submits []shortMessage) ([]string, *channel.Error) {
	ids := make([]string, len(submits))
	var unsure *channel.Error
	for n := range submits {
		id, err := s.submitPart(ctx, m.AttemptID, submits, n)
		switch {
		case err == nil:
			ids[n] = id
		case n == 0 && (err.Class != channel.Unknown || ctx.Err() != nil):
			return ids, err
		case err.Class == channel.Unknown:
			unsure = err // the others go all the same: what is not known of one part is likelier to become a whole message so
		default:
			unsure = &channel.Error{Class: channel.Unknown, Code: codePartial, Detail: fmt.Sprintf("part %d of %d: %s", n+1, len(submits), err.Code)}
		}
		if unsure != nil && (ctx.Err() != nil || unsure.Code == codePartial) {
			break
		}
	}
	if unsure == nil {
		return ids, nil
	}
	unsure.RetryAfter, unsure.Parts = 0, channel.JoinParts(ids)
	return ids, unsure
}

// Waits of a part that is refused for the rate or for the moment, after others of its message were taken.
const (
	partRestMin = 100 * time.Millisecond
	partRestMax = 5 * time.Second
)

func (s *Sender) submitPart(ctx context.Context, id duly.AttemptID, submits []shortMessage, n int) (string, *channel.Error) {
	var late func(pdu)
	if len(submits) == 1 {
		late = func(p pdu) { s.ear.answered(id, p) }
	}
	for rest := partRestMin; ; rest = min(2*rest, partRestMax) {
		pid, err := s.submit(ctx, &submits[n], late)
		if err == nil || n == 0 || !passes(err.Class) || ctx.Err() != nil {
			return pid, err
		}
		if !pause(ctx, rest/2+rand.N(rest/2)) {
			return "", err
		}
	}
}

// passes reports whether what was proved not taken may be tried again at once.
func passes(c channel.Class) bool { return c == channel.Temporary || c == channel.Throttled }

// connectionsMax bounds how many connections one message may find lost before it was written.
const connectionsMax = 3

// submit hands over one submit_sm and returns its message_id.
func (s *Sender) submit(ctx context.Context, m *shortMessage, late func(pdu)) (string, *channel.Error) {
	if err := s.pace.wait(ctx); err != nil {
		return "", err
	}
	body := m.appendTo(nil)
	for n := 1; ; n++ {
		session, err := s.pool.get(ctx)
		if err != nil {
			return "", err
		}
		p, f := session.ask(ctx, submitSM, body, late)
		s.pool.put(session)
		switch {
		case f != nil && !f.written && f.code == codeConnection && n < connectionsMax:
			continue // nothing of it left
		case f != nil:
			return "", f.fail("submit_sm")
		case p.status != ok:
			e := s.c.refusal(p.status, "submit_sm")
			if e.Class == channel.Throttled {
				s.pace.throttled()
			}
			return "", e
		}
		s.pace.took()
		return s.c.MessageID.answered(readID(p.body)), nil
	}
}
