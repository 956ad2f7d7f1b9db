package generic_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/channeltest"
	"github.com/dulyhq/duly/internal/channel/generic"
)

// kannelConfig is the provider Kannel, as docs/channels.md shows it.
const kannelConfig = `
url: http://127.0.0.1:13013/cgi-bin/sendsms
method: GET
region: CN
secrets: {password: "hunter2 of the gateway", callback: the-secret-of-the-callbacks}
query:
  username: duly
  password: "{{secret.password}}"
  from: "10690001"
  to: "{{to}}"
  text: "{{text}}"
  charset: UTF-8
  coding: "2"
  dlr-mask: "27"
  dlr-url: "CALLBACK?key={{secret.callback|url}}&attempt={{attempt|url}}&status=%d&code=%A&at=%T"
answer:
  format: text
  pattern: '^(?P<code>\d+): '
  codes: {"0": accepted, "3": accepted}
  statuses: {503: temporary}
callback:
  format: query
  proof: {key: [the-secret-of-the-callbacks]}
  receipt:
    attempt: attempt
    status: status
    code: code
    at: {path: at, layout: unix}
    statuses: {"1": delivered, "2": failed, "8": accepted, "16": failed}
  reply: {from: from, text: text, id: id, at: {path: at, layout: "2006-01-02 15:04:05"}}
`

// TestKannel sends through a real gateway that we did not write, over HTTP, to a message centre at its other side; receipts
// and a reply come back as the calls that the gateway makes.
func TestKannel(t *testing.T) {
	t.Parallel()
	k := startKannel(t)
	t.Run("sends", func(t *testing.T) { kannelSends(t, k) })
	t.Run("refuses", func(t *testing.T) { kannelRefuses(t, k) })
}

