package gate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
)

// BenchmarkCheckAllow has a target of 5 µs and no allocation, with both packs and the limits of a strategy.
func BenchmarkCheckAllow(b *testing.B) {
	set := newSet(b, shipped(b), limits(b)...)
	f := reminder()
	for b.Loop() {
		if d := gate.Check(f, set); d.Verdict != duly.Allow {
			b.Fatal(d.Code())
		}
	}
	b.ReportAllocs()
}

// BenchmarkCheckAllowHistory is BenchmarkCheckAllow for a person with twenty contacts in the last month.
func BenchmarkCheckAllowHistory(b *testing.B) {
	set := newSet(b, shipped(b), newCap(b, "LIMIT-01", 3, "calendar_day"), newCap(b, "LIMIT-02", 30, "rolling_days:30"))
	f := reminder()
	for i := range 20 {
		at := f.Now.Add(-time.Duration(i+1) * 30 * time.Hour)
		f.Person.Contacts = append(f.Person.Contacts, duly.Contact{ID: duly.ContactID(rune('a' + i)), Channel: duly.ChannelSMS, State: duly.Delivered, SentAt: at, NotBefore: at})
	}
	for b.Loop() {
		if d := gate.Check(f, set); d.Verdict != duly.Allow {
			b.Fatal(d.Code())
		}
	}
	b.ReportAllocs()
}

// BenchmarkCheckDefer has a target of 5 µs: quiet hours, and the next opening to be found.
func BenchmarkCheckDefer(b *testing.B) {
	set := newSet(b, shipped(b), limits(b)...)
	f := reminder()
	f.Now = f.Now.Add(12 * time.Hour)
	f.FeedAt = f.Now
	for b.Loop() {
		if d := gate.Check(f, set); d.Verdict != duly.Defer {
			b.Fatal(d.Code())
		}
	}
	b.ReportAllocs()
}

// BenchmarkCheck is one decision that allows, by how many packs are loaded and how much is on record: a target of 5 µs with
// ten packs and ten events. Packs of other countries cost nothing; the borrower is in Massachusetts, where most apply.
func BenchmarkCheck(b *testing.B) {
	all := shipped(b)
	order := map[string]int{"policy-default": 0, "us-regf": 1, "us-tcpa": 2, "us-ma": 3, "cn-mainland": 4}
	slices.SortStableFunc(all, func(x, y *rule.Pack) int {
		at := func(p *rule.Pack) int {
			if i, ok := order[p.ID]; ok {
				return i
			}
			return len(order)
		}
		return at(x) - at(y)
	})
	for _, packs := range []int{1, 5, 10, 22} {
		for _, events := range []int{0, 10, 100} {
			b.Run(fmt.Sprintf("packs=%d/events=%d", packs, events), func(b *testing.B) {
				set := newSet(b, all[:packs])
				f := reminder()
				f.Now = time.Date(2026, 3, 10, 16, 0, 0, 0, time.UTC)
				f.FeedAt, f.DaysPastDue, f.Text = f.Now, 45, "Your account needs attention. Reply STOP to opt out."
				f.Person.Borrower.Country, f.Person.Borrower.Zones = "US-MA", []duly.Zone{{Name: "America/New_York"}}
				f.Person.Loans = []duly.Loan{{ID: "L1", Product: "consumer_loan"}}
				f.Person.Points = []duly.ContactPoint{{ID: "A1", Kind: duly.PointMobile, State: duly.PointActive}}
				f.Contact.Purpose = duly.PurposeCollection
				f.Actor = rule.Actor{Type: "human", ThirdParty: true, Certified: true}
				for i := range events {
					at := f.Now.AddDate(0, 0, -10-i%90)
					f.Person.Touches = append(f.Person.Touches, duly.Touch{ID: fmt.Sprint(i), LoanID: "L1", PointID: "A1", Channel: duly.ChannelAgent, Purpose: duly.PurposeCollection, Outcome: "no_answer", At: at})
				}
				b.ReportAllocs()
				for b.Loop() {
					if d := gate.Check(f, set); d.Verdict != duly.Allow {
						b.Fatal(d.Code())
					}
				}
			})
		}
	}
}
