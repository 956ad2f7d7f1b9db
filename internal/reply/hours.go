package reply

import (
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Hours are the hours of the day and the days of the week in which contact is asked for, or, with Except, asked not to be.
type Hours struct {
	From   civil.Clock    `json:"from"`
	To     civil.Clock    `json:"to"`               // not included; both zero: the whole day
	Days   []time.Weekday `json:"days,omitempty"`   // 0 is Sunday; none: every day
	Except bool           `json:"except,omitempty"` // these are the hours that are refused
}

// String writes the hours as except Sun,Sat 09:00-18:00.
func (h Hours) String() string {
	var parts []string
	if h.Except {
		parts = append(parts, "except")
	}
	days := make([]string, len(h.Days))
	for i, d := range h.Days {
		days[i] = d.String()[:3]
	}
	if len(days) > 0 {
		parts = append(parts, strings.Join(days, ","))
	}
	if h.From != 0 || h.To != 0 {
		parts = append(parts, h.From.String()+"-"+h.To.String())
	}
	return strings.Join(parts, " ")
}

// IsZero reports whether nothing is known of the hours.
func (h Hours) IsZero() bool { return h.From == 0 && h.To == 0 && len(h.Days) == 0 }

const midnight = civil.Clock(24 * 60)

// openRules say when contact is asked for.
var openRules = []rule{
	say("only_then", `\b(?:call|text|contact|reach|message|ring|email|phone|whatsapp|try|available|free|talk|reachable)(?: \w+){0,3} (?:after|before|between|from|at|around|during|on|in the|any ?time (?:after|before)) (?:{clock}|[0-9]|(?:the )?{weekday}s?|weekends?|weekdays|(?:the )?(?:mornings?|evenings?|afternoons?|weekend)|mornings?|evenings?|afternoons?|lunch|business hours|hours)`),
	say("only_then", `\bonly (?:after|before|between|from|in the|on|during|available|at|call|text|contact|reach|weekends|weekdays|evenings|mornings|afternoons)\b[^.!?;\n]{0,30}(?:{clock}|[0-9]|{weekday}|weekend|weekday|morning|evening|afternoon)|\b(?:after|before|between)(?: \w+){1,5} only\b|\b(?:mornings?|evenings?|afternoons?|weekends?|weekdays|{weekday}s?|nights?) only\b|\bworks? best\b|\b(?:mornings?|evenings?|afternoons?|weekends?|weekdays)(?: are| is| would be| works?) (?:best|better|good|fine|ok|easier)\b|\b(?:best|better|good|convenient|preferred|right|easiest) (?:time|hours|day)s?\b|^(?:after|before|between) {clock}|\b(?:prefer|rather)\b[^.!?;\n]{0,20}(?:morning|evening|afternoon|weekend|{weekday}|after {clock}|before {clock})`),
	say("only_then_zh", `(?:{timezh}|下班)[^,.!?;\n]{0,10}(?:再|才|之?后|以后|之?前|以前|之间|左右|的时候|可以|方便|有空|有时间|可|能|请)?[^,.!?;\n]{0,4}(?:联系|联络|打(?:给|电话|过来|来|我|$|[,.!;\n])|来电|致电|电话|发(?:短信|消息|信息|给)|方便|有空|有时间|找我|沟通|接(?:电话|听)|回电)`),
	say("only_then_zh", `(?:联系|打电话|来电|打给我|电话|发短信|打|通话|联络)(?:我|时间)?(?:请|要|就|最好|只能|只可以|麻烦)?(?:在|是|等|安排在|选在|限)?[^,.!?;\n]{0,3}(?:{timezh}|下班)`),
	say("later", `\b(?:call|text|contact|message|phone|ring|try)(?: me)?(?: back| again)? (?:later|tomorrow|another (?:time|day)|next week|in (?:an|a|[0-9]+) (?:hour|minutes?|few)|when i|{weekday})\b|\b(?:am |i am )?(?:busy|driving|in a meeting|in class|sleeping|asleep|at (?:the )?(?:doctor|hospital))(?: right)?(?: now| at the moment| atm)?(?:$|[.!,;\n])|\bi am at work\b|\bcan not talk (?:right )?now\b|\bnot a good time\b|\bin a meeting\b|\bbad time\b`),
	say("later_zh", `(?:在|正在)(?:开会|开车|上课|上班|忙|睡觉|吃饭|飞机|高铁)|(?:晚点|等会儿?|待会儿?|一会儿?|稍后|回头|改天|改日|过会儿?|明天|后天|下周)(?:再)?(?:联系|打(?:$|[^款钱])|说话|聊|回电|给我电话|给我打|来电|沟通)|(?:现在|目前|这会儿?)(?:不方便|没空|没时间|很忙|在忙|忙)|(?:我)?在忙|开会(?:呢|中)|开车(?:呢|中)`),
	say("any_time", `\b(?:call|text|contact|reach)(?: me)? any ?time\b|\bany ?time is (?:fine|ok|good)\b|随时(?:都)?(?:可以|能|打|联系)|(?:几点|什么时候|任何时间|24小时)(?:都)?(?:行|可以)`),
}

// prefer finds a wish for hours, where no hours were refused.
func prefer(text string, restrictions []finding) (finding, bool) {
	for _, r := range restrictions {
		if r.intent == Hour {
			return finding{}, false
		}
	}
	for i := range openRules {
		r := &openRules[i]
		at := r.pattern.find(text)
		if at == nil || asksTime.in(text) {
			continue
		}
		f := finding{intent: Hour, rule: r.name}
		if strings.HasPrefix(r.name, "only") {
			f.hours = openHours(clauseWith(text, text[at[0]:at[1]]))
		}
		return f, true
	}
	return finding{}, false
}

var asksTime = compile(`\b(?:when|what time|what hours|which hours|what are your)\b[^.!;\n]*\?|(?:几点|什么时候|什么时间|多久)(?:上班|下班|有人|能|可以|联系|打)[^.!;\n]*|营业时间|上班时间是|\bis it (?:ok|okay|possible|fine) to\b|\b(?:are you|is anyone|is someone|can i (?:call|reach|contact|talk))\b`)

// clauseWith returns the clauses from the one that part begins in.
func clauseWith(text, part string) string {
	i := strings.Index(text, part)
	start := strings.LastIndexAny(text[:i], ".!?;\n") + 1
	end := strings.IndexAny(text[i+len(part):], "!?;\n")
	if end < 0 {
		return text[start:]
	}
	return text[start : i+len(part)+end]
}

var (
	betweenEn = compile(`\b(?:between|from)? ?([0-9]{1,2})(?::([0-9]{2}))? ?(am|pm|a\.m\.?|p\.m\.?)? ?(?:and|to|-|until) ?([0-9]{1,2})(?::([0-9]{2}))? ?(am|pm|a\.m\.?|p\.m\.?|o ?clock)?\b`)
	afterEn   = compile(`\b(?:after|past|later than|from) ([0-9]{1,2}|noon|five|six|seven|eight|nine|ten|work|dinner|lunch)(?::([0-9]{2}))? ?(am|pm|a\.m\.?|p\.m\.?)?`)
	beforeEn  = compile(`\b(?:before|until|earlier than|by) ([0-9]{1,2}|noon|five|six|seven|eight|nine|ten)(?::([0-9]{2}))? ?(am|pm|a\.m\.?|p\.m\.?)?`)
	partsEn   = []struct {
		words    *pattern
		from, to civil.Clock
	}{
		{compile(`\bmornings?\b|上午|早上|早晨|一大早|大清早|大早上`), 0, 12 * 60},
		{compile(`\bafternoons?\b|下午`), 12 * 60, 18 * 60},
		{compile(`\bevenings?\b|傍晚|下班(?:后|以后|之后)?|晚上`), 18 * 60, midnight},
		{compile(`\b(?:at night|nights?|overnight)\b|夜里|夜间|半夜|深夜`), 21 * 60, midnight},
		{compile(`凌晨|middle of the night`), 0, 6 * 60},
		{compile(`\blunch\b|中午|午休`), 12 * 60, 14 * 60},
		{compile(`\b(?:business|work|working|office) hours\b|白天|上班(?:的)?(?:时间|时候|期间|时)?|工作时间`), 9 * 60, 18 * 60},
	}
	betweenZh = compile(`(上午|早上|早晨|中午|下午|傍晚|晚上|夜里|凌晨|晚)?([0-9]{1,2}|[一二两三四五六七八九十]{1,3})(?:[点:时]([0-9]{2}|半)?)?(?:到|至|-|~|和)(上午|早上|中午|下午|晚上|夜里|晚|第二天早上)?([0-9]{1,2}|[一二两三四五六七八九十]{1,3})[点:时]([0-9]{2}|半)?`)
	pointZh   = compile(`(上午|早上|早晨|中午|下午|傍晚|晚上|夜里|凌晨|晚)?([0-9]{1,2}|[一二两三四五六七八九十]{1,3})[点:时]([0-9]{2}|半)?(?:钟|整)?(之?后|以后|之?前|以前|过后|往后)?`)
	daysOf    = []struct {
		words *pattern
		days  []time.Weekday
	}{
		{compile(`\bweekends?\b|周末|双休日|休息日`), []time.Weekday{time.Saturday, time.Sunday}},
		{compile(`\bweekdays?\b|工作日`), []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}},
		{compile(`\bmondays?\b|(?:周|星期|礼拜)一`), []time.Weekday{time.Monday}},
		{compile(`\btuesdays?\b|(?:周|星期|礼拜)二`), []time.Weekday{time.Tuesday}},
		{compile(`\bwednesdays?\b|(?:周|星期|礼拜)三`), []time.Weekday{time.Wednesday}},
		{compile(`\bthursdays?\b|(?:周|星期|礼拜)四`), []time.Weekday{time.Thursday}},
		{compile(`\bfridays?\b|(?:周|星期|礼拜)五`), []time.Weekday{time.Friday}},
		{compile(`\bsaturdays?\b|(?:周|星期|礼拜)六`), []time.Weekday{time.Saturday}},
		{compile(`\bsundays?\b|(?:周|星期|礼拜)[日天]`), []time.Weekday{time.Sunday}},
	}
)