func kannelSends(t *testing.T, k *kannel) {
	const count = 60
	var wg sync.WaitGroup
	for n := range count {
		wg.Go(func() {
			m := channeltest.Message(duly.ChannelSMS, phone, n)
			m.Text = fmt.Sprintf("【示例消金】您有1笔还款明天到期 & 100%% 😀 #%03d", n)
			if _, err := k.sender.Send(t.Context(), m); err != nil {
				t.Errorf("message %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	k.wait(t, "all receipts", func() bool { return len(k.delivered) == count && len(k.accepted) == count && len(k.texts) == count })
	k.mu.Lock()
	for n := range count {
		id := channeltest.Message(duly.ChannelSMS, phone, n).AttemptID
		if k.delivered[id] != 1 || k.accepted[id] != 1 {
			t.Errorf("message %d: %d receipts of delivery and %d of acceptance", n, k.delivered[id], k.accepted[id])
		}
		if text := fmt.Sprintf("【示例消金】您有1笔还款明天到期 & 100%% 😀 #%03d", n); k.texts[text] != 1 {
			t.Errorf("message %d arrived %d times in its own words", n, k.texts[text])
		}
	}
	k.mu.Unlock()
	if _, err := fmt.Fprintf(k.centre, "%s 10690001 text T\n", phone); err != nil {
		t.Fatal(err)
	}
	k.wait(t, "the reply", func() bool { return len(k.replies) == 1 })
	if r := k.replies[0]; r.From != phone || r.Text != "T" || r.Key == "" {
		t.Errorf("got reply %+v", r)
	}
}

// kannelRefuses: what the gateway says no to.
func kannelRefuses(t *testing.T, k *kannel) {
	c := k.config
	c.Secrets = map[string]channel.Secret{"password": channel.NewSecret("some other password"), "callback": channel.NewSecret(secret)}
	_, err := k.make(c).Send(t.Context(), channeltest.Message(duly.ChannelSMS, phone, 1))
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Config || e.Code != "http_403" {
		t.Errorf("a wrong password: got %v, want config", err)
	}
	c = k.config
	c.Query = map[string]string{"username": "duly", "password": "{{secret.password}}", "to": "", "text": "{{text}}"}
	_, err = k.make(c).Send(t.Context(), channeltest.Message(duly.ChannelSMS, phone, 2))
	if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != channel.Permanent || e.Code != "http_400" {
		t.Errorf("no number: got %v, want permanent", err)
	}
}

// kannel is a gateway with a message centre at one side and ours at the other.
type kannel struct {
	t      *testing.T
	config generic.Config
	sender *generic.Sender
	centre net.Conn

	mu        sync.Mutex
	accepted  map[duly.AttemptID]int
	delivered map[duly.AttemptID]int
	texts     map[string]int // as the message centre got them
	replies   []channel.Reply
}

func startKannel(t *testing.T) *kannel {
	t.Helper()
	bearer, err := exec.LookPath("bearerbox")
	box, err2 := exec.LookPath("smsbox")
	if err := errors.Join(err, err2); err != nil {
		if os.Getenv("DULY_TEST_KANNEL_REQUIRED") == "1" {
			t.Fatalf("Kannel is required: %v", err)
		}
		t.Skip("no gateway to test against: scripts/setup-test installs kannel where root and apt are")
	}
	k := &kannel{t: t, accepted: map[duly.AttemptID]int{}, delivered: map[duly.AttemptID]int{}, texts: map[string]int{}}
	ours := httptest.NewServer(http.HandlerFunc(k.hear))
	t.Cleanup(ours.Close)
	for try := range 5 { // somebody else may take a port between its choice and the gateway's start
		if k.run(bearer, box, ours.URL, try) {
			return k
		}
	}
	t.Fatal("the gateway does not start")
	return nil
}

// run starts the gateway on ports of its own; false if it ended at once.
func (k *kannel) run(bearer, box, ours string, try int) bool {
	ports := freePorts(k.t, 4, try)
	conf := filepath.Join(k.t.TempDir(), "kannel.conf")
	if err := os.WriteFile(conf, []byte(kannelConf(ports, ours)), 0o600); err != nil {
		k.t.Fatal(err)
	}
	ended := k.start(bearer, conf)
	if k.centre = k.dial(ports[2], ended); k.centre == nil { // it listens for its message centre once it is ready for the box
		return false
	}
	go k.receive()
	ended = k.start(box, conf)
	c := k.dial(ports[3], ended)
	if c == nil {
		return false
	}
	_ = c.Close()
	k.config = read(k.t, strings.NewReplacer("CALLBACK", ours, ":13013", fmt.Sprint(":", ports[3])).Replace(kannelConfig))
	k.config.Link.Timeout = 30 * time.Second
	k.sender = k.make(k.config)
	return true
}

func (k *kannel) make(c generic.Config) *generic.Sender {
	s, err := generic.New("sms", c, channel.Host{Clock: time.Now})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = s.Close() })
	return s
}

func kannelConf(ports []int, ours string) string {
	return fmt.Sprintf(`group = core
admin-port = %d
admin-interface = "127.0.0.1"
admin-password = admin-of-the-test
smsbox-port = %d
smsbox-interface = "127.0.0.1"
box-allow-ip = "127.0.0.1"
box-deny-ip = "*.*.*.*"
dlr-storage = internal

group = smsc
smsc = fake
smsc-id = fake
port = %d
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = %d
sendsms-interface = "127.0.0.1"

group = sendsms-user
username = duly
password = "hunter2 of the gateway"
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "%s/?key=%s&from=%%p&text=%%b&id=%%I&at=%%t"
`, ports[0], ports[1], ports[2], ports[3], ours, secret)
}

// start runs a program until the test ends; the channel is closed when it ends before.
func (k *kannel) start(program, conf string) <-chan struct{} {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, conf)
	cmd.Dir = k.t.TempDir()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		cancel()
		k.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	k.t.Cleanup(func() {
		cancel()
		<-ended
		if k.t.Failed() {
			text := out.String()
			k.t.Logf("%s said:\n%s", filepath.Base(program), text[max(0, len(text)-4000):])
		}
	})
	return ended
}

// dial connects once somebody listens; nil if the program ended before.
func (k *kannel) dial(port int, ended <-chan struct{}) net.Conn {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		select {
		case <-ended:
			return nil
		default:
		}
		if err == nil {
			k.t.Cleanup(func() { _ = c.Close() })
			return c
		}
	}
	return nil
}

// receive is the message centre: what it gets is a line each, escaped.
func (k *kannel) receive() {
	for s := bufio.NewScanner(k.centre); s.Scan(); {
		f := strings.SplitN(s.Text(), " ", 4)
		if len(f) != 4 {
			continue
		}
		text, err := url.QueryUnescape(f[3])
		if err == nil && f[2] == "ucs-2" {
			text = ucs2(text)
		}
		k.mu.Lock()
		k.texts[text]++
		k.mu.Unlock()
	}
}

func ucs2(s string) string {
	var units []uint16
	for i := 0; i+1 < len(s); i += 2 {
		units = append(units, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return string(utf16.Decode(units))
}

// hear is where the gateway calls.
func (k *kannel) hear(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got, err := k.sender.Hear(r, body)
	if err != nil {
		k.t.Errorf("%s: %v", r.URL.RawQuery, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, rc := range got.Receipts {
		switch rc.Status {
		case duly.ReceiptAccepted:
			k.accepted[rc.AttemptID]++
		case duly.ReceiptDelivered:
			k.delivered[rc.AttemptID]++
		default:
			k.t.Errorf("got receipt %+v", rc)
		}
	}
	k.replies = append(k.replies, got.Replies...)
}

func (k *kannel) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		k.mu.Lock()
		ok := done()
		k.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// freePorts finds ports that nobody listens on, below those that outgoing connections are given.
func freePorts(t *testing.T, n, try int) []int {
	t.Helper()
	var out []int
	for port := 20000 + (os.Getpid()*64+try*1024)%10000; len(out) < n && port < 32000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // all are held until all are found
		out = append(out, port)
	}
	if len(out) < n {
		t.Fatal("there are no free ports")
	}
	return out
}
