package strategy

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Vars is what a condition may look at: the state of one person and of the instalments that one contact would be about.
// The meaning of each field is in the table that [Variables] returns.
type Vars struct {
	DPD              int
	DaysToDue        int
	AmountDue        int64
	Currency         string
	Product          string
	Schedule         string
	Tier             string
	Segment          string
	Language         string
	Country          string
	Installments     int
	AutoDebit        bool
	DebitFailed      bool
	DebitReason      string
	DebitInFlight    bool
	PromiseOpen      bool
	FirstInstallment bool
	Flags            []string
	LateBefore       int
}

// Variable documents one variable of conditions.
type Variable struct {
	Name    string
	Type    string // int, bool, string, list(string)
	Unit    string // days, minor units, …; "" where there is none
	English string
	Chinese string
	Applies bool // applies_to may look at it too
}

// variable is a row of the table: its documentation, its type and where its value is.
type variable struct {
	Variable
	typ   *cel.Type
	value func(v *Vars) any
}

// variables is the one table of variables. A new one is a row here, a field of Vars, and a line that fills it.
var variables = []variable{
	row("dpd", "days", "days past due of the oldest instalment on the step's day; negative before the due day", "最早一期在该步骤当日的逾期天数；到期前为负", false, func(v *Vars) int { return v.DPD }),
	row("days_to_due", "days", "days until the oldest instalment is due: dpd with the other sign", "最早一期距到期的天数（dpd 的相反数）", false, func(v *Vars) int { return v.DaysToDue }),
	row("amount_due", "minor units", "what all instalments of the contact still owe, of those in the oldest one's currency", "本次联系涉及各期的未还总额（与最早一期同币种，以最小货币单位计，人民币为分）", false, func(v *Vars) int { return int(v.AmountDue) }),
	row("currency", "ISO 4217", "currency of the oldest instalment", "最早一期的币种", true, func(v *Vars) string { return v.Currency }),
	row("product", "", "product of the oldest instalment's loan", "最早一期所属贷款的产品", true, func(v *Vars) string { return v.Product }),
	row("schedule", "", "schedule of that loan: equal_installment, equal_principal, interest_first, bullet, revolving", "该贷款的还款方式", true, func(v *Vars) string { return v.Schedule }),
	row("tier", "", `the lender's risk tier, "A" (safe) to "E"; "" is unknown`, "风险等级 A（低）至 E（高）；空为未知", true, func(v *Vars) string { return v.Tier }),
	row("segment", "", "the lender's customer segment", "客群", true, func(v *Vars) string { return v.Segment }),
	row("language", "BCP 47", "the borrower's language: zh-CN, en", "借款人语言", true, func(v *Vars) string { return v.Language }),
	row("country", "ISO 3166", "the borrower's country path: CN, US, US-MA", "借款人所在国家或地区", true, func(v *Vars) string { return v.Country }),
	row("installments", "instalments", "how many instalments the contact is about", "本次联系涉及的期数", false, func(v *Vars) int { return v.Installments }),
	row("auto_debit", "", "one of the contact's loans is repaid by automatic debit", "涉及的贷款中有自动扣款的", true, func(v *Vars) bool { return v.AutoDebit }),
	row("debit_failed", "", "the latest debit that was tried for one of the contact's instalments failed", "涉及的某一期最近一次扣款失败", false, func(v *Vars) bool { return v.DebitFailed }),
	row("debit_reason", "", `why it failed: insufficient_funds, card_expired, …; "" if it did not`, "扣款失败原因；未失败为空", false, func(v *Vars) string { return v.DebitReason }),
	row("debit_in_flight", "", "a debit of one of the contact's instalments is on its way or due today", "涉及的某一期正在扣款或当日待扣款", false, func(v *Vars) bool { return v.DebitInFlight }),
	row("promise_open", "", "a promise to pay stands for one of the contact's loans or for the person", "存在未到期的还款承诺", false, func(v *Vars) bool { return v.PromiseOpen }),
	row("first_installment", "", "one of the contact's instalments is the first of its loan", "涉及某笔贷款的第一期", false, func(v *Vars) bool { return v.FirstInstallment }),
	row("flags", "", "the borrower's circumstances: vulnerable, unreachable, …", "借款人情况标记", true, func(v *Vars) []string { return v.Flags }),
	row("late_before", "instalments", "how many of the person's known instalments were settled after their due day", "已知各期中曾逾期后还清的期数", false, func(v *Vars) int { return v.LateBefore }),
}

// variableAt finds a row of the table by name.
var variableAt = func() map[string]*variable {
	m := make(map[string]*variable, len(variables))
	for i := range variables {
		m[variables[i].Name] = &variables[i]
	}
	return m
}()

// row makes a row of the table; the type follows from what value returns.
func row[T int | bool | string | []string](name, unit, english, chinese string, applies bool, value func(*Vars) T) variable {
	r := variable{Variable: Variable{Name: name, Unit: unit, English: english, Chinese: chinese, Applies: applies}}
	switch get := any(value).(type) {
	case func(*Vars) int:
		r.typ, r.value = cel.IntType, func(v *Vars) any { return types.Int(get(v)) }
	case func(*Vars) bool:
		r.typ, r.value = cel.BoolType, func(v *Vars) any { return types.Bool(get(v)) }
	case func(*Vars) string:
		r.typ, r.value = cel.StringType, func(v *Vars) any { return types.String(get(v)) }
	case func(*Vars) []string:
		r.typ, r.value = cel.ListType(cel.StringType), func(v *Vars) any { return get(v) }
	}
	r.Type = r.typ.String()
	return r
}

