package smtp_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

const (
	borrower = "zhang.san@borrower.example"
	testTime = 800 * time.Millisecond // what a mail may take against a server that never answers
)

// config reaches a server at an address, in clear.
func config(addr *net.TCPAddr) smtp.Config {
	return smtp.Config{
		Host: "127.0.0.1", Port: addr.Port, TLS: smtp.ModeNone, From: "示例消金 <notice@lender.example>", Timeout: 10 * time.Second,
	}
}

func newSender(t *testing.T, c smtp.Config) *smtp.Sender {
	t.Helper()
	s, err := smtp.New("mail", c, channel.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func message(n int) channel.Message { return channeltest.Message(duly.ChannelEmail, borrower, n) }

func send(t *testing.T, s *smtp.Sender, m channel.Message) (channel.Accepted, *channel.Error) {
	t.Helper()
	got, err := s.Send(t.Context(), m)
	if err == nil {
		return got, nil
	}
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("got a %T, want a *channel.Error", err)
	}
	return got, e
}

func TestSuite(t *testing.T) {
	t.Parallel()
	scripts := map[channeltest.Behaviour]script{
		channeltest.Accepts:      {},
		channeltest.BadAddress:   {"RCPT": "550 5.1.1 <" + borrower + "> is not known here"},
		channeltest.Rejects:      {"dot": "554 5.6.0 we do not like the words"},
		channeltest.Unauthorized: {"MAIL": "530 5.7.0 who are you"},
		channeltest.Throttles:    {"RCPT": "450 4.7.1 too many from you"},
		channeltest.Unready:      {"RCPT": "451 4.3.0 try later"},
		channeltest.Refuses:      {},
		channeltest.DropsEarly:   {"DATA": hangUp},
		channeltest.Silent:       {"dot": silence},
		channeltest.Drops:        {"dot": hangUp},
		channeltest.Cuts:         {"dot": cut + "250 2.0.0 Ok: qu"},
		channeltest.Babbles:      {"dot": "\x00\xff\xfe"},
		channeltest.Floods:       {"dot": flood},
		channeltest.Drips:        {"dot": drip + "250 2.0.0 Ok: queued as 7"},
	}
	channeltest.Run(t, channeltest.Case{
		New: func(t *testing.T, b channeltest.Behaviour) channeltest.Carrier {
			srv := newServer(t, scripts[b])
			c := config(srv.addr)
			c.Timeout = testTime
			heal := func() { srv.follow(script{}) }
			if b == channeltest.Refuses {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				closed := l.Addr().(*net.TCPAddr)
				_ = l.Close()
				c.Port, heal = closed.Port, func() { srv.listen(closed.String()) }
			}
			return channeltest.Carrier{Sender: newSender(t, c), Channel: duly.ChannelEmail, To: borrower, Log: &srv.log, Heal: heal}
		},
		Skip: map[channeltest.Behaviour]string{channeltest.OptsOut: "a mail server keeps no list of refusals"},
	})
}

// TestReplies is the decision table, reply by reply.
func TestReplies(t *testing.T) {
	t.Parallel()
	busy := time.Minute
	tests := []struct {
		step, reply string
		want        channel.Error
	}{
		{"greeting", "421 4.3.2 shutting down", channel.Error{Class: channel.Throttled, RetryAfter: busy, Code: "smtp_421", Detail: "greeting 4.3.2"}},
		{"greeting", "554 5.7.1 your network is not welcome", channel.Error{Class: channel.Config, Code: "smtp_554", Detail: "greeting 5.7.1"}},
		{"greeting", hangUp, channel.Error{Class: channel.Temporary, Code: "connection", Detail: "greeting"}},
		{"greeting", "ESMTP, or so", channel.Error{Class: channel.Temporary, Code: "connection", Detail: "greeting"}},
		{"EHLO", hangUp, channel.Error{Class: channel.Temporary, Code: "connection", Detail: "greeting"}},
		{"MAIL", "451 4.3.0 not now", channel.Error{Class: channel.Temporary, Code: "smtp_451", Detail: "mail 4.3.0"}},
		{"MAIL", "452 4.3.1 disk full", channel.Error{Class: channel.Throttled, RetryAfter: busy, Code: "smtp_452", Detail: "mail 4.3.1"}},
		{"MAIL", "550 5.1.8 we do not know you", channel.Error{Class: channel.Config, Code: "smtp_550", Detail: "mail 5.1.8"}},
		{"MAIL", "530 log in first", channel.Error{Class: channel.Config, Code: "smtp_530", Detail: "mail"}},
		{"RCPT", "421 4.7.0 too many", channel.Error{Class: channel.Throttled, RetryAfter: busy, Code: "smtp_421", Detail: "rcpt 4.7.0"}},
		{"RCPT", "450 4.7.1 greylisted", channel.Error{Class: channel.Throttled, RetryAfter: busy, Code: "smtp_450", Detail: "rcpt 4.7.1"}},
		{"RCPT", "450 4.2.0 mailbox busy", channel.Error{Class: channel.Temporary, Code: "smtp_450", Detail: "rcpt 4.2.0"}},
		{"RCPT", "452 4.2.2 mailbox full", channel.Error{Class: channel.Temporary, Code: "smtp_452", Detail: "rcpt 4.2.2"}},
		{"RCPT", "452 too many recipients", channel.Error{Class: channel.Throttled, RetryAfter: busy, Code: "smtp_452", Detail: "rcpt"}},
		{"RCPT", "550 5.1.1 no such user", channel.Error{Class: channel.BadAddress, Code: "smtp_550", Detail: "rcpt 5.1.1"}},
		{"RCPT", "550-5.1.1 no such user\r\n550 5.1.1 see our site", channel.Error{Class: channel.BadAddress, Code: "smtp_550", Detail: "rcpt 5.1.1"}},
		{"RCPT", "550 5.2.1 disabled", channel.Error{Class: channel.BadAddress, Code: "smtp_550", Detail: "rcpt 5.2.1"}},
		{"RCPT", "501 5.1.3 bad syntax", channel.Error{Class: channel.BadAddress, Code: "smtp_501", Detail: "rcpt 5.1.3"}},
		{"RCPT", "550 no such user", channel.Error{Class: channel.BadAddress, Code: "smtp_550", Detail: "rcpt"}},
		{"RCPT", "550 5.7.1 policy", channel.Error{Class: channel.Permanent, Code: "smtp_550", Detail: "rcpt 5.7.1"}},
		{"RCPT", "550 5.1.7 bad sender", channel.Error{Class: channel.Config, Code: "smtp_550", Detail: "rcpt 5.1.7"}},
		{"RCPT", "552 5.2.2 over quota", channel.Error{Class: channel.Permanent, Code: "smtp_552", Detail: "rcpt 5.2.2"}},
		{"RCPT", "554 no", channel.Error{Class: channel.Permanent, Code: "smtp_554", Detail: "rcpt"}},
		{"RCPT", "550 5.1.x odd", channel.Error{Class: channel.BadAddress, Code: "smtp_550", Detail: "rcpt"}},
		{"RCPT", "399 what", channel.Error{Class: channel.Temporary, Code: "smtp_399", Detail: "rcpt"}},
		{"RCPT", hangUp, channel.Error{Class: channel.Temporary, Code: "connection", Detail: "rcpt"}},
		{"DATA", "554 5.5.1 no valid recipients", channel.Error{Class: channel.Permanent, Code: "smtp_554", Detail: "data 5.5.1"}},
		{"DATA", hangUp, channel.Error{Class: channel.Temporary, Code: "connection", Detail: "data"}},
		{"dot", "550 5.7.1 spam", channel.Error{Class: channel.Permanent, Code: "smtp_550", Detail: "dot 5.7.1"}},
		{"dot", "550 no", channel.Error{Class: channel.Permanent, Code: "smtp_550", Detail: "dot"}},
		{"dot", "550 5.1.1 no such user", channel.Error{Class: channel.BadAddress, Code: "smtp_550", Detail: "dot 5.1.1"}},
		{"dot", "451 4.3.0 queue full", channel.Error{Class: channel.Temporary, Code: "smtp_451", Detail: "dot 4.3.0"}},
		{"dot", "451 4.7.1 slow down", channel.Error{Class: channel.Throttled, RetryAfter: busy, Code: "smtp_451", Detail: "dot 4.7.1"}},
		{"dot", "354 what", channel.Error{Class: channel.Unknown, Code: "smtp_354", Detail: "dot"}},
		{"dot", hangUp, channel.Error{Class: channel.Unknown, Code: "connection", Detail: "dot"}},
		{"dot", "so be it", channel.Error{Class: channel.Unknown, Code: "connection", Detail: "dot"}},
	}
	for _, tt := range tests {
		t.Run(tt.step+" "+tt.reply, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{tt.step: tt.reply})
			s := newSender(t, config(srv.addr))
			_, got := send(t, s, message(1))
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			srv.follow(script{})
			if _, err := send(t, s, message(2)); err != nil {
				t.Errorf("the next mail: %v", err)
			}
		})
	}
}

