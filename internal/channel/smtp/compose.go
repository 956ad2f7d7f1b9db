package smtp

import (
	"bytes"
	"html"
	"net/mail"
	"strings"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// bodyMax bounds a mail's text; a reminder is a thousandth of it.
const bodyMax = 256 << 10

// compose writes the mail as it goes over the wire, or says why this message can be none. The same message is the same bytes.
func (s *Sender) compose(m channel.Message) ([]byte, *channel.Error) {
	if !plainAddress(m.To) {
		return nil, &channel.Error{Class: channel.BadAddress, Code: "malformed_address"}
	}
	if len(m.Text) > bodyMax || !utf8.ValidString(m.Text) || !utf8.ValidString(m.Subject) || strings.ContainsAny(m.Subject, "\r\n") {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	msg := gomail.NewMsg(gomail.WithEncoding(encoding(m.Text)), gomail.WithNoDefaultUserAgent())
	from, _ := mail.ParseAddress(s.c.From) // Check has parsed it before
	msg.FromMailAddress(from)
	msg.SetAddrHeaderFromMailAddress(gomail.HeaderTo, &mail.Address{Address: m.To})
	if s.c.ReplyTo != "" {
		if err := msg.ReplyTo(s.named(s.c.ReplyTo, m.AttemptID)); err != nil {
			return nil, &channel.Error{Class: channel.Config, Code: "reply_to"}
		}
	}
	s.setHeaders(msg, m, domain(from.Address))
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if !s.c.PlainOnly {
		msg.AddAlternativeString(gomail.TypeTextHTML, page(m))
		msg.SetBoundary("duly-" + string(m.AttemptID))
	}
	b := bytes.NewBufferString(s.refusal(m.AttemptID))
	if _, err := msg.WriteTo(b); err != nil {
		return nil, &channel.Error{Class: channel.Permanent, Code: "malformed_message"}
	}
	raw, err := s.sign(b.Bytes())
	if err != nil {
		return nil, &channel.Error{Class: channel.Config, Code: "dkim"}
	}
	return raw, nil
}

func (s *Sender) setHeaders(msg *gomail.Msg, m channel.Message, host string) {
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Now)
	msg.SetMessageIDWithValue(s.mark(m.AttemptID) + "@" + host)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	if m.Language != "" {
		msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	}
}

// refusal is the header of one-click refusal (RFC 8058): an address as it is, neither encoded nor folded.
func (s *Sender) refusal(id duly.AttemptID) string {
	if s.c.Unsubscribe == "" {
		return ""
	}
	url := strings.ReplaceAll(s.c.Unsubscribe, attemptMark, string(id))
	if strings.Contains(url, tokenMark) {
		url = strings.ReplaceAll(url, tokenMark, s.unsubscribes().Make(id))
	}
	return "List-Unsubscribe: <" + url + ">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
}

// page is the text as simple HTML: its paragraphs and lines, nothing that is fetched and nothing that tells when it is read.
func page(m channel.Message) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html")
	if m.Language != "" {
		b.WriteString(` lang="` + html.EscapeString(m.Language) + `"`)
	}
	b.WriteString("><head><meta charset=\"utf-8\"><title>" + html.EscapeString(m.Subject) + "</title></head>\n<body style=\"max-width:40em\">\n")
	text := strings.ReplaceAll(m.Text, "\r\n", "\n")
	for _, paragraph := range strings.Split(text, "\n\n") {
		if paragraph = strings.Trim(paragraph, "\n"); paragraph != "" {
			b.WriteString("<p>" + strings.ReplaceAll(html.EscapeString(paragraph), "\n", "<br>\n") + "</p>\n")
		}
	}
	b.WriteString("</body></html>\n")
	return b.String()
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
