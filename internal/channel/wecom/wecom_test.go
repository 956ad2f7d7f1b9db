package wecom_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/wecom"
)

const member = "zhangsan"

func sender(t *testing.T, at string) *wecom.Sender {
	t.Helper()
	s, err := wecom.New("work", wecom.Config{CorpID: "ww1", AgentID: 7, Secret: channel.NewSecret("corp"), URL: at, Link: post.Link{Timeout: 700 * time.Millisecond}}, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dialect is told no attempt: messages of the suite are told apart by their words.
func dialect(t *testing.T) channeltest.Dialect {
	no := func(code int) channeltest.Page {
		return channeltest.Page{Body: fmt.Sprintf(`{"errcode":%d,"errmsg":"about %s"}`, code, member)}
	}
	return channeltest.Dialect{
		Aside: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/cgi-bin/gettoken" {
				return false
			}
			if q := r.URL.Query(); r.Method != http.MethodGet || q.Get("corpid") != "ww1" || q.Get("corpsecret") != "corp" {
				t.Errorf("gettoken: %s %s", r.Method, r.URL)
			}
			_, _ = w.Write([]byte(`{"errcode":0,"errmsg":"ok","access_token":"T","expires_in":7200}`))
			return true
		},
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			var v struct {
				ToUser  string            `json:"touser"`
				Type    string            `json:"msgtype"`
				Agent   int               `json:"agentid"`
				Text    map[string]string `json:"text"`
				Check   int               `json:"enable_duplicate_check"`
				Seconds int               `json:"duplicate_check_interval"`
			}
			if err := json.Unmarshal(body, &v); err != nil {
				return "", err
			}
			if r.URL.Path != "/cgi-bin/message/send" || r.URL.Query().Get("access_token") != "T" || v.Type != "text" || v.Agent != 7 || v.Check != 1 || v.Seconds != 1800 {
				return "", fmt.Errorf("%s %s", r.URL, body)
			}
			_, id, _ := strings.Cut(v.Text["content"], "#")
			return duly.AttemptID(id), nil
		},
		Taken: channeltest.Page{Body: `{"errcode":0,"errmsg":"ok","msgid":"M-1"}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress: no(81013), channeltest.Rejects: no(45002), channeltest.Unauthorized: no(60020), channeltest.Throttles: no(45033), channeltest.Unready: {Status: 503},
		},
	}
}

// marked puts the attempt in the words, and each message to a member of its own: one may have 30 a minute.
type marked struct{ *wecom.Sender }

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			site := channeltest.NewSite(t, b, dialect(t))
			return channeltest.Carrier{Sender: marked{sender(t, site.URL())}, Channel: duly.ChannelIM, To: member, Log: &site.Log, Heal: site.Heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "members of a company cannot refuse its apps"},
	})
}

// TestRate: the 31st message of a minute to one member is held back, and goes a minute later.
func TestRate(t *testing.T) {
	t.Parallel()
	site := channeltest.NewSite(t, channeltest.Accepts, dialect(t))
	s := sender(t, site.URL())
	send := func(to string, after time.Duration) error {
		m := channeltest.Message(duly.ChannelIM, to, 1)
		m.Now = m.Now.Add(after)
		_, err := s.Send(t.Context(), m)
		return err
	}
	for range 30 {
		if err := send(member, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := send(member, 59*time.Second)
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Throttled || e.RetryAfter != time.Minute || len(site.Log.Taken()) != 30 {
		t.Errorf("the 31st: got %v, %d taken", err, len(site.Log.Taken()))
	}
	if err := send("lisi", 59*time.Second); err != nil {
		t.Errorf("to another: %v", err)
	}
	if err := send(member, time.Minute); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	d := dialect(t)
	d.Taken.Body = `{"errcode":0,"errmsg":"ok","invaliduser":"zhangsan","msgid":"M-1"}`
	s := sender(t, channeltest.NewSite(t, channeltest.Accepts, d).URL())
	for to, want := range map[string]string{member: "wecom_invaliduser", "@all": "user_id", "a|b": "user_id", "": "user_id"} {
		_, err := s.Send(t.Context(), channeltest.Message(duly.ChannelIM, to, 1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.BadAddress || e.Code != want {
			t.Errorf("%q: got %v, want a bad address: %s", to, err, want)
		}
	}
	m := channeltest.Message(duly.ChannelIM, member, 1)
	m.Text = strings.Repeat("长", 700)
	if _, err := s.Send(t.Context(), m); err == nil || !strings.Contains(err.Error(), "permanent: too_long") {
		t.Errorf("too long: got %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for field, spoil := range map[string]func(*wecom.Config){
		"corp_id":  func(c *wecom.Config) { c.CorpID = "" },
		"agent_id": func(c *wecom.Config) { c.AgentID = 0 },
		"secret":   func(c *wecom.Config) { c.Secret = channel.Secret{} },
		"url":      func(c *wecom.Config) { c.URL = "x" },
	} {
		c := wecom.Config{CorpID: "ww1", AgentID: 7, Secret: channel.NewSecret("s")}
		spoil(&c)
		_, err := wecom.New("work", c, channel.Host{})
		if e, ok := errors.AsType[*duly.Error](err); !ok || e.Place.Field != "carriers.work.wecom."+field || e.Hint == "" {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
