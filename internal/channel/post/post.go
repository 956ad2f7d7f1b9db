// Package post makes one HTTP request for a carrier, and knows what proves that nothing of it was taken.
//
// A request ends in an [Answer], whatever its status, or in a *channel.Error that says why none came: Temporary or Config
// only where not a byte of the request left, else Unknown. What an answer means its adapter says; [Answer.Refusal] is the
// meaning of the status alone, for carriers that give it the usual one.
//
//	got, err := client.Do(ctx, post.Request{URL: u, Header: h, Body: body})
//	if err != nil {
//		return channel.Accepted{}, err
//	}
//
// Nothing is sent twice: redirects are answers, and a request is repeated only over a new connection and only where it is
// certain that not a byte of it went over the old one.
package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// Client makes requests. It is safe for concurrent use.
type Client struct{ transport *http.Transport }

// Limits of a conversation.
const (
	AnswerMax     = 64 << 10       // of an answer's body, where the request gives no other
	RetryAfterMax = 24 * time.Hour // that a carrier can ask for
	headersMax    = 32 << 10
	idleMax       = 90 * time.Second
	dialMax       = 5 * time.Second
	staleMax      = 3 // connections kept from earlier that may prove dead before a request is given up
)

// New makes a client that keeps l.Connections connections at most to a host. It speaks HTTP/1.1 only: one request has a
// connection to itself, so what that connection wrote is what the request wrote.
func New(l Link) *Client { return newClient(l, false) }

// NewHTTP2 makes a client for carriers that speak HTTP/2 only. Requests share connections, so after one was written to,
// less can be proved: more ends as Unknown.
func NewHTTP2(l Link) *Client { return newClient(l, true) }

func newClient(l Link, two bool) *Client {
	l = l.WithDefaults()
	d := &net.Dialer{Timeout: dialMax}
	var protocols http.Protocols
	protocols.SetHTTP1(!two)
	protocols.SetHTTP2(two)
	return &Client{&http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &wire{Conn: nc}, nil
		},
		TLSClientConfig:        &tls.Config{RootCAs: certPool(l.CertAuthority), MinVersion: tls.VersionTLS12},
		Protocols:              &protocols,
		MaxConnsPerHost:        l.Connections,
		MaxIdleConns:           l.Connections,
		MaxIdleConnsPerHost:    l.Connections,
		IdleConnTimeout:        idleMax,
		TLSHandshakeTimeout:    dialMax,
		MaxResponseHeaderBytes: headersMax,
		DisableCompression:     true,
	}}
}

// Close ends the connections that are kept.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// Request is one request.
type Request struct {
	Method    string // "": POST
	URL       *url.URL
	Header    http.Header // not changed
	Body      []byte
	AnswerMax int // of the answer's body; the rest is not read; 0: AnswerMax
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Whole  bool // Body is all of it: it was not cut, by its length or by the end of the connection
}

// Do makes a request, and returns the answer to it or why there is none.
//
// There is no Idempotency-Key header: net/http would take it as leave to post again by itself. Nor may it repeat a GET,
// which is how some carriers are handed messages.
func (c *Client) Do(ctx context.Context, r Request) (Answer, *channel.Error) {
	for n := 0; ; n++ {
		var got taken
		resp, err := c.transport.RoundTrip(r.make(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: got.conn})))
		if err == nil {
			return r.read(resp), nil
		}
		unwritten := got.unwritten()
		if unwritten && got.kept && ctx.Err() == nil && n < staleMax {
			continue
		}
		return Answer{}, broken(ctx, err, unwritten)
	}
}

// make uses RoundTrip's own terms: a body that is given, and cannot be had again, is sent once.
func (r Request) make(ctx context.Context) *http.Request {
	method, header := r.Method, r.Header
	if method == "" {
		method = http.MethodPost
	}
	if header == nil {
		header = http.Header{}
	}
	return (&http.Request{
		Method: method, URL: r.URL, Host: r.URL.Host, Header: header, ContentLength: int64(len(r.Body)),
		Body: io.NopCloser(bytes.NewReader(r.Body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
}

func (r Request) read(resp *http.Response) Answer {
	defer resp.Body.Close()
	limit := r.AnswerMax
	if limit == 0 {
		limit = AnswerMax
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	whole := err == nil && len(body) <= limit
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body[:min(len(body), limit)], Whole: whole}
}

// taken is the connection that a request was given, and how much had been written to it before.
type taken struct {
	wire *wire
	mark int
	kept bool // from an earlier request
}

func (t *taken) conn(info httptrace.GotConnInfo) {
	c := info.Conn
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	t.kept = info.Reused
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

// Refusal says what an answer other than 2xx means by its status alone, see [ClassOf]; Retry-After is honoured for what is
// tried again. Of a 2xx it says Unknown: by its status it is no refusal at all.
func (a Answer) Refusal(now time.Time) *channel.Error {
	e := &channel.Error{Class: ClassOf(a.Status), Code: "http_" + strconv.Itoa(a.Status)}
	a.Wait(e, now)
	return e
}

// Wait sets how long the carrier wants to be left alone, where its answer says so and e is of a class that is tried again.
func (a Answer) Wait(e *channel.Error, now time.Time) {
	if e.Class == channel.Throttled || e.Class == channel.Temporary {
		e.RetryAfter = RetryAfter(a.Header.Get("Retry-After"), now)
	}
}

// ClassOf says what a status other than 2xx means where nothing else is known.
//
//	3xx                                     config: redirects are not followed, the message would go astray
//	400 413 422 and other 4xx               permanent
//	401 402 403 404 405 407 410 421 501 505 config: it is not this message that is wrong
//	408 425 503                             temporary: promised not to be taken
//	429                                     throttled
//	409, 500, 502, 504 and all others       unknown: it broke, perhaps after it was taken
func ClassOf(status int) channel.Class {
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

// RetryAfter reads the header: seconds, or a date. What is senseless counts as not said.
func RetryAfter(h string, now time.Time) time.Duration {
	h = strings.TrimSpace(h)
	if n, err := strconv.Atoi(h); err == nil && n > 0 {
		return min(time.Duration(min(n, int(RetryAfterMax/time.Second)))*time.Second, RetryAfterMax)
	}
	if at, err := http.ParseTime(h); err == nil && at.After(now) {
		return min(at.Sub(now), RetryAfterMax)
	}
	return 0
}

// Guess is the meaning of a status where the carrier did not say it in its own words, and promises nothing by it: a gateway on
// the way may have answered. As [Answer.Refusal], but every 5xx is Unknown.
func (a Answer) Guess(now time.Time) *channel.Error {
	if a.Status >= http.StatusInternalServerError {
		return &channel.Error{Class: channel.Unknown, Code: "http_" + strconv.Itoa(a.Status)}
	}
	return a.Refusal(now)
}
