package generic

import (
	"crypto/hmac"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
)

// Hear proves a callback as configured, and reads its events. A batch is taken whole or not at all.
func (s *Sender) Hear(r *http.Request, body []byte) (channel.Heard, error) {
	c := s.c.Callback
	if c == nil {
		return channel.Heard{}, duly.Errorf(duly.Refused, "this carrier takes no callbacks").WithHint("set callback in its configuration")
	}
	if s.clock == nil {
		return channel.Heard{}, errors.New("http: callbacks need Host.Clock")
	}
	if err := callback.Fits(body); err != nil {
		return channel.Heard{}, err
	}
	now := s.clock()
	if err := c.prove(r, body, now); err != nil {
		return channel.Heard{}, err
	}
	events, err := s.events(r, body)
	if err != nil {
		return channel.Heard{}, err
	}
	var heard channel.Heard
	for i, e := range events {
		if err := s.event(&heard, i, e, now); err != nil {
			return channel.Heard{}, err
		}
	}
	if a := c.Answer; a != nil {
		heard.Answer = &channel.Answer{Status: a.Status, Type: a.Type, Body: []byte(a.Body)}
	}
	return heard, nil
}

func (c *Callback) window() time.Duration {
	if c.Window == 0 {
		return windowDefault
	}
	return c.Window
}

func (c *Callback) prove(r *http.Request, body []byte, now time.Time) error {
	switch {
	case c.Proof.HMAC != nil:
		return c.Proof.HMAC.prove(r, body, now, c.window())
	case c.Proof.Basic != nil:
		return callback.ByBasic(r, c.Proof.Basic.Username, c.Proof.Basic.Passwords)
	}
	return callback.ByKey(r, c.Proof.Key)
}

func (h *HMACProof) prove(r *http.Request, body []byte, now time.Time, window time.Duration) error {
	stamp := ""
	if h.Timestamp != "" {
		stamp = r.Header.Get(h.Timestamp)
	}
	over := h.Over
	if over == "" {
		over = "{{body}}"
	}
	over = strings.NewReplacer("{{body}}", string(body), "{{timestamp}}", stamp, "{{query}}", r.URL.RawQuery).Replace(over)
	got, prefixed := strings.CutPrefix(r.Header.Get(h.Header), h.Prefix)
	ok := false
	for _, secret := range h.Secrets {
		ok = hmac.Equal([]byte(got), []byte(signature(secret, h.Algorithm, h.Encoding, over))) || ok
	}
	if !ok || !prefixed {
		return duly.Errorf(duly.Refused, "the signature is wrong").WithHint("the secret, what it covers and its encoding stand in callback.proof.hmac")
	}
	if h.Timestamp == "" {
		return nil
	}
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || n < 0 || n > stampMax {
		return duly.Errorf(duly.Refused, "the %s header is not a time in Unix seconds or milliseconds", h.Timestamp)
	}
	at := time.Unix(n, 0)
	if n > millisMin {
		at = time.UnixMilli(n)
	}
	return callback.Fresh(at, now, window)
}

const millisMin = 1 << 36 // a greater stamp is in milliseconds: in seconds it would be in the year 4147

// events reads what a callback tells, one source each.
func (s *Sender) events(r *http.Request, body []byte) ([]source, error) {
	switch s.c.Callback.Format {
	case "query":
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, duly.Errorf(duly.Invalid, "the URL's query cannot be read")
		}
		return []source{fields(q)}, nil
	case "form":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, duly.Errorf(duly.Invalid, "the body is not a form")
		}
		return []source{fields(form)}, nil
	}
	var v any
	if err := callback.Decode(body, &v); err != nil {
		return nil, err
	}
	if s.do.list.given() {
		v = s.do.list.in(v)
	}
	list, ok := v.([]any)
	if one, is := v.(map[string]any); is {
		list, ok = []any{one}, true
	}
	if !ok {
		return nil, duly.Errorf(duly.Invalid, "there are no events").At(duly.Place{Field: s.c.Callback.List}).WithHint("the path of the array stands in callback.list")
	}
	if err := callback.Count(len(list)); err != nil {
		return nil, err
	}
	out := make([]source, len(list))
	for i := range list {
		out[i] = tree{list[i]}
	}
	return out, nil
}

