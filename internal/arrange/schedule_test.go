package arrange

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

func schedule12(t testing.TB, terms Terms) []duly.Installment {
	t.Helper()
	if terms.FirstDue.IsZero() && terms.Start.IsZero() {
		terms.FirstDue = civil.On(2026, time.January, 15)
	}
	rows, err := Schedule(terms)
	if err != nil {
		t.Fatalf("%+v: %v", terms, err)
	}
	return rows
}

func interestOf(rows []duly.Installment) (sum int64) {
	for _, r := range rows {
		sum += r.Interest.Minor
	}
	return sum
}

// row is what a published table says of one period.
type row struct {
	no                  int
	principal, interest int64
}

func near(got, want, within int64) bool { return got-want <= within && want-got <= within }

// TestScheduleEqualInstallment holds equal instalments against published tables. Within is the precision that a table
// has: those of spreadsheets carry fractions of a cent along, those of banks round each period as Duly does.
func TestScheduleEqualInstallment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source    string
		principal money.Amount
		bp        int64
		periods   int
		amount    int64 // of each instalment but the last
		interest  int64 // of the whole; 0 where the source does not say
		rows      []row
		within    int64
	}{
		{
			// Rounded to the cent in each period, last instalment closes at nothing.
			source:    "test suite of the FundBoard loan calculator: 8884.88 a month, 6618.53 interest",
			principal: cny(100_000_00), bp: 1200, periods: 12, amount: 8884_88, interest: 6618_53,
		},
		{
			source:    "the same, at no interest: 8333.33, and 8333.37 last",
			principal: cny(100_000_00), bp: 0, periods: 12, amount: 8333_33, rows: []row{{1, 8333_33, 0}, {12, 8333_37, 0}},
		},
		{
			source:    "signatureservice.com payment calculator, 99,920 at 4.5 % for 30 years",
			principal: money.New(99_920_00, "USD"), bp: 450, periods: 360, amount: 506_28,
			rows: []row{
				{1, 131_58, 374_70}, {2, 132_07, 374_21}, {3, 132_57, 373_71}, {4, 133_07, 373_21}, {5, 133_56, 372_72},
				{6, 134_07, 372_21}, {7, 134_57, 371_71}, {8, 135_07, 371_21}, {9, 135_58, 370_70}, {10, 136_09, 370_19},
				{11, 136_60, 369_68}, {12, 137_11, 369_17}, {13, 137_62, 368_66}, {14, 138_14, 368_14}, {15, 138_66, 367_62},
				{16, 139_18, 367_10}, {17, 139_70, 366_58},
			},
		},
		{
			source:    "numpy-financial documentation of ipmt, 2,500 at 8.24 % for a year, interest 112.98",
			principal: money.New(2500_00, "USD"), bp: 824, periods: 12, amount: 217_75, interest: 112_98, within: 2,
			rows: []row{
				{1, 200_58, 17_17}, {2, 201_96, 15_79}, {3, 203_35, 14_40}, {4, 204_74, 13_01}, {5, 206_15, 11_60}, {6, 207_56, 10_18},
				{7, 208_99, 8_76}, {8, 210_42, 7_32}, {9, 211_87, 5_88}, {10, 213_32, 4_42}, {11, 214_79, 2_96}, {12, 216_26, 1_49},
			},
		},
		{
			source:    "numpy documentation of pmt, 200,000 at 7.5 % for 15 years: 1854.0247",
			principal: money.New(200_000_00, "USD"), bp: 750, periods: 180, amount: 1854_02,
		},
		{
			source:    "archive.constantcontact.com, 300,000 at 4.8 % for 30 years, in whole dollars",
			principal: money.New(300_000_00, "USD"), bp: 480, periods: 360, amount: 1574_00, within: 1_00,
			rows: []row{{1, 374_00, 1200_00}, {100, 555_00, 1019_00}, {200, 828_00, 746_00}, {300, 1234_00, 340_00}},
		},
		{
			source:    "ou.biz.narkive.tw, 120 萬 at 10 % for 12 months, 本息平攤 in whole yuan",
			principal: money.New(1_200_000_00, "TWD"), bp: 1000, periods: 12, amount: 105_499_00, within: 50,
			rows: []row{{1, 95_499_00, 10_000_00}},
		},
		{
			source:    "116p.com, 10,000 at 8 % for 12 months: 870 a month, interest 438, in whole yuan",
			principal: cny(10_000_00), bp: 800, periods: 12, amount: 869_88, interest: 438_50, within: 50,
		},
	}
	for _, tt := range tests {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			rows := schedule12(t, Terms{Kind: duly.EqualInstallment, Principal: tt.principal, RateBP: tt.bp, Periods: tt.periods})
			if len(rows) != tt.periods {
				t.Fatalf("got %d instalments, want %d", len(rows), tt.periods)
			}
			for _, r := range rows[:len(rows)-1] {
				if got := r.Due().Total(); !near(got, tt.amount, tt.within) || got != rows[0].Due().Total() {
					t.Errorf("instalment %d: got %d, want %d", r.No, got, tt.amount)
				}
			}
			if got := interestOf(rows); tt.interest != 0 && !near(got, tt.interest, tt.within) {
				t.Errorf("interest of the whole: got %d, want %d", got, tt.interest)
			}
			for _, want := range tt.rows {
				got := rows[want.no-1]
				if !near(got.Principal.Minor, want.principal, tt.within) || !near(got.Interest.Minor, want.interest, tt.within) {
					t.Errorf("instalment %d: got %d and %d, want %d and %d", want.no, got.Principal.Minor, got.Interest.Minor, want.principal, want.interest)
				}
			}
		})
	}
}

