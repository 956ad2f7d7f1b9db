// Package tencent is the carrier of Tencent Cloud's SMS (2021-01-11).
//
// What is sent is a template that they approved, with values by number: variables 1, 2, … of the configuration. Each message
// carries its attempt's id as SessionContext, which only the answer gives back: receipts name the provider's SerialNo. So a
// message whose answer was lost cannot be matched to anything, and stays in doubt until a person resolves it; one whose
// SerialNo is known can be asked after.
//
// Receipts and replies are posted to us and carry no signature: see [Sender.Hear].
package tencent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the account, what was approved, and how callbacks are proved.
type Config struct {
	SecretID        string             `yaml:"secret_id"`
	SecretKey       channel.Secret     `yaml:"secret_key"`
	App             string             `yaml:"sdk_app_id"`
	Region          string             `yaml:"region"`           // ap-guangzhou where it is not given
	Endpoint        string             `yaml:"endpoint"`         // https://sms.tencentcloudapi.com where it is not given
	Sign            string             `yaml:"sign"`             // the sign name of templates that name none
	Templates       approved.Templates `yaml:"templates"`        // theirs, by ours
	VariableMax     int                `yaml:"variable_max"`     // characters of a variable's value; 12 where it is not given
	CallbackSecrets []channel.Secret   `yaml:"callback_secrets"` // of the URL that receipts and replies are posted to; none takes none
	Link            post.Link          `yaml:",inline"`
}

const (
	service            = "sms"
	version            = "2021-01-11"
	mainland           = "CN" // the country of numbers that are written without one
	regionDefault      = "ap-guangzhou"
	endpointDefault    = "https://sms.tencentcloudapi.com"
	variableMaxDefault = 12 // of those who are no verified enterprise; enterprises may raise it
	variableMaxMax     = 1000
	pullMax            = 100
	pullDays           = 7 * 24 * time.Hour
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if c.SecretID == "" || strings.ContainsAny(c.SecretID, " /,\r\n") {
		p.Add("secret_id", "missing, or not an id", "give the SecretId of a sub-user that may only send")
	}
	if c.SecretKey.IsZero() {
		p.Add("secret_key", "missing", "give it as ${TENCENT_SECRET_KEY}")
	}
	if c.App == "" {
		p.Add("sdk_app_id", "missing", "copy the application's SdkAppId from the SMS console")
	}
	if c.Endpoint != "" {
		c.Link.CheckURL(p, "endpoint", c.Endpoint)
	}
	c.Templates.Check(p, "templates")
	for _, name := range slices.Sorted(maps.Keys(c.Templates)) {
		t := c.Templates[name]
		c.checkTemplate(p, "templates."+name, t)
	}
	if c.VariableMax < 0 || c.VariableMax > variableMaxMax {
		p.Add("variable_max", "not from 1 to "+strconv.Itoa(variableMaxMax), "leave it out for "+strconv.Itoa(variableMaxDefault))
	}
	callback.CheckSecrets(p, "callback_secrets", c.CallbackSecrets)
	c.Link.Check(p)
	return p.Err()
}

// checkTemplate wants variables that are numbered without a gap: the service takes a list.
func (c Config) checkTemplate(p *channel.Problems, at string, t approved.Template) {
	if t.Sign == "" && c.Sign == "" {
		p.Add(at+".sign", "missing, and the carrier has none", "write the approved sign name, without its brackets")
	}
	for n := range len(t.Variables) {
		if _, ok := t.Variables[strconv.Itoa(n+1)]; !ok {
			p.Add(at+".variables", "there is no "+strconv.Itoa(n+1), `number them as the template does: {"1": due_when, "2": total}`)
			return
		}
	}
}

// Sender hands messages to the service.
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
	_ channel.Finder  = (*Sender)(nil)
)

