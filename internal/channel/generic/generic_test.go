package generic_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/generic"
)

// request is what arrived.
type request struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// sent sends a message by a configuration, and returns what arrived and what was said.
func sent(t *testing.T, text string, m channel.Message, status int, answer string) (*request, channel.Accepted, error) {
	t.Helper()
	var got *request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = &request{r.Method, r.URL.Path, r.URL.RawQuery, string(body), r.Header.Clone()}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	c := read(t, text)
	c.URL = srv.URL + "/send"
	a, err := sender(t, c).Send(t.Context(), m)
	return got, a, err
}

func attemptID() duly.AttemptID { return channeltest.Message(duly.ChannelSMS, phone, 1).AttemptID }

// TestNoInjection: whatever is in a message, the form of the request is that of the configuration.
func TestNoInjection(t *testing.T) {
	t.Parallel()
	const evil = "a\"}],\"to\":\"+1\",\"x\":{{secret.key}}&to=1\r\nX-Evil: 1\x00</a>%26 {{to}} \u2028\\"
	m := channeltest.Message(duly.ChannelSMS, phone, 1)
	m.Text = evil
	m.Variables = map[string]string{"total": evil}
	for name, text := range map[string]string{
		"json":  `{url: http://127.0.0.1, secrets: {key: hunter2-hunter2}, json: {to: "{{to}}", list: ["{{text}}", {deep: "x{{var.total}}y"}]}}`,
		"form":  `{url: http://127.0.0.1, secrets: {key: hunter2-hunter2}, form: {to: "{{to}}", text: "{{text}}", deep: "x{{var.total}}y"}}`,
		"query": `{url: http://127.0.0.1, method: GET, secrets: {key: hunter2-hunter2}, query: {to: "{{to}}", text: "{{text}}", deep: "x{{var.total}}y"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := sent(t, text, m, 200, "")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got.Body+got.Query, "hunter2") || got.Header.Get("X-Evil") != "" {
				t.Errorf("a value was read as a template, or as a header: %+v", got)
			}
			switch name {
			case "json":
				want := map[string]any{"to": phone, "list": []any{evil, map[string]any{"deep": "x" + evil + "y"}}}
				if diff := cmp.Diff(want, decode(t, got.Body)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			case "form", "query":
				form, err := url.ParseQuery(got.Body + got.Query)
				if want := (url.Values{"to": {phone}, "text": {evil}, "deep": {"x" + evil + "y"}}); err != nil || !cmp.Equal(form, want) {
					t.Errorf("got %v, %v", form, err)
				}
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	m := channeltest.Message(duly.ChannelSMS, phone, 1)
	tests := []struct {
		name, text string
		check      func(r *request) bool
	}{
		{"basic", `{url: http://127.0.0.1, auth: {basic: {username: u, password: p}}, json: {}}`,
			func(r *request) bool { return r.Header.Get("Authorization") == "Basic dTpw" && r.Body == "{}" }},
		{"put", `{url: http://127.0.0.1, method: PUT, form: {a: "{{to|digits}}"}}`,
			func(r *request) bool { return r.Method == http.MethodPut && r.Body == "a=8613800138000" }},
		{"times", `{url: http://127.0.0.1, form: {a: "{{now|unix}} {{expires_at}} {{expires_at|unix_ms}}"}}`,
			func(r *request) bool { return r.Body == "a=1772424000+2026-03-02T13%3A30%3A00Z+1772458200000" }},
		{"abroad", `{url: http://127.0.0.1, form: {a: "{{to|national:1}}"}}`, func(r *request) bool { return r.Body == "a=8613800138000" }},
		{"nested URL", `{url: http://127.0.0.1, query: {back: "https://x/?a={{attempt|url}}&t={{text|base64}}"}}`,
			func(r *request) bool {
				q, _ := url.ParseQuery(r.Query)
				back, err := url.Parse(q.Get("back"))
				return err == nil && back.Query().Get("a") == string(attemptID())
			}},
		{"provider's template", `{url: http://127.0.0.1, templates: {due-tomorrow: {template_id: T1, sign: S, approved_at: 2026-01-05, variables: {x: total}}}, json: {id: "{{template_id}}/{{sign}}/{{template}}", x: "{{var.x}}"}}`,
			func(r *request) bool { return r.Body == `{"id":"T1/S/due-tomorrow","x":"1234.56元"}` }},
		// The value was computed by: printf '1772424000.{"to":"+8613800138000"}' | openssl dgst -sha256 -hmac 0123456789abcdef
		{"hmac", `{url: http://127.0.0.1, auth: {hmac: {secret: 0123456789abcdef, header: X-Sign, prefix: "sha256=", over: "{{now|unix}}.{{body}}"}}, json: {to: "{{to}}"}}`,
			func(r *request) bool {
				return r.Header.Get("X-Sign") == "sha256="+hmacVector && r.Body == `{"to":"+8613800138000"}`
			}},
		{"hmac of fields, sha1, base64", `{url: http://127.0.0.1, auth: {bearer: b, hmac: {secret: k, header: X-Sign, algorithm: sha1, encoding: base64, over: "{{to}}{{nonce}}"}}, json: {}}`,
			func(r *request) bool {
				return len(r.Header.Get("X-Sign")) == 28 && r.Header.Get("Authorization") == "Bearer b"
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _, err := sent(t, tt.text, m, 200, "")
			if err != nil || !tt.check(got) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

const hmacVector = "996bb9f8d74f072c5cefd5f4971430a7f63c844df0ff5e57a7aa6f98a3a38d2c"

// TestRefusedBeforeSending: what the provider would not take does not leave.
func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		spoil      func(*channel.Message)
		code       string
	}{
		{"number", `{url: http://127.0.0.1, json: {}}`, func(m *channel.Message) { m.To = "13800138000" }, "malformed_number"},
		{"text", `{url: http://127.0.0.1, text_max: 10, json: {}}`, func(*channel.Message) {}, "text_too_long"},
		{"variable", `{url: http://127.0.0.1, json: {x: "{{var.nothing}}"}}`, func(*channel.Message) {}, "malformed_message"},
		{"not a number", `{url: http://127.0.0.1, json: {x: "{{text|number}}"}}`, func(*channel.Message) {}, "malformed_message"},
		{"not UTF-8", `{url: http://127.0.0.1, json: {x: "{{text}}"}}`, func(m *channel.Message) { m.Text = "\xff" }, "malformed_message"},
		{"line break in a header", `{url: http://127.0.0.1, headers: {X-Text: "{{text}}"}, json: {}}`, func(m *channel.Message) { m.Text = "a\r\nX-Evil: 1" }, "malformed_message"},
		{"no approved template", `{url: http://127.0.0.1, templates: {x: {template_id: T, approved_at: 2026-01-05}}, json: {}}`, func(*channel.Message) {}, "template_missing"},
		{"long variable", `{url: http://127.0.0.1, variable_max: 3, templates: {due-tomorrow: {template_id: T, approved_at: 2026-01-05, variables: {x: total}}}, json: {}}`, func(*channel.Message) {}, "variable_too_long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := channeltest.Message(duly.ChannelSMS, phone, 1)
			tt.spoil(&m)
			got, _, err := sent(t, tt.text, m, 200, "")
			if e, ok := errors.AsType[*channel.Error](err); !ok || e.Code != tt.code || got != nil {
				t.Errorf("got %v, sent %v, want %s and nothing", err, got, tt.code)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const plain = `{url: http://127.0.0.1, json: {}, answer: {id: id, statuses: {503: temporary, 409: accepted, 404: bad_address}}}`
	const words = `{url: http://127.0.0.1, json: {}, answer: {format: text, pattern: '^(?P<code>\d+): \S+ ?(?P<id>\S*)', codes: {"0": accepted, "4": throttled}}}`
	tests := []struct {
		name, text string
		status     int
		body       string
		want       channel.Accepted
		class      channel.Class
		code       string
	}{
		{"taken", provider, 200, `{"result":{"code":0},"messages":[{"id":"p-7","parts":2}]}`, channel.Accepted{ProviderID: "p-7", Segments: 2}, "", ""},
		{"taken, without more", provider, 200, `{"result":{"code":"0"}}`, channel.Accepted{}, "", ""},
		{"an error inside", provider, 200, `{"result":{"code":11}}`, channel.Accepted{}, channel.BadAddress, "code_11"},
		{"a code of no table", provider, 200, `{"result":{"code":99}}`, channel.Accepted{}, channel.Unknown, "unlisted"},
		{"no code", provider, 200, `{"result":{}}`, channel.Accepted{}, channel.Unknown, "unreadable"},
		{"HTML", provider, 200, `<html>`, channel.Accepted{}, channel.Unknown, "unreadable"},
		{"two answers", provider, 200, `{"result":{"code":0}}{"result":{"code":11}}`, channel.Accepted{}, channel.Unknown, "unreadable"},
		{"taken, but 500", provider, 500, `{"result":{"code":0}}`, channel.Accepted{}, channel.Unknown, "contradiction"},
		{"refused, with 500", provider, 500, `{"result":{"code":12}}`, channel.Accepted{}, channel.OptedOut, "code_12"},
		{"by its status", provider, 403, `{"result":{"code":99}}`, channel.Accepted{}, channel.Config, "http_403"},
		{"by the usual status", provider, 400, `{"result":{"code":99}}`, channel.Accepted{}, channel.Permanent, "http_400"},
		{"a gateway", provider, 503, `<html>`, channel.Accepted{}, channel.Unknown, "http_503"},
		{"status alone", plain, 202, `{"id":"p-1"}`, channel.Accepted{ProviderID: "p-1"}, "", ""},
		{"status alone, with personal words for an id", plain, 202, `{"id":"to 张三"}`, channel.Accepted{}, "", ""},
		{"status alone, HTML", plain, 200, `<html>`, channel.Accepted{}, "", ""},
		{"status that the table knows", plain, 503, ``, channel.Accepted{}, channel.Temporary, "http_503"},
		{"status that the table takes", plain, 409, `{"id":"p-1"}`, channel.Accepted{ProviderID: "p-1"}, "", ""},
		{"words", words, 202, `0: Accepted id-5`, channel.Accepted{ProviderID: "id-5"}, "", ""},
		{"words that say no", words, 202, `4: busy`, channel.Accepted{}, channel.Throttled, "code_4"},
		{"other words", words, 202, `Hello`, channel.Accepted{}, channel.Unknown, "unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, got, err := sent(t, tt.text, channeltest.Message(duly.ChannelSMS, phone, 1), tt.status, tt.body)
			e, _ := errors.AsType[*channel.Error](err)
			if got != tt.want || tt.class == "" && err != nil || tt.class != "" && (e == nil || e.Class != tt.class || e.Code != tt.code) {
				t.Errorf("got %+v, %v, want %+v, %s: %s", got, err, tt.want, tt.class, tt.code)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"url":                         `{json: {}}`,
		"url ":                        `{url: "https://a.example/?a=b", json: {}}`,
		"method":                      `{url: "https://a.example", method: DELETE}`,
		"form":                        `{url: "https://a.example", json: {}, form: {a: b}}`,
		"form ":                       `{url: "https://a.example", method: GET, json: {}}`,
		"json.a[0].b":                 `{url: "https://a.example", json: {a: [{b: "{{nobody}}"}]}}`,
		"json.a":                      `{url: "https://a.example", json: {a: "{{to"}}`,
		"json.a ":                     `{url: "https://a.example", json: {a: "{{to|shout}}"}}`,
		"json.a  ":                    `{url: "https://a.example", json: {a: "{{secret.key}}"}}`,
		"json.a   ":                   `{url: "https://a.example", json: {a: "{{body}}"}}`,
		"json.a    ":                  `{url: "https://a.example", json: {a: "{{sign}}"}}`,
		"form.a":                      `{url: "https://a.example", form: {a: "{{to|national}}"}}`,
		"query.a":                     `{url: "https://a.example", query: {a: "{{}}"}}`,
		"headers.Host":                `{url: "https://a.example", headers: {Host: x}}`,
		"headers.Idempotency-Key":     `{url: "https://a.example", headers: {Idempotency-Key: x}}`,
		"secrets.a":                   `{url: "https://a.example", secrets: {a: ""}}`,
		"auth":                        `{url: "https://a.example", auth: {bearer: x, basic: {username: u, password: p}}}`,
		"auth.basic":                  `{url: "https://a.example", auth: {basic: {username: "u:v", password: p}}}`,
		"auth.hmac":                   `{url: "https://a.example", auth: {hmac: {over: "{{body}}", header: X}}}`,
		"auth.hmac.algorithm":         `{url: "https://a.example", auth: {hmac: {secret: s, over: "{{body}}", header: X, algorithm: md5}}}`,
		"serves[0]":                   `{url: "https://a.example", serves: [pigeon]}`,
		"region":                      `{url: "https://a.example", region: XX}`,
		"text_max":                    `{url: "https://a.example", text_max: -1}`,
		"answer.code":                 `{url: "https://a.example", answer: {code: "a..b", codes: {"0": accepted}}}`,
		"answer.code ":                `{url: "https://a.example", answer: {code: "a[x]", codes: {"0": accepted}}}`,
		"answer.codes":                `{url: "https://a.example", answer: {code: a, codes: {"0": permanent}}}`,
		"answer.codes.1":              `{url: "https://a.example", answer: {code: a, codes: {"0": accepted, "1": maybe}}}`,
		"answer.statuses.99":          `{url: "https://a.example", answer: {statuses: {99: accepted}}}`,
		"answer.format":               `{url: "https://a.example", answer: {format: xml}}`,
		"answer.pattern":              `{url: "https://a.example", answer: {format: text, pattern: "(", codes: {"0": accepted}}}`,
		"callback.proof":              `{url: "https://a.example", callback: {receipt: {id: a, status: b, statuses: {x: failed}}}}`,
		"callback.proof.key[0]":       `{url: "https://a.example", callback: {proof: {key: [short]}, receipt: {id: a, status: b, statuses: {x: failed}}}}`,
		"callback.proof.hmac.over":    `{url: "https://a.example", callback: {proof: {hmac: {secrets: [0123456789abcdef], header: X, over: "{{timestamp}}"}}, receipt: {id: a, status: b, statuses: {x: failed}}}}`,
		"callback.proof.hmac.over ":   `{url: "https://a.example", callback: {proof: {hmac: {secrets: [0123456789abcdef], header: X, timestamp: T}}, receipt: {id: a, status: b, statuses: {x: failed}}}}`,
		"callback":                    `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}}}`,
		"callback.proof.key":          `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b, statuses: {x: bad_address}}}}`,
		"callback.proof.key ":         `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b, statuses: {x: failed}, codes: {"7": opted_out}}}}`,
		"callback.format":             `{url: "https://a.example", callback: {format: xml, proof: {key: [0123456789abcdef]}, reply: {from: a, text: b}}}`,
		"callback.window":             `{url: "https://a.example", callback: {window: 9000h, proof: {key: [0123456789abcdef]}, reply: {from: a, text: b}}}`,
		"callback.answer.status":      `{url: "https://a.example", callback: {answer: {status: 500}, proof: {key: [0123456789abcdef]}, reply: {from: a, text: b}}}`,
		"callback.receipt":            `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {status: b, statuses: {x: failed}}}}`,
		"callback.receipt.statuses":   `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b}}}`,
		"callback.receipt.statuses.x": `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b, statuses: {x: lost}}}}`,
		"callback.receipt.codes.x":    `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b, statuses: {x: failed}, codes: {x: delivered}}}}`,
		"callback.receipt.at.layout":  `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b, statuses: {x: failed}, at: {path: t, layout: "01-02"}}}}`,
		"callback.receipt.at.zone":    `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, receipt: {id: a, status: b, statuses: {x: failed}, at: {path: t, zone: Mars/Base}}}}`,
		"callback.reply":              `{url: "https://a.example", callback: {proof: {key: [0123456789abcdef]}, reply: {from: a}}}`,
		"templates.x.template_id":     `{url: "https://a.example", templates: {x: {approved_at: 2026-01-05}}}`,
		"connections":                 `{url: "https://a.example", connections: -1}`,
		"callback.proof.basic":        `{url: "https://a.example", callback: {proof: {basic: {passwords: [0123456789abcdef]}}, reply: {from: a, text: b}}}`,
		"callback.proof.hmac":         `{url: "https://a.example", callback: {proof: {hmac: {header: X}}, reply: {from: a, text: b}}}`,
	}
	for field, text := range tests {
		c := read(t, text)
		_, err := generic.New("sms", c, channel.Host{})
		e, ok := errors.AsType[*duly.Error](err)
		if want := "carriers.sms.http." + strings.TrimSpace(field); !ok || e.Place.Field != want || e.Hint == "" || e.Code != duly.Invalid {
			t.Errorf("%s\ngot %v at %v, want a problem at %s", text, err, e, want)
		}
	}
	if err := read(t, provider).Check("x"); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	s := sender(t, read(t, `{url: "https://a.example", serves: [im], timeout: 3s}`))
	if caps := s.Caps(); !cmp.Equal(caps.Channels, []duly.Channel{duly.ChannelIM}) || caps.Timeout != 3*time.Second || caps.Receipts || caps.Variables {
		t.Errorf("got %+v", caps)
	}
}

// TestVariables: the engine is asked for variables where the templates speak of them, and only there.
func TestVariables(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{url: "https://a.example", json: {a: [{b: "x {{var.total}}"}]}}`:                                           true,
		`{url: "https://a.example", headers: {X-Total: "{{var.total}}"}}`:                                           true,
		`{url: "https://a.example", templates: {x: {template_id: T, approved_at: 2026-01-05}}}`:                     true,
		`{url: "https://a.example", json: {a: "{{text}}"}}`:                                                         false,
		`{url: "https://a.example", auth: {hmac: {secret: s, header: X, over: "{{var.total}}{{body}}"}}, json: {}}`: true,
	} {
		if got := sender(t, read(t, text)).Caps().Variables; got != want {
			t.Errorf("%s: got %t", text, got)
		}
	}
}

func decode(t *testing.T, body string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
