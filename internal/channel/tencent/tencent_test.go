package tencent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/tencent"
	"github.com/dulyhq/duly/internal/civil"
)

func service(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		status     int
		class      channel.Class
		code       string
		wait       time.Duration
	}{
		{"ok", one("Ok"), 200, "", "", 0},
		{"an error inside", failure("FailedOperation.InsufficientBalanceInSmsPackage"), 200, channel.Config, "balance", 0},
		{"template", one("FailedOperation.TemplateIncorrectOrUnapproved"), 200, channel.Permanent, "template", 0},
		{"sign", one("FailedOperation.SignatureIncorrectOrUnapproved"), 200, channel.Config, "sign", 0},
		{"address, half a minute", one("LimitExceeded.PhoneNumberThirtySecondLimit"), 200, channel.Throttled, "address_limit", time.Minute},
		{"account", one("LimitExceeded.AppDailyLimit"), 200, channel.Throttled, "day_limit", time.Hour},
		{"another limit", one("LimitExceeded.Something"), 200, channel.Throttled, "limit", time.Hour},
		{"rate", failure("RequestLimitExceeded.UinLimitExceeded"), 200, channel.Throttled, "rate", 0},
		{"clock", failure("AuthFailure.SignatureExpire"), 200, channel.Config, "clock", 0},
		{"permission", failure("UnauthorizedOperation.SerivceSuspendDueToArrears"), 200, channel.Config, "permission", 0},
		{"parameter", failure("InvalidParameterValue.Something"), 200, channel.Permanent, "parameters", 0},
		{"internal time-out", one("InternalError.Timeout"), 200, channel.Unknown, "internal_timeout", 0},
		{"internal", failure("InternalError"), 200, channel.Unknown, "unlisted", 0},
		{"other", one("FailedOperation.OtherError"), 200, channel.Unknown, "unlisted", 0},
		{"HTML", `<html>`, 200, channel.Unknown, "unreadable", 0},
		{"no status", `{"Response":{"SendStatusSet":[],"RequestId":"x"}}`, 200, channel.Unknown, "unreadable", 0},
		{"no response", `{}`, 200, channel.Unknown, "unreadable", 0},
		{"a gateway", `<html>`, 502, channel.Unknown, "http_502", 0},
		{"busy gateway", `<html>`, 503, channel.Unknown, "http_503", 0},
		{"wrong door", `<html>`, 404, channel.Config, "http_404", 0},
		{"taken, but 500", one("Ok"), 500, channel.Unknown, "http_500", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sender(t, config(service(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})))
			got, err := s.Send(t.Context(), channeltest.Message(duly.ChannelSMS, phone, 1))
			if tt.class == "" {
				if want := (channel.Accepted{ProviderID: serial, Segments: 2}); err != nil || got != want {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
				return
			}
			e, ok := errors.AsType[*channel.Error](err)
			if !ok || e.Class != tt.class || e.Code != tt.code || e.RetryAfter != tt.wait {
				t.Errorf("got %v, want %s: %s after %s", err, tt.class, tt.code, tt.wait)
			}
		})
	}
}

