package twilio_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/twilio"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
)

func attemptID() duly.AttemptID { return channeltest.Message(duly.ChannelSMS, phone, 1).AttemptID }

func service(t *testing.T, status int, body string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	no := func(code int) string { return fmt.Sprintf(`{"code":%d,"message":"x","status":400}`, code) }
	for _, tt := range []struct {
		status int
		body   string
		class  channel.Class
		code   string
	}{
		{201, taken, "", ""},
		{201, `<html>`, channel.Unknown, "unreadable"},
		{201, `{}`, channel.Unknown, "unreadable"},
		{201, no(21211), channel.Unknown, "unreadable"}, // an error inside
		{400, no(21606), channel.Config, "sender"},
		{400, no(21408), channel.Permanent, "region"},
		{400, no(21614), channel.BadAddress, "number"},
		{400, no(21611), channel.Throttled, "queue_full"},
		{400, no(99999), channel.Permanent, "http_400"},
		{404, no(20404), channel.Config, "http_404"},
		{500, no(20500), channel.Unknown, "internal"},
		{500, no(99999), channel.Unknown, "http_500"},
		{503, `<html>`, channel.Unknown, "http_503"},
		{429, ``, channel.Throttled, "http_429"},
	} {
		s := sender(t, config(service(t, tt.status, tt.body)))
		got, err := s.Send(t.Context(), channeltest.Message(duly.ChannelSMS, phone, 1))
		if tt.class == "" {
			if err != nil || got != (channel.Accepted{ProviderID: message, Segments: 2}) {
				t.Errorf("got %+v, %v", got, err)
			}
			continue
		}
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.class || e.Code != tt.code {
			t.Errorf("%d %s: got %v, want %s: %s", tt.status, tt.body, err, tt.class, tt.code)
		}
	}
}

func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("Twilio was called") }))
	t.Cleanup(srv.Close)
	s := sender(t, config(srv.URL))
	for code, spoil := range map[string]func(*channel.Message){
		"malformed_number":  func(m *channel.Message) { m.To = "13800138000" },
		"invalid_number":    func(m *channel.Message) { m.To = "+8612345678901" },
		"text_too_long":     func(m *channel.Message) { m.Text = strings.Repeat("长", 1601) },
		"malformed_message": func(m *channel.Message) { m.Text = "\xff" },
	} {
		m := channeltest.Message(duly.ChannelSMS, phone, 1)
		spoil(&m)
		_, err := s.Send(t.Context(), m)
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

// call is a callback as Twilio makes it; the path is that of the inside, which a proxy may have changed.
func call(query string, form url.Values, signedBy channel.Secret) (*http.Request, []byte) {
	body := form.Encode()
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/sms"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Twilio-Signature", twilioapi.Sign(signedBy, public+query, form))
	return r, []byte(body)
}

func query() string { return "?attempt=" + url.QueryEscape(string(attemptID())) }

func status(said, code string) url.Values {
	form := url.Values{"AccountSid": {account}, "MessageSid": {message}, "SmsSid": {message}, "MessageStatus": {said}, "To": {phone}, "From": {"+14155550100"}}
	if code != "" {
		form.Set("ErrorCode", code)
	}
	return form
}

func inbound(text, optOut string) url.Values {
	form := url.Values{"AccountSid": {account}, "MessageSid": {message}, "From": {phone}, "To": {"+14155550100"}, "Body": {text}, "NumMedia": {"0"}}
	if optOut != "" {
		form.Set("OptOutType", optOut)
	}
	return form
}

func TestHearStatus(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://api.example"))
	for _, tt := range []struct {
		said, code string
		want       duly.ReceiptStatus
	}{
		{"queued", "", duly.ReceiptAccepted}, {"sent", "", duly.ReceiptAccepted}, {"delivered", "", duly.ReceiptDelivered}, {"read", "", duly.ReceiptRead},
		{"undelivered", "30003", duly.ReceiptFailed}, {"undelivered", "30005", duly.ReceiptBadAddress}, {"failed", "21610", duly.ReceiptOptedOut},
		{"failed", "30007", duly.ReceiptFailed}, {"canceled", "", duly.ReceiptFailed},
	} {
		r, body := call(query(), status(tt.said, tt.code), token())
		got, err := s.Hear(r, body)
		want := channel.Heard{
			Receipts: []duly.Receipt{{Provider: "sms", Key: message + ":" + tt.said, AttemptID: attemptID(), ProviderID: message, Status: tt.want, Detail: tt.code, At: callbackAt}},
			Answer:   &channel.Answer{Status: http.StatusNoContent},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s %s: %v\n%s", tt.said, tt.code, err, diff)
		}
	}
}

