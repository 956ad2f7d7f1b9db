package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/arrange"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
)

// FenceClass is what a contact was that happened at or after the value time of a payment for what it was about.
type FenceClass string

// The classes, worst last. Of several payments the worst class counts.
const (
	FenceRest       FenceClass = "rest"        // the payment was known and left something owed, and the contact asked for no more than that
	FenceFeedLate   FenceClass = "feed_late"   // the payment was told only when the try was over
	FenceHandedOver FenceClass = "handed_over" // the payment was applied when the message was already on its way to the provider
	FenceUnproved   FenceClass = "unproved"    // what would tell was not noted, or was erased
	FenceFault      FenceClass = "our_fault"   // the payment was known, or stopped the try, and the message left all the same
)

// FenceClasses lists the classes, worst last.
func FenceClasses() []FenceClass {
	return []FenceClass{FenceRest, FenceFeedLate, FenceHandedOver, FenceUnproved, FenceFault}
}

// FenceReport says of every try of some days whether a payment for what it was about had come in. It closes: Attempts = NotSent +
// Before + the sum of Classes.
type FenceReport struct {
	From     civil.Date         `json:"from"`
	To       civil.Date         `json:"to"`
	Attempts int                `json:"attempts"` // that were claimed on these days
	NotSent  int                `json:"not_sent"` // taken back before the POST, or refused by the carrier
	Before   int                `json:"before"`   // sent, or perhaps, and no payment counted from then or earlier
	Classes  map[FenceClass]int `json:"classes"`  // the rest: those at or after a payment's value time
	Findings []Finding          `json:"findings"` // these, worst first, then by time
}

// Faults is how many contacts were Duly's own fault: it must be 0.
func (r *FenceReport) Faults() int { return r.Classes[FenceFault] }

// Finding is one contact that happened at or after the value time of a payment.
type Finding struct {
	Class    FenceClass      `json:"class"`
	Why      string          `json:"why"`
	Attempt  duly.AttemptID  `json:"attempt"`
	Contact  duly.ContactID  `json:"contact"`
	Borrower duly.BorrowerID `json:"borrower"`
	Loan     duly.LoanID     `json:"loan"`
	No       int             `json:"no"`
	Payment  duly.PaymentID  `json:"payment"`
	Owed     money.Amount    `json:"owed"`              // of this instalment, as the certificate has it
	ValueAt  time.Time       `json:"value_at"`          // of the payment
	KnownAt  time.Time       `json:"known_at,omitzero"` // when the payment, as it stands, was applied
	Claimed  time.Time       `json:"claimed_at"`
	Begun    time.Time       `json:"begun_at,omitzero"`  // when the POST began
	Fenced   time.Time       `json:"fenced_at,omitzero"` // from when on it must not
	Seal     SealState       `json:"seal"`               // of the certificate
}

// fenceDaysMax bounds the days of one report.
const fenceDaysMax = 400

// Fence reports on the tries of some days, both included; zero days are today. It goes by what is on record: the order of a claim
// and a payment is that of the versions of their bucket, which no clock decides.
func (e *Engine) Fence(ctx context.Context, now time.Time, from, to civil.Date) (FenceReport, error) {
	today := e.Today(now)
	if to.IsZero() {
		to = today
	}
	if from.IsZero() {
		from = to
	}
	r := FenceReport{From: from, To: to, Classes: map[FenceClass]int{}}
	if to.Before(from) || to.Sub(from) >= fenceDaysMax {
		return r, duly.Errorf(duly.Usage, "from %s to %s is not a span of 1 to %d days", from, to, fenceDaysMax)
	}
	for _, c := range FenceClasses() {
		r.Classes[c] = 0
	}
	begin, end := from.At(0, e.cfg.Location).UTC(), to.Add(1).At(0, e.cfg.Location).UTC()
	for b := range duly.Buckets {
		err := e.db.View(ctx, func(tx *store.Tx) error { return e.fenceBucket(tx, b, begin, end, &r) })
		if err != nil {
			return r, fmt.Errorf("fence report: %w", err)
		}
	}
	order := FenceClasses()
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(slices.Index(order, b.Class)-slices.Index(order, a.Class), a.Claimed.Compare(b.Claimed), cmp.Compare(a.Attempt, b.Attempt))
	})
	return r, nil
}

