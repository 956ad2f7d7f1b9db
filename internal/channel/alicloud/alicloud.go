// Package alicloud calls Alibaba Cloud's APIs: it signs a request (ACS3-HMAC-SHA256) and reads the answer's own code.
//
// The actions of its SMS and voice services take their parameters in the query and answer with JSON that has a Code: OK, or
// why not. A code stands in a table of its adapter; one that does not is no proof of anything, but for those that begin with
// isv., by which the service says that the caller's request is wrong.
package alicloud

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Account is who calls.
type Account struct {
	KeyID  string         `yaml:"access_key_id"`
	Secret channel.Secret `yaml:"access_key_secret"`
}

// Check notes what is wrong with the account.
func (a Account) Check(p *channel.Problems) {
	if a.KeyID == "" || len(a.KeyID) > 128 || strings.ContainsAny(a.KeyID, " ,\r\n") {
		p.Add("access_key_id", "missing, or not an id", "give the id of a RAM user's access key that may only send")
	}
	if a.Secret.IsZero() {
		p.Add("access_key_secret", "missing", "give it as ${ALIYUN_ACCESS_KEY_SECRET}")
	}
}

// Client calls one service.
type Client struct {
	account  Account
	endpoint *url.URL
	version  string
	client   *post.Client
}

// New makes a client of a service at an endpoint.
func New(a Account, endpoint, version string, l post.Link) (*Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return &Client{a, u, version, post.New(l)}, nil
}

// Close ends the connections that are kept.
func (c *Client) Close() error { return c.client.Close() }

// Call is one call of an action.
type Call struct {
	Action string
	Params map[string]string
	Nonce  string    // a call with the nonce of an earlier one is refused; that of an attempt is made of its id
	Now    time.Time // the service refuses what is more than 15 minutes off
}

// Do makes a call.
func (c *Client) Do(ctx context.Context, call Call) (post.Answer, *channel.Error) {
	u := *c.endpoint
	if u.Path == "" {
		u.Path = "/"
	}
	u.RawQuery = query(call.Params)
	h := http.Header{
		"User-Agent": {"duly"}, "Accept": {"application/json"}, "X-Acs-Action": {call.Action}, "X-Acs-Version": {c.version},
		"X-Acs-Date": {call.Now.UTC().Format("2006-01-02T15:04:05Z")}, "X-Acs-Signature-Nonce": {call.Nonce}, "X-Acs-Content-Sha256": {digest(nil)},
	}
	h.Set("Authorization", c.account.authorize(http.MethodPost, &u, h))
	return c.client.Do(ctx, post.Request{URL: &u, Header: h})
}

// authorize signs the method, the URL and all headers that begin with x-acs-.
func (a Account) authorize(method string, u *url.URL, h http.Header) string {
	signed := map[string]string{"host": u.Host}
	for name := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") {
			signed[lower] = strings.TrimSpace(h.Get(name))
		}
	}
	names := slices.Sorted(maps.Keys(signed))
	var b strings.Builder
	b.WriteString(method + "\n" + u.EscapedPath() + "\n" + u.RawQuery + "\n")
	for _, name := range names {
		b.WriteString(name + ":" + signed[name] + "\n")
	}
	list := strings.Join(names, ";")
	b.WriteString("\n" + list + "\n" + signed["x-acs-content-sha256"])
	mac := hmac.New(sha256.New, []byte(a.Secret.Reveal()))
	_, _ = mac.Write([]byte(algorithm + "\n" + digest([]byte(b.String()))))
	return algorithm + " Credential=" + a.KeyID + ",SignedHeaders=" + list + ",Signature=" + hex.EncodeToString(mac.Sum(nil))
}

const algorithm = "ACS3-HMAC-SHA256"

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// query writes parameters in the order of their names, escaped as RFC 3986 does: a blank is %20.
func query(params map[string]string) string {
	parts := make([]string, 0, len(params))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		parts = append(parts, escape(name)+"="+escape(params[name]))
	}
	return strings.Join(parts, "&")
}

func escape(s string) string {
	s = url.QueryEscape(s)
	s = strings.ReplaceAll(s, "+", "%20")
	return strings.ReplaceAll(s, "%7E", "~")
}

// Nonce makes the nonce of an attempt's call: the same attempt twice is refused by the service itself.
func Nonce(id string) string { return digest([]byte("duly\x00" + id))[:32] }

// Table says what the codes of an action mean.
type Table map[string]channel.Error

