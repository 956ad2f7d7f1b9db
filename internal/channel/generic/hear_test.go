package generic_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/generic"
)

const secret = "the-secret-of-the-callbacks"

// asJSON is a provider that posts a list, signed with a stamp.
const asJSON = `
url: https://a.example
region: CN
callback:
  proof: {hmac: {secrets: [some-other-secret-of-old, the-secret-of-the-callbacks], header: X-Sign, prefix: "v1=", over: "{{timestamp}}.{{body}}", timestamp: X-Time}}
  list: data.events
  window: 1h
  receipt:
    attempt: ref
    id: msg.id
    status: state
    code: error
    at: {path: when, layout: "2006-01-02 15:04:05", zone: Asia/Shanghai}
    statuses: {DELIVRD: delivered, UNDELIV: failed, SENT: ignore}
    codes: {"27": bad_address, "99": opted_out}
  reply: {from: sender, text: content, id: msg.id, at: {path: when, layout: "2006-01-02 15:04:05", zone: Asia/Shanghai}}
  answer: {type: application/json, body: '{"ok":true}'}
`

// asForm is one that posts a form with Basic authentication.
const asForm = `
url: https://a.example
region: CN
callback:
  format: form
  proof: {basic: {username: gateway, passwords: [the-secret-of-the-callbacks]}}
  receipt: {id: id, key: event, status: status, at: {path: ts, layout: unix_ms}, statuses: {"1": delivered, "*": failed}}
  reply: {from: from, text: text}
`

// asQuery is one that calls a URL.
const asQuery = `
url: https://a.example
callback:
  format: query
  proof: {key: [the-secret-of-the-callbacks]}
  receipt: {attempt: attempt, status: status, at: {path: at, layout: unix}, statuses: {"1": delivered, "2": failed, "4": ignore}}
`

// signed is a call of asJSON's.
func signed(body string, at time.Time, with string) *http.Request {
	stamp := strconv.FormatInt(at.Unix(), 10)
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/sms", strings.NewReader(body))
	r.Header.Set("X-Time", stamp)
	r.Header.Set("X-Sign", "v1="+generic.MAC(channel.NewSecret(with), "sha256", "hex", stamp+"."+body))
	return r
}

func events(list ...string) string { return `{"data":{"events":[` + strings.Join(list, ",") + `]}}` }

func receiptEvent(state, code string) string {
	return fmt.Sprintf(`{"ref":%q,"msg":{"id":"p-7"},"state":%q,"error":%s,"when":"2026-03-02 11:59:58","more":[1]}`, attemptID(), state, code)
}

const replyEvent = `{"sender":"13800138000","content":"T","msg":{"id":"mo-1"},"when":"2026-03-02 11:59:58"}`