func (e *Engine) fenceBucket(tx *store.Tx, bucket int, from, until time.Time, r *FenceReport) error {
	attempts, err := tx.AttemptsBetween(bucket, from, until)
	if err != nil || len(attempts) == 0 {
		return err
	}
	var ids []duly.BorrowerID
	for i := range attempts {
		ids = append(ids, attempts[i].BorrowerID)
	}
	ids = unique(ids)
	ledgers, err := tx.Ledgers(bucket, ids)
	if err != nil {
		return err
	}
	known, err := tx.PaymentsKnown(bucket, ids)
	if err != nil {
		return err
	}
	books := make(map[duly.BorrowerID]*hindsight, len(ledgers))
	for i := range ledgers {
		l := &ledgers[i]
		// What cannot be allocated settles nothing: its borrower is held.
		if books[l.BorrowerID], err = e.lookBack(l, known[l.BorrowerID]); err != nil {
			books[l.BorrowerID] = nil
		}
	}
	for i := range attempts {
		a := &attempts[i]
		r.Attempts++
		if a.State == duly.AttemptRefused || a.State == duly.AttemptRecalled {
			r.NotSent++
			continue
		}
		f, found := books[a.BorrowerID].judge(a)
		if !found {
			r.Before++
			continue
		}
		p, err := prove(tx, a)
		if err != nil {
			return err
		}
		f.Seal = p.Seal
		if p.Seal == SealBroken && f.Class != FenceFault {
			f.Class, f.Why = FenceUnproved, "the certificate is not the one that the audit sealed"
		}
		r.Classes[f.Class]++
		r.Findings = append(r.Findings, f)
	}
	return nil
}

// hindsight is a borrower's ledger with what is known of it by now.
type hindsight struct {
	e     *Engine
	l     *store.Ledger
	known map[duly.PaymentID]store.Known
	by    map[itemKey][]*duly.Payment // the payments that went to an instalment, as they are allocated now
}

func (e *Engine) lookBack(l *store.Ledger, known map[duly.PaymentID]store.Known) (*hindsight, error) {
	h := &hindsight{e: e, l: l, known: known, by: map[itemKey][]*duly.Payment{}}
	a, err := arrange.Allocate(l.Installments, l.Payments, l.Loans, e.cfg.Location)
	if err != nil {
		return nil, err
	}
	payments := make(map[duly.PaymentID]*duly.Payment, len(l.Payments))
	for i := range l.Payments {
		payments[l.Payments[i].ID] = &l.Payments[i]
	}
	for _, entry := range a.Entries {
		k := itemKey{entry.LoanID, entry.No}
		h.by[k] = append(h.by[k], payments[entry.PaymentID])
	}
	return h, nil
}

// judge returns the worst of what an attempt was after, or false where no payment for its items counted by then.
func (h *hindsight) judge(a *duly.Attempt) (out Finding, found bool) {
	if h == nil {
		return out, false
	}
	at := a.BegunAt
	if at.IsZero() {
		at = a.ClaimedAt
	}
	order := FenceClasses()
	for k, owed := range h.items(a) {
		for _, p := range h.by[k] {
			if valueTime(p).After(at) {
				continue
			}
			f := Finding{
				Attempt: a.ID, Contact: a.ContactID, Borrower: a.BorrowerID, Loan: k.loan, No: k.no, Payment: p.ID, Owed: owed, ValueAt: valueTime(p),
				KnownAt: h.known[p.ID].At, Claimed: a.ClaimedAt, Begun: a.BegunAt, Fenced: a.FencedAt,
			}
			f.Class, f.Why = h.class(a, k, owed, p)
			worse := slices.Index(order, f.Class) - slices.Index(order, out.Class)
			if !found || worse > 0 || worse == 0 && (f.ValueAt.Before(out.ValueAt) || f.ValueAt.Equal(out.ValueAt) && f.Payment < out.Payment) {
				out, found = f, true
			}
		}
	}
	return out, found
}

