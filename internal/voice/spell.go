package voice

import (
	"regexp"
	"strconv"
	"strings"
)

// What is written in figures and must be said in words: dates before money before numbers.
var (
	datesChinese  = regexp.MustCompile(`(\d{4})年(\d{1,2})月(\d{1,2})日`)
	moneyWritten  = regexp.MustCompile(`(¥|CNY |[A-Z]{3} )(-?[\d,]+)(?:\.(\d{1,2}))?`)
	longDigits    = regexp.MustCompile(`\d{5,}`)
	numberWritten = regexp.MustCompile(`\d+`)
	datesEnglish  = regexp.MustCompile(`\b(\d{1,2}) (January|February|March|April|May|June|July|August|September|October|November|December) (\d{4})\b`)
)

// Spell writes text as it is said: money, dates and numbers in words, a telephone number digit by digit. What recordings are put
// together from is the same words.
func Spell(language, text string) string {
	if strings.HasPrefix(language, "zh") {
		return spellChinese(text)
	}
	return spellEnglish(text)
}

func spellChinese(text string) string {
	text = replace(datesChinese, text, func(m []string) string {
		return digitsChinese(m[1]) + "年" + numberChinese(atoi(m[2])) + "月" + numberChinese(atoi(m[3])) + "日"
	})
	text = replace(moneyWritten, text, func(m []string) string {
		minus := ""
		if strings.HasPrefix(m[2], "-") {
			minus = "负"
		}
		unit, ok := map[string]string{"¥": "元", "CNY ": "元", "USD ": "美元", "HKD ": "港元", "EUR ": "欧元", "JPY ": "日元"}[m[1]]
		if !ok {
			unit = strings.TrimSpace(m[1])
		}
		return minus + numberChinese(atoi(strings.NewReplacer(",", "", "-", "").Replace(m[2]))) + unit + coins(m[3], unit)
	})
	text = longDigits.ReplaceAllStringFunc(text, digitsChinese)
	return numberWritten.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '0' {
			return digitsChinese(s)
		}
		n := numberChinese(atoi(s))
		return n
	})
}

// coins says what follows the unit: 5角6分, or the decimals of a currency that has no such names.
func coins(s, unit string) string {
	if s == "" || strings.Trim(s, "0") == "" {
		return ""
	}
	if len(s) == 1 {
		s += "0"
	}
	if unit != "元" {
		return numberChinese(atoi(s)) + "分"
	}
	out := ""
	if s[0] != '0' {
		out = digitsChinese(s[:1]) + "角"
	} else {
		out = "零"
	}
	if s[1] != '0' {
		out += digitsChinese(s[1:]) + "分"
	}
	return out
}

func replace(re *regexp.Regexp, text string, with func([]string) string) string {
	return re.ReplaceAllStringFunc(text, func(s string) string { return with(re.FindStringSubmatch(s)) })
}

func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // what is too long for it is said digit by digit before
	return n
}

var figures = []string{"零", "一", "二", "三", "四", "五", "六", "七", "八", "九"}

func digitsChinese(s string) string {
	var b strings.Builder
	for _, c := range s {
		b.WriteString(figures[c-'0'])
	}
	return b.String()
}

// numberChinese says a number: 一千零五十万零三.
func numberChinese(n int64) string {
	if n == 0 {
		return figures[0]
	}
	out, gap := "", false
	for _, part := range []struct {
		size int64
		unit string
	}{{100_000_000, "亿"}, {10_000, "万"}, {1, ""}} {
		v := n / part.size
		n %= part.size
		if v == 0 {
			gap = gap || out != ""
			continue
		}
		if out != "" && (gap || v < 1000) {
			out += figures[0]
		}
		if v >= 10_000 { // of 亿, which nobody owes
			out += numberChinese(v) + part.unit
		} else {
			out += thousandsChinese(v, out == "") + part.unit
		}
		gap = false
	}
	return out
}

// thousandsChinese says a number below ten thousand. Ten to nineteen at the beginning are 十, not 一十.
func thousandsChinese(n int64, first bool) string {
	out, gap := "", false
	for _, part := range []struct {
		size int64
		unit string
	}{{1000, "千"}, {100, "百"}, {10, "十"}, {1, ""}} {
		v := n / part.size
		n %= part.size
		if v == 0 {
			gap = gap || out != ""
			continue
		}
		if gap {
			out += figures[0]
		}
		gap = false
		if part.size == 10 && v == 1 && out == "" && first {
			out = part.unit
			continue
		}
		out += figures[v] + part.unit
	}
	return out
}

func spellEnglish(text string) string {
	text = replace(datesEnglish, text, func(m []string) string {
		return m[2] + " " + ordinalEnglish(atoi(m[1])) + " " + yearEnglish(atoi(m[3]))
	})
	text = replace(moneyWritten, text, func(m []string) string {
		unit := map[string][2]string{"¥": {"yuan", "fen"}, "CNY ": {"yuan", "fen"}, "USD ": {"dollars", "cents"}, "EUR ": {"euros", "cents"}, "GBP ": {"pounds", "pence"}}[m[1]]
		if unit[0] == "" {
			unit = [2]string{strings.TrimSpace(m[1]), "hundredths"}
		}
		out := numberEnglish(atoi(strings.NewReplacer(",", "", "-", "").Replace(m[2]))) + " " + unit[0]
		if strings.HasPrefix(m[2], "-") {
			out = "minus " + out
		}
		if m[3] != "" && strings.Trim(m[3], "0") != "" {
			out += " and " + numberEnglish(atoi((m[3] + "0")[:2])) + " " + unit[1]
		}
		return out
	})
	text = longDigits.ReplaceAllStringFunc(text, digitsEnglish)
	return numberWritten.ReplaceAllStringFunc(text, func(s string) string {
		if s[0] == '0' && len(s) > 1 {
			return digitsEnglish(s)
		}
		return numberEnglish(atoi(s))
	})
}

var (
	small = strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens  = strings.Fields("- - twenty thirty forty fifty sixty seventy eighty ninety")
	th    = map[string]string{"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}
)

func digitsEnglish(s string) string {
	out := make([]string, len(s))
	for i := range s {
		out[i] = small[s[i]-'0']
	}
	return strings.Join(out, " ")
}

func numberEnglish(n int64) string {
	switch {
	case n < 20:
		return small[n]
	case n < 100:
		return join(tens[n/10], n%10)
	case n < 1000:
		return join(small[n/100]+" hundred", n%100)
	case n < 1_000_000:
		return join(numberEnglish(n/1000)+" thousand", n%1000)
	case n < 1_000_000_000:
		return join(numberEnglish(n/1_000_000)+" million", n%1_000_000)
	}
	return join(numberEnglish(n/1_000_000_000)+" billion", n%1_000_000_000)
}

func join(s string, rest int64) string {
	if rest == 0 {
		return s
	}
	return s + " " + numberEnglish(rest)
}

func ordinalEnglish(n int64) string {
	words := strings.Fields(numberEnglish(n))
	last := words[len(words)-1]
	if o, ok := th[last]; ok {
		words[len(words)-1] = o
	} else {
		words[len(words)-1] = last + "th"
	}
	return strings.Join(words, " ")
}

func yearEnglish(y int64) string {
	if y%100 == 0 || y/100 == 20 && y%100 < 10 {
		return numberEnglish(y)
	}
	if y%100 < 10 {
		return numberEnglish(y/100) + " oh " + numberEnglish(y%100)
	}
	return numberEnglish(y/100) + " " + numberEnglish(y%100)
}
