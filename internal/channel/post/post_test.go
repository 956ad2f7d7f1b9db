package post_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
)

func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, *url.URL) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL + "/send?a=b")
	if err != nil {
		t.Fatal(err)
	}
	return srv, u
}

func client(t *testing.T, l post.Link) *post.Client {
	t.Helper()
	c := post.New(l)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestWhole: what came is told from what was cut.
func TestWhole(t *testing.T) {
	t.Parallel()
	_, u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if len(body) > 0 && string(body) != "hello" {
			t.Errorf("got body %q", body)
		}
		switch r.Header.Get("Want") {
		case "long":
			_, _ = w.Write(make([]byte, 200))
		case "cut":
			w.Header().Set("Content-Length", "50")
			_, _ = w.Write(make([]byte, 20))
		default:
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write(make([]byte, 100))
		}
	})
	tests := map[string]struct {
		status, length int
		whole          bool
	}{"": {418, 100, true}, "long": {200, 100, false}, "cut": {200, 20, false}}
	c := client(t, post.Link{})
	for want, tt := range tests {
		for _, method := range []string{"", http.MethodGet, http.MethodPut} {
			r := post.Request{Method: method, URL: u, Header: http.Header{"Want": {want}}, AnswerMax: 100}
			if method == "" {
				r.Body = []byte("hello")
			}
			got, err := c.Do(t.Context(), r)
			if err != nil || got.Status != tt.status || len(got.Body) != tt.length || got.Whole != tt.whole {
				t.Errorf("%s %q: got %d, %d bytes, whole %t, %v", method, want, got.Status, len(got.Body), got.Whole, err)
			}
		}
	}
}

// TestLength: every request tells its length, the empty ones too; some gateways take no other.
func TestLength(t *testing.T) {
	t.Parallel()
	_, u := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		want := int64(len(r.Header.Get("Want")))
		if r.ContentLength != want || len(r.TransferEncoding) != 0 || r.Method == http.MethodPost && r.Header.Get("Content-Length") != strconv.FormatInt(want, 10) {
			t.Errorf("%s: got length %d, encoding %v", r.Method, r.ContentLength, r.TransferEncoding)
		}
	})
	c := client(t, post.Link{})
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		for _, body := range []string{"", "hello"} {
			if method == http.MethodGet && body != "" {
				continue
			}
			if _, err := c.Do(t.Context(), post.Request{Method: method, URL: u, Header: http.Header{"Want": {body}}, Body: []byte(body)}); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestOnce: a server that hangs up after it has the request never gets it again, by GET neither, which net/http repeats
// by itself if it may; and what is said of it is true.
func TestOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			_, u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if n.Add(1)%2 == 1 {
					return // the connection is kept, and hung up on the next time
				}
				c, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_ = c.Close()
				}
			})
			c := client(t, post.Link{Connections: 1})
			for want := int64(1); want <= 20; want++ {
				_, err := c.Do(t.Context(), post.Request{Method: method, URL: u})
				if want%2 == 0 && (err == nil || err.Class != channel.Unknown) {
					t.Errorf("got %v of a lost answer, want unknown", err)
				}
				if want%2 == 1 && err != nil {
					t.Errorf("got %v, want an answer", err)
				}
				if got := n.Load(); got != want {
					t.Fatalf("the server had %d requests after %d", got, want)
				}
			}
		})
	}
}

// TestStale: connections that the server closed meanwhile cost nothing where nothing was written to them.
func TestStale(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			srv, u := serve(t, func(http.ResponseWriter, *http.Request) { n.Add(1) })
			c := client(t, post.Link{})
			said := int64(0)
			for range 50 {
				_, err := c.Do(t.Context(), post.Request{Method: method, URL: u})
				if err == nil {
					said++
				} else if err.Class != channel.Unknown {
					t.Errorf("got %v of a stale connection", err)
				}
				srv.CloseClientConnections()
			}
			if got := n.Load(); got < said || got > 50 {
				t.Errorf("the server had %d requests, %d were said to be answered", got, said)
			}
		})
	}
}

// TestNobody: no connection is proof.
func TestNobody(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/"}
	_ = l.Close()
	if _, err := client(t, post.Link{}).Do(t.Context(), post.Request{URL: u}); err == nil || err.Class != channel.Temporary {
		t.Errorf("got %v, want temporary", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client(t, post.Link{}).Do(ctx, post.Request{URL: u}); err == nil || err.Class != channel.Temporary || err.Code != "cancelled" {
		t.Errorf("got %v, want a temporary cancellation", err)
	}
}

// TestHTTP2 makes requests of a server that speaks nothing else.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Proto+" "+string(body))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := post.NewHTTP2(post.Link{CertAuthority: pemOf(srv)})
	t.Cleanup(func() { _ = c.Close() })
	got, cerr := c.Do(t.Context(), post.Request{URL: u, Body: []byte("hello")})
	if cerr != nil || string(got.Body) != "HTTP/2.0 hello" || !got.Whole {
		t.Errorf("got %q, whole %t, %v", got.Body, got.Whole, cerr)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 1, 30, 0, 0, time.UTC)
	for status, want := range map[int]channel.Class{
		200: channel.Unknown, 302: channel.Config, 400: channel.Permanent, 401: channel.Config, 408: channel.Temporary,
		409: channel.Unknown, 429: channel.Throttled, 500: channel.Unknown, 501: channel.Config, 502: channel.Unknown,
		503: channel.Temporary, 504: channel.Unknown, 999: channel.Unknown,
	} {
		e := post.Answer{Status: status, Header: http.Header{"Retry-After": {"30"}}}.Refusal(now)
		waits := want == channel.Throttled || want == channel.Temporary
		if e.Class != want || e.Code != "http_"+strconv.Itoa(status) || waits != (e.RetryAfter == 30*time.Second) {
			t.Errorf("%d: got %v, want %s", status, e, want)
		}
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		link post.Link
		url  string
	}{
		"connections":    {post.Link{Connections: 5000}, "https://a.example"},
		"timeout":        {post.Link{Timeout: -1}, "https://a.example"},
		"cert_authority": {post.Link{CertAuthority: "no"}, "https://a.example"},
		"url":            {post.Link{}, "http://a.example"},
		"url ":           {post.Link{}, "https://u:p@a.example"},
		"url  ":          {post.Link{}, "sms"},
	}
	for field, tt := range tests {
		p := channel.ProblemsAt("carriers.x")
		tt.link.Check(p)
		tt.link.CheckURL(p, "url", tt.url)
		e, ok := errors.AsType[*duly.Error](p.Err())
		if want := "carriers.x." + strings.TrimSpace(field); !ok || e.Place.Field != want || e.Hint == "" {
			t.Errorf("got %v, want a problem at %s", p.Err(), want)
		}
	}
	p := channel.ProblemsAt("x")
	post.Link{Plaintext: true}.CheckURL(p, "url", "http://a.example")
	post.Link{}.CheckURL(p, "url", "http://[::1]:80")
	if err := p.Err(); err != nil {
		t.Errorf("good links: %v", err)
	}
}
