package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// post makes one request and says what the answer means.
//
// There is no Idempotency-Key header: net/http would take it as leave to post again by itself. Without it the transport
// repeats a request only where it knows that not a byte of it was written.
func (t *try) post(ctx context.Context) (channel.Accepted, *channel.Error) {
	var got taken
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: got.conn})
	req := (&http.Request{
		Method: http.MethodPost, URL: t.s.url, Host: t.s.url.Host, Header: t.header, ContentLength: int64(len(t.body)),
		Body: io.NopCloser(bytes.NewReader(t.body)), GetBody: t.again, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	// RoundTrip, not Client.Do: redirects are answers, and a cookie is nobody's business.
	resp, err := t.s.client.RoundTrip(req)
	if err != nil {
		return channel.Accepted{}, broken(ctx, err, got.unwritten())
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, answerMax)) // the status alone decides; the body only adds to it
	if resp.StatusCode/100 == 2 {
		return accepted(body), nil
	}
	return channel.Accepted{}, classify(resp, body, t.now)
}

func (t *try) again() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(t.body)), nil }

// taken is the connection that a request was given, and how much had been written to it before.
type taken struct {
	wire *wire
	mark int
}

func (t *taken) conn(info httptrace.GotConnInfo) {
	c := info.Conn
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if t.wire, _ = c.(*wire); t.wire != nil {
		t.mark = t.wire.mark()
	}
}

// unwritten reports whether nothing of the request left, with certainty.
func (t *taken) unwritten() bool { return t.wire == nil || t.wire.unwritten(t.mark) }

// broken classifies a request that got no answer.
//
//	nothing was written     temporary; an unknown host, a wrong certificate or protocol is config
//	anything was written    unknown
func broken(ctx context.Context, err error, unwritten bool) *channel.Error {
	e := &channel.Error{Class: channel.Unknown, Code: "connection", Detail: "after writing"}
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Code = "cancelled"
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		e.Code = "timeout"
	}
	if !unwritten {
		return e
	}
	e.Class, e.Detail = channel.Temporary, "before writing"
	if code := misdirected(err); code != "" {
		e.Class, e.Code = channel.Config, code
	}
	return e
}

// misdirected returns a code for failures that waiting does not cure, or "".
func misdirected(err error) string {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	if verify || authority || host {
		return "certificate"
	}
	if _, header := errors.AsType[tls.RecordHeaderError](err); header {
		return "no_tls"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "no_such_host"
	}
	return ""
}

// answer is the body of an answer, all of it optional.
type answer struct {
	ID       string `json:"id"`
	Status   string `json:"status"`   // of a 2xx: accepted or delivered
	Segments int    `json:"segments"` // of a 2xx
	Error    string `json:"error"`    // of any other: the name of a class
}

// segmentsMax is more parts than any message has; a service that says more is not believed.
const segmentsMax = 100

func accepted(body []byte) channel.Accepted {
	var a answer
	if json.Unmarshal(body, &a) != nil { // taken all the same, without a reference
		return channel.Accepted{}
	}
	out := channel.Accepted{Delivered: a.Status == "delivered"}
	if len(a.ID) <= providerIDMax && printable(a.ID) {
		out.ProviderID = a.ID
	}
	if a.Segments > 0 && a.Segments <= segmentsMax {
		out.Segments = a.Segments
	}
	return out
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// classify says what an answer other than 2xx means. This is the decision table; services are written against it.
//
//	3xx                                     config: redirects are not followed, the message would go astray
//	400 413 422 and other 4xx               permanent
//	401 402 403 404 405 407 410 421 501 505 config: it is not this message that is wrong
//	408 425 503                             temporary: promised not to be taken; Retry-After is honoured
//	429                                     throttled; Retry-After is honoured
//	409, 500, 502, 504 and other 5xx        unknown: it broke, perhaps after it was taken
//
// A body of {"error":"<class>"} with a status of 4xx or 503 names the class itself: bad_address, opted_out, permanent,
// temporary, throttled or config.
func classify(resp *http.Response, body []byte, now time.Time) *channel.Error {
	e := &channel.Error{Class: classOf(resp.StatusCode), Code: "http_" + strconv.Itoa(resp.StatusCode)}
	if e.Class != channel.Unknown {
		e.Class = named(e.Class, resp.StatusCode, body)
	}
	if e.Class == channel.Throttled || e.Class == channel.Temporary {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	}
	return e
}

func classOf(status int) channel.Class {
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusProxyAuthRequired, http.StatusGone, http.StatusMisdirectedRequest, http.StatusNotImplemented,
		http.StatusHTTPVersionNotSupported:
		return channel.Config
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusServiceUnavailable:
		return channel.Temporary
	case http.StatusTooManyRequests:
		return channel.Throttled
	case http.StatusConflict: // of an id it has seen: perhaps it took it then
		return channel.Unknown
	}
	switch status / 100 {
	case 3:
		return channel.Config
	case 4:
		return channel.Permanent
	}
	return channel.Unknown
}

// named returns the class that the body names, if it may.
func named(c channel.Class, status int, body []byte) channel.Class {
	if status/100 != 4 && status != http.StatusServiceUnavailable {
		return c
	}
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return c
	}
	switch n := channel.Class(a.Error); n {
	case channel.BadAddress, channel.OptedOut, channel.Permanent, channel.Temporary, channel.Throttled, channel.Config:
		return n
	case channel.Unknown: // a service that does not know either should say 500
	}
	return c
}

// retryAfter reads the header: seconds, or a date. What is senseless counts as not said.
func retryAfter(h string, now time.Time) time.Duration {
	h = strings.TrimSpace(h)
	if n, err := strconv.Atoi(h); err == nil && n > 0 {
		return min(time.Duration(min(n, int(retryAfterMax/time.Second)))*time.Second, retryAfterMax)
	}
	if at, err := http.ParseTime(h); err == nil && at.After(now) {
		return min(at.Sub(now), retryAfterMax)
	}
	return 0
}
