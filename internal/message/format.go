package message

import (
	"strconv"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// locale is how one language writes money, days and lists. Everything appends to b.
type locale struct {
	tag    string
	money  func(b []byte, a money.Amount) []byte
	date   func(b []byte, d civil.Date) []byte
	span   func(l *locale, b []byte, first, last civil.Date) []byte
	when   func(l *locale, b []byte, first, last, today civil.Date) []byte // fits before 到期, after "due"
	days   func(b []byte, n int) []byte
	count  func(b []byte, n int) []byte
	detail func(l *locale, b []byte, tail string, a money.Amount, due civil.Date) []byte
	more   func(b []byte, n int) []byte // ends a list that was cut short
	reason func(r *debitReason) string
	list   string // between the parts of a long list
	comma  string // between single words
	signed bool   // an SMS must open with 【the lender's name】
}

// locales is the one table of languages that templates may be written in.
var locales = []*locale{
	{
		tag: "zh-CN", money: moneyChinese, date: dateChinese, span: spanChinese, when: whenChinese,
		days:   func(b []byte, n int) []byte { return append(strconv.AppendInt(b, int64(n), 10), "天"...) },
		count:  func(b []byte, n int) []byte { return append(strconv.AppendInt(b, int64(n), 10), "笔"...) },
		detail: detailChinese,
		more: func(b []byte, n int) []byte {
			return append(strconv.AppendInt(append(b, "另有"...), int64(n), 10), "笔"...)
		},
		reason: func(r *debitReason) string { return r.chinese },
		list:   "；", comma: "、", signed: true,
	},
	{
		tag: "en", money: moneyCode, date: dateEnglish, span: spanEnglish, when: whenEnglish,
		days:   func(b []byte, n int) []byte { return plural(b, n, "day") },
		count:  func(b []byte, n int) []byte { return plural(b, n, "instalment") },
		detail: detailEnglish,
		more:   func(b []byte, n int) []byte { return append(strconv.AppendInt(b, int64(n), 10), " more"...) },
		reason: func(r *debitReason) string { return r.english },
		list:   "; ", comma: ", ",
	},
}

// localeOf returns the locale that writes language, or nil.
func localeOf(language string) *locale {
	for _, l := range locales {
		if l.tag == language {
			return l
		}
	}
	return nil
}

// nearest returns the locale of language, of the language it is a form of, or the default one.
func nearest(language string) *locale {
	if l := localeOf(language); l != nil {
		return l
	}
	for _, l := range locales {
		if base(l.tag) == base(language) {
			return l
		}
	}
	return localeOf(DefaultLanguage)
}

// Money writes an amount for a person who reads language: ¥1,234.50 in Chinese, CNY 1,234.50 in English.
func Money(language string, a money.Amount) string { return string(nearest(language).money(nil, a)) }

// Date writes a day for a person who reads language: 2026年12月3日, 3 December 2026. No date is "".
func Date(language string, d civil.Date) string {
	if d.IsZero() {
		return ""
	}
	return string(nearest(language).date(nil, d))
}

// moneyChinese writes renminbi with its sign. Yen share the sign, so every other currency goes by its code.
func moneyChinese(b []byte, a money.Amount) []byte {
	if a.Currency != "CNY" {
		return moneyCode(b, a)
	}
	if a.Minor < 0 {
		b = append(b, '-')
	}
	return grouped(append(b, "¥"...), a)
}

// moneyCode writes the currency's code before the number.
func moneyCode(b []byte, a money.Amount) []byte {
	b = append(append(b, a.Currency...), ' ')
	if a.Minor < 0 {
		b = append(b, '-')
	}
	return grouped(b, a)
}

// grouped writes the number without its sign, a comma after every third digit.
func grouped(b []byte, a money.Amount) []byte {
	n := uint64(a.Minor)
	if a.Minor < 0 {
		n = -n
	}
	var digits [24]byte
	d := strconv.AppendUint(digits[:0], n, 10)
	decimals := a.Currency.Decimals()
	for len(d) <= decimals {
		d = append(d, 0)
		copy(d[1:], d)
		d[0] = '0'
	}
	whole := d[:len(d)-decimals]
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, c)
	}
	if decimals > 0 {
		b = append(append(b, '.'), d[len(whole):]...)
	}
	return b
}