func TestHearJSON(t *testing.T) {
	t.Parallel()
	s := sender(t, read(t, asJSON))
	at := callbackAt.Add(-2 * time.Second)
	receipt := func(status duly.ReceiptStatus, detail string) duly.Receipt {
		return duly.Receipt{Provider: "sms", AttemptID: attemptID(), ProviderID: "p-7", Status: status, Detail: detail, At: at}
	}
	body := events(receiptEvent("DELIVRD", "0"), receiptEvent("SENT", "0"), receiptEvent("UNDELIV", "5"), receiptEvent("UNDELIV", "27"),
		receiptEvent("UNDELIV", `"99"`), replyEvent, strings.Replace(receiptEvent("DELIVRD", "0"), string(attemptID()), "order 12", 1))
	got, err := s.Hear(signed(body, callbackAt, secret), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	for i := range got.Receipts {
		keys[got.Receipts[i].Key] = true
		got.Receipts[i].Key = ""
	}
	want := channel.Heard{
		Receipts: []duly.Receipt{receipt(duly.ReceiptDelivered, "0"), receipt(duly.ReceiptFailed, "5"), receipt(duly.ReceiptBadAddress, "27"), receipt(duly.ReceiptOptedOut, "99")},
		Replies:  []channel.Reply{{Key: "mo-1", Channel: duly.ChannelSMS, From: phone, Text: "T", At: at}},
		Answer:   &channel.Answer{Type: "application/json", Body: []byte(`{"ok":true}`)},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(keys) != 4 {
		t.Errorf("%d keys, -want +got:\n%s", len(keys), diff)
	}
	again, err := s.Hear(signed(body, callbackAt, "some-other-secret-of-old"), []byte(body))
	if err != nil || !keys[again.Receipts[0].Key] {
		t.Errorf("the same event has another key, or an old secret is not taken: %v", err)
	}
	one := receiptEvent("DELIVRD", "0")
	single := `{"data":{"events":` + one + `}}`
	if got, err := s.Hear(signed(single, callbackAt, secret), []byte(single)); err != nil || len(got.Receipts) != 1 {
		t.Errorf("one event without a list: got %+v, %v", got, err)
	}
}

func TestHearForm(t *testing.T) {
	t.Parallel()
	s := sender(t, read(t, asForm))
	call := func(form url.Values, password string) (channel.Heard, error) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.SetBasicAuth("gateway", password)
		return s.Hear(r, []byte(form.Encode()))
	}
	status := url.Values{"id": {"p-7"}, "event": {"e-1"}, "status": {"1"}, "ts": {strconv.FormatInt(callbackAt.UnixMilli(), 10)}}
	got, err := call(status, secret)
	want := []duly.Receipt{{Provider: "sms", Key: "e-1", ProviderID: "p-7", Status: duly.ReceiptDelivered, At: callbackAt}}
	if diff := cmp.Diff(want, got.Receipts); diff != "" || err != nil || got.Answer != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	status.Set("status", "something else")
	if got, err := call(status, secret); err != nil || got.Receipts[0].Status != duly.ReceiptFailed {
		t.Errorf("any other status: got %+v, %v", got, err)
	}
	got, err = call(url.Values{"from": {"0086 138-0013-8000"}, "text": {"我已还款"}}, secret)
	if err != nil || len(got.Replies) != 1 || got.Replies[0].Text != "我已还款" || got.Replies[0].Key == "" || !got.Replies[0].At.Equal(callbackAt) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := call(status, "another"); duly.CodeOf(err) != duly.Refused {
		t.Errorf("a wrong password: got %v", err)
	}
}

func TestHearQuery(t *testing.T) {
	t.Parallel()
	s := sender(t, read(t, asQuery))
	call := func(attempt, status, key string, at time.Time) (channel.Heard, error) {
		q := url.Values{"key": {key}, "attempt": {attempt}, "status": {status}, "at": {strconv.FormatInt(at.Unix(), 10)}}
		return s.Hear(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil), nil)
	}
	if got, err := call(string(attemptID()), "1", secret, callbackAt); err != nil || len(got.Receipts) != 1 || got.Receipts[0].AttemptID != attemptID() || got.Receipts[0].Status != duly.ReceiptDelivered {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, tt := range []struct {
		attempt, status, key string
		at                   time.Time
		code                 duly.Code
	}{
		{string(attemptID()), "1", "wrong-secret-of-theirs", callbackAt, duly.Refused},
		{string(attemptID()), "1", "", callbackAt, duly.Refused},
		{string(attemptID()), "1", secret, callbackAt.AddDate(-10, 0, 0), duly.Refused},
		{string(attemptID()), "9", secret, callbackAt, duly.Invalid},
		{"", "1", secret, callbackAt, duly.Invalid},
		{string(attemptID()), "", secret, callbackAt, duly.Invalid},
	} {
		if got, err := call(tt.attempt, tt.status, tt.key, tt.at); duly.CodeOf(err) != tt.code || !cmp.Equal(got, channel.Heard{}) {
			t.Errorf("%+v: got %+v, %v", tt, got, err)
		}
	}
	if got, err := call("of another program", "1", secret, callbackAt); err != nil || len(got.Receipts) != 0 {
		t.Errorf("another program's: got %+v, %v", got, err)
	}
}

func TestHearRefuses(t *testing.T) {
	t.Parallel()
	s := sender(t, read(t, asJSON))
	good := receiptEvent("DELIVRD", "0")
	tests := []struct {
		name, body string
		call       func(body string) *http.Request
		code       duly.Code
		field      string
	}{
		{"another secret", events(good), func(b string) *http.Request { return signed(b, callbackAt, "some-secret-of-somebody") }, duly.Refused, ""},
		{"another body", events(good), func(string) *http.Request { return signed(events(), callbackAt, secret) }, duly.Refused, ""},
		{"no prefix", events(good), func(b string) *http.Request {
			r := signed(b, callbackAt, secret)
			r.Header.Set("X-Sign", strings.TrimPrefix(r.Header.Get("X-Sign"), "v1="))
			return r
		}, duly.Refused, ""},
		{"another stamp", events(good), func(b string) *http.Request {
			r := signed(b, callbackAt, secret)
			r.Header.Set("X-Time", strconv.FormatInt(callbackAt.Unix()+1, 10))
			return r
		}, duly.Refused, ""},
		{"signed ten years ago", events(good), func(b string) *http.Request { return signed(b, callbackAt.AddDate(-10, 0, 0), secret) }, duly.Refused, ""},
		{"two hours ago", events(strings.Replace(good, "11:59:58", "09:59:58", 1)), nil, duly.Refused, ""},
		{"too large", events(strings.Repeat(" ", callback.BodyMax)), nil, duly.Refused, ""},
		{"HTML", "<html>", nil, duly.Invalid, ""},
		{"no list", `{"data":{}}`, nil, duly.Invalid, "data.events"},
		{"none", events(), nil, duly.Invalid, ""},
		{"too many", events(strings.TrimSuffix(strings.Repeat("{},", 1001), ",")), nil, duly.Invalid, ""},
		{"a status of no table", events(receiptEvent("LOST", "0")), nil, duly.Invalid, "[0].state"},
		{"no time", events(good, strings.Replace(good, "2026-03-02 11:59:58", "today", 1)), nil, duly.Invalid, "[1].when"},
		{"a reply from nobody", events(strings.Replace(replyEvent, "13800138000", "0", 1)), nil, duly.Invalid, "[0].sender"},
		{"nothing in it", events(`{}`), nil, duly.Invalid, "[0].sender"},
		{"an event that is none", events(`7`), nil, duly.Invalid, "[0].sender"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.call == nil {
				tt.call = func(b string) *http.Request { return signed(b, callbackAt, secret) }
			}
			got, err := s.Hear(tt.call(tt.body), []byte(tt.body))
			e, ok := errors.AsType[*duly.Error](err)
			if !ok || e.Code != tt.code || tt.field != "" && e.Place.Field != tt.field || !cmp.Equal(got, channel.Heard{}) {
				t.Errorf("got %+v, %v, want %s at %q", got, err, tt.code, tt.field)
			}
		})
	}
	if _, err := sender(t, read(t, provider)).Hear(signed("{}", callbackAt, secret), []byte("{}")); duly.CodeOf(err) != duly.Refused {
		t.Errorf("without callback: got %v", err)
	}
}