// TestScheduleEqualPrincipal: the table of ou.biz.narkive.tw (120 萬, 10 %, 12 months, 本金平攤: 10 萬 and 10,000 in the
// first month, 9,167 interest in the second), and the closed form for the interest of the whole, rate × principal ×
// (periods+1) ÷ 2, as the GnuCash documentation derives it.
func TestScheduleEqualPrincipal(t *testing.T) {
	t.Parallel()
	rows := schedule12(t, Terms{Kind: duly.EqualPrincipal, Principal: money.New(1_200_000_00, "TWD"), RateBP: 1000, Periods: 12})
	for _, want := range []row{{1, 100_000_00, 10_000_00}, {2, 100_000_00, 9_166_67}, {12, 100_000_00, 833_33}} {
		got := rows[want.no-1]
		if got.Principal.Minor != want.principal || got.Interest.Minor != want.interest {
			t.Errorf("instalment %d: got %d and %d, want %d and %d", want.no, got.Principal.Minor, got.Interest.Minor, want.principal, want.interest)
		}
	}
	if got := interestOf(rows); got != 65_000_00 {
		t.Errorf("interest of the whole: got %d, want 6500000", got)
	}
	// 100,000 by 36 is 2,777.777…: rounded to 2,777.78, so the last takes 2,777.70.
	rows = schedule12(t, Terms{Kind: duly.EqualPrincipal, Principal: cny(100_000_00), RateBP: 600, Periods: 36})
	if first, last := rows[0].Principal.Minor, rows[35].Principal.Minor; first != 2777_78 || last != 2777_70 {
		t.Errorf("got %d first and %d last, want 277778 and 277770", first, last)
	}
}