// items returns what the attempt was about, with what its certificate says was owed. Of one that was erased it is not known any
// more: then it is about all that the borrower owes or owed, and nothing is proved.
func (h *hindsight) items(a *duly.Attempt) map[itemKey]money.Amount {
	out := map[itemKey]money.Amount{}
	for _, it := range a.Known.Items {
		out[itemKey{it.LoanID, it.No}] = it.Outstanding
	}
	if a.Known.LedgerVersion == 0 {
		for k := range h.by {
			out[k] = money.Amount{}
		}
	}
	return out
}

// class says what a try was, made about an instalment after a payment for it.
func (h *hindsight) class(a *duly.Attempt, k itemKey, owed money.Amount, p *duly.Payment) (FenceClass, string) {
	known := h.known[p.ID]
	switch {
	case a.Known.LedgerVersion == 0:
		return FenceUnproved, "the certificate was erased"
	case known.Version == 0:
		return FenceUnproved, "the payment is older than the notes of when payments became known"
	case known.Version <= a.Known.LedgerVersion:
		return h.classKnown(a, k, owed)
	case a.FencedAt.IsZero() || !a.EndedAt.IsZero() && known.At.After(a.EndedAt):
		return classLate(a, known)
	case a.BegunAt.IsZero():
		return FenceUnproved, "it is not known whether or when the message left: its process ended before it could say so"
	case a.BegunAt.After(a.FencedAt):
		return FenceFault, "the payment was applied before the POST began, and did not stop it"
	}
	return FenceHandedOver, "the POST had begun when the payment was applied"
}

// classLate is class for a payment that came when the contact was not waiting to be sent any more.
func classLate(a *duly.Attempt, known store.Known) (FenceClass, string) {
	switch {
	case !a.EndedAt.IsZero() && !known.At.Before(a.EndedAt):
		return FenceFeedLate, "the payment was told only after the try was over"
	case a.BegunAt.IsZero() || known.At.Before(a.BegunAt):
		return FenceUnproved, "it is not known which came first, the POST or the payment"
	}
	return FenceHandedOver, "the POST had begun when the payment was applied"
}

// classKnown is class for a payment that was known at the claim: the contact must not have asked for it.
func (h *hindsight) classKnown(a *duly.Attempt, k itemKey, owed money.Amount) (FenceClass, string) {
	then, ok := h.owed(k, func(p *duly.Payment) bool { return h.known[p.ID].Version <= a.Known.LedgerVersion })
	if !ok {
		return FenceUnproved, "the instalment is not on record any more"
	}
	if owed.Minor <= then {
		return FenceRest, "the payment was known, and what was left was asked for"
	}
	// More was asked for than was owed. That is a fault where it is just what is owed without a payment that was known; else the
	// instalment itself was changed since.
	before := func(not duly.PaymentID) bool {
		n, _ := h.owed(k, func(p *duly.Payment) bool { return p.ID != not && h.known[p.ID].Version <= a.Known.LedgerVersion })
		return n == owed.Minor
	}
	for _, p := range h.by[k] {
		if h.known[p.ID].Version <= a.Known.LedgerVersion && before(p.ID) {
			return FenceFault, "the payment was known at the claim, and the contact asked for what it had paid"
		}
	}
	if n, _ := h.owed(k, func(p *duly.Payment) bool { return false }); n == owed.Minor {
		return FenceFault, "payments were known at the claim, and the contact asked for what they had paid"
	}
	return FenceUnproved, "the instalment was changed since"
}

// owed is what would be owed of an instalment if only some of the payments had come in.
func (h *hindsight) owed(k itemKey, in func(*duly.Payment) bool) (int64, bool) {
	var payments []duly.Payment
	for i := range h.l.Payments {
		if in(&h.l.Payments[i]) {
			payments = append(payments, h.l.Payments[i])
		}
	}
	a, err := arrange.Allocate(h.l.Installments, payments, h.l.Loans, h.e.cfg.Location)
	if err != nil {
		return 0, false
	}
	for i := range a.Installments {
		if keyOf(&a.Installments[i]) == k {
			return a.Installments[i].Outstanding().Minor, true
		}
	}
	return 0, false
}

// valueTime is when a payment counts from.
func valueTime(p *duly.Payment) time.Time {
	if p.ValueAt.IsZero() {
		return p.ArrivedAt
	}
	return p.ValueAt
}
