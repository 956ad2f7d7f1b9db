package smtp_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/smtp"
)

// code is what a test wants of an error: class and code, or neither.
type code struct {
	class channel.Class
	code  string
}

func (c code) check(t *testing.T, err *channel.Error) {
	t.Helper()
	if c.class == "" && err != nil || c.class != "" && (err == nil || err.Class != c.class || err.Code != c.code) {
		t.Errorf("got %v, want class %q, code %q", err, c.class, c.code)
	}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	cert, authority := certificate(t)
	tests := []struct {
		name   string
		ext    []string
		script script
		change func(*smtp.Config)
		want   code
	}{
		{"trusted", []string{"STARTTLS"}, nil, func(c *smtp.Config) { c.CertAuthority = authority }, code{}},
		{"unknown authority", []string{"STARTTLS"}, nil, func(*smtp.Config) {}, code{channel.Config, "connection"}},
		{"another name", []string{"STARTTLS"}, nil, func(c *smtp.Config) { c.CertAuthority, c.ServerName = authority, "mx.other.example" }, code{channel.Config, "connection"}},
		{"not offered", nil, nil, func(c *smtp.Config) { c.CertAuthority = authority }, code{channel.Config, "no_starttls"}},
		{"not now", []string{"STARTTLS"}, script{"STARTTLS": "454 4.7.0 no TLS now"}, func(*smtp.Config) {}, code{channel.Temporary, "smtp_454"}},
		{"hangs up", []string{"STARTTLS"}, script{"STARTTLS": hangUp}, func(*smtp.Config) {}, code{channel.Temporary, "connection"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, tt.script, tt.ext...)
			srv.secure(cert, false)
			c := config(srv.addr)
			c.TLS = smtp.ModeStartTLS
			tt.change(&c)
			_, err := send(t, newSender(t, c), message(1))
			tt.want.check(t, err)
			if n := len(srv.got()); n != 0 && tt.want.class != "" {
				t.Error("a mail went out all the same")
			}
		})
	}
}

func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	cert, authority := certificate(t)
	for _, tt := range []struct {
		name      string
		secure    bool
		authority string
		want      code
	}{
		{"trusted", true, authority, code{}},
		{"unknown authority", true, "", code{channel.Config, "connection"}},
		{"no TLS there", false, authority, code{channel.Config, "connection"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{})
			srv.secure(cert, tt.secure)
			c := config(srv.addr)
			c.TLS, c.CertAuthority = smtp.ModeTLS, tt.authority
			_, err := send(t, newSender(t, c), message(1))
			tt.want.check(t, err)
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	cert, authority := certificate(t)
	tests := []struct {
		name string
		ext  string
		auth smtp.Auth
		says string
		want code
	}{
		{"plain", "AUTH LOGIN PLAIN", "", "235 2.7.0 welcome", code{}},
		{"wrong password", "AUTH PLAIN", "", "535 5.7.8 no", code{channel.Config, "smtp_535"}},
		{"not now", "AUTH PLAIN", "", "454 4.7.0 later", code{channel.Temporary, "smtp_454"}},
		{"too many", "AUTH PLAIN", "", "421 4.7.0 slow down", code{channel.Throttled, "smtp_421"}},
		{"hangs up", "AUTH PLAIN", "", hangUp, code{channel.Temporary, "connection"}},
		{"no way in common", "AUTH GSSAPI", "", "", code{channel.Config, "no_auth"}},
		{"not the way asked for", "AUTH PLAIN", smtp.AuthSCRAM, "", code{channel.Config, "no_auth"}},
		{"no login there", "HELP", "", "", code{channel.Config, "no_auth"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, script{"AUTH": tt.says}, tt.ext)
			srv.secure(cert, false)
			c := config(srv.addr)
			c.CertAuthority, c.Username, c.Password, c.Auth = authority, "duly", channel.NewSecret("hunter2-hunter2"), tt.auth
			_, err := send(t, newSender(t, c), message(1))
			tt.want.check(t, err)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells the password")
			}
			want := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00duly\x00hunter2-hunter2"))
			srv.mu.Lock()
			defer srv.mu.Unlock()
			if tt.name == "plain" && !strings.Contains(strings.Join(srv.lines, "\n"), want) {
				t.Error("the server did not get the password")
			}
		})
	}
}

// TestOpenLogin: even where the server would take it, a password does not cross an open line to another machine.
func TestOpenLogin(t *testing.T) {
	t.Parallel()
	srv := newServer(t, script{}, "AUTH PLAIN LOGIN")
	c := config(srv.addr)
	c.Username, c.Password, c.ServerName = "duly", channel.NewSecret("hunter2"), "mx.lender.example"
	_, err := send(t, newSender(t, c), message(1))
	code{channel.Config, "login"}.check(t, err)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if strings.Contains(strings.Join(srv.lines, "\n"), "AUTH") {
		t.Error("the password was sent")
	}
}

