package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/twilioapi"
)

const twilioAccount = "AC0123456789abcdef0123456789abcdef"

// providers are carriers over HTTP as a file holds them, what the provider answers, which attempt its request names, and how it
// calls back that it was delivered.
var providers = map[string]struct {
	carrier  string
	answer   string
	attempt  func(r *http.Request, body string) string
	calls    func(attempt string, now time.Time) (query, media, body string)
	answered string // what the provider is told
}{
	"aliyun": {
		carrier: `aliyun: {access_key_id: LTAI, access_key_secret: s, endpoint: "SITE", sign: 示例消金, callback_secrets: [0123456789abcdef],
			templates: {due-today: {template_id: SMS_1, approved_at: 2020-01-05, variables: {amount: total, phone: service_phone}}}}`,
		answer: `{"Code":"OK","Message":"OK","RequestId":"r","BizId":"900619746936498440^0"}`,
		attempt: func(r *http.Request, _ string) string {
			if !strings.Contains(r.URL.Query().Get("TemplateParam"), "100.00") {
				return "no amount"
			}
			return r.URL.Query().Get("OutId")
		},
		calls: func(attempt string, now time.Time) (string, string, string) {
			at := now.In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04:05")
			return "?key=0123456789abcdef", "application/json", fmt.Sprintf(`[{"phone_number":"13800138000","send_time":%q,"report_time":%q,"success":true,
				"err_code":"DELIVERED","biz_id":"900619746936498440^0","out_id":%q}]`, at, at, attempt)
		},
		answered: `{"code":0,"msg":"ok"}`,
	},
	"tencent": { // its receipts name the serial number only
		carrier: `tencent: {secret_id: AKID, secret_key: s, sdk_app_id: "1", endpoint: "SITE", sign: 示例消金, callback_secrets: [0123456789abcdef],
			templates: {due-today: {template_id: "1110", approved_at: 2020-01-05, variables: {"1": total}}}}`,
		answer: `{"Response":{"SendStatusSet":[{"SerialNo":"5000:104571066","Fee":1,"Code":"Ok"}],"RequestId":"r"}}`,
		attempt: func(_ *http.Request, body string) string {
			var m struct{ SessionContext string }
			_ = json.Unmarshal([]byte(body), &m)
			return m.SessionContext
		},
		calls: func(_ string, now time.Time) (string, string, string) {
			at := now.In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04:05")
			return "?key=0123456789abcdef", "application/json", fmt.Sprintf(`[{"user_receive_time":%q,"nationcode":"86","mobile":"13800138000",
				"report_status":"SUCCESS","errmsg":"DELIVRD","description":"","sid":"5000:104571066"}]`, at)
		},
		answered: `{"result":0,"errmsg":"OK"}`,
	},
	"twilio": {
		carrier: `twilio: {account_sid: ` + twilioAccount + `, auth_tokens: [token], endpoint: "SITE", from: "+14155550100", callback_url: "https://duly.example/v1/receipts/gate"}`,
		answer:  `{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","num_segments":"2"}`,
		attempt: func(_ *http.Request, body string) string {
			form, _ := url.ParseQuery(body)
			back, _ := url.Parse(form.Get("StatusCallback"))
			return back.Query().Get("attempt")
		},
		calls: func(attempt string, _ time.Time) (string, string, string) {
			form := url.Values{"AccountSid": {twilioAccount}, "MessageSid": {"SM0123456789abcdef0123456789abcdef"}, "MessageStatus": {"delivered"}}
			return "?attempt=" + url.QueryEscape(attempt), "application/x-www-form-urlencoded", form.Encode()
		},
	},
	"http": {
		carrier: `http: {url: "SITE/send", json: {to: "{{to}}", amount: "{{var.total}}", ref: "{{attempt}}"}, answer: {code: code, id: id, codes: {"0": accepted}},
			callback: {proof: {basic: {username: gate, passwords: [0123456789abcdef]}}, receipt: {attempt: ref, status: status, statuses: {DONE: delivered}}}}`,
		answer: `{"code":0,"id":"p-1"}`,
		attempt: func(_ *http.Request, body string) string {
			var m struct{ Ref, Amount string }
			_ = json.Unmarshal([]byte(body), &m)
			if !strings.Contains(m.Amount, "100.00") {
				return "no amount"
			}
			return m.Ref
		},
		calls: func(attempt string, _ time.Time) (string, string, string) {
			return "", "application/json", `{"ref":"` + attempt + `","status":"DONE"}`
		},
	},
}

