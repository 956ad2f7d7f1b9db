package smtp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	netsmtp "net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

// postfixWait is how long Postfix may take to start, or to send all its reports.
const postfixWait = 90 * time.Second

// The configuration of a Postfix that accepts every mail, so that what becomes of it comes back as a report. Mail to
// lender.example is delivered to a maildir, mail to pipe.lender.example is given to a program.
const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log/maillog
maillog_file_prefixes = %[1]s
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.lender.example
mydestination =
mynetworks = 127.0.0.0/8
recipient_delimiter = +
smtputf8_enable = yes
smtpd_reject_unlisted_recipient = no
smtpd_recipient_restrictions = permit_mynetworks, reject
smtp_host_lookup = native
smtp_dns_support_level = disabled
virtual_mailbox_domains = lender.example, known.example
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = texthash:%[1]s/config/mailboxes
virtual_uid_maps = static:%[2]s
virtual_gid_maps = static:%[2]s
transport_maps = texthash:%[1]s/config/transport
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
maximal_queue_lifetime = 4s
bounce_queue_lifetime = 60s
delay_warning_time = 2s
`

const postfixMaster = `postlog unix-dgram n - n - 1 postlogd
127.0.0.1:%[1]d inet n - n - - smtpd
127.0.0.1:%[2]d inet n - n - - smtpd -o message_size_limit=500 -o smtpd_client_restrictions=permit
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
duly unix - n n - 1 pipe flags=DRu user=nobody argv=%[3]s
`

// postfix is a running Postfix.
type postfix struct {
	smtp  *net.TCPAddr
	inbox string
}

// startPostfix starts a Postfix of its own, with configuration, queue and ports of its own, or skips the test saying why it cannot.
func startPostfix(t *testing.T, script string) postfix {
	t.Helper()
	program, err := exec.LookPath("postfix")
	if err != nil {
		program = "/usr/sbin/postfix"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("no Postfix: it is not installed (Debian: postfix)")
	}
	if os.Getuid() != 0 {
		t.Skip("no Postfix: it starts for root alone")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("no Postfix: there is no user nobody")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // its processes run as other users
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := postfix{smtp: freePort(t), inbox: filepath.Join(dir, "mail", "bounces")}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Skip("no Postfix: there is no user postfix")
	}
	for name, of := range map[string]*user.User{"queue": nil, "data": owner, "config": nil, "mail": nobody, "log": nil} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if of == nil {
			continue
		}
		uid, _ := strconv.Atoi(of.Uid)
		gid, _ := strconv.Atoi(of.Gid)
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	small := freePort(t)
	for name, text := range map[string]string{
		"config/main.cf":   fmt.Sprintf(postfixMain, dir, nobody.Uid),
		"config/master.cf": fmt.Sprintf(postfixMaster, p.smtp.Port, small.Port, filepath.Join(dir, "post")),
		"config/mailboxes": "bounce@lender.example bounces/\nreply@lender.example bounces/\n",
		"config/transport": fmt.Sprintf("pipe.lender.example duly:\nsmall.example smtp:[127.0.0.1]:%d\ndown.example smtp:[127.0.0.1]:%d\npolicy.example error:5.7.1 we do not want it\n", small.Port, mutePort(t)),
		"post":             script,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "-c", filepath.Join(dir, "config"), "start-fg")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	log := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "log", "maillog"))
		return out.String() + string(text)
	}
	t.Cleanup(func() {
		_ = exec.Command(program, "-c", filepath.Join(dir, "config"), "stop").Run()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		<-exited
		if t.Failed() {
			t.Logf("Postfix says:\n%s", log())
		}
	})
	for end := time.Now().Add(postfixWait); !answers(p.smtp.String()); time.Sleep(50 * time.Millisecond) {
		select {
		case <-exited:
			t.Skipf("no Postfix: it does not start here:\n%s", log())
		default:
		}
		if time.Now().After(end) {
			t.Skipf("no Postfix: it does not answer:\n%s", log())
		}
	}
	return p
}

// mutePort is one on which a server hangs up ahead of its greeting.
func mutePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// heard gathers what a sender hears.
type heard struct {
	mu       sync.Mutex
	receipts map[duly.AttemptID][]string
	replies  []channel.Reply
}

func (h *heard) take(_ context.Context, in channel.Heard) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range in.Receipts {
		h.receipts[r.AttemptID] = append(h.receipts[r.AttemptID], string(r.Status)+" "+r.Detail)
	}
	h.replies = append(h.replies, in.Replies...)
	return nil
}

func (h *heard) counts() (int, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.receipts), len(h.replies)
}

// TestPostfix: reports of a real mail server, about mails that it took and could not bring, come back as what became of the
// attempts: by a maildir and by a pipe.
func TestPostfix(t *testing.T) {
	t.Parallel()
	var got heard
	got.receipts = map[duly.AttemptID][]string{}
	var piped *smtp.Sender
	failures := 1 // the first POST is not answered well: the pipe must keep the mail
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		failures--
		broken := failures >= 0
		mu.Unlock()
		if err != nil || broken {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		in, err := piped.Hear(r, body)
		if err == nil {
			err = got.take(r.Context(), in)
		}
		if err != nil {
			t.Errorf("heard by the pipe: %v", err)
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(srv.Close)
	script := "#!/bin/sh\nhead -c 4000000 | curl -sf --max-time 30 --data-binary @- -H 'Content-Type: message/rfc822' -H 'Authorization: Bearer " +
		inboundSecret.Reveal() + "' " + srv.URL + "/v1/receipts/mail >/dev/null || exit 75\n"
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no pipe: curl is not installed")
	}
	p := startPostfix(t, script)
	sending := func(domain string) *smtp.Sender {
		c := signing(t, config(p.smtp))
		c.EnvelopeFrom, c.ReplyTo = "bounce+{attempt}@"+domain, ""
		c.InboundSecrets, c.Inbox, c.InboxEvery = []channel.Secret{inboundSecret}, p.inbox, time.Second
		s, err := smtp.New("mail", c, channel.Host{Clock: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := sending("lender.example")
	piped = sending("pipe.lender.example")
	want := map[duly.AttemptID][]string{}
	for n, tt := range []struct {
		by   *smtp.Sender
		to   string
		want string
	}{
		{s, "nobody@known.example", "bad_address dsn_5.1.1"},
		{s, "张三@known.example", "bad_address dsn_5.1.1"}, // reported as message/global-delivery-status
		{s, "zhang.san@small.example", "failed dsn_5.3.4"},
		{s, "zhang.san@policy.example", "failed dsn_5.7.1"},
		{s, "zhang.san@down.example", "failed dsn_4.4.2"}, // perhaps after a report that it is late
		{piped, "nobody@known.example", "bad_address dsn_5.1.1"},
	} {
		m := message(100 + n)
		m.To, m.Now = tt.to, time.Now()
		if _, err := send(t, tt.by, m); err != nil {
			t.Fatalf("%s: %v", tt.want, err)
		}
		want[m.AttemptID] = []string{tt.want}
	}
	answered := message(100).AttemptID
	reply := fmt.Sprintf("From: <%s>\r\nTo: <reply+%s@lender.example>\r\nSubject: Re: x\r\nMessage-ID: <1@borrower.example>\r\n\r\nI have paid.\r\n\r\nOn Monday, Lender wrote:\r\n> x\r\n", borrower, mark(answered))
	if err := netsmtp.SendMail(p.smtp.String(), nil, borrower, []string{"reply+" + mark(answered) + "@lender.example"}, []byte(reply)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := startListening(ctx, t, s, &got)
	for end := time.Now().Add(postfixWait); ; time.Sleep(50 * time.Millisecond) {
		if receipts, replies := got.counts(); receipts >= len(want) && replies >= 1 || time.Now().After(end) {
			break
		}
	}
	cancel()
	<-done
	if diff := cmp.Diff(want, got.receipts); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(got.replies) != 1 || got.replies[0].AttemptID != answered || got.replies[0].Text != "I have paid." || got.replies[0].From != borrower {
		t.Errorf("got the replies %+v", got.replies)
	}
	if n := s.Counts(); n["delay"] > 1 || n["unread"]+n["unproven"] != 0 {
		t.Errorf("counted %v, want a delay at most and nothing unread", n)
	}
}

func startListening(ctx context.Context, t *testing.T, s *smtp.Sender, got *heard) chan struct{} {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Listen(ctx, got.take); err != nil {
			t.Error(err)
		}
	}()
	return done
}
