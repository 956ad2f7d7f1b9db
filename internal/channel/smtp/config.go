package smtp

import (
	"net"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// Config is how to reach a mail server, and what its mails carry.
type Config struct {
	Host         string         `yaml:"host"`
	Port         int            `yaml:"port"`        // 0: 587 with starttls, 465 with tls, 25 with none
	TLS          Mode           `yaml:"tls"`         // starttls where it is not given
	ServerName   string         `yaml:"server_name"` // of the certificate, where it is not the host
	Username     string         `yaml:"username"`    // "" for a server that asks for none
	Password     channel.Secret `yaml:"password"`
	Auth         Auth           `yaml:"auth"` // auto where it is not given
	From         string         `yaml:"from"` // what borrowers see: 示例消金 <notice@lender.example>
	ReplyTo      string         `yaml:"reply_to"`
	EnvelopeFrom string         `yaml:"envelope_from"` // where bounces go; {attempt} becomes the attempt's id, with a proof where there are secrets. The address of from where it is not given
	Helo         string         `yaml:"helo"`          // the name we give ourselves; the domain of from where it is not given
	Unsubscribe  string         `yaml:"unsubscribe"`   // https address of one-click refusal; {attempt} becomes the attempt's id, {token} what Duly's own /v1/unsubscribe/ knows it by
	PlainOnly    bool           `yaml:"plain_only"`    // sends no HTML beside the plain text
	DKIM         []DKIM         `yaml:"dkim"`          // signatures; none where the server signs

	Secrets        []channel.Secret `yaml:"secrets"`         // one, or two while one replaces the other: what comes back proves by them that it is about a mail of ours
	InboundSecrets []channel.Secret `yaml:"inbound_secrets"` // whoever POSTs mail to /v1/receipts/ gives one of them; none takes none
	Inbox          string           `yaml:"inbox"`           // a maildir that bounces, complaints and replies are delivered to
	InboxEvery     time.Duration    `yaml:"inbox_every"`     // how often it is looked at; 30s where it is not given
	Connections    int              `yaml:"connections"`     // at one time; 4 where it is not given
	Timeout        time.Duration    `yaml:"timeout"`         // of one mail, connecting included; 60s where it is not given
	CertAuthority  string           `yaml:"cert_authority"`  // PEM text of a private certificate authority
}

// Mode is how the connection is protected.
type Mode string

// The modes. Starttls is never optional: a server that does not offer it gets no mail.
const (
	ModeNone     Mode = "none"
	ModeStartTLS Mode = "starttls"
	ModeTLS      Mode = "tls"
)

// Auth is how we prove who we are.
type Auth string

// The ways. Auto takes the strongest that the server offers; passwords in clear go over TLS or the loopback only.
const (
	AuthAuto  Auth = "auto"
	AuthPlain Auth = "plain"
	AuthLogin Auth = "login"
	AuthCRAM  Auth = "cram-md5"
	AuthSCRAM Auth = "scram-sha-256"
)

// Limits and defaults.
const (
	connectionsDefault = 4
	connectionsMax     = 64
	timeoutDefault     = 60 * time.Second
	timeoutMax         = 10 * time.Minute
	attemptMark        = "{attempt}"
	tokenMark          = "{token}"
	secretsMax         = 2
	secretLenMin       = 16
	inboxEveryDefault  = 30 * time.Second
	inboxEveryMin      = time.Second
	inboxEveryMax      = time.Hour
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.checkServer(p)
	c.checkAuth(p)
	c.checkHeaders(p)
	c.checkBack(p)
	return p.Err()
}

func (c Config) checkServer(p *channel.Problems) {
	if c.Host == "" || strings.ContainsAny(c.Host, " /:@\r\n") && net.ParseIP(c.Host) == nil {
		p.Add("host", "not a host name or address", "write the name alone, such as smtp.lender.example; the port has its own key")
	}
	if c.Port < 0 || c.Port > 65535 {
		p.Add("port", "not a port", "leave it out for the usual one")
	}
	switch c.TLS {
	case "", ModeNone, ModeStartTLS, ModeTLS:
	default:
		p.Add("tls", "not a way to protect the connection", "write starttls, tls or none")
	}
	if strings.ContainsAny(c.Helo, " \t\r\n") {
		p.Add("helo", "not a host name", "write the public name of this machine, or leave it out")
	}
	if c.Connections < 0 || c.Connections > connectionsMax {
		p.Add("connections", "not from 1 to "+strconv.Itoa(connectionsMax), "4 is enough for most servers")
	}
	if c.Timeout < 0 || c.Timeout > timeoutMax {
		p.Add("timeout", "not from 0 to "+timeoutMax.String(), "write it as 60s or 2m")
	}
	if c.CertAuthority != "" && certPool(c.CertAuthority) == nil {
		p.Add("cert_authority", "holds no certificate", "give the PEM text itself, from BEGIN to END")
	}
}

func (c Config) checkAuth(p *channel.Problems) {
	switch c.Auth {
	case "", AuthAuto, AuthPlain, AuthLogin, AuthCRAM, AuthSCRAM:
	default:
		p.Add("auth", "not a way to log in", "write auto, plain, login, cram-md5 or scram-sha-256")
	}
	if c.Username == "" && !c.Password.IsZero() {
		p.Add("username", "missing beside a password", "give both, or neither")
	}
	if c.Username != "" && c.Password.IsZero() {
		p.Add("password", "missing beside a username", "give both, or neither; ${NAME} takes it from the environment")
	}
	if c.Username != "" && c.TLS == ModeNone && !loopback(c.Host) {
		p.Add("tls", "would send the password over an open network", "write starttls or tls")
	}
}

func (c Config) checkHeaders(p *channel.Problems) {
	if a, err := mail.ParseAddress(c.From); err != nil || !plainAddress(a.Address) {
		p.Add("from", "not a sender", "write an address, or a name with it: Lender <notice@lender.example>")
	} else {
		c.checkDKIM(p, domain(a.Address))
	}
	if c.ReplyTo != "" {
		if _, err := mail.ParseAddress(strings.ReplaceAll(c.ReplyTo, attemptMark, "a")); err != nil {
			p.Add("reply_to", "not an address", "write it as name@host, or leave it out")
		}
	}
	if c.EnvelopeFrom != "" && !plainAddress(strings.ReplaceAll(c.EnvelopeFrom, attemptMark, "a")) {
		p.Add("envelope_from", "not an address", "write the bare address, such as bounce+{attempt}@lender.example")
	}
	if c.Unsubscribe != "" {
		u, err := url.Parse(strings.NewReplacer(attemptMark, "a", tokenMark, "a").Replace(c.Unsubscribe))
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(c.Unsubscribe, " <>\r\n") || len(c.Unsubscribe) > unsubscribeMax {
			p.Add("unsubscribe", "not an https address", "mail readers POST to it, so it must be public and https")
		}
	}
}

// checkBack reports what is wrong with how mail comes back.
func (c Config) checkBack(p *channel.Problems) {
	checkSecrets(p, "secrets", c.Secrets)
	checkSecrets(p, "inbound_secrets", c.InboundSecrets)
	if len(c.Secrets) == 0 {
		need := func(key string, used bool) {
			if used {
				p.Add("secrets", "missing beside "+key, "without one anybody could make up a bounce or a refusal; make one with: openssl rand -hex 32")
			}
		}
		need("inbox", c.Inbox != "")
		need("inbound_secrets", len(c.InboundSecrets) > 0)
		need("unsubscribe with {token}", strings.Contains(c.Unsubscribe, tokenMark))
	}
	if c.InboxEvery != 0 && (c.InboxEvery < inboxEveryMin || c.InboxEvery > inboxEveryMax) {
		p.Add("inbox_every", "not from "+inboxEveryMin.String()+" to "+inboxEveryMax.String(), "leave it out for "+inboxEveryDefault.String())
	}
	for _, a := range []struct{ key, address string }{{"envelope_from", c.EnvelopeFrom}, {"reply_to", c.ReplyTo}} {
		local, _, _ := strings.Cut(a.address, "@")
		if strings.Contains(local, attemptMark) && len(local)-len(attemptMark)+markLenMax > localMax {
			p.Add(a.key, "too long ahead of the @ once {attempt} is filled in", "keep what stands beside it to "+strconv.Itoa(localMax-markLenMax)+" characters, such as bounce+{attempt}")
		}
	}
}

// unsubscribeMax keeps the address of refusal within a line of a mail (RFC 5322, section 2.1.1).
const unsubscribeMax = 800

// localMax is the longest name ahead of the @ (RFC 5321, section 4.5.3.1.1), and markLenMax how long an attempt's mark can be.
const (
	localMax   = 64
	markLenMax = 49
)

func checkSecrets(p *channel.Problems, key string, secrets []channel.Secret) {
	if len(secrets) > secretsMax {
		p.Add(key, "more than "+strconv.Itoa(secretsMax), "keep the new one and the one it replaces")
	}
	for i, s := range secrets {
		if len(s.Reveal()) < secretLenMin {
			p.Add(key+"["+strconv.Itoa(i)+"]", "shorter than "+strconv.Itoa(secretLenMin)+" characters", "make one with: openssl rand -hex 32")
		}
	}
}

// withDefaults fills in what was not given.
func (c Config) withDefaults() Config {
	if c.TLS == "" {
		c.TLS = ModeStartTLS
	}
	if c.Port == 0 {
		c.Port = map[Mode]int{ModeNone: 25, ModeStartTLS: 587, ModeTLS: 465}[c.TLS]
	}
	if c.Auth == "" {
		c.Auth = AuthAuto
	}
	if c.Connections == 0 {
		c.Connections = connectionsDefault
	}
	if c.Timeout == 0 {
		c.Timeout = timeoutDefault
	}
	if c.InboxEvery == 0 {
		c.InboxEvery = inboxEveryDefault
	}
	if c.ServerName == "" {
		c.ServerName = c.Host
	}
	a, _ := mail.ParseAddress(c.From)
	if c.EnvelopeFrom == "" {
		c.EnvelopeFrom = a.Address
	}
	if c.Helo == "" {
		c.Helo = domain(a.Address)
	}
	return c
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// plainAddress reports whether s is an address and nothing else: no name, no brackets, no room for a second command.
func plainAddress(s string) bool {
	if len(s) > addressMax || strings.ContainsAny(s, " \t\r\n<>\"\x00") {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

// addressMax is the longest path of RFC 5321, section 4.5.3.1.3, without its brackets.
const addressMax = 254
