// Package fcm is the carrier that pushes through Firebase Cloud Messaging, HTTP v1: a token is had with the key of a service
// account, and each message is one POST.
//
// A contact point's value is the registration token of the lender's app. Accepted means that Google has the message, not
// that anybody saw it. A message takes the place of an earlier one about the same loan and due day, and is not shown after
// its words have ceased to be true; on a locked screen its words show only where the borrower allows that.
package fcm

import (
	"context"
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

// Sender pushes through FCM.
type Sender struct {
	name    string
	c       Config
	clock   func() time.Time
	account account
	url     *url.URL // of messages
	token   *url.URL // of access tokens
	keeper  *access.Keeper
	client  *post.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Reacher = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".fcm"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	a, _ := c.read()
	messages, err := url.Parse(strings.TrimRight(or(c.URL, urlDefault), "/") + "/v1/projects/" + url.PathEscape(a.Project) + "/messages:send")
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	token, err := url.Parse(or(c.TokenURL, a.TokenURL))
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".token_url"})
	}
	c.Link = c.Link.WithDefaults()
	s := &Sender{
		name: name, c: c, clock: h.Clock, account: a, token: token, client: post.New(c.Link),
		url: messages,
	}
	s.keeper = access.NewKeeper(s.fetch)
	return s, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that FCM takes no message twice as one, and tells nothing later.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelPush}, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// Lengths of a registration token; one of hex digits alone is Apple's.
const (
	tokenMin = 100
	tokenMax = 2048
)

// Reaches reports whether an address has the form of a registration token.
func (s *Sender) Reaches(to string) bool {
	hex := true
	for i := range len(to) {
		switch b := to[i]; {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'f', b >= 'A' && b <= 'F':
		case b >= 'g' && b <= 'z', b >= 'G' && b <= 'Z', b == '_', b == '-', b == ':':
			hex = false
		default:
			return false
		}
	}
	return len(to) >= tokenMin && len(to) <= tokenMax && !hex
}

// Limits of a message.
const (
	lifeMax  = 28 * 24 * time.Hour
	bodyMax  = 4096 // of the words with what is around them
	tokenEnd = time.Minute
)

type notification struct {
	Title string `json:"title,omitempty"`
	Body  string `json:"body"`
}

// message is FCM's own, with the same words for Android, Apple and browsers.
type message struct {
	Token        string            `json:"token"`
	Notification notification      `json:"notification"`
	Data         map[string]string `json:"data"`
	Android      android           `json:"android"`
	APNS         headers           `json:"apns"`
	WebPush      headers           `json:"webpush"`
}

type android struct {
	CollapseKey  string `json:"collapse_key"`
	TTL          string `json:"ttl"`
	Notification struct {
		Tag        string `json:"tag"`        // one of a tag is shown: a later one takes its place
		Visibility string `json:"visibility"` // on a locked screen
	} `json:"notification"`
}

type headers struct {
	Headers map[string]string `json:"headers"`
}

func encode(m channel.Message) ([]byte, *channel.Error) {
	if !utf8.ValidString(m.Subject) || !utf8.ValidString(m.Text) {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	life, name := m.Life(lifeMax), m.Collapse()
	out := message{
		Token: m.To, Notification: notification{m.Subject, m.Text}, Data: map[string]string{"duly_attempt": string(m.AttemptID), "duly_tag": name},
		Android: android{CollapseKey: name, TTL: strconv.Itoa(int(life/time.Second)) + "s"},
		APNS:    headers{map[string]string{"apns-collapse-id": name, "apns-expiration": strconv.FormatInt(m.Now.Add(life).Unix(), 10)}},
		WebPush: headers{map[string]string{"TTL": strconv.Itoa(int(life / time.Second)), "Topic": name}},
	}
	out.Android.Notification.Tag, out.Android.Notification.Visibility = name, "PRIVATE"
	body, err := json.Marshal(struct {
		Message message `json:"message"`
	}{out})
	if err != nil {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	if len(body)-len(m.To) > bodyMax {
		return nil, &channel.Error{Class: channel.Permanent, Code: "too_long"}
	}
	return body, nil
}

// Send pushes the message. An access token that Google does not take any more is had anew, once: what it refuses it has not
// taken.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	if !s.Reaches(m.To) {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: channel.NotItsAddress}
	}
	body, err := encode(m)
	if err != nil {
		return channel.Accepted{}, err
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	got, err := s.post(ctx, now, body)
	if err != nil && err.Code == codeStale {
		got, err = s.post(ctx, now, body)
	}
	if err != nil {
		return channel.Accepted{}, err
	}
	return got, nil
}

func (s *Sender) post(ctx context.Context, now time.Time, body []byte) (channel.Accepted, *channel.Error) {
	token, err := s.keeper.Get(ctx, now)
	if err != nil {
		return channel.Accepted{}, err
	}
	got, err := s.client.Do(ctx, post.Request{URL: s.url, Body: body, Header: http.Header{
		"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "User-Agent": {"duly"},
	}})
	if err != nil {
		return channel.Accepted{}, err
	}
	acc, err := read(got, now)
	if err != nil && err.Code == codeStale {
		s.keeper.Drop(token)
	}
	return acc, err
}

// scope is what the token is for.
const scope = "https://www.googleapis.com/auth/firebase.messaging"

// fetch gets an access token with a statement that the service account's key signs.
func (s *Sender) fetch(ctx context.Context, now time.Time) (access.Token, *channel.Error) {
	grant, err := access.SignRS256(s.account.key, s.account.KeyID, map[string]any{
		"iss": s.account.Email, "scope": scope, "aud": or(s.account.TokenURL, s.token.String()), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return access.Token{}, &channel.Error{Class: channel.Config, Code: "signature"}
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {grant}}
	got, cerr := s.client.Do(ctx, post.Request{URL: s.token, Body: []byte(form.Encode()), Header: http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "User-Agent": {"duly"},
	}})
	if cerr != nil {
		return access.Token{}, cerr
	}
	var v struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	if got.Status != http.StatusOK {
		return access.Token{}, got.Refusal(now)
	}
	if json.Unmarshal(got.Body, &v) != nil || v.Token == "" || strings.ContainsAny(v.Token, " \r\n") {
		return access.Token{}, &channel.Error{Class: channel.Temporary, Code: "not_json"}
	}
	return access.Token{Text: v.Token, Until: now.Add(time.Duration(min(max(v.Seconds, 0), 86400))*time.Second - tokenEnd)}, nil
}
