package alicloud

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
)

// TestVector is the example that Alibaba Cloud publishes for its signature version 3: RunInstances, with the access key
// YourAccessKeyId and the secret YourAccessKeySecret.
func TestVector(t *testing.T) {
	t.Parallel()
	u := &url.URL{Scheme: "https", Host: "ecs.cn-shanghai.aliyuncs.com", Path: "/", RawQuery: query(map[string]string{
		"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
	})}
	h := http.Header{
		"X-Acs-Action": {"RunInstances"}, "X-Acs-Version": {"2014-05-26"}, "X-Acs-Date": {"2023-10-26T10:22:32Z"},
		"X-Acs-Signature-Nonce": {"3156853299f313e23d1673dc12e1703d"}, "X-Acs-Content-Sha256": {digest(nil)}, "User-Agent": {"not signed"},
	}
	const want = "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	account := Account{"YourAccessKeyId", channel.NewSecret("YourAccessKeySecret")}
	if got := account.authorize(http.MethodPost, u, h); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestCall: what arrives is what was signed, whatever is in the values.
func TestCall(t *testing.T) {
	t.Parallel()
	account := Account{"id", channel.NewSecret("secret")}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.Host = r.Host
		got := r.Header.Get("Authorization")
		if want := account.authorize(r.Method, &u, r.Header); got != want {
			t.Errorf("signed\n%s\nwant\n%s", got, want)
		}
		if v := r.URL.Query().Get("TemplateParam"); v != `{"a":"1&b=2 +~*'%"}` {
			t.Errorf("got parameter %q", v)
		}
		_, _ = io.WriteString(w, `{"Code":"OK"}`)
	}))
	t.Cleanup(srv.Close)
	c, err := New(account, srv.URL, "2017-05-25", post.Link{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	a, cerr := c.Do(t.Context(), Call{Action: "SendSms", Params: map[string]string{"TemplateParam": `{"a":"1&b=2 +~*'%"}`, "SignName": "签名"}, Nonce: Nonce("a"), Now: time.Now()})
	if cerr != nil || a.Status != 200 {
		t.Errorf("got %d, %v", a.Status, cerr)
	}
	if Nonce("a") == Nonce("b") || Nonce("a") != Nonce("a") {
		t.Error("a nonce is not that of its id")
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	got := query(map[string]string{"b": "a b+c~d*e/&=", "a": "签名"})
	if want := "a=%E7%AD%BE%E5%90%8D&b=a%20b%2Bc~d%2Ae%2F%26%3D"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	table := Table{"isv.MOBILE_NUMBER_ILLEGAL": {Class: channel.BadAddress, Code: "number"}}
	tests := []struct {
		status     int
		body       string
		cut        bool
		class      channel.Class
		code, word string
	}{
		{status: 200, body: `{"Code":"OK","BizId":"1^2"}`},
		{status: 200, body: `{"Code":"OK","BizId":"1^2"}`, cut: true, class: channel.Unknown, code: "unreadable"},
		{status: 200, body: `{"Code":"OK","BizId":7}`, class: channel.Unknown, code: "unreadable"},
		{status: 500, body: `{"Code":"OK","BizId":"1^2"}`, class: channel.Unknown, code: "unlisted", word: "OK"},
		{status: 200, body: `<html>`, class: channel.Unknown, code: "unreadable"},
		{status: 200, body: `{}`, class: channel.Unknown, code: "unreadable"},
		{status: 200, body: `{"Code":"isv.MOBILE_NUMBER_ILLEGAL"}`, class: channel.BadAddress, code: "number", word: "isv.MOBILE_NUMBER_ILLEGAL"},
		{status: 200, body: `{"Code":"isv.SOMETHING_NEW"}`, class: channel.Permanent, code: "isv", word: "isv.SOMETHING_NEW"},
		{status: 200, body: `{"Code":"13800138000 is bad"}`, class: channel.Unknown, code: "unlisted"},
		{status: 200, body: `{"Code":"isp.SYSTEM_ERROR"}`, class: channel.Unknown, code: "system_error", word: "isp.SYSTEM_ERROR"},
		{status: 400, body: `{"Code":"SignatureNonceUsed"}`, class: channel.Unknown, code: "nonce_used", word: "SignatureNonceUsed"},
		{status: 404, body: `{"Code":"InvalidAccessKeyId.NotFound"}`, class: channel.Config, code: "access_key", word: "InvalidAccessKeyId.NotFound"},
		{status: 400, body: `{"Code":"Throttling.Quota"}`, class: channel.Throttled, code: "throttling", word: "Throttling.Quota"},
		{status: 503, body: `{"Code":"ServiceUnavailable"}`, class: channel.Temporary, code: "service_unavailable", word: "ServiceUnavailable"},
		{status: 503, body: `<html>`, class: channel.Unknown, code: "http_503"},
		{status: 502, body: ``, class: channel.Unknown, code: "http_502"},
		{status: 400, body: `{"Code":"MissingPhoneNumbers"}`, class: channel.Permanent, code: "http_400", word: "MissingPhoneNumbers"},
		{status: 500, body: `{"Code":"Something"}`, class: channel.Unknown, code: "unlisted", word: "Something"},
	}
	for _, tt := range tests {
		var v struct{ BizID string }
		got := table.Read(post.Answer{Status: tt.status, Body: []byte(tt.body), Whole: !tt.cut, Header: http.Header{}}, &v, time.Now())
		switch {
		case tt.class == "" && (got != nil || v.BizID != "1^2"):
			t.Errorf("%s: got %v, %q", tt.body, got, v.BizID)
		case tt.class != "" && (got == nil || got.Class != tt.class || got.Code != tt.code || got.Detail != tt.word):
			t.Errorf("%d %s: got %v, want %s: %s (%s)", tt.status, tt.body, got, tt.class, tt.code, tt.word)
		}
	}
}

// TestTable: codes of one word, known classes.
func TestTable(t *testing.T) {
	t.Parallel()
	for code, e := range common {
		if !e.Class.Known() || e.Code == "" || strings.ContainsAny(e.Code, " .") {
			t.Errorf("%s: %v", code, e)
		}
	}
	if b, err := json.Marshal(Account{"id", channel.NewSecret("very secret")}); err != nil || strings.Contains(string(b), "very") {
		t.Errorf("an account is printed as %s, %v", b, err)
	}
}
