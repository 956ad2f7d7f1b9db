package smtp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/channel"
)

// mailpit is a mail server of other people's, for tests. It is no dependency of this module: it is built into the user's
// cache once, in a module of its own.
const (
	mailpit        = "github.com/axllent/mailpit"
	mailpitVersion = "v1.30.5"
	mailpitWait    = 20 * time.Second
)

// mailpitBinary builds mailpit, or skips the test saying why it cannot.
func mailpitBinary(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip("no mailpit: there is no cache folder to build it into: ", err)
	}
	binary := filepath.Join(cache, "duly-test", "mailpit-"+mailpitVersion)
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if testing.Short() {
		t.Skip("no mailpit: not built yet, and -short does not build it")
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"mod", "init", "mailpitbuild"},
		{"get", "-tool", mailpit + "@" + mailpitVersion},
		{"build", "-o", "mailpit", mailpit},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("no mailpit: go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if err := install(filepath.Join(dir, "mailpit"), binary); err != nil {
		t.Skip("no mailpit: it cannot be put into the cache: ", err)
	}
	return binary
}

// install copies a program to its place so that it is there whole or not at all.
func install(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	src, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	part := to + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(part, src, 0o755); err != nil {
		return err
	}
	return os.Rename(part, to)
}

// pit is a running mailpit.
type pit struct {
	smtp *net.TCPAddr
	api  string
}

func startMailpit(t *testing.T, binary string, flags ...string) pit {
	t.Helper()
	p := pit{smtp: freePort(t), api: "http://" + freePort(t).String()}
	var out bytes.Buffer
	cmd := exec.Command(binary, append([]string{
		"--listen", strings.TrimPrefix(p.api, "http://"), "--smtp", p.smtp.String(), "--smtp-disable-rdns", "--disable-version-check",
		"--database", filepath.Join(t.TempDir(), "mailpit.db"), "--enable-chaos",
	}, flags...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-exited })
	end := time.Now().Add(mailpitWait)
	for !answers(p.smtp.String()) || !answers(strings.TrimPrefix(p.api, "http://")) {
		select {
		case <-exited:
			t.Fatalf("mailpit ended:\n%s", out.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatal("mailpit does not answer")
		}
	}
	return p
}

func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func freePort(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr)
}

// call asks mailpit's API.
func (p pit) call(t *testing.T, method, path string, in, out any) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, p.api+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("mailpit: %s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatal(err)
		}
	}
}

// kept is a mail as mailpit tells of it.
type kept struct {
	ID        string
	MessageID string
	Subject   string
	Text      string
	To        []struct{ Address string }
	From      struct{ Name, Address string }
	Tags      []string
}

func (p pit) kept(t *testing.T) []kept {
	t.Helper()
	var list struct {
		Messages []kept `json:"messages"`
	}
	p.call(t, http.MethodGet, "/api/v1/messages?limit=500", nil, &list)
	return list.Messages
}