// openHours reads the hours that are asked for, closedHours those that are refused.
func openHours(text string) Hours { return hoursIn(text) }

func closedHours(text string) Hours {
	h := hoursIn(text)
	h.Except = !h.IsZero()
	if h.To == midnight && h.From > 0 && h.From < 12*60 && !strings.Contains(text, "am") {
		h.From += 12 * 60 // "not after 8" is the evening
	}
	return h
}

func hoursIn(text string) Hours {
	var h Hours
	for _, d := range daysOf {
		if d.words.in(text) {
			h.Days = append(h.Days, d.days...)
		}
	}
	if g := betweenZh.groups(text); g != nil {
		h.From, h.To = clockZh(g[1], g[2], g[3]), clockZh(orElse(g[4], g[1]), g[5], g[6])
		return span(h)
	}
	if g := betweenEn.groups(text); g != nil {
		h.From, h.To = clockEn(g[1], g[2], orElse(g[3], sameHalf(g[1], g[4], g[6]))), clockEn(g[4], g[5], g[6])
		return span(h)
	}
	if g := afterEn.groups(text); g != nil {
		h.From, h.To = clockEn(g[1], g[2], g[3]), midnight
		if b := beforeEn.groups(text); b != nil {
			h.To = clockEn(b[1], b[2], b[3])
		}
		return span(h)
	}
	if g := beforeEn.groups(text); g != nil {
		h.To = clockEn(g[1], g[2], g[3])
		return span(h)
	}
	if g := pointZh.groups(text); g != nil {
		at := clockZh(g[1], g[2], g[3])
		switch {
		case strings.HasSuffix(g[4], "前"):
			h.To = at
		case g[4] != "":
			h.From, h.To = at, midnight
		default:
			return h // a single hour is no span: a person reads it
		}
		return span(h)
	}
	for _, p := range partsEn {
		if p.words.in(text) {
			h.From, h.To = p.from, p.to
			return span(h)
		}
	}
	return h
}

