package message

import (
	"slices"
	"strings"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/money"
)

// Variable is one thing that a template can speak of.
type Variable struct {
	Name    string `json:"name"`
	English string `json:"english"` // what it means
	Chinese string `json:"chinese"`
	Example string `json:"example"` // how it is written, in Chinese and in English
}

// variable is a row of the table: what it is, and how it is written.
type variable struct {
	Variable
	shows exposure
	help  string                 // what to do where there is no value
	write func(f *filler) string // appends the value, or says what is wrong with it
}

// variables is the one table of variables. Their values are data; none is ever read as a template.
var variables = [...]variable{
	{
		Variable{"borrower_name", "the borrower's name, as the lender has it", "借款人姓名，按机构登记", "王小明 · Wang Xiaoming"},
		exposeNothing, "import the borrower's name, or use a template without it",
		func(f *filler) string { return f.value(f.v.Name) },
	},
	{
		Variable{"lender", "the lender's name, as borrowers know it; in Chinese the signature of an SMS", "机构名称，也是短信签名", "示例消金"},
		exposeNothing, "set lender.name in the configuration", (*filler).lender,
	},
	{
		Variable{"service_phone", "the number where borrowers get help", "客服电话", "95000"},
		exposeNothing, "set lender.service_phone in the configuration",
		func(f *filler) string { return f.value(f.v.ServicePhone) },
	},
	{
		Variable{"today", "the day of the message", "发送当天", "2026年12月1日 · 1 December 2026"},
		exposeNothing, "this is a defect: the caller names no day", (*filler).today,
	},
	{
		Variable{"code", "the message's number, by which the borrower can ask whether it is genuine", "消息编号，借款人可凭它向客服核实", "k3m9qx"},
		exposeNothing, "this is a defect: the caller names no code",
		func(f *filler) string { return f.value(f.v.Code) },
	},
	{
		Variable{"due_date", "the due day; from the first to the last where the instalments differ", "到期日；多期不同日时写起止", "2026年12月3日 · 3 December 2026"},
		exposeDate, "the contact has no instalment", (*filler).dueDate,
	},
	{
		Variable{"due_when", "the due day in a sentence: before 到期 in Chinese, after “due” in English", "句中的到期日，其后接“到期”", "明天（2026年12月3日） · tomorrow, 3 December 2026 · on 8 December 2026"},
		exposeDate, "the contact has no instalment", (*filler).dueWhen,
	},
	{
		Variable{"days_to_due", "days until the first due day", "距最早到期日的天数", "3天 · 3 days"},
		exposeDate, "use a template for what is past due", (*filler).daysToDue,
	},
	{
		Variable{"pay_hint", "how to pay, in the lender's words", "还款方式说明，由机构填写", "打开App，点“我的-还款”"},
		exposeDate, "the lender has given no way to pay, or use a template without it",
		func(f *filler) string { return f.value(f.v.PayHint) },
	},
	{
		Variable{"installments", "how many instalments the message is about", "涉及几笔还款", "2笔 · 2 instalments"},
		exposeDebt, "the contact has no instalment", (*filler).installments,
	},
	{
		Variable{"total", "what is owed on them in all; by currency where there are several", "应还合计；多币种分别列出", "¥1,234.50 · CNY 1,234.50"},
		exposeDebt, "the contact has no instalment that is owed", (*filler).total,
	},
	{
		Variable{"days_past_due", "days since the first due day", "最早到期日之后的天数", "7天 · 7 days"},
		exposeDebt, "use a template for what is not past due yet", (*filler).daysPastDue,
	},
	{
		Variable{"contract_tail", "the last four characters of the contract's number", "合同号末四位", "8812"},
		exposeDebt, "import the contract's number", (*filler).contractTail,
	},
	{
		Variable{"details", "each instalment with contract, amount and due day, in a list", "逐笔明细：合同尾号、金额、到期日", "尾号8812 ¥617.25 2026年12月3日到期；…"},
		exposeDebt, "import the contracts' numbers", (*filler).details,
	},
	{
		Variable{"debit_reason", "why the automatic debit failed", "自动扣款未成功的原因", "账户余额不足 · not enough money in the account"},
		exposeDebt, "no failed debit is known", (*filler).debitReason,
	},
}

// Variables lists what templates can speak of, in the order of the table.
func Variables() []Variable {
	out := make([]Variable, len(variables))
	for i := range variables {
		out[i] = variables[i].Variable
	}
	return out
}

// variableIndex returns the row of the variable, or -1.
func variableIndex(name string) int {
	return slices.IndexFunc(variables[:], func(v variable) bool { return v.Name == name })
}

// variableNames lists the variables as an error does.
func variableNames() string {
	out := make([]string, len(variables))
	for i := range variables {
		out[i] = variables[i].Name
	}
	return strings.Join(out, ", ")
}