// Variables lists what a condition may look at, in the order of the table.
func Variables() []Variable {
	out := make([]Variable, len(variables))
	for i := range variables {
		out[i] = variables[i].Variable
	}
	return out
}

var _ interpreter.Activation = (*Vars)(nil)

// ResolveName returns the value of a variable to the evaluator of conditions.
func (v *Vars) ResolveName(name string) (any, bool) {
	r, ok := variableAt[name]
	if !ok {
		return nil, false
	}
	return r.value(v), true
}

// Parent returns nil: there are no variables but these.
func (*Vars) Parent() interpreter.Activation { return nil }

// Case is the question that a condition is asked about: one person, and the instalments that one contact would be about.
type Case struct {
	Person   *duly.Person
	Items    []duly.Item // at least one
	Day      civil.Date  // the day of the step
	Now      time.Time   // what is known is what was known then
	Location *time.Location
}

// Fill sets v to the variables of the case, as far as the step's condition looks at them.
func (st *Step) Fill(v *Vars, c *Case) {
	*v = Vars{Installments: len(c.Items)}
	v.fillBorrower(c.Person)
	v.fillItems(c)
	v.fillDebits(c)
	v.fillPromise(c)
	if st.When != nil && st.When.Uses("late_before") {
		v.LateBefore = lateBefore(c)
	}
}

func (v *Vars) fillBorrower(p *duly.Person) {
	b := &p.Borrower
	v.Tier, v.Segment, v.Language, v.Country, v.Flags = b.Tier, b.Segment, b.Language, b.Country, b.Flags
}

func (v *Vars) fillLoan(l *duly.Loan) {
	if l == nil {
		return
	}
	v.Currency, v.Product, v.Schedule, v.AutoDebit = string(l.Currency), l.Product, string(l.Schedule), l.AutoDebit
}

func (v *Vars) fillItems(c *Case) {
	oldest := &c.Items[0]
	for i := range c.Items {
		if c.Items[i].DueOn.Before(oldest.DueOn) {
			oldest = &c.Items[i]
		}
	}
	v.DPD = c.Day.Sub(oldest.DueOn)
	v.DaysToDue = -v.DPD
	v.fillLoan(c.Person.Loan(oldest.LoanID))
	v.Currency = string(oldest.Outstanding.Currency)
	for i := range c.Items {
		it := &c.Items[i]
		if it.Outstanding.Currency == oldest.Outstanding.Currency {
			v.AmountDue += it.Outstanding.Minor
		}
		v.FirstInstallment = v.FirstInstallment || it.No == 1
		if l := c.Person.Loan(it.LoanID); l != nil {
			v.AutoDebit = v.AutoDebit || l.AutoDebit
		}
	}
}

func (v *Vars) fillDebits(c *Case) {
	if len(c.Person.Debits) == 0 {
		return
	}
	for i := range c.Items {
		it := &c.Items[i]
		v.DebitInFlight = v.DebitInFlight || DebitInFlight(c.Person, it.LoanID, it.No, c.Now, c.Location)
		if d := latestDebit(c.Person, it.LoanID, it.No, c.Now); d != nil && d.State == duly.DebitFailed {
			v.DebitFailed, v.DebitReason = true, d.Reason
		}
	}
}

// latestDebit returns the debit of an instalment that was tried last by now, or nil.
func latestDebit(p *duly.Person, loan duly.LoanID, no int, now time.Time) *duly.Debit {
	var last *duly.Debit
	for i := range p.Debits {
		d := &p.Debits[i]
		if d.LoanID != loan || d.InstallmentNo != no || d.State == duly.DebitScheduled || d.At.After(now) {
			continue
		}
		if last == nil || d.At.After(last.At) || d.At.Equal(last.At) && d.ID > last.ID {
			last = d
		}
	}
	return last
}

// DebitInFlight reports whether a debit of the instalment is on its way at now, or is to be tried later on that day of the
// lender's. One whose time passed without a word of it is not waited for.
func DebitInFlight(p *duly.Person, loan duly.LoanID, no int, now time.Time, loc *time.Location) bool {
	for i := range p.Debits {
		d := &p.Debits[i]
		if d.LoanID != loan || d.InstallmentNo != no {
			continue
		}
		switch d.State {
		case duly.DebitInFlight:
			if !d.At.After(now) {
				return true
			}
		case duly.DebitScheduled:
			if !d.At.Before(now) && civil.In(d.At, loc) == civil.In(now, loc) {
				return true
			}
		case duly.DebitSucceeded, duly.DebitFailed:
		}
	}
	return false
}

// holdPromise is the kind of hold that an open promise to pay is.
const holdPromise = "promise_to_pay"

func (v *Vars) fillPromise(c *Case) {
	for i := range c.Items {
		v.PromiseOpen = v.PromiseOpen || PromiseOpen(c.Person, c.Items[i].LoanID, c.Now)
	}
}

// PromiseOpen reports whether a promise to pay the loan stands at now.
func PromiseOpen(p *duly.Person, loan duly.LoanID, now time.Time) bool {
	for i := range p.Holds {
		h := &p.Holds[i]
		if h.Kind == holdPromise && h.ActiveAt(now) && (h.Scope == duly.HoldPerson || h.LoanID == "" || h.LoanID == loan) {
			return true
		}
	}
	return false
}

func lateBefore(c *Case) int {
	n := 0
	for i := range c.Person.Installments {
		in := &c.Person.Installments[i]
		if !in.SettledAt.IsZero() && !in.Open() && civil.In(in.SettledAt, c.Location).After(in.DueOn) {
			n++
		}
	}
	return n
}
