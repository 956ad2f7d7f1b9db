package sim

import (
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// between lets something happen after a contact of a borrower was claimed and before its POST begins: the moment at which most
// systems remind people who have just paid.
func (w *world) between(p *process, b duly.BorrowerID) {
	k := w.ledger.of(b)
	r := w.stream("flight "+string(b), k.tries) // of the person's own: others change nothing about it
	w.r.flight, k.tries = r, k.tries+1
	if w.Faults.has(FaultCrash) && p.doom.how == "" && w.r.crash.IntN(60) == 0 {
		p.doom = doom{how: []string{"taken", "untaken"}[w.r.crash.IntN(2)]} // it dies in this very POST
	}
	if !w.Faults.has(FaultInFlight) || w.nested || r.IntN(100) >= 8 {
		return
	}
	w.nested = true
	defer func() { w.nested = false }()
	w.count.Meantime++
	switch n := r.IntN(20); {
	case n < 1:
		w.pause(p, time.Duration(15+r.IntN(10))*time.Second)
		return
	case n < 3 && w.shared:
		w.suspend(p)
		return
	}
	to := p
	if other := w.anyone(r); r.IntN(2) == 0 && other != nil {
		to = other
	}
	if to.frozen > 0 {
		return
	}
	facts := w.surprise(b)
	if len(facts) == 0 {
		return
	}
	d := &delivery{facts: facts}
	w.pending = append(w.pending, d)
	w.tell(b, "before the POST %s is told:", to.name)
	acked, err := w.deliver(to, d)
	if err != nil {
		w.fail(err)
	}
	if acked {
		w.pending = slices.DeleteFunc(w.pending, func(x *delivery) bool { return x == d })
	}
}

// surprise is facts about a borrower that nobody foresaw.
func (w *world) surprise(b duly.BorrowerID) []duly.Fact {
	r, k, n := w.r.flight, w.ledger.of(b), w.serial()
	switch r.IntN(10) {
	case 0, 1, 2, 3:
		return w.money(b, 1)
	case 4:
		return w.money(b, 2)
	case 5:
		key := []string{"all", "sms", "push"}[r.IntN(3)]
		return []duly.Fact{&duly.OptOut{BorrowerID: b, ID: duly.ConsentID(fmt.Sprint("sudden-", n)), Key: key, At: w.now, Source: "sms_reply", Version: 1}}
	case 6:
		kind := []string{"manual", "dispute", "hardship", "crisis"}[r.IntN(4)]
		return []duly.Fact{&duly.Hold{BorrowerID: b, ID: duly.HoldID(fmt.Sprint("sudden-", n)), Kind: kind, Scope: duly.HoldPerson, Author: "agent",
			From: w.now, Until: w.now.Add(time.Duration(1+r.IntN(200)) * time.Hour), Version: 1}}
	case 7:
		return []duly.Fact{&duly.Preference{BorrowerID: b, ID: duly.PreferenceID(fmt.Sprint("sudden-", n)), Kind: duly.PreferForbid, Days: civil.EveryDay,
			From: 0, To: 24 * 60, Source: "agent", At: w.now, RevokedAt: w.now.Add(time.Duration(1+r.IntN(100)) * time.Hour), Version: 1}}
	case 8:
		for _, key := range k.open() {
			return []duly.Fact{&duly.Debit{BorrowerID: b, ID: duly.DebitID(fmt.Sprint("sudden-", n)), LoanID: key.loan, InstallmentNo: key.no, At: w.now,
				State: duly.DebitInFlight, Version: 1}}
		}
	case 9:
		for _, id := range k.payers() {
			p := k.payments[id]
			return []duly.Fact{&duly.Payment{BorrowerID: b, ID: duly.PaymentID(fmt.Sprint("undo-", n)), LoanID: p.LoanID, Amount: p.Amount, ValueAt: w.now,
				ArrivedAt: w.now, Reverses: id, Method: "reversal", Version: 1}}
		}
	}
	return nil
}

// money pays a part of the oldest instalment that is owed: all of it, a half, …
func (w *world) money(b duly.BorrowerID, part int64) []duly.Fact {
	k := w.ledger.of(b)
	owed := k.owed()
	for _, key := range k.open() {
		in := k.installments[key]
		return []duly.Fact{&duly.Payment{BorrowerID: b, ID: duly.PaymentID(fmt.Sprint("sudden-", w.serial())), LoanID: key.loan,
			Amount: money.New(max(1, owed[key]/part), in.Currency()), ValueAt: w.now, ArrivedAt: w.now, Method: "manual", Version: 1}}
	}
	return nil
}

// open returns the instalments that are owed, oldest due first.
func (k *known) open() []itemKey {
	var out []itemKey
	for key, left := range k.owed() {
		if left > 0 {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b itemKey) int {
		x, y := k.installments[a], k.installments[b]
		return compare(x.DueOn.Compare(y.DueOn), a, b)
	})
	return out
}

func compare(c int, a, b itemKey) int {
	switch {
	case c != 0:
		return c
	case a.loan != b.loan && a.loan < b.loan:
		return -1
	case a.loan != b.loan:
		return 1
	}
	return a.no - b.no
}

// payers returns the payments that can be undone, in order.
func (k *known) payers() []duly.PaymentID {
	undone := map[duly.PaymentID]bool{}
	for _, p := range k.payments {
		undone[p.Reverses] = true
	}
	var out []duly.PaymentID
	for id, p := range k.payments {
		if p.Reverses == "" && !undone[id] {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// pause holds a process up between a claim and its POST.
func (w *world) pause(p *process, d time.Duration) {
	w.count.Pauses++
	w.tell("", "%s is held up for %s before a POST", p.name, d)
	w.pass(d)
}

// suspend holds a process up for longer than its lease, while the others go on. Its wall clock may not have noticed.
func (w *world) suspend(p *process) {
	d := nodeLease + 10*time.Minute
	w.pause(p, d)
	w.ill()
	if w.r.flight.IntN(2) == 0 {
		p.jump, p.calm = p.jump-d, 2
	}
	w.others(p)
}

// describe writes a fact for a story.
func describe(f duly.Fact) string {
	switch f := f.(type) {
	case *duly.Borrower:
		return fmt.Sprintf("borrower v%d, tier %s, zones %v", f.Version, f.Tier, zoneNames(f))
	case *duly.Installment:
		return fmt.Sprintf("instalment %s v%d due %s, %s", f.FactKey(), f.Version, f.DueOn, money.New(f.Due().Total(), f.Currency()))
	case *duly.Payment:
		what := "payment"
		if f.Reverses != "" {
			what = "reversal of " + string(f.Reverses)
		}
		return fmt.Sprintf("%s %s of %s for %q, value %s", what, f.ID, f.Amount, f.LoanID, f.ValueAt.Format(time.RFC3339))
	case *duly.Debit:
		return fmt.Sprintf("debit %s v%d of %s/%d is %s", f.ID, f.Version, f.LoanID, f.InstallmentNo, f.State)
	case *duly.OptOut:
		return fmt.Sprintf("refusal %s v%d, key %s, loan %q, since %s", f.ID, f.Version, f.Key, f.LoanID, f.At.Format(time.RFC3339))
	case *duly.Hold:
		return fmt.Sprintf("hold %s v%d, kind %s, scope %s %s%s, from %s until %s, released %s", f.ID, f.Version, f.Kind, f.Scope, f.LoanID, f.PointID,
			f.From.Format(time.RFC3339), f.Until.Format(time.RFC3339), f.ReleasedAt.Format(time.RFC3339))
	case *duly.Preference:
		return fmt.Sprintf("hours %s: %s", f.ID, f)
	case *duly.Touch:
		return fmt.Sprintf("%s %s: %s at %s", f.Channel, f.ID, f.Outcome, f.At.Format(time.RFC3339))
	}
	return fmt.Sprintf("%s %s v%d", f.FactKind(), f.FactKey(), f.FactVersion())
}

func zoneNames(b *duly.Borrower) []string {
	out := make([]string, len(b.Zones))
	for i, z := range b.Zones {
		out[i] = z.Name
	}
	return out
}