func TestScheduleOthers(t *testing.T) {
	t.Parallel()
	start := civil.On(2026, time.January, 1)
	tests := []struct {
		name  string
		terms Terms
		want  string
	}{
		{
			"interest first: 12,000 at 12 % is 120 a month",
			Terms{Kind: duly.InterestFirst, Principal: cny(12_000_00), RateBP: 1200, Periods: 3, FirstDue: start},
			"2026-01-01 0.00+120.00, 2026-02-01 0.00+120.00, 2026-03-01 12000.00+120.00",
		},
		{
			"bullet, 116p.com: 10,000 at 8 % for a year bears 800",
			Terms{Kind: duly.Bullet, Principal: cny(10_000_00), RateBP: 800, Periods: 12, Start: start},
			"2027-01-01 10000.00+800.00",
		},
		{
			"bullet by days, sdmesasvo.org: 1,000 at 10 % on actual/360 bears 101.39 in 365 days",
			Terms{Kind: duly.Bullet, Principal: money.New(1000_00, "USD"), RateBP: 1000, Periods: 12, Start: start, DayCount: Actual360},
			"2027-01-01 1000.00+101.39",
		},
		{
			"bullet by days of 365 bears the whole rate",
			Terms{Kind: duly.Bullet, Principal: money.New(1000_00, "USD"), RateBP: 1000, Periods: 12, Start: start, DayCount: Actual365},
			"2027-01-01 1000.00+100.00",
		},
		{
			"revolving, baikemu.com: 10,000 at 0.05 % a day (18 % by 360) bears 50 in 10 days",
			Terms{Kind: duly.Revolving, Principal: cny(10_000_00), RateBP: 1800, Start: start, FirstDue: start.Add(10)},
			"2026-01-11 10000.00+50.00",
		},
		{
			"revolving, yidianwenda.com: and 1,825 in 365 days",
			Terms{Kind: duly.Revolving, Principal: cny(10_000_00), RateBP: 1800, Periods: 1, Start: start, FirstDue: start.Add(365)},
			"2027-01-01 10000.00+1825.00",
		},
		{
			"interest first by days: 31, 28 and 31 of them at 1 a day",
			Terms{Kind: duly.InterestFirst, Principal: cny(3_600_00), RateBP: 1000, Periods: 3, Start: start, DayCount: Actual360},
			"2026-02-01 0.00+31.00, 2026-03-01 0.00+28.00, 2026-04-01 3600.00+31.00",
		},
		{
			"yen have no decimals, and half a yen is rounded up",
			Terms{Kind: duly.InterestFirst, Principal: money.New(1500, "JPY"), RateBP: 1200, Periods: 2, FirstDue: start},
			"2026-01-01 0+15, 2026-02-01 1500+15",
		},
		{
			"half a unit of interest is rounded up",
			Terms{Kind: duly.InterestFirst, Principal: cny(50), RateBP: 1200, Periods: 1, FirstDue: start},
			"2026-01-01 0.50+0.01",
		},
		{
			"due on the 31st, counted from the first due day",
			Terms{Kind: duly.InterestFirst, Principal: cny(100), Periods: 4, FirstDue: civil.On(2026, time.January, 31)},
			"2026-01-31 0.00+0.00, 2026-02-28 0.00+0.00, 2026-03-31 0.00+0.00, 2026-04-30 1.00+0.00",
		},
		{
			"disbursed on the 31st, counted from that day",
			Terms{Kind: duly.InterestFirst, Principal: cny(100), Periods: 3, Start: civil.On(2028, time.January, 31)},
			"2028-02-29 0.00+0.00, 2028-03-31 0.00+0.00, 2028-04-30 1.00+0.00",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			for i, r := range schedule12(t, tt.terms) {
				if i > 0 {
					got += ", "
				}
				got += fmt.Sprintf("%s %s+%s", r.DueOn, r.Principal.Decimal(), r.Interest.Decimal())
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestScheduleRefuses(t *testing.T) {
	t.Parallel()
	good := Terms{Kind: duly.EqualInstallment, Principal: cny(100_00), RateBP: 1200, Periods: 3, FirstDue: day(1)}
	if _, err := Schedule(good); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		field string
		spoil func(*Terms)
	}{
		{"kind", func(t *Terms) { t.Kind = "weekly" }},
		{"kind", func(t *Terms) { t.Kind = "" }},
		{"day_count", func(t *Terms) { t.DayCount = "30/360" }},
		{"principal", func(t *Terms) { t.Principal = cny(0) }},
		{"principal", func(t *Terms) { t.Principal = cny(-1) }},
		{"principal", func(t *Terms) { t.Principal.Currency = "XXX" }},
		{"principal", func(t *Terms) { t.Principal.Minor, t.Periods = math.MaxInt64, 1 }},
		{"principal", func(t *Terms) { t.Principal.Minor, t.Kind = math.MaxInt64, duly.Bullet }},
		{"rate", func(t *Terms) { t.RateBP = -1 }},
		{"rate", func(t *Terms) { t.RateBP = MaxRateBP + 1 }},
		{"periods", func(t *Terms) { t.Periods = 0 }},
		{"periods", func(t *Terms) { t.Periods = MaxPeriods + 1 }},
		{"periods", func(t *Terms) { t.Kind, t.Start, t.Periods = duly.Revolving, t.FirstDue.Add(-1), 2 }},
		{"day_count", func(t *Terms) {
			t.Kind, t.Start, t.Periods, t.DayCount = duly.Revolving, t.FirstDue.Add(-1), 1, ByMonth
		}},
		{"first_due", func(t *Terms) { t.FirstDue = civil.Date{} }},
		{"first_due", func(t *Terms) { t.Kind, t.Periods, t.Start, t.FirstDue = duly.Revolving, 1, t.FirstDue, civil.Date{} }},
		{"first_due", func(t *Terms) { t.Start = t.FirstDue }},
		{"first_due", func(t *Terms) { t.FirstDue = civil.On(civil.MaxYear, time.December, 1) }},
		{"first_due", func(t *Terms) { t.FirstDue = civil.On(1900, time.January, 0) }},
		{"start", func(t *Terms) { t.DayCount = Actual365 }},
	}
	for i, tt := range tests {
		terms := good
		tt.spoil(&terms)
		_, err := Schedule(terms)
		e, ok := errors.AsType[*duly.Error](err)
		if !ok || e.Code != duly.Invalid || e.Place.Field != tt.field {
			t.Errorf("%d: got %v, want field %s refused", i, err, tt.field)
		}
	}
}

// TestScheduleProperties: whatever the terms, the principal sums exactly, nothing is below nothing, days rise, each
// interest is that of the principal then outstanding, and equal instalments are equal but for the last.
func TestScheduleProperties(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	kinds := []duly.ScheduleKind{duly.EqualInstallment, duly.EqualPrincipal, duly.InterestFirst, duly.Bullet, duly.Revolving}
	counts := []DayCount{ByMonth, Actual360, Actual365}
	for n := range 1500 {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		terms := Terms{
			Kind: kinds[r.IntN(len(kinds))], Principal: cny(1 + r.Int64N(int64(1)<<(1+r.IntN(40)))), RateBP: r.Int64N(4000),
			Periods: 1 + r.IntN(60), Start: civil.On(2024, time.January, 1+r.IntN(800)), DayCount: counts[r.IntN(len(counts))],
		}
		if terms.Kind == duly.Revolving {
			terms.Periods, terms.DayCount, terms.FirstDue = 1, Actual365, terms.Start.Add(1+r.IntN(400))
		}
		rows := schedule12(t, terms)
		left, last := terms.Principal.Minor, terms.Start
		for i, in := range rows {
			if in.Principal.Minor < 0 || in.Interest.Minor < 0 || in.No != i+1 || !in.DueOn.After(last) {
				t.Fatalf("seed %d, %+v: bad row %+v", seed, terms, in)
			}
			num, den := terms.RateBP, int64(120_000)
			if terms.DayCount != ByMonth {
				num, den = num*int64(in.DueOn.Sub(last)), 10_000*terms.DayCount.yearParts()
			} else if terms.Kind == duly.Bullet {
				num *= int64(terms.Periods)
			}
			if want, _ := cny(left).MulDiv(num, den, money.RoundHalfUp); in.Interest != want {
				t.Fatalf("seed %d, %+v: row %d bears %v, want %v", seed, terms, in.No, in.Interest, want)
			}
			left, last = left-in.Principal.Minor, in.DueOn
		}
		if left != 0 {
			t.Fatalf("seed %d, %+v: %d of the principal is not repaid", seed, terms, left)
		}
		if terms.Kind != duly.EqualInstallment || terms.Principal.Minor < 10_000*int64(terms.Periods) {
			continue
		}
		amount := rows[0].Due().Total()
		for _, in := range rows[:len(rows)-1] {
			if in.Due().Total() != amount {
				t.Fatalf("seed %d, %+v: row %d is %d, the first %d", seed, terms, in.No, in.Due().Total(), amount)
			}
		}
		// Each period's rounding errs by half a cent at most, and interest makes it grow by the end.
		growth := int64(2) + int64(terms.Periods)
		if d := rows[len(rows)-1].Due().Total() - amount; terms.RateBP < 1500 && !near(d, 0, growth*2) {
			t.Errorf("seed %d, %+v: the last instalment differs by %d", seed, terms, d)
		}
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add(int64(100_000_00), int64(1200), 12, 0, 0)
	f.Add(int64(1), int64(MaxRateBP), MaxPeriods, 1, 2)
	f.Add(int64(math.MaxInt64), int64(0), 1, 3, 1)
	f.Fuzz(func(t *testing.T, minor, bp int64, periods, kind, count int) {
		kinds := []duly.ScheduleKind{duly.EqualInstallment, duly.EqualPrincipal, duly.InterestFirst, duly.Bullet, duly.Revolving}
		counts := []DayCount{"", ByMonth, Actual360, Actual365}
		rows, err := Schedule(Terms{
			Kind: kinds[uint(kind)%5], Principal: cny(minor), RateBP: bp, Periods: periods, Start: day(1), FirstDue: day(31),
			DayCount: counts[uint(count)%4],
		})
		if err != nil {
			return
		}
		var sum int64
		for _, r := range rows {
			if sum += r.Principal.Minor; r.Principal.Minor < 0 || r.Interest.Minor < 0 || r.Due().Total() < 0 {
				t.Fatalf("row %+v", r)
			}
		}
		if sum != minor {
			t.Fatalf("principal sums to %d, want %d", sum, minor)
		}
	})
}

func ExampleSchedule() {
	rows, err := Schedule(Terms{
		Kind: duly.EqualInstallment, Principal: money.New(3_000_00, "CNY"), RateBP: 1460, Periods: 3,
		Start: civil.On(2026, time.January, 31),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range rows {
		fmt.Println(r.DueOn, r.Principal.Decimal(), r.Interest.Decimal())
	}
	// Output:
	// 2026-02-28 987.93 36.50
	// 2026-03-31 999.95 24.48
	// 2026-04-30 1012.12 12.31
}
