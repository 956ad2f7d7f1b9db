package apns_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/apns"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
)

var device = strings.Repeat("0a1b2c3d", 8)[:63] + "0"

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, channel.Secret) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, channel.NewSecret(pemOf(t, "PRIVATE KEY", der, err))
}

func sender(t *testing.T, at, authority string, key channel.Secret, timeout time.Duration) *apns.Sender {
	t.Helper()
	s, err := apns.New("push", apns.Config{
		Key: key, KeyID: "KEY1234567", TeamID: "TEAM123456", Topic: "com.lender.app", URL: at, Link: post.Link{CertAuthority: authority, Timeout: timeout},
	}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// serve serves over HTTP/2 and nothing else, at an address.
func serve(t *testing.T, l net.Listener, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	_ = srv.Listener.Close()
	srv.Listener, srv.EnableHTTP2 = l, true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// authority is of the certificate that httptest serves with.
func authority(t *testing.T) string {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return pemOf(t, "CERTIFICATE", srv.Certificate().Raw, nil)
}

func dialect() channeltest.Dialect {
	no := func(status int, reason string) channeltest.Page {
		return channeltest.Page{Status: status, Body: fmt.Sprintf(`{"reason":%q}`, reason)}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			h := r.Header
			if r.Proto != "HTTP/2.0" || r.URL.Path != "/3/device/"+device || !strings.HasPrefix(h.Get("Authorization"), "bearer ") || h.Get("apns-topic") != "com.lender.app" ||
				len(h.Get("apns-collapse-id")) != 32 || h.Get("apns-expiration") == "" || h.Get("apns-push-type") != "alert" || len(h.Get("apns-id")) != 36 {
				return "", fmt.Errorf("%s %s %v", r.Proto, r.URL.Path, h)
			}
			var v struct {
				APS     struct{ Alert map[string]string }
				Attempt duly.AttemptID `json:"duly_attempt"`
			}
			if err := json.Unmarshal(body, &v); err != nil || v.APS.Alert["title"] == "" || v.APS.Alert["body"] == "" {
				return "", fmt.Errorf("body %s, %w", body, err)
			}
			return v.Attempt, nil
		},
		Taken: channeltest.Page{Body: "{}"},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   no(410, "Unregistered"),
			channeltest.Rejects:      no(413, "PayloadTooLarge"),
			channeltest.Unauthorized: no(403, "InvalidProviderToken"),
			channeltest.Throttles:    no(429, "TooManyRequests"),
			channeltest.Unready:      no(503, "ServiceUnavailable"),
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	_, key := newKey(t)
	root := authority(t)
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			// The site misbehaves; HTTP/2 is spoken in front of it. What it would hang up on ends as a stream that is reset.
			start := b
			if b == channeltest.Refuses {
				start = channeltest.Accepts
			}
			site := channeltest.NewSite(t, start, dialect())
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Apns-Id", r.Header.Get("Apns-Id"))
				site.ServeHTTP(w, r)
			})
			l := listen(t, "127.0.0.1:0")
			addr := l.Addr().String()
			heal := site.Heal
			if b == channeltest.Refuses {
				_ = l.Close()
				heal = func() { serve(t, listen(t, addr), h) }
			} else {
				serve(t, l, h)
			}
			return channeltest.Carrier{
				Sender: sender(t, "https://"+addr, root, key, 700*time.Millisecond), Channel: duly.ChannelPush, To: device, Log: &site.Log, Heal: heal,
			}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "Apple does not say whether a borrower has switched notifications off"},
	})
}

// TestAnswers holds each documented answer to its class.
func TestAnswers(t *testing.T) {
	t.Parallel()
	_, key := newKey(t)
	var status atomic.Int64
	var body atomic.Value
	var asked atomic.Int64
	srv := serve(t, listen(t, "127.0.0.1:0"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, body.Load().(string))
	}))
	s := sender(t, srv.URL, authority(t), key, 5*time.Second)
	tests := []struct {
		status int
		body   string
		class  channel.Class
		code   string
		asked  int64
	}{
		{410, `{"reason":"Unregistered","timestamp":1}`, channel.BadAddress, "apns_unregistered", 1},
		{410, `{"reason":"ExpiredToken"}`, channel.BadAddress, "apns_expiredtoken", 1},
		{400, `{"reason":"BadDeviceToken"}`, channel.BadAddress, "apns_baddevicetoken", 1},
		{400, `{"reason":"DeviceTokenNotForTopic"}`, channel.Permanent, "apns_devicetokennotfortopic", 1},
		{400, `{"reason":"TopicDisallowed"}`, channel.Config, "apns_topicdisallowed", 1},
		{403, `{"reason":"ExpiredProviderToken"}`, channel.Config, "apns_expiredprovidertoken", 2},
		{403, `{"reason":"InvalidProviderToken"}`, channel.Config, "apns_invalidprovidertoken", 1},
		{429, `{"reason":"TooManyProviderTokenUpdates"}`, channel.Throttled, "apns_toomanyprovidertokenupdates", 1},
		{500, `{"reason":"InternalServerError"}`, channel.Unknown, "http_500", 1},
		{500, `{"reason":"BadDeviceToken"}`, channel.Unknown, "http_500", 1},
		{503, `{"reason":"Shutdown"}`, channel.Temporary, "apns_shutdown", 1},
		{400, `<html>`, channel.Permanent, "http_400", 1},
		{410, `<html>`, channel.Config, "http_410", 1},
		{200, `<html>`, channel.Unknown, "not_apns", 1},
		{302, ``, channel.Config, "http_302", 1},
	}
	for _, tt := range tests {
		status.Store(int64(tt.status))
		body.Store(tt.body)
		asked.Store(0)
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, device, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.class || e.Code != tt.code || asked.Load() != tt.asked {
			t.Errorf("%d %s: got %v after %d requests, want %s: %s after %d", tt.status, tt.body, err, asked.Load(), tt.class, tt.code, tt.asked)
		}
	}
	for name, m := range map[string]channel.Message{
		"a browser's subscription": channeltest.Message(duly.ChannelPush, `{"endpoint":"https://a"}`, 1),
		"a path":                   channeltest.Message(duly.ChannelPush, strings.Repeat("../", 30), 1),
		"too short":                channeltest.Message(duly.ChannelPush, "0a1b", 1),
	} {
		asked.Store(0)
		_, err := s.Send(t.Context(), m)
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Permanent || e.Code != channel.NotItsAddress || asked.Load() != 0 {
			t.Errorf("%s: got %v after %d requests", name, err, asked.Load())
		}
	}
	long := channeltest.Message(duly.ChannelPush, device, 1)
	long.Text = strings.Repeat("长", 2000)
	if _, err := s.Send(t.Context(), long); err == nil || !strings.Contains(err.Error(), "too_long") {
		t.Errorf("too long: got %v", err)
	}
}