// span refuses what is no span of one day.
func span(h Hours) Hours {
	if h.From < 0 || h.To > midnight || h.From >= h.To && h.To != 0 {
		h.From, h.To = 0, 0
	}
	return h
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// sameHalf returns the half of the day of the end for the beginning too, unless the end is the smaller number: 9 to 5 pm.
func sameHalf(from, to, half string) string {
	if half == "" || number(to) <= number(from) {
		return ""
	}
	return half
}

func clockZh(part, hour, minute string) civil.Clock {
	h, m := number(hour), 0
	if minute == "半" {
		m = 30
	} else if minute != "" {
		m = number(minute)
	}
	switch part {
	case "下午", "傍晚", "晚上", "夜里", "晚":
		if h < 12 {
			h += 12
		}
	case "中午":
		if h < 11 {
			h += 12
		}
	}
	return civil.Clock(h*60 + m)
}

// clockEn reads an English hour. Without am or pm, one to seven are of the afternoon: nobody asks for a call at five in the
// morning.
func clockEn(hour, minute, half string) civil.Clock {
	switch hour {
	case "noon":
		return 12 * 60
	case "work", "dinner":
		return 18 * 60
	case "lunch":
		return 13 * 60
	}
	h := numberEn(hour)
	switch hour {
	case "eight":
		h = 8
	case "nine":
		h = 9
	}
	switch {
	case strings.HasPrefix(half, "p") && h < 12, half == "" && h >= 1 && h <= 7:
		h += 12
	case strings.HasPrefix(half, "a") && h == 12:
		h = 0
	}
	return civil.Clock(h*60 + number(minute))
}
