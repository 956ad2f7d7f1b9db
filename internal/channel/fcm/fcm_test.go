package fcm_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/fcm"
	"github.com/dulyhq/duly/internal/channel/post"
)

var token = "fGx1y2:APA91b" + strings.Repeat("Ab-_9", 28)

// google is Google's token service: it checks statements as Google documents them.
type google struct {
	*httptest.Server
	key   *rsa.PrivateKey
	given atomic.Int64
	fail  atomic.Pointer[channeltest.Page] // instead of tokens
}

func newGoogle(t *testing.T) *google {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &google{key: key}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if no := g.fail.Load(); no != nil {
			w.WriteHeader(no.Status)
			_, _ = io.WriteString(w, no.Body)
			return
		}
		if err := g.check(r); err != nil {
			t.Errorf("the statement is not as Google documents it: %v", err)
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"ya29.%d","expires_in":3599,"token_type":"Bearer"}`, g.given.Add(1))
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *google) check(r *http.Request) error {
	if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return errors.New("no grant type")
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if len(parts) != 3 {
		return errors.New("no statement")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		return err
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var c struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	if err := json.Unmarshal(claims, &c); err != nil || c.Iss != "robot@shop.iam.gserviceaccount.com" || c.Aud != g.URL ||
		!strings.HasSuffix(c.Scope, "firebase.messaging") || c.Exp-c.Iat != 3600 {
		return fmt.Errorf("claims %s, %w", claims, err)
	}
	return nil
}

func (g *google) account(t *testing.T) channel.Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(g.key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "shop", "private_key_id": "k1", "client_email": "robot@shop.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": g.URL,
	})
	if err != nil {
		t.Fatal(err)
	}
	return channel.NewSecret(string(b))
}

func (g *google) sender(t *testing.T, at string) *fcm.Sender {
	t.Helper()
	s, err := fcm.New("push", fcm.Config{ServiceAccount: g.account(t), URL: at, Link: post.Link{Timeout: 700 * time.Millisecond}}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// refused is an error as FCM writes it.
func refused(status int, code, fcmCode, more string) channeltest.Page {
	detail := ""
	if fcmCode != "" {
		detail = fmt.Sprintf(`{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":%q}`, fcmCode)
	}
	return channeltest.Page{Status: status, Type: "application/json; charset=UTF-8", Body: fmt.Sprintf(
		`{"error":{"code":%d,"message":"about token %s","status":%q,"details":[%s%s]}}`, status, token, code, detail, more)}
}

const tokenViolation = `{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"message.token","description":"Invalid registration token"}]}`

