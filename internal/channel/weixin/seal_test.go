package weixin_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/weixin"
)

func seal(t testing.TB, token, key, receiver string) weixin.Seal {
	t.Helper()
	s, err := weixin.NewSeal(weixin.SealConfig{Token: channel.NewSecret(token), AESKey: channel.NewSecret(key)}, receiver)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPublished opens WeCom's own examples.
func TestPublished(t *testing.T) {
	t.Parallel()
	tests := []struct{ token, key, corp, signature, timestamp, nonce, echo, want string }{
		{"QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "wx5823bf96d3bd56c7", "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", "1409659589", "263014780",
			"P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==", "1616140317555161061"},
		{"xxxxxxx", "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt", "ww1436e0e65a779aee", "59dce1a653fc31a6f0472567199561e9336a8d0b", "1476416373", "47744683",
			"fsi1xnbH4yQh0+PJxcOdhhK6TDXkjMyhEPA7xB2TGz6b+g7xyAbEkRxN/3cNXW9qdqjnoVzEtpbhnFyq6SVHyA==", "1288432023552776189"},
	}
	for _, tt := range tests {
		s := seal(t, tt.token, tt.key, tt.corp)
		q := url.Values{"msg_signature": {tt.signature}, "timestamp": {tt.timestamp}, "nonce": {tt.nonce}, "echostr": {tt.echo}}
		r := httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil)
		at := time.Unix(1409659589, 0)
		if tt.timestamp != "1409659589" {
			at = time.Unix(1476416373, 0)
		}
		if got, err := s.Open(r, nil, at); err != nil || string(got) != tt.want {
			t.Errorf("got %q, %v; want %q", got, err, tt.want)
		}
		if _, err := s.Open(r, nil, at.Add(10*365*24*time.Hour)); err == nil {
			t.Error("a stamp of ten years ago was taken")
		}
		other := seal(t, tt.token, tt.key, "wx-other")
		if _, err := other.Open(r, nil, at); err == nil {
			t.Error("a callback to another receiver was opened")
		}
		q.Set("msg_signature", strings.Repeat("0", 40))
		if _, err := s.Open(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil), nil, at); err == nil {
			t.Error("a wrong signature was taken")
		}
	}
	var none weixin.Seal
	if _, err := none.Open(httptest.NewRequest(http.MethodGet, "/", nil), nil, time.Unix(0, 0)); err == nil {
		t.Error("a seal without a key took a callback")
	}
}

const aesKey = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt"

func sealed(t testing.TB, text, receiver string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(aesKey + "=")
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	b := append(make([]byte, 16), binary.BigEndian.AppendUint32(nil, uint32(len(text)))...)
	b = append(append(b, text...), receiver...)
	pad := 32 - len(b)%32
	b = append(b, strings.Repeat(string(rune(pad)), pad)...)
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(b, b)
	return base64.StdEncoding.EncodeToString(b)
}

func FuzzOpen(f *testing.F) {
	s := seal(f, "token", aesKey, "wx1")
	f.Add(sealed(f, "<xml/>", "wx1"))
	f.Add("AAAA")
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, 64)))
	open := func(text string) ([]byte, error) {
		q := url.Values{"timestamp": {"1476416373"}, "nonce": {"n"}, "msg_signature": {weixin.Signature("token", "1476416373", "n", text)}}
		body := "<xml><Encrypt><![CDATA[" + text + "]]></Encrypt></xml>"
		return s.Open(httptest.NewRequest(http.MethodPost, "/?"+q.Encode(), nil), []byte(body), time.Unix(1476416373, 0))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := open(text)
		if err != nil {
			return
		}
		if back, err := open(sealed(t, string(got), "wx1")); err != nil || string(back) != string(got) {
			t.Errorf("what was opened as %q is %q when it is sealed again, %v", got, back, err)
		}
	})
}
