// Package webpush is the carrier that pushes to browsers: one POST to the push service of the borrower's browser, with the
// words encrypted for that browser alone (RFC 8030, 8291, 8292).
//
// A contact point's value is the subscription as the browser gives it:
//
//	{"endpoint":"https://updates.push.services.mozilla.com/wpush/v2/gAA…","keys":{"p256dh":"BCVx…","auth":"BTBZ…"}}
//
// The service worker of the lender's site gets {"title":…,"body":…,"tag":…,"lang":…,"id":…} and shows it. Accepted means that
// the push service has it, not that anybody saw it.
package webpush

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
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
	"github.com/dulyhq/duly/internal/channel/access"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Sender pushes to browsers.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	key    *ecdsa.PrivateKey
	public string // of key, as browsers are given it
	client *post.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Reacher = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".webpush"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	key, public, err := c.key()
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a private key").At(duly.Place{Field: at + ".private_key"})
	}
	c.Link = c.Link.WithDefaults()
	if len(c.Services) == 0 {
		c.Services = services()
	}
	return &Sender{name: name, c: c, clock: h.Clock, key: key, public: public, client: post.New(c.Link)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that a push service takes no message twice as one, and tells nothing later.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelPush}, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// Reaches reports whether an address has the form of a subscription.
func (s *Sender) Reaches(to string) bool { return strings.HasPrefix(strings.TrimSpace(to), "{") }

// lifeMax is what push services keep a message for at most.
const lifeMax = 28 * 24 * time.Hour

// note is what the service worker is given.
type note struct {
	Title string         `json:"title"`
	Body  string         `json:"body"`
	Tag   string         `json:"tag"` // one notification of a tag is shown: a later one takes its place
	Lang  string         `json:"lang,omitempty"`
	ID    duly.AttemptID `json:"id"`
}

// Send pushes the message.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	r, err := s.request(m)
	if err != nil {
		return channel.Accepted{}, err
	}
	got, err := s.client.Do(ctx, r)
	if err != nil {
		return channel.Accepted{}, err
	}
	if err := classify(got, m.Now); err != nil {
		return channel.Accepted{}, err
	}
	return channel.Accepted{}, nil
}

func (s *Sender) request(m channel.Message) (post.Request, *channel.Error) {
	if !s.Reaches(m.To) {
		return post.Request{}, &channel.Error{Class: channel.Permanent, Code: channel.NotItsAddress}
	}
	to, err := subscribed(m.To)
	if err != nil {
		return post.Request{}, err
	}
	if !s.allowed(to.url) {
		return post.Request{}, &channel.Error{Class: channel.Permanent, Code: "service_not_allowed"}
	}
	if !utf8.ValidString(m.Subject) || !utf8.ValidString(m.Text) {
		return post.Request{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	plain, jerr := json.Marshal(note{m.Subject, m.Text, m.Collapse(), m.Language, m.AttemptID})
	if jerr != nil {
		return post.Request{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	if len(plain) > plainMax {
		return post.Request{}, &channel.Error{Class: channel.Permanent, Code: "too_long"}
	}
	ours, kerr := ecdh.P256().GenerateKey(rand.Reader)
	if kerr != nil {
		return post.Request{}, &channel.Error{Class: channel.Temporary, Code: "encryption"}
	}
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails
	body, kerr := encrypt(to, ours, salt, pad(plain))
	if kerr != nil {
		return post.Request{}, &channel.Error{Class: channel.BadAddress, Code: "subscription"}
	}
	auth, kerr := s.authorization(to.url, m.Now)
	if kerr != nil {
		return post.Request{}, &channel.Error{Class: channel.Config, Code: "signature"}
	}
	return post.Request{URL: to.url, Body: body, Header: http.Header{
		"Authorization": {auth}, "Content-Type": {"application/octet-stream"}, "Content-Encoding": {"aes128gcm"}, "User-Agent": {"duly"},
		"Ttl": {strconv.Itoa(int(m.Life(lifeMax) / time.Second))}, "Topic": {m.Collapse()}, "Urgency": {"normal"},
	}}, nil
}

// authorization signs who we are for the push service of an endpoint (RFC 8292).
func (s *Sender) authorization(u *url.URL, now time.Time) (string, error) {
	if s.clock != nil {
		now = s.clock()
	}
	token, err := access.SignES256(s.key, "", map[string]any{
		"aud": u.Scheme + "://" + u.Host, "exp": now.Add(12 * time.Hour).Unix(), "sub": s.c.Contact,
	})
	return "vapid t=" + token + ", k=" + s.public, err
}

// allowed reports whether an endpoint is of a push service that is known: the address comes from a browser, and must not
// make Duly post to whatever host it names.
func (s *Sender) allowed(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	for _, service := range s.c.Services {
		if service = strings.ToLower(service); host == service || strings.HasSuffix(host, "."+service) {
			return u.Scheme == "https" || post.Loopback(host) || s.c.Link.Plaintext
		}
	}
	return false
}

// classify says what an answer means: nil that the message was taken.
//
//	201 202          taken (RFC 8030)
//	404 410          bad address: the subscription is over
//	400 413          permanent
//	401 403          config: the key is not the one that the browser subscribed with, or the signature is refused
//	429, 503         throttled, temporary; Retry-After is honoured
//	others           as post.ClassOf has them; another 2xx is no answer of a push service, so unknown
func classify(a post.Answer, now time.Time) *channel.Error {
	switch a.Status {
	case http.StatusCreated, http.StatusAccepted:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return &channel.Error{Class: channel.BadAddress, Code: "http_" + strconv.Itoa(a.Status)}
	}
	return a.Refusal(now)
}

// subscription is a browser's, taken apart.
type subscription struct {
	url    *url.URL
	public *ecdh.PublicKey
	secret []byte
}

// subscribed reads a contact point's value. What is no subscription will never be one.
func subscribed(text string) (subscription, *channel.Error) {
	bad := &channel.Error{Class: channel.BadAddress, Code: "subscription"}
	var v struct {
		Endpoint string `json:"endpoint"`
		Keys     struct {
			P256DH string `json:"p256dh"`
			Auth   string `json:"auth"`
		} `json:"keys"`
	}
	if json.Unmarshal([]byte(text), &v) != nil {
		return subscription{}, bad
	}
	u, err := url.Parse(v.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return subscription{}, bad
	}
	u.Fragment, u.RawFragment = "", ""
	point, err := decode(v.Keys.P256DH)
	if err != nil {
		return subscription{}, bad
	}
	public, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return subscription{}, bad
	}
	secret, err := decode(v.Keys.Auth)
	if err != nil || len(secret) != secretLen {
		return subscription{}, bad
	}
	return subscription{u, public, secret}, nil
}

// decode reads base64 in any of the spellings that browsers and libraries use.
func decode(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s))
}
