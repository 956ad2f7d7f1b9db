package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/webhook"
)

// BenchmarkSend: target ≥ 10,000 messages/s to a local sink on 2 cores, sink included.
func BenchmarkSend(b *testing.B) {
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"id":"p-1"}`)
	}))
	defer sink.Close()
	s, err := webhook.New("sms", webhook.Config{URL: sink.URL, Secrets: []channel.Secret{secret()}, Timeout: time.Minute}, channel.Host{})
	if err != nil {
		b.Fatal(err)
	}
	m := channeltest.Message(duly.ChannelSMS, phone, 1)
	var failed atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Send(b.Context(), m); err != nil {
				failed.Add(1)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if n := failed.Load(); n > 0 {
		b.Errorf("%d messages failed", n)
	}
}

// BenchmarkReceipts: proving and reading a callback of one receipt.
func BenchmarkReceipts(b *testing.B) {
	s, err := webhook.New("sms", webhook.Config{
		URL: "https://sms.lender.example", Secrets: []channel.Secret{secret()}, CallbackSecrets: []channel.Secret{callbackSecret()},
	}, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		b.Fatal(err)
	}
	body := batch(goodReceipt())
	r := call(body, callbackSecret(), callbackAt)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Hear(r, []byte(body)); err != nil {
			b.Fatal(err)
		}
	}
}
