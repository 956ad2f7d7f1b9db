package wechat_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/wechat"
	"github.com/dulyhq/duly/internal/channel/weixin"
	"github.com/dulyhq/duly/internal/civil"
)

const (
	openid = "otFpruAK8D-E6EfStSYonYSBZ8_4"
	aesKey = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt"
)

var now = time.Date(2026, time.March, 2, 1, 30, 0, 0, time.UTC)

func config(at string, p wechat.Product) wechat.Config {
	return wechat.Config{
		Product: p, AppID: "wx1", Secret: channel.NewSecret("app-secret"), URL: at, Page: "https://lender.example/me", Link: post.Link{Timeout: 700 * time.Millisecond},
		Templates: approved.Templates{channeltest.Template: {ID: "TPL-1", ApprovedAt: civil.On(2026, time.January, 1), Variables: map[string]string{"thing1": "lender", "time2": "due_when"}}},
		Callback:  weixin.SealConfig{Token: channel.NewSecret("token"), AESKey: channel.NewSecret(aesKey)},
	}
}

func sender(t *testing.T, c wechat.Config) *wechat.Sender {
	t.Helper()
	s, err := wechat.New("wx", c, channel.Host{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// front gives tokens as WeChat does, and leaves messages to another handler.
func front(t *testing.T, given *atomic.Int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/cgi-bin/stable_token" {
			next.ServeHTTP(w, r)
			return
		}
		var v map[string]any
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil || v["appid"] != "wx1" || v["secret"] != "app-secret" || v["grant_type"] != "client_credential" {
			t.Errorf("stable_token: %v, %v", v, err)
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"T%d","expires_in":7200}`, given.Add(1))
	})
}

// dialect finds the attempt of a message, which WeChat is not told, by its client_msg_id.
func dialect() channeltest.Dialect {
	ids := map[string]duly.AttemptID{}
	for n := range 100 {
		id := channeltest.Message(duly.ChannelIM, openid, n).AttemptID
		sum := sha256.Sum256([]byte(id))
		ids[hex.EncodeToString(sum[:16])] = id
	}
	no := func(code int) channeltest.Page {
		return channeltest.Page{Body: fmt.Sprintf(`{"errcode":%d,"errmsg":"about %s"}`, code, openid)}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			var v struct {
				Touser string                       `json:"touser"`
				Tpl    string                       `json:"template_id"`
				Client string                       `json:"client_msg_id"`
				Data   map[string]map[string]string `json:"data"`
			}
			if err := json.Unmarshal(body, &v); err != nil {
				return "", err
			}
			if r.URL.Path != "/cgi-bin/message/template/send" || !strings.HasPrefix(r.URL.Query().Get("access_token"), "T") || v.Touser != openid || v.Tpl != "TPL-1" ||
				ids[v.Client] == "" || v.Data["thing1"]["value"] == "" || v.Data["time2"]["value"] == "" {
				return "", fmt.Errorf("%s %s", r.URL, body)
			}
			return ids[v.Client], nil
		},
		Taken: channeltest.Page{Body: `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress: no(40003), channeltest.Rejects: no(43101), channeltest.Unauthorized: no(40001), channeltest.Throttles: no(45011),
			channeltest.Unready: {Status: 503},
		},
	}
}

// scripted makes a sender of one answer, and counts tokens and messages.
func scripted(t *testing.T, c wechat.Config, page string, status int) (*wechat.Sender, *atomic.Int64, *atomic.Int64) {
	t.Helper()
	var given, n atomic.Int64
	srv := httptest.NewServer(front(t, &given, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, page)
	})))
	t.Cleanup(srv.Close)
	c.URL = srv.URL
	return sender(t, c), &given, &n
}

// TestAnswers holds each documented answer to its class.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		page   string
		class  channel.Class
		code   string
		asked  int64
	}{
		{200, `{"errcode":43101,"errmsg":"user refuse to accept the msg rid: 1"}`, channel.Permanent, "wechat_43101", 1},
		{200, `{"errcode":40003}`, channel.BadAddress, "wechat_40003", 1},
		{200, `{"errcode":43004}`, channel.Permanent, "wechat_43004", 1},
		{200, `{"errcode":47003}`, channel.Permanent, "wechat_47003", 1},
		{200, `{"errcode":45009}`, channel.Throttled, "wechat_45009", 1},
		{200, `{"errcode":48001}`, channel.Config, "wechat_48001", 1},
		{200, `{"errcode":42001}`, channel.Config, "wechat_42001", 2},
		{200, `{"errcode":-1,"errmsg":"system error"}`, channel.Unknown, "wechat_-1", 1},
		{200, `{"errcode":99999}`, channel.Unknown, "wechat_99999", 1},
		{200, `{}`, channel.Unknown, "not_wechat", 1},
		{200, `<html>`, channel.Unknown, "not_wechat", 1},
		{502, `<html>`, channel.Unknown, "http_502", 1},
		{503, ``, channel.Temporary, "http_503", 1},
	} {
		s, given, n := scripted(t, config("", wechat.Subscribe), tt.page, tt.status)
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelIM, openid, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.class || e.Code != tt.code || n.Load() != tt.asked || given.Load() != tt.asked {
			t.Errorf("%d %s: got %v after %d messages with %d tokens, want %s: %s", tt.status, tt.page, err, n.Load(), given.Load(), tt.class, tt.code)
		}
	}
}