func TestHearReply(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://api.example"))
	r, body := call("", inbound("STOP", "STOP"), token())
	got, err := s.Hear(r, body)
	want := channel.Heard{
		Replies: []channel.Reply{{Key: message, Channel: duly.ChannelSMS, From: phone, Text: "STOP", At: callbackAt}},
		Points:  []channel.PointNews{{Key: message + ":stop", Kind: duly.PointMobile, Value: phone, OptedOut: duly.ChannelSMS, At: callbackAt}},
		Answer:  &channel.Answer{Type: "text/xml", Body: []byte(`<?xml version="1.0" encoding="UTF-8"?><Response/>`)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	r, body = call("", inbound("我明天还", ""), token())
	if got, err := s.Hear(r, body); err != nil || len(got.Replies) != 1 || got.Replies[0].Text != "我明天还" || got.Points != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestHearProof(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://api.example"))
	delivered := status("delivered", "")
	tests := []struct {
		name string
		call func() (*http.Request, []byte)
		code duly.Code // "" is taken
	}{
		{"signed", func() (*http.Request, []byte) { return call(query(), delivered, token()) }, ""},
		{"signed with the token that goes", func() (*http.Request, []byte) {
			return call(query(), delivered, channel.NewSecret("the token that goes"))
		}, ""},
		{"the usual port in the URL", func() (*http.Request, []byte) {
			r, body := call(query(), delivered, token())
			r.Header.Set("X-Twilio-Signature", twilioapi.Sign(token(), strings.Replace(public, ".example", ".example:443", 1)+query(), delivered))
			return r, body
		}, ""},
		{"wrong token", func() (*http.Request, []byte) { return call(query(), delivered, channel.NewSecret("another's")) }, duly.Refused},
		{"no signature", func() (*http.Request, []byte) {
			r, body := call(query(), delivered, token())
			r.Header.Del("X-Twilio-Signature")
			return r, body
		}, duly.Refused},
		{"another attempt", func() (*http.Request, []byte) {
			r, body := call(query(), delivered, token())
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "-1", "-2", 1)
			return r, body
		}, duly.Refused},
		{"another status", func() (*http.Request, []byte) {
			r, _ := call(query(), delivered, token())
			return r, []byte(status("failed", "21610").Encode())
		}, duly.Refused},
		{"a field more", func() (*http.Request, []byte) {
			r, body := call(query(), delivered, token())
			return r, append(body, "&ErrorCode=21610"...)
		}, duly.Refused},
		{"another account", func() (*http.Request, []byte) {
			form := status("delivered", "")
			form.Set("AccountSid", "AC"+strings.Repeat("9", 32))
			return call(query(), form, token())
		}, duly.Refused},
		{"too large", func() (*http.Request, []byte) {
			r, _ := call(query(), delivered, token())
			return r, make([]byte, callback.BodyMax+1)
		}, duly.Refused},
		{"by GET", func() (*http.Request, []byte) {
			r, body := call(query(), delivered, token())
			r.Method = http.MethodGet
			return r, body
		}, duly.Usage},
		{"no form", func() (*http.Request, []byte) {
			r, _ := call(query(), delivered, token())
			return r, []byte("%zz")
		}, duly.Invalid},
		{"no attempt's id", func() (*http.Request, []byte) { return call("?attempt=7", delivered, token()) }, duly.Invalid},
		{"no status that is one", func() (*http.Request, []byte) { return call(query(), status("lost", ""), token()) }, duly.Invalid},
		{"no id", func() (*http.Request, []byte) {
			form := status("delivered", "")
			form.Del("MessageSid")
			return call(query(), form, token())
		}, duly.Invalid},
		{"a reply from nobody", func() (*http.Request, []byte) {
			form := inbound("hello", "")
			form.Set("From", "LENDER")
			return call("", form, token())
		}, duly.Invalid},
		{"a reply without words", func() (*http.Request, []byte) { return call("", inbound("", ""), token()) }, duly.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := s.Hear(tt.call())
			if tt.code == "" {
				if err != nil || len(got.Receipts) != 1 {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if duly.CodeOf(err) != tt.code || !cmp.Equal(got, channel.Heard{}) {
				t.Errorf("got %+v, %v, want %s", got, err, tt.code)
			}
			if err != nil && strings.Contains(err.Error(), "138001") {
				t.Errorf("the error tells: %v", err)
			}
		})
	}
	c := config("https://api.example")
	c.Account.CallbackURL = ""
	if _, err := sender(t, c).Hear(call("", delivered, token())); duly.CodeOf(err) != duly.Refused {
		t.Errorf("without a URL: got %v", err)
	}
}

// list is a page of messages.
func list(messages ...string) string {
	return `{"messages":[` + strings.Join(messages, ",") + `],"page":0}`
}

func sent(status, code, direction string, at time.Time) string {
	return fmt.Sprintf(`{"sid":%q,"status":%q,"error_code":%s,"direction":%q,"date_created":%q}`, message, status, code, direction, at.Format(time.RFC1123Z))
}

func TestFind(t *testing.T) {
	t.Parallel()
	lost := channel.Question{AttemptID: attemptID(), To: phone, SentAt: callbackAt}
	known := lost
	known.ProviderID = message
	odd := lost
	odd.ProviderID = "../Calls"
	at := callbackAt.Add(time.Second)
	for _, tt := range []struct {
		name   string
		q      channel.Question
		status int
		body   string
		want   duly.ReceiptStatus
		fails  bool
	}{
		{"by its SID", known, 200, sent("delivered", "null", "outbound-api", at), duly.ReceiptDelivered, false},
		{"by its SID, refused", known, 200, sent("failed", "21610", "outbound-api", at), duly.ReceiptOptedOut, false},
		{"by its SID, not there", known, 404, `{"code":20404}`, "", false},
		{"by what is no SID", odd, 200, sent("delivered", "null", "outbound-api", at), "", false},
		{"the only one", lost, 200, list(sent("sent", "null", "outbound-api", at)), duly.ReceiptAccepted, false},
		{"one at another time", lost, 200, list(sent("delivered", "null", "outbound-api", at.Add(-time.Hour)), sent("undelivered", "30005", "outbound-api", at)), duly.ReceiptBadAddress, false},
		{"two", lost, 200, list(sent("delivered", "null", "outbound-api", at), sent("sent", "null", "outbound-api", at)), "", false},
		{"a message to us", lost, 200, list(sent("received", "null", "inbound", at)), "", false},
		{"none", lost, 200, list(), "", false},
		{"no answer", lost, 503, ``, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok, err := sender(t, config(service(t, tt.status, tt.body))).Find(t.Context(), tt.q)
			if got != tt.want || ok != (tt.want != "") || (err != nil) != tt.fails {
				t.Errorf("got %q, %t, %v", got, ok, err)
			}
		})
	}
}

func FuzzHear(f *testing.F) {
	for _, form := range []url.Values{status("delivered", ""), status("failed", "30005"), inbound("STOP", "STOP"), {}} {
		f.Add(query(), form.Encode())
	}
	f.Add("?attempt=%zz&attempt=", "Body=%00&From=+1")
	s := sender(f, config("https://api.example"))
	f.Fuzz(func(t *testing.T, query, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = strings.TrimPrefix(query, "?")
		form, _ := url.ParseQuery(body)
		target := public
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		r.Header.Set("X-Twilio-Signature", twilioapi.Sign(token(), target, form))
		got, err := s.Hear(r, []byte(body))
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok {
				t.Errorf("got a %T: %v", err, err)
			}
			return
		}
		for _, r := range got.Receipts {
			if r.Status.State() == "" || r.AttemptID != "" && !callback.Attempt(r.AttemptID) {
				t.Errorf("got receipt %+v", r)
			}
		}
		for _, r := range got.Replies {
			if !channel.E164(r.From) || !callback.Text(r.Text) {
				t.Errorf("got reply %+v", r)
			}
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*twilio.Config){
		"account_sid": func(c *twilio.Config) { c.Account.SID = "x" },
		"from":        func(c *twilio.Config) { c.From = "" },
		"from ":       func(c *twilio.Config) { c.Service = "MG1" },
		"connections": func(c *twilio.Config) { c.Link.Connections = -1 },
	} {
		c := config("https://api.example")
		spoil(&c)
		_, err := twilio.New("sms", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Place.Field != "carriers.sms.twilio."+strings.TrimSpace(field) || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", err, field)
		}
	}
}