func dialect() channeltest.Dialect {
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			if r.URL.Path != "/v1/projects/shop/messages:send" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ya29.") {
				return "", fmt.Errorf("path %s, authorization %q", r.URL.Path, r.Header.Get("Authorization"))
			}
			var v struct {
				Message struct {
					Token        string
					Notification map[string]string
					Data         map[string]string
					Android      struct {
						TTL          string
						CollapseKey  string `json:"collapse_key"`
						Notification map[string]string
					}
					APNS, WebPush struct{ Headers map[string]string }
				}
			}
			if err := json.Unmarshal(body, &v); err != nil {
				return "", err
			}
			m := v.Message
			if m.Token != token || m.Notification["title"] == "" || m.Notification["body"] == "" || m.Android.TTL != "43200s" || len(m.Android.CollapseKey) != 32 ||
				m.Android.Notification["tag"] != m.Android.CollapseKey || m.Android.Notification["visibility"] != "PRIVATE" ||
				m.APNS.Headers["apns-collapse-id"] != m.Android.CollapseKey || m.WebPush.Headers["Topic"] != m.Android.CollapseKey {
				return "", fmt.Errorf("message %s", body)
			}
			return duly.AttemptID(m.Data["duly_attempt"]), nil
		},
		Taken: channeltest.Page{Body: `{"name":"projects/shop/messages/0:1500415314455276%31bd1c9631bd1c96"}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   refused(404, "NOT_FOUND", "UNREGISTERED", ""),
			channeltest.Rejects:      refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ""),
			channeltest.Unauthorized: refused(401, "UNAUTHENTICATED", "", ""),
			channeltest.Throttles:    refused(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", ""),
			channeltest.Unready:      refused(503, "UNAVAILABLE", "UNAVAILABLE", ""),
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			site := channeltest.NewSite(t, b, dialect())
			return channeltest.Carrier{Sender: newGoogle(t).sender(t, site.URL()), Channel: duly.ChannelPush, To: token, Log: &site.Log, Heal: site.Heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "Google does not say whether a borrower has switched notifications off"},
	})
}

// answers makes a sender of one answer, and counts what it was asked.
func answers(t *testing.T, g *google, p channeltest.Page, header http.Header) (*fcm.Sender, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		for k, v := range header {
			w.Header()[k] = v
		}
		if p.Status != 0 {
			w.WriteHeader(p.Status)
		}
		_, _ = io.WriteString(w, p.Body)
	}))
	t.Cleanup(srv.Close)
	return g.sender(t, srv.URL), &n
}

// TestAnswers holds each documented answer to its class.
func TestAnswers(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	tests := []struct {
		page   channeltest.Page
		header http.Header
		class  channel.Class
		code   string
		wait   time.Duration
	}{
		{refused(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", ","+tokenViolation), nil, channel.BadAddress, "fcm_invalid_argument", 0},
		{refused(400, "INVALID_ARGUMENT", "", tokenViolation), nil, channel.BadAddress, "fcm_invalid_argument", 0},
		{refused(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", ""), nil, channel.Permanent, "fcm_sender_id_mismatch", 0},
		{refused(403, "PERMISSION_DENIED", "", ""), nil, channel.Config, "fcm_permission_denied", 0},
		{refused(401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR", ""), nil, channel.Config, "fcm_third_party_auth_error", 0},
		{refused(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", ""), nil, channel.Throttled, "fcm_quota_exceeded", time.Minute},
		{refused(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", ""), http.Header{"Retry-After": {"17"}}, channel.Throttled, "fcm_quota_exceeded", 17 * time.Second},
		{refused(503, "UNAVAILABLE", "UNAVAILABLE", ""), http.Header{"Retry-After": {"9"}}, channel.Temporary, "fcm_unavailable", 9 * time.Second},
		{refused(500, "INTERNAL", "INTERNAL", ""), nil, channel.Unknown, "http_500", 0},
		{refused(500, "UNREGISTERED", "UNREGISTERED", ""), nil, channel.Unknown, "http_500", 0},
		{refused(404, "NOT_FOUND", "", ""), nil, channel.Config, "http_404", 0},
		{channeltest.Page{Status: 404, Body: "<html>no such page</html>"}, nil, channel.Config, "http_404", 0},
		{channeltest.Page{Body: "<html>log in to the airport's network</html>"}, nil, channel.Unknown, "not_fcm", 0},
		{refused(200, "UNREGISTERED", "UNREGISTERED", ""), nil, channel.Unknown, "not_fcm", 0},
		{channeltest.Page{Body: `{"name":"projects/shop/messages/"}`}, nil, channel.Unknown, "not_fcm", 0},
	}
	for _, tt := range tests {
		s, _ := answers(t, g, tt.page, tt.header)
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, token, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.class || e.Code != tt.code || e.RetryAfter != tt.wait {
			t.Errorf("%d %.80s: got %v, want %s: %s after %s", tt.page.Status, tt.page.Body, err, tt.class, tt.code, tt.wait)
		}
	}
}

// TestTokens: one access token serves until it ends; one that is refused is had anew once.
func TestTokens(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	s, n := answers(t, g, refused(401, "UNAUTHENTICATED", "", ""), nil)
	_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, token, 1))
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Config || n.Load() != 2 || g.given.Load() != 2 {
		t.Errorf("got %v after %d messages with %d tokens, want config after 2 with 2", err, n.Load(), g.given.Load())
	}
	g = newGoogle(t)
	s, n = answers(t, g, channeltest.Page{Body: `{"name":"projects/shop/messages/1"}`}, nil)
	for i := range 5 {
		m := channeltest.Message(duly.ChannelPush, token, i)
		m.Now = m.Now.Add(time.Duration(i) * 20 * time.Minute)
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	if g.given.Load() != 2 || n.Load() != 5 {
		t.Errorf("80 minutes took %d tokens, want 2", g.given.Load())
	}
}

// TestNoToken: without a token nothing is sent, whatever went wrong.
func TestNoToken(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]channel.Class{400: channel.Config, 401: channel.Config, 429: channel.Throttled, 500: channel.Temporary, 503: channel.Temporary, 200: channel.Temporary} {
		g := newGoogle(t)
		g.fail.Store(&channeltest.Page{Status: status, Body: `<html>{"error":"invalid_grant"}`})
		s, n := answers(t, g, channeltest.Page{Body: `{"name":"projects/shop/messages/1"}`}, nil)
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, token, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != want || n.Load() != 0 {
			t.Errorf("%d: got %v after %d messages, want %s", status, err, n.Load(), want)
		}
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	s, n := answers(t, g, channeltest.Page{}, nil)
	for to, want := range map[string]bool{
		token: true, strings.Repeat("0a", 60): false, "": false, `{"endpoint":"https://a"}`: false, "1a0018970a8": false,
		strings.Repeat("x", 3000): false, strings.Repeat("a/", 60): false,
	} {
		if s.Reaches(to) != want {
			t.Errorf("Reaches(%.20q of %d): got %t", to, len(to), !want)
		}
		if want {
			continue
		}
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelPush, to, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Permanent || e.Code != channel.NotItsAddress {
			t.Errorf("%.20q: got %v", to, err)
		}
	}
	m := channeltest.Message(duly.ChannelPush, token, 1)
	m.Text = strings.Repeat("长", 2000)
	_, err := s.Send(t.Context(), m)
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Permanent || e.Code != "too_long" || n.Load() != 0 {
		t.Errorf("too long: got %v after %d messages", err, n.Load())
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	tests := map[string]func(*fcm.Config){
		"service_account": func(c *fcm.Config) { c.ServiceAccount = channel.NewSecret(`{"project_id":"a"}`) },
		"url":             func(c *fcm.Config) { c.URL = "http://fcm.example" },
		"token_url":       func(c *fcm.Config) { c.TokenURL = "nowhere" },
		"connections":     func(c *fcm.Config) { c.Link.Connections = -1 },
	}
	for field, spoil := range tests {
		c := fcm.Config{ServiceAccount: g.account(t)}
		spoil(&c)
		_, err := fcm.New("push", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.push.fcm."+field || e.Hint == "" || strings.Contains(err.Error(), "PRIVATE KEY") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
