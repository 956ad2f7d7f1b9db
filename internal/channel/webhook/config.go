package webhook

import (
	"strconv"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/callback"
	"github.com/dulyhq/duly/internal/channel/post"
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

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	c.link().CheckURL(p, "url", c.URL)
	if len(c.Secrets) == 0 {
		p.Add("secrets", "missing", "give a secret that the receiver checks signatures with, such as ${DULY_SMS_SECRET}")
	}
	callback.CheckSecrets(p, "secrets", c.Secrets)
	callback.CheckSecrets(p, "callback_secrets", c.CallbackSecrets)
	for i, ch := range c.Serves {
		if !ch.Known() {
			p.Add("serves["+strconv.Itoa(i)+"]", "not a channel", "write sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
		}
	}
	c.link().Check(p)
	return p.Err()
}

func (c Config) link() post.Link {
	return post.Link{Plaintext: c.Plaintext, Connections: c.Connections, Timeout: c.Timeout, CertAuthority: c.CertAuthority}
}

func (c Config) withDefaults() Config {
	if len(c.Serves) == 0 {
		c.Serves = []duly.Channel{duly.ChannelSMS}
	}
	l := c.link().WithDefaults()
	c.Connections, c.Timeout = l.Connections, l.Timeout
	return c
}
