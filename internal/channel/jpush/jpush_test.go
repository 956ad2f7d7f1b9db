package jpush_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/jpush"
	"github.com/dulyhq/duly/internal/channel/post"
)

const device = "1a0018970a8f0c2b1b1"

func sender(t *testing.T, at string) *jpush.Sender {
	t.Helper()
	s, err := jpush.New("push", jpush.Config{
		AppKey: "7d431e42dfa6a6d693ac2d04", MasterSecret: channel.NewSecret("5e987ac6d2e04d95a9d8f0d1"), URL: at, Link: post.Link{Timeout: 1500 * time.Millisecond},
	}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// front gives cids and leaves messages to another handler.
type front struct {
	given atomic.Int64
	mu    sync.Mutex
	used  map[string]string // cid: attempt
	next  http.Handler
	t     *testing.T
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, ok := r.BasicAuth(); !ok || user != "7d431e42dfa6a6d693ac2d04" || password != "5e987ac6d2e04d95a9d8f0d1" {
		f.t.Error("no Basic authentication")
	}
	if r.URL.Path != "/v3/push/cid" {
		f.next.ServeHTTP(w, r)
		return
	}
	list := []string{}
	for range 10 {
		list = append(list, fmt.Sprintf("7d431e42dfa6a6d693ac2d04-%012d", f.given.Add(1)))
	}
	_ = json.NewEncoder(w).Encode(map[string][]string{"cidlist": list})
}

// take proves a message as JPush does; one cid is one message.
func (f *front) take(r *http.Request, body []byte) (duly.AttemptID, error) {
	var v struct {
		CID          string
		Platform     string
		Audience     map[string][]string
		Notification struct {
			Android struct {
				Alert, Title string
				Extras       map[string]string
			}
			IOS struct{ Alert map[string]string }
		}
		Options map[string]any
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return "", err
	}
	n, id := v.Notification, v.Notification.Android.Extras["duly_attempt"]
	if r.URL.Path != "/v3/push" || v.Platform != "all" || v.Audience["registration_id"][0] != device || n.Android.Alert == "" || n.Android.Title == "" ||
		n.IOS.Alert["body"] != n.Android.Alert || v.Options["time_to_live"] != 43200.0 || v.Options["apns_production"] != true || len(v.Options["apns_collapse_id"].(string)) != 32 {
		return "", fmt.Errorf("%s %s", r.URL.Path, body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if other := f.used[v.CID]; other != "" && other != id {
		return "", fmt.Errorf("cid %s is used for two messages", v.CID)
	}
	f.used[v.CID] = id
	return duly.AttemptID(id), nil
}

func refused(status, code int) channeltest.Page {
	return channeltest.Page{Status: status, Body: fmt.Sprintf(`{"msg_id":"2","error":{"code":%d,"message":"about %s"}}`, code, device)}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			f := &front{used: map[string]string{}, t: t}
			start := b
			if b == channeltest.Refuses {
				start = channeltest.Accepts
			}
			site := channeltest.NewSite(t, start, channeltest.Dialect{
				Take: f.take, Remembers: true, Taken: channeltest.Page{Body: `{"sendno":"0","msg_id":"18100287007833456"}`},
				Refusals: map[channeltest.Behaviour]channeltest.Page{
					channeltest.BadAddress:   refused(400, 1011),
					channeltest.Rejects:      refused(400, 1003),
					channeltest.Unauthorized: refused(401, 1004),
					channeltest.Throttles:    refused(429, 2002),
					channeltest.Unready:      {Status: 503, Body: "<html>"},
				},
			})
			f.next = site
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			heal, addr := site.Heal, l.Addr().String()
			serve := func(l net.Listener) {
				srv := httptest.NewUnstartedServer(f)
				_ = srv.Listener.Close()
				srv.Listener = l
				srv.Start()
				t.Cleanup(srv.Close)
			}
			if b != channeltest.Refuses {
				serve(l)
			} else {
				_ = l.Close()
				heal = func() {
					l, err := net.Listen("tcp", addr)
					if err != nil {
						t.Fatal(err)
					}
					serve(l)
				}
			}
			return channeltest.Carrier{Sender: sender(t, "http://"+addr), Channel: duly.ChannelPush, To: device, Log: &site.Log, Heal: heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "JPush does not say whether a borrower has switched notifications off"},
	})
}

// script answers with one page after the other, the last again and again; "" hangs up.
func script(t *testing.T, pages ...channeltest.Page) (*jpush.Sender, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	f := &front{used: map[string]string{}, t: t}
	f.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, err := f.take(r, body); err != nil {
			t.Error(err)
		}
		p := pages[min(int(n.Add(1)), len(pages))-1]
		if p.Body == "" {
			panic(http.ErrAbortHandler)
		}
		if p.Status != 0 {
			w.WriteHeader(p.Status)
		}
		_, _ = io.WriteString(w, p.Body)
	})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return sender(t, srv.URL), &n
}

