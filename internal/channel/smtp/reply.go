package smtp

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
)

// reply is what a person wrote, without what the mail quotes of ours.
func (s *Sender) reply(m *mailIn, key string, at time.Time) (channel.Heard, count, error) {
	text := words(m.plain)
	if text == "" && m.html != "" {
		text = words(plainOf(m.html))
	}
	if sub := strings.TrimSpace(subject(m.header)); text == "" && !answers.MatchString(sub) {
		text = clean(sub) // STOP, in the subject alone
	}
	id, _ := s.attempt(m)
	from := sender(m.header)
	if text == "" || id == "" && from == "" {
		return channel.Heard{}, countUnread, nil
	}
	return channel.Heard{Replies: []channel.Reply{{Key: key, Channel: duly.ChannelEmail, AttemptID: id, From: from, Text: text, At: at}}}, countReply, nil
}

// What mail programs put ahead of the mail that is answered.
var (
	answers  = regexp.MustCompile(`(?i)^\s*(re|aw|fwd?|回复|答复|回覆|转发)\s*[:：]`)
	divider  = regexp.MustCompile(`(?i)^\s*[-—_=* ]{2,}\s*(original (message|mail)|forwarded message|原始邮件|原邮件|原始郵件|回复的原邮件|转发的?邮件)\s*[-—_=* ]{2,}\s*$`)
	rule     = regexp.MustCompile(`^\s*_{10,}\s*$`)
	wrote    = regexp.MustCompile(`(?i)^\s*(on\b.*\bwrote|.*写道|.*寫道)\s*[:：]\s*$`)
	wroteTwo = regexp.MustCompile(`(?i)^\s*(on\s.{5,}|(在\s*)?[0-9]{4}\s*[-年/].*)$`)
	sentBy   = regexp.MustCompile(`^\s*\*?(From|发件人|寄件者|寄件人)\*?\s*[:：]`)
	sentAt   = regexp.MustCompile(`^\s*\*?(Sent|Date|To|Subject|发送时间|发送日期|日期|时间|收件人|主题|寄件日期)\*?\s*[:：]`)
	device   = regexp.MustCompile(`(?i)^\s*(sent from my .{1,40}|get outlook for .{1,40}|发自我的.{1,20}|从我的.{1,20}发送)\s*$`)
)

// headerWithin is how many lines below From: the next field of a quoted header stands at most.
const headerWithin = 3

// words cuts off what a reply quotes, its signature, and what its program added.
func words(text string) string {
	lines := strings.Split(strings.ReplaceAll(clean(text), "\r\n", "\n"), "\n")
	var out []string
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " \t\r")
		switch {
		case strings.HasPrefix(strings.TrimLeft(line, " \t"), ">"), device.MatchString(line):
			continue
		case lines[i] == "-- ", divider.MatchString(line), rule.MatchString(line), quotedHeader(lines[i:]):
			return finish(out)
		}
		if n := attribution(lines[i:]); n > 0 {
			if !quotesBelow(lines[i+n:]) {
				return finish(out)
			}
			i += n - 1
			continue
		}
		out = append(out, line)
	}
	return finish(out)
}

// quotedHeader reports whether the lines begin with the header of a quoted mail.
func quotedHeader(lines []string) bool {
	if !sentBy.MatchString(lines[0]) {
		return false
	}
	for _, l := range lines[1:min(len(lines), headerWithin+1)] {
		if sentAt.MatchString(l) {
			return true
		}
	}
	return false
}

// attribution returns how many lines, one or two, say who wrote what follows.
func attribution(lines []string) int {
	if wrote.MatchString(lines[0]) {
		return 1
	}
	if len(lines) > 1 && wroteTwo.MatchString(lines[0]) && wrote.MatchString(lines[0]+" "+lines[1]) {
		return 2
	}
	return 0
}

// quotesBelow reports whether what follows is marked as quoted: then more of the reply may stand below it.
func quotesBelow(lines []string) bool {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			return strings.HasPrefix(l, ">")
		}
	}
	return false
}

func finish(lines []string) string {
	text := strings.TrimSpace(strings.Join(lines, "\n"))
	for strings.Contains(text, "\n\n\n") {
		text = strings.ReplaceAll(text, "\n\n\n", "\n\n")
	}
	if len(text) > duly.ReplyTextMax {
		text = text[:duly.ReplyTextMax]
		for !utf8.ValidString(text) { // the cut went through a character: text was valid before
			text = text[:len(text)-1]
		}
	}
	return text
}

// clean makes valid text of what came, without what no store takes.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return r
		case r == '\u00a0':
			return ' '
		case r < ' ', r == 0x7f, r == utf8.RuneError, r == '\u200b', r == '\ufeff':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

// historyClasses are what mail programs name the box in which they put the mail that is answered.
var historyClasses = regexp.MustCompile(`(?i)gmail_quote|yahoo_quoted|moz-cite-prefix|protonmail_quote|ntes-mailmaster-quote|OutlookMessageHeader|divRplyFwdMsg|appendonsend|includetail`)

// plainOf returns the text of HTML up to the quoted history.
func plainOf(source string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(source))
	hidden := 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if hidden == 0 {
				b.WriteString(strings.NewReplacer("\r", " ", "\n", " ").Replace(string(z.Text())))
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if history(t) {
				return b.String()
			}
			switch {
			case isHidden(t.DataAtom) && t.Type == html.StartTagToken:
				hidden++
			case breaks(t.DataAtom):
				b.WriteByte('\n')
			}
		case html.EndTagToken:
			t := z.Token()
			switch {
			case isHidden(t.DataAtom) && hidden > 0:
				hidden--
			case breaks(t.DataAtom):
				b.WriteByte('\n')
			}
		}
	}
}

func history(t html.Token) bool {
	if t.DataAtom == atom.Blockquote {
		return true
	}
	for _, a := range t.Attr {
		if (a.Key == "class" || a.Key == "id" || a.Key == "name") && historyClasses.MatchString(a.Val) {
			return true
		}
	}
	return false
}

func isHidden(a atom.Atom) bool {
	return a == atom.Script || a == atom.Style || a == atom.Head || a == atom.Title
}

func breaks(a atom.Atom) bool {
	switch a {
	case atom.Br, atom.P, atom.Div, atom.Tr, atom.Li, atom.H1, atom.H2, atom.H3, atom.Hr, atom.Table:
		return true
	}
	return false
}