// TestSilence: a server that stops answering costs the time-out; before the dot the mail is safe, after it in doubt.
func TestSilence(t *testing.T) {
	t.Parallel()
	for step, want := range map[string]channel.Class{
		"greeting": channel.Temporary, "EHLO": channel.Temporary, "MAIL": channel.Temporary, "RCPT": channel.Temporary, "DATA": channel.Temporary,
		"dot": channel.Unknown,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{step: silence})
			c := config(srv.addr)
			c.Timeout = 300 * time.Millisecond
			_, got := send(t, newSender(t, c), message(1))
			if got == nil || got.Class != want || got.Code != "timeout" {
				t.Errorf("got %v, want class %s, code timeout", got, want)
			}
		})
	}
}

func TestOddAcceptance(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"250 2.0.0 Ok: queued as 4F2A81B": "4F2A81B",
		"250 ok":                          "",
		"250-2.0.0 Ok\r\n250 2.0.0 queued as 9-Z_a; thanks": "9-Z_a",
		"251 will forward":                                          "",
		"250 queued as <" + borrower + ">":                          "",
		"250 queued as " + strings.Repeat("x", 65):                  "",
		"250 2.0.0 Ok: queued as ABC\r\n" + "999 and then nonsense": "ABC",
	}
	for reply, want := range tests {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{"dot": reply})
			got, err := send(t, newSender(t, config(srv.addr)), message(1))
			if err != nil || got.ProviderID != want {
				t.Errorf("got %+v, %v; want provider id %q", got, err, want)
			}
		})
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	c := config(srv.addr)
	c.ReplyTo, c.EnvelopeFrom, c.Unsubscribe = "help@lender.example", "bounce+{attempt}@lender.example", "https://lender.example/u/{attempt}"
	m := message(1)
	m.Text = "您好，\n.单独一点开头的行\n您的借款将于明日到期。" + strings.Repeat("长", 300)
	if _, err := send(t, newSender(t, c), m); err != nil {
		t.Fatal(err)
	}
	got := srv.got()[0]
	id := string(m.AttemptID)
	if want := "FROM:<bounce+" + id + "@lender.example> BODY=8BITMIME"; got.mail != want {
		t.Errorf("envelope: got %q, want %q", got.mail, want)
	}
	if want := "TO:<" + borrower + ">"; got.rcpt != want {
		t.Errorf("recipient: got %q, want %q", got.rcpt, want)
	}
	parsed, err := mail.ReadMessage(strings.NewReader(got.data))
	if err != nil {
		t.Fatal(err)
	}
	if body := strings.TrimRight(decode(t, parsed), "\r\n"); body != strings.ReplaceAll(m.Text, "\n", "\r\n") && body != m.Text {
		t.Errorf("text: got %q, want %q", body, m.Text)
	}
	from, err := mail.ParseAddress(parsed.Header.Get("From"))
	if err != nil || from.Name != "示例消金" || from.Address != "notice@lender.example" {
		t.Errorf("from: got %v, %v", from, err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil || subject != m.Subject {
		t.Errorf("subject: got %q, %v; want %q", subject, err, m.Subject)
	}
	if at, err := parsed.Header.Date(); err != nil || !at.Equal(m.Now) {
		t.Errorf("date: got %v, %v; want %v", at, err, m.Now)
	}
	for name, want := range map[string]string{
		"Message-ID": "<" + id + "@lender.example>", "To": "<" + borrower + ">", "Reply-To": "<help@lender.example>", "Auto-Submitted": "auto-generated",
		"Content-Language": "zh-CN", "List-Unsubscribe": "<https://lender.example/u/" + id + ">",
		"List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "User-Agent": "", "X-Mailer": "",
	} {
		if got := parsed.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for i, line := range strings.Split(got.data, "\r\n") {
		if len(line) > 998 {
			t.Errorf("line %d has %d bytes, more than a mail may", i+1, len(line))
		}
	}
}

// decode returns the text of a mail, of two parts the plain one.
func decode(t *testing.T, m *mail.Message) string {
	t.Helper()
	return decodePart(t, m, "text/plain")
}

func decodePart(t *testing.T, m *mail.Message, want string) string {
	t.Helper()
	r, encoding := m.Body, m.Header.Get("Content-Transfer-Encoding")
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "multipart/alternative" {
		for parts := multipart.NewReader(m.Body, params["boundary"]); kind != want; {
			p, err := parts.NextRawPart()
			if err != nil {
				t.Fatalf("no part %s: %v", want, err)
			}
			kind, _, _ = mime.ParseMediaType(p.Header.Get("Content-Type"))
			r, encoding = p, p.Header.Get("Content-Transfer-Encoding")
		}
	}
	if kind != want {
		t.Fatalf("got %s, want %s", kind, want)
	}
	switch encoding {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEncoding: English stays readable on the wire.
func TestEncoding(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	m := message(1)
	m.Text = "Your repayment of £12 is due tomorrow."
	if _, err := send(t, newSender(t, config(srv.addr)), m); err != nil {
		t.Fatal(err)
	}
	data := srv.got()[0].data
	if !strings.Contains(data, "is due tomorrow.") {
		t.Errorf("not readable:\n%s", data)
	}
	parsed, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimRight(decode(t, parsed), "\r\n"); got != m.Text {
		t.Errorf("got %q, want %q", got, m.Text)
	}
}

// TestHostileMessage: nothing in a message can add a command, a header or a recipient.
func TestHostileMessage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(*channel.Message)
		want  channel.Class
	}{
		"no address":                    {func(m *channel.Message) { m.To = "" }, channel.BadAddress},
		"a phone number":                {func(m *channel.Message) { m.To = "+8613800138000" }, channel.BadAddress},
		"a name":                        {func(m *channel.Message) { m.To = "Zhang <a@b.example>" }, channel.BadAddress},
		"two addresses":                 {func(m *channel.Message) { m.To = "a@b.example, c@d.example" }, channel.BadAddress},
		"a second command":              {func(m *channel.Message) { m.To = "a@b.example>\r\nRCPT TO:<c@d.example" }, channel.BadAddress},
		"a long address":                {func(m *channel.Message) { m.To = strings.Repeat("a", 250) + "@b.example" }, channel.BadAddress},
		"a header in a subject":         {func(m *channel.Message) { m.Subject = "x\r\nBcc: c@d.example" }, channel.Permanent},
		"a subject of bad bytes":        {func(m *channel.Message) { m.Subject = "\xff" }, channel.Permanent},
		"a text of bad bytes":           {func(m *channel.Message) { m.Text = "\xff" }, channel.Permanent},
		"a text too long":               {func(m *channel.Message) { m.Text = strings.Repeat("a", 300<<10) }, channel.Permanent},
		"an address beyond this server": {func(m *channel.Message) { m.To = "张三@borrower.example" }, channel.Permanent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{})
			m := message(1)
			tt.spoil(&m)
			_, got := send(t, newSender(t, config(srv.addr)), m)
			if got == nil || got.Class != tt.want {
				t.Errorf("got %v, want class %s", got, tt.want)
			}
			if n := len(srv.got()); n != 0 {
				t.Errorf("%d mails went out", n)
			}
		})
	}
}

