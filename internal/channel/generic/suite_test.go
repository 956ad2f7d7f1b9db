package generic_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/generic"
)

const phone = "+8613800138000"

var callbackAt = time.Date(2026, time.March, 2, 4, 0, 0, 0, time.UTC)

// read reads a configuration as a file holds it.
func read(t testing.TB, text string) generic.Config {
	t.Helper()
	var c generic.Config
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return c
}

func sender(t testing.TB, c generic.Config) *generic.Sender {
	t.Helper()
	s, err := generic.New("sms", c, channel.Host{Clock: func() time.Time { return callbackAt }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// provider is one that nobody wrote an adapter for: JSON with an error inside a 200.
const provider = `
url: http://127.0.0.1:1/v1/messages
timeout: 1m
secrets: {app: "the application's key"}
auth: {bearer: token-of-ours}
headers: {X-App: "{{secret.app}}"}
json:
  recipient: {number: "{{to|national:86}}", country: 86}
  body: "{{text}}"
  reference: "{{attempt}}"
  parts: "{{segments|number}}"
  options: [unicode, "{{language}}", true]
answer:
  code: result.code
  id: messages[0].id
  segments: messages[0].parts
  codes: {"0": accepted, "11": bad_address, "12": opted_out, "13": permanent, "14": throttled, "15": temporary}
  statuses: {403: config}
`

// dialect is what its manual would say.
func dialect() channeltest.Dialect {
	no := func(code string) channeltest.Page {
		return channeltest.Page{Body: `{"result":{"code":` + code + `,"text":"no: ` + phone + `"}}`}
	}
	return channeltest.Dialect{
		Take: func(r *http.Request, body []byte) (duly.AttemptID, error) {
			var m struct {
				Recipient struct {
					Number  string
					Country int
				}
				Body, Reference string
				Parts           int
				Options         []any
			}
			switch err := json.Unmarshal(body, &m); {
			case err != nil:
				return "", err
			case r.Header.Get("Authorization") != "Bearer token-of-ours" || r.Header.Get("X-App") != "the application's key" || r.Header.Get("Content-Type") != "application/json":
				return "", errors.New("not the sender")
			case m.Recipient.Number != "13800138000" || m.Recipient.Country != 86 || !strings.Contains(m.Body, "1234.56") || m.Parts != 1 || len(m.Options) != 3 || m.Options[1] != "zh-CN":
				return "", errors.New("not the message")
			}
			return duly.AttemptID(m.Reference), nil
		},
		Taken: channeltest.Page{Body: `{"result":{"code":0},"messages":[{"id":"p-7","parts":2}]}`},
		Refusals: map[channeltest.Behaviour]channeltest.Page{
			channeltest.BadAddress: no("11"), channeltest.OptsOut: no("12"), channeltest.Rejects: no("13"), channeltest.Throttles: no("14"),
			channeltest.Unready: no("15"), channeltest.Unauthorized: {Status: http.StatusForbidden, Body: "<html>"},
		},
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, channeltest.Case{New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
		site := channeltest.NewSite(t, b, dialect())
		c := read(t, provider)
		c.URL, c.Link.Timeout = site.URL()+"/v1/messages", site.Timeout()
		return channeltest.Carrier{Sender: sender(t, c), Channel: duly.ChannelSMS, To: phone, Log: &site.Log, Heal: site.Heal}
	}})
}
