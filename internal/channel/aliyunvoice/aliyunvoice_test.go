package aliyunvoice_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/alicloud"
	"github.com/dulyhq/duly/internal/channel/aliyunvoice"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/civil"
)

const phone = "+8613800138000"

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func callbackSecret() channel.Secret { return channel.NewSecret("the-secret-of-the-callbacks") }

func config(url string) aliyunvoice.Config {
	return aliyunvoice.Config{
		Account:  alicloud.Account{KeyID: "LTAI-test", Secret: channel.NewSecret("secret of the key")},
		Endpoint: url, From: "057112345678", CallbackSecrets: []channel.Secret{callbackSecret()}, Link: post.Link{Timeout: time.Minute},
		Keys: map[string]string{"1": "我会按时还款", "9": "不要再给我打电话"},
		Templates: approved.Templates{channeltest.Template: {
			ID: "TTS_10001", ApprovedAt: civil.On(2026, time.January, 5), Variables: map[string]string{"org": "lender", "phone": "service_phone"},
		}},
	}
}

func sender(t testing.TB, c aliyunvoice.Config) *aliyunvoice.Sender {
	t.Helper()
	s, err := aliyunvoice.New("voice", c, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dialect is SingleCallByTts as it is documented.
func dialect() channeltest.Dialect {
	no := func(status int, code string) channeltest.Page {
		return channeltest.Page{Status: status, Body: `{"RequestId":"8906582E-6722","Message":"` + phone + `","Code":"` + code + `"}`}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, _ []byte) (duly.AttemptID, error) {
			q := r.URL.Query()
			var values map[string]string
			switch {
			case r.Header.Get("X-Acs-Action") != "SingleCallByTts" || r.Header.Get("X-Acs-Version") != "2017-05-25":
				return "", errors.New("not the action")
			case q.Get("CalledNumber") != "13800138000" || q.Get("CalledShowNumber") != "057112345678" || q.Get("TtsCode") != "TTS_10001" || q.Get("PlayTimes") != "2":
				return "", errors.New("not the call")
			case json.Unmarshal([]byte(q.Get("TtsParam")), &values) != nil || len(values) != 2 || values["org"] != "示例消金" || values["phone"] != "95000":
				return "", errors.New("not the values")
			}
			return duly.AttemptID(q.Get("OutId")), nil
		},
		Taken: channeltest.Page{Body: `{"RequestId":"8906582E-6722","Message":"OK","CallId":"116012354148^10281378","Code":"OK"}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   no(200, "isv.MOBILE_NUMBER_ILLEGAL"),
			channeltest.OptsOut:      no(200, "isv.BLACKLISTED_NUMBER"),
			channeltest.Rejects:      no(200, "isv.BLACK_KEY_CONTROL_LIMIT"),
			channeltest.Unauthorized: no(403, "Forbidden.RAM"),
			channeltest.Throttles:    no(200, "isv.BUSINESS_LIMIT_CONTROL"),
			channeltest.Unready:      no(503, "ServiceUnavailable"),
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
		site := channeltest.NewSite(t, b, dialect())
		c := config(site.URL())
		c.Link.Timeout = site.Timeout()
		return channeltest.Carrier{Sender: sender(t, c), Channel: duly.ChannelPrerecorded, To: phone, Log: &site.Log, Heal: site.Heal}
	}})
}

// TestNoDebt: a provider's variable that is mapped to a value which the words of a call do not speak is not sent.
func TestNoDebt(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the service was called") }))
	t.Cleanup(srv.Close)
	c := config(srv.URL)
	c.Templates = approved.Templates{channeltest.Template: {ID: "T", ApprovedAt: civil.On(2026, time.January, 5), Variables: map[string]string{"amount": "total"}}}
	m := channeltest.Message(duly.ChannelPrerecorded, phone, 1)
	m.Variables = map[string]string{"lender": "示例消金", "borrower_name": "张三", "service_phone": "95000"} // those of a template's call
	_, err := sender(t, c).Send(t.Context(), m)
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != "variable_missing" || e.Class != channel.Permanent {
		t.Errorf("got %v, want a missing variable", err)
	}
	m.To = "none"
	_, err = sender(t, config(srv.URL)).Send(t.Context(), m)
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.BadAddress {
		t.Errorf("got %v, want a bad address", err)
	}
}

func attemptID() duly.AttemptID {
	return channeltest.Message(duly.ChannelPrerecorded, phone, 1).AttemptID
}

func call(body string) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/v1/receipts/voice?key="+callbackSecret().Reveal(), strings.NewReader(body))
}

func report(code, dtmf string) string {
	return fmt.Sprintf(`{"call_id":"116012354148^10281378","caller":"057112345678","callee":"13800138000","originate_time":"2026-03-02 11:59:20","ring_time":"",
		"start_time":"","end_time":"2026-03-02 11:59:58","duration":"10","status_code":%q,"hangup_direction":"用户","out_id":%q,"dtmf":%q,"voice_type":"voice"}`, code, attemptID(), dtmf)
}

func TestHear(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://dyvms.example"))
	for _, tt := range []struct {
		code, dtmf string
		want       duly.ReceiptStatus
		words      string
	}{
		{"200000", "", duly.ReceiptDelivered, ""}, {"200000", "1", duly.ReceiptDelivered, "我会按时还款"}, {"200000", "9#", duly.ReceiptDelivered, "不要再给我打电话"},
		{"200000", "5", duly.ReceiptDelivered, ""}, {"200001", "", duly.ReceiptDelivered, ""}, {"200002", "", duly.ReceiptAccepted, ""},
		{"200003", "", duly.ReceiptAccepted, ""}, {"200010", "", duly.ReceiptAccepted, ""}, {"200004", "", duly.ReceiptFailed, ""},
		{"200121", "", duly.ReceiptFailed, ""}, {"299999", "", duly.ReceiptAccepted, ""},
	} {
		body := `[` + report(tt.code, tt.dtmf) + `]`
		got, err := s.Hear(call(body), []byte(body))
		at := callbackAt.Add(-2 * time.Second)
		want := channel.Heard{
			Receipts: []duly.Receipt{{
				Provider: "voice", Key: "116012354148^10281378:" + string(tt.want), AttemptID: attemptID(), ProviderID: "116012354148^10281378",
				Status: tt.want, Detail: tt.code, At: at,
			}},
			Answer: &channel.Answer{Type: "application/json", Body: []byte(`{"code":0,"msg":"ok"}`)},
		}
		if tt.words != "" {
			want.Replies = []channel.Reply{{Key: "key:116012354148^10281378", Channel: duly.ChannelPrerecorded, AttemptID: attemptID(), From: phone, Text: tt.words, At: at}}
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s %s: %v\n%s", tt.code, tt.dtmf, err, diff)
		}
	}
	foreign := `[` + strings.Replace(report("200000", "1"), string(attemptID()), "order 7", 1) + `]`
	if got, err := s.Hear(call(foreign), []byte(foreign)); err != nil || got.Receipts != nil || got.Replies != nil {
		t.Errorf("another program's call: got %+v, %v", got, err)
	}
}

func TestHearRefuses(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://dyvms.example"))
	good := report("200000", "1")
	for _, tt := range []struct {
		name, target, body string
		code               duly.Code
		field              string
	}{
		{"wrong secret", "/?key=some-other-secret-of-ours", `[` + good + `]`, duly.Refused, ""},
		{"ten years old", "", `[` + strings.ReplaceAll(good, "2026-", "2016-") + `]`, duly.Refused, ""},
		{"too large", "", `[` + report(strings.Repeat(" ", callback.BodyMax), "") + `]`, duly.Refused, ""},
		{"HTML", "", `<html>`, duly.Invalid, ""},
		{"none", "", `[]`, duly.Invalid, ""},
		{"no time", "", `[` + strings.Replace(good, `"end_time":"2026-03-02 11:59:58"`, `"end_time":""`, 1) + `]`, duly.Invalid, "[0].end_time"},
		{"no id", "", `[` + strings.Replace(good, "116012354148^10281378", "", 1) + `]`, duly.Invalid, "[0].call_id"},
	} {
		r := call(tt.body)
		if tt.target != "" {
			r = httptest.NewRequest(http.MethodPost, tt.target, nil)
		}
		got, err := s.Hear(r, []byte(tt.body))
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Code != tt.code || tt.field != "" && e.Place.Field != tt.field || !cmp.Equal(got, channel.Heard{}) {
			t.Errorf("%s: got %+v, %v, want %s at %q", tt.name, got, err, tt.code, tt.field)
		}
	}
}

func FuzzHear(f *testing.F) {
	for _, s := range []string{`[` + report("200000", "1") + `]`, `[{}]`, `{}`, `[`} {
		f.Add([]byte(s))
	}
	s := sender(f, config("https://dyvms.example"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := s.Hear(call(""), body)
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok {
				t.Errorf("got a %T: %v", err, err)
			}
			return
		}
		for _, r := range got.Receipts {
			if r.Status == duly.ReceiptBadAddress || r.Status == duly.ReceiptOptedOut || r.Status.State() == "" || !callback.Reference(r.ProviderID) {
				t.Errorf("got receipt %+v", r)
			}
		}
		for _, r := range got.Replies {
			if !callback.Attempt(r.AttemptID) || r.From != "" && !channel.E164(r.From) {
				t.Errorf("got reply %+v", r)
			}
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*aliyunvoice.Config){
		"access_key_id": func(c *aliyunvoice.Config) { c.Account.KeyID = "" },
		"templates":     func(c *aliyunvoice.Config) { c.Templates = nil },
		"play_times":    func(c *aliyunvoice.Config) { c.PlayTimes = 4 },
		"variable_max":  func(c *aliyunvoice.Config) { c.VariableMax = -1 },
		"keys.11":       func(c *aliyunvoice.Config) { c.Keys = map[string]string{"11": "x"} },
		"keys.1":        func(c *aliyunvoice.Config) { c.Keys = map[string]string{"1": ""} },
		"endpoint":      func(c *aliyunvoice.Config) { c.Endpoint = "x" },
	} {
		c := config("https://dyvms.example")
		spoil(&c)
		_, err := aliyunvoice.New("voice", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Place.Field != "carriers.voice.aliyun_voice."+field || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", err, field)
		}
	}
}