func TestWideAddress(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{}, "SMTPUTF8")
	s := newSender(t, config(srv.addr))
	for i, to := range []string{"张三@borrower.example", borrower} {
		m := message(i)
		m.To = to
		if _, err := send(t, s, m); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Contains(srv.got()[i].mail, "SMTPUTF8"), i == 0; got != want {
			t.Errorf("mail %d: SMTPUTF8 asked for: %t, want %t", i, got, want)
		}
	}
}

func TestConnectionReuse(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	s := newSender(t, config(srv.addr))
	for n := range 150 {
		if _, err := send(t, s, message(n)); err != nil {
			t.Fatal(err)
		}
	}
	if got := srv.connections(); got != 2 {
		t.Errorf("150 mails, one after the other, took %d connections; want 2 of 100 at most", got)
	}
	srv.follow(script{"RCPT": "550 5.1.1 no"})
	for n := range 5 {
		_, _ = send(t, s, message(200+n))
	}
	if got := srv.connections(); got != 2 {
		t.Errorf("5 refused mails took %d connections more", got-2)
	}
}

func TestConnectionsBounded(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	c := config(srv.addr)
	c.Connections = 3
	s := newSender(t, c)
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			if _, err := s.Send(t.Context(), message(n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := srv.connections(); got > 3 {
		t.Errorf("got %d connections, want 3 at most", got)
	}
}

// TestGivenUpConnection: a connection that the server ended meanwhile is noticed ahead of the mail, which then goes out
// on another, once.
func TestGivenUpConnection(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*server){
		"closed":      func(s *server) { s.dropAll() },
		"says 421":    func(s *server) { s.follow(script{"MAIL": once + "421 4.4.2 idle too long"}) },
		"hangs up":    func(s *server) { s.follow(script{"MAIL": once + hangUp}) },
		"has no idea": func(s *server) { s.follow(script{"MAIL": once + "what?"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{})
			s := newSender(t, config(srv.addr))
			if _, err := send(t, s, message(1)); err != nil {
				t.Fatal(err)
			}
			end(srv)
			if _, err := send(t, s, message(2)); err != nil {
				t.Fatal(err)
			}
			if got := srv.log.Taken(); len(got) != 2 || got[1] != message(2).AttemptID {
				t.Errorf("the server took %d mails, want 2", len(got))
			}
		})
	}
}

// TestLostLater: past MAIL a lost connection is not tried again by itself, though the class says that it may be.
func TestLostLater(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	s := newSender(t, config(srv.addr))
	if _, err := send(t, s, message(1)); err != nil {
		t.Fatal(err)
	}
	srv.follow(script{"dot": once + hangUp})
	if _, err := send(t, s, message(2)); err == nil || err.Class != channel.Unknown {
		t.Errorf("got %v, want unknown", err)
	}
	if got := len(srv.log.Taken()); got != 2 {
		t.Errorf("the server took %d mails, want 2", got)
	}
}

func TestWaitForConnection(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{"dot": silence})
	c := config(srv.addr)
	c.Connections = 1
	s := newSender(t, c)
	first, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := s.Send(first, message(1))
		if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Unknown || e.Code != "cancelled" {
			t.Errorf("the first: got %v, want unknown, cancelled", err)
		}
	})
	for len(srv.log.Taken()) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	second, stop := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("the caller's own"))
	defer stop()
	_, err := s.Send(second, message(2))
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Temporary || e.Code != "timeout" || e.Detail != "wait" {
		t.Errorf("the second: got %v, want temporary, still waiting", err)
	}
	cancel()
	wg.Wait()
}

func TestClose(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{})
	s := newSender(t, config(srv.addr))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := send(t, s, message(1)); err != nil {
		t.Errorf("a mail after Close: %v", err)
	}
	if _, err := send(t, s, message(2)); err != nil {
		t.Errorf("another: %v", err)
	}
	if got := srv.connections(); got != 2 {
		t.Errorf("got %d connections, want 2: none is kept any more", got)
	}
}
