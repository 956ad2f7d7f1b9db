// Package jpush is the carrier that pushes through JPush (极光推送), which reaches the phones of mainland China that have no
// Google services.
//
// A contact point's value is the registration id of the lender's app. Each message carries a cid that JPush gave
// beforehand: JPush takes a message of one cid once a day, so where no answer came Duly asks again, within the time-out,
// until it knows. Accepted means that JPush has the message, not that anybody saw it.
package jpush

import (
	"context"
	"encoding/base64"
	"encoding/json"
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
)

// Sender pushes through JPush.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	push   *url.URL
	ids    *url.URL
	header http.Header
	cids   chan batch // holds the one batch, or nothing while it is being had
	client *post.Client
}

// batch is cids that were not used yet.
type batch struct {
	ids   []string
	until time.Time
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Reacher = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".jpush"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	if c.IDs == 0 {
		c.IDs = idsDefault
	}
	base := strings.TrimRight(c.url(), "/")
	push, err := url.Parse(base + "/v3/push")
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	ids, err := url.Parse(base + "/v3/push/cid?count=" + strconv.Itoa(c.IDs))
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	c.Link = c.Link.WithDefaults()
	s := &Sender{name: name, c: c, clock: h.Clock, push: push, ids: ids, cids: make(chan batch, 1), client: post.New(c.Link), header: http.Header{
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.AppKey+":"+c.MasterSecret.Reveal()))},
		"Content-Type":  {"application/json"}, "User-Agent": {"duly"},
	}}
	s.cids <- batch{}
	return s, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that JPush tells nothing later. A message is safe to repeat while its cid is known, which is within one Send:
// that Send is called twice, say by two processes, makes two messages.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelPush}, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// Reaches reports whether an address has the form of a registration id.
func (s *Sender) Reaches(to string) bool { return registration(to) }

// registration reports whether s is 10 to 50 letters and digits.
func registration(s string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z':
		default:
			return false
		}
	}
	return len(s) >= 10 && len(s) <= 50
}

// Limits of a message.
const (
	lifeMax     = 10 * 24 * time.Hour
	bodyMax     = 4000
	cidsLife    = 20 * time.Hour // JPush knows a cid for a day
	repeatsMax  = 2
	repeatDelay = 250 * time.Millisecond
)

type push struct {
	CID          string              `json:"cid"`
	Platform     string              `json:"platform"`
	Audience     map[string][]string `json:"audience"`
	Notification struct {
		Android android `json:"android"`
		IOS     ios     `json:"ios"`
	} `json:"notification"`
	Options options `json:"options"`
}

type alert struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

type android struct {
	Alert  string            `json:"alert"`
	Title  string            `json:"title"`
	Extras map[string]string `json:"extras"`
}

type ios struct {
	Alert  alert             `json:"alert"`
	Thread string            `json:"thread-id"`
	Extras map[string]string `json:"extras"`
}

type options struct {
	TTL         int    `json:"time_to_live"`
	Production  bool   `json:"apns_production"`
	CollapseIOS string `json:"apns_collapse_id"`
}

// Send pushes the message.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	if !s.Reaches(m.To) {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: channel.NotItsAddress}
	}
	if !utf8.ValidString(m.Subject) || !utf8.ValidString(m.Text) {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	cid, err := s.cid(ctx, now)
	if err != nil {
		return channel.Accepted{}, err
	}
	body, err := s.encode(m, cid)
	if err != nil {
		return channel.Accepted{}, err
	}
	return s.repeat(ctx, now, body)
}

// repeat pushes one message, of one cid, until it is known what became of it.
func (s *Sender) repeat(ctx context.Context, now time.Time, body []byte) (channel.Accepted, error) {
	for n := 0; ; n++ {
		got, err := s.client.Do(ctx, post.Request{URL: s.push, Header: s.header, Body: body})
		if err == nil {
			var acc channel.Accepted
			if acc, err = read(got, now); err == nil {
				return acc, nil
			}
		}
		settled := err.Class == channel.BadAddress || err.Class == channel.Permanent // of a repeat: it was refused the first time too
		if err.Class != channel.Unknown && (n == 0 || settled) {
			return channel.Accepted{}, err
		}
		if n == repeatsMax || !pause(ctx, repeatDelay<<n) {
			err.Class, err.RetryAfter = channel.Unknown, 0
			return channel.Accepted{}, err
		}
	}
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

func (s *Sender) encode(m channel.Message, cid string) ([]byte, *channel.Error) {
	extras := map[string]string{"duly_attempt": string(m.AttemptID), "duly_tag": m.Collapse()}
	p := push{CID: cid, Platform: "all", Audience: map[string][]string{"registration_id": {m.To}}}
	p.Notification.Android = android{m.Text, m.Subject, extras}
	p.Notification.IOS = ios{alert{m.Subject, m.Text}, "duly", extras}
	p.Options = options{int(m.Life(lifeMax) / time.Second), !s.c.Development, m.Collapse()}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	if len(body) > bodyMax {
		return nil, &channel.Error{Class: channel.Permanent, Code: "too_long"}
	}
	return body, nil
}

// cid takes one from the batch, and has a new batch where it is empty. Whatever goes wrong, no message has left.
func (s *Sender) cid(ctx context.Context, now time.Time) (string, *channel.Error) {
	var b batch
	select {
	case <-ctx.Done():
		return "", &channel.Error{Class: channel.Temporary, Code: "cancelled", Detail: "cid"}
	case b = <-s.cids:
	}
	defer func() { s.cids <- b }()
	if len(b.ids) == 0 || !now.Before(b.until) {
		ids, err := s.fetch(ctx, now)
		if err != nil {
			b = batch{}
			return "", err
		}
		b = batch{ids, now.Add(cidsLife)}
	}
	id := b.ids[0]
	b.ids = b.ids[1:]
	return id, nil
}

func (s *Sender) fetch(ctx context.Context, now time.Time) ([]string, *channel.Error) {
	got, err := s.client.Do(ctx, post.Request{Method: http.MethodGet, URL: s.ids, Header: s.header, AnswerMax: 256 << 10})
	var v struct {
		IDs []string `json:"cidlist"`
	}
	switch {
	case err == nil && got.Status == http.StatusOK:
		if json.Unmarshal(got.Body, &v) == nil && len(v.IDs) > 0 && len(v.IDs) <= idsMax && valid(v.IDs) {
			return v.IDs, nil
		}
		err = &channel.Error{Class: channel.Temporary, Code: "not_jpush"}
	case err == nil:
		if _, err = read(got, now); err == nil {
			err = &channel.Error{Class: channel.Temporary, Code: "not_jpush"}
		}
	}
	switch err.Class {
	case channel.Unknown:
		err.Class = channel.Temporary
	case channel.BadAddress, channel.Permanent, channel.OptedOut:
		err.Class = channel.Config
	case channel.Temporary, channel.Throttled, channel.Config:
	}
	err.Detail = "cid"
	return nil, err
}

func valid(ids []string) bool {
	for _, id := range ids {
		if !callback.Reference(id) {
			return false
		}
	}
	return true
}
