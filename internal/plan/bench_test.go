package plan_test

import (
	"fmt"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/plan"
)

// ordinary is a person with one loan of twelve instalments, of which the fourth is the next: due so many days after begin.
func ordinary(w *world, days int) *plan.Input {
	p := &duly.Person{Borrower: duly.Borrower{ID: "B1", Country: "CN", Tier: "C", Zones: []duly.Zone{{Name: "Asia/Shanghai"}}}}
	p.Points = []duly.ContactPoint{{ID: "p1", Kind: duly.PointMobile, State: duly.PointActive}, {ID: "p2", Kind: duly.PointApp, State: duly.PointActive}}
	p.Loans = []duly.Loan{{ID: "L1", Currency: "CNY", AutoDebit: true}}
	for n := range 12 {
		in := duly.Installment{LoanID: "L1", No: n + 1, DueOn: begin.Add(days).AddMonths(n - 3), Principal: money.New(10000, "CNY")}
		if n < 3 {
			in.Paid.Principal, in.SettledAt = 10000, in.DueOn.At(12*60, shanghai)
		}
		p.Installments = append(p.Installments, in)
	}
	return &plan.Input{
		Person: p, Strategy: w.strategies[0], Rules: w.sets["consumer-cn"], Calendars: w.calendars, Location: shanghai, Now: begin.At(5, shanghai),
		PlannedThrough: begin.Add(-1),
	}
}

func benchmark(b *testing.B, in *plan.Input, want int) {
	b.Helper()
	for b.Loop() {
		r, err := plan.Next(in)
		if err != nil || len(r.Changes) != want {
			b.Fatalf("got %d changes, %v, want %d", len(r.Changes), err, want)
		}
	}
	b.ReportAllocs()
}

// BenchmarkNothingDue has a target of 5 µs.
func BenchmarkNothingDue(b *testing.B) { benchmark(b, ordinary(newWorld(b), 12), 0) }

// BenchmarkOneDue has a target of 8 µs: one step is due, and the gate lets it pass.
func BenchmarkOneDue(b *testing.B) { benchmark(b, ordinary(newWorld(b), 3), 1) }

// BenchmarkOneDueWithHistory is BenchmarkOneDue for a person with ten contacts in the last month.
func BenchmarkOneDueWithHistory(b *testing.B) {
	in := ordinary(newWorld(b), 3)
	for i := range 10 {
		day := begin.Add(-3 * (i + 1))
		in.Person.Contacts = append(in.Person.Contacts, duly.Contact{
			ID: duly.ContactID(fmt.Sprint(i)), Strategy: "consumer-cn", Step: "d-1", Day: day, Channel: duly.ChannelSMS, State: duly.Delivered,
			SentAt: day.At(10*60, shanghai), NotBefore: day.At(10*60, shanghai), ExpiresAt: day.At(20*60, shanghai),
		})
	}
	benchmark(b, in, 1)
}

// BenchmarkAgain plans a person whose contact of today is planned already.
func BenchmarkAgain(b *testing.B) {
	in := ordinary(newWorld(b), 3)
	r, err := plan.Next(in)
	if err != nil {
		b.Fatal(err)
	}
	in.Person.Contacts, in.PlannedThrough = []duly.Contact{r.Changes[0].Contact}, civil.In(in.Now, shanghai)
	benchmark(b, in, 0)
}
