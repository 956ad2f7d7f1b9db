package jpush

import (
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/post"
)

// Config is the lender's app at JPush.
type Config struct {
	AppKey       string         `yaml:"app_key"`
	MasterSecret channel.Secret `yaml:"master_secret"`
	URL          string         `yaml:"url"`         // https://api.jpush.cn where it is not given; apps of the Beijing site are at https://bjapi.push.jiguang.cn
	Development  bool           `yaml:"development"` // Apple's devices run an app under test
	IDs          int            `yaml:"ids"`         // how many cids are had at a time, 10 where it is not given; accounts that pay for more may have 1000
	Link         post.Link      `yaml:",inline"`
}

const (
	urlDefault = "https://api.jpush.cn"
	idsDefault = 10
	idsMax     = 1000
)

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if c.AppKey == "" || !registration(c.AppKey) {
		p.Add("app_key", "missing, or no key", "copy it from the app's page in JPush's console")
	}
	if c.MasterSecret.IsZero() {
		p.Add("master_secret", "missing", "copy it from the app's page in JPush's console, such as ${DULY_JPUSH_SECRET}")
	}
	if c.IDs < 0 || c.IDs > idsMax {
		p.Add("ids", "not from 1 to 1000", "leave it out for 10")
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
