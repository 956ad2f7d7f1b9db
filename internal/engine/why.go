package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/arrange"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/store"
)

// Explanation answers "why was, or was not, this borrower contacted on this day?": what is on record, and every step of
// the strategy near the day with its verdict, judged from the facts as they were known when the day began.
type Explanation struct {
	BorrowerID duly.BorrowerID   `json:"borrower_id"`
	Date       civil.Date        `json:"date"`
	AsOf       time.Time         `json:"as_of"` // the instant whose knowledge Considered is judged from
	Strategy   string            `json:"strategy"`
	Packs      []string          `json:"packs"`
	FeedAt     time.Time         `json:"payment_feed_at"`
	Recorded   []Recorded        `json:"recorded"`
	AskedFor   []duly.Preference `json:"preferences"` // the hours that the borrower asked for, as they stood then
	Replies    []duly.Reply      `json:"replies"`     // what the borrower wrote that day, with what was made of it; see Mask
	Considered []plan.Considered `json:"considered"`
	Summary    string            `json:"summary"`
}

// Mask takes out the words that the borrower wrote: they are shown by role only.
func (x *Explanation) Mask() {
	for i := range x.Replies {
		x.Replies[i].Text = ""
	}
}

// Recorded is a contact on record, with its tries and what came back.
type Recorded struct {
	Contact  duly.Contact   `json:"contact"`
	Attempts []duly.Attempt `json:"attempts"`
	Proofs   []Proof        `json:"certificates"` // of the attempts, in their order, held against the audit
	Receipts []duly.Receipt `json:"receipts"`
}

// Why explains one borrower's day. It fails with NotFound for a borrower who is not known.
func (e *Engine) Why(ctx context.Context, now time.Time, id duly.BorrowerID, day civil.Date) (Explanation, error) {
	x := Explanation{BorrowerID: id, Date: day, AsOf: e.asOf(now, day)}
	var p duly.Person
	through := day.Add(-1)
	err := e.db.View(ctx, func(tx *store.Tx) error {
		persons, err := tx.PersonsSince(id.Bucket(), []duly.BorrowerID{id}, e.since(day.At(0, e.cfg.Location)))
		if err != nil {
			return err
		}
		if len(persons) == 0 {
			return duly.Errorf(duly.NotFound, "there is no borrower with this id").WithHint("ids are the lender's customer numbers, as imported")
		}
		p = persons[0]
		if day == e.Today(now) {
			state, err := tx.Bucket(id.Bucket())
			if err != nil {
				return err
			}
			through = state.PlannedThrough
		}
		if x.FeedAt, err = tx.FeedAt(FeedPayments); err != nil {
			return err
		}
		loc := e.cfg.Location
		if x.Replies, err = tx.BorrowerReplies(id, day.At(0, loc), day.Add(1).At(0, loc)); err != nil {
			return err
		}
		if x.Recorded, err = recorded(tx, &p, day); err != nil {
			return err
		}
		return e.rewind(tx, &p, x.AsOf, now)
	})
	if err != nil {
		return x, err
	}
	for _, a := range p.Preferences {
		if a.ActiveAt(x.AsOf) {
			x.AskedFor = append(x.AskedFor, a)
		}
	}
	l, err := e.laneFor(&p, day)
	if err != nil {
		return x, err
	}
	if l == nil {
		x.Summary = "No strategy applies to this borrower."
		return x, nil
	}
	x.Strategy, x.Packs = l.Name+"@"+l.Hash, l.rules.IDsFor(p.Borrower.Country)
	res, err := e.next(&p, x.AsOf, day, through, true)
	if err != nil {
		return x, err
	}
	x.Considered, x.Summary = res.Considered, res.Summary
	if len(x.Recorded) > 0 {
		x.Summary = recordSummary(day, x.Recorded)
	}
	return x, nil
}

// recordSummary says in one line what is on record for a day.
func recordSummary(day civil.Date, recorded []Recorded) string {
	var parts []string
	for i := range recorded {
		c := &recorded[i].Contact
		s := fmt.Sprintf("step %s by %s %s", c.Step, c.Channel, c.State)
		if c.Reason != "" {
			s += " (" + c.Reason + ")"
		}
		parts = append(parts, s)
	}
	return day.String() + ": " + strings.Join(parts, "; ") + "."
}

// asOf is the instant from which a day is judged: now for today, the day's beginning for any other.
func (e *Engine) asOf(now time.Time, day civil.Date) time.Time {
	if day == e.Today(now) {
		return now
	}
	return day.At(0, e.cfg.Location)
}

// recorded gathers the contacts of a day with their tries and receipts.
func recorded(tx *store.Tx, p *duly.Person, day civil.Date) ([]Recorded, error) {
	var out []Recorded
	for _, c := range p.Contacts {
		if c.Day != day {
			continue
		}
		r, err := record(tx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// record is a contact with its tries, what proves them, and the receipts.
func record(tx *store.Tx, c duly.Contact) (Recorded, error) {
	attempts, err := tx.Attempts(c.ID)
	if err != nil {
		return Recorded{}, err
	}
	proofs := make([]Proof, len(attempts))
	for i := range attempts {
		if proofs[i], err = prove(tx, &attempts[i]); err != nil {
			return Recorded{}, err
		}
		proofs[i].Mask()
	}
	receipts, err := tx.Receipts(c.ID)
	return Recorded{Contact: c, Attempts: attempts, Proofs: proofs, Receipts: receipts}, err
}

// rewind makes of a person what was known of them at an earlier instant: payments that had arrived, debits that had been
// tried, contacts that had been planned. Holds, consents, refusals, notices and preferences carry their own times.
func (e *Engine) rewind(tx *store.Tx, p *duly.Person, to, now time.Time) error {
	contacts := p.Contacts[:0]
	for _, c := range p.Contacts {
		if c.PlannedAt.Before(to) || to.Equal(now) {
			contacts = append(contacts, c)
		}
	}
	p.Contacts = contacts
	if !to.Before(now) {
		return nil
	}
	debits := p.Debits[:0]
	for _, d := range p.Debits {
		if !d.At.After(to) {
			debits = append(debits, d)
		}
	}
	p.Debits = debits
	ledgers, err := tx.Ledgers(p.Borrower.ID.Bucket(), []duly.BorrowerID{p.Borrower.ID})
	if err != nil || len(ledgers) == 0 {
		return err
	}
	var payments []duly.Payment
	for _, pay := range ledgers[0].Payments {
		if !pay.ArrivedAt.After(to) {
			payments = append(payments, pay)
		}
	}
	a, err := arrange.Allocate(ledgers[0].Installments, payments, ledgers[0].Loans, e.cfg.Location)
	if err != nil {
		return err
	}
	p.Installments = a.Installments
	return nil
}