// TestMailpit sends to a real server: what arrives is what was sent, once, and its refusals are understood.
func TestMailpit(t *testing.T) {
	t.Parallel()
	binary := mailpitBinary(t)
	cert, authority := certificate(t)
	certFile, keyFile := writeCertificate(t, cert, authority)
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, []byte("duly:hunter2-hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := startMailpit(t, binary)
	closed := startMailpit(t, binary, "--smtp-tls-cert", certFile, "--smtp-tls-key", keyFile, "--smtp-require-starttls", "--smtp-auth-file", passwords)

	t.Run("arrives whole", func(t *testing.T) {
		c := config(open.smtp)
		c.Unsubscribe = "https://lender.example/u/{attempt}"
		s := newSender(t, c)
		m := message(1)
		if _, err := send(t, s, m); err != nil {
			t.Fatal(err)
		}
		list := open.kept(t)
		if len(list) != 1 {
			t.Fatalf("mailpit has %d mails, want 1", len(list))
		}
		var got kept
		open.call(t, http.MethodGet, "/api/v1/message/"+list[0].ID, nil, &got)
		if got.MessageID != string(m.AttemptID)+"@lender.example" || got.Subject != m.Subject || strings.TrimRight(got.Text, "\r\n") != m.Text ||
			got.From.Name != "示例消金" || len(got.To) != 1 || got.To[0].Address != borrower {
			t.Errorf("arrived as %+v", got)
		}
		var header map[string][]string
		open.call(t, http.MethodGet, "/api/v1/message/"+list[0].ID+"/headers", nil, &header)
		if got := header["Auto-Submitted"]; !cmp.Equal(got, []string{"auto-generated"}) {
			t.Errorf("Auto-Submitted: got %q", got)
		}
		if got := header["List-Unsubscribe-Post"]; !cmp.Equal(got, []string{"List-Unsubscribe=One-Click"}) {
			t.Errorf("List-Unsubscribe-Post: got %q", got)
		}
	})
	t.Run("signed", func(t *testing.T) { signedMail(t, open) })
	t.Run("chaos", func(t *testing.T) { chaos(t, open) })
	t.Run("login over STARTTLS", func(t *testing.T) { login(t, closed, authority) })
}

// signedMail: the signatures hold in what another program received, and it finds the link of refusal as RFC 8058 wants it.
func signedMail(t *testing.T, p pit) {
	p.call(t, http.MethodDelete, "/api/v1/messages", map[string]any{}, nil)
	s := newSender(t, signing(t, config(p.smtp)))
	m := message(3)
	if _, err := send(t, s, m); err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID              string
		MessageID       string
		ReturnPath      string
		HTML            string
		ListUnsubscribe struct {
			Header, HeaderPost string
			Links              []string
			Errors             string
		}
	}
	list := p.kept(t)
	if len(list) != 1 {
		t.Fatalf("mailpit has %d mails, want 1", len(list))
	}
	p.call(t, http.MethodGet, "/api/v1/message/"+list[0].ID, nil, &got)
	link := "https://duly.lender.example/v1/unsubscribe/" + channel.Marks{Use: "unsubscribe", Secrets: []channel.Secret{markSecret}}.Make(m.AttemptID)
	if u := got.ListUnsubscribe; u.Errors != "" || !cmp.Equal(u.Links, []string{link}) || u.HeaderPost != "List-Unsubscribe=One-Click" {
		t.Errorf("mailpit reads the link as %+v", u)
	}
	if got.MessageID != mark(m.AttemptID)+"@lender.example" || got.ReturnPath != "bounce+"+mark(m.AttemptID)+"@lender.example" || !strings.Contains(got.HTML, "<p>"+m.Text) {
		t.Errorf("arrived as %+v", got)
	}
	resp, err := http.Get(p.api + "/api/v1/message/" + list[0].ID + "/raw")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	verifySigned(t, raw)
}

// chaos makes the server refuse some of many mails: what the sender says was taken is what is there.
func chaos(t *testing.T, p pit) {
	type trigger struct{ ErrorCode, Probability int }
	for _, tt := range []struct {
		step string
		code int
		want channel.Class
	}{
		{"Recipient", 451, channel.Temporary},
		{"Recipient", 421, channel.Throttled},
		{"Recipient", 550, channel.BadAddress},
		{"Sender", 550, channel.Config},
		{"Recipient", 554, channel.Permanent},
	} {
		t.Run(fmt.Sprint(tt.step, tt.code), func(t *testing.T) {
			p.call(t, http.MethodDelete, "/api/v1/messages", map[string]any{}, nil)
			p.call(t, http.MethodPut, "/api/v1/chaos", map[string]trigger{tt.step: {tt.code, 50}}, nil)
			defer p.call(t, http.MethodPut, "/api/v1/chaos", map[string]trigger{}, nil)
			s := newSender(t, config(p.smtp))
			said := map[string]bool{}
			refused := 0
			var mu sync.Mutex
			var wg sync.WaitGroup
			for n := range 40 {
				wg.Go(func() {
					m := message(n)
					_, err := s.Send(t.Context(), m)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						said[string(m.AttemptID)+"@lender.example"] = true
						return
					}
					refused++
					if e, ok := errors.AsType[*channel.Error](err); !ok || e.Class != tt.want {
						t.Errorf("got %v, want class %s", err, tt.want)
					}
				})
			}
			wg.Wait()
			have := map[string]bool{}
			list := p.kept(t)
			for _, m := range list {
				have[m.MessageID] = true
			}
			if diff := cmp.Diff(said, have); diff != "" || len(list) != len(have) {
				t.Errorf("%d mails there, %d different; -said +there:\n%s", len(list), len(have), diff)
			}
			if refused == 0 || len(said) == 0 {
				t.Errorf("%d refused, %d taken: the test says nothing", refused, len(said))
			}
		})
	}
}

func login(t *testing.T, p pit, authority string) {
	for _, tt := range []struct {
		password string
		want     code
	}{{"hunter2-hunter2", code{}}, {"guess", code{channel.Config, "smtp_535"}}} {
		t.Run(tt.password, func(t *testing.T) {
			c := config(p.smtp)
			c.TLS, c.CertAuthority, c.Username, c.Password = "starttls", authority, "duly", channel.NewSecret(tt.password)
			_, err := send(t, newSender(t, c), message(1))
			tt.want.check(t, err)
		})
	}
	if got := len(p.kept(t)); got != 1 {
		t.Errorf("mailpit has %d mails, want 1", got)
	}
}
