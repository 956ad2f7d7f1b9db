package channeltest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
)

// Site is a carrier's HTTP service that misbehaves on demand, and notes what it took. How the carrier speaks is a [Dialect].
type Site struct {
	Log Log

	t         *testing.T
	d         Dialect
	behaviour atomic.Value // Behaviour
	addr      string
	server    *httptest.Server
}

// Dialect is what a carrier documents of its requests and answers.
type Dialect struct {
	// Take proves a request as the carrier does, and returns the attempt in it.
	Take func(r *http.Request, body []byte) (duly.AttemptID, error)
	// Aside answers requests that hand over no message, such as for a token, and reports whether it did; nil: there are none.
	Aside func(w http.ResponseWriter, r *http.Request) bool
	// Remembers says that the carrier takes a message that it has already no second time, however it answers.
	Remembers bool
	// Taken is the answer that says yes.
	Taken Page
	// Refusals are the answers that say no. One for each behaviour of saying no that the carrier has.
	Refusals map[Behaviour]Page
}

// Page is an answer.
type Page struct {
	Status int // 0: 200
	Type   string
	Body   string
}

func (p Page) write(w http.ResponseWriter) {
	if p.Type != "" {
		w.Header().Set("Content-Type", p.Type)
	}
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = io.WriteString(w, p.Body)
}

// NewSite starts a service of a behaviour. One that [Refuses] is not there until it is healed.
func NewSite(t *testing.T, b Behaviour, d Dialect) *Site {
	t.Helper()
	s := &Site{t: t, d: d}
	s.behaviour.Store(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if b == Refuses {
		_ = l.Close()
		return s
	}
	s.serve(l)
	return s
}

// URL is where it is, without a slash at the end.
func (s *Site) URL() string { return "http://" + s.addr }

// Timeout is how long its sender should wait: not long where it never answers, else longer than a slow machine needs.
func (s *Site) Timeout() time.Duration {
	if s.behaviour.Load() == Silent {
		return time.Second
	}
	return time.Minute
}

// Heal makes it behave from now on.
func (s *Site) Heal() {
	s.behaviour.Store(Accepts)
	if s.server != nil {
		return
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.serve(l)
}

func (s *Site) serve(l net.Listener) {
	s.server = httptest.NewUnstartedServer(s)
	_ = s.server.Listener.Close()
	s.server.Listener = l
	s.server.Start()
	s.t.Cleanup(s.server.Close)
}

// ServeHTTP takes a message, or does not.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.d.Aside != nil && s.d.Aside(w, r) {
		return
	}
	b := s.behaviour.Load().(Behaviour)
	if b == DropsEarly {
		hangUp(w, "")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	id, err := s.d.Take(r, body)
	if err != nil {
		s.t.Errorf("the request is not as the carrier documents it: %v", err)
	}
	if no, ok := s.d.Refusals[b]; ok {
		no.write(w)
		return
	}
	if !s.d.Remembers || !slices.Contains(s.Log.Taken(), id) {
		s.Log.Took(id)
	}
	s.answer(w, r, b)
}

func (s *Site) answer(w http.ResponseWriter, r *http.Request, b Behaviour) {
	switch b {
	case Silent:
		<-r.Context().Done()
	case Drops:
		hangUp(w, "")
	case Cuts:
		hangUp(w, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"+s.d.Taken.Body[:len(s.d.Taken.Body)/2])
	case Babbles:
		_, _ = io.WriteString(w, "\x00\xff<html><body>502 Bad Gateway</body></html>")
	case Floods:
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte("a"), 32<<10)); err != nil {
				return
			}
		}
	case Drips:
		if s.d.Taken.Status != 0 {
			w.WriteHeader(s.d.Taken.Status)
		}
		for drop := range slices.Chunk([]byte(s.d.Taken.Body), 1+len(s.d.Taken.Body)/20) {
			_, _ = w.Write(drop)
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	default:
		s.d.Taken.write(w)
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
