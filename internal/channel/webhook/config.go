package webhook

import (
	"net"
	"net/url"
	"strconv"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// Config is where messages are posted to, and how either side proves who it is.
type Config struct {
	URL             string           `yaml:"url"`              // https, or http to the loopback
	Plaintext       bool             `yaml:"plaintext"`        // allows http elsewhere: borrowers' numbers cross the network in clear
	Secrets         []channel.Secret `yaml:"secrets"`          // one, or two while one replaces the other: every message is signed with all
	CallbackSecrets []channel.Secret `yaml:"callback_secrets"` // a receipt signed with any is taken; none takes no receipts
	Serves          []duly.Channel   `yaml:"serves"`           // the channels it can carry; those that the operator gave it, else sms
	Idempotent      bool             `yaml:"idempotent"`       // it knows a Duly-Attempt that it was given before and does not send it again
	Connections     int              `yaml:"connections"`      // at one time; 64 where it is not given
	Timeout         time.Duration    `yaml:"timeout"`          // of one message; 10s where it is not given
	CertAuthority   string           `yaml:"cert_authority"`   // PEM text of a private certificate authority
}

// Limits and defaults of a configuration.
const (
	secretsMax         = 2
	secretLenMin       = 16
	connectionsDefault = 64
	connectionsMax     = 4096
	timeoutDefault     = 10 * time.Second
	timeoutMax         = 5 * time.Minute
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.checkURL(p)
	if len(c.Secrets) == 0 {
		p.Add("secrets", "missing", "give a secret that the receiver checks signatures with, such as ${DULY_SMS_SECRET}")
	}
	checkSecrets(p, "secrets", c.Secrets)
	checkSecrets(p, "callback_secrets", c.CallbackSecrets)
	for i, ch := range c.Serves {
		if !ch.Known() {
			p.Add("serves["+strconv.Itoa(i)+"]", "not a channel", "write sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
		}
	}
	if c.Connections < 0 || c.Connections > connectionsMax {
		p.Add("connections", "not from 1 to "+strconv.Itoa(connectionsMax), "leave it out for "+strconv.Itoa(connectionsDefault))
	}
	if c.Timeout < 0 || c.Timeout > timeoutMax {
		p.Add("timeout", "not from 0 to "+timeoutMax.String(), "write it as 10s")
	}
	if c.CertAuthority != "" && certPool(c.CertAuthority) == nil {
		p.Add("cert_authority", "holds no certificate", "give the PEM text itself, from BEGIN to END")
	}
	return p.Err()
}

func (c Config) checkURL(p *channel.Problems) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		p.Add("url", "not a web address", "write it whole, such as https://sms.lender.example/duly")
	case u.User != nil:
		p.Add("url", "holds a user or password", "messages prove themselves by their signature; take it out")
	case u.Scheme == "http" && !c.Plaintext && !loopback(u.Hostname()):
		p.Add("url", "would send borrowers' numbers over the network in clear", "write https, or set plaintext: true on a network that is yours alone")
	}
}

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

func (c Config) withDefaults() Config {
	if len(c.Serves) == 0 {
		c.Serves = []duly.Channel{duly.ChannelSMS}
	}
	if c.Connections == 0 {
		c.Connections = connectionsDefault
	}
	if c.Timeout == 0 {
		c.Timeout = timeoutDefault
	}
	return c
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
