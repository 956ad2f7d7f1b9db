package rule

import (
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// oneRule makes a set of one rule, whose keys are written in a line each.
func oneRule(t *testing.T, lines string) *Set {
	t.Helper()
	p, err := Load("f.yaml", []byte("id: p\nversion: \"1\"\njurisdiction: \"*\"\nrules:\n  - id: R-1\n    title: {zh: 规则, en: Rule}\n    force: law\n    reason: against\n"+
		"    source: {instrument: Act, read: primary, checked_on: 2026-11-23, reviewer: null}\n"+lines))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet([]*Pack{p})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer asks the one rule of a set about a call of two loans, L1 and L2, in New York.
func answer(t *testing.T, s *Set, change func(f *Facts)) duly.Reason {
	t.Helper()
	f := &Facts{
		Now: instant(t, "2026-06-10T10:00:00-04:00"), DaysPastDue: 5, AmountDue: 1000_00,
		Person: &duly.Person{
			Borrower: duly.Borrower{ID: "D1", Zones: []duly.Zone{{Name: "America/New_York"}}},
			Loans:    []duly.Loan{{ID: "L1", Product: "a"}, {ID: "L2", Product: "b"}},
		},
		Contact: &duly.Contact{ID: "judged", BorrowerID: "D1", Channel: duly.ChannelAgent, Purpose: duly.PurposeCollection, PointID: "A1", Items: []duly.Item{
			{LoanID: "L1", Outstanding: money.New(400_00, "USD")}, {LoanID: "L2", Outstanding: money.New(600_00, "USD")},
		}},
	}
	if change != nil {
		change(f)
	}
	v := s.View(f)
	defer v.Release()
	for r := range s.Rules(v) {
		return r.Judge(v, f.Now)
	}
	t.Fatal("the rule does not look at the contact")
	return duly.Reason{}
}

// A rule on a product looks at a contact if one of its loans is of it; a product that is not known and could decide blocks.
func TestProductOfSeveralLoans(t *testing.T) {
	t.Parallel()
	const body = "    kind: party\n    params: {allow: [nobody]}\n"
	forget := func(id duly.LoanID) func(*Facts) {
		return func(f *Facts) {
			for i := range f.Person.Loans {
				if f.Person.Loans[i].ID == id {
					f.Person.Loans[i].Product = ""
				}
			}
		}
	}
	for _, c := range []struct {
		name, when string
		change     func(*Facts)
		want       string
	}{
		{"of one of them", "{product: a}", nil, "against"},
		{"of none", "{product: c}", nil, ""},
		{"in a list", "{product: [c, b]}", nil, "against"},
		{"not of one of them", "{product_not: a}", nil, "against"},
		{"not of either", "{product_not: [a, b]}", nil, ""},
		{"of the one that is known", "{product: a}", forget("L2"), "against"},
		{"perhaps of the one that is not", "{product: c}", forget("L2"), CodeMissing},
		{"perhaps not of the one that is not", "{product_not: a}", forget("L2"), CodeMissing},
		{"about no loan", "{product: a}", func(f *Facts) { f.Contact.Items = nil }, CodeMissing},
	} {
		if got := answer(t, oneRule(t, body+"    when: "+c.when+"\n"), c.change); got.Code != c.want {
			t.Errorf("%s: got %q (%s), want %q", c.name, got.Code, got.Facts, c.want)
		}
	}
}

// An amount is compared in whole units of its currency; where that is not one, only nothing can be told from something.
func TestAmountOfACurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, fact string
		change     func(*Facts)
		want       string
	}{
		{"just as much", "loan.amount_due>1000", nil, "against"},
		{"as much", "loan.amount_due>=1000", nil, ""},
		{"a cent more", "loan.amount_due>1000", func(f *Facts) { f.AmountDue++ }, ""},
		{"without cents", "loan.amount_due>1000", func(f *Facts) {
			for i := range f.Contact.Items {
				f.Contact.Items[i].Outstanding = money.New(1, "JPY")
			}
		}, ""},
		{"two currencies", "loan.amount_due>1000", func(f *Facts) { f.Contact.Items[1].Outstanding.Currency = "EUR" }, CodeMissing},
		{"two currencies and anything", "loan.amount_due>0", func(f *Facts) { f.Contact.Items[1].Outstanding.Currency = "EUR" }, ""},
		{"not known", "loan.amount_due>0", func(f *Facts) { f.Missing = []string{"loan.amount_due"} }, CodeMissing},
	} {
		if got := answer(t, oneRule(t, "    kind: prerequisite\n    params: {require_fact: \""+c.fact+"\"}\n"), c.change); got.Code != c.want {
			t.Errorf("%s: got %q (%s), want %q", c.name, got.Code, got.Facts, c.want)
		}
	}
}

