// Package wechat is the carrier that sends WeChat's messages by template: 模板消息 and 订阅通知 of a service account, 订阅消息
// of a mini program.
//
// A contact point's value is the borrower's openid with that account. A message is WeChat's template with values for its
// keywords; the words of Duly's template are not sent. For 订阅 WeChat demands a consent for each message, and counts them
// itself: where none is left it refuses, with code wechat_43101, and the next channel is used. Duly keeps no count of its
// own, which would differ from WeChat's whenever a borrower changes the settings or another system sends.
package wechat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/weixin"
)

// Sender sends WeChat's messages.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	url    *url.URL
	client *post.Client
	caller *weixin.Caller
	seal   weixin.Seal
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Inbound = (*Sender)(nil)
)

// codes are what errcodes of messages mean.
var codes = map[int]channel.Class{
	43004: channel.Permanent,                                                     // does not follow the account (any more)
	43101: channel.Permanent,                                                     // refused, or no consent is left: of this template, so it is no refusal of the channel
	40037: channel.Permanent,                                                     // the template
	41028: channel.Permanent, 41029: channel.Permanent, 41030: channel.Permanent, // form, page
	47003: channel.Permanent,                     // a keyword's value
	43107: channel.Config, 43116: channel.Config, // the account may not send
	43108: channel.Throttled,
}

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".wechat"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	c.Link = c.Link.WithDefaults()
	base := strings.TrimRight(c.url(), "/")
	send, err := url.Parse(base + paths[c.Product])
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	token, err := url.Parse(base + "/cgi-bin/stable_token")
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	ask, err := json.Marshal(map[string]string{"grant_type": "client_credential", "appid": c.AppID, "secret": c.Secret.Reveal()})
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not text").At(duly.Place{Field: at + ".secret"})
	}
	seal, err := weixin.NewSeal(c.Callback, c.AppID)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not an EncodingAESKey").At(duly.Place{Field: at + ".callback.encoding_aes_key"})
	}
	client := post.New(c.Link)
	return &Sender{
		name: name, c: c, clock: h.Clock, url: send, client: client, seal: seal,
		caller: weixin.NewCaller(client, post.Request{URL: token, Body: ask, Header: http.Header{"Content-Type": {"application/json"}}}, "wechat", codes),
	}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that templates are WeChat's. A message of a template is known again for ten minutes only, so it is not idempotent.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelIM}, Receipts: s.seal.Taken(), Variables: true, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// valueMax is how many characters the longest kind of keyword holds: WeChat refuses what is longer for its kind, 47003.
const valueMax = 200

type value struct {
	Value string `json:"value"`
}

// Send sends the message by its template.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	if !callback.Reference(m.To) {
		return channel.Accepted{}, &channel.Error{Class: channel.BadAddress, Code: "openid"}
	}
	filled, err := s.c.Templates.Fill(m, valueMax)
	if err != nil {
		return channel.Accepted{}, err
	}
	body, jerr := json.Marshal(s.body(m, filled.ID, filled.Values))
	if jerr != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	got, err := s.caller.Post(ctx, now, s.url, body)
	if err != nil {
		return channel.Accepted{}, err
	}
	return channel.Accepted{ProviderID: got.MessageID()}, nil
}

func (s *Sender) body(m channel.Message, template string, values map[string]string) map[string]any {
	data := make(map[string]value, len(values))
	for k, v := range values {
		data[k] = value{v}
	}
	out := map[string]any{"touser": m.To, "template_id": template, "data": data}
	switch s.c.Product {
	case Template:
		sum := sha256.Sum256([]byte(m.AttemptID))
		out["client_msg_id"] = hex.EncodeToString(sum[:16])
		if s.c.Page != "" {
			out["url"] = s.c.Page
		}
	case Subscribe, MiniProgram:
		if s.c.Page != "" {
			out["page"] = s.c.Page
		}
	}
	return out
}
