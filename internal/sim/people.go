package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// people makes what borrowers, banks and agents of a book do, by seed. What it makes does not depend on what Duly does.
type people struct {
	t      *Trial
	book   *Book
	loc    *time.Location
	start  civil.Date
	events []Event
}

// stream is a source of chance of its own for each kind of trouble and thing.
func (t *Trial) stream(kind string, n int) *rand.Rand {
	h := uint64(1469598103934665603)
	for _, c := range []byte(kind) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(t.Seed^h, uint64(n)))
}

// farZones are where some borrowers live: zones whose clocks are set twice a year, one by half an hour, and some that are
// far from the lender.
var farZones = []string{"America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago", "Pacific/Auckland", "Asia/Kolkata", "America/Los_Angeles"}

// unsettle gives some borrowers another zone, or two.
func (p *people) unsettle() {
	if !p.t.Faults.has(FaultZones) {
		return
	}
	for i := range p.book.Borrowers {
		b, r := &p.book.Borrowers[i], p.t.stream("zones", i)
		switch n := r.IntN(10); {
		case n < 3:
			b.Zones[0].Name = farZones[r.IntN(len(farZones))]
		case n < 5:
			near := []string{"Asia/Tokyo", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York"}
			b.Zones = append(b.Zones, duly.Zone{Name: near[r.IntN(len(near))], Source: duly.ZoneDevice, ObservedAt: b.Zones[0].ObservedAt})
		}
	}
}

// live makes all events of the run, by the instant at which somebody tells Duly of them.
func (p *people) live(o Options) {
	p.events = p.book.Events(o)
	if p.t.Faults.has(FaultPayments) {
		p.trouble()
	}
	if p.t.Faults.has(FaultRefusals) {
		for i := range p.book.Borrowers {
			p.object(i)
		}
	}
	if p.t.Faults.has(FaultImport) {
		p.repeat()
	}
	slices.SortStableFunc(p.events, func(a, b Event) int { return a.At.Compare(b.At) })
}

func (p *people) add(at time.Time, f duly.Fact) { p.events = append(p.events, Event{at, f}) }

// trouble has money arrive late, twice, and without the loan it is for, and debits be told of in the wrong order.
func (p *people) trouble() {
	loans := map[duly.BorrowerID]int{}
	for i := range p.book.Loans {
		loans[p.book.Loans[i].BorrowerID]++
	}
	moved := map[duly.PaymentID]time.Duration{}
	for i := range p.events {
		e, r := &p.events[i], p.t.stream("payments", i)
		n, m := r.IntN(100), r.IntN(100)
		switch f := e.Fact.(type) {
		case *duly.Payment:
			late := time.Duration(0)
			if n < 10 {
				late = time.Duration(1+r.IntN(60)) * time.Hour
			}
			late = max(late, moved[f.Reverses]) // a reversal does not come before what it reverses
			if late > 0 {
				e.At, f.ArrivedAt, moved[f.ID] = e.At.Add(late), f.ArrivedAt.Add(late), late
			}
			if m < 12 {
				again := *f
				p.add(e.At.Add(time.Duration(r.IntN(50))*time.Hour/2), &again)
			}
			if m > 90 && loans[f.BorrowerID] == 1 {
				f.LoanID = ""
			}
		case *duly.Debit:
			if n < 10 && f.State == duly.DebitInFlight {
				e.At = e.At.Add(time.Duration(r.IntN(90)) * time.Minute) // perhaps after its end was told
			} else if n > 70 && f.State != duly.DebitInFlight {
				e.At = e.At.Add(time.Duration(r.IntN(50)) * time.Hour) // the bank takes its time to tell
			}
		}
	}
}

// object makes what one borrower asks for, and what agents do about them.
func (p *people) object(i int) {
	b, r := p.book.Borrowers[i].ID, p.t.stream("refusals", i)
	at := func() time.Time {
		return p.start.Add(r.IntN(p.t.Days)).At(civil.Clock(7*60+r.IntN(15*60)), p.loc).UTC()
	}
	loan := p.loanOf(b, r)
	if r.IntN(6) == 0 {
		o := duly.OptOut{BorrowerID: b, ID: "refusal", Key: []string{"all", "sms", "push", "calls", "email"}[r.IntN(5)], At: at(), Source: "sms_reply", Version: 1}
		if r.IntN(4) == 0 {
			o.LoanID = loan
		}
		p.add(o.At, &o)
		if r.IntN(2) == 0 {
			back := o
			back.Version, back.RevokedAt = 2, o.At.Add(time.Duration(1+r.IntN(400))*time.Hour)
			p.add(back.RevokedAt, &back)
		}
	}
	for n := range r.IntN(3) {
		kind := []string{"manual", "dispute", "hardship", "complaint", "promise_to_pay", "crisis", "number_reassigned"}[r.IntN(7)]
		h := duly.Hold{BorrowerID: b, ID: duly.HoldID(fmt.Sprint("hold-", n)), Kind: kind, Scope: duly.HoldPerson, Author: "agent", From: at(), Version: 1}
		switch {
		case kind == "number_reassigned":
			h.Scope, h.PointID = duly.HoldAddress, duly.PointID(fmt.Sprintf("%s-%s", b, duly.PointMobile))
		case kind == "promise_to_pay" || kind != "crisis" && r.IntN(3) == 0:
			h.Scope, h.LoanID = duly.HoldLoan, loan
		}
		if r.IntN(3) > 0 {
			h.Until = h.From.Add(time.Duration(1+r.IntN(240)) * time.Hour)
		}
		p.add(h.From, &h)
		if h.Until.IsZero() || r.IntN(3) == 0 {
			free := h
			free.Version, free.ReleasedAt = 2, h.From.Add(time.Duration(1+r.IntN(300))*time.Hour)
			p.add(free.ReleasedAt, &free)
		}
	}
	if r.IntN(4) == 0 {
		w := duly.Preference{BorrowerID: b, ID: "hours", Kind: duly.PreferForbid, Days: civil.EveryDay, From: civil.Clock(60 * (8 + r.IntN(6))), Source: "agent", At: at(), Version: 1}
		w.To = w.From + civil.Clock(60*(1+r.IntN(5)))
		if r.IntN(2) == 0 {
			w.Kind, w.From, w.To = duly.PreferAllow, 18*60, 9*60+30
			w.Days = civil.Weekdays{1: true, 3: true, 5: true}
		}
		p.add(w.At, &w)
	}
	for n := range r.IntN(4) {
		c := duly.Touch{BorrowerID: b, ID: fmt.Sprint("call-", n), LoanID: loan, Channel: duly.ChannelAgent, Purpose: duly.PurposeCollection, Outcome: "answered", At: at(), Version: 1}
		p.add(c.At, &c)
	}
	if r.IntN(10) == 0 {
		p.extend(loan, at(), r)
	}
}

func (p *people) loanOf(b duly.BorrowerID, r *rand.Rand) duly.LoanID {
	var all []duly.LoanID
	for i := range p.book.Loans {
		if p.book.Loans[i].BorrowerID == b {
			all = append(all, p.book.Loans[i].ID)
		}
	}
	return all[r.IntN(len(all))]
}

// extend gives a loan's last instalment more days.
func (p *people) extend(loan duly.LoanID, at time.Time, r *rand.Rand) {
	var last *duly.Installment
	for i := range p.book.Installments {
		if in := &p.book.Installments[i]; in.LoanID == loan {
			last = in
		}
	}
	moved := *last
	moved.Version, moved.DueOn = 2, last.DueOn.Add(1+r.IntN(20))
	p.add(at, &moved)
}

// repeat tells parts of the book again, in any order, some of it corrected and then the old version once more.
func (p *people) repeat() {
	facts := p.book.Facts()
	r := p.t.stream("import", 0)
	for range 1 + p.t.Days/20 {
		at := p.start.Add(r.IntN(p.t.Days)).At(civil.Clock(r.IntN(24*60)), p.loc).UTC()
		for range len(facts) / 8 {
			p.add(at, facts[r.IntN(len(facts))])
		}
	}
	for _, i := range r.Perm(len(p.book.Borrowers))[:len(p.book.Borrowers)/10] {
		b := p.book.Borrowers[i]
		old := b
		b.Version, b.Tier = 2, string("ABCDE"[r.IntN(5)])
		if p.t.Faults.has(FaultZones) {
			b.Zones = []duly.Zone{{Name: farZones[r.IntN(len(farZones))], Source: duly.ZoneStated, ObservedAt: b.Zones[0].ObservedAt}}
		}
		at := p.start.Add(r.IntN(p.t.Days)).At(civil.Clock(r.IntN(24*60)), p.loc).UTC()
		p.add(at, &b)
		p.add(at.Add(time.Hour), &old)
	}
}