// event reads one event: a receipt if it has a status, else a reply.
func (s *Sender) event(heard *channel.Heard, i int, e source, now time.Time) error {
	c := s.c.Callback
	if c.Receipt != nil && e.read(s.do.receipt.status) != "" {
		r, ok, err := s.receipt(i, e, now)
		if ok {
			heard.Receipts = append(heard.Receipts, r)
		}
		return err
	}
	if c.Reply != nil {
		r, err := s.reply(i, e, now)
		if err == nil {
			heard.Replies = append(heard.Replies, r)
		}
		return err
	}
	return callback.Wrong(i, c.Receipt.Status, "missing")
}

// receipt reads a status; false is one that is of no interest, or of another program's message.
func (s *Sender) receipt(i int, e source, now time.Time) (duly.Receipt, bool, error) {
	c, at := s.c.Callback.Receipt, s.do.receipt
	said := e.read(at.status)
	meaning, ok := c.Statuses[said]
	if !ok {
		meaning, ok = c.Statuses[anyWord]
	}
	attempt, id := e.read(at.attempt), e.read(at.id)
	foreign := attempt != "" && !callback.Attempt(duly.AttemptID(attempt))
	switch {
	case !ok:
		return duly.Receipt{}, false, callback.Wrong(i, c.Status, "a status that is not in callback.receipt.statuses")
	case meaning == ignoreWord, foreign:
		return duly.Receipt{}, false, nil
	case attempt == "" && id == "":
		return duly.Receipt{}, false, callback.Wrong(i, c.Attempt+c.ID, "neither the attempt nor the provider's id is given")
	case id != "" && !callback.Reference(id):
		return duly.Receipt{}, false, callback.Wrong(i, c.ID, "not 1 to 128 printable characters")
	}
	when, err := at.when.read(i, e, at.at, now, s.c.Callback.window())
	if err != nil {
		return duly.Receipt{}, false, err
	}
	status, code := duly.ReceiptStatus(meaning), e.read(at.code)
	if more, ok := c.Codes[code]; ok && status == duly.ReceiptFailed {
		status = duly.ReceiptStatus(more)
	}
	key := e.read(at.key)
	if key == "" {
		key = hexDigest(attempt + "\x00" + id + "\x00" + said + "\x00" + code)[:32]
	}
	if !callback.Reference(key) {
		return duly.Receipt{}, false, callback.Wrong(i, c.Key, "not 1 to 128 printable characters")
	}
	return duly.Receipt{
		Provider: s.name, Key: key, AttemptID: duly.AttemptID(attempt), ProviderID: id, Status: status, Detail: callback.Word(code), At: when,
	}, true, nil
}

// read returns when an event was, held against the window; where the provider does not say, now.
func (w when) read(i int, e source, p path, now time.Time, window time.Duration) (time.Time, error) {
	if !p.given() {
		return now.UTC(), nil
	}
	at, err := w.at(e.read(p))
	if err != nil {
		return time.Time{}, callback.Wrong(i, p.text, "not a time of the configured layout")
	}
	return at.UTC(), callback.Fresh(at, now, window)
}

func (s *Sender) reply(i int, e source, now time.Time) (channel.Reply, error) {
	c, at := s.c.Callback.Reply, s.do.reply
	from, words, id, attempt := e.read(at.from), e.read(at.text), e.read(at.id), e.read(at.attempt)
	if s.c.Serves[0] == duly.ChannelSMS {
		number := from
		if !channel.E164(number) {
			number = "+" + digits(from)
		}
		if n, err := channel.Number(from, s.c.Region); err == nil {
			number = n
		}
		if !channel.E164(number) {
			return channel.Reply{}, callback.Wrong(i, c.From, "not a telephone number")
		}
		from = number
	}
	switch {
	case !callback.Reference(from):
		return channel.Reply{}, callback.Wrong(i, c.From, "not an address")
	case !callback.Text(words):
		return channel.Reply{}, callback.Wrong(i, c.Text, "not 1 to 4096 bytes of text")
	case id != "" && !callback.Reference(id):
		return channel.Reply{}, callback.Wrong(i, c.ID, "not 1 to 128 printable characters")
	}
	when, err := at.when.read(i, e, at.at, now, s.c.Callback.window())
	if err != nil {
		return channel.Reply{}, err
	}
	if !callback.Attempt(duly.AttemptID(attempt)) {
		attempt = ""
	}
	if id == "" {
		id = hexDigest(from + "\x00" + words + "\x00" + e.read(at.at))[:32]
	}
	return channel.Reply{Key: id, Channel: s.c.Serves[0], AttemptID: duly.AttemptID(attempt), From: from, Text: words, At: when}, nil
}
