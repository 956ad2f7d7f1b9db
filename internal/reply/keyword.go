package reply

import (
	"regexp"
	"strings"

	"github.com/dulyhq/duly"
)

// The bare words that refuse. Carriers act on them by themselves, so Duly must too: TD, T, R, N, 退订, 0000 in China; STOP,
// END, QUIT, CANCEL, UNSUBSCRIBE, REVOKE, OPT OUT, ARRET elsewhere. A single letter refuses only where it stands alone on
// its line; the longer ones may have polite words about them.
const (
	plainKeyword = `stopall|stop|unsubscribe|optout|revoke|desist|arret|qx|td|退订|退定|取消订阅|拒收|拒绝接收|停止发送|停发`
	lineKeyword  = `cancel|end|quit|remove|halt|mute|nomore|enoughisenough|enough|勿扰|免打扰|0000|取消|拒绝|停止|屏蔽`
	politeWords  = `thankyou|thanks|now|me|it|this|ok|okay|hi|hello|hey|reply|send|sms|text|texts|texting|messages?|sir|bro|i|want|to|all|everything|immediately|asap|today|from|` +
		`请|谢谢|谢了|谢|多谢|麻烦|你好|您好|我要|我想|我|要|了|吧|啊|呀|哦|嘛|啦|的|哈|马上|立即|立刻|赶紧|快点|快|给我|帮我|帮|回复|回|发送|发|全部|所有|一切|短信|信息|服务|业务|此|该|本|号码|都`
	letterKeyword = `^(?:回复|回|发送|发|请|reply|send)*(?:[trn]|td)(?:谢谢|谢|thanks|了|退订|拒收)*$`
)

var (
	bareLine   = regexp.MustCompile(`^(?:` + politeWords + `)*(?:` + plainKeyword + `|` + lineKeyword + `)(?:` + plainKeyword + `|` + lineKeyword + `|` + politeWords + `|[0-9]{1,8})*$`)
	bareClause = regexp.MustCompile(`^(?:` + politeWords + `)*(?:` + plainKeyword + `)(?:` + plainKeyword + `|` + politeWords + `)*$`)
	bareLetter = regexp.MustCompile(letterKeyword)
	bareAll    = regexp.MustCompile(`stopall|all$|everything|全部|所有|一切|都`)
	clauseEnd  = regexp.MustCompile(`[.!?;,\n]+`)

	// carrierLine is the line by which our own messages say how to refuse.
	carrierLine = regexp.MustCompile(`(?:拒收|退订)请?(?:回复?|发送?)[: "]*(?:td?|r|n|退订|0000)\b"?|` +
		`(?:回复?|发送?)[" ]*(?:td?|r|n|0000|退订)"?(?:可|即可|可以|就可以|就能|就)?(?:退订|拒收|取消)|` +
		`\b(?:reply|text|send|txt)(?: with)? "?stop"? (?:to|2) (?:opt out|unsubscribe|end|cancel|quit|stop)\b|\bstop"? ?(?:to|2) ?(?:opt out|unsubscribe|end|cancel|quit|stop)\b`)
)

// keyword finds a bare word that refuses, on any line or in any clause; it is nothing but that word and politeness.
func keyword(text string, m Message) (finding, bool) {
	for line := range strings.Lines(text) {
		c := compact(line)
		if bareLine.MatchString(c) || bareLetter.MatchString(c) || carrierOnly(line) {
			return refusal(c, "keyword", m), true
		}
	}
	for _, clause := range clauseEnd.Split(text, -1) {
		if c := compact(clause); c != "" && bareClause.MatchString(c) {
			return refusal(c, "keyword_clause", m), true
		}
	}
	return finding{}, false
}

func refusal(compacted, rule string, m Message) finding {
	if bareAll.MatchString(compacted) {
		return finding{intent: OptOut, rule: rule + "_all", scope: []string{scopeAll}}
	}
	return finding{intent: OptOut, rule: rule, scope: []string{channelKey(m.Channel)}}
}

// carrierOnly reports whether a line is nothing but the instruction itself: some people send that.
func carrierOnly(line string) bool {
	return !strings.Contains(line, "?") && carrierLine.MatchString(line) && compact(carrierLine.ReplaceAllString(line, "")) == ""
}

// compact leaves letters and digits only.
func compact(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 128 && !wordByte(byte(c)) {
			return -1
		}
		return c
	}, s)
}

// channelKey returns the key that refuses a channel.
func channelKey(c duly.Channel) string {
	switch {
	case c == "":
		return string(duly.ChannelSMS)
	case c.Call():
		return "calls"
	case c.Known():
		return string(c)
	}
	return scopeAll
}
