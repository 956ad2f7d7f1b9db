package whatsapp_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/whatsapp"
	"github.com/dulyhq/duly/internal/civil"
)

const (
	number    = "+8613800138000"
	appSecret = "0123456789abcdef0123456789abcdef"
)

var now = time.Date(2026, time.March, 2, 1, 30, 0, 0, time.UTC)

func config(at string) whatsapp.Config {
	return whatsapp.Config{
		AcknowledgePolicy: true, PhoneNumberID: "106540352242922", AccessToken: channel.NewSecret("EAAJB"), URL: at, Link: post.Link{Timeout: 700 * time.Millisecond},
		Templates:  approved.Templates{channeltest.Template: {ID: "due_tomorrow", ApprovedAt: civil.On(2026, time.January, 1), Variables: map[string]string{"1": "lender", "2": "due_when"}}},
		AppSecrets: []channel.Secret{channel.NewSecret(appSecret)}, VerifyToken: channel.NewSecret("verify-me"),
	}
}

func sender(t testing.TB, c whatsapp.Config) *whatsapp.Sender {
	t.Helper()
	s, err := whatsapp.New("wa", c, channel.Host{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func refused(status, code int) channeltest.Page {
	return channeltest.Page{Status: status, Body: fmt.Sprintf(`{"error":{"message":"(#%d) about %s","type":"OAuthException","code":%d,"fbtrace_id":"Az8"}}`, code, number, code)}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	d := channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			var v struct {
				Product  string `json:"messaging_product"`
				To       string `json:"to"`
				Attempt  string `json:"biz_opaque_callback_data"`
				Template struct {
					Name       string
					Language   map[string]string
					Components []struct{ Parameters []map[string]string }
				}
			}
			if err := json.Unmarshal(body, &v); err != nil {
				return "", err
			}
			if r.URL.Path != "/v23.0/106540352242922/messages" || r.Header.Get("Authorization") != "Bearer EAAJB" || v.Product != "whatsapp" || "+"+v.To != number ||
				v.Template.Name != "due_tomorrow" || v.Template.Language["code"] != "zh_CN" || len(v.Template.Components) != 1 || v.Template.Components[0].Parameters[0]["text"] != "示例消金" {
				return "", fmt.Errorf("%s %s", r.URL, body)
			}
			return duly.AttemptID(v.Attempt), nil
		},
		Taken: channeltest.Page{Body: `{"messaging_product":"whatsapp","contacts":[{"input":"8613800138000","wa_id":"8613800138000"}],"messages":[{"id":"wamid.HBgNODYx"}]}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress: refused(400, 131026), channeltest.OptsOut: refused(400, 131050), channeltest.Rejects: refused(404, 132001),
			channeltest.Unauthorized: refused(401, 190), channeltest.Throttles: refused(429, 130429), channeltest.Unready: {Status: 503},
		},
	}
	channeltest.Run(t, channeltest.Case{New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
		site := channeltest.NewSite(t, b, d)
		return channeltest.Carrier{Sender: sender(t, config(site.URL())), Channel: duly.ChannelIM, To: number, Log: &site.Log, Heal: site.Heal}
	}})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		page  channeltest.Page
		class channel.Class
	}{
		{refused(400, 131056), channel.Throttled}, {refused(400, 131047), channel.Permanent}, {refused(403, 368), channel.Config}, {refused(400, 100), channel.Permanent},
		{refused(500, 131000), channel.Unknown}, {refused(500, 131026), channel.Unknown}, {refused(200, 131026), channel.BadAddress}, {refused(400, 999999), channel.Permanent},
		{channeltest.Page{Body: "<html>"}, channel.Unknown}, {channeltest.Page{Body: `{"messages":[]}`}, channel.Unknown}, {channeltest.Page{Status: 404, Body: "<html>"}, channel.Config},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if tt.page.Status != 0 {
				w.WriteHeader(tt.page.Status)
			}
			_, _ = io.WriteString(w, tt.page.Body)
		}))
		_, err := sender(t, config(srv.URL)).Send(t.Context(), channeltest.Message(duly.ChannelIM, number, 1))
		srv.Close()
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.class {
			t.Errorf("%d %s: got %v, want %s", tt.page.Status, tt.page.Body, err, tt.class)
		}
	}
	for to, want := range map[string]string{"": "number", "abc": "number", "+86138001380001234": "number"} {
		_, err := sender(t, config("")).Send(t.Context(), channeltest.Message(duly.ChannelIM, to, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.BadAddress || e.Code != want {
			t.Errorf("%q: got %v", to, err)
		}
	}
}

func call(body string) *http.Request {
	h := hmac.New(sha256.New, []byte(appSecret))
	h.Write([]byte(body))
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/wa", nil)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(h.Sum(nil)))
	return r
}

func notice(value string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"value":` + value + `,"field":"messages"}]}]}`
}

func TestHear(t *testing.T) {
	t.Parallel()
	s := sender(t, config(""))
	id := channeltest.Message(duly.ChannelIM, number, 1).AttemptID
	stamp, at := fmt.Sprint(now.Add(-time.Minute).Unix()), now.Add(-time.Minute)
	one := func(status, more string) string {
		return notice(fmt.Sprintf(`{"statuses":[{"id":"wamid.1","status":%q,"timestamp":%q,"recipient_id":"8613800138000","biz_opaque_callback_data":%q%s}]}`, status, stamp, id, more))
	}
	rc := func(status string, is duly.ReceiptStatus, detail string) channel.Heard {
		return channel.Heard{Receipts: []duly.Receipt{{Provider: "wa", Key: "wamid.1:" + status, AttemptID: id, ProviderID: "wamid.1", Status: is, Detail: detail, At: at}}}
	}
	for body, want := range map[string]channel.Heard{
		one("sent", ""):      rc("sent", duly.ReceiptAccepted, ""),
		one("delivered", ""): rc("delivered", duly.ReceiptDelivered, ""),
		one("read", ""):      rc("read", duly.ReceiptRead, ""),
		one("deleted", ""):   {},
		one("failed", `,"errors":[{"code":131026}]`): rc("failed", duly.ReceiptBadAddress, "131026"),
		one("failed", `,"errors":[{"code":131050}]`): rc("failed", duly.ReceiptOptedOut, "131050"),
		one("failed", `,"errors":[{"code":131049}]`): rc("failed", duly.ReceiptFailed, "131049"),
		notice(`{"messages":[{"from":"8613800138000","id":"wamid.2","timestamp":"` + stamp + `","type":"text","text":{"body":"STOP"}},{"from":"8613800138000","id":"wamid.3","timestamp":"` + stamp + `","type":"image"}]}`): {
			Replies: []channel.Reply{{Key: "wamid.2", Channel: duly.ChannelIM, From: number, Text: "STOP", At: at}}},
	} {
		got, err := s.Hear(call(body), []byte(body))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", body, err, diff)
		}
	}
	good := one("read", "")
	for name, try := range map[string]func() (*http.Request, string){
		"no signature": func() (*http.Request, string) { return httptest.NewRequest(http.MethodPost, "/", nil), good },
		"another body": func() (*http.Request, string) { return call(good), strings.Replace(good, "read", "sent", 1) },
		"ten years ago": func() (*http.Request, string) {
			old := strings.Replace(good, stamp, "1456880400", 1)
			return call(old), old
		},
		"HTML":               func() (*http.Request, string) { return call("<html>"), "<html>" },
		"too large":          func() (*http.Request, string) { big := strings.Repeat(" ", 2<<20); return call(big), big },
		"a stamp of no time": func() (*http.Request, string) { b := strings.Replace(good, stamp, "soon", 1); return call(b), b },
	} {
		r, body := try()
		if got, err := s.Hear(r, []byte(body)); duly.CodeOf(err) != duly.Refused && duly.CodeOf(err) != duly.Invalid || len(got.Receipts) != 0 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	get := func(token string) (channel.Heard, error) {
		return s.Hear(httptest.NewRequest(http.MethodGet, "/?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="+token, nil), nil)
	}
	if got, err := get("verify-me"); err != nil || got.Answer == nil || string(got.Answer.Body) != "1158201444" {
		t.Errorf("challenge: got %+v, %v", got.Answer, err)
	}
	if _, err := get("other"); duly.CodeOf(err) != duly.Refused {
		t.Errorf("a wrong verify token: got %v", err)
	}
}

func FuzzHear(f *testing.F) {
	s := sender(f, config(""))
	f.Add(notice(`{"statuses":[{"id":"w","status":"read","timestamp":"1772415000"}]}`))
	f.Add(notice(`{"messages":[{"from":"86","id":"w","timestamp":"1772415000","type":"text","text":{"body":"x"}}]}`))
	f.Fuzz(func(t *testing.T, body string) {
		got, err := s.Hear(call(body), []byte(body))
		for _, rc := range got.Receipts {
			if err != nil || rc.ProviderID == "" || rc.Status.State() == "" || rc.At.IsZero() {
				t.Errorf("receipt %+v, %v", rc, err)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*whatsapp.Config){
		"acknowledge_policy": func(c *whatsapp.Config) { c.AcknowledgePolicy = false },
		"phone_number_id":    func(c *whatsapp.Config) { c.PhoneNumberID = "+86" },
		"access_token":       func(c *whatsapp.Config) { c.AccessToken = channel.Secret{} },
		"templates":          func(c *whatsapp.Config) { c.Templates = nil },
		"app_secrets[0]":     func(c *whatsapp.Config) { c.AppSecrets = []channel.Secret{channel.NewSecret("x")} },
		"version":            func(c *whatsapp.Config) { c.Version = "../x" },
		"url":                func(c *whatsapp.Config) { c.URL = "x" },
	} {
		c := config("")
		spoil(&c)
		_, err := whatsapp.New("wa", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.wa.whatsapp."+field || e.Hint == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
