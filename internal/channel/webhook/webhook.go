// Package webhook is the carrier that posts each message, signed, to a service of the lender's own, and takes that
// service's receipts.
//
// A message is one POST of JSON with three headers: Duly-Attempt is its id, Duly-Timestamp when it was signed, and
// Duly-Signature is v1=hex(HMAC-SHA256(secret, timestamp "." body)). What the service answers decides what Duly does
// next; see [post.ClassOf]. In short: 2xx is taken; 4xx, 503 and no connection prove that it was not; anything
// else is not known, and Duly will not send it again by itself. A service that knows an attempt it was given before
// should be configured as idempotent: then Duly asks again, within the time-out, until it does know.
//
//	POST /duly
//	{"attempt":"a0f3…-1","channel":"sms","to":"+8613800138000","text":"…","language":"zh-CN","expires_at":"2026-03-01T12:00:00Z"}
//
//	202 Accepted
//	{"id":"provider-7","status":"accepted"}
//
// Receipts come back as a POST signed in the same way, see [Sender.Receipts].
package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Sender posts messages to one URL.
type Sender struct {
	name      string
	c         Config
	clock     func() time.Time // nil: messages are signed as of their own Now, and callbacks not taken
	url       *url.URL
	keys      []key
	callbacks []key
	client    *post.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Inbound = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".webhook"); err != nil {
		return nil, err
	}
	if len(c.Serves) == 0 {
		c.Serves = h.Channels
	}
	c = c.withDefaults()
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: "carriers." + name + ".webhook.url"})
	}
	return &Sender{
		name: name, c: c, clock: h.Clock, url: u, keys: newKeys(c.Secrets), callbacks: newKeys(c.CallbackSecrets), client: post.New(c.link()),
	}, nil
}

// Limits of a conversation.
const (
	repeatsMax  = 2 // further tries of one message with a service that is idempotent
	repeatDelay = 250 * time.Millisecond
)

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what the configuration promises of the service.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: s.c.Serves, Idempotent: s.c.Idempotent, Receipts: len(s.c.CallbackSecrets) > 0, Timeout: s.c.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error {
	return s.client.Close()
}

// payload is a message as it is posted.
type payload struct {
	Attempt   duly.AttemptID  `json:"attempt"`
	Contact   duly.ContactID  `json:"contact,omitempty"`
	Borrower  duly.BorrowerID `json:"borrower"`
	Channel   duly.Channel    `json:"channel"`
	To        string          `json:"to"`
	Subject   string          `json:"subject,omitempty"`
	Text      string          `json:"text"`
	Language  string          `json:"language,omitempty"`
	Segments  int             `json:"segments,omitempty"`
	ExpiresAt time.Time       `json:"expires_at,omitzero"`
}

var (
	errTimeout = errors.New("the service did not answer in time")
	errNotText = errors.New("the message is not UTF-8")
)

// Send posts the message. To a service that is idempotent it posts the same message again, a few times, while it is not
// known whether it was taken.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Timeout, errTimeout)
	defer cancel()
	body, merr := encode(m)
	if merr != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	t := s.newTry(m, body)
	for n := 0; ; n++ {
		got, err := t.post(ctx)
		if err == nil {
			return got, nil
		}
		if err.Class != channel.Unknown && (n == 0 || settles(err.Class)) {
			return channel.Accepted{}, err
		}
		if !s.c.Idempotent || n == repeatsMax || !pause(ctx, repeatDelay<<n) {
			err.Class, err.RetryAfter = channel.Unknown, 0
			return channel.Accepted{}, err
		}
	}
}

// settles reports whether the answer to a repeat also tells what became of the message the first time. A service that
// is busy or does not know us has not looked at the message's id.
func settles(c channel.Class) bool {
	switch c {
	case channel.BadAddress, channel.OptedOut, channel.Permanent:
		return true
	case channel.Temporary, channel.Throttled, channel.Config, channel.Unknown:
		return false
	}
	return false
}

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func encode(m channel.Message) ([]byte, error) {
	if !utf8.ValidString(m.To) || !utf8.ValidString(m.Subject) || !utf8.ValidString(m.Text) {
		return nil, errNotText // JSON would change the words in silence
	}
	contact, _ := m.AttemptID.Contact()
	return json.Marshal(payload{
		Attempt: m.AttemptID, Contact: contact, Borrower: m.BorrowerID, Channel: m.Channel, To: m.To, Subject: m.Subject, Text: m.Text,
		Language: m.Language, Segments: m.Segments, ExpiresAt: m.ExpiresAt.UTC(),
	})
}

// try is one message on its way, signed once.
type try struct {
	s      *Sender
	now    time.Time
	body   []byte
	header http.Header
}

func (s *Sender) newTry(m channel.Message, body []byte) *try {
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	var signature []byte
	for i, k := range s.keys {
		if i > 0 {
			signature = append(signature, ',')
		}
		signature = k.append(signature, timestamp, body)
	}
	return &try{s: s, now: now, body: body, header: http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"duly"},
		HeaderAttempt: {string(m.AttemptID)}, HeaderTimestamp: {timestamp}, HeaderSignature: {string(signature)},
	}}
}
