package webpush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the key by which push services know the lender, and which of them are spoken to.
type Config struct {
	PrivateKey channel.Secret `yaml:"private_key"` // VAPID, 32 bytes in base64url; browsers subscribe with its public key
	Contact    string         `yaml:"contact"`     // whom a push service tells of trouble: mailto:… or https://…
	Services   []string       `yaml:"services"`    // hosts of push services; those of Chrome, Firefox, Safari and Edge where it is not given
	Link       post.Link      `yaml:",inline"`
}

// services are the push services of the browsers that there are.
func services() []string {
	return []string{"fcm.googleapis.com", "push.services.mozilla.com", "push.apple.com", "notify.windows.com"}
}

const servicesMax = 50

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if _, _, err := c.key(); err != nil {
		p.Add("private_key", "not a private key", "write the 32 bytes of the VAPID key in base64url, such as ${DULY_VAPID_KEY}; `npx web-push generate-vapid-keys` makes one")
	}
	if !strings.HasPrefix(c.Contact, "mailto:") && !strings.HasPrefix(c.Contact, "https://") {
		p.Add("contact", "neither an e-mail address nor a web address", "write mailto:push@lender.example")
	}
	if len(c.Services) > servicesMax {
		p.Add("services", "more than "+strconv.Itoa(servicesMax), "name the hosts that your borrowers' browsers use")
	}
	for i, s := range c.Services {
		if s == "" || strings.ContainsAny(s, "/:@ ") {
			p.Add("services["+strconv.Itoa(i)+"]", "not the name of a host", "write it bare, such as push.services.mozilla.com")
		}
	}
	c.Link.Check(p)
	return p.Err()
}

// key returns the private key, and the public one as browsers are given it.
func (c Config) key() (*ecdsa.PrivateKey, string, error) {
	raw, err := decode(c.PrivateKey.Reveal())
	if err != nil || len(raw) != 32 {
		return nil, "", errors.New("not 32 bytes in base64url")
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return nil, "", err
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, "", err
	}
	return key, base64.RawURLEncoding.EncodeToString(public), nil
}
