package webhook_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

// post sends one message to a handler and returns what the sender made of its answer.
func post(t *testing.T, c webhook.Config, h http.HandlerFunc) (channel.Accepted, *channel.Error) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c.URL = srv.URL
	return sendTo(t, c)
}

func sendTo(t *testing.T, c webhook.Config) (channel.Accepted, *channel.Error) {
	t.Helper()
	c.Secrets = append(c.Secrets, secret())
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	s, err := webhook.New("sms", c, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	got, err := s.Send(t.Context(), channeltest.Message(duly.ChannelSMS, phone, 1))
	if err == nil {
		return got, nil
	}
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("got a %T, want a *channel.Error", err)
	}
	return got, e
}

func TestStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		body   string
		retry  string
		want   channel.Error
	}{
		{status: 301, want: channel.Error{Class: channel.Config}},
		{status: 307, want: channel.Error{Class: channel.Config}},
		{status: 400, want: channel.Error{Class: channel.Permanent}},
		{status: 400, body: `{"error":"bad_address"}`, want: channel.Error{Class: channel.BadAddress}},
		{status: 400, body: `{"error":"temporary"}`, want: channel.Error{Class: channel.Temporary}},
		{status: 400, body: `{"error":"unknown"}`, want: channel.Error{Class: channel.Permanent}},
		{status: 400, body: `{"error":"lunch"}`, want: channel.Error{Class: channel.Permanent}},
		{status: 401, want: channel.Error{Class: channel.Config}},
		{status: 403, want: channel.Error{Class: channel.Config}},
		{status: 403, body: `{"error":"opted_out"}`, want: channel.Error{Class: channel.OptedOut}},
		{status: 404, want: channel.Error{Class: channel.Config}},
		{status: 405, want: channel.Error{Class: channel.Config}},
		{status: 408, want: channel.Error{Class: channel.Temporary}},
		{status: 409, want: channel.Error{Class: channel.Unknown}},
		{status: 409, body: `{"error":"temporary"}`, want: channel.Error{Class: channel.Unknown}},
		{status: 410, want: channel.Error{Class: channel.Config}},
		{status: 413, want: channel.Error{Class: channel.Permanent}},
		{status: 422, body: `{"error":"opted_out"}`, want: channel.Error{Class: channel.OptedOut}},
		{status: 425, want: channel.Error{Class: channel.Temporary}},
		{status: 429, retry: "30", want: channel.Error{Class: channel.Throttled, RetryAfter: 30 * time.Second}},
		{status: 429, retry: "Mon, 02 Mar 2026 01:32:00 GMT", want: channel.Error{Class: channel.Throttled, RetryAfter: 2 * time.Minute}},
		{status: 429, retry: "Mon, 02 Mar 2020 01:32:00 GMT", want: channel.Error{Class: channel.Throttled}},
		{status: 429, retry: "-5", want: channel.Error{Class: channel.Throttled}},
		{status: 429, retry: "9999999999999", want: channel.Error{Class: channel.Throttled, RetryAfter: 24 * time.Hour}},
		{status: 429, retry: "soon", want: channel.Error{Class: channel.Throttled}},
		{status: 500, want: channel.Error{Class: channel.Unknown}},
		{status: 500, body: `{"error":"temporary"}`, want: channel.Error{Class: channel.Unknown}},
		{status: 500, retry: "30", want: channel.Error{Class: channel.Unknown}},
		{status: 501, want: channel.Error{Class: channel.Config}},
		{status: 502, want: channel.Error{Class: channel.Unknown}},
		{status: 503, want: channel.Error{Class: channel.Temporary}},
		{status: 503, retry: "7", want: channel.Error{Class: channel.Temporary, RetryAfter: 7 * time.Second}},
		{status: 503, body: `{"error":"throttled"}`, want: channel.Error{Class: channel.Throttled}},
		{status: 504, want: channel.Error{Class: channel.Unknown}},
		{status: 599, want: channel.Error{Class: channel.Unknown}},
	}
	for _, tt := range tests {
		name := strconv.Itoa(tt.status) + " " + tt.body + tt.retry
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.want.Code = "http_" + strconv.Itoa(tt.status)
			_, got := post(t, webhook.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				if tt.retry != "" {
					w.Header().Set("Retry-After", tt.retry)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	tests := map[string]channel.Accepted{
		``:                                          {},
		`garbage`:                                   {},
		`{"id":"p-7"}`:                              {ProviderID: "p-7"},
		`{"id":"p-7","more":{"x":[1]}}`:             {ProviderID: "p-7"},
		`{"id":"p-7","status":"accepted"}`:          {ProviderID: "p-7"},
		`{"id":"p-7","status":"delivered"}`:         {ProviderID: "p-7", Delivered: true},
		`{"id":"p-7","segments":3}`:                 {ProviderID: "p-7", Segments: 3},
		`{"id":"p-7","segments":-3}`:                {ProviderID: "p-7"},
		`{"id":"p-7","segments":90000}`:             {ProviderID: "p-7"},
		`{"id":7}`:                                  {},
		`{"id":"two words"}`:                        {},
		`{"id":"` + strings.Repeat("x", 129) + `"}`: {},
	}
	for body, want := range tests {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			got, err := post(t, webhook.Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var body []byte
	var head http.Header
	old, next := channel.NewSecret("the old secret of the service"), channel.NewSecret("the next secret of the service")
	_, cerr := post(t, webhook.Config{Secrets: []channel.Secret{old, next}[:1]}, func(_ http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		head = r.Header.Clone()
	})
	if cerr != nil {
		t.Fatal(cerr)
	}
	m := channeltest.Message(duly.ChannelSMS, phone, 1)
	contact, _ := m.AttemptID.Contact()
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"attempt": string(m.AttemptID), "contact": string(contact), "borrower": string(m.BorrowerID), "channel": "sms", "to": phone,
		"subject": m.Subject, "text": m.Text, "language": "zh-CN", "segments": 1.0, "expires_at": "2026-03-02T13:30:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body: -want +got:\n%s", diff)
	}
	signatures := webhook.Sign(old, m.Now.Unix(), body) + "," + webhook.Sign(secret(), m.Now.Unix(), body)
	for name, want := range map[string]string{
		"Content-Type": "application/json", webhook.HeaderAttempt: string(m.AttemptID),
		webhook.HeaderTimestamp: strconv.FormatInt(m.Now.Unix(), 10), webhook.HeaderSignature: signatures,
	} {
		if got := head.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if webhook.Sign(next, m.Now.Unix(), body) == webhook.Sign(old, m.Now.Unix(), body) {
		t.Error("two secrets make one signature")
	}
}

// TestSignVector holds the scheme against a value computed with another program:
// printf '1772415000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
func TestSignVector(t *testing.T) {
	t.Parallel()
	const want = "v1=ce6e502a0acaf64e2887bb1c34907a4e7b3ecc6c0a31913f36776cfa20666c31"
	if got := webhook.Sign(secret(), 1772415000, []byte(`{"a":1}`)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestClockSigns(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	var stamp string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stamp = r.Header.Get(webhook.HeaderTimestamp)
	}))
	t.Cleanup(srv.Close)
	s, err := webhook.New("sms", webhook.Config{URL: srv.URL, Secrets: []channel.Secret{secret()}}, channel.Host{Clock: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Send(t.Context(), channeltest.Message(duly.ChannelSMS, phone, 1))
	if want := strconv.FormatInt(at.Unix(), 10); err != nil || stamp != want {
		t.Errorf("got timestamp %s, error %v; want %s", stamp, err, want)
	}
}

// TestIdempotent plays scripts of answers to a service that knows what it was given before.
func TestIdempotent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		answers []int // 0 hangs up
		want    channel.Class
		tries   int
	}{
		{"broken, then taken", []int{500, 202}, "", 2},
		{"hangs up, then taken", []int{0, 200}, "", 2},
		{"in progress, then taken", []int{409, 409, 200}, "", 3},
		{"broken, then a refusal that looked at the id", []int{502, 400}, channel.Permanent, 2},
		{"broken, then a refusal that did not", []int{502, 503, 429}, channel.Unknown, 3},
		{"broken, then no longer known", []int{502, 401, 404}, channel.Unknown, 3},
		{"broken for ever", []int{500, 500, 500, 200}, channel.Unknown, 3},
		{"not taken the first time", []int{503, 200}, channel.Temporary, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var ids []string
			_, got := post(t, webhook.Config{Idempotent: true}, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				ids = append(ids, r.Header.Get(webhook.HeaderAttempt)+r.Header.Get(webhook.HeaderSignature))
				status := tt.answers[len(ids)-1]
				mu.Unlock()
				if status == 0 {
					hangUp(w, "")
					return
				}
				w.WriteHeader(status)
			})
			if class := classOf(got); class != tt.want {
				t.Errorf("got class %q, want %q", class, tt.want)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(ids) != tt.tries {
				t.Errorf("got %d requests, want %d", len(ids), tt.tries)
			}
			for _, id := range ids[1:] {
				if id != ids[0] {
					t.Error("a repeat differs from the first request")
				}
			}
		})
	}
}

func classOf(e *channel.Error) channel.Class {
	if e == nil {
		return ""
	}
	return e.Class
}

// TestOnce: without the promise of idempotency, nothing makes the sender post twice.
func TestOnce(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 409, 429, 500, 502, 503, 504} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			_, _ = post(t, webhook.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				n.Add(1)
				if status == 0 {
					hangUp(w, "")
					return
				}
				w.WriteHeader(status)
			})
			if n := n.Load(); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
		})
	}
}

