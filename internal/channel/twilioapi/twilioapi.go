// Package twilioapi calls Twilio's API of 2010, and proves Twilio's callbacks by their X-Twilio-Signature.
//
// Twilio takes no key that would make a request safe to repeat, and no reference of ours: the attempt's id goes out in the URL
// that it calls back, which it signs. The signature holds no time, so an old callback can be played again; it says then what
// it said before, with the same key, and changes nothing.
package twilioapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // it is what Twilio signs with
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Account is who calls and is called back.
type Account struct {
	SID         string           `yaml:"account_sid"`
	Tokens      []channel.Secret `yaml:"auth_tokens"`  // one, or two while one replaces the other: the first calls, a callback signed with any is taken
	Endpoint    string           `yaml:"endpoint"`     // https://api.twilio.com where it is not given
	CallbackURL string           `yaml:"callback_url"` // where Twilio reaches POST /v1/receipts/<carrier> from outside; none takes no callbacks
}

const (
	endpointDefault = "https://api.twilio.com"
	timeLayout      = time.RFC1123Z
	pageSize        = 20
	aroundMax       = time.Minute // of a message's own time and ours
)

// Check notes what is wrong with the account.
func (a Account) Check(p *channel.Problems, l post.Link) {
	if !sid(a.SID, "AC") {
		p.Add("account_sid", "not an account's SID", "copy it from the console: AC and 32 hexadecimal digits")
	}
	if len(a.Tokens) == 0 || len(a.Tokens) > 2 || slices.ContainsFunc(a.Tokens, channel.Secret.IsZero) {
		p.Add("auth_tokens", "not one token, or two", "give it as [${TWILIO_AUTH_TOKEN}]; two while one replaces the other")
	}
	if a.Endpoint != "" {
		l.CheckURL(p, "endpoint", a.Endpoint)
	}
	if a.CallbackURL == "" {
		return
	}
	l.CheckURL(p, "callback_url", a.CallbackURL)
	if strings.ContainsAny(a.CallbackURL, "?#") {
		p.Add("callback_url", "holds a query", "write it as Twilio is to call it: https://duly.lender.example/v1/receipts/sms")
	}
}

// sid reports whether s is a SID of a kind.
func sid(s, kind string) bool {
	hex, ok := strings.CutPrefix(s, kind)
	return ok && len(hex) == 32 && strings.Trim(hex, "0123456789abcdefABCDEF") == ""
}

// Client calls for an account.
type Client struct {
	account Account
	base    string // of the account's resources
	client  *post.Client
}

// New makes a client.
func New(a Account, l post.Link) *Client {
	if a.Endpoint == "" {
		a.Endpoint = endpointDefault
	}
	return &Client{a, strings.TrimSuffix(a.Endpoint, "/") + "/2010-04-01/Accounts/" + a.SID + "/", post.New(l)}
}

// Close ends the connections that are kept.
func (c *Client) Close() error { return c.client.Close() }

// Resource is a message or a call.
type Resource struct {
	SID         string `json:"sid"`
	Status      string `json:"status"`
	NumSegments string `json:"num_segments"` // of a message
	ErrorCode   *int   `json:"error_code"`
	AnsweredBy  string `json:"answered_by"` // of a call
	From        string `json:"from"`
	Direction   string `json:"direction"`
	DateCreated string `json:"date_created"`
}

// Create makes a resource, such as Messages, and returns it as Twilio has it.
func (c *Client) Create(ctx context.Context, name string, form url.Values, now time.Time) (Resource, *channel.Error) {
	var got Resource
	err := c.do(ctx, http.MethodPost, name+".json", form, &got, now)
	if err == nil && !callback.Reference(got.SID) {
		err = &channel.Error{Class: channel.Unknown, Code: "unreadable"}
	}
	return got, err
}