// common are the codes of every action.
var common = Table{
	"Throttling":                  {Class: channel.Throttled, Code: "throttling"},
	"Throttling.User":             {Class: channel.Throttled, Code: "throttling"},
	"Throttling.Api":              {Class: channel.Throttled, Code: "throttling"},
	"InvalidAccessKeyId":          {Class: channel.Config, Code: "access_key"},
	"InvalidAccessKeyId.NotFound": {Class: channel.Config, Code: "access_key"},
	"InvalidAccessKeyId.Inactive": {Class: channel.Config, Code: "access_key"},
	"MissingAccessKeyId":          {Class: channel.Config, Code: "access_key"},
	"Forbidden.AccessKeyDisabled": {Class: channel.Config, Code: "access_key"},
	"Forbidden.RAM":               {Class: channel.Config, Code: "permission"},
	"NoPermission":                {Class: channel.Config, Code: "permission"},
	"isp.RAM_PERMISSION_DENY":     {Class: channel.Config, Code: "permission"},
	"SignatureDoesNotMatch":       {Class: channel.Config, Code: "signature"},
	"IncompleteSignature":         {Class: channel.Config, Code: "signature"},
	"InvalidTimeStamp.Expired":    {Class: channel.Config, Code: "clock"},
	"InvalidTimeStamp.Format":     {Class: channel.Config, Code: "clock"},
	"isv.DENY_IP_RANGE":           {Class: channel.Config, Code: "source_address"},
	"isv.OUT_OF_SERVICE":          {Class: channel.Config, Code: "account"},
	"isv.AMOUNT_NOT_ENOUGH":       {Class: channel.Config, Code: "balance"},
	"isv.ACCOUNT_NOT_EXISTS":      {Class: channel.Config, Code: "account"},
	"isv.ACCOUNT_ABNORMAL":        {Class: channel.Config, Code: "account"},
	"isv.PRODUCT_UN_SUBSCRIPT":    {Class: channel.Config, Code: "account"},
	"isv.PRODUCT_UNSUBSCRIBE":     {Class: channel.Config, Code: "account"},
	"isv.INVALID_PARAMETERS":      {Class: channel.Permanent, Code: "parameters"},
	"isv.INVALID_JSON_PARAM":      {Class: channel.Permanent, Code: "parameters"},
	// The nonce is the attempt's own: the service has had it before, and perhaps it took it then.
	"SignatureNonceUsed": {Class: channel.Unknown, Code: "nonce_used"},
	"ServiceUnavailable": {Class: channel.Temporary, Code: "service_unavailable"},
	"InternalError":      {Class: channel.Unknown, Code: "internal_error"},
	"isp.SYSTEM_ERROR":   {Class: channel.Unknown, Code: "system_error"},
	"isp.GATEWAY_ERROR":  {Class: channel.Unknown, Code: "system_error"},
	"isp.UNKNOWN":        {Class: channel.Unknown, Code: "system_error"},
}

// Read returns nil for an answer that says OK, having read it into v, else what it means.
func (t Table) Read(a post.Answer, v any, now time.Time) *channel.Error {
	var code struct{ Code string }
	if !a.Whole || json.Unmarshal(a.Body, &code) != nil || code.Code == "" {
		if a.Status/100 == 2 {
			return &channel.Error{Class: channel.Unknown, Code: "unreadable"}
		}
		return a.Guess(now)
	}
	if code.Code == "OK" && a.Status/100 == 2 {
		if json.Unmarshal(a.Body, v) != nil {
			return &channel.Error{Class: channel.Unknown, Code: "unreadable"}
		}
		return nil
	}
	return t.refusal(code.Code, a, now)
}

func (t Table) refusal(code string, a post.Answer, now time.Time) *channel.Error {
	e, ok := t[code]
	if !ok {
		e, ok = common[code]
	}
	word := callback.Word(code)
	switch {
	case ok:
	case strings.HasPrefix(code, "isv."):
		e = channel.Error{Class: channel.Permanent, Code: "isv"}
	case strings.HasPrefix(code, "Throttling."):
		e = channel.Error{Class: channel.Throttled, Code: "throttling"}
	case a.Status/100 == 4:
		e = *a.Guess(now)
	default:
		e = channel.Error{Class: channel.Unknown, Code: "unlisted"}
	}
	e.Detail = word
	if e.RetryAfter == 0 {
		a.Wait(&e, now)
	}
	return &e
}