// TestProviders: from a posted fact to the provider's request, and from its callback to a contact that was delivered, by the
// configuration alone.
func TestProviders(t *testing.T) {
	t.Parallel()
	for kind, p := range providers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan string, 8)
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				arrived <- p.attempt(r, string(body))
				_, _ = io.WriteString(w, p.answer)
			}))
			t.Cleanup(site.Close)
			now := time.Now()
			c := providerConfig(t, strings.ReplaceAll(p.carrier, "SITE", site.URL), now)
			a, err := app.New(t.Context(), c, app.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = a.Close() })
			base, stop, wait := serve(t, a)
			firstStep(t, base)
			post(t, base+"/v1/events", dueToday(c.Lender.Timezone, now.In(a.Location), now))
			var attempt string
			select {
			case attempt = <-arrived:
			case <-time.After(patience):
				t.Fatal("no message came")
			}
			until(t, "the answer", func() bool {
				got, err := a.DB.FindAttempt(t.Context(), duly.AttemptID(attempt))
				return err == nil && got.State == duly.AttemptAccepted && got.ProviderID != ""
			})
			query, media, body := p.calls(attempt, now)
			if got := callBack(t, base+"/v1/receipts/gate"+query, media, body); p.answered != "" && got != p.answered {
				t.Errorf("the provider is told %q, want %q", got, p.answered)
			}
			id, _ := duly.AttemptID(attempt).Contact()
			until(t, "the delivery", func() bool {
				got, err := a.DB.FindContact(t.Context(), id)
				return err == nil && got.State == duly.Delivered
			})
			stop()
			if err := wait(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if len(arrived) != 0 {
				t.Errorf("%d more messages went out", len(arrived))
			}
		})
	}
}

// providerConfig reads a whole configuration with one carrier, gate.
func providerConfig(t *testing.T, carrier string, now time.Time) app.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "duly.yaml")
	text := "store: " + filepath.Join(t.TempDir(), "duly.db") + "\nlisten: 127.0.0.1:0\ntick: 200ms\nlender: {name: 示例消金, service_phone: \"95000\"}\n" +
		"carriers:\n  gate:\n    channels: [sms]\n    " + carrier + "\n"
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "\t", " ")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := app.LoadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	c.Lender.Timezone, c.Strategies, c.Packs = noon(now), []string{write(t, today)}, []string{"policy-default"}
	return c
}

// dueToday is a borrower with one instalment that is due today.
func dueToday(zone string, day, now time.Time) string {
	return fmt.Sprintf(`{"events": [
		{"kind": "borrower", "id": "B1", "name": "王伟", "language": "zh-CN", "country": "CN", "zones": [{"name": %q, "source": "address"}]},
		{"kind": "contact_point", "borrower_id": "B1", "id": "m", "point_kind": "mobile", "value": "+8613800138000"},
		{"kind": "loan", "borrower_id": "B1", "id": "L1", "schedule": "bullet", "currency": "CNY", "principal": {"minor": 10000, "currency": "CNY"}, "disbursed_on": "2026-01-01"},
		{"kind": "installment", "borrower_id": "B1", "loan_id": "L1", "no": 1, "due_on": %q, "principal": {"minor": 10000, "currency": "CNY"}},
		{"kind": "feed", "through": %q}]}`, zone, day.Format(time.DateOnly), now.UTC().Format(time.RFC3339))
}

// callBack calls as a provider does, signed as Twilio and with Basic: each kind looks at its own proof.
func callBack(t *testing.T, target, media, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	r.SetBasicAuth("gate", "0123456789abcdef")
	form, _ := url.ParseQuery(body)
	r.Header.Set("X-Twilio-Signature", twilioapi.Sign(channel.NewSecret("token"), "https://duly.example/v1/receipts/gate?"+r.URL.RawQuery, form))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		t.Fatalf("the callback got %d: %s", resp.StatusCode, got)
	}
	return string(got)
}
