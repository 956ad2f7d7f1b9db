// Package wecom is the carrier that sends messages of a WeCom (企业微信) app to members of the company: the lender's staff, or
// borrowers whom it has made members.
//
// A contact point's value is the member's user id. WeCom drops in silence what goes to one member beyond 30 messages a
// minute, so Duly holds back there what this process would send beyond it. The same words to the same member within half an hour are sent once.
package wecom

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/weixin"
)

// Config is the lender's app at WeCom.
type Config struct {
	CorpID  string         `yaml:"corp_id"`
	AgentID int            `yaml:"agent_id"`
	Secret  channel.Secret `yaml:"secret"`
	URL     string         `yaml:"url"` // https://qyapi.weixin.qq.com where it is not given
	Link    post.Link      `yaml:",inline"`
}

const urlDefault = "https://qyapi.weixin.qq.com"

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if c.CorpID == "" {
		p.Add("corp_id", "missing", "copy it from the company's page at WeCom")
	}
	if c.AgentID <= 0 {
		p.Add("agent_id", "missing", "copy it from the app's page at WeCom")
	}
	if c.Secret.IsZero() {
		p.Add("secret", "missing", "copy it from the app's page at WeCom, such as ${DULY_WECOM_SECRET}")
	}
	c.Link.Check(p)
	c.Link.CheckURL(p, "url", c.url())
	return p.Err()
}

func (c Config) url() string {
	if c.URL == "" {
		return urlDefault
	}
	return c.URL
}

// Sender sends messages of an app.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	url    *url.URL
	client *post.Client
	caller *weixin.Caller
	rate   rate
}

var _ channel.Sender = (*Sender)(nil)

// codes are what errcodes of messages mean.
var codes = map[int]channel.Class{
	81013: channel.BadAddress,                                                                              // none of the addressees is a member, or may see the app
	40008: channel.Permanent, 40058: channel.Permanent, 45002: channel.Permanent, 44004: channel.Permanent, // kind, parameter, too long, empty
	40056: channel.Config, 40091: channel.Config, 60011: channel.Config, 301002: channel.Config, // the app
	45033: channel.Throttled,
}

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".wecom"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	c.Link = c.Link.WithDefaults()
	base := strings.TrimRight(c.url(), "/")
	send, err := url.Parse(base + "/cgi-bin/message/send")
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	token, err := url.Parse(base + "/cgi-bin/gettoken?" + url.Values{"corpid": {c.CorpID}, "corpsecret": {c.Secret.Reveal()}}.Encode())
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	client := post.New(c.Link)
	return &Sender{
		name: name, c: c, clock: h.Clock, url: send, client: client, rate: rate{sent: map[string][]time.Time{}},
		caller: weixin.NewCaller(client, post.Request{Method: http.MethodGet, URL: token}, "wecom", codes),
	}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that WeCom tells nothing later.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelIM}, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// Limits of a message.
const (
	textMax        = 2048 // bytes; WeCom cuts off what is beyond
	duplicatesOver = 1800 // seconds in which the same message is known
)

// Send sends the message.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	body, err := s.body(m)
	if err != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	switch {
	case !callback.Reference(m.To) || strings.ContainsAny(m.To, "|@"): // several members, or all of them
		return channel.Accepted{}, &channel.Error{Class: channel.BadAddress, Code: "user_id"}
	case len(m.Text) > textMax:
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "too_long"}
	case !s.rate.allows(m.To, now):
		return channel.Accepted{}, &channel.Error{Class: channel.Throttled, Code: "member_rate", RetryAfter: time.Minute}
	}
	got, cerr := s.caller.Post(ctx, now, s.url, body)
	switch {
	case cerr != nil:
		return channel.Accepted{}, cerr
	case got.Invalid != "": // errcode 0, and the one addressee left out
		return channel.Accepted{}, &channel.Error{Class: channel.BadAddress, Code: "wecom_invaliduser"}
	}
	return channel.Accepted{ProviderID: got.MessageID()}, nil
}

var errNotText = errors.New("not UTF-8")

func (s *Sender) body(m channel.Message) ([]byte, error) {
	if !utf8.ValidString(m.Text) {
		return nil, errNotText
	}
	return json.Marshal(map[string]any{
		"touser": m.To, "msgtype": "text", "agentid": s.c.AgentID, "text": map[string]string{"content": m.Text},
		"enable_duplicate_check": 1, "duplicate_check_interval": duplicatesOver,
	})
}

// rate counts what went to each member within the last minute.
type rate struct {
	mu   sync.Mutex
	sent map[string][]time.Time
}

const (
	perMinute  = 30
	membersMax = 10_000 // that are counted; beyond it the counts begin anew
)

func (r *rate) allows(to string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.sent[to][:0]
	for _, at := range r.sent[to] {
		if now.Sub(at) < time.Minute {
			kept = append(kept, at)
		}
	}
	if len(kept) >= perMinute {
		r.sent[to] = kept
		return false
	}
	if len(r.sent) >= membersMax {
		clear(r.sent)
	}
	r.sent[to] = append(kept, now)
	return true
}