// The bounds of a list in a message and of the currencies of one total.
const (
	detailsMax    = 5
	currenciesMax = 4
)

// What can be wrong with a value.
const (
	noValue   = "has no value"
	nothing   = "has an instalment on which nothing is owed"
	tooMuch   = "is too large a sum"
	manyCoins = "has too many currencies"
	dayPassed = "has no value once the due day has passed"
	notPast   = "has no value until the due day has passed"
)

// lender writes the lender's name. As a signature it has the length that carriers take, and cannot end early.
func (f *filler) lender() string {
	start := len(f.b)
	if problem := f.value(f.v.Lender); problem != "" {
		return problem
	}
	if f.signed {
		return checkSignature(string(f.b[start:]))
	}
	return ""
}

func (f *filler) today() string {
	if f.v.Today.IsZero() {
		return noValue
	}
	f.b = f.l.date(f.b, f.v.Today)
	return ""
}

func (f *filler) dueDate() string {
	first, last := f.due()
	if first.IsZero() {
		return noValue
	}
	f.b = f.l.span(f.l, f.b, first, last)
	return ""
}

func (f *filler) dueWhen() string {
	first, last := f.due()
	if first.IsZero() {
		return noValue
	}
	f.b = f.l.when(f.l, f.b, first, last, f.v.Today)
	return ""
}

func (f *filler) daysToDue() string {
	first, _ := f.due()
	switch {
	case first.IsZero() || f.v.Today.IsZero():
		return noValue
	case first.Before(f.v.Today):
		return dayPassed
	}
	f.b = f.l.days(f.b, first.Sub(f.v.Today))
	return ""
}

func (f *filler) daysPastDue() string {
	first, _ := f.due()
	switch {
	case first.IsZero() || f.v.Today.IsZero():
		return noValue
	case !first.Before(f.v.Today):
		return notPast
	}
	f.b = f.l.days(f.b, f.v.Today.Sub(first))
	return ""
}

func (f *filler) installments() string {
	if len(f.v.Items) == 0 {
		return noValue
	}
	f.b = f.l.count(f.b, len(f.v.Items))
	return ""
}

func (f *filler) total() string {
	var sums [currenciesMax]money.Amount
	n := 0
	for i := range f.v.Items {
		a := f.v.Items[i].Outstanding
		if !a.IsPositive() || a.Currency == "" {
			return nothing
		}
		at := 0
		for at < n && sums[at].Currency != a.Currency {
			at++
		}
		if at == currenciesMax {
			return manyCoins
		}
		sum, err := sums[at].Add(a)
		if err != nil {
			return tooMuch
		}
		sums[at], n = sum, max(n, at+1)
	}
	if n == 0 {
		return noValue
	}
	for i, a := range sums[:n] {
		if i > 0 {
			f.b = append(f.b, " + "...)
		}
		f.b = f.l.money(f.b, a)
	}
	return ""
}

func (f *filler) contractTail() string {
	var seen [detailsMax]string
	n := 0
	for i := range f.v.Items {
		tail := f.tail(f.v.Items[i].LoanID)
		if tail == "" {
			return noValue
		}
		if n == detailsMax || slices.Contains(seen[:n], tail) {
			continue
		}
		if n > 0 {
			f.b = append(f.b, f.l.comma...)
		}
		f.b = append(f.b, tail...)
		seen[n] = tail
		n++
	}
	if n == 0 {
		return noValue
	}
	return ""
}

func (f *filler) details() string {
	for i := range f.v.Items {
		it := &f.v.Items[i]
		tail := f.tail(it.LoanID)
		switch {
		case tail == "" || it.DueOn.IsZero():
			return noValue
		case !it.Outstanding.IsPositive() || it.Outstanding.Currency == "":
			return nothing
		case i >= detailsMax:
			continue
		case i > 0:
			f.b = append(f.b, f.l.list...)
		}
		f.b = f.l.detail(f.l, f.b, tail, it.Outstanding, it.DueOn)
	}
	if rest := len(f.v.Items) - detailsMax; rest > 0 {
		f.b = f.l.more(append(f.b, f.l.list...), rest)
	}
	if len(f.v.Items) == 0 {
		return noValue
	}
	return ""
}

func (f *filler) debitReason() string {
	if f.v.DebitReason == "" {
		return noValue
	}
	f.b = append(f.b, f.l.reason(reasonOf(f.v.DebitReason))...)
	return ""
}

// tail returns the last four letters and digits of the loan's contract number; "" if there is none.
func (f *filler) tail(id duly.LoanID) string {
	const keep = 4
	s := f.v.Contracts[id]
	var out [keep]byte
	n := 0
	for i := len(s) - 1; i >= 0 && n < keep; i-- {
		if c := s[i]; c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			n++
			out[keep-n] = c
		}
	}
	return string(out[keep-n:])
}
