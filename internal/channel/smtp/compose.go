package smtp

import (
	"bytes"
	"net/mail"
	"strings"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"github.com/dulyhq/duly/internal/channel"
)

// bodyMax bounds a mail's text; a reminder is a thousandth of it.
const bodyMax = 256 << 10

// compose writes the mail as it goes over the wire, or says why this message can be none.
func (c *Config) compose(m channel.Message) ([]byte, *channel.Error) {
	if !plainAddress(m.To) {
		return nil, &channel.Error{Class: channel.BadAddress, Code: "malformed_address"}
	}
	if len(m.Text) > bodyMax || !utf8.ValidString(m.Text) || !utf8.ValidString(m.Subject) || strings.ContainsAny(m.Subject, "\r\n") {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	msg := gomail.NewMsg(gomail.WithEncoding(encoding(m.Text)), gomail.WithNoDefaultUserAgent())
	from, _ := mail.ParseAddress(c.From) // Check has parsed it before
	msg.FromMailAddress(from)
	msg.SetAddrHeaderFromMailAddress(gomail.HeaderTo, &mail.Address{Address: m.To})
	if c.ReplyTo != "" {
		if err := msg.ReplyTo(c.ReplyTo); err != nil {
			return nil, &channel.Error{Class: channel.Config, Code: "reply_to"}
		}
	}
	c.setHeaders(msg, m, domain(from.Address))
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	return b.Bytes(), nil
}

func (c *Config) setHeaders(msg *gomail.Msg, m channel.Message, host string) {
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Now)
	msg.SetMessageIDWithValue(string(m.AttemptID) + "@" + host)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	if m.Language != "" {
		msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	}
	if c.Unsubscribe != "" {
		url := strings.ReplaceAll(c.Unsubscribe, attemptMark, string(m.AttemptID))
		msg.SetGenHeaderPreformatted(gomail.HeaderListUnsubscribe, "<"+url+">")
		msg.SetGenHeaderPreformatted(gomail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click") // RFC 8058
	}
}

// encoding takes the shorter of the two: quoted-printable trebles every byte that is not ASCII.
func encoding(text string) gomail.Encoding {
	wide := 0
	for i := range len(text) {
		if text[i] >= 0x80 {
			wide++
		}
	}
	if wide*6 > len(text) {
		return gomail.EncodingB64
	}
	return gomail.EncodingQP
}