// TestStaleConnection: a service that closes kept connections without a word costs no copies, and what is said of a
// message that meets the closing is true.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	var log channeltest.Log
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log.Took(duly.AttemptID(r.Header.Get(webhook.HeaderAttempt)))
	}))
	t.Cleanup(srv.Close)
	s, err := webhook.New("sms", webhook.Config{URL: srv.URL, Secrets: []channel.Secret{secret()}}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	said := map[duly.AttemptID]channel.Class{}
	for n := range 100 {
		m := channeltest.Message(duly.ChannelSMS, phone, n)
		_, err := s.Send(t.Context(), m)
		e, _ := errors.AsType[*channel.Error](err)
		said[m.AttemptID] = classOf(e)
		srv.CloseClientConnections()
	}
	took := map[duly.AttemptID]int{}
	for _, id := range log.Taken() {
		took[id]++
	}
	for id, class := range said {
		if n := took[id]; n > 1 || class == "" && n != 1 || class == channel.Temporary && n != 0 {
			t.Errorf("said %q of a message that was taken %d times", class, n)
		}
		if class != "" && class != channel.Temporary && class != channel.Unknown {
			t.Errorf("said %q of a lost connection", class)
		}
	}
}

// TestFlood: of an answer without end only the beginning is read.
func TestFlood(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	ended := make(chan struct{})
	_, err := post(t, webhook.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		for written.Load() < 1<<30 {
			n, err := w.Write(make([]byte, 32<<10))
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	<-ended
	if n := written.Load(); err != nil || n > 64<<20 {
		t.Errorf("the service wrote %d bytes before it was stopped, error %v", n, err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"id":"p-1"}`)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	tests := []struct {
		name   string
		config webhook.Config
		want   channel.Class
		code   string
	}{
		{"trusted", webhook.Config{URL: srv.URL, CertAuthority: authority}, "", ""},
		{"unknown authority", webhook.Config{URL: srv.URL}, channel.Config, "certificate"},
		{"another name", webhook.Config{URL: strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), CertAuthority: authority}, channel.Config, "certificate"},
		{"no TLS there", webhook.Config{URL: strings.Replace(plain.URL, "http:", "https:", 1)}, channel.Config, "no_tls"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := sendTo(t, tt.config)
			if classOf(err) != tt.want || err != nil && err.Code != tt.code {
				t.Errorf("got %v, want class %q, code %q", err, tt.want, tt.code)
			}
		})
	}
}

// TestWaitForConnection: a message that got no connection in time was certainly not sent.
func TestWaitForConnection(t *testing.T) {
	t.Parallel()
	busy := make(chan struct{}, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		busy <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	s, err := webhook.New("sms", webhook.Config{URL: srv.URL, Secrets: []channel.Secret{secret()}, Connections: 1}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	first, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = s.Send(first, channeltest.Message(duly.ChannelSMS, phone, 1)) })
	<-busy
	second, stop := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the caller's own"))
	defer stop()
	_, err = s.Send(second, channeltest.Message(duly.ChannelSMS, phone, 2))
	if e, _ := errors.AsType[*channel.Error](err); classOf(e) != channel.Temporary || e.Code != "timeout" {
		t.Errorf("got %v, want a temporary time-out", err)
	}
	cancel()
	wg.Wait()
	if len(busy) != 0 {
		t.Error("the second message arrived")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := webhook.Config{URL: "https://sms.lender.example/duly", Secrets: []channel.Secret{secret()}}
	if err := good.Check("x"); err != nil {
		t.Fatalf("a good configuration: %v", err)
	}
	short := channel.NewSecret("hunter2")
	tests := map[string]func(*webhook.Config){
		"url":                 func(c *webhook.Config) { c.URL = "" },
		"url ":                func(c *webhook.Config) { c.URL = "http://sms.lender.example/duly" },
		"url  ":               func(c *webhook.Config) { c.URL = "https://a:b@sms.lender.example" },
		"url   ":              func(c *webhook.Config) { c.URL = "ftp://sms.lender.example" },
		"secrets":             func(c *webhook.Config) { c.Secrets = nil },
		"secrets ":            func(c *webhook.Config) { c.Secrets = []channel.Secret{secret(), secret(), secret()} },
		"secrets[0]":          func(c *webhook.Config) { c.Secrets = []channel.Secret{short} },
		"callback_secrets[0]": func(c *webhook.Config) { c.CallbackSecrets = []channel.Secret{{}} },
		"serves[0]":           func(c *webhook.Config) { c.Serves = []duly.Channel{"pigeon"} },
		"connections":         func(c *webhook.Config) { c.Connections = -1 },
		"timeout":             func(c *webhook.Config) { c.Timeout = time.Hour },
		"cert_authority":      func(c *webhook.Config) { c.CertAuthority = "no PEM" },
	}
	for field, spoil := range tests {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			c := good
			spoil(&c)
			_, err := webhook.New("sms", c, channel.Host{})
			e, ok := errors.AsType[*duly.Error](err)
			if want := "carriers.sms.webhook." + strings.TrimSpace(field); !ok || e.Place.Field != want || e.Hint == "" || e.Code != duly.Invalid {
				t.Errorf("got %v, want an invalid %s with a hint", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells the secret")
			}
		})
	}
	allowed := good
	allowed.URL, allowed.Plaintext = "http://sms.lender.example/duly", true
	if err := allowed.Check("x"); err != nil {
		t.Errorf("plaintext that was asked for: %v", err)
	}
}