func dateChinese(b []byte, d civil.Date) []byte {
	y, m, day := d.YMD()
	b = append(strconv.AppendInt(b, int64(y), 10), "年"...)
	b = append(strconv.AppendInt(b, int64(m), 10), "月"...)
	return append(strconv.AppendInt(b, int64(day), 10), "日"...)
}

func dateEnglish(b []byte, d civil.Date) []byte {
	y, m, day := d.YMD()
	b = append(strconv.AppendInt(b, int64(day), 10), ' ')
	b = append(append(b, m.String()...), ' ')
	return strconv.AppendInt(b, int64(y), 10)
}

func spanChinese(l *locale, b []byte, first, last civil.Date) []byte {
	b = l.date(b, first)
	if first != last {
		b = l.date(append(b, "至"...), last)
	}
	return b
}

func spanEnglish(l *locale, b []byte, first, last civil.Date) []byte {
	b = l.date(b, first)
	if first != last {
		b = l.date(append(b, " to "...), last)
	}
	return b
}

func whenChinese(l *locale, b []byte, first, last, today civil.Date) []byte {
	word := nearWord(first, last, today, "今天", "明天")
	if word == "" {
		return l.span(l, b, first, last)
	}
	return append(l.date(append(append(b, word...), "（"...), first), "）"...)
}

func whenEnglish(l *locale, b []byte, first, last, today civil.Date) []byte {
	word := nearWord(first, last, today, "today", "tomorrow")
	switch {
	case word != "":
		return l.date(append(append(b, word...), ", "...), first)
	case first == last:
		return l.date(append(b, "on "...), first)
	}
	return l.span(l, append(b, "from "...), first, last)
}

// nearWord returns the word for a single day that is near; "" for any other.
func nearWord(first, last, today civil.Date, onDay, dayBefore string) string {
	if first != last || today.IsZero() {
		return ""
	}
	switch first.Sub(today) {
	case 0:
		return onDay
	case 1:
		return dayBefore
	}
	return ""
}

func detailChinese(l *locale, b []byte, tail string, a money.Amount, due civil.Date) []byte {
	b = append(append(append(b, "尾号"...), tail...), ' ')
	return append(l.date(append(l.money(b, a), ' '), due), "到期"...)
}

func detailEnglish(l *locale, b []byte, tail string, a money.Amount, due civil.Date) []byte {
	b = append(append(append(b, "contract ending "...), tail...), ": "...)
	return l.date(append(l.money(b, a), " due "...), due)
}

func plural(b []byte, n int, noun string) []byte {
	b = append(append(strconv.AppendInt(b, int64(n), 10), ' '), noun...)
	if n != 1 {
		b = append(b, 's')
	}
	return b
}

// debitReason is why an automatic debit failed, in words a borrower can act on.
type debitReason struct{ code, chinese, english string }

// debitReasons is the one table of them. A code that is not here is told as the bank's refusal, which it is.
var debitReasons = []debitReason{
	{"insufficient_funds", "账户余额不足", "not enough money in the account"},
	{"card_expired", "银行卡已过期", "the bank card has expired"},
	{"account_closed", "账户已注销", "the account is closed"},
	{"account_frozen", "账户暂不可用", "the account is not available"},
	{"limit_exceeded", "超出单笔或当日限额", "over the limit per transfer or day"},
	{"mandate_missing", "扣款授权已失效", "the debit authority has ended"},
	{"bank_unavailable", "银行系统暂时无法处理", "the bank could not process it"},
	{"wrong_account", "账户信息有误", "the account details are wrong"},
}

var otherReason = debitReason{"", "银行未能完成扣款", "the bank did not complete it"}

func reasonOf(code string) *debitReason {
	for i := range debitReasons {
		if debitReasons[i].code == code {
			return &debitReasons[i]
		}
	}
	return &otherReason
}
