// Package generic is the carrier of any provider that takes messages by HTTP, described by configuration: where its requests go
// and what is in them, what its answers mean, and how it calls back. It is for providers that nobody has written an adapter for.
//
//	http:
//	  url: https://api.provider.example/v1/messages
//	  auth: {bearer: "${PROVIDER_TOKEN}"}
//	  json: {to: "{{to}}", body: "{{text}}", reference: "{{attempt}}"}
//	  answer: {code: status.code, id: id, codes: {"0": accepted, "21": bad_address}}
//
// What is not configured as proof is none: a code that is not in the table is Unknown. Values never change the form of a
// request: JSON is built as a tree, forms and queries are escaped, and a header that would hold a line break is refused.
package generic

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
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
)

// Sender hands messages to a provider.
type Sender struct {
	name   string
	c      Config
	do     compiled
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
	do, err := c.compile("carriers." + name + ".http")
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, duly.Errorf(duly.Invalid, "not a web address").At(duly.Place{Field: "carriers." + name + ".http.url"})
	}
	if len(c.Serves) == 0 {
		c.Serves = h.Channels
	}
	if len(c.Serves) == 0 {
		c.Serves = []duly.Channel{duly.ChannelSMS}
	}
	if c.Method == "" {
		c.Method = http.MethodPost
	}
	c.Link = c.Link.WithDefaults()
	return &Sender{name, c, do, h.Clock, u, post.New(c.Link)}, nil
}

// Name returns the operator's name of the carrier.
func (s *Sender) Name() string { return s.name }

// Caps says what the configuration promises of the provider.
func (s *Sender) Caps() channel.Caps {
	return channel.Caps{
		Channels: s.c.Serves, Receipts: s.c.Callback != nil && s.c.Callback.Receipt != nil, Variables: s.do.variables, Timeout: s.c.Link.Timeout,
	}
}

// Close ends the connections that are kept.
func (s *Sender) Close() error { return s.client.Close() }

var errTimeout = errors.New("the provider did not answer in time")

// Send makes the provider's request of a message.
func (s *Sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.c.Link.Timeout, errTimeout)
	defer cancel()
	v, refused := s.values(m)
	if refused != nil {
		return channel.Accepted{}, refused
	}
	r, missing := s.request(v)
	if missing != "" {
		return channel.Accepted{}, &channel.Error{Class: channel.Permanent, Code: "malformed_message", Detail: missing}
	}
	a, failed := s.client.Do(ctx, r)
	if failed != nil {
		return channel.Accepted{}, failed
	}
	got, failed := s.read(a, v.now)
	if failed != nil {
		return channel.Accepted{}, failed
	}
	return got, nil
}

// values checks a message against the provider's limits, and gathers what templates speak of.
func (s *Sender) values(m channel.Message) (*values, *channel.Error) {
	v := &values{m: m, to: m.To, now: m.Now, secrets: s.c.Secrets}
	if s.clock != nil {
		v.now = s.clock()
	}
	if m.Channel == duly.ChannelSMS || m.Channel.Call() {
		to, err := channel.Number(m.To, s.c.Region)
		if err != nil {
			e, _ := errors.AsType[*channel.Error](err)
			return nil, e
		}
		v.to = to
	}
	if s.c.TextMax > 0 && utf8.RuneCountInString(m.Text) > s.c.TextMax {
		return nil, &channel.Error{Class: channel.Permanent, Code: "text_too_long"}
	}
	if len(s.c.Templates) > 0 {
		f, err := s.c.Templates.Fill(m, s.c.VariableMax)
		if err != nil {
			return nil, err
		}
		v.filled = filled{f.ID, f.Sign, f.Values}
	} else {
		v.filled.Variables = m.Variables
	}
	return v, nil
}

// request makes the request, or says which value is missing or does not fit.
func (s *Sender) request(v *values) (post.Request, string) {
	u := *s.url
	query, missing := write(s.do.query, v)
	if missing != "" {
		return post.Request{}, missing
	}
	u.RawQuery = query.Encode()
	h := http.Header{"User-Agent": {"duly"}}
	r := post.Request{Method: s.c.Method, URL: &u, Header: h}
	if r.Body, missing = s.body(v, h); missing != "" {
		return r, missing
	}
	v.body = string(r.Body)
	return r, s.head(h, v)
}

