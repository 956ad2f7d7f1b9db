package aliyun_test

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
	"github.com/dulyhq/duly/internal/channel/aliyun"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/civil"
)

func attemptID() duly.AttemptID { return channeltest.Message(duly.ChannelSMS, phone, 1).AttemptID }

// service answers every call with one page.
func service(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// details is what QuerySendDetails answers of one message.
func details(id duly.AttemptID, status int, code string) string {
	return fmt.Sprintf(`{"TotalCount":"2","Message":"OK","RequestId":"r","Code":"OK","SmsSendDetailDTOs":{"SmsSendDetailDTO":[
		{"ErrCode":"DELIVERED","TemplateCode":"SMS_1","OutId":"of another program","ReceiveDate":"2026-03-02 11:00:00","PhoneNum":"13800138000","SendStatus":3},
		{"ErrCode":%q,"TemplateCode":"SMS_1","OutId":%q,"SendDate":"2026-03-02 11:59:50","PhoneNum":"13800138000","Content":"…","SendStatus":%d}]}}`, code, id, status)
}

func refusing(t *testing.T) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { t.Error("the service was called") }
}

func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	s := sender(t, config(service(t, refusing(t))))
	tests := map[string]func(*channel.Message){
		"number":            func(m *channel.Message) { m.To = "13800138000" },
		"number ":           func(m *channel.Message) { m.To = "+861380013800x" },
		"number  ":          func(m *channel.Message) { m.To = "+86" + strings.Repeat("1", 20) },
		"template_missing":  func(m *channel.Message) { m.Template = "overdue-firm" },
		"variable_too_long": func(m *channel.Message) { m.Variables["total"] = strings.Repeat("一", 36) },
		"variable_missing":  func(m *channel.Message) { delete(m.Variables, "total") },
		"malformed_message": func(m *channel.Message) { m.Variables["total"] = "\xff" },
	}
	for code, spoil := range tests {
		m := channeltest.Message(duly.ChannelSMS, phone, 1)
		spoil(&m)
		_, err := s.Send(t.Context(), m)
		e, ok := errors.AsType[*channel.Error](err)
		want := channel.Permanent
		if strings.TrimSpace(code) == "number" {
			want = channel.BadAddress
		}
		if !ok || e.Code != strings.TrimSpace(code) || e.Class != want {
			t.Errorf("got %v, want %s: %s", err, want, code)
		}
	}
}

func TestAbroad(t *testing.T) {
	t.Parallel()
	var got url.Values
	s := sender(t, config(service(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Query()
		_, _ = io.WriteString(w, `{"Code":"OK","BizId":"1^2"}`)
	})))
	m := channeltest.Message(duly.ChannelSMS, "+85261234567", 1)
	if a, err := s.Send(t.Context(), m); err != nil || a.ProviderID != "1^2" || got.Get("PhoneNumbers") != "85261234567" {
		t.Errorf("got %+v, %v, number %q", a, err, got.Get("PhoneNumbers"))
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		answer string
		want   duly.ReceiptStatus
		fails  bool
	}{
		{details(attemptID(), 3, "DELIVERED"), duly.ReceiptDelivered, false},
		{details(attemptID(), 1, ""), duly.ReceiptAccepted, false},
		{details(attemptID(), 2, "MBBLACK"), duly.ReceiptOptedOut, false},
		{details(attemptID(), 2, "MOBILE_NOT_ON_SERVICE"), duly.ReceiptFailed, false},
		{details(attemptID(), 9, ""), "", false},
		{details("a0000-1", 3, "DELIVERED"), "", false},
		{`{"Code":"OK"}`, "", false},
		{`{"Code":"isp.SYSTEM_ERROR"}`, "", true},
		{`<html>`, "", true},
	}
	for _, tt := range tests {
		var asked url.Values
		s := sender(t, config(service(t, func(w http.ResponseWriter, r *http.Request) {
			asked = r.URL.Query()
			_, _ = io.WriteString(w, tt.answer)
		})))
		got, ok, err := s.Find(t.Context(), channel.Question{AttemptID: attemptID(), To: phone, SentAt: callbackAt})
		if got != tt.want || ok != (tt.want != "") || (err != nil) != tt.fails {
			t.Errorf("%.60s: got %q, %t, %v", tt.answer, got, ok, err)
		}
		if asked.Get("PhoneNumber") != "13800138000" || asked.Get("SendDate") != "20260302" {
			t.Errorf("asked for %v", asked)
		}
	}
}

