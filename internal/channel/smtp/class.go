package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/internal/channel"
)

// Reply codes with a meaning of their own.
const (
	codeClosing     = 421
	codeBusy        = 450
	codeLocal       = 451
	codeStorage     = 452
	codeUnavailable = 550
	codeNotLocal    = 551
	codeName        = 553
)

// classify turns a failure into the contract's error. This is the whole decision:
//
//	no answer, ahead of the final dot      temporary: a mail without its dot is thrown away (RFC 5321, section 4.1.1.4)
//	no answer, or a senseless one, after   unknown
//	no connection                          temporary; an unknown host, certificate or protocol is config
//	421, 452, 450 and 451 with 4.7.x       throttled
//	4xx otherwise                          temporary
//	5xx to login, greeting, MAIL           config: the server does not want us, whoever the recipient
//	530, 535, 538 and 5.1.7, 5.1.8         config
//	5.1.x and 5.2.1; at RCPT a bare        bad_address
//	550, 551 or 553
//	5xx otherwise                          permanent: 550 5.7.1 too, which is a policy and no address
func (s *Sender) classify(f *failure) *channel.Error {
	code, text := f.reply()
	if code == 0 {
		return silent(f)
	}
	status := enhanced(code, text)
	e := &channel.Error{Code: "smtp_" + strconv.Itoa(code), Detail: string(f.phase)}
	if status != "" {
		e.Detail += " " + status
	}
	switch code / 100 {
	case 4:
		e.Class = channel.Temporary
		if throttles(code, status) {
			e.Class, e.RetryAfter = channel.Throttled, retryAfterBusy
		}
	case 5:
		e.Class = refusal(f.phase, code, status)
	default: // neither yes nor no
		e.Class = channel.Temporary
		if f.phase == phaseDot {
			e.Class = channel.Unknown
		}
	}
	return e
}

// silent classifies a failure that the server said nothing to.
func silent(f *failure) *channel.Error {
	e := &channel.Error{Class: channel.Temporary, Code: "connection", Detail: string(f.phase)}
	var timeout net.Error
	switch {
	case errors.Is(f.ctx, context.Canceled):
		e.Code = "cancelled"
	case f.ctx != nil, errors.As(f.err, &timeout) && timeout.Timeout():
		e.Code = "timeout"
	case errors.Is(f.err, errNoStartTLS), errors.Is(f.err, errNoAuth), errors.Is(f.err, errNoUTF8):
		e.Code = f.err.Error()
	}
	switch {
	case f.phase == phaseDot:
		e.Class = channel.Unknown
	case f.ctx != nil:
	case errors.Is(f.err, errNoUTF8):
		e.Class = channel.Permanent
	case errors.Is(f.err, errNoStartTLS), errors.Is(f.err, errNoAuth), untrusted(f.err), noSuchHost(f.err):
		e.Class = channel.Config
	case f.phase == phaseAuth && !network(f.err): // our side refused to log in this way
		e.Class, e.Code = channel.Config, "login"
	}
	return e
}

func throttles(code int, status string) bool {
	switch code {
	case codeClosing, codeStorage:
		return !strings.HasPrefix(status, "4.2.") // 4.2.2: this one mailbox is full
	case codeBusy, codeLocal:
		return strings.HasPrefix(status, "4.7.")
	}
	return false
}

func refusal(p phase, code int, status string) channel.Class {
	switch {
	case p == phaseGreeting, p == phaseAuth, p == phaseTLS, p == phaseMail:
		return channel.Config
	case code == 530, code == 535, code == 538, status == "5.1.7", status == "5.1.8":
		return channel.Config
	case strings.HasPrefix(status, "5.1."), status == "5.2.1":
		return channel.BadAddress
	case status == "" && p == phaseRcpt && (code == codeUnavailable || code == codeNotLocal || code == codeName):
		return channel.BadAddress
	}
	return channel.Permanent
}

// enhanced returns the status code of RFC 3463 that a reply's text begins with, or "". It is read whether or not the
// server announced it: without it a policy's 550 looks like a bad address.
func enhanced(code int, text string) string {
	word, _, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return ""
	}
	for _, p := range parts[1:] {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || n > 999 || strconv.Itoa(n) != p {
			return ""
		}
	}
	return word
}

// untrusted reports whether the other side is not who it should be, or does not speak TLS: waiting cures neither.
func untrusted(err error) bool {
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, header := errors.AsType[tls.RecordHeaderError](err)
	return verify || authority || host || header
}

func network(err error) bool {
	_, op := errors.AsType[*net.OpError](err)
	return op || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func noSuchHost(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	return ok && e.IsNotFound
}
