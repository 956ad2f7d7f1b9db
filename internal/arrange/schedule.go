package arrange

import (
	"math"
	"math/big"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Limits of the terms of a contract.
const (
	MaxPeriods = 600     // 50 years of months
	MaxRateBP  = 100_000 // 1,000 % a year
)

// Terms are what a schedule is made from.
type Terms struct {
	Kind      duly.ScheduleKind
	Principal money.Amount
	RateBP    int64      // nominal interest of a year in basis points: 1450 is 14.5 %
	Periods   int        // months of the contract; Revolving has one span of days, and takes 0 or 1
	Start     civil.Date // the day of disbursement; not needed where interest goes by months and FirstDue is given
	FirstDue  civil.Date // the first due day; zero means a month after Start. Of Revolving: the day of repayment
	DayCount  DayCount   // "" means ByMonth, and for Revolving Actual360
}

// DayCount is how the interest of a period is found from the rate of a year.
type DayCount string

// The day counts.
const (
	ByMonth   DayCount = "month"      // each period is a twelfth of a year, whatever its days
	Actual360 DayCount = "actual/360" // by days; a day's rate is the year's by 360, as Chinese banks have it
	Actual365 DayCount = "actual/365" // by days; a day's rate is the year's by 365
)

// Known reports whether c is one of the day counts above.
func (c DayCount) Known() bool { return c == ByMonth || c == Actual360 || c == Actual365 }

// yearParts is how many parts a year has, and basis points are of ten thousand.
func (c DayCount) yearParts() int64 {
	switch c {
	case ByMonth:
		return 12
	case Actual360:
		return 360
	case Actual365:
		return 365
	}
	panic("arrange.DayCount: unknown " + string(c))
}

// Schedule returns the instalments that a contract asks for, from number 1, without borrower, loan and fee. Interest is
// rounded half up to the minor unit in each period, on the principal then outstanding; the last instalment takes what
// rounding left, so that the principal sums to the terms' exactly.
//
//   - EqualInstallment 等额本息: the same amount each month, from the annuity formula.
//   - EqualPrincipal 等额本金: the same principal each month, with the interest on what is left.
//   - InterestFirst 先息后本: interest each month, the principal with the last.
//   - Bullet 到期还本付息: one instalment at the end of the periods, with simple interest.
//   - Revolving 随借随还: one instalment for one drawing, with interest by day until it is repaid.
//
// Due days are counted from the first by whole months: of a contract first due on 31 January the second is due on the
// last day of February and the third on 31 March.
func Schedule(t Terms) ([]duly.Installment, error) {
	s, err := begin(t)
	if err != nil {
		return nil, err
	}
	switch t.Kind {
	case duly.EqualInstallment:
		err = s.equalInstallment()
	case duly.EqualPrincipal:
		err = s.equalPrincipal()
	case duly.InterestFirst:
		err = s.monthly(func(int64) int64 { return 0 })
	case duly.Bullet, duly.Revolving:
		err = s.once()
	}
	if err != nil {
		return nil, err
	}
	return s.rows, nil
}

// schedule is a schedule in the making.
type schedule struct {
	Terms
	anchor civil.Date // due days are whole months from here …
	offset int        // … this many before the number of the period
	left   int64      // principal not yet repaid by the rows
	rows   []duly.Installment
}

// begin fills in what the terms leave open and checks them.
func begin(t Terms) (*schedule, error) {
	s := &schedule{Terms: t, anchor: t.FirstDue, offset: 1, left: t.Principal.Minor}
	if t.DayCount == "" {
		s.DayCount = ByMonth
		if t.Kind == duly.Revolving {
			s.DayCount = Actual360
		}
	}
	if t.Kind == duly.Revolving && t.Periods == 0 {
		s.Periods = 1
	}
	if t.FirstDue.IsZero() && !t.Start.IsZero() && t.Kind != duly.Revolving {
		s.anchor, s.offset = t.Start, 0
	}
	return s, s.check()
}

func (s *schedule) check() error {
	bad := func(field, format string, args ...any) error {
		return duly.Errorf(duly.Invalid, format, args...).At(duly.Place{Field: field})
	}
	switch {
	case !s.Kind.Known():
		return bad("kind", "unknown schedule %q", string(s.Kind))
	case !s.DayCount.Known():
		return bad("day_count", "unknown day count %q", string(s.DayCount))
	case !s.Principal.Currency.Known():
		return bad("principal", "unknown currency %q", string(s.Principal.Currency))
	case !s.Principal.IsPositive():
		return bad("principal", "must be above nothing")
	case s.RateBP < 0 || s.RateBP > MaxRateBP:
		return bad("rate", "must be 0 to %d basis points a year", MaxRateBP)
	case s.Periods < 1 || s.Periods > MaxPeriods:
		return bad("periods", "must be 1 to %d", MaxPeriods)
	case s.Kind == duly.Revolving && s.Periods > 1:
		return bad("periods", "a revolving drawing is repaid once")
	case s.Kind == duly.Revolving && s.DayCount == ByMonth:
		return bad("day_count", "interest of a revolving drawing goes by days")
	case s.anchor.IsZero():
		return bad("first_due", "missing")
	case s.Start.IsZero() && s.DayCount != ByMonth:
		return bad("start", "missing: interest by days needs the day of disbursement")
	case !s.Start.IsZero() && !s.Start.Before(s.due(1)):
		return bad("first_due", "must be after the day of disbursement")
	case s.due(1).Year() < civil.MinYear || s.due(s.Periods).Year() > civil.MaxYear:
		return bad("first_due", "the due days must lie in the years %d to %d", civil.MinYear, civil.MaxYear)
	}
	return nil
}

// due returns the due day of a period, from 1. Period 0 ends with the disbursement.
func (s *schedule) due(period int) civil.Date {
	if period == 0 {
		return s.Start
	}
	return s.anchor.AddMonths(period - s.offset)
}

// ratio is the interest of the periods after from until to, as a numerator over s.denominator.
func (s *schedule) ratio(from, to int) int64 {
	if s.DayCount == ByMonth {
		return s.RateBP * int64(to-from)
	}
	return s.RateBP * int64(s.due(to).Sub(s.due(from)))
}

func (s *schedule) denominator() int64 { return 10_000 * s.DayCount.yearParts() }

// interest returns the interest on what is left of the principal.
func (s *schedule) interest(from, to int) (int64, error) {
	a, err := money.New(s.left, s.Principal.Currency).MulDiv(s.ratio(from, to), s.denominator(), money.RoundHalfUp)
	if err != nil {
		return 0, tooLarge()
	}
	return a.Minor, nil
}

// add appends an instalment due at the end of a period. It repays at most what is left, and all of it with the last.
func (s *schedule) add(period int, principal, interest int64) error {
	c := s.Principal.Currency
	principal = min(max(principal, 0), s.left)
	if period == s.Periods {
		principal = s.left
	}
	if principal > math.MaxInt64-interest {
		return tooLarge()
	}
	s.left -= principal
	s.rows = append(s.rows, duly.Installment{
		No: len(s.rows) + 1, DueOn: s.due(period),
		Principal: money.New(principal, c), Interest: money.New(interest, c), Fee: money.New(0, c),
	})
	return nil
}

// monthly adds an instalment for each period; part tells its principal from its interest.
func (s *schedule) monthly(part func(interest int64) int64) error {
	for p := 1; p <= s.Periods; p++ {
		interest, err := s.interest(p-1, p)
		if err != nil {
			return err
		}
		if err := s.add(p, part(interest), interest); err != nil {
			return err
		}
	}
	return nil
}

func (s *schedule) equalInstallment() error {
	amount, err := s.annuity()
	if err != nil {
		return err
	}
	return s.monthly(func(interest int64) int64 { return amount - interest })
}

func (s *schedule) equalPrincipal() error {
	part, err := s.Principal.MulDiv(1, int64(s.Periods), money.RoundHalfUp)
	if err != nil {
		return tooLarge()
	}
	return s.monthly(func(int64) int64 { return part.Minor })
}

// annuity returns the amount that, paid in each period, leaves nothing at the end. Where u(i) is 1 plus the rate of
// period i, and n the last, it is P·u(1)…u(n) divided by the sum over k of u(k+1)…u(n). Multiplying both by the n-th
// power of the rates' denominator keeps them whole.
func (s *schedule) annuity() (int64, error) {
	den := big.NewInt(s.denominator())
	product, sum, power := big.NewInt(s.Principal.Minor), new(big.Int), big.NewInt(1)
	for p := 1; p <= s.Periods; p++ {
		u := new(big.Int).Add(den, big.NewInt(s.ratio(p-1, p)))
		power.Mul(power, den)
		product.Mul(product, u)
		sum.Mul(sum, u).Add(sum, power)
	}
	// Half up: ⌊(2a + b) ÷ 2b⌋.
	product.Lsh(product, 1).Add(product, sum)
	amount := product.Quo(product, sum.Lsh(sum, 1))
	if !amount.IsInt64() {
		return 0, tooLarge()
	}
	return amount.Int64(), nil
}

// once is one instalment for all, at the end.
func (s *schedule) once() error {
	interest, err := s.interest(0, s.Periods)
	if err != nil {
		return err
	}
	return s.add(s.Periods, s.left, interest)
}

func tooLarge() error {
	return duly.Errorf(duly.Invalid, "the amounts of this schedule are too large to count").At(duly.Place{Field: "principal"})
}