func TestCooldown(t *testing.T) {
	t.Parallel()
	set := func(scope, direction string) *Set {
		return oneRule(t, "    kind: cooldown\n    params: {days: 7, scope: "+scope+", after: {channel: [call_agent, call_inbound], outcome: [conversation]"+direction+"}}\n")
	}
	touch := func(x duly.Touch) func(*Facts) {
		return func(f *Facts) {
			if x.Outcome == "" {
				x.Outcome = "conversation"
			}
			f.Person.Touches = append(f.Person.Touches, x)
		}
	}
	at := func(s string) time.Time { return instant(t, s) }
	for _, c := range []struct {
		name   string
		set    *Set
		change func(*Facts)
		until  string
	}{
		{"the last day", set("[person]", ""), touch(duly.Touch{Channel: duly.ChannelAgent, At: at("2026-06-04T00:00:00-04:00")}), "2026-06-11T00:00:00-04:00"},
		{"the day after", set("[person]", ""), touch(duly.Touch{Channel: duly.ChannelAgent, At: at("2026-06-03T23:59:59-04:00")}), ""},
		{"another zone's day", set("[person]", ""), func(f *Facts) {
			f.Person.Borrower.Zones = append(f.Person.Borrower.Zones, duly.Zone{Name: "Asia/Tokyo"})
			touch(duly.Touch{Channel: duly.ChannelAgent, At: at("2026-06-03T23:59:59-04:00")})(f)
		}, "2026-06-11T00:00:00+09:00"},
		{"one of the loans", set("[person, loan]", ""), touch(duly.Touch{Channel: duly.ChannelAgent, LoanID: "L2", At: at("2026-06-09T10:00:00-04:00")}), "2026-06-16T00:00:00-04:00"},
		{"another loan", set("[person, loan]", ""), touch(duly.Touch{Channel: duly.ChannelAgent, LoanID: "L3", At: at("2026-06-09T10:00:00-04:00")}), ""},
		{"another person", set("[person]", ""), touch(duly.Touch{BorrowerID: "D2", Channel: duly.ChannelAgent, At: at("2026-06-09T10:00:00-04:00")}), ""},
		{"another person at the address", set("[address]", ""), touch(duly.Touch{BorrowerID: "D2", PointID: "A1", Channel: duly.ChannelAgent, At: at("2026-06-09T10:00:00-04:00")}), "2026-06-16T00:00:00-04:00"},
		{"the borrower called", set("[person]", ""), touch(duly.Touch{Inbound: true, Channel: duly.ChannelAgent, At: at("2026-06-09T10:00:00-04:00")}), "2026-06-16T00:00:00-04:00"},
		{"the borrower called, and only calls out count", set("[person]", ", direction: [out]"), touch(duly.Touch{Inbound: true, Channel: "call_inbound", At: at("2026-06-09T10:00:00-04:00")}), ""},
		{"nobody spoke", set("[person]", ""), touch(duly.Touch{Channel: duly.ChannelAgent, Outcome: "voicemail", At: at("2026-06-09T10:00:00-04:00")}), ""},
		{"still to come", set("[person]", ""), touch(duly.Touch{Channel: duly.ChannelAgent, At: at("2026-06-10T10:00:01-04:00")}), ""},
		{"a call of Duly's in doubt", set("[person]", ""), func(f *Facts) {
			f.Person.Contacts = []duly.Contact{{ID: "x", Channel: duly.ChannelAgent, State: duly.InDoubt, SentAt: at("2026-06-09T10:00:00-04:00")}}
		}, "2026-06-16T00:00:00-04:00"},
		{"a call of Duly's that reached nobody", set("[person]", ""), func(f *Facts) {
			f.Person.Contacts = []duly.Contact{{ID: "x", Channel: duly.ChannelAgent, State: duly.Failed, SentAt: at("2026-06-09T10:00:00-04:00")}}
		}, ""},
	} {
		got := answer(t, c.set, c.change)
		want := time.Time{}
		if c.until != "" {
			want = at(c.until)
		}
		if !got.Until.Equal(want) {
			t.Errorf("%s: got until %s (%s), want %s", c.name, got.Until, got.Facts, want)
		}
	}
}

func TestWhoIsBoundFrom(t *testing.T) {
	t.Parallel()
	set := oneRule(t, "    kind: sender\n    params: {number_prefix: [\"1600\"], from_fact: start, from_by_entity_class: {bank: 2026-01-01, small: 2026-07-01}}\n")
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"a bank", func(f *Facts) { f.EntityClass, f.Sender.Number = "bank", "98111" }, "against"},
		{"a bank, from the series", func(f *Facts) { f.EntityClass, f.Sender.Number = "bank", "16-00 111" }, ""},
		{"a bank, withheld", func(f *Facts) { f.EntityClass, f.Sender = "bank", Sender{Number: "1600", Hidden: true} }, "against"},
		{"a bank, from nobody knows where", func(f *Facts) { f.EntityClass = "bank" }, CodeMissing},
		{"a small lender, not yet bound", func(f *Facts) { f.EntityClass = "small" }, ""},
		{"by its own day", func(f *Facts) {
			f.EntityClass, f.StartDays = "bank", map[string]civil.Date{"start": civil.On(2026, 6, 11)}
		}, ""},
		{"nobody knows what", func(*Facts) {}, CodeMissing},
		{"nobody knows what, before all", func(f *Facts) { f.Now = instant(t, "2025-12-31T10:00:00-05:00") }, ""},
		{"nobody knows what, after all", func(f *Facts) { f.Now, f.Sender.Number = instant(t, "2026-07-01T10:00:00-04:00"), "98111" }, "against"},
	} {
		if got := answer(t, set, c.change); got.Code != c.want {
			t.Errorf("%s: got %q (%s), want %q", c.name, got.Code, got.Facts, c.want)
		}
	}
}
