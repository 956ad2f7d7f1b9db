package reply

import (
	"slices"
	"strings"

	"github.com/dulyhq/duly/internal/civil"
)

// A promise is read clause by clause: words that commit to pay, or a day beside a word for paying, in a clause that asks
// nothing, doubts nothing and does not speak of the past.

var (
	commits = []rule{
		say("promises_zh", `(?:会|一定|肯定|保证|绝对|必须|马上|立刻|立马|这就|尽快|尽早|争取|打算|准备|计划|就去|就|再|到时候?|到账|稍后|待会儿?|等会儿?|一会儿?|晚点|下班|过几天|过两天|过些天|过阵子|回头|有钱|发工资|发了工资|工资|提成|奖金|货款|回款|尽量|去|来|想办法|凑|答应|承诺|年前|年后|年底|春节|过年|过完年|节后|月初|月中|中旬|上旬|下旬|下个?月|下周|这周|本周|年底|之前|[日号天底周点]前|内|以后|之后|[天周点资班钱]后|先|按时|准时|如期|到期){gap}{payzh}`),
		say("promises_zh", `(?:我|那)?(?:就|会|一定|去|先)?{payzh}[^,.!?;\n]{0,3}(?:一部分|一半|部分|一点)`),
		say("promises", `\b(?:will|shall|going to|plan(?:ning)? (?:to|on)|promise(?:d)? (?:to|i|that)?|intend to|can|should be able to|would be able to|will be able to|am able to|hope to|hoping to|trying to|try to|need to|have to|want to|let me|aim to|expect to)(?: \w+){0,3} {pay}\b`),
		say("promises", `\b(?:i will|am|we will|will be|be)(?: \w+){0,2} (?:paying|sending|settling|transferring|making (?:a|the|my) payment|depositing)\b|\b(?:payment|money|funds|it) (?:will|is going to|should)(?: \w+){0,2} (?:be (?:made|sent|there|paid|in|cleared|done|settled|transferred|posted|ready)|come|clear|hit|arrive|post|go out|go through)\b|\b(?:will|going to) (?:have|get|receive|see) (?:it|the|your|my) ?(?:money|payment|funds)?\b|\bpayment (?:is )?(?:coming|scheduled|on (?:its|the) way)\b|\b(?:paying|pay) (?:it |you |this |off )?(?:soon|asap|later|in full)\b|\bwill (?:do|handle|sort|get it done|fix it|pay)\b(?: it| this| that)?`),
	}
	pays = compile(`\b(?:can|could) (?:do|make|manage) (?:it|that|this)\b|{payzh}|处理|到账|到位|搞定|弄好|安排|\b(?:{pay}|paying|sending|settling|payment|transferring)\b`)
	// paydays name income, and so a day, without a word for paying.
	paydays = compile(`发工资|发薪|工资[^,.!?;\n]{0,6}(?:到|发|下来)|领工资|\bget paid\b|\bgetting paid\b|\bpay ?day\b|\bpaycheck\b|\bpay ?check\b`)
	// onlyDay is a text that is nothing but a day and politeness.
	onlyDay = compile(`^[ ,.!~;_]*(?:(?:on|by|before|until|the|in|at|for|ok|okay|sure|yes|hi|hello|thanks|around|about|morning|afternoon|evening|night|please|i|will|maybe|好的?|嗯|行|可以|就|吧|的|哈|哦|呢|啊|前|之前|以前|左右|上午|下午|晚上|早上|中午|我|再)[ ,.!~;_]*)*_+[ ,.!~;_]*(?:(?:on|by|the|at|ok|okay|sure|yes|thanks|morning|afternoon|evening|night|please|latest|好的?|就|吧|的|哈|哦|啊|前|之前|以前|左右|上午|下午|晚上|早上|中午|一定|_+)[ ,.!~;_]*)*$`)
	// notPromising is a clause that asks, doubts or speaks of what is over.
	notPromising = compile(`[?]|吗|么$|呢$|怎么|如何|什么|啥|多少|能不能|可不可以|可以不可以|能否|可否|可以(?:晚|明|后|下|分|先|周|月)|行不行|好不好|是不是|有没有|会不会|要不要|哪|几号|几点|为何|谁|再说|如果|要是|假如|万一|催|还不[上起了出清]|没法还|不会还|不还|不想还|该不该|需要(?:我)?还|要还多少|必须(?:今天|马上|立刻)还|叫我|让我|逼我|要我|说(?:好)?(?:要)?(?:我)?|提醒我(?:还|交|付)|记得(?:提醒|通知)|昨[天日晚]|前天|上(?:周|个?月|礼拜|星期)|早就|已经|明明|刚刚|刚才|` +
		`\b(?:can i|could i|may i|how|what|when (?:do|is|will|can|are|does)|where|why|who|if i|if you|is it|do i|should i|am i|would (?:it|you)|remind|whether|not (?:be )?(?:able to |going to )?(?:pay|paying|make)|never|refuse|did not|unless|you said|you told|they said|told me|asked me|wondering)\b`)
	doubts   = compile(`也许|可能|大概|应该|争取|尽量|看情况|不确定|不一定|如果|要是|左右|想办法|到时候看|最迟|一半|部分|先还|一点|再看|\b(?:maybe|perhaps|might|hope|hoping|hopefully|try|trying|probably|possibly|not sure|around|about|depends|if|should|half|some of|part of|partial)\b`)
	vagueDay = compile(`左右|前后|\b(?:around|about|early|mid)\b|上旬|中旬|下旬|年前|年后|年底|春节|过年|过完年|节后|月初|月中`)
)