// New makes a sender of a name. It does not connect yet.
func New(name string, c Config, h channel.Host) (*Sender, error) {
	if err := c.Check("carriers." + name + ".tencent"); err != nil {
		return nil, err
	}
	if c.Endpoint == "" {
		c.Endpoint = endpointDefault
	}
	if c.Region == "" {
		c.Region = regionDefault
	}
	if c.VariableMax == 0 {
		c.VariableMax = variableMaxDefault
	}
	c.Link = c.Link.WithDefaults()
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: "carriers." + name + ".tencent.endpoint"})
	}
	u.Path = "/"
	return &Sender{name, c, h.Clock, u, post.New(c.Link)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what the service can do.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: []duly.Channel{duly.ChannelSMS}, Receipts: len(s.c.CallbackSecrets) > 0, Query: true, Variables: true, Timeout: s.c.Link.Timeout,
	}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

var errTimeout = errors.New("the service did not answer in time")

// message is SendSms's request.
type message struct {
	PhoneNumberSet   []string
	SmsSdkAppID      string `json:"SmsSdkAppId"`
	TemplateID       string `json:"TemplateId"`
	SignName         string
	TemplateParamSet []string
	SessionContext   string
}

// Send sends a template's id with its values.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	filled, refused := s.c.Templates.Fill(m, s.c.VariableMax)
	to, malformed := channel.Number(m.To, mainland)
	switch {
	case refused != nil:
		return channel.Accepted{}, refused
	case malformed != nil:
		return channel.Accepted{}, malformed
	}
	sign := filled.Sign
	if sign == "" {
		sign = s.c.Sign
	}
	now := m.Now
	if s.clock != nil {
		now = s.clock()
	}
	var got struct {
		SendStatusSet []struct {
			SerialNo string
			Fee      int
			Code     string
		}
	}
	if failed := s.call(ctx, "SendSms", now, message{[]string{to}, s.c.App, filled.ID, sign, filled.List(), string(m.AttemptID)}, &got); failed != nil {
		return channel.Accepted{}, failed
	}
	if len(got.SendStatusSet) != 1 {
		return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "unreadable"}
	}
	status := got.SendStatusSet[0]
	if status.Code != "Ok" {
		return channel.Accepted{}, refusal(status.Code)
	}
	out := channel.Accepted{}
	if callback.Reference(status.SerialNo) {
		out.ProviderID = status.SerialNo
	}
	if status.Fee > 0 && status.Fee <= feeMax {
		out.Segments = status.Fee
	}
	return out, nil
}

const feeMax = 100 // more parts than any message has

// call makes one signed call of an action and reads the response into v.
func (s *Sender) call(ctx context.Context, action string, now time.Time, request, v any) *channel.Error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	const media = "application/json; charset=utf-8"
	signed := map[string]string{"content-type": media, "host": s.url.Host, "x-tc-action": action}
	a, failed := s.client.Do(ctx, post.Request{URL: s.url, Body: body, Header: http.Header{
		"User-Agent": {"duly"}, "Content-Type": {media}, "X-Tc-Action": {action}, "X-Tc-Version": {version}, "X-Tc-Region": {s.c.Region},
		"X-Tc-Timestamp": {strconv.FormatInt(now.Unix(), 10)},
		"Authorization":  {authorize(s.c.SecretID, s.c.SecretKey, service, now, signed, body)},
	}})
	if failed != nil {
		return failed
	}
	return read(a, v, now)
}

// read returns nil for a response that says no error, having read it into v. The service answers 200 to everything.
func read(a post.Answer, v any, now time.Time) *channel.Error {
	var got struct{ Response json.RawMessage }
	var said struct {
		RequestID string
		Error     *struct{ Code string }
	}
	if !a.Whole || json.Unmarshal(a.Body, &got) != nil || json.Unmarshal(got.Response, &said) != nil {
		if a.Status/100 == 2 {
			return &channel.Error{Class: channel.Unknown, Code: "unreadable"}
		}
		return a.Guess(now)
	}
	switch {
	case said.Error != nil:
		e := refusal(said.Error.Code)
		if e.RetryAfter == 0 {
			a.Wait(e, now)
		}
		return e
	case a.Status/100 != 2:
		return a.Guess(now)
	case json.Unmarshal(got.Response, v) != nil:
		return &channel.Error{Class: channel.Unknown, Code: "unreadable"}
	}
	return nil
}
