// Package whatsapp is the carrier that sends approved templates through WhatsApp's Cloud API.
//
// WhatsApp's policy names lending and debt collection among what may not be sent, whatever licences the lender holds. So it
// is off until an operator writes acknowledge_policy: true, and docs/channels.md says what that means. A contact point's
// value is the borrower's number; what borrowers write back comes as replies.
package whatsapp

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the lender's number at WhatsApp.
type Config struct {
	AcknowledgePolicy bool               `yaml:"acknowledge_policy"` // the operator has read what WhatsApp forbids, and answers for it
	PhoneNumberID     string             `yaml:"phone_number_id"`
	AccessToken       channel.Secret     `yaml:"access_token"`
	Templates         approved.Templates `yaml:"templates"`    // WhatsApp's name for each of ours as template_id, its language as sign, its parameters 1, 2, …
	AppSecrets        []channel.Secret   `yaml:"app_secrets"`  // callbacks are signed with; none takes none
	VerifyToken       channel.Secret     `yaml:"verify_token"` // by which WhatsApp asks whether we are who it is to call
	Version           string             `yaml:"version"`      // of the Graph API; v23.0 where it is not given
	URL               string             `yaml:"url"`          // https://graph.facebook.com where it is not given
	Link              post.Link          `yaml:",inline"`
}

const (
	urlDefault     = "https://graph.facebook.com"
	versionDefault = "v23.0"
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if !c.AcknowledgePolicy {
		p.Add("acknowledge_policy", "WhatsApp forbids messages about many kinds of loan and debt", "read the section on whatsapp in docs/channels.md, and write true if you may send all the same")
	}
	if c.PhoneNumberID == "" || strings.Trim(c.PhoneNumberID, "0123456789") != "" {
		p.Add("phone_number_id", "missing, or not digits", "copy the id of the number, which is not the number, from WhatsApp's manager")
	}
	if c.AccessToken.IsZero() {
		p.Add("access_token", "missing", "make one of a system user, such as ${DULY_WHATSAPP_TOKEN}")
	}
	c.Templates.Check(p, "templates")
	callback.CheckSecrets(p, "app_secrets", c.AppSecrets)
	if strings.Trim(c.version(), "v.0123456789") != "" {
		p.Add("version", "not a version of the Graph API", "write it as v23.0")
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

func (c Config) version() string {
	if c.Version == "" {
		return versionDefault
	}
	return c.Version
}

// Sender sends templates.
type Sender struct {
	name   string
	c      Config
	clock  func() time.Time
	url    *url.URL
	client *post.Client
}

var (
	_ channel.Sender  = (*Sender)(nil)
	_ channel.Inbound = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	at := "carriers." + name + ".whatsapp"
	if err := c.Check(at); err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimRight(c.url(), "/") + "/" + c.version() + "/" + c.PhoneNumberID + "/messages")
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: at + ".url"})
	}
	c.Link = c.Link.WithDefaults()
	return &Sender{name: name, c: c, clock: h.Clock, url: u, client: post.New(c.Link)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says that templates are WhatsApp's.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{Channels: []duly.Channel{duly.ChannelIM}, Receipts: len(s.c.AppSecrets) > 0, Variables: true, Timeout: s.c.Link.Timeout}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

// parameterMax is how many characters a parameter may have.
const parameterMax = 1024

// Send sends the message by its template.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Link.Timeout)
	defer cancel()
	to := strings.TrimPrefix(m.To, "+")
	if len(to) < 5 || len(to) > 15 || strings.Trim(to, "0123456789") != "" {
		return channel.Accepted{}, &channel.Error{Class: channel.BadAddress, Code: "number"}
	}
	filled, err := s.c.Templates.Fill(m, parameterMax)
	if err != nil {
		return channel.Accepted{}, err
	}
	body, jerr := json.Marshal(s.body(to, m, filled))
	if jerr != nil {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	got, err := s.client.Do(ctx, post.Request{URL: s.url, Body: body, Header: http.Header{
		"Authorization": {"Bearer " + s.c.AccessToken.Reveal()}, "Content-Type": {"application/json"}, "User-Agent": {"duly"},
	}})
	if err != nil {
		return channel.Accepted{}, err
	}
	out, err := read(got, m.Now)
	if err != nil {
		return channel.Accepted{}, err
	}
	return out, nil
}

func (s *Sender) body(to string, m channel.Message, f approved.Filled) map[string]any {
	language := f.Sign
	if language == "" {
		language = strings.ReplaceAll(m.Language, "-", "_")
	}
	parameters := []map[string]string{}
	for _, v := range f.List() {
		parameters = append(parameters, map[string]string{"type": "text", "text": v})
	}
	template := map[string]any{"name": f.ID, "language": map[string]string{"code": language}}
	if len(parameters) > 0 {
		template["components"] = []map[string]any{{"type": "body", "parameters": parameters}}
	}
	return map[string]any{
		"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "template", "template": template,
		"biz_opaque_callback_data": string(m.AttemptID), // comes back with every status
	}
}

// refusals are the Cloud API's codes. Those that are not here mean what their status means.
var refusals = map[int]channel.Class{
	0: channel.Config, 3: channel.Config, 10: channel.Config, 190: channel.Config, 200: channel.Config, 368: channel.Config, // credentials, permission, blocked
	130497: channel.Config, 131031: channel.Config, 131042: channel.Config, 131045: channel.Config, 133010: channel.Config, // country, account, payment, number
	4: channel.Throttled, 80007: channel.Throttled, 130429: channel.Throttled, 131048: channel.Throttled, 131056: channel.Throttled, 133016: channel.Throttled,
	100: channel.Permanent, 131008: channel.Permanent, 131009: channel.Permanent, 131047: channel.Permanent, 131049: channel.Permanent, 131051: channel.Permanent,
	132000: channel.Permanent, 132001: channel.Permanent, 132005: channel.Permanent, 132007: channel.Permanent, 132012: channel.Permanent, 132015: channel.Permanent, 132016: channel.Permanent,
	131021: channel.BadAddress, 131026: channel.BadAddress, 131030: channel.Permanent,
	131050: channel.OptedOut, // stopped what this business sends
}

// read says what an answer means. Acceptance names the message: another 200 is not WhatsApp's, so not known.
func read(got post.Answer, now time.Time) (channel.Accepted, *channel.Error) {
	var a struct {
		Messages []struct {
			ID string `json:"id"`
		} `json:"messages"`
		Error *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	broken := json.Unmarshal(got.Body, &a) != nil
	switch {
	case broken && got.Status/100 != 2:
		return channel.Accepted{}, got.Refusal(now)
	case !broken && a.Error != nil:
		e := got.Refusal(now)
		if class, ok := refusals[a.Error.Code]; ok && got.Status/100 != 5 {
			e.Class, e.RetryAfter = class, 0
			got.Wait(e, now)
		}
		e.Code, e.Detail = "whatsapp_"+strconv.Itoa(a.Error.Code), "http_"+strconv.Itoa(got.Status)
		if e.Class == channel.Throttled && e.RetryAfter == 0 {
			e.RetryAfter = time.Minute
		}
		return channel.Accepted{}, e
	case got.Status/100 != 2:
		return channel.Accepted{}, got.Refusal(now)
	case broken || len(a.Messages) != 1 || !callback.Reference(a.Messages[0].ID):
		return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "not_whatsapp", Detail: "http_" + strconv.Itoa(got.Status)}
	}
	return channel.Accepted{ProviderID: a.Messages[0].ID}, nil
}