// TestRepeats: a lost answer is asked for again with the same cid; what is not settled stays unknown.
func TestRepeats(t *testing.T) {
	t.Parallel()
	lost, taken := channeltest.Page{}, channeltest.Page{Body: `{"sendno":"0","msg_id":18100287007833456}`}
	tests := map[string]struct {
		pages []channeltest.Page
		class channel.Class
		asked int64
	}{
		"taken at the second asking":   {[]channeltest.Page{lost, taken}, "", 2},
		"taken at the third":           {[]channeltest.Page{lost, refused(500, 1000), taken}, "", 3},
		"never answered":               {[]channeltest.Page{lost}, channel.Unknown, 3},
		"refused at the second asking": {[]channeltest.Page{lost, refused(400, 1011)}, channel.BadAddress, 2},
		"too many at the second":       {[]channeltest.Page{lost, refused(429, 2002)}, channel.Unknown, 3},
		"it timed out inside":          {[]channeltest.Page{refused(503, 1030)}, channel.Unknown, 3},
		"a page of somebody else's":    {[]channeltest.Page{{Body: "<html>"}}, channel.Unknown, 3},
		"200 with an error inside":     {[]channeltest.Page{refused(200, 1003)}, channel.Permanent, 1},
		"refused at once":              {[]channeltest.Page{refused(400, 1011)}, channel.BadAddress, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, n := script(t, tt.pages...)
			got, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, device, 1))
			e, _ := errors.AsType[*channel.Error](err)
			if tt.class == "" && (err != nil || got.ProviderID != "18100287007833456") || tt.class != "" && (e == nil || e.Class != tt.class) || n.Load() != tt.asked {
				t.Errorf("got %+v, %v after %d requests, want %q after %d", got, err, n.Load(), tt.class, tt.asked)
			}
		})
	}
}

func TestRefusedHere(t *testing.T) {
	t.Parallel()
	s, n := script(t, channeltest.Page{Body: `{"msg_id":"1"}`})
	for _, to := range []string{"", "short", `{"endpoint":"https://a"}`, strings.Repeat("0a", 32)} {
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, to, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != channel.NotItsAddress || e.Class != channel.Permanent {
			t.Errorf("%.20q: got %v", to, err)
		}
	}
	m := channeltest.Message(duly.ChannelPush, device, 1)
	m.Text = strings.Repeat("长", 1000)
	_, err := s.Send(t.Context(), m)
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != "too_long" || n.Load() != 0 {
		t.Errorf("too long: got %v after %d requests", err, n.Load())
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*jpush.Config){
		"app_key":       func(c *jpush.Config) { c.AppKey = "" },
		"master_secret": func(c *jpush.Config) { c.MasterSecret = channel.Secret{} },
		"ids":           func(c *jpush.Config) { c.IDs = 2000 },
		"url":           func(c *jpush.Config) { c.URL = "ftp://x" },
	} {
		c := jpush.Config{AppKey: "7d431e42dfa6a6d693ac2d04", MasterSecret: channel.NewSecret("s")}
		spoil(&c)
		_, err := jpush.New("push", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.push.jpush."+field || e.Hint == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
