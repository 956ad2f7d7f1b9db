package webpush_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/webpush"
)

const vapid = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94" // a published example, nobody's key

func config() webpush.Config {
	return webpush.Config{
		PrivateKey: channel.NewSecret(vapid), Contact: "mailto:push@lender.example", Services: []string{"127.0.0.1", "localhost"},
		Link: post.Link{Timeout: 2 * time.Second},
	}
}

func sender(t *testing.T, c webpush.Config) *webpush.Sender {
	t.Helper()
	s, err := webpush.New("push", c, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// browser is the other end of a subscription.
type browser struct {
	key    *ecdh.PrivateKey
	secret []byte
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	return &browser{key, secret}
}

func (b *browser) subscription(endpoint string) string {
	return fmt.Sprintf(`{"endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, endpoint,
		base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes()), base64.RawURLEncoding.EncodeToString(b.secret))
}

// open decrypts as RFC 8291 tells browsers to, with HMAC alone.
func (b *browser) open(body []byte) (map[string]string, error) {
	mac := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	if len(body) < 103 || len(body) > 4096 {
		return nil, fmt.Errorf("a body of %d octets", len(body))
	}
	salt, theirs := body[:16], body[21:86]
	public, err := ecdh.P256().NewPublicKey(theirs)
	if err != nil {
		return nil, err
	}
	shared, err := b.key.ECDH(public)
	if err != nil {
		return nil, err
	}
	ikm := mac(mac(b.secret, shared), []byte("WebPush: info\x00"), b.key.PublicKey().Bytes(), theirs, []byte{1})
	prk := mac(salt, ikm)
	block, err := aes.NewCipher(mac(prk, []byte("Content-Encoding: aes128gcm\x00\x01"))[:16])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	plain, err := gcm.Open(nil, mac(prk, []byte("Content-Encoding: nonce\x00\x01"))[:12], body[86:], nil)
	if err != nil {
		return nil, err
	}
	plain = bytes.TrimRight(plain, "\x00")
	if !bytes.HasSuffix(plain, []byte{2}) {
		return nil, errors.New("not the last record")
	}
	var out map[string]string
	return out, json.Unmarshal(plain[:len(plain)-1], &out)
}

// proved checks the VAPID header as a push service does.
func proved(r *http.Request) error {
	var token, key string
	for _, part := range strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "vapid "), ", ") {
		switch k, v, _ := strings.Cut(part, "="); k {
		case "t":
			token = v
		case "k":
			key = v
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return err
	}
	signed, sig, _ := strings.Cut(reverseCut(token), " ")
	s, err := base64.RawURLEncoding.DecodeString(sig)
	if err != nil || len(s) != 64 {
		return errors.New("no signature")
	}
	digest := sha256.Sum256([]byte(signed))
	if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])) {
		return errors.New("the signature is wrong")
	}
	middle, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || !strings.Contains(string(middle), `"aud":"http://`+r.Host+`"`) || !strings.Contains(string(middle), `"sub":"mailto:push@lender.example"`) {
		return fmt.Errorf("claims %s", middle)
	}
	return nil
}

// reverseCut puts a blank for the last full stop.
func reverseCut(token string) string {
	i := strings.LastIndexByte(token, '.')
	return token[:max(i, 0)] + " " + token[i+1:]
}

func dialect(b *browser) channeltest.Dialect {
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			if err := proved(r); err != nil {
				return "", err
			}
			if r.Header.Get("TTL") != "43200" || len(r.Header.Get("Topic")) != 32 || r.Header.Get("Content-Encoding") != "aes128gcm" {
				return "", fmt.Errorf("headers %v", r.Header)
			}
			got, err := b.open(body)
			if err != nil {
				return "", err
			}
			if got["title"] == "" || got["body"] == "" || got["tag"] != r.Header.Get("Topic") || got["lang"] != "zh-CN" {
				return "", fmt.Errorf("words %v", got)
			}
			return duly.AttemptID(got["id"]), nil
		},
		Taken: channeltest.Page{Status: 201, Body: `{"ok":true}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress:   {Status: 410, Body: `{"code":410,"errno":106}`},
			channeltest.Rejects:      {Status: 413, Body: "payload too large"},
			channeltest.Unauthorized: {Status: 403, Body: "crypto-key mismatch"},
			channeltest.Throttles:    {Status: 429},
			channeltest.Unready:      {Status: 503},
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, behaviour channeltest.Behaviour) channeltest.Carrier {
			b := newBrowser(t)
			site := channeltest.NewSite(t, behaviour, dialect(b))
			c := config()
			c.Link.Timeout = 700 * time.Millisecond
			return channeltest.Carrier{Sender: sender(t, c), Channel: duly.ChannelPush, To: b.subscription(site.URL() + "/push/1"), Log: &site.Log, Heal: site.Heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "a borrower who refuses notifications ends the subscription"},
	})
}

// TestRefusedHere: what cannot be sent is refused before anything leaves.
func TestRefusedHere(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	good := b.subscription("http://127.0.0.1:1/x")
	tests := map[string]struct {
		to, text string
		want     channel.Class
		code     string
	}{
		"no JSON":                   {"fcm-token", "x", channel.Permanent, channel.NotItsAddress},
		"JSON that is cut":          {good[:40], "x", channel.BadAddress, "subscription"},
		"no key":                    {`{"endpoint":"https://fcm.googleapis.com/x"}`, "x", channel.BadAddress, "subscription"},
		"a point off the curve":     {strings.Replace(good, `"p256dh":"B`, `"p256dh":"A`, 1), "x", channel.BadAddress, "subscription"},
		"a host of anybody's":       {b.subscription("https://127.0.0.1.evil.example/x"), "x", channel.Permanent, "service_not_allowed"},
		"a host that ends alike":    {b.subscription("https://evil-localhost/x"), "x", channel.Permanent, "service_not_allowed"},
		"http beyond this machine":  {b.subscription("http://push.localhost/x"), "x", channel.Permanent, "service_not_allowed"},
		"a password in the address": {b.subscription("https://u:p@localhost/x"), "x", channel.BadAddress, "subscription"},
		"too long":                  {good, strings.Repeat("长", 1400), channel.Permanent, "too_long"},
		"not UTF-8":                 {good, "\xff", channel.Permanent, "malformed_message"},
	}
	s := sender(t, config())
	for name, tt := range tests {
		m := channeltest.Message(duly.ChannelPush, tt.to, 1)
		m.Text = tt.text
		_, err := s.Send(t.Context(), m)
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.want || e.Code != tt.code {
			t.Errorf("%s: got %v, want %s: %s", name, err, tt.want, tt.code)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*webpush.Config){
		"private_key": func(c *webpush.Config) { c.PrivateKey = channel.NewSecret("short") },
		"contact":     func(c *webpush.Config) { c.Contact = "me" },
		"services[0]": func(c *webpush.Config) { c.Services = []string{"https://a"} },
		"timeout":     func(c *webpush.Config) { c.Link.Timeout = -1 },
	}
	for field, spoil := range tests {
		c := config()
		spoil(&c)
		_, err := webpush.New("push", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.push.webpush."+field || e.Hint == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if got := sender(t, webpush.Config{PrivateKey: channel.NewSecret(vapid), Contact: "https://lender.example"}).Name(); got != "push" {
		t.Errorf("got name %q", got)
	}
}
