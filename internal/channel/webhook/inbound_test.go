package webhook_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

func callbackSecret() channel.Secret { return channel.NewSecret("the secret of the callbacks") }

func receiver(t testing.TB, secrets ...channel.Secret) *webhook.Sender {
	t.Helper()
	s, err := webhook.New("sms", webhook.Config{
		URL: "https://sms.lender.example", Secrets: []channel.Secret{secret()}, CallbackSecrets: secrets,
	}, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func call(body string, signed channel.Secret, at time.Time) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/receipts/sms", strings.NewReader(body))
	r.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	r.Header.Set(webhook.HeaderSignature, webhook.Sign(signed, at.Unix(), []byte(body)))
	return r
}

func attemptID() duly.AttemptID { return channeltest.Message(duly.ChannelSMS, phone, 1).AttemptID }

func batch(fields string) string { return `{"receipts":[{` + fields + `}]}` }

func goodReceipt() string {
	return fmt.Sprintf(`"key":"e-1","attempt":%q,"status":"delivered","at":"2026-03-02T11:59:58+08:00"`, attemptID())
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	body := `{"receipts":[{` + goodReceipt() + `},{"key":"e-2","id":"p-7","status":"failed","code":"E.21","at":"2026-03-02T04:00:00Z"}]}`
	got, err := receiver(t, callbackSecret()).Hear(call(body, callbackSecret(), callbackAt), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := []duly.Receipt{
		{Provider: "sms", Key: "e-1", AttemptID: attemptID(), Status: duly.ReceiptDelivered, At: callbackAt.Add(-2 * time.Second)},
		{Provider: "sms", Key: "e-2", ProviderID: "p-7", Status: duly.ReceiptFailed, Detail: "E.21", At: callbackAt},
	}
	if diff := cmp.Diff(want, got.Receipts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestReceiptsProof(t *testing.T) {
	t.Parallel()
	body := batch(goodReceipt())
	other := channel.NewSecret("some other secret, not ours")
	tests := []struct {
		name    string
		request func() *http.Request
		secrets []channel.Secret
		ok      bool
	}{
		{"signed", func() *http.Request { return call(body, callbackSecret(), callbackAt) }, []channel.Secret{callbackSecret()}, true},
		{"signed with the secret that goes", func() *http.Request { return call(body, callbackSecret(), callbackAt) }, []channel.Secret{other, callbackSecret()}, true},
		{"several signatures", func() *http.Request {
			r := call(body, callbackSecret(), callbackAt)
			r.Header.Set(webhook.HeaderSignature, "v1=00, "+r.Header.Get(webhook.HeaderSignature))
			return r
		}, []channel.Secret{callbackSecret()}, true},
		{"at the edge of the window", func() *http.Request { return call(body, callbackSecret(), callbackAt.Add(-webhook.ReplayWindow)) }, []channel.Secret{callbackSecret()}, true},
		{"older", func() *http.Request {
			return call(body, callbackSecret(), callbackAt.Add(-webhook.ReplayWindow-time.Second))
		}, []channel.Secret{callbackSecret()}, false},
		{"from the future", func() *http.Request {
			return call(body, callbackSecret(), callbackAt.Add(webhook.ReplayWindow+time.Second))
		}, []channel.Secret{callbackSecret()}, false},
		{"another's secret", func() *http.Request { return call(body, other, callbackAt) }, []channel.Secret{callbackSecret()}, false},
		{"the secret of messages", func() *http.Request { return call(body, secret(), callbackAt) }, []channel.Secret{callbackSecret()}, false},
		{"another body", func() *http.Request { return call(body+" ", callbackSecret(), callbackAt) }, []channel.Secret{callbackSecret()}, false},
		{"another time", func() *http.Request {
			r := call(body, callbackSecret(), callbackAt)
			r.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(callbackAt.Unix()+1, 10))
			return r
		}, []channel.Secret{callbackSecret()}, false},
		{"no signature", func() *http.Request {
			r := call(body, callbackSecret(), callbackAt)
			r.Header.Del(webhook.HeaderSignature)
			return r
		}, []channel.Secret{callbackSecret()}, false},
		{"too many signatures", func() *http.Request {
			r := call(body, callbackSecret(), callbackAt)
			r.Header.Set(webhook.HeaderSignature, strings.Repeat("v1=00,", 4)+r.Header.Get(webhook.HeaderSignature))
			return r
		}, []channel.Secret{callbackSecret()}, false},
		{"no time", func() *http.Request {
			r := call(body, callbackSecret(), callbackAt)
			r.Header.Del(webhook.HeaderTimestamp)
			return r
		}, []channel.Secret{callbackSecret()}, false},
		{"callbacks not wanted", func() *http.Request { return call(body, channel.Secret{}, callbackAt) }, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := receiver(t, tt.secrets...).Hear(tt.request(), []byte(body))
			if tt.ok {
				if err != nil || len(got.Receipts) != 1 {
					t.Errorf("got %d receipts, %v; want 1", len(got.Receipts), err)
				}
				return
			}
			if got.Receipts != nil || duly.CodeOf(err) != duly.Refused {
				t.Errorf("got %d receipts, %v; want a refusal", len(got.Receipts), err)
			}
		})
	}
}

func TestReceiptsWithoutClock(t *testing.T) {
	t.Parallel()
	s, err := webhook.New("sms", webhook.Config{URL: "https://sms.lender.example", Secrets: []channel.Secret{secret()}, CallbackSecrets: []channel.Secret{callbackSecret()}}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	body := batch(goodReceipt())
	if got, err := s.Hear(call(body, callbackSecret(), callbackAt), []byte(body)); got.Receipts != nil || err == nil {
		t.Errorf("got %d receipts, %v; want an error: how old they are cannot be told", len(got.Receipts), err)
	}
}

func TestReceiptsForm(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) string { return batch(strings.Replace(goodReceipt(), old, with, 1)) }
	long := strings.Repeat("k", 129)
	tests := []struct{ name, body, field string }{
		{"no object", `[]`, ""},
		{"cut short", `{"receipts":[{`, ""},
		{"something after", batch(goodReceipt()) + `{}`, ""},
		{"an unknown key", batch(goodReceipt() + `,"to":"+86138"`), ""},
		{"no receipts", `{"receipts":[]}`, "receipts"},
		{"null", `{"receipts":null}`, "receipts"},
		{"too many", `{"receipts":[` + strings.Repeat("{},", 1000) + `{}]}`, "receipts"},
		{"a number for a key", replace(`"e-1"`, `1`), "receipts.key"},
		{"no key", replace(`"e-1"`, `""`), "receipts[0].key"},
		{"a long key", replace(`e-1`, long), "receipts[0].key"},
		{"a key of two words", replace(`e-1`, `e 1`), "receipts[0].key"},
		{"nothing to go by", batch(`"key":"e-1","status":"read","at":"2026-03-02T04:00:00Z"`), "receipts[0].attempt"},
		{"no attempt's id", replace(string(attemptID()), "b-1"), "receipts[0].attempt"},
		{"an attempt of a bucket too far", replace(string(attemptID())[:4], "afff"), "receipts[0].attempt"},
		{"a long id", replace(`"key"`, `"id":"`+long+`","key"`), "receipts[0].id"},
		{"another status", replace("delivered", "seen"), "receipts[0].status"},
		{"words for a code", replace(`"key"`, `"code":"Mr Wang said no","key"`), "receipts[0].code"},
		{"no time", batch(`"key":"e-1","id":"p","status":"read"`), "receipts[0].at"},
		{"a day for a time", replace("2026-03-02T11:59:58+08:00", "2026-03-02"), ""},
		{"not UTF-8", replace("e-1", "\xff"), ""},
		{"too large", batch(goodReceipt()) + strings.Repeat(" ", 1<<20), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := receiver(t, callbackSecret()).Hear(call(tt.body, callbackSecret(), callbackAt), []byte(tt.body))
			e, ok := errors.AsType[*duly.Error](err)
			if got.Receipts != nil || !ok {
				t.Fatalf("got %d receipts, %v; want a *duly.Error", len(got.Receipts), err)
			}
			if tt.field != "" && e.Place.Field != tt.field {
				t.Errorf("got field %q, want %q", e.Place.Field, tt.field)
			}
		})
	}
}

// FuzzReceipts: whatever is signed, what is taken is within all limits, and what is not is refused with a clear error.
func FuzzReceipts(f *testing.F) {
	f.Add([]byte(batch(goodReceipt())))
	f.Add([]byte(batch(`"key":"e","id":"p-7","status":"opted_out","code":"21610","at":"0001-01-02T00:00:00Z"`)))
	f.Add([]byte(`{"receipts":[{"KEY":"e"}]}`))
	f.Add([]byte(`{"receipts":[null]}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	s := receiver(f, callbackSecret())
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := s.Hear(call(string(body), callbackSecret(), callbackAt), body)
		if err != nil {
			if _, ok := errors.AsType[*duly.Error](err); !ok || got.Receipts != nil {
				t.Fatalf("got %d receipts with a %T: %v", len(got.Receipts), err, err)
			}
			return
		}
		if n := len(got.Receipts); n == 0 || n > 1000 {
			t.Fatalf("got %d receipts", n)
		}
		for _, r := range got.Receipts {
			if r.Provider != "sms" || r.Key == "" || len(r.Key) > 128 || r.AttemptID == "" && r.ProviderID == "" || r.Status.State() == "" || r.At.IsZero() {
				t.Errorf("taken: %+v", r)
			}
			if _, ok := r.AttemptID.Bucket(); r.AttemptID != "" && !ok {
				t.Errorf("taken: an attempt without a bucket: %q", r.AttemptID)
			}
		}
	})
}