// TestFindPages: all pages are read, and the day after a message that was sent at its end.
func TestFindPages(t *testing.T) {
	t.Parallel()
	other := strings.Repeat(`{"OutId":"other","SendStatus":3},`, 50)
	var calls []string
	s := sender(t, config(service(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		calls = append(calls, q.Get("SendDate")+"/"+q.Get("CurrentPage"))
		list := strings.TrimSuffix(other, ",")
		if q.Get("SendDate") == "20260303" && q.Get("CurrentPage") == "2" {
			list = `{"OutId":"` + string(attemptID()) + `","SendStatus":3}`
		}
		_, _ = io.WriteString(w, `{"Code":"OK","SmsSendDetailDTOs":{"SmsSendDetailDTO":[`+list+`]}}`)
	})))
	late := time.Date(2026, time.March, 2, 15, 59, 59, int(900*time.Millisecond), time.UTC)
	got, ok, err := s.Find(t.Context(), channel.Question{AttemptID: attemptID(), To: phone, SentAt: late})
	if want := []string{"20260302/1", "20260302/2", "20260302/3", "20260303/1", "20260303/2"}; got != duly.ReceiptDelivered || !ok || err != nil || !cmp.Equal(calls, want) {
		t.Errorf("got %q, %t, %v after %v", got, ok, err, calls)
	}
}

func call(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/v1/receipts/sms?key="+callbackSecret().Reveal(), strings.NewReader(body))
}

func report(success bool, code string) string {
	return fmt.Sprintf(`{"phone_number":"13800138000","send_time":"2026-03-02 11:59:50","report_time":"2026-03-02 11:59:58","success":%t,"err_code":%q,
		"err_msg":"…","sms_size":"1","biz_id":"9006197469364984^0","out_id":%q}`, success, code, attemptID())
}

const up = `{"phone_number":"13800138000","send_time":"2026-03-02 11:59:58","content":"T","sign_name":"示例消金","dest_code":"10690001","sequence_id":1234567890}`

func TestHear(t *testing.T) {
	t.Parallel()
	receipt := duly.Receipt{
		Provider: "sms", Key: "9006197469364984^0:false", AttemptID: attemptID(), ProviderID: "9006197469364984^0", At: callbackAt.Add(-2 * time.Second),
	}
	with := func(status duly.ReceiptStatus, detail string) []duly.Receipt {
		r := receipt
		r.Status, r.Detail = status, detail
		if status == duly.ReceiptDelivered {
			r.Key = "9006197469364984^0:true"
		}
		return []duly.Receipt{r}
	}
	reply := []channel.Reply{{Key: "up:1234567890", Channel: duly.ChannelSMS, From: phone, Text: "T", At: callbackAt.Add(-2 * time.Second)}}
	tests := []struct {
		name     string
		body     string
		answer   string // of QuerySendDetails; "" must not be asked
		receipts []duly.Receipt
		replies  []channel.Reply
	}{
		{"delivered", `[` + report(true, "DELIVERED") + `]`, "", with(duly.ReceiptDelivered, "DELIVERED"), nil},
		{"failed", `[` + report(false, "MOBILE_NOT_ON_SERVICE") + `]`, "", with(duly.ReceiptFailed, "MOBILE_NOT_ON_SERVICE"), nil},
		{"refused, and the service says so", `[` + report(false, "MBBLACK") + `]`, details(attemptID(), 2, "MBBLACK"), with(duly.ReceiptOptedOut, "MBBLACK"), nil},
		{"no such number, and the service says so", `[` + report(false, "MK:0001") + `]`, details(attemptID(), 2, "MK:0001"), with(duly.ReceiptBadAddress, "MK:0001"), nil},
		{"refused, but the service delivered it", `[` + report(false, "MBBLACK") + `]`, details(attemptID(), 3, "DELIVERED"), with(duly.ReceiptFailed, "MBBLACK"), nil},
		{"refused, but the service knows another reason", `[` + report(false, "MBBLACK") + `]`, details(attemptID(), 2, "MK:0001"), with(duly.ReceiptFailed, "MBBLACK"), nil},
		{"refused, but the service knows nothing", `[` + report(false, "MBBLACK") + `]`, `{"Code":"OK"}`, with(duly.ReceiptFailed, "MBBLACK"), nil},
		{"of another program", `[` + strings.Replace(report(true, ""), string(attemptID()), "order 7", 1) + `,` + up + `]`, "", nil, reply},
		{"a reply", `[` + up + `]`, "", nil, reply},
		{"a reply whose number is a text", `[` + strings.Replace(up, "1234567890", `"1234567890"`, 1) + `]`, "", nil, reply},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := sender(t, config(service(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.answer == "" || r.Header.Get("X-Acs-Action") != "QuerySendDetails" {
					t.Error("the service was asked")
				}
				_, _ = io.WriteString(w, tt.answer)
			})))
			got, err := s.Hear(call(tt.body), []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			want := channel.Heard{Receipts: tt.receipts, Replies: tt.replies, Answer: &channel.Answer{Type: "application/json", Body: []byte(`{"code":0,"msg":"ok"}`)}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestHearRefuses(t *testing.T) {
	t.Parallel()
	down := sender(t, config(service(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })))
	tests := []struct {
		name, target, body string
		code               duly.Code
		field              string
	}{
		{"no secret", "/", `[` + report(true, "") + `]`, duly.Refused, ""},
		{"wrong secret", "/?key=some-other-secret-of-ours", `[` + report(true, "") + `]`, duly.Refused, ""},
		{"ten years old", "", `[` + strings.ReplaceAll(report(true, ""), "2026-", "2016-") + `]`, duly.Refused, ""},
		{"a reply ten years old", "", `[` + strings.ReplaceAll(up, "2026-", "2016-") + `]`, duly.Refused, ""},
		{"tomorrow", "", `[` + strings.ReplaceAll(report(true, ""), "2026-03-02", "2026-03-03") + `]`, duly.Refused, ""},
		{"too large", "", `[` + report(true, strings.Repeat(" ", callback.BodyMax)) + `]`, duly.Refused, ""},
		{"too many", "", `[` + strings.TrimSuffix(strings.Repeat(`{},`, 1001), ",") + `]`, duly.Invalid, ""},
		{"none", "", `[]`, duly.Invalid, ""},
		{"an object", "", report(true, ""), duly.Invalid, ""},
		{"HTML", "", `<html>`, duly.Invalid, ""},
		{"no time", "", `[` + strings.Replace(report(true, ""), "2026-03-02 11:59:58", "soon", 1) + `]`, duly.Invalid, "[0].report_time"},
		{"no id", "", `[` + up + `,` + strings.Replace(report(true, ""), "9006197469364984^0", "", 1) + `]`, duly.Invalid, "[1].biz_id"},
		{"a reply from nobody", "", `[` + strings.Replace(up, "13800138000", "x", 1) + `]`, duly.Invalid, "[0].phone_number"},
		{"a reply without a number", "", `[` + strings.Replace(up, "1234567890", "null", 1) + `]`, duly.Invalid, "[0].sequence_id"},
		{"a reply without words", "", `[` + strings.Replace(up, `"T"`, `""`, 1) + `]`, duly.Invalid, "[0].content"},
		{"the service cannot be asked", "", `[` + report(false, "MBBLACK") + `]`, duly.Unavailable, ""},
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
			if !ok || e.Code != tt.code || tt.field != "" && e.Place.Field != tt.field {
				t.Errorf("got %v, want %s at %q", err, tt.code, tt.field)
			}
			if !cmp.Equal(got, channel.Heard{}) {
				t.Errorf("with an error there is also %+v", got)
			}
			if err != nil && (strings.Contains(err.Error(), "138001") || strings.Contains(err.Error(), callbackSecret().Reveal())) {
				t.Errorf("the error tells: %v", err)
			}
		})
	}
	c := config("https://dysmsapi.example")
	c.CallbackSecrets = nil
	if _, err := sender(t, c).Hear(call(`[]`), []byte(`[]`)); duly.CodeOf(err) != duly.Refused {
		t.Errorf("without secrets: got %v", err)
	}
}

