package apns

import (
	"crypto/ecdsa"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/access"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the key by which Apple knows the lender, and the app that is pushed to.
type Config struct {
	Key    channel.Secret `yaml:"key"`     // the text of the .p8 file that Apple hands out
	KeyID  string         `yaml:"key_id"`  // its ten characters
	TeamID string         `yaml:"team_id"` // the lender's ten characters
	Topic  string         `yaml:"topic"`   // the bundle of the app, such as com.lender.app
	URL    string         `yaml:"url"`     // https://api.push.apple.com where it is not given; apps under test are at https://api.sandbox.push.apple.com
	Link   post.Link      `yaml:",inline"`
}

const urlDefault = "https://api.push.apple.com"

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if k, err := access.ParseKey[*ecdsa.PrivateKey](c.Key.Reveal()); err != nil || k.Params().BitSize != 256 {
		p.Add("key", "not a signing key of Apple's", "give the text of the .p8 file, from BEGIN to END, such as ${DULY_APNS_KEY}")
	}
	for key, v := range map[string]string{"key_id": c.KeyID, "team_id": c.TeamID} {
		if len(v) != 10 || !word(v) {
			p.Add(key, "not ten letters and digits", "copy it from Apple's developer pages")
		}
	}
	if c.Topic == "" || !word(c.Topic) {
		p.Add("topic", "not the bundle of an app", "write it as com.lender.app")
	}
	c.Link.Check(p)
	c.Link.CheckURL(p, "url", c.url())
	return p.Err()
}

func (c Config) url() string {
	if c.URL == "" {
		return urlDefault
	}
	return c.URL
}

// word reports whether s may stand in a header: letters, digits, dots and hyphens.
func word(s string) bool {
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '.', b == '-':
		default:
			return false
		}
	}
	return true
}