func (s *Sender) body(v *values, h http.Header) ([]byte, string) {
	switch {
	case s.do.json != nil:
		tree, missing := s.do.json.write(v)
		if missing != "" {
			return nil, missing
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if e.Encode(tree) != nil {
			return nil, "json"
		}
		h.Set("Content-Type", "application/json")
		return bytes.TrimSuffix(b.Bytes(), []byte("\n")), ""
	case s.c.Form != nil:
		form, missing := write(s.do.form, v)
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		return []byte(form.Encode()), missing
	}
	return nil, ""
}

func write(texts map[string]text, v *values) (url.Values, string) {
	out := url.Values{}
	for name, t := range texts {
		s, missing := t.write(v)
		if missing != "" {
			return nil, missing
		}
		out.Set(name, s)
	}
	return out, ""
}

// head writes the headers, those that prove the sender last: a signature covers the body.
func (s *Sender) head(h http.Header, v *values) string {
	for name, t := range s.do.headers {
		got, missing := t.write(v)
		if missing != "" || !line(got) {
			return "headers"
		}
		h.Set(name, got)
	}
	if b := s.c.Auth.Basic; b != nil {
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(b.Username+":"+b.Password.Reveal())))
	}
	if t := s.c.Auth.Bearer; !t.IsZero() {
		h.Set("Authorization", "Bearer "+t.Reveal())
	}
	if mac := s.c.Auth.HMAC; mac != nil {
		over, missing := s.do.sign.write(v)
		if missing != "" {
			return missing
		}
		h.Set(mac.Header, mac.Prefix+signature(mac.Secret, mac.Algorithm, mac.Encoding, over))
	}
	return ""
}

// line reports whether a text fits in a header: printable ASCII.
func line(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// read says what an answer means. The provider's own code decides where it can be read and stands in the table; a code that
// means accepted does so only with a status of 2xx. Without one the status does, by the configured table and then the usual
// one; a 2xx is acceptance only where no code was to be expected.
func (s *Sender) read(a post.Answer, now time.Time) (channel.Accepted, *channel.Error) {
	code, src := s.code(a)
	meaning, listed := s.c.Answer.Codes[code]
	expects := s.do.code.given() || s.do.pattern != nil
	switch {
	case src != nil && code != "" && listed && meaning == acceptedWord:
		if a.Status/100 != 2 {
			return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "contradiction"}
		}
		return s.accepted(src), nil
	case src != nil && code != "" && listed:
		return channel.Accepted{}, refusal(channel.Class(meaning), "code_"+word(code), a, now)
	}
	if meaning, ok := s.c.Answer.Statuses[a.Status]; ok {
		if meaning == acceptedWord {
			return s.accepted(src), nil
		}
		return channel.Accepted{}, refusal(channel.Class(meaning), "http_"+strconv.Itoa(a.Status), a, now)
	}
	switch {
	case a.Status/100 != 2:
		return channel.Accepted{}, a.Guess(now)
	case !expects:
		return s.accepted(src), nil
	case code == "":
		return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "unreadable"}
	}
	return channel.Accepted{}, &channel.Error{Class: channel.Unknown, Code: "unlisted", Detail: callback.Word(code)}
}

func refusal(class channel.Class, code string, a post.Answer, now time.Time) *channel.Error {
	e := &channel.Error{Class: class, Code: code}
	a.Wait(e, now)
	return e
}

// word makes a code of the table fit for a label.
func word(code string) string {
	b := []byte(code[:min(len(code), 40)])
	for i, c := range b {
		if c <= ' ' || c > '~' {
			b[i] = '_'
		}
	}
	return string(b)
}

// code returns the provider's code and what it was read from; nil where the answer is not of its format.
func (s *Sender) code(a post.Answer) (string, source) {
	if !a.Whole {
		return "", nil
	}
	if p := s.do.pattern; p != nil {
		m := p.FindSubmatch(a.Body)
		if m == nil {
			return "", nil
		}
		groups := fields{}
		for i, name := range p.SubexpNames() {
			if name != "" {
				groups[name] = []string{string(m[i])}
			}
		}
		return groups.read(path{text: "code"}), groups
	}
	var v any
	if callback.Decode(a.Body, &v) != nil {
		return "", nil
	}
	return tree{v}.read(s.do.code), tree{v}
}

const segmentsMax = 100 // more parts than any message has

func (s *Sender) accepted(src source) channel.Accepted {
	if src == nil {
		return channel.Accepted{}
	}
	id, segments := s.do.id, s.do.segments
	if s.do.pattern != nil {
		id, segments = path{text: "id"}, path{text: "segments"}
	}
	out := channel.Accepted{}
	if got := src.read(id); callback.Reference(got) {
		out.ProviderID = got
	}
	if n, err := strconv.Atoi(src.read(segments)); err == nil && n > 0 && n <= segmentsMax {
		out.Segments = n
	}
	return out
}