// peer is Node's HTTP/2 with Apple's answers.
type peer struct {
	url, authority string
	lines          *bufio.Scanner
}

func startPeer(t *testing.T, key *ecdsa.PrivateKey) peer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: HTTP/2 is tested against Go's own server only")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	srv := httptest.NewTLSServer(nil) // for its certificate
	defer srv.Close()
	root := pemOf(t, "CERTIFICATE", srv.Certificate().Raw, nil)
	der, err := x509.MarshalPKCS8PrivateKey(srv.TLS.Certificates[0].PrivateKey)
	serverKey := pemOf(t, "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	cmd := exec.Command(node, filepath.Join("testdata", "apns.js"), write("cert", root), write("key", serverKey), write("public", pemOf(t, "PUBLIC KEY", der, err)))
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("node did not start: %s", wrong.String())
	}
	if _, err := strconv.Atoi(lines.Text()); err != nil {
		t.Fatalf("node says %q", lines.Text())
	}
	return peer{"https://127.0.0.1:" + lines.Text(), root, lines}
}

// TestPeer pushes over another's HTTP/2: refusals, a connection that goes away, and many messages on one connection.
func TestPeer(t *testing.T) {
	t.Parallel()
	key, secret := newKey(t)
	p := startPeer(t, key)
	s := sender(t, p.url, p.authority, secret, 20*time.Second)
	to := func(last string) string { return device[:63] + last }
	for last, want := range map[string]channel.Class{
		"1": channel.BadAddress, "2": channel.BadAddress, "3": channel.Throttled, "4": channel.Temporary, "5": channel.Unknown, "6": channel.Config,
	} {
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, to(last), 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != want {
			t.Errorf("device …%s: got %v, want %s", last, err, want)
		}
	}
	_, other := newKey(t)
	if _, err := sender(t, p.url, p.authority, other, 20*time.Second).Send(t.Context(), channeltest.Message(duly.ChannelPush, device, 1)); err == nil || !strings.Contains(err.Error(), "config") {
		t.Errorf("a statement by another key: got %v", err)
	}
	if _, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, to("7"), 7)); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("a peer that takes the message and goes away: got %v, want unknown", err)
	}
	const workers, each = 8, 25
	done := make(chan error, workers)
	for w := range workers {
		go func() {
			for n := range each {
				if _, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, device, 100+w*each+n)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	took := map[string]int{}
	for range workers*each + 1 {
		if !p.lines.Scan() {
			t.Fatal("node says no more")
		}
		var v struct {
			Body struct {
				Attempt string `json:"duly_attempt"`
			}
		}
		if err := json.Unmarshal(p.lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		took[v.Body.Attempt]++
	}
	if len(took) != workers*each+1 || slices.Max(slices.Collect(maps.Values(took))) != 1 {
		t.Errorf("the peer took %d different messages, one of them %d times; want %d, each once", len(took), slices.Max(slices.Collect(maps.Values(took))), workers*each+1)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, key := newKey(t)
	tests := map[string]func(*apns.Config){
		"key":     func(c *apns.Config) { c.Key = channel.NewSecret("no") },
		"key_id":  func(c *apns.Config) { c.KeyID = "short" },
		"team_id": func(c *apns.Config) { c.TeamID = "TEAM\r\n3456" },
		"topic":   func(c *apns.Config) { c.Topic = "" },
		"url":     func(c *apns.Config) { c.URL = "http://apns.example" },
	}
	for field, spoil := range tests {
		c := apns.Config{Key: key, KeyID: "KEY1234567", TeamID: "TEAM123456", Topic: "com.lender.app"}
		spoil(&c)
		_, err := apns.New("push", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.push.apns."+field || e.Hint == "" || strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
