// Package twiliovoice is the carrier of Twilio's Programmable Voice: a call that speaks a message's words, and may take a key.
//
// What it speaks are the words of a template's `call`, which ask for the person and name no debt. Whether a machine answered is
// found out before they are spoken, and told afterwards: then the person has not heard them.
//
// A call that was made and not answered counts as made: its receipt says accepted, with the reason in its detail, so that the
// contact is not tried again by itself and counts against the caps.
package twiliovoice

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
)

// Config is the account, who calls, and what keys mean.
type Config struct {
	Account twilioapi.Account `yaml:",inline"`
	From    string            `yaml:"from"`     // a number of the account's
	Voice   string            `yaml:"voice"`    // of Twilio's voices, such as Polly.Zhiyu; that of the language where it is not given
	Ring    time.Duration     `yaml:"ring"`     // how long it may ring; 30s where it is not given
	Keys    map[string]string `yaml:"keys"`     // what a key that was pressed says, in words that docs/replies.md reads
	Thanks  string            `yaml:"thanks"`   // spoken after a key
	Tongue  string            `yaml:"language"` // of thanks: zh-CN; English where it is not given
	Link    post.Link         `yaml:",inline"`
}

const (
	twimlMax    = 4000 // characters of the instructions, as documented
	ringDefault = 30 * time.Second
	ringMax     = 2 * time.Minute
	keyWait     = 5 // seconds for a key after the words
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.Account.Check(p, c.Link)
	if !channel.E164(c.From) {
		p.Add("from", "not a telephone number", "write a number of the account's as +14155550100")
	}
	if strings.Trim(c.Voice, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "" {
		p.Add("voice", "not the name of a voice", "write it as Twilio does: Polly.Zhiyu")
	}
	if c.Ring < 0 || c.Ring > ringMax || c.Ring%time.Second != 0 {
		p.Add("ring", "not whole seconds up to "+ringMax.String(), "write it as 30s")
	}
	if strings.Trim(c.Tongue, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		p.Add("language", "not a language", "write it as zh-CN")
	}
	callback.CheckKeys(p, "keys", c.Keys)
	if len(c.Keys) > 0 && c.Account.CallbackURL == "" {
		p.Add("keys", "nobody is told of them", "set callback_url")
	}
	c.Link.Check(p)
	return p.Err()
}

// Sender has Twilio call.
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
	if err := c.Check("carriers." + name + ".twilio_voice"); err != nil {
		return nil, err
	}
	if c.Ring == 0 {
		c.Ring = ringDefault
	}
	c.Link = c.Link.WithDefaults()
	return &Sender{name, c, h.Clock, twilioapi.New(c.Account, c.Link)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what Twilio can do.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelPrerecorded}, Receipts: s.client.Hears(), Query: true, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

var errTimeout = errors.New("the service did not answer in time")

// Send has Twilio call and speak.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	to, malformed := channel.Number(m.To, "")
	if malformed != nil {
		return channel.Accepted{}, malformed
	}
	if m.Text == "" || !utf8.ValidString(m.Text) {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	spoken := s.instructions(m)
	if utf8.RuneCountInString(spoken) > twimlMax {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "text_too_long"}
	}
	form := url.Values{
		"To": {to}, "From": {s.c.From}, "Twiml": {spoken}, "Timeout": {strconv.Itoa(int(s.c.Ring / time.Second))}, "MachineDetection": {"Enable"},
	}
	if u := s.client.Callback(m.AttemptID); u != "" {
		form.Set("StatusCallback", u)
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	got, err := s.client.Create(ctx, "Calls", form, now)
	if err != nil {
		return channel.Accepted{}, err
	}
	return channel.Accepted{ProviderID: got.SID}, nil
}

// say is words to speak.
type say struct {
	Language string `xml:"language,attr,omitempty"`
	Voice    string `xml:"voice,attr,omitempty"`
	Words    string `xml:",chardata"`
}

// instructions writes TwiML: the words, and where keys mean something, a key during or after them.
func (s *Sender) instructions(m channel.Message) string {
	words := say{m.Language, s.c.Voice, m.Text}
	var v any = struct {
		XMLName xml.Name `xml:"Response"`
		Say     say      `xml:"Say"`
	}{Say: words}
	if len(s.c.Keys) > 0 {
		type gather struct {
			Digits int    `xml:"numDigits,attr"`
			Wait   int    `xml:"timeout,attr"`
			Action string `xml:"action,attr"`
			Method string `xml:"method,attr"`
			Say    say    `xml:"Say"`
		}
		v = struct {
			XMLName xml.Name `xml:"Response"`
			Gather  gather   `xml:"Gather"`
		}{Gather: gather{1, keyWait, s.client.Callback(m.AttemptID), http.MethodPost, words}}
	}
	return document(v)
}

func document(v any) string {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>`)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		panic("twiliovoice.document: " + err.Error()) // the types above are all that it is given
	}
	return b.String()
}

// statusOf says what a call's status means. A call that rang counts as made, whoever did not answer it.
func statusOf(status, answeredBy, sip string) (duly.ReceiptStatus, bool) {
	switch status {
	case "queued", "initiated", "ringing", "in-progress", "busy", "no-answer", "canceled":
		return duly.ReceiptAccepted, true
	case "completed":
		if strings.HasPrefix(answeredBy, "machine") || answeredBy == "fax" {
			return duly.ReceiptAccepted, true
		}
		return duly.ReceiptDelivered, true
	case "failed":
		switch sip {
		case "404", "484", "604": // no such number
			return duly.ReceiptBadAddress, true
		}
		return duly.ReceiptFailed, true
	}
	return "", false
}

// Hear reads what Twilio calls: a call's status, or the key that was pressed.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	called, err := s.client.Prove(r, body)
	if err != nil {
		return channel.Heard{}, err
	}
	if s.clock == nil {
		return channel.Heard{}, twilioapi.ErrClock
	}
	now, id := s.clock().UTC(), called.Form.Get("CallSid")
	if !callback.Reference(id) {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not 1 to 128 printable characters").At(duly.Place{Field: "CallSid"})
	}
	if called.Form.Has("Digits") {
		return s.key(called, id, now), nil
	}
	return s.receipt(called, id, now)
}

func (s *Sender) receipt(called twilioapi.Called, id string, now time.Time) (channel.Heard, error) {
	form := called.Form
	said, by := form.Get("CallStatus"), form.Get("AnsweredBy")
	status, ok := statusOf(said, by, form.Get("SipResponseCode"))
	if !ok {
		return channel.Heard{}, duly.Errorf(duly.Invalid, "not a status that Twilio documents of calls").At(duly.Place{Field: "CallStatus"})
	}
	detail := said
	if by != "" {
		detail += ":" + by
	}
	return channel.Heard{
		Receipts: []duly.Receipt{{
			Provider: s.name, Key: id + ":" + said, AttemptID: called.AttemptID, ProviderID: id, Status: status, Detail: callback.Word(detail), At: now,
		}},
		Answer: &channel.Answer{Status: http.StatusNoContent},
	}, nil
}

// key reads a key; the answer is what is said and done next: thanks, and the end.
func (s *Sender) key(called twilioapi.Called, id string, now time.Time) channel.Heard {
	next := struct {
		XMLName xml.Name `xml:"Response"`
		Say     *say     `xml:"Say,omitempty"`
		Hangup  struct{} `xml:"Hangup"`
	}{}
	if s.c.Thanks != "" {
		next.Say = &say{s.c.Tongue, s.c.Voice, s.c.Thanks}
	}
	heard := channel.Heard{Answer: &channel.Answer{Type: "text/xml", Body: []byte(document(next))}}
	words, to := s.c.Keys[called.Form.Get("Digits")], called.Form.Get("To")
	if words == "" || called.AttemptID == "" {
		return heard
	}
	if !channel.E164(to) {
		to = "" // the attempt says who it is
	}
	heard.Replies = []channel.Reply{{
		Key: "key:" + id, Channel: duly.ChannelPrerecorded, AttemptID: called.AttemptID, From: to, Text: words, At: now,
	}}
	return heard
}

// Find asks Twilio after a call.
func (s *Sender) Find(ctx context.Context, q channel.Question) (duly.ReceiptStatus, bool, error) {
	if !channel.E164(q.To) || s.clock == nil {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	got, ok, err := s.client.Find(ctx, "Calls", q, s.c.Link.Timeout, s.clock())
	if err != nil {
		return "", false, err
	}
	status, known := statusOf(got.Status, got.AnsweredBy, "")
	if !ok || !known {
		return "", false, nil
	}
	return status, true, nil
}
