package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/strategy"
	"github.com/dulyhq/duly/rulepacks"
	"github.com/dulyhq/duly/strategies"
)

func ExampleNext() {
	src, err := strategies.FS.ReadFile("consumer-cn.yaml")
	if err != nil {
		panic(err)
	}
	s, err := strategy.Load("consumer-cn.yaml", src)
	if err != nil {
		panic(err)
	}
	packs, err := rule.LoadFS(rulepacks.FS)
	if err != nil {
		panic(err)
	}
	set, err := rule.NewSet(packs)
	if err != nil {
		panic(err)
	}
	// One instalment is due on 11 March, and it is the small hours of the day before.
	person := &duly.Person{
		Borrower:     duly.Borrower{ID: "D000001", Country: "CN", Tier: "B", Zones: []duly.Zone{{Name: "Asia/Shanghai"}}},
		Points:       []duly.ContactPoint{{ID: "mobile", Kind: duly.PointMobile, State: duly.PointActive}},
		Loans:        []duly.Loan{{ID: "L1", Currency: "CNY"}},
		Installments: []duly.Installment{{LoanID: "L1", No: 1, DueOn: civil.On(2026, time.March, 11), Principal: money.New(123450, "CNY")}},
	}
	now := civil.On(2026, time.March, 10).At(5, shanghai)
	r, err := plan.Next(&plan.Input{Person: person, Strategy: s, Rules: set, Location: shanghai, Now: now})
	if err != nil {
		panic(err)
	}
	for _, ch := range r.Changes {
		c := &ch.Contact
		fmt.Println(c.State, c.Step, c.Channel, c.Template, c.Tone)
	}
	// Output:
	// planned d-1 sms due-tomorrow friendly
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := *ordinary(w, 3)
	if _, err := plan.Next(&whole); err != nil {
		t.Fatal(err)
	}
	for what, take := range map[string]func(*plan.Input){
		"person": func(in *plan.Input) { in.Person = nil }, "strategy": func(in *plan.Input) { in.Strategy = nil },
		"rules": func(in *plan.Input) { in.Rules = nil }, "location": func(in *plan.Input) { in.Location = nil },
		"time": func(in *plan.Input) { in.Now = time.Time{} },
	} {
		in := whole
		take(&in)
		if r, err := plan.Next(&in); err == nil {
			t.Errorf("no %s: got %d changes and no error", what, len(r.Changes))
		}
	}
}

// The gate's answer counts: a limit of the strategy's own defers beyond the hours of the day, and so blocks.
func TestLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := ordinary(w, 3)
	for i := range 6 {
		at := in.Now.AddDate(0, 0, -i-1)
		in.Person.Contacts = append(in.Person.Contacts, duly.Contact{
			ID: duly.ContactID(fmt.Sprint(i)), Strategy: "consumer-cn", Step: "d+1", Day: begin.Add(-i - 1), Channel: duly.ChannelSMS,
			State: duly.Delivered, SentAt: at, NotBefore: at, ExpiresAt: at.Add(time.Hour),
		})
	}
	r, err := plan.Next(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Changes) != 1 || r.Changes[0].Contact.State != duly.Blocked || r.Changes[0].Contact.Reason != "contact_limit_reached" {
		t.Errorf("got %+v, want one contact blocked by the limit", r.Changes)
	}
}