func FuzzHear(f *testing.F) {
	for _, s := range []string{`[` + report(true, "DELIVERED") + `]`, `[` + up + `]`, `[{}]`, `[{"sequence_id":[]}]`, `[{"sequence_id":1e999,"content":"x"}]`, `{}`, `[`} {
		f.Add([]byte(s))
	}
	c := config("http://127.0.0.1:1")
	s := sender(f, c)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := s.Hear(call(""), body)
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok {
				t.Errorf("got a %T: %v", err, err)
			}
			return
		}
		for _, r := range got.Receipts {
			if r.Status.State() == "" || r.Key == "" || r.AttemptID != "" && !callback.Attempt(r.AttemptID) || callback.Fresh(r.At, callbackAt, 24*time.Hour) != nil {
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
	tests := map[string]func(*aliyun.Config){
		"access_key_id":     func(c *aliyun.Config) { c.Account.KeyID = "" },
		"access_key_secret": func(c *aliyun.Config) { c.Account.Secret = channel.Secret{} },
		"endpoint":          func(c *aliyun.Config) { c.Endpoint = "http://dysmsapi.aliyuncs.com" },
		"templates":         func(c *aliyun.Config) { c.Templates = nil },
		"templates.x.sign": func(c *aliyun.Config) {
			c.Sign, c.Templates = "", approved.Templates{"x": {ID: "1", ApprovedAt: civil.On(2026, 1, 5)}}
		},
		"variable_max":            func(c *aliyun.Config) { c.VariableMax = -1 },
		"callback_secrets[0]":     func(c *aliyun.Config) { c.CallbackSecrets = []channel.Secret{channel.NewSecret("short")} },
		"timeout":                 func(c *aliyun.Config) { c.Link.Timeout = time.Hour },
		"templates.x.approved_at": func(c *aliyun.Config) { c.Templates = approved.Templates{"x": {ID: "1"}} },
	}
	for field, spoil := range tests {
		c := config("https://dysmsapi.example")
		spoil(&c)
		_, err := aliyun.New("sms", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Place.Field != "carriers.sms.aliyun."+field || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", err, field)
		}
	}
}