func FuzzHear(f *testing.F) {
	for _, s := range []string{events(receiptEvent("DELIVRD", "0"), replyEvent), events(`{}`), `{"data":{"events":{}}}`, `[]`, `{`, "id=1&status=1&ts=5", "key=x&status=1"} {
		f.Add(s)
	}
	js, form, query := sender(f, read(f, asJSON)), sender(f, read(f, asForm)), sender(f, read(f, asQuery))
	f.Fuzz(func(t *testing.T, body string) {
		basic := httptest.NewRequest(http.MethodPost, "/", nil)
		basic.SetBasicAuth("gateway", secret)
		get := httptest.NewRequest(http.MethodGet, "/", nil)
		get.URL.RawQuery = "key=" + secret + "&" + body
		for s, r := range map[*generic.Sender]*http.Request{js: signed(body, callbackAt, secret), form: basic, query: get} {
			got, err := s.Hear(r, []byte(body))
			if err != nil {
				if _, ok := errors.AsType[*duly.Error](err); !ok {
					t.Errorf("got a %T: %v", err, err)
				}
				continue
			}
			for _, r := range got.Receipts {
				if r.Status.State() == "" || !callback.Reference(r.Key) || r.AttemptID != "" && !callback.Attempt(r.AttemptID) || r.AttemptID == "" && r.ProviderID == "" {
					t.Errorf("got receipt %+v", r)
				}
			}
			for _, r := range got.Replies {
				if !channel.E164(r.From) || !callback.Text(r.Text) || !callback.Reference(r.Key) {
					t.Errorf("got reply %+v", r)
				}
			}
		}
	})
}

// FuzzAnswer: whatever a provider answers, there is a class, and nothing of it comes through.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{"result":{"code":0},"messages":[{"id":"p-7","parts":2}]}`, `{"result":{"code":"13800138000"}}`, `<html>`, `{`, `[[[[`} {
		f.Add(200, s)
	}
	s := sender(f, read(f, provider))
	f.Fuzz(func(t *testing.T, status int, body string) {
		got, err := s.Read(status, []byte(body))
		if err != nil && (!err.Class.Known() || err.Code == "" || strings.ContainsAny(err.Code, " \n")) || err == nil && got.ProviderID != "" && !callback.Reference(got.ProviderID) {
			t.Errorf("%d %q: got %+v, %v", status, body, got, err)
		}
	})
}
