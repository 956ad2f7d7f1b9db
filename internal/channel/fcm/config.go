package fcm

import (
	"crypto/rsa"
	"encoding/json"
	"strings"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/access"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the account by which Google knows the lender's app.
type Config struct {
	ServiceAccount channel.Secret `yaml:"service_account"` // the JSON text that Google Cloud hands out
	URL            string         `yaml:"url"`             // https://fcm.googleapis.com where it is not given
	TokenURL       string         `yaml:"token_url"`       // that of the service account where it is not given
	Link           post.Link      `yaml:",inline"`
}

const urlDefault = "https://fcm.googleapis.com"

// account is what Duly needs of a service account.
type account struct {
	Project  string `json:"project_id"`
	Email    string `json:"client_email"`
	Key      string `json:"private_key"`
	KeyID    string `json:"private_key_id"`
	TokenURL string `json:"token_uri"`
	key      *rsa.PrivateKey
}

// read reads the service account; false where it is none.
func (c Config) read() (account, bool) {
	var a account
	if json.Unmarshal([]byte(c.ServiceAccount.Reveal()), &a) != nil || a.Email == "" || a.Project == "" || strings.ContainsAny(a.Project, "/?# ") {
		return account{}, false
	}
	var err error
	a.key, err = access.ParseKey[*rsa.PrivateKey](a.Key)
	return a, err == nil
}

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	a, ok := c.read()
	if !ok {
		p.Add("service_account", "not a service account with a private key", "give the text of the JSON file of Google Cloud's console, such as ${DULY_FCM_ACCOUNT}")
	}
	c.Link.Check(p)
	c.Link.CheckURL(p, "url", or(c.URL, urlDefault))
	if ok {
		c.Link.CheckURL(p, "token_url", or(c.TokenURL, a.TokenURL))
	}
	return p.Err()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
