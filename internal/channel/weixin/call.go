package weixin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/access"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Answer is what every call answers.
type Answer struct {
	Code    *int            `json:"errcode"`
	ID      json.RawMessage `json:"msgid"` // a number at WeChat, a text at WeCom
	Token   string          `json:"access_token"`
	Seconds int             `json:"expires_in"`
	Invalid string          `json:"invaliduser"` // WeCom: those of the addressees that were left out
}

// MessageID returns the carrier's reference, or "".
func (a *Answer) MessageID() string {
	if id := strings.Trim(string(a.ID), `"`); callback.Reference(id) {
		return id
	}
	return ""
}

// Caller makes calls with an access token that one caller at a time has anew when it ended.
type Caller struct {
	client *post.Client
	keeper *access.Keeper
	codes  map[int]channel.Class
	label  string // before the codes of errors
}

// tokenEnd is how long before its end a token is not used any more.
const tokenEnd = 5 * time.Minute

// NewCaller makes a caller. ask is the request that gets a token; codes are what an errcode means besides those of all calls.
func NewCaller(c *post.Client, ask post.Request, label string, codes map[int]channel.Class) *Caller {
	k := &Caller{client: c, codes: codes, label: label}
	k.keeper = access.NewKeeper(func(ctx context.Context, now time.Time) (access.Token, *channel.Error) {
		got, err := c.Do(ctx, ask)
		if err != nil {
			return access.Token{}, err
		}
		a, err := k.read(got, now)
		if err == nil && (a.Token == "" || a.Seconds <= 0) {
			err = &channel.Error{Class: channel.Temporary, Code: label + "_no_token"}
		}
		if err != nil {
			return access.Token{}, err
		}
		return access.Token{Text: a.Token, Until: now.Add(time.Duration(min(a.Seconds, 86400))*time.Second - tokenEnd)}, nil
	})
	return k
}

// common are the errcodes of all calls. Those of nobody's list are not known: what broke may have been sent.
var common = map[int]channel.Class{
	40001: channel.Config, 40014: channel.Config, 41001: channel.Config, 42001: channel.Config, // the access token
	40013: channel.Config, 40125: channel.Config, 40164: channel.Config, 48001: channel.Config, 48004: channel.Config, 50002: channel.Config, 60020: channel.Config,
	40003: channel.BadAddress,
	45009: channel.Throttled, 45011: channel.Throttled, 45047: channel.Throttled,
	-1: channel.Unknown, // busy, perhaps after it was taken
}

func stale(code int) bool { return code == 40001 || code == 40014 || code == 42001 }

// Post calls with JSON. A token that is not taken any more is had anew, once: what is refused for it was not taken.
func (k *Caller) Post(ctx context.Context, now time.Time, u *url.URL, body []byte) (Answer, *channel.Error) {
	for n := 0; ; n++ {
		token, err := k.keeper.Get(ctx, now)
		if err != nil {
			return Answer{}, err
		}
		to := *u
		to.RawQuery = url.Values{"access_token": {token}}.Encode()
		got, err := k.client.Do(ctx, post.Request{URL: &to, Body: body, Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"duly"}}})
		if err != nil {
			return Answer{}, err
		}
		a, err := k.read(got, now)
		if err == nil && a.Code == nil {
			err = &channel.Error{Class: channel.Unknown, Code: "not_" + k.label}
		}
		if err == nil || a.Code == nil || !stale(*a.Code) {
			return a, err
		}
		if k.keeper.Drop(token); n > 0 {
			return Answer{}, err
		}
	}
}

// read says what an answer means. Refusals come with status 200; acceptance is errcode 0.
func (k *Caller) read(got post.Answer, now time.Time) (Answer, *channel.Error) {
	var a Answer
	if got.Status != http.StatusOK {
		return a, got.Refusal(now)
	}
	if json.Unmarshal(got.Body, &a) != nil {
		return Answer{}, &channel.Error{Class: channel.Unknown, Code: "not_" + k.label, Detail: "http_200"}
	}
	if a.Code == nil || *a.Code == 0 {
		return a, nil
	}
	class, ok := k.codes[*a.Code]
	if !ok {
		if class, ok = common[*a.Code]; !ok {
			class = channel.Unknown
		}
	}
	e := &channel.Error{Class: class, Code: k.label + "_" + strconv.Itoa(*a.Code)}
	if class == channel.Throttled {
		e.RetryAfter = time.Minute
		if *a.Code == 45009 { // the day's
			e.RetryAfter = time.Hour
		}
	}
	return a, e
}