func (c *Client) do(ctx context.Context, method, path string, form url.Values, v any, now time.Time) *channel.Error {
	u, err := url.Parse(c.base + path)
	if err != nil {
		return &channel.Error{Class: channel.Config, Code: "endpoint"}
	}
	token := c.account.Tokens[0].Reveal()
	h := http.Header{
		"User-Agent": {"duly"}, "Accept": {"application/json"},
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.account.SID+":"+token))},
	}
	r := post.Request{Method: method, URL: u, Header: h}
	if method == http.MethodPost {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = []byte(form.Encode())
	} else {
		u.RawQuery = form.Encode()
	}
	a, failed := c.client.Do(ctx, r)
	if failed != nil {
		return failed
	}
	return read(a, v, now)
}

func read(a post.Answer, v any, now time.Time) *channel.Error {
	if a.Status/100 == 2 {
		if !a.Whole || json.Unmarshal(a.Body, v) != nil {
			return &channel.Error{Class: channel.Unknown, Code: "unreadable"}
		}
		return nil
	}
	var said struct {
		Code int `json:"code"`
	}
	if !a.Whole || json.Unmarshal(a.Body, &said) != nil || said.Code == 0 {
		return a.Guess(now)
	}
	e, ok := codes[said.Code]
	if !ok {
		e = *a.Guess(now)
	}
	e.Detail = strconv.Itoa(said.Code)
	a.Wait(&e, now)
	return &e
}

// codes are those of refused requests, as documented.
var codes = map[int]channel.Error{
	14107: {Class: channel.Throttled, Code: "rate"},
	20003: {Class: channel.Config, Code: "authentication"},
	20005: {Class: channel.Config, Code: "account"},
	20008: {Class: channel.Config, Code: "test_account"},
	20429: {Class: channel.Throttled, Code: "rate"},
	20500: {Class: channel.Unknown, Code: "internal"},
	21201: {Class: channel.Permanent, Code: "parameters"},
	21210: {Class: channel.Config, Code: "sender"}, // of a call: not a verified number
	21211: {Class: channel.BadAddress, Code: "number"},
	21212: {Class: channel.Config, Code: "sender"},
	21214: {Class: channel.BadAddress, Code: "number"},
	21215: {Class: channel.Permanent, Code: "region"},
	21216: {Class: channel.Permanent, Code: "region"}, // the number is one that is not called
	21217: {Class: channel.BadAddress, Code: "number"},
	21219: {Class: channel.Config, Code: "test_account"},
	21401: {Class: channel.BadAddress, Code: "number"},
	21408: {Class: channel.Permanent, Code: "region"},
	21421: {Class: channel.BadAddress, Code: "number"},
	21601: {Class: channel.Config, Code: "sender"},
	21602: {Class: channel.Permanent, Code: "content"},
	21603: {Class: channel.Config, Code: "sender"},
	21605: {Class: channel.Permanent, Code: "content"},
	21606: {Class: channel.Config, Code: "sender"},
	21610: {Class: channel.OptedOut, Code: "opted_out"},
	21611: {Class: channel.Throttled, Code: "queue_full"},
	21612: {Class: channel.Permanent, Code: "route"},
	21614: {Class: channel.BadAddress, Code: "number"},
	21617: {Class: channel.Permanent, Code: "content"},
	21618: {Class: channel.Permanent, Code: "content"},
	21619: {Class: channel.Permanent, Code: "content"},
	21659: {Class: channel.Config, Code: "sender"},
	21660: {Class: channel.Config, Code: "sender"},
	21703: {Class: channel.Config, Code: "sender"},
	21705: {Class: channel.Config, Code: "sender"},
	30001: {Class: channel.Throttled, Code: "queue_full"},
	30002: {Class: channel.Config, Code: "account"},
}

