package sim

import (
	"cmp"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// ledger is what the world knows of its people by itself: every fact that was committed, in its newest version. It asks the
// product nothing.
type ledger struct{ people map[duly.BorrowerID]*known }

// known is one person as the world knows them.
type known struct {
	borrower     duly.Borrower
	zones        []*time.Location
	loans        map[duly.LoanID]duly.Loan
	installments map[itemKey]duly.Installment
	payments     map[duly.PaymentID]duly.Payment
	debits       map[duly.DebitID]duly.Debit
	refusals     map[duly.ConsentID]duly.OptOut
	holds        map[duly.HoldID]duly.Hold
	wishes       map[duly.PreferenceID]duly.Preference
	touches      map[string]duly.Touch
	points       map[duly.PointID]duly.ContactPoint
	tries        int                             // claims of the person's that came to their POST
	sent         []*letter                       // what left for the person, in order
	letters      map[duly.ContactID]*letter      // the same, by contact
	rows         map[duly.ContactID]duly.Contact // as they were when they were last looked at
}

type itemKey struct {
	loan duly.LoanID
	no   int
}

// letter is one contact that left, or may have.
type letter struct {
	contact  duly.ContactID
	attempt  duly.AttemptID
	step     string
	day      civil.Date
	channel  duly.Channel
	at       time.Time // by the clock of the process that sent it
	taken    int       // how often a carrier took it
	failed   bool      // the carrier told so, and nothing better
	read     bool      // the carrier told so
	arrived  bool      // it told of delivery, or of reading
	refused  bool      // the carrier's answer: not taken
	unproven bool      // the carrier's answer was lost
}

func newLedger() *ledger { return &ledger{people: map[duly.BorrowerID]*known{}} }

func (l *ledger) of(id duly.BorrowerID) *known {
	k := l.people[id]
	if k == nil {
		k = &known{
			loans: map[duly.LoanID]duly.Loan{}, installments: map[itemKey]duly.Installment{}, payments: map[duly.PaymentID]duly.Payment{},
			debits: map[duly.DebitID]duly.Debit{}, refusals: map[duly.ConsentID]duly.OptOut{}, holds: map[duly.HoldID]duly.Hold{},
			wishes: map[duly.PreferenceID]duly.Preference{}, touches: map[string]duly.Touch{}, points: map[duly.PointID]duly.ContactPoint{},
			letters: map[duly.ContactID]*letter{}, rows: map[duly.ContactID]duly.Contact{},
		}
		l.people[id] = k
	}
	return k
}

// newer puts v under its key unless what is there is of the same version or a later one.
func newer[K comparable, V any](m map[K]V, key K, v V, version func(*V) int64) bool {
	if old, ok := m[key]; ok && version(&old) >= version(&v) {
		return false
	}
	m[key] = v
	return true
}

// commit notes facts that became durable together, and returns those that were news. Who or what a fact is about must be
// known, from before or from the same facts.
func (l *ledger) commit(facts []duly.Fact) []duly.Fact {
	var news []duly.Fact
	for floor := range 3 {
		for _, f := range facts {
			if floorOf(f) == floor && l.note(f) {
				news = append(news, f)
			}
		}
	}
	return news
}

// floorOf is the order in which facts stand on each other: persons, loans, the rest.
func floorOf(f duly.Fact) int {
	switch f.FactKind() {
	case duly.FactBorrower:
		return 0
	case duly.FactLoan:
		return 1
	default:
		return 2
	}
}

func (l *ledger) note(f duly.Fact) bool {
	k := l.of(f.Owner())
	if _, ok := f.(*duly.Borrower); !ok && k.borrower.Version == 0 {
		return false
	}
	switch f := f.(type) {
	case *duly.Borrower:
		if k.borrower.Version >= f.Version {
			return false
		}
		k.borrower, k.zones = *f, nil
		for _, z := range f.Zones {
			if loc, err := time.LoadLocation(z.Name); err == nil {
				k.zones = append(k.zones, loc)
			}
		}
		return true
	case *duly.ContactPoint:
		return newer(k.points, f.ID, *f, func(x *duly.ContactPoint) int64 { return x.Version })
	case *duly.Loan:
		return newer(k.loans, f.ID, *f, func(x *duly.Loan) int64 { return x.Version })
	case *duly.Installment:
		return k.owns(f.LoanID) && newer(k.installments, itemKey{f.LoanID, f.No}, *f, func(x *duly.Installment) int64 { return x.Version })
	case *duly.Payment:
		return (f.LoanID == "" || k.owns(f.LoanID)) && newer(k.payments, f.ID, *f, func(x *duly.Payment) int64 { return x.Version })
	case *duly.Debit:
		return k.owns(f.LoanID) && newer(k.debits, f.ID, *f, func(x *duly.Debit) int64 { return x.Version })
	case *duly.OptOut:
		return newer(k.refusals, f.ID, *f, func(x *duly.OptOut) int64 { return x.Version })
	case *duly.Hold:
		return newer(k.holds, f.ID, *f, func(x *duly.Hold) int64 { return x.Version })
	case *duly.Preference:
		return newer(k.wishes, f.ID, *f, func(x *duly.Preference) int64 { return x.Version })
	case *duly.Touch:
		return newer(k.touches, f.ID, *f, func(x *duly.Touch) int64 { return x.Version })
	}
	return false
}

func (k *known) owns(id duly.LoanID) bool { _, ok := k.loans[id]; return ok }

// owed works out what is owed of each instalment: the money of a loan is poured over its instalments, oldest due first, and
// then that which names no loan over what is left.
func (k *known) owed() map[itemKey]int64 {
	out := make(map[itemKey]int64, len(k.installments))
	lines := make([]duly.Installment, 0, len(k.installments))
	for key, in := range k.installments {
		out[key] = in.Principal.Minor + in.Interest.Minor + in.Fee.Minor
		lines = append(lines, in)
	}
	slices.SortFunc(lines, func(a, b duly.Installment) int {
		return cmp.Or(a.DueOn.Compare(b.DueOn), cmp.Compare(a.LoanID, b.LoanID), cmp.Compare(a.No, b.No))
	})
	money := map[duly.LoanID]int64{}
	undone := map[duly.PaymentID]bool{}
	for _, p := range k.payments {
		if p.Reverses != "" {
			undone[p.Reverses] = true
		}
	}
	for _, p := range k.payments {
		if p.Reverses == "" && !undone[p.ID] {
			money[p.LoanID] += p.Amount.Minor
		}
	}
	pour := func(loan duly.LoanID, from duly.LoanID) {
		for i := range lines {
			key := itemKey{lines[i].LoanID, lines[i].No}
			if loan != "" && key.loan != loan {
				continue
			}
			n := min(money[from], out[key])
			out[key] -= n
			money[from] -= n
		}
	}
	for id := range k.loans {
		pour(id, id)
	}
	pour("", "")
	return out
}

// heldBy returns the kind of a hold that stops a contact at an instant, or "".
func (k *known) heldBy(c *duly.Contact, purpose duly.Purpose, at time.Time) string {
	for _, h := range k.holds {
		if at.Before(h.From) || !h.Until.IsZero() && !at.Before(h.Until) || !h.ReleasedAt.IsZero() && !at.Before(h.ReleasedAt) {
			continue
		}
		if h.Kind == "promise_to_pay" && purpose != duly.PurposeCollection {
			continue
		}
		if h.Scope == duly.HoldPerson || h.Scope == duly.HoldLoan && about(c, h.LoanID) || h.Scope == duly.HoldAddress && h.PointID == c.PointID {
			return h.Kind
		}
	}
	return ""
}

// refused returns the key of a refusal that stops a contact at an instant, or "".
func (k *known) refused(c *duly.Contact, at time.Time) string {
	for _, o := range k.refusals {
		if at.Before(o.At) || !o.RevokedAt.IsZero() && !at.Before(o.RevokedAt) || !about(c, o.LoanID) {
			continue
		}
		if o.Key == "all" || o.Key == string(c.Channel) || o.Key == "calls" && c.Channel == duly.ChannelRobot {
			return o.Key
		}
	}
	return ""
}

func about(c *duly.Contact, loan duly.LoanID) bool {
	return loan == "" || slices.ContainsFunc(c.Items, func(it duly.Item) bool { return it.LoanID == loan })
}

// debited reports whether a debit of one of the contact's instalments is under way at an instant.
func (k *known) debited(c *duly.Contact, at time.Time) bool {
	for _, d := range k.debits {
		if d.State != duly.DebitInFlight || d.At.After(at) {
			continue
		}
		if slices.ContainsFunc(c.Items, func(it duly.Item) bool { return it.LoanID == d.LoanID && it.No == d.InstallmentNo }) {
			return true
		}
	}
	return false
}

// unwanted reports whether an instant lies outside the hours that the person asked for, in one of their zones.
func (k *known) unwanted(at time.Time) bool {
	for _, loc := range k.zones {
		local := at.In(loc)
		asked, inside := false, false
		for _, w := range k.wishes {
			if at.Before(w.At) || !w.RevokedAt.IsZero() && !at.Before(w.RevokedAt) {
				continue
			}
			covers := w.Covers(local.Weekday(), civil.ClockOf(local))
			if w.Kind == duly.PreferForbid && covers {
				return true
			}
			asked = asked || w.Kind == duly.PreferAllow
			inside = inside || w.Kind == duly.PreferAllow && covers
		}
		if asked && !inside {
			return true
		}
	}
	return false
}

// counted counts what reached the person, or may have, in the days that end with that of an instant, in the zone where it is
// the most: other messages than the contact's, and agents' calls.
func (k *known) counted(c duly.ContactID, at time.Time, days int) int {
	most := 0
	for _, loc := range k.zones {
		first, n := civil.In(at, loc).Add(1-days), 0
		in := func(t time.Time) bool { return !civil.In(t, loc).Before(first) && !t.After(at) }
		for _, s := range k.sent {
			if s.contact != c && s.taken > 0 && !s.failed && in(s.at) {
				n++
			}
		}
		for _, t := range k.touches {
			if !t.Inbound && t.Outcome == "answered" && in(t.At) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
