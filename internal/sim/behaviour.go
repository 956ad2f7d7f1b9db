package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Event is a fact that comes to the lender's knowledge at an instant of the run.
type Event struct {
	At   time.Time
	Fact duly.Fact
}

// early and late are when an instalment is settled relative to its due day, in days, with weights: the timing of a real
// consumer book of 24,090 instalments, of those settled by the due day and of those settled after it.
var (
	early = []weighted{{-9, 314}, {-4, 61}, {-3, 80}, {-2, 79}, {-1, 101}, {0, 187}}
	late  = []weighted{{1, 40}, {2, 20}, {3, 13}, {4, 14}, {6, 12}, {8, 10}, {12, 26}, {25, 26}}
)

type weighted struct{ days, weight int }

// hours is when people pay: two humps, before noon and before the evening, hardly anyone at night.
var hours = []weighted{{7, 3}, {8, 6}, {9, 10}, {10, 11}, {11, 9}, {12, 6}, {13, 5}, {14, 6}, {15, 7}, {16, 9}, {17, 9}, {18, 7}, {19, 5}, {20, 4}, {21, 2}, {22, 1}}

// Events makes the payments and debits of a book, in the order in which the lender comes to know of them. They do not
// depend on what Duly does: the world of this package is one in which reminders have no effect.
func (b *Book) Events(o Options) []Event {
	tiers := map[duly.BorrowerID]string{}
	for _, p := range b.Borrowers {
		tiers[p.ID] = p.Tier
	}
	loans := map[duly.LoanID]*duly.Loan{}
	for i := range b.Loans {
		loans[b.Loans[i].ID] = &b.Loans[i]
	}
	end := o.Start.Add(o.Days + 1)
	var out []Event
	for i := range b.Installments {
		in := &b.Installments[i]
		if in.DueOn.Before(o.Start.Add(-10)) || in.DueOn.After(end.Add(10)) {
			continue
		}
		r := rand.New(rand.NewPCG(o.Seed^0x5eed, uint64(i)))
		e := payer{r: r, o: o, loan: loans[in.LoanID], in: in, late: r.IntN(1000) < lateness[tiers[in.BorrowerID]]}
		out = append(out, e.events()...)
	}
	slices.SortStableFunc(out, func(a, c Event) int {
		return cmp.Or(a.At.Compare(c.At), cmp.Compare(a.Fact.FactKind(), c.Fact.FactKind()), cmp.Compare(a.Fact.FactKey(), c.Fact.FactKey()))
	})
	return out
}

// payer is one instalment being paid, or not.
type payer struct {
	r    *rand.Rand
	o    Options
	loan *duly.Loan
	in   *duly.Installment
	late bool
}

// debitHours are the windows in which a loan's own debit is tried on the due day.
var debitHours = []int{10, 17}

func (p *payer) events() []Event {
	table := early
	if p.late {
		table = late
	}
	day := p.in.DueOn.Add(pick(p.r, table))
	if !p.late && day.Before(p.o.Start) {
		day = p.in.DueOn // what is settled before the run began is of no interest to it
	}
	var out []Event
	if p.loan.AutoDebit && !day.Before(p.in.DueOn) {
		if !p.late {
			return p.debits(len(debitHours) - 1 - p.r.IntN(len(debitHours)))
		}
		out = p.debits(len(debitHours))
	}
	return append(out, p.payments(day)...)
}

// debits makes the day's debits, of which the one at index good succeeds.
func (p *payer) debits(good int) []Event {
	var out []Event
	for k, h := range debitHours {
		at := p.at(p.in.DueOn, h, p.r.IntN(20))
		d := duly.Debit{
			BorrowerID: p.in.BorrowerID, ID: duly.DebitID(p.ref("DB", k)), LoanID: p.in.LoanID, InstallmentNo: p.in.No, At: at,
			State: duly.DebitInFlight, Version: 1,
		}
		done := d
		done.Version, done.State, done.Reason = 2, duly.DebitFailed, "insufficient_funds"
		out = append(out, Event{at, &d})
		if k == good {
			done.State, done.Reason = duly.DebitSucceeded, ""
			known := at.Add(10 * time.Minute)
			out = append(out, Event{known, p.payment(k, p.in.Due().Total(), at, known, "auto_debit")})
			return append(out, Event{known, &done})
		}
		out = append(out, Event{at.Add(10 * time.Minute), &done})
	}
	return out
}

// payments makes the payment by hand of a day: now and then in two parts, now and then reversed and paid again.
func (p *payer) payments(day civil.Date) []Event {
	at := p.at(day, pick(p.r, hours), p.r.IntN(60))
	known := at.Add(time.Duration(p.r.IntN(15)) * time.Minute)
	total := p.in.Due().Total()
	switch n := p.r.IntN(100); {
	case n < 6 && total > 100:
		part := total / 3
		rest := at.AddDate(0, 0, 1+p.r.IntN(3))
		return []Event{
			{known, p.payment(10, part, at, known, "manual")},
			{rest, p.payment(11, total-part, rest, rest, "manual")},
		}
	case n < 7:
		back, again := known.Add(5*time.Hour), known.AddDate(0, 0, 2)
		first := p.payment(20, total, at, known, "manual")
		undo := p.payment(21, total, back, back, "manual")
		undo.Reverses = first.ID
		return []Event{{known, first}, {back, undo}, {again, p.payment(22, total, again, again, "manual")}}
	}
	return []Event{{known, p.payment(10, total, at, known, "manual")}}
}

func (p *payer) payment(k int, minor int64, value, arrived time.Time, method string) *duly.Payment {
	return &duly.Payment{
		BorrowerID: p.in.BorrowerID, ID: duly.PaymentID(p.ref("P", k)), LoanID: p.in.LoanID,
		Amount: money.New(minor, p.in.Currency()), ValueAt: value, ArrivedAt: arrived, Method: method, Version: 1,
	}
}

func (p *payer) ref(prefix string, k int) string {
	return prefix + "-" + p.in.FactKey() + "-" + string(rune('a'+k))
}

func (p *payer) at(d civil.Date, hour, minute int) time.Time {
	return d.At(civil.Clock(hour*60+minute), p.o.Location).UTC()
}

func pick(r *rand.Rand, table []weighted) int {
	sum := 0
	for _, w := range table {
		sum += w.weight
	}
	n := r.IntN(sum)
	for _, w := range table {
		if n < w.weight {
			return w.days
		}
		n -= w.weight
	}
	return table[len(table)-1].days
}