// TestOnce: many messages, one token, and each arrives once, of every product.
func TestOnce(t *testing.T) {
	t.Parallel()
	for _, p := range []wechat.Product{wechat.Template, wechat.Subscribe, wechat.MiniProgram} {
		s, given, n := scripted(t, config("", p), `{"errcode":0,"msgid":77}`, 200)
		for i := range 20 {
			if got, err := s.Send(t.Context(), channeltest.Message(duly.ChannelIM, openid, i)); err != nil || got.ProviderID != "77" {
				t.Errorf("%s: got %+v, %v", p, got, err)
			}
		}
		if given.Load() != 1 || n.Load() != 20 {
			t.Errorf("%s: %d tokens and %d messages, want 1 and 20", p, given.Load(), n.Load())
		}
	}
	s, _, n := scripted(t, config("", wechat.Template), `{"errcode":0}`, 200)
	m := channeltest.Message(duly.ChannelIM, openid, 1)
	m.Template = "another"
	if _, err := s.Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "template_missing") || n.Load() != 0 {
		t.Errorf("a template that WeChat has not: got %v after %d messages", err, n.Load())
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			var given atomic.Int64
			d := dialect()
			token := front(t, &given, nil)
			d.Aside = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/cgi-bin/stable_token" {
					return false
				}
				token.ServeHTTP(w, r)
				return true
			}
			site := channeltest.NewSite(t, b, d)
			return channeltest.Carrier{Sender: sender(t, config(site.URL(), wechat.Template)), Channel: duly.ChannelIM, To: openid, Log: &site.Log, Heal: site.Heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "WeChat refuses for one template, 43101: that is no refusal of the channel"},
	})
}

// call seals a callback as WeChat does.
func call(t testing.TB, text string, at time.Time) (*http.Request, []byte) {
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
	b = append(append(b, text...), "wx1"...)
	pad := 32 - len(b)%32
	b = append(b, strings.Repeat(string(rune(pad)), pad)...)
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(b, b)
	sealed, stamp := base64.StdEncoding.EncodeToString(b), fmt.Sprint(at.Unix())
	q := url.Values{"timestamp": {stamp}, "nonce": {"n"}, "msg_signature": {weixin.Signature("token", stamp, "n", sealed)}}
	return httptest.NewRequest(http.MethodPost, "/v1/receipts/wx?"+q.Encode(), nil), []byte("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[" + sealed + "]]></Encrypt></xml>")
}

