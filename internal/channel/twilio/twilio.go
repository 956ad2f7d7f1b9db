// Package twilio is the carrier of Twilio's Programmable Messaging: SMS as free text.
//
// Each message names the URL that Twilio calls of its status, with the attempt's id in it. A message whose answer was lost is
// looked for among those to the number at that time: if there is exactly one, it is that one. So the sender should be Duly's
// alone.
package twilio

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
)

// Config is the account, and who messages are from: one of the two.
type Config struct {
	Account twilioapi.Account `yaml:",inline"`
	From    string            `yaml:"from"`                  // a number of the account's, or a name where the country allows one
	Service string            `yaml:"messaging_service_sid"` // or a messaging service's
	Link    post.Link         `yaml:",inline"`
}

const (
	textMax     = 1600 // characters
	validityMax = 10 * time.Hour
	segmentsMax = 100
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.Account.Check(p, c.Link)
	if (c.From == "") == (c.Service == "") {
		p.Add("from", "not one of from and messaging_service_sid", "write one of them")
	}
	c.Link.Check(p)
	return p.Err()
}

// Sender hands messages to Twilio.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	client *twilioapi.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Inbound = (*Sender)(nil)
	_ channel.Finder  = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".twilio"); err != nil {
		return nil, err
	}
	c.Link = c.Link.WithDefaults()
	return &Sender{name, c, h.Clock, twilioapi.New(c.Account, c.Link)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what Twilio can do.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelSMS}, Receipts: s.client.Hears(), Query: true, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

var errTimeout = errors.New("the service did not answer in time")

// Send hands over a text.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	to, malformed := channel.Number(m.To, "")
	switch {
	case malformed != nil:
		return channel.Accepted{}, malformed
	case m.Text == "" || !utf8.ValidString(m.Text):
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	case utf8.RuneCountInString(m.Text) > textMax:
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "text_too_long"}
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	got, err := s.client.Create(ctx, "Messages", s.form(m, to, now), now)
	if err != nil {
		return channel.Accepted{}, err
	}
	out := channel.Accepted{ProviderID: got.SID}
	if n, err := strconv.Atoi(got.NumSegments); err == nil && n > 0 && n <= segmentsMax {
		out.Segments = n
	}
	return out, nil
}

func (s *Sender) form(m channel.Message, to string, now time.Time) url.Values {
	form := url.Values{"To": {to}, "Body": {m.Text}}
	if s.c.From != "" {
		form.Set("From", s.c.From)
	} else {
		form.Set("MessagingServiceSid", s.c.Service)
	}
	if u := s.client.Callback(m.AttemptID); u != "" {
		form.Set("StatusCallback", u)
	}
	if left := m.ExpiresAt.Sub(now); left > 0 && left < validityMax { // what is not delivered by then is no longer true
		form.Set("ValidityPeriod", strconv.Itoa(max(1, int(left/time.Second))))
	}
	return form
}

// receiptCodes are the error codes of messages that say more than that one failed.
var receiptCodes = map[string]duly.ReceiptStatus{
	"21610": duly.ReceiptOptedOut,
	"30005": duly.ReceiptBadAddress, // no such handset
	"30006": duly.ReceiptBadAddress, // a landline, or out of every carrier's reach
	"21614": duly.ReceiptBadAddress,
	"21211": duly.ReceiptBadAddress,
}

// statusOf says what a message's status means; false for those of messages to us.
func statusOf(status, code string) (duly.ReceiptStatus, bool) {
	switch status {
	case "accepted", "scheduled", "queued", "sending", "sent":
		return duly.ReceiptAccepted, true
	case "delivered":
		return duly.ReceiptDelivered, true
	case "read":
		return duly.ReceiptRead, true
	case "undelivered", "failed", "canceled":
		if s, ok := receiptCodes[code]; ok {
			return s, true
		}
		return duly.ReceiptFailed, true
	}
	return "", false
}

// Hear reads what Twilio calls: a message's status, or a message to us.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	called, err := s.client.Prove(r, body)
	if err != nil {
		return channel.Heard{}, err
	}
	if s.clock == nil {
		return channel.Heard{}, twilioapi.ErrClock
	}
	form, now := called.Form, s.clock().UTC()
	id := form.Get("MessageSid")
	if !callback.Reference(id) {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not 1 to 128 printable characters").At(duly.Place{Field: "MessageSid"})
	}
	if form.Has("MessageStatus") {
		return s.receipt(called, id, now)
	}
	return reply(form, id, now)
}

func (s *Sender) receipt(called twilioapi.Called, id string, now time.Time) (channel.Heard, error) {
	said, code := called.Form.Get("MessageStatus"), called.Form.Get("ErrorCode")
	status, ok := statusOf(said, code)
	if !ok {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not a status that Twilio documents of messages that are sent").At(duly.Place{Field: "MessageStatus"})
	}
	return channel.Heard{
		Receipts: []duly.Receipt{{
			Provider: s.name, Key: id + ":" + said, AttemptID: called.AttemptID, ProviderID: id, Status: status, Detail: callback.Word(code), At: now,
		}},
		Answer: &channel.Answer{Status: http.StatusNoContent},
	}, nil
}

// reply reads a message to us. That somebody stopped messages is news of the address besides: Twilio will send it no more.
func reply(form url.Values, id string, now time.Time) (channel.Heard, error) {
	from, text := form.Get("From"), form.Get("Body")
	switch {
	case !channel.E164(from):
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not a telephone number").At(duly.Place{Field: "From"})
	case !callback.Text(text):
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not 1 to 4096 bytes of text").At(duly.Place{Field: "Body"})
	}
	heard := channel.Heard{
		Replies: []channel.Reply{{Key: id, Channel: duly.ChannelSMS, From: from, Text: text, At: now}},
		Answer:  &channel.Answer{Type: "text/xml", Body: []byte(`<?xml version="1.0" encoding="UTF-8"?><Response/>`)},
	}
	if form.Get("OptOutType") == "STOP" {
		heard.Points = []channel.PointNews{{Key: id + ":stop", Kind: duly.PointMobile, Value: from, OptedOut: duly.ChannelSMS, At: now}}
	}
	return heard, nil
}

// Find asks Twilio after a message.
func (s *Sender) Find(ctx context.Context, q channel.Question) (duly.ReceiptStatus, bool, error) {
	if !channel.E164(q.To) || s.clock == nil {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	got, ok, err := s.client.Find(ctx, "Messages", q, s.c.Link.Timeout, s.clock())
	if err != nil {
		return "", false, err
	}
	code := ""
	if got.ErrorCode != nil {
		code = strconv.Itoa(*got.ErrorCode)
	}
	status, known := statusOf(got.Status, code)
	if !ok || !known {
		return "", false, nil
	}
	return status, true, nil
}
