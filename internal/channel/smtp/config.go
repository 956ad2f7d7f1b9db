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
	Host          string         `yaml:"host"`
	Port          int            `yaml:"port"`        // 0: 587 with starttls, 465 with tls, 25 with none
	TLS           Mode           `yaml:"tls"`         // starttls where it is not given
	ServerName    string         `yaml:"server_name"` // of the certificate, where it is not the host
	Username      string         `yaml:"username"`    // "" for a server that asks for none
	Password      channel.Secret `yaml:"password"`
	Auth          Auth           `yaml:"auth"` // auto where it is not given
	From          string         `yaml:"from"` // what borrowers see: 示例消金 <notice@lender.example>
	ReplyTo       string         `yaml:"reply_to"`
	EnvelopeFrom  string         `yaml:"envelope_from"`  // where bounces go; {attempt} becomes the attempt's id. The address of from where it is not given
	Helo          string         `yaml:"helo"`           // the name we give ourselves; the domain of from where it is not given
	Unsubscribe   string         `yaml:"unsubscribe"`    // https address of one-click refusal; {attempt} becomes the attempt's id
	Connections   int            `yaml:"connections"`    // at one time; 4 where it is not given
	Timeout       time.Duration  `yaml:"timeout"`        // of one mail, connecting included; 60s where it is not given
	CertAuthority string         `yaml:"cert_authority"` // PEM text of a private certificate authority
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
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.checkServer(p)
	c.checkAuth(p)
	c.checkHeaders(p)
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
	}
	if c.ReplyTo != "" {
		if _, err := mail.ParseAddress(c.ReplyTo); err != nil {
			p.Add("reply_to", "not an address", "write it as name@host, or leave it out")
		}
	}
	if c.EnvelopeFrom != "" && !plainAddress(strings.ReplaceAll(c.EnvelopeFrom, attemptMark, "a")) {
		p.Add("envelope_from", "not an address", "write the bare address, such as bounce+{attempt}@lender.example")
	}
	if c.Unsubscribe != "" {
		u, err := url.Parse(strings.ReplaceAll(c.Unsubscribe, attemptMark, "a"))
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsAny(c.Unsubscribe, " <>\r\n") {
			p.Add("unsubscribe", "not an https address", "mail readers POST to it, so it must be public and https")
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