func TestHear(t *testing.T) {
	t.Parallel()
	s := sender(t, config("", wechat.Template))
	at := time.Unix(1610969440, 0).UTC()
	head := "<xml><ToUserName>gh_1</ToUserName><FromUserName>" + openid + "</FromUserName><CreateTime>1610969440</CreateTime>"
	rc := func(id string, st duly.ReceiptStatus, detail string) duly.Receipt {
		return duly.Receipt{Provider: "wx", Key: id + ":" + string(st), ProviderID: id, Status: st, Detail: detail, At: at}
	}
	for text, want := range map[string]channel.Heard{
		head + "<MsgType>event</MsgType><Event>TEMPLATESENDJOBFINISH</Event><MsgID>200163836</MsgID><Status><![CDATA[success]]></Status></xml>":                                                                                                                                                                                    {Receipts: []duly.Receipt{rc("200163836", duly.ReceiptDelivered, "")}},
		head + "<MsgType>event</MsgType><Event>TEMPLATESENDJOBFINISH</Event><MsgID>200163837</MsgID><Status><![CDATA[failed:user block]]></Status></xml>":                                                                                                                                                                          {Receipts: []duly.Receipt{rc("200163837", duly.ReceiptOptedOut, "user_block")}},
		head + "<MsgType>event</MsgType><Event>TEMPLATESENDJOBFINISH</Event><MsgID>200163838</MsgID><Status>failed: system failed</Status></xml>":                                                                                                                                                                                  {Receipts: []duly.Receipt{rc("200163838", duly.ReceiptFailed, "system")}},
		head + "<MsgType>event</MsgType><Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>T</TemplateId><MsgID>1700827132819554304</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List><List><MsgID>17</MsgID><ErrorCode>43101</ErrorCode></List></SubscribeMsgSentEvent></xml>": {Receipts: []duly.Receipt{rc("1700827132819554304", duly.ReceiptDelivered, ""), rc("17", duly.ReceiptFailed, "43101")}},
		head + "<MsgType>event</MsgType><Event>subscribe_msg_popup_event</Event><SubscribeMsgPopupEvent><List><TemplateId>T</TemplateId><SubscribeStatusString>accept</SubscribeStatusString></List></SubscribeMsgPopupEvent></xml>":                                                                                               {},
		head + "<MsgType>text</MsgType><Content><![CDATA[我已经还了]]></Content><MsgId>23456</MsgId></xml>":                                                                                                                                                                                                                             {Replies: []channel.Reply{{Key: "23456", Channel: duly.ChannelIM, From: openid, Text: "我已经还了", At: at}}},
	} {
		r, body := call(t, text, now)
		got, err := s.Hear(r, body)
		if err != nil || got.Answer == nil || string(got.Answer.Body) != "success" {
			t.Errorf("%s: answer %+v, %v", text, got.Answer, err)
			continue
		}
		got.Answer = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
	stamp := fmt.Sprint(now.Unix())
	q := url.Values{"timestamp": {stamp}, "nonce": {"n"}, "echostr": {"5927782489442352469"}, "signature": {weixin.Signature("token", stamp, "n")}}
	got, err := s.Hear(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil), nil)
	if err != nil || got.Answer == nil || string(got.Answer.Body) != "5927782489442352469" {
		t.Errorf("echostr: got %+v, %v", got.Answer, err)
	}
	q.Set("signature", "0")
	if _, err := s.Hear(httptest.NewRequest(http.MethodGet, "/?"+q.Encode(), nil), nil); err == nil {
		t.Error("an echostr with a wrong signature was answered")
	}
	for name, spoil := range map[string]func(*http.Request, []byte) (*http.Request, []byte){
		"stale": func(*http.Request, []byte) (*http.Request, []byte) {
			return call(t, head+"</xml>", now.Add(-10*365*24*time.Hour))
		},
		"another body": func(r *http.Request, b []byte) (*http.Request, []byte) {
			_, c := call(t, head+"<a/></xml>", now)
			return r, c
		},
		"not sealed":     func(r *http.Request, _ []byte) (*http.Request, []byte) { return r, []byte(head + "</xml>") },
		"no XML inside":  func(*http.Request, []byte) (*http.Request, []byte) { return call(t, `{"a":1}`, now) },
		"a body too big": func(r *http.Request, _ []byte) (*http.Request, []byte) { return r, make([]byte, 2<<20) },
	} {
		r, body := call(t, head+"</xml>", now)
		r, body = spoil(r, body)
		if _, err := s.Hear(r, body); duly.CodeOf(err) != duly.Refused && duly.CodeOf(err) != duly.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzHear(f *testing.F) {
	s, err := wechat.New("wx", config("", wechat.Template), channel.Host{Clock: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("<xml><CreateTime>1</CreateTime><MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId><FromUserName>o</FromUserName></xml>")
	f.Add("<xml><CreateTime>9</CreateTime><Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><MsgID>1</MsgID></List></SubscribeMsgSentEvent></xml>")
	f.Fuzz(func(t *testing.T, text string) {
		r, body := call(t, text, now)
		got, err := s.Hear(r, body)
		for _, rc := range got.Receipts {
			if err != nil || rc.ProviderID == "" || rc.Status.State() == "" {
				t.Errorf("receipt %+v, %v", rc, err)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*wechat.Config){
		"product":                   func(c *wechat.Config) { c.Product = "sms" },
		"app_id":                    func(c *wechat.Config) { c.AppID = "" },
		"secret":                    func(c *wechat.Config) { c.Secret = channel.Secret{} },
		"templates":                 func(c *wechat.Config) { c.Templates = nil },
		"callback.encoding_aes_key": func(c *wechat.Config) { c.Callback.AESKey = channel.NewSecret("short") },
		"url":                       func(c *wechat.Config) { c.URL = "http://wx.example" },
	} {
		c := config("", wechat.Template)
		spoil(&c)
		_, err := wechat.New("wx", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.wx.wechat."+field || e.Hint == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