func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	s := sender(t, config(service(t, func(http.ResponseWriter, *http.Request) { t.Error("the service was called") })))
	for code, spoil := range map[string]func(*channel.Message){
		"invalid_number":    func(m *channel.Message) { m.To = "+8612345678901" },
		"template_missing":  func(m *channel.Message) { m.Template = "overdue-firm" },
		"variable_too_long": func(m *channel.Message) { m.Variables["total"] = strings.Repeat("一", 21) },
	} {
		m := channeltest.Message(duly.ChannelSMS, phone, 1)
		spoil(&m)
		_, err := s.Send(t.Context(), m)
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

func pulled(status string) string {
	return `{"Response":{"PullSmsSendStatusSet":[{"UserReceiveTime":1,"SerialNo":"other","ReportStatus":"FAIL"},
		{"UserReceiveTime":1620734188,"CountryCode":"86","SubscriberNumber":"13800138000","PhoneNumber":"` + phone + `","SerialNo":"` + serial +
		`","ReportStatus":"` + status + `","Description":"x"}],"RequestId":"x"}}`
}

func call(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/v1/receipts/sms?key="+callbackSecret().Reveal(), strings.NewReader(body))
}

func report(status, code string) string {
	return fmt.Sprintf(`{"user_receive_time":"2026-03-02 11:59:58","nationcode":"86","mobile":"13800138000","report_status":%q,"errmsg":%q,"description":"…","sid":%q}`,
		status, code, serial)
}

func up(text string) string {
	return fmt.Sprintf(`{"extend":"","mobile":"13800138000","nationcode":"86","sign":"示例消金","text":%q,"time":%d}`, text, callbackAt.Add(-2*time.Second).Unix())
}

func TestHear(t *testing.T) {
	t.Parallel()
	receipt := func(status duly.ReceiptStatus, reported, detail string) []duly.Receipt {
		return []duly.Receipt{{Provider: "sms", Key: serial + ":" + reported, ProviderID: serial, Status: status, Detail: detail, At: callbackAt.Add(-2 * time.Second)}}
	}
	tests := []struct {
		name, body, answer string
		want               []duly.Receipt
	}{
		{"delivered", report("SUCCESS", "DELIVRD"), "", receipt(duly.ReceiptDelivered, "SUCCESS", "DELIVRD")},
		{"failed", report("FAIL", "UNDELIV"), "", receipt(duly.ReceiptFailed, "FAIL", "UNDELIV")},
		{"refused, and the service says so", report("FAIL", "MBBLACK"), pulled("FAIL"), receipt(duly.ReceiptOptedOut, "FAIL", "MBBLACK")},
		{"no such number, and the service says so", report("FAIL", "MK:0001"), pulled("FAIL"), receipt(duly.ReceiptBadAddress, "FAIL", "MK:0001")},
		{"refused, but the service delivered it", report("FAIL", "MBBLACK"), pulled("SUCCESS"), receipt(duly.ReceiptFailed, "FAIL", "MBBLACK")},
		{"refused, but the service knows nothing", report("FAIL", "MBBLACK"), `{"Response":{"PullSmsSendStatusSet":[]}}`, receipt(duly.ReceiptFailed, "FAIL", "MBBLACK")},
		{"refused, but the account may not ask", report("FAIL", "MBBLACK"), failure("UnauthorizedOperation.RequestPermissionDeny"), receipt(duly.ReceiptFailed, "FAIL", "MBBLACK")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sender(t, config(service(t, func(w http.ResponseWriter, r *http.Request) {
				var asked struct {
					PhoneNumber        string
					BeginTime, EndTime int64
				}
				if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || tt.answer == "" || asked.PhoneNumber != phone || asked.EndTime-asked.BeginTime != 7*24*3600 {
					t.Errorf("the service was asked %+v, %v", asked, err)
				}
				_, _ = io.WriteString(w, tt.answer)
			})))
			body := `[` + tt.body + `]`
			got, err := s.Hear(call(body), []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			want := channel.Heard{Receipts: tt.want, Answer: &channel.Answer{Type: "application/json", Body: []byte(`{"result":0,"errmsg":"OK"}`)}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestHearReply(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://sms.example"))
	body := up("我已经还了")
	got, err := s.Hear(call(body), []byte(body))
	if err != nil || len(got.Replies) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	r := got.Replies[0]
	if r.From != phone || r.Text != "我已经还了" || !r.At.Equal(callbackAt.Add(-2*time.Second)) || r.Channel != duly.ChannelSMS {
		t.Errorf("got %+v", r)
	}
	again, _ := s.Hear(call(body), []byte(" \n"+body+"\n"))
	other, _ := s.Hear(call(""), []byte(up("T")))
	if again.Replies[0].Key != r.Key || other.Replies[0].Key == r.Key || strings.Contains(r.Key, "138001") {
		t.Errorf("got keys %q, %q, %q: want the same for the same reply, and nothing personal", r.Key, again.Replies[0].Key, other.Replies[0].Key)
	}
}

func TestHearRefuses(t *testing.T) {
	t.Parallel()
	down := sender(t, config(service(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })))
	good := report("SUCCESS", "DELIVRD")
	tests := []struct {
		name, target, body string
		code               duly.Code
		field              string
	}{
		{"no secret", "/", `[` + good + `]`, duly.Refused, ""},
		{"wrong secret", "/?key=some-other-secret-of-ours", up("T"), duly.Refused, ""},
		{"ten years old", "", `[` + strings.ReplaceAll(good, "2026-", "2016-") + `]`, duly.Refused, ""},
		{"a reply ten years old", "", strings.Replace(up("T"), fmt.Sprint(callbackAt.Unix()-2), "1457336869", 1), duly.Refused, ""},
		{"too large", "", `[` + report("FAIL", strings.Repeat(" ", callback.BodyMax)) + `]`, duly.Refused, ""},
		{"none", "", `[]`, duly.Invalid, ""},
		{"nothing", "", ``, duly.Invalid, ""},
		{"HTML", "", `<html>`, duly.Invalid, ""},
		{"no id", "", `[` + good + `,` + strings.Replace(good, serial, "", 1) + `]`, duly.Invalid, "[1].sid"},
		{"no time", "", `[` + strings.Replace(good, "2026-03-02 11:59:58", "", 1) + `]`, duly.Invalid, "[0].user_receive_time"},
		{"a status that is none", "", `[` + report("MAYBE", "") + `]`, duly.Invalid, "[0].report_status"},
		{"a reply from nobody", "", strings.Replace(up("T"), "13800138000", "1", 1), duly.Invalid, "mobile"},
		{"a reply without words", "", up(""), duly.Invalid, "text"},
		{"a reply at no time", "", strings.Replace(up("T"), fmt.Sprint(callbackAt.Unix()-2), "1.5", 1), duly.Invalid, "time"},
		{"the service cannot be asked", "", `[` + report("FAIL", "MBBLACK") + `]`, duly.Unavailable, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := call(tt.body)
			if tt.target != "" {
				r = httptest.NewRequest(http.MethodPost, tt.target, nil)
			}
			got, err := down.Hear(r, []byte(tt.body))
			e, ok := errors.AsType[*duly.Error](err)
			if !ok || e.Code != tt.code || tt.field != "" && e.Place.Field != tt.field || !cmp.Equal(got, channel.Heard{}) {
				t.Errorf("got %+v, %v, want %s at %q", got, err, tt.code, tt.field)
			}
			if err != nil && (strings.Contains(err.Error(), "138001") || strings.Contains(err.Error(), callbackSecret().Reveal())) {
				t.Errorf("the error tells: %v", err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	known := channel.Question{AttemptID: "a", ProviderID: serial, To: phone, SentAt: callbackAt.Add(-time.Hour)}
	for _, tt := range []struct {
		q      channel.Question
		answer string
		want   duly.ReceiptStatus
		fails  bool
	}{
		{known, pulled("SUCCESS"), duly.ReceiptDelivered, false},
		{known, pulled("FAIL"), duly.ReceiptFailed, false},
		{known, pulled("WAITING"), "", false},
		{channel.Question{AttemptID: "a", To: phone, SentAt: callbackAt}, pulled("SUCCESS"), "", false},
		{known, failure("InternalError"), "", true},
	} {
		got, ok, err := sender(t, config(service(t, answering(tt.answer)))).Find(t.Context(), tt.q)
		if got != tt.want || ok != (tt.want != "") || (err != nil) != tt.fails {
			t.Errorf("%.80s: got %q, %t, %v", tt.answer, got, ok, err)
		}
	}
}

func FuzzHear(f *testing.F) {
	for _, s := range []string{`[` + report("SUCCESS", "DELIVRD") + `]`, up("T"), `[{}]`, `{}`, `{"time":1e999}`, `[`, ` `} {
		f.Add([]byte(s))
	}
	s := sender(f, config("http://127.0.0.1:1"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := s.Hear(call(""), body)
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok {
				t.Errorf("got a %T: %v", err, err)
			}
			return
		}
		for _, r := range got.Receipts {
			if r.Status.State() == "" || !callback.Reference(r.ProviderID) || callback.Fresh(r.At, callbackAt, 72*time.Hour) != nil {
				t.Errorf("got receipt %+v", r)
			}
		}
		for _, r := range got.Replies {
			if !channel.E164(r.From) || !callback.Text(r.Text) || r.Key == "" {
				t.Errorf("got reply %+v", r)
			}
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*tencent.Config){
		"secret_id":    func(c *tencent.Config) { c.SecretID = "" },
		"secret_key":   func(c *tencent.Config) { c.SecretKey = channel.Secret{} },
		"sdk_app_id":   func(c *tencent.Config) { c.App = "" },
		"endpoint":     func(c *tencent.Config) { c.Endpoint = "ftp://x" },
		"variable_max": func(c *tencent.Config) { c.VariableMax = 2000 },
		"templates.x.sign": func(c *tencent.Config) {
			c.Sign, c.Templates = "", approved.Templates{"x": {ID: "1", ApprovedAt: civil.On(2026, 1, 5)}}
		},
		"callback_secrets[0]": func(c *tencent.Config) { c.CallbackSecrets = []channel.Secret{channel.NewSecret("short")} },
		"templates.x.variables": func(c *tencent.Config) {
			c.Templates = approved.Templates{"x": {ID: "1", ApprovedAt: civil.On(2026, 1, 5), Variables: map[string]string{"1": "total", "3": "due_when"}}}
		},
	} {
		c := config("https://sms.example")
		spoil(&c)
		_, err := tencent.New("sms", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Place.Field != "carriers.sms.tencent."+field || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", err, field)
		}
	}
}