func TestUnknownHost(t *testing.T) {
	t.Parallel()
	_, err := send(t, newSender(t, smtp.Config{Host: "mx.invalid", From: "a@lender.example", Timeout: 5 * time.Second}), message(1))
	if err == nil || err.Class != channel.Config && err.Class != channel.Temporary { // without any name server it is temporary
		t.Errorf("got %v, want config", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := smtp.Config{Host: "smtp.lender.example", From: "Lender <notice@lender.example>"}
	if err := good.Check("x"); err != nil {
		t.Fatalf("a good configuration: %v", err)
	}
	password, long, rsaKey := channel.NewSecret("hunter2"), channel.NewSecret("0123456789abcdef"), channel.NewSecret(theKeys().rsa)
	tests := map[string]func(*smtp.Config){
		"host":          func(c *smtp.Config) { c.Host = "" },
		"host ":         func(c *smtp.Config) { c.Host = "smtp.lender.example:587" },
		"port":          func(c *smtp.Config) { c.Port = 70000 },
		"tls":           func(c *smtp.Config) { c.TLS = "maybe" },
		"tls ":          func(c *smtp.Config) { c.TLS, c.Username, c.Password = smtp.ModeNone, "duly", password },
		"username":      func(c *smtp.Config) { c.Password = password },
		"password":      func(c *smtp.Config) { c.Username = "duly" },
		"auth":          func(c *smtp.Config) { c.Auth = "ntlm" },
		"from":          func(c *smtp.Config) { c.From = "Lender" },
		"reply_to":      func(c *smtp.Config) { c.ReplyTo = "nobody" },
		"envelope_from": func(c *smtp.Config) { c.EnvelopeFrom = "Bounces <b@lender.example>" },
		"helo":          func(c *smtp.Config) { c.Helo = "a b" },
		"unsubscribe":   func(c *smtp.Config) { c.Unsubscribe = "http://lender.example/u" },
		"unsubscribe  ": func(c *smtp.Config) { c.Unsubscribe = "https://lender.example/" + strings.Repeat("a", 1000) },
		"unsubscribe ":  func(c *smtp.Config) { c.Unsubscribe = "https://lender.example/{token}\r\nX: y" },
		"secrets":       func(c *smtp.Config) { c.Unsubscribe = "https://lender.example/{token}" },
		"secrets ":      func(c *smtp.Config) { c.Inbox = "maildir" },
		"secrets  ":     func(c *smtp.Config) { c.InboundSecrets = []channel.Secret{long} },
		"secrets[0]":    func(c *smtp.Config) { c.Secrets = []channel.Secret{password} },
		"secrets   ":    func(c *smtp.Config) { c.Secrets = []channel.Secret{long, long, long} },
		"inbound_secrets[0]": func(c *smtp.Config) {
			c.Secrets, c.InboundSecrets = []channel.Secret{long}, []channel.Secret{password}
		},
		"inbox_every":    func(c *smtp.Config) { c.InboxEvery = time.Millisecond },
		"envelope_from ": func(c *smtp.Config) { c.EnvelopeFrom = "bounces-of-mail+{attempt}@lender.example" },
		"dkim":           func(c *smtp.Config) { c.DKIM = []smtp.DKIM{{Domain: "mailer.example", Selector: "s", Key: rsaKey}} },
		"dkim ": func(c *smtp.Config) {
			c.DKIM = slices.Repeat([]smtp.DKIM{{Domain: "lender.example", Selector: "s", Key: rsaKey}}, 5)
		},
		"dkim[0].domain": func(c *smtp.Config) { c.DKIM = []smtp.DKIM{{Domain: "Lender.Example", Selector: "s", Key: rsaKey}} },
		"dkim[0].selector": func(c *smtp.Config) {
			c.DKIM = []smtp.DKIM{{Domain: "lender.example", Selector: "s; a=b", Key: rsaKey}}
		},
		"dkim[0].key":  func(c *smtp.Config) { c.DKIM = []smtp.DKIM{{Domain: "lender.example", Selector: "s"}} },
		"dkim[0].key ": func(c *smtp.Config) { c.DKIM = []smtp.DKIM{{Domain: "lender.example", Selector: "s", Key: password}} },
		"dkim[0].key  ": func(c *smtp.Config) {
			c.DKIM = []smtp.DKIM{{Domain: "lender.example", Selector: "s", Key: channel.NewSecret(theKeys().small)}}
		},
		"dkim[0].key_file": func(c *smtp.Config) {
			c.DKIM = []smtp.DKIM{{Domain: "lender.example", Selector: "s", KeyFile: "not-there.pem"}}
		},
		"connections":    func(c *smtp.Config) { c.Connections = 1000 },
		"timeout":        func(c *smtp.Config) { c.Timeout = time.Hour },
		"cert_authority": func(c *smtp.Config) { c.CertAuthority = "no PEM" },
	}
	wide := good
	wide.From, wide.DKIM = "notice@例子.中国", []smtp.DKIM{{Domain: "xn--fsqu00a.xn--fiqs8s", Selector: "s", Key: rsaKey}}
	if err := wide.Check("x"); err != nil {
		t.Errorf("a Chinese domain: %v", err)
	}
	for field, spoil := range tests {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			c := good
			spoil(&c)
			_, err := smtp.New("mail", c, channel.Host{})
			e, ok := errors.AsType[*duly.Error](err)
			if want := "carriers.mail.smtp." + strings.TrimSpace(field); !ok || e.Place.Field != want || e.Hint == "" || e.Code != duly.Invalid {
				t.Errorf("got %v, want an invalid %s with a hint", err, want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error tells the password")
			}
		})
	}
}
