package reply

import (
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// mention is a day that a text names.
type mention struct {
	at    int // where it stands
	day   civil.Date
	clear bool // false: no day that exists, or it is not clear which
	ahead bool // not in the past
}

// dayRule reads one way of naming a day. Groups are the submatches of its pattern.
type dayRule struct {
	pattern *pattern
	read    func(groups []string, on civil.Date, lang string) (civil.Date, bool) // nil: a day that is over
}

const (
	numeralZh = `([0-9]{1,2}|[一二两三四五六七八九十廿卅]{1,3})`
	monthName = `(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?\.?`
	weekName  = `(mon|tues|wednes|thurs|fri|satur|sun)day`
)

// dayRules are tried in order; what one reads is not read again. A day without a month or a weekday without a week is the
// next such day.
var dayRules = []dayRule{
	{compile(`(20[0-9]{2})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})[日号]?`), func(g []string, _ civil.Date, _ string) (civil.Date, bool) {
		return onDay(number(g[1]), number(g[2]), number(g[3]))
	}},
	{compile(`(下下?)个?月(?:的)?` + numeralZh + `[号日]`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return monthDay(on, len(g[1])/len("下"), number(g[2]))
	}},
	{compile(numeralZh + `月` + numeralZh + `[号日]?`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return nextMonthDay(on, number(g[1]), number(g[2]))
	}},
	{compile(`(?:这个月|本月|这月|当月)` + numeralZh + `[号日]`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return monthDay(on, 0, number(g[1]))
	}},
	{compile(`(下下?)个?月(?:月)?底|(?:next month end|end of (?:the )?next month|end of the following month)`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return monthEnd(on, max(1, len(g[1])/len("下"))), true
	}},
	{compile(`(?:这个|本|这)?月(?:底|末)|\b(?:by |at |before )?(?:the )?(?:end of (?:the |this )?month|month ?end|months end|eom)\b`), func(_ []string, on civil.Date, _ string) (civil.Date, bool) {
		return monthEnd(on, 0), true
	}},
	{compile(`(下下?)(?:个)?(?:周|星期|礼拜)([一二三四五六日天末])`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return monday(on).Add(7*(len(g[1])/len("下")) + weekdayZh(g[2])), true
	}},
	{compile(`(?:这|本)(?:个)?(?:周|星期|礼拜)([一二三四五六日天末])`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		d := monday(on).Add(weekdayZh(g[1]))
		return d, !d.Before(on)
	}},
	{compile(`(?:周|星期|礼拜)([一二三四五六日天末])`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return nextWeekday(on, weekdayZh(g[1]))
	}},
	{compile(`大后天`), fromToday(3)},
	{compile(`后天|\b(?:the )?day after tomorrow\b|\bovermorrow\b`), fromToday(2)},
	{compile(`明[天早晚儿]|明(?:上|下|中)午|\btomorrow\b`), fromToday(1)},
	{compile(`今[天晚早儿日](?:上午|中午|下午|傍晚|晚上|之内|内)?|\b(?:today|tonight|this (?:afternoon|evening|morning)|right now|right away|immediately|in (?:an|a few|a couple of|[0-9]+|one|two|three) hours?|in (?:[0-9]+|a few|ten|twenty|thirty) minutes|by (?:noon|midnight|close of business|eod|cob)|eod|end of (?:the )?day)\b`), fromToday(0)},
	{compile(`(?:过|再过|等|再等|再给我|给我|缓|宽限)?` + numeralZh + `(?:个)?(天|日|周|星期|礼拜)(?:之?内|以内|之?后|以后|左右|时间|就|再|一定|$|[,.!;\n还付])`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		n := number(g[1])
		if g[2] != "天" && g[2] != "日" {
			n *= 7
		}
		return on.Add(n), n > 0
	}},
	{compile(`\b(?:in|within|give me|another) (?:the next |about |like )?([0-9]{1,2}|a|one|two|three|four|five|six|seven|ten|fourteen) (?:more |business |working )?(day|week)s?\b|\b([0-9]{1,2}|a|one|two|three) (day|week)s? from (?:now|today)\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		n, unit := g[1]+g[3], g[2]+g[4]
		days := numberEn(n)
		if unit == "week" {
			days *= 7
		}
		return on.Add(days), days > 0
	}},
	{compile(`\b` + monthName + ` ([0-9]{1,2})(?:st|nd|rd|th)?(?:,? (20[0-9]{2}))?\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return named(on, g[1], g[2], g[3])
	}},
	{compile(`\b([0-9]{1,2})(?:st|nd|rd|th)?(?: of)? ` + monthName + `(?:,? (20[0-9]{2}))?\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return named(on, g[2], g[1], g[3])
	}},
	{compile(`\bnext (?:week )?(?:on )?` + weekName + `\b|\b` + weekName + ` (?:of )?next week\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return monday(on).Add(7 + weekdayEn(g[1]+g[2])), true
	}},
	{compile(`\bthis (?:coming )?` + weekName + `\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		d := monday(on).Add(weekdayEn(g[1]))
		return d, !d.Before(on)
	}},
	{compile(`\bthis weekend\b|\b(?:the|on the|over the|by the) weekend\b|\bend of (?:the |this )?week\b|\bby weekend\b`), func(_ []string, on civil.Date, _ string) (civil.Date, bool) {
		return monday(on).Add(6), true
	}},
	{compile(`\blast ` + weekName + `\b|\byesterday\b|昨天|前天|上个?(?:周|星期|礼拜)[一二三四五六日天末]?|上个?月`), nil},
	{compile(`\b` + weekName + `\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return nextWeekday(on, weekdayEn(g[1]))
	}},
	{compile(`\b(?:on |by |before |until |around |about )?the ([0-9]{1,2})(?:st|nd|rd|th)?\b|\b([0-9]{1,2})(?:st|nd|rd|th)\b`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return nextDay(on, number(g[1]+g[2]))
	}},
	{compile(numeralZh + `[号日](?:$|[^线楼院门码])`), func(g []string, on civil.Date, _ string) (civil.Date, bool) {
		return nextDay(on, number(g[1]))
	}},
	{compile(`\b([0-9]{1,2})[/.-]([0-9]{1,2})(?:[/.-](20[0-9]{2}|[0-9]{2}))?\b`), slashed},
}

// partsOfDay mean today where no day is named.
var partsOfDay = compile(`等会儿?|待会儿?|一会儿?|晚点|稍后|马上|立刻|立马|这就|现在就?|下班(?:后|以后|之后|就|了|再|回家)?|回家就|回去就|睡前|晚上|下午|中午|傍晚|\b(?:after work|when i get home|shortly|later on|now)\b`)

func fromToday(n int) func([]string, civil.Date, string) (civil.Date, bool) {
	return func(_ []string, on civil.Date, _ string) (civil.Date, bool) { return on.Add(n), true }
}

// mentions lists the days that a clause names, in the order of dayRules.
func mentions(text string, on civil.Date, lang string) []mention {
	var out []mention
	known := !on.IsZero()
	if !known {
		on = civil.On(2000, time.January, 1) // that a day is named can be seen without knowing today
	}
	for i := range dayRules {
		r := &dayRules[i]
		for {
			if r.pattern.absent(text) {
				break
			}
			at := r.pattern.re.FindStringSubmatchIndex(text)
			if at == nil {
				break
			}
			var day civil.Date
			ok, ahead := false, false
			if r.read != nil {
				day, ok = r.read(groupsOf(text, at), on, lang)
				ahead = day.IsZero() || !day.Before(on)
			}
			if !known {
				day, ok = civil.Date{}, false
			}
			out = append(out, mention{at[0], day, ok && !day.IsZero(), ahead})
			text = text[:at[0]] + strings.Repeat("_", at[1]-at[0]) + text[at[1]:]
		}
	}
	if at := partsOfDay.find(text); at != nil && len(out) == 0 {
		day := on
		if !known {
			day = civil.Date{}
		}
		out = append(out, mention{at[0], day, known, true})
	}
	return out
}

func groupsOf(text string, at []int) []string {
	out := make([]string, len(at)/2)
	for i := range out {
		if at[2*i] >= 0 {
			out[i] = text[at[2*i]:at[2*i+1]]
		}
	}
	return out
}

// number reads a number of one or two digits, in digits or Chinese; 0 is none.
func number(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	n := 0
	for _, c := range s {
		switch c {
		case '十':
			n = max(n, 1) * 10
		case '廿':
			n = 20
		case '卅':
			n = 30
		case '两':
			n += 2
		default:
			n += strings.IndexRune("一二三四五六七八九", c)/len("一") + 1
		}
	}
	return n
}

func numberEn(s string) int {
	switch s {
	case "a", "one":
		return 1
	case "two":
		return 2
	case "three":
		return 3
	case "four":
		return 4
	case "five":
		return 5
	case "six":
		return 6
	case "seven":
		return 7
	case "ten":
		return 10
	case "fourteen":
		return 14
	}
	return number(s)
}

// onDay returns a day of the calendar, or false if there is none such.
func onDay(year, month, day int) (civil.Date, bool) {
	if month < 1 || month > 12 || day < 1 || day > 31 || year < civil.MinYear || year > civil.MaxYear {
		return civil.Date{}, false
	}
	d := civil.On(year, time.Month(month), day)
	_, m, _ := d.YMD()
	return d, int(m) == month
}

// monthDay returns a day of the month that is so many months after on's.
func monthDay(on civil.Date, months, day int) (civil.Date, bool) {
	y, m, _ := on.YMD()
	first := civil.On(y, m, 1).AddMonths(months)
	y, m, _ = first.YMD()
	d, ok := onDay(y, int(m), day)
	return d, ok && !d.Before(on)
}

// nextDay returns the next day of that number, today included.
func nextDay(on civil.Date, day int) (civil.Date, bool) {
	if d, ok := monthDay(on, 0, day); ok {
		return d, true
	}
	if _, _, today := on.YMD(); day >= today {
		return civil.Date{}, false // this month has no such day
	}
	return monthDay(on, 1, day)
}

// nextMonthDay returns the next such day, today included.
func nextMonthDay(on civil.Date, month, day int) (civil.Date, bool) {
	d, ok := onDay(on.Year(), month, day)
	if ok && d.Before(on) {
		d, ok = onDay(on.Year()+1, month, day)
	}
	return d, ok
}

func named(on civil.Date, month, day, year string) (civil.Date, bool) {
	m := strings.Index("jan feb mar apr may jun jul aug sep oct nov dec", month)/4 + 1
	if year != "" {
		d, ok := onDay(number(year), m, number(day))
		return d, ok && !d.Before(on)
	}
	return nextMonthDay(on, m, number(day))
}

// slashed reads 1/15 and 15/1. Where both could be the month, only a language of one custom decides.
func slashed(g []string, on civil.Date, lang string) (civil.Date, bool) {
	a, b := number(g[1]), number(g[2])
	monthFirst := a <= 12
	if a <= 12 && b <= 12 && a != b {
		switch {
		case lang == "en-US" || strings.HasPrefix(lang, "zh"):
		case strings.HasPrefix(lang, "en-"):
			monthFirst = false
		default:
			return civil.Date{}, false
		}
	}
	if !monthFirst {
		a, b = b, a
	}
	if y := number(g[3]); y > 0 {
		if y < 100 {
			y += 2000
		}
		d, ok := onDay(y, a, b)
		return d, ok && !d.Before(on)
	}
	return nextMonthDay(on, a, b)
}

func monthEnd(on civil.Date, months int) civil.Date {
	y, m, _ := on.YMD()
	return civil.On(y, m, 1).AddMonths(months + 1).Add(-1)
}

func monday(on civil.Date) civil.Date { return on.Add(-(int(on.Weekday()) + 6) % 7) }

// nextWeekday returns the next such day after today, 0 being Monday; on that very weekday it is not clear which is meant.
func nextWeekday(on civil.Date, weekday int) (civil.Date, bool) {
	d := monday(on).Add(weekday)
	if !d.After(on) {
		return d.Add(7), d != on
	}
	return d, true
}

func weekdayZh(s string) int {
	switch s {
	case "末", "天":
		return 6
	}
	return strings.Index("一二三四五六日", s) / len("一")
}

func weekdayEn(s string) int {
	for i, w := range []string{"mon", "tues", "wednes", "thurs", "fri", "satur", "sun"} {
		if s == w {
			return i
		}
	}
	return 0
}