// promise reads a promise to pay and its day.
func promise(text string, m Message) (finding, bool) {
	clauses := clausesOf(text)
	var days [][]mention
	for _, c := range clauses {
		days = append(days, mentions(c, m.On, m.Language))
	}
	f := finding{intent: Promise}
	found := false
	for i, c := range clauses {
		if notPromising.in(c) {
			continue
		}
		rule := promiseRule(c, days[i])
		if rule == "" {
			continue
		}
		day, clear := pick(days, i)
		if found {
			f.unsure = f.unsure || !day.IsZero() && day != f.day
			if f.day.IsZero() {
				f.day = day
			}
			continue
		}
		found = true
		f.rule, f.day = rule, day
		f.unsure = !clear || rule == "payday" || doubts.in(text) || vagueDay.in(c)
	}
	if !found && onlyDays(text) && slices.ContainsFunc(days, ahead) {
		day, _ := pick(days, len(days)-1)
		return finding{intent: Promise, rule: "names_a_day", day: day, unsure: true}, true
	}
	return f, found
}

// clausesOf cuts a text where a clause ends; a stop within a number or a date does not end one.
func clausesOf(text string) []string {
	var out []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '?':
			out = append(out, text[start:i+1])
			start = i + 1
		case '.', ',', '!', ';', '\n':
			if text[i] == '.' && i > 0 && i+1 < len(text) && wordByte(text[i-1]) && wordByte(text[i+1]) {
				continue
			}
			out = append(out, text[start:i])
			start = i + 1
		}
	}
	return append(out, text[start:])
}

func promiseRule(clause string, days []mention) string {
	if f, ok := first(Promise, commits, clause); ok {
		return f.rule
	}
	switch {
	case ahead(days) && pays.in(clause):
		return "pays_on_a_day"
	case paydays.in(clause) && !strings.Contains(clause, "没"):
		return "payday"
	}
	return ""
}

// pick chooses the day of a promise: that of its own clause, else of the one before, else of the one after.
func pick(days [][]mention, i int) (civil.Date, bool) {
	for _, j := range []int{i, i - 1, i + 1} {
		if j < 0 || j >= len(days) || len(days[j]) == 0 {
			continue
		}
		first := days[j][0]
		clear := first.clear
		for _, other := range days[j][1:] {
			if other.clear && other.day != first.day {
				if specific(other, first) {
					first = other
				}
				clear = clear && first.clear && !(other.clear && first.clear && len(days[j]) > 2)
			}
		}
		if !first.clear {
			return civil.Date{}, false
		}
		return first.day, clear
	}
	return civil.Date{}, false
}

// specific reports whether a names the day of the promise rather than b: the one that stands later, nearer the verb.
func specific(a, b mention) bool { return a.at > b.at }

// ahead reports whether a clause names a day that is not over.
func ahead(days []mention) bool {
	return slices.ContainsFunc(days, func(d mention) bool { return d.ahead })
}

// onlyDays reports whether a text is nothing but a day.
func onlyDays(text string) bool {
	masked := text
	for i := range dayRules {
		masked = dayRules[i].pattern.re.ReplaceAllStringFunc(masked, func(s string) string { return strings.Repeat("_", len(s)) })
	}
	return masked != text && onlyDay.in(masked)
}
