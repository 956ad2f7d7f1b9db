package smtp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail/smtp"
)

// What a server lacks. The texts are codes of the contract's error.
var (
	errNoStartTLS = errors.New("no_starttls")
	errNoAuth     = errors.New("no_auth")
	errNoUTF8     = errors.New("no_smtputf8")
)

// quitWait is how long a server may take to say goodbye.
const quitWait = time.Second

// conn is one connection to the server, past its login.
type conn struct {
	net    net.Conn
	client *gomail.Client
	sent   int
	reused bool
}

// dial connects, protects the connection and logs in.
func dial(ctx context.Context, c *Config) (*conn, *failure) {
	d := net.Dialer{}
	raw, err := d.DialContext(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		return nil, failed(ctx, phaseConnect, err)
	}
	release := bind(ctx, raw)
	defer release()
	client, f := login(ctx, c, raw)
	if f != nil {
		_ = raw.Close()
		return nil, f
	}
	return &conn{net: raw, client: client}, nil
}

// bind makes the connection fail when ctx ends, until release is called. After release nothing of ctx touches the
// connection any more.
func bind(ctx context.Context, c net.Conn) (release func()) {
	if at, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(at)
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = c.SetDeadline(longPast)
	})
	return func() {
		if !stop() {
			<-done
		}
		_ = c.SetDeadline(time.Time{})
	}
}

// longPast is a deadline that has passed, whatever the time.
var longPast = time.Unix(1, 0)

func login(ctx context.Context, c *Config, raw net.Conn) (*gomail.Client, *failure) {
	over := raw
	if c.TLS == ModeTLS {
		secure := tls.Client(raw, c.tlsConfig())
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, failed(ctx, phaseTLS, err)
		}
		over = secure
	}
	client, err := gomail.NewClient(over, c.ServerName)
	if err != nil {
		return nil, failed(ctx, phaseGreeting, err)
	}
	if err := client.Hello(c.Helo); err != nil {
		return nil, failed(ctx, phaseGreeting, err)
	}
	if c.TLS == ModeStartTLS {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return nil, failed(ctx, phaseTLS, errNoStartTLS)
		}
		if err := client.StartTLS(c.tlsConfig()); err != nil {
			return nil, failed(ctx, phaseTLS, err)
		}
	}
	if c.Username == "" {
		return client, nil
	}
	a, err := c.auth(client)
	if err == nil {
		err = client.Auth(a)
	}
	if err != nil {
		return nil, failed(ctx, phaseAuth, err)
	}
	return client, nil
}

func (c *Config) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: c.ServerName, RootCAs: certPool(c.CertAuthority), MinVersion: tls.VersionTLS12}
}

// certPool returns nil, which means the system's own authorities, for text without a certificate.
func certPool(pem string) *x509.CertPool {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil
	}
	return pool
}

// auth picks the way to log in. Ways that show the password are refused by the library on an open connection.
func (c *Config) auth(client *gomail.Client) (gomail.Auth, error) {
	_, offered := client.Extension("AUTH")
	ways := map[Auth]struct {
		name string
		make func() gomail.Auth
	}{
		AuthSCRAM: {"SCRAM-SHA-256", func() gomail.Auth { return gomail.ScramSHA256Auth(c.Username, c.Password.Reveal()) }},
		AuthCRAM:  {"CRAM-MD5", func() gomail.Auth { return gomail.CRAMMD5Auth(c.Username, c.Password.Reveal()) }},
		AuthPlain: {"PLAIN", func() gomail.Auth { return gomail.PlainAuth("", c.Username, c.Password.Reveal(), c.ServerName, false) }},
		AuthLogin: {"LOGIN", func() gomail.Auth { return gomail.LoginAuth(c.Username, c.Password.Reveal(), c.ServerName, false) }},
	}
	order := []Auth{AuthSCRAM, AuthPlain, AuthLogin, AuthCRAM}
	if c.Auth != AuthAuto {
		order = []Auth{c.Auth}
	}
	for _, a := range order {
		for _, name := range strings.Fields(offered) {
			if name == ways[a].name {
				return ways[a].make(), nil
			}
		}
	}
	return nil, errNoAuth
}

// deliver makes one transaction and returns the server's answer to the final dot.
func (c *conn) deliver(ctx context.Context, from, to string, raw []byte) (string, *failure) {
	release := bind(ctx, c.net)
	defer release()
	wide := !ascii(from) || !ascii(to)
	if offered, _ := c.client.Extension("SMTPUTF8"); wide && !offered {
		return "", failed(ctx, phaseRcpt, errNoUTF8)
	}
	c.client.SkipSMTPUTF8(!wide)
	if err := c.client.Mail("<" + from + ">"); err != nil {
		return "", failed(ctx, phaseMail, err)
	}
	if err := c.client.Rcpt("<" + to + ">"); err != nil {
		return "", failed(ctx, phaseRcpt, err)
	}
	w, err := c.client.Data()
	if err != nil {
		return "", failed(ctx, phaseData, err)
	}
	if _, err := w.Write(raw); err != nil {
		return "", failed(ctx, phaseContent, err)
	}
	if ctx.Err() != nil { // the last moment at which the mail can be stopped
		return "", failed(ctx, phaseContent, ctx.Err())
	}
	if err := w.Close(); err != nil {
		f := failed(ctx, phaseDot, err)
		if code, text := f.reply(); code/100 == 2 { // a yes in other words than 250
			return text, nil
		}
		return "", f
	}
	return w.(*gomail.DataCloser).ServerResponse(), nil
}

// usable reports whether the connection can carry another mail: it ended well, or the server refused and starts afresh.
func (c *conn) usable(f *failure) bool {
	if f == nil {
		return true
	}
	code, _ := f.reply()
	if f.ctx != nil || code == codeClosing || code/100 != 4 && code/100 != 5 {
		return false
	}
	return f.phase == phaseDot || c.reset()
}

// close ends the connection, with a word of goodbye where the server may still listen.
func (c *conn) close(polite bool) {
	if polite {
		ctx, cancel := context.WithTimeout(context.Background(), quitWait)
		defer cancel()
		defer bind(ctx, c.net)()
		_ = c.client.Quit()
	}
	_ = c.net.Close()
}

func (c *conn) reset() bool {
	ctx, cancel := context.WithTimeout(context.Background(), quitWait)
	defer cancel()
	defer bind(ctx, c.net)()
	return c.client.Reset() == nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
