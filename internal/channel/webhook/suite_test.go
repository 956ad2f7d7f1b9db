package webhook_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
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

const (
	phone    = "+8613800138000"
	testTime = 700 * time.Millisecond // what a message may take against a service that never answers
)

func secret() channel.Secret { return channel.NewSecret("0123456789abcdef0123456789abcdef") }

func TestSuite(t *testing.T) {
	t.Parallel()
	for _, idempotent := range []bool{false, true} {
		t.Run(fmt.Sprintf("idempotent %t", idempotent), func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, channeltest.Case{New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
				s := newService(t, b, idempotent)
				return channeltest.Carrier{
					Sender: s.sender(t, webhook.Config{Idempotent: idempotent}), Channel: duly.ChannelSMS, To: phone,
					Log: &s.log, Heal: func() { s.heal() },
				}
			}})
		})
	}
}

// service is the lender's own: it misbehaves on demand, and notes what it took.
type service struct {
	log       channeltest.Log
	behaviour atomic.Value // channeltest.Behaviour
	remembers bool
	addr      string
	t         *testing.T
	server    *httptest.Server
	known     chan map[duly.AttemptID]bool // holds the one map
}

func newService(t *testing.T, b channeltest.Behaviour, remembers bool) *service {
	s := &service{t: t, remembers: remembers, known: make(chan map[duly.AttemptID]bool, 1)}
	s.known <- map[duly.AttemptID]bool{}
	s.behaviour.Store(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if b == channeltest.Refuses {
		_ = l.Close()
		return s
	}
	s.serve(l)
	return s
}

func (s *service) serve(l net.Listener) {
	s.server = httptest.NewUnstartedServer(s)
	_ = s.server.Listener.Close()
	s.server.Listener = l
	s.server.Start()
	s.t.Cleanup(s.server.Close)
}

func (s *service) heal() {
	s.behaviour.Store(channeltest.Accepts)
	if s.server != nil {
		return
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.serve(l)
}

func (s *service) sender(t *testing.T, c webhook.Config) *webhook.Sender {
	t.Helper()
	c.URL = "http://" + s.addr + "/duly"
	if c.Secrets == nil {
		c.Secrets = []channel.Secret{secret()}
	}
	if c.Timeout == 0 {
		c.Timeout = testTime
	}
	w, err := webhook.New("sms", c, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b := s.behaviour.Load().(channeltest.Behaviour)
	if b == channeltest.DropsEarly {
		hangUp(w, "")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	want := webhook.Sign(secret(), unix(r.Header.Get(webhook.HeaderTimestamp)), body)
	if !bytes.Contains([]byte(r.Header.Get(webhook.HeaderSignature)), []byte(want)) {
		s.t.Error("the signature is not that of the body")
	}
	if no, ok := refusals[b]; ok {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(no.status)
		_, _ = io.WriteString(w, no.body)
		return
	}
	s.take(duly.AttemptID(r.Header.Get(webhook.HeaderAttempt)))
	s.answer(w, r, b)
}

var refusals = map[channeltest.Behaviour]struct {
	status int
	body   string
}{
	channeltest.BadAddress:   {422, `{"error":"bad_address"}`},
	channeltest.OptsOut:      {422, `{"error":"opted_out"}`},
	channeltest.Rejects:      {400, `no: ` + phone},
	channeltest.Unauthorized: {401, ``},
	channeltest.Throttles:    {429, ``},
	channeltest.Unready:      {503, ``},
}

// take notes a message; one that remembers notes it once.
func (s *service) take(id duly.AttemptID) {
	known := <-s.known
	defer func() { s.known <- known }()
	if !known[id] || !s.remembers {
		s.log.Took(id)
	}
	known[id] = true
}

func (s *service) answer(w http.ResponseWriter, r *http.Request, b channeltest.Behaviour) {
	switch b {
	case channeltest.Silent:
		<-r.Context().Done()
	case channeltest.Drops:
		hangUp(w, "")
	case channeltest.Cuts:
		hangUp(w, "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"id\":\"p-")
	case channeltest.Babbles:
		_, _ = io.WriteString(w, "\x00\xff<html>")
	case channeltest.Floods:
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("a"), 32<<10)); err != nil {
				return
			}
		}
	case channeltest.Drips:
		for _, c := range []byte(`{"id":"p-1"}`) {
			_, _ = w.Write([]byte{c})
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	default:
		_, _ = io.WriteString(w, `{"id":"p-1","status":"accepted","segments":2}`)
	}
}

// hangUp sends the bytes and closes the connection at once.
func hangUp(w http.ResponseWriter, last string) {
	c, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = buf.WriteString(last)
	_ = buf.Flush()
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func unix(s string) int64 {
	var n int64
	_, _ = fmt.Sscan(s, &n)
	return n
}