// Find returns what Twilio has of a resource: by its SID, else the only one that was made for the number by API around the
// time, from one of the senders. Two are none.
func (c *Client) Find(ctx context.Context, name string, q channel.Question, span time.Duration, now time.Time) (Resource, bool, *channel.Error) {
	if q.ProviderID != "" {
		if strings.Trim(q.ProviderID, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return Resource{}, false, nil
		}
		var got Resource
		err := c.do(ctx, http.MethodGet, name+"/"+q.ProviderID+".json", nil, &got, now)
		if err != nil && err.Code == "http_404" {
			return Resource{}, false, nil
		}
		return got, err == nil, err
	}
	var list struct {
		Messages []Resource `json:"messages"`
		Calls    []Resource `json:"calls"`
	}
	if err := c.do(ctx, http.MethodGet, name+".json", url.Values{"To": {q.To}, "PageSize": {strconv.Itoa(pageSize)}}, &list, now); err != nil {
		return Resource{}, false, err
	}
	var found []Resource
	for _, r := range slices.Concat(list.Messages, list.Calls) {
		at, err := time.Parse(timeLayout, r.DateCreated)
		if err == nil && r.Direction == "outbound-api" && !at.Before(q.SentAt.Add(-aroundMax)) && !at.After(q.SentAt.Add(span+aroundMax)) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return Resource{}, false, nil
	}
	return found[0], true, nil
}

// AttemptParam is the parameter of the callback's URL that holds the attempt's id.
const AttemptParam = "attempt"

// Callback is the URL that Twilio is to call of an attempt; "" where callbacks are not taken.
func (c *Client) Callback(id duly.AttemptID) string {
	if c.account.CallbackURL == "" {
		return ""
	}
	return c.account.CallbackURL + "?" + AttemptParam + "=" + url.QueryEscape(string(id))
}

// Hears reports whether callbacks are taken.
func (c *Client) Hears() bool { return c.account.CallbackURL != "" }

// Called is a callback that was proved.
type Called struct {
	Form      url.Values
	AttemptID duly.AttemptID // "" where the URL names none
}

// Prove proves a callback, and reads its form.
func (c *Client) Prove(r *http.Request, body []byte) (Called, error) {
	switch {
	case !c.Hears():
		return Called{}, duly.Errorf(duly.Refused, "this carrier takes no callbacks").WithHint("set callback_url in its configuration")
	case r.Method != http.MethodPost:
		return Called{}, duly.Errorf(duly.Usage, "Twilio is to call by POST")
	}
	if err := callback.Fits(body); err != nil {
		return Called{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) > callback.EventsMax {
		return Called{}, duly.Errorf(duly.Invalid, "the body is not a form")
	}
	if !c.signed(r, form) {
		return Called{}, duly.Errorf(duly.Refused, "the signature is wrong").
			WithHint("callback_url must be the URL that Twilio calls, to the letter; auth_tokens must hold the account's token")
	}
	if form.Get("AccountSid") != c.account.SID {
		return Called{}, duly.Errorf(duly.Refused, "the callback is of another account")
	}
	out := Called{Form: form, AttemptID: duly.AttemptID(r.URL.Query().Get(AttemptParam))}
	if out.AttemptID != "" && !callback.Attempt(out.AttemptID) {
		return Called{}, duly.Errorf(duly.Invalid, "not an attempt's id").At(duly.Place{Field: AttemptParam})
	}
	return out, nil
}

// signed reports whether one of the account's tokens signed the call. Twilio writes the usual port into the URL or leaves it
// out, as it pleases.
func (c *Client) signed(r *http.Request, form url.Values) bool {
	got, ok := []byte(r.Header.Get("X-Twilio-Signature")), false
	u, err := url.Parse(c.account.CallbackURL)
	if err != nil {
		return false
	}
	hosts := []string{u.Host}
	if u.Port() == "" {
		hosts = append(hosts, u.Host+map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	}
	for _, host := range hosts {
		target := strings.Replace(c.account.CallbackURL, "://"+u.Host, "://"+host, 1)
		if r.URL.RawQuery != "" {
			target += "?" + r.URL.RawQuery
		}
		for _, token := range c.account.Tokens {
			ok = hmac.Equal(got, []byte(Sign(token, target, form))) || ok
		}
	}
	return ok
}

// ErrClock is the error of a callback while time stands still.
var ErrClock = errors.New("twilio: callbacks need Host.Clock")

// Sign returns the X-Twilio-Signature of a call of a URL with a form.
func Sign(token channel.Secret, target string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(token.Reveal()))
	_, _ = mac.Write([]byte(target))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			_, _ = mac.Write([]byte(name + v))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
