package sim

import (
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/arrange"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// checker holds one bucket against the promises.
type checker struct {
	loc      *time.Location
	bucket   int
	attempts []duly.Attempt
	contacts map[duly.ContactID]duly.Contact
	ledgers  map[duly.BorrowerID]store.Ledger
	persons  map[duly.BorrowerID]duly.Person
}

func (c *checker) read(tx *store.Tx) error {
	var err error
	if c.attempts, err = tx.BucketAttempts(c.bucket); err != nil || len(c.attempts) == 0 {
		return err
	}
	seen := map[duly.BorrowerID]bool{}
	var ids []duly.BorrowerID
	var contacts []duly.ContactID
	for _, a := range c.attempts {
		contacts = append(contacts, a.ContactID)
		if !seen[a.BorrowerID] {
			seen[a.BorrowerID] = true
			ids = append(ids, a.BorrowerID)
		}
	}
	if c.contacts, err = tx.FindContacts(contacts); err != nil {
		return err
	}
	ledgers, err := tx.Ledgers(c.bucket, ids)
	if err != nil {
		return err
	}
	c.ledgers = make(map[duly.BorrowerID]store.Ledger, len(ledgers))
	for _, l := range ledgers {
		c.ledgers[l.BorrowerID] = l
	}
	persons, err := tx.Persons(c.bucket, ids, time.Time{})
	if err != nil {
		return err
	}
	c.persons = make(map[duly.BorrowerID]duly.Person, len(persons))
	for _, p := range persons {
		c.persons[p.Borrower.ID] = p
	}
	return nil
}

func (c *checker) check() ([]Violation, error) {
	var out []Violation
	for i := range c.attempts {
		a := &c.attempts[i]
		if a.State == duly.AttemptRecalled || a.State == duly.AttemptRefused {
			continue // nothing left
		}
		contact, ok := c.contacts[a.ContactID]
		if !ok {
			out = append(out, Violation{"every attempt has its contact", a.ContactID, string(a.ID)})
			continue
		}
		v, err := c.afterPayment(a)
		if err != nil {
			return nil, err
		}
		out = append(out, v...)
		out = append(out, c.wrongTime(a, &contact)...)
		out = append(out, c.wrongTone(a, &contact)...)
		out = append(out, c.despiteRefusal(a, &contact)...)
		out = append(out, c.despiteWish(a)...)
	}
	return append(out, c.twice()...), nil
}

// afterPayment finds attempts about an instalment that was settled by what had arrived when they were claimed.
func (c *checker) afterPayment(a *duly.Attempt) ([]Violation, error) {
	l := c.ledgers[a.BorrowerID]
	var known []duly.Payment
	for _, p := range l.Payments {
		if !p.ArrivedAt.After(a.ClaimedAt) {
			known = append(known, p)
		}
	}
	alloc, err := arrange.Allocate(l.Installments, known, l.Loans, c.loc)
	if err != nil {
		return nil, err
	}
	var out []Violation
	for _, it := range a.Known.Items {
		for i := range alloc.Installments {
			in := &alloc.Installments[i]
			if in.LoanID != it.LoanID || in.No != it.No {
				continue
			}
			if !in.Open() {
				out = append(out, Violation{"no contact after payment", a.ContactID,
					fmt.Sprintf("claimed %s, settled %s", a.ClaimedAt.Format(time.RFC3339), in.SettledAt.Format(time.RFC3339))})
			} else if in.Outstanding() != it.Outstanding {
				out = append(out, Violation{"the amount is what the ledger says", a.ContactID,
					fmt.Sprintf("said %s, owed %s", it.Outstanding, in.Outstanding())})
			}
		}
	}
	return out, nil
}

// The hours outside which nothing may leave, whatever the strategy says: the widest any shipped pack allows.
const (
	earliest civil.Clock = 8 * 60
	latest   civil.Clock = 22 * 60
)

func (c *checker) wrongTime(a *duly.Attempt, contact *duly.Contact) []Violation {
	var out []Violation
	for _, z := range c.persons[a.BorrowerID].Borrower.Zones {
		loc, err := time.LoadLocation(z.Name)
		if err != nil {
			out = append(out, Violation{"unknown zone, no contact", a.ContactID, z.Name})
			continue
		}
		if t := civil.ClockOf(a.ClaimedAt.In(loc)); t < earliest || t >= latest {
			out = append(out, Violation{"no contact at night", a.ContactID, t.String() + " " + z.Name})
		}
	}
	if !a.ClaimedAt.Before(contact.ExpiresAt) {
		out = append(out, Violation{"nothing after its time", a.ContactID, a.ClaimedAt.Format(time.RFC3339)})
	}
	return out
}

func (c *checker) wrongTone(a *duly.Attempt, contact *duly.Contact) []Violation {
	if contact.Tone != duly.ToneFirm {
		return nil
	}
	for _, it := range a.Known.Items {
		if !civil.In(a.ClaimedAt, c.loc).After(it.DueOn) {
			return []Violation{{"never firm before due", a.ContactID, "due " + it.DueOn.String()}}
		}
	}
	return nil
}

func (c *checker) despiteRefusal(a *duly.Attempt, contact *duly.Contact) []Violation {
	var out []Violation
	p := c.persons[a.BorrowerID]
	for i := range p.OptOuts {
		o := &p.OptOuts[i]
		if o.ActiveAt(a.ClaimedAt) && o.LoanID == "" && (o.Key == "all" || o.Key == string(contact.Channel)) {
			out = append(out, Violation{"no contact after a refusal", a.ContactID, o.Key})
		}
	}
	return out
}

// despiteWish finds attempts outside the hours that the borrower had asked for, in any zone that the borrower may be in.
func (c *checker) despiteWish(a *duly.Attempt) []Violation {
	p := c.persons[a.BorrowerID]
	for _, z := range p.Borrower.Zones {
		loc, err := time.LoadLocation(z.Name)
		if err != nil {
			continue // found by wrongTime
		}
		local := a.ClaimedAt.In(loc)
		asked, within, forbidden := false, false, false
		for i := range p.Preferences {
			w := &p.Preferences[i]
			if !w.ActiveAt(a.ClaimedAt) {
				continue
			}
			covers := w.Covers(local.Weekday(), civil.ClockOf(local))
			asked = asked || w.Kind == duly.PreferAllow
			within = within || w.Kind == duly.PreferAllow && covers
			forbidden = forbidden || w.Kind == duly.PreferForbid && covers
		}
		if forbidden || asked && !within {
			return []Violation{{"only in the hours asked for", a.ContactID, local.Format("Mon 15:04 ") + z.Name}}
		}
	}
	return nil
}

// twice finds contacts of which more than one attempt may have gone out.
func (c *checker) twice() []Violation {
	gone := map[duly.ContactID]int{}
	for i := range c.attempts {
		switch c.attempts[i].State {
		case duly.AttemptAccepted, duly.AttemptInDoubt, duly.AttemptOpen:
			gone[c.attempts[i].ContactID]++
		case duly.AttemptRefused, duly.AttemptRecalled:
		}
	}
	var out []Violation
	for id, n := range gone {
		if n > 1 {
			out = append(out, Violation{"never twice", id, fmt.Sprintf("%d attempts may have gone out", n)})
		}
	}
	return out
}

// strayWaits finds contacts of a bucket that wait and would be looked for in vain, and rows of what waits that no contact waits by.
func strayWaits(tx *store.Tx, bucket int) ([]Violation, error) {
	contacts, err := tx.BucketContacts(bucket)
	if err != nil {
		return nil, err
	}
	rows, err := tx.BucketWaits(bucket)
	if err != nil {
		return nil, err
	}
	kept := make(map[duly.ContactID]store.Wait, len(rows))
	for _, r := range rows {
		kept[r.Contact] = r
	}
	var out []Violation
	for i := range contacts {
		c := &contacts[i]
		want := store.Wait{Contact: c.ID, Borrower: c.BorrowerID, Priority: c.Priority}
		switch c.State {
		case duly.Planned:
			want.At = c.NotBefore
			if c.ExpiresAt.Before(want.At) {
				want.At = c.ExpiresAt
			}
		case duly.Accepted, duly.Delivered, duly.Failed:
			want.Next, want.At = true, c.FallbackAt
		case duly.Claimed, duly.Read, duly.InDoubt, duly.Blocked, duly.Cancelled:
		}
		if want.At.IsZero() {
			want = store.Wait{}
		}
		if got := kept[c.ID]; got != want {
			out = append(out, Violation{"what waits is found", c.ID, fmt.Sprintf("%s: kept %+v, want %+v", c.State, got, want)})
		}
		delete(kept, c.ID)
	}
	for id := range kept {
		out = append(out, Violation{"what waits is a contact", id, "there is no such contact"})
	}
	return out, nil
}
