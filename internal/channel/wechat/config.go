package wechat

import (
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/approved"
	"github.com/dulyhq/duly/internal/channel/post"
	"github.com/dulyhq/duly/internal/channel/weixin"
)

// Product is which of WeChat's kinds of message is sent.
type Product string

// The products.
const (
	Template    Product = "template"     // 模板消息 of a service account
	Subscribe   Product = "subscribe"    // 订阅通知 of a service account: one consent, one message
	MiniProgram Product = "mini_program" // 订阅消息 of a mini program: one consent, one message
)

// Config is the lender's account at WeChat.
type Config struct {
	Product   Product            `yaml:"product"`
	AppID     string             `yaml:"app_id"`
	Secret    channel.Secret     `yaml:"secret"`
	Templates approved.Templates `yaml:"templates"` // WeChat's for each of ours; sign is not used
	Page      string             `yaml:"page"`      // what a tap opens: a web address, of a mini program a page; optional
	Callback  weixin.SealConfig  `yaml:"callback"`  // without it no receipts and replies are taken
	URL       string             `yaml:"url"`       // https://api.weixin.qq.com where it is not given
	Link      post.Link          `yaml:",inline"`
}

const urlDefault = "https://api.weixin.qq.com"

// paths are where each product's messages go.
var paths = map[Product]string{
	Template: "/cgi-bin/message/template/send", Subscribe: "/cgi-bin/message/subscribe/bizsend", MiniProgram: "/cgi-bin/message/subscribe/send",
}

// Check reports all that is wrong with the configuration, at its place in the file.
func (c Config) Check(at string) error {
	p := channel.ProblemsAt(at)
	if paths[c.Product] == "" {
		p.Add("product", "not a kind of message", "write template, subscribe or mini_program")
	}
	if c.AppID == "" {
		p.Add("app_id", "missing", "copy it from the account's page at WeChat")
	}
	if c.Secret.IsZero() {
		p.Add("secret", "missing", "copy the AppSecret from the account's page at WeChat, such as ${DULY_WECHAT_SECRET}")
	}
	c.Templates.Check(p, "templates")
	c.Callback.Check(p, "callback")
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
