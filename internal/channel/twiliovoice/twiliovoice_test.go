package twiliovoice_test

import (
	"encoding/xml"
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
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
	"github.com/dulyhq/duly/internal/channel/twiliovoice"
	"github.com/dulyhq/duly/internal/reply"
)

const (
	phone   = "+8613800138000"
	account = "AC0123456789abcdef0123456789abcdef"
	callSID = "CA0123456789abcdef0123456789abcdef"
	public  = "https://duly.lender.example/v1/receipts/voice"
)

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func token() channel.Secret { return channel.NewSecret("the account's token") }

func config(endpoint string) twiliovoice.Config {
	return twiliovoice.Config{
		Account: twilioapi.Account{SID: account, Tokens: []channel.Secret{token()}, Endpoint: endpoint, CallbackURL: public},
		From:    "+14155550100", Link: post.Link{Timeout: time.Minute},
		Keys: map[string]string{"1": "我会按时还款", "9": "不要再给我打电话"}, Thanks: "谢谢 & 再见", Tongue: "zh-CN",
	}
}

func sender(t testing.TB, c twiliovoice.Config) *twiliovoice.Sender {
	t.Helper()
	s, err := twiliovoice.New("voice", c, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func attemptID() duly.AttemptID {
	return channeltest.Message(duly.ChannelPrerecorded, phone, 1).AttemptID
}

// spoken is what the instructions of a call say.
type spoken struct {
	Gather struct {
		Digits string `xml:"numDigits,attr"`
		Action string `xml:"action,attr"`
		Say    struct {
			Language string `xml:"language,attr"`
			Words    string `xml:",chardata"`
		}
	}
}

func dialect() channeltest.Dialect {
	no := func(status int, code string) channeltest.Page {
		return channeltest.Page{Status: status, Body: `{"code":` + code + `,"message":"` + phone + `","status":400}`}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			form, err := url.ParseQuery(string(body))
			if err != nil {
				return "", err
			}
			back, _ := url.Parse(form.Get("StatusCallback"))
			var x spoken
			switch err := xml.Unmarshal([]byte(form.Get("Twiml")), &x); {
			case err != nil:
				return "", err
			case r.URL.Path != "/2010-04-01/Accounts/"+account+"/Calls.json" || form.Get("To") != phone || form.Get("From") != "+14155550100":
				return "", errors.New("not the call")
			case form.Get("MachineDetection") != "Enable" || form.Get("Timeout") != "30" || !strings.HasPrefix(form.Get("StatusCallback"), public+"?attempt="):
				return "", errors.New("not as asked for")
			case x.Gather.Digits != "1" || x.Gather.Action != form.Get("StatusCallback") || x.Gather.Say.Language != "zh-CN" || !strings.Contains(x.Gather.Say.Words, "1234.56"):
				return "", errors.New("not the words")
			}
			return duly.AttemptID(back.Query().Get("attempt")), nil
		},
		Taken: channeltest.Page{Status: http.StatusCreated, Body: `{"sid":"` + callSID + `","status":"queued","direction":"outbound-api","answered_by":null,"to":"` + phone + `"}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress: no(400, "21217"), channeltest.Rejects: no(400, "21215"), channeltest.Unauthorized: no(401, "20003"), channeltest.Throttles: no(429, "20429"),
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			site := channeltest.NewSite(t, b, dialect())
			c := config(site.URL())
			c.Link.Timeout = site.Timeout()
			return channeltest.Carrier{Sender: sender(t, c), Channel: duly.ChannelPrerecorded, To: phone, Log: &site.Log, Heal: site.Heal}
		},
		Skip: map[channeltest.Behaviour]string{
			channeltest.OptsOut: "Twilio keeps no list of who refuses calls",
			channeltest.Unready: "no answer of Twilio's promises that it did not take a call now, and may later",
		},
	})
}

// TestWords: what is spoken is the message's text and nothing besides, whatever is in it.
func TestWords(t *testing.T) {
	t.Parallel()
	var body string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		_, _ = io.WriteString(w, `{"sid":"`+callSID+`"}`)
	}))
	t.Cleanup(srv.Close)
	c := config(srv.URL)
	c.Keys = nil
	m := channeltest.Message(duly.ChannelPrerecorded, phone, 1)
	m.Text = `您好</Say><Dial>+1900</Dial> & "请问"是'张三'本人吗？`
	if _, err := sender(t, c).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	form, _ := url.ParseQuery(body)
	var x struct {
		Say  []string
		Dial []string
	}
	if err := xml.Unmarshal([]byte(form.Get("Twiml")), &x); err != nil || len(x.Dial) != 0 || len(x.Say) != 1 || x.Say[0] != m.Text {
		t.Errorf("got %s, %v", form.Get("Twiml"), err)
	}
	for code, spoil := range map[string]func(*channel.Message){
		"text_too_long":     func(m *channel.Message) { m.Text = strings.Repeat("长", 4001) },
		"malformed_message": func(m *channel.Message) { m.Text = "" },
		"malformed_number":  func(m *channel.Message) { m.To = "13800138000" },
	} {
		m := channeltest.Message(duly.ChannelPrerecorded, phone, 1)
		spoil(&m)
		_, err := sender(t, c).Send(t.Context(), m)
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

func call(form url.Values) (*http.Request, []byte) {
	query := "?attempt=" + url.QueryEscape(string(attemptID()))
	form.Set("AccountSid", account)
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/voice"+query, nil)
	r.Header.Set("X-Twilio-Signature", twilioapi.Sign(token(), public+query, form))
	return r, []byte(form.Encode())
}

func TestHear(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://api.example"))
	for _, tt := range []struct {
		status, by, sip string
		want            duly.ReceiptStatus
		detail          string
	}{
		{"completed", "human", "200", duly.ReceiptDelivered, "completed:human"}, {"completed", "", "", duly.ReceiptDelivered, "completed"},
		{"completed", "machine_start", "200", duly.ReceiptAccepted, "completed:machine_start"}, {"completed", "fax", "", duly.ReceiptAccepted, "completed:fax"},
		{"no-answer", "", "487", duly.ReceiptAccepted, "no-answer"}, {"busy", "", "486", duly.ReceiptAccepted, "busy"}, {"ringing", "", "", duly.ReceiptAccepted, "ringing"},
		{"failed", "", "404", duly.ReceiptBadAddress, "failed"}, {"failed", "", "503", duly.ReceiptFailed, "failed"}, {"canceled", "", "", duly.ReceiptAccepted, "canceled"},
	} {
		form := url.Values{"CallSid": {callSID}, "CallStatus": {tt.status}, "To": {phone}}
		if tt.by != "" {
			form.Set("AnsweredBy", tt.by)
		}
		if tt.sip != "" {
			form.Set("SipResponseCode", tt.sip)
		}
		got, err := s.Hear(call(form))
		want := channel.Heard{
			Receipts: []duly.Receipt{{
				Provider: "voice", Key: callSID + ":" + tt.status, AttemptID: attemptID(), ProviderID: callSID, Status: tt.want, Detail: tt.detail, At: callbackAt,
			}},
			Answer: &channel.Answer{Status: http.StatusNoContent},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s %s: %v\n%s", tt.status, tt.by, err, diff)
		}
	}
}

func TestHearKey(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://api.example"))
	press := func(key string) url.Values {
		return url.Values{"CallSid": {callSID}, "CallStatus": {"in-progress"}, "To": {phone}, "Digits": {key}}
	}
	got, err := s.Hear(call(press("9")))
	const next = `<?xml version="1.0" encoding="UTF-8"?><Response><Say language="zh-CN">谢谢 &amp; 再见</Say><Hangup></Hangup></Response>`
	want := channel.Heard{
		Replies: []channel.Reply{{Key: "key:" + callSID, Channel: duly.ChannelPrerecorded, AttemptID: attemptID(), From: phone, Text: "不要再给我打电话", At: callbackAt}},
		Answer:  &channel.Answer{Type: "text/xml", Body: []byte(next)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := s.Hear(call(press("5"))); err != nil || got.Replies != nil || got.Answer == nil {
		t.Errorf("a key that says nothing: got %+v, %v", got, err)
	}
}

func TestHearRefuses(t *testing.T) {
	t.Parallel()
	s := sender(t, config("https://api.example"))
	good := url.Values{"CallSid": {callSID}, "CallStatus": {"completed"}}
	r, body := call(good)
	if _, err := s.Hear(r, append(body, "&Digits=9"...)); duly.CodeOf(err) != duly.Refused {
		t.Errorf("a key that Twilio did not sign: got %v", err)
	}
	r, body = call(good)
	r.Header.Set("X-Twilio-Signature", "")
	if _, err := s.Hear(r, body); duly.CodeOf(err) != duly.Refused {
		t.Errorf("no signature: got %v", err)
	}
	for _, form := range []url.Values{{"CallSid": {callSID}, "CallStatus": {"lost"}}, {"CallStatus": {"completed"}}, {"CallSid": {callSID}}} {
		if got, err := s.Hear(call(form)); duly.CodeOf(err) != duly.Invalid || !cmp.Equal(got, channel.Heard{}) {
			t.Errorf("%v: got %+v, %v", form, got, err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	made := func(status, by string) string {
		return fmt.Sprintf(`{"calls":[{"sid":%q,"status":%q,"answered_by":%q,"direction":"outbound-api","date_created":%q}]}`, callSID, status, by, callbackAt.Format(time.RFC1123Z))
	}
	for _, tt := range []struct {
		body string
		want duly.ReceiptStatus
	}{
		{made("completed", "human"), duly.ReceiptDelivered}, {made("completed", "machine_start"), duly.ReceiptAccepted}, {made("queued", ""), duly.ReceiptAccepted},
		{made("odd", ""), ""}, {`{"calls":[]}`, ""},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) }))
		t.Cleanup(srv.Close)
		got, ok, err := sender(t, config(srv.URL)).Find(t.Context(), channel.Question{AttemptID: attemptID(), To: phone, SentAt: callbackAt})
		if got != tt.want || ok != (tt.want != "") || err != nil {
			t.Errorf("%s: got %q, %t, %v", tt.body, got, ok, err)
		}
	}
}

func FuzzHear(f *testing.F) {
	for _, s := range []string{"CallSid=CA1&CallStatus=completed&AnsweredBy=human", "CallSid=CA1&Digits=9&To=%2B8613800138000", "CallSid=%00", ""} {
		f.Add(s)
	}
	s := sender(f, config("https://api.example"))
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			t.Skip()
		}
		got, err := s.Hear(call(form))
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok {
				t.Errorf("got a %T: %v", err, err)
			}
			return
		}
		for _, r := range got.Receipts {
			if r.Status.State() == "" || !callback.Reference(r.ProviderID) {
				t.Errorf("got receipt %+v", r)
			}
		}
		if got.Answer == nil {
			t.Error("Twilio is told nothing")
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*twiliovoice.Config){
		"account_sid": func(c *twiliovoice.Config) { c.Account.SID = "x" },
		"from":        func(c *twiliovoice.Config) { c.From = "LENDER" },
		"voice":       func(c *twiliovoice.Config) { c.Voice = `x" y="` },
		"language":    func(c *twiliovoice.Config) { c.Tongue = "zh CN" },
		"ring":        func(c *twiliovoice.Config) { c.Ring = time.Hour },
		"keys.#":      func(c *twiliovoice.Config) { c.Keys = map[string]string{"#": "x"} },
		"keys":        func(c *twiliovoice.Config) { c.Account.CallbackURL = "" },
	} {
		c := config("https://api.example")
		spoil(&c)
		_, err := twiliovoice.New("voice", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Place.Field != "carriers.voice.twilio_voice."+field || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", err, field)
		}
	}
}

// TestKeysAreRead: the words that the page gives keys mean what it says they do.
func TestKeysAreRead(t *testing.T) {
	t.Parallel()
	keys := config("https://api.example").Keys
	if got := reply.Classify(reply.Message{Text: keys["9"], Channel: duly.ChannelPrerecorded}); got.Intent != "opt_out" || !cmp.Equal(got.Scope, []string{"calls"}) {
		t.Errorf("9: got %s of %v", got.Intent, got.Scope)
	}
	if got := reply.Classify(reply.Message{Text: keys["1"], Channel: duly.ChannelPrerecorded}); got.Intent != "promise" {
		t.Errorf("1: got %s", got.Intent)
	}
}
