package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store"
)

// borrower is the page of one person: past and future on one line, and behind each row why.
type borrower struct {
	ID       duly.BorrowerID
	Name     string
	B        duly.Borrower
	Personal bool // names, addresses and words are shown
	MayHold  bool
	Points   []point
	Loans    []loan
	Holds    []duly.Hold // in force
	Refusals []duly.OptOut
	Cases    []engine.CaseFile
	Events   []event // the newest first, those to come before
	Day      civil.Date
	Why      engine.Explanation
	Today    civil.Date
	Tomorrow civil.Date
	Kinds    []string
	Keys     []string // what may be refused
}

type point struct {
	duly.ContactPoint
	Shown string
}

type loan struct {
	duly.Loan
	Rows        []duly.Installment
	Outstanding money.Amount
}

// event is a row of the time line.
type event struct {
	At      time.Time
	Kind    string // a key of the catalogue: event.contact, event.payment, …
	Future  bool
	Contact *engine.Recorded
	Amount  *money.Amount
	Words   string // of the catalogue already, or a code
	Text    string // personal; "" where the role may not see it
	Hold    *duly.Hold
	Touch   *duly.Touch
	Reply   *duly.Reply
	Pay     *duly.Payment
}

func (c *Console) getBorrower(w http.ResponseWriter, r *request) error {
	id := duly.BorrowerID(r.PathValue("id"))
	f, err := c.Engine.File(r.Context(), r.now, id)
	if err != nil {
		return err
	}
	day := c.Engine.Today(r.now)
	p := borrower{
		ID: id, B: f.Person.Borrower, Personal: r.may&seePersonal != 0, MayHold: r.may&holdBorrower != 0, Cases: f.Cases,
		Day: day, Today: day, Tomorrow: day.Add(1), Kinds: holdKinds, Keys: refusable,
	}
	if q := r.URL.Query().Get("day"); q != "" {
		if p.Day, err = civil.Parse(q); err != nil {
			return duly.Errorf(duly.Usage, "not a day").At(duly.Place{Field: "day"}).WithHint("write it as 2026-11-25")
		}
	}
	if p.Why, err = c.Engine.Why(r.Context(), r.now, id, p.Day); err != nil {
		return err
	}
	p.Why.Mask()
	if p.Personal {
		if err := c.saw(r, id); err != nil {
			return err
		}
	}
	p.fill(&f, r.now)
	c.show(w, r, http.StatusOK, "borrower", r.lang.t("borrower.title"), p)
	return nil
}

// saw writes into the audit that somebody was shown a borrower's personal data.
func (c *Console) saw(r *request, id duly.BorrowerID) error {
	b := id.Bucket()
	return c.DB.Update(r.Context(), r.now, []int{b}, func(tx *store.Tx) error {
		tx.Audit(b, "seen", r.actor(), string(id), nil)
		return nil
	})
}

// fill makes the page of a file.
func (p *borrower) fill(f *engine.File, now time.Time) {
	p.Name = maskName(p.B.Name)
	if p.Personal {
		p.Name = p.B.Name
	}
	for _, x := range f.Person.Points {
		shown := maskPoint(&x)
		if p.Personal {
			shown = x.Value
		}
		p.Points = append(p.Points, point{x, shown})
	}
	for _, l := range f.Ledger.Loans {
		out := loan{Loan: l, Outstanding: money.New(0, l.Currency)}
		for _, in := range f.Ledger.Installments {
			if in.LoanID == l.ID {
				out.Rows = append(out.Rows, in)
				out.Outstanding.Minor += in.Outstanding().Minor
			}
		}
		p.Loans = append(p.Loans, out)
	}
	for i := range f.Person.Holds {
		if h := &f.Person.Holds[i]; h.ActiveAt(now) {
			p.Holds = append(p.Holds, *h)
		}
	}
	p.Refusals = f.Person.OptOuts
	p.contacts(f, now)
	p.facts(f)
	slices.SortStableFunc(p.Events, func(a, b event) int { return b.At.Compare(a.At) })
}

// contacts adds what was and is to be sent, and what the strategy has in mind.
func (p *borrower) contacts(f *engine.File, now time.Time) {
	for i := range f.Contacts {
		r := &f.Contacts[i]
		at := r.Contact.SentAt
		if at.IsZero() {
			at = r.Contact.NotBefore
		}
		if at.IsZero() {
			at = r.Contact.PlannedAt
		}
		e := event{At: at, Kind: "contact", Contact: r, Future: r.Contact.State == duly.Planned && at.After(now)}
		if n := len(r.Attempts); n > 0 && p.Personal {
			e.Text = r.Attempts[n-1].Text
		}
		p.Events = append(p.Events, e)
	}
}

// facts adds payments, holds, refusals, replies and contacts that others made.
func (p *borrower) facts(f *engine.File) {
	for i := range f.Ledger.Payments {
		pay := &f.Ledger.Payments[i]
		kind := "payment"
		if pay.Reverses != "" {
			kind = "reversal"
		}
		p.Events = append(p.Events, event{At: pay.ArrivedAt, Kind: kind, Pay: pay, Amount: &pay.Amount})
	}
	for i := range f.Person.Holds {
		h := &f.Person.Holds[i]
		p.Events = append(p.Events, event{At: h.From, Kind: "hold", Hold: h})
		if !h.ReleasedAt.IsZero() {
			p.Events = append(p.Events, event{At: h.ReleasedAt, Kind: "release", Hold: h})
		}
	}
	for i := range f.Person.OptOuts {
		o := &f.Person.OptOuts[i]
		p.Events = append(p.Events, event{At: o.At, Kind: "refusal", Words: o.Key})
	}
	for i := range f.Replies {
		e := event{At: f.Replies[i].At, Kind: "reply", Reply: &f.Replies[i], Words: f.Replies[i].Meaning.Intent}
		if p.Personal {
			e.Text = f.Replies[i].Text
		}
		p.Events = append(p.Events, e)
	}
	for i := range f.Person.Touches {
		t := &f.Person.Touches[i]
		p.Events = append(p.Events, event{At: t.At, Kind: "touch", Touch: t})
	}
	for i := range f.Cases {
		p.Events = append(p.Events, event{At: f.Cases[i].Case.OpenedAt, Kind: "case", Words: string(f.Cases[i].Case.Kind)})
	}
}

// holdKinds are those that a person may put by hand; rules know what each means.
var holdKinds = []string{"manual", "dispute", "hardship", "promise_to_pay", "complaint", "bereavement"}

// refusable is what a person may note as refused, in the keys that rules name.
var refusable = []string{"all", "calls", "sms", "email", "push", "im", "letter"}

// reasonMax bounds the words of a reason, in bytes.
const reasonMax = 200

func (c *Console) postHold(w http.ResponseWriter, r *request) error {
	id := duly.BorrowerID(r.PathValue("id"))
	h := &duly.Hold{
		BorrowerID: id, Kind: r.PostFormValue("kind"), Scope: duly.HoldPerson, Reason: strings.TrimSpace(r.PostFormValue("reason")), Author: r.actor(),
		From: r.now, Version: r.now.UnixMicro(),
	}
	h.ID = duly.HoldID(fmt.Sprintf("console-%d", h.Version))
	if !slices.Contains(holdKinds, h.Kind) {
		return duly.Errorf(duly.Invalid, "not a kind of hold").At(duly.Place{Field: "kind"})
	}
	if h.Reason == "" || len(h.Reason) > reasonMax {
		return duly.Errorf(duly.Invalid, "not from 1 to %d bytes", reasonMax).At(duly.Place{Field: "reason"}).WithHint("say in a few words why nobody is to write")
	}
	if until := r.PostFormValue("until"); until != "" {
		day, err := civil.Parse(until)
		if err != nil || day.Before(c.Engine.Today(r.now)) {
			return duly.Errorf(duly.Invalid, "not a day from today on").At(duly.Place{Field: "until"}).WithHint("write it as 2026-11-25, or leave it out to hold until it is released")
		}
		h.Until, h.ReviewOn = day.Add(1).At(0, c.Engine.Config().Location).UTC(), day
	}
	return c.put(w, r, id, h)
}

func (c *Console) postRelease(w http.ResponseWriter, r *request) error {
	id := duly.BorrowerID(r.PathValue("id"))
	h, err := c.Engine.FindHold(r.Context(), id, duly.HoldID(r.PathValue("hold")))
	if err != nil {
		return err
	}
	h.ReleasedAt, h.Version = r.now, max(h.Version+1, r.now.UnixMicro())
	return c.put(w, r, id, &h)
}

func (c *Console) postRefusal(w http.ResponseWriter, r *request) error {
	id := duly.BorrowerID(r.PathValue("id"))
	key := r.PostFormValue("key")
	if !slices.Contains(refusable, key) {
		return duly.Errorf(duly.Invalid, "nothing that can be refused").At(duly.Place{Field: "key"})
	}
	return c.put(w, r, id, &duly.OptOut{BorrowerID: id, ID: duly.ConsentID("console:" + key), Key: key, Source: "console", At: r.now, Version: r.now.UnixMicro()})
}

// put makes a fact known and shows the borrower again.
func (c *Console) put(w http.ResponseWriter, r *request, id duly.BorrowerID, f duly.Fact) error {
	got, err := c.Facts.Apply(r.Context(), r.now, r.actor(), []duly.Fact{f})
	if err != nil {
		return err
	}
	switch got.Results[0] {
	case store.UnknownBorrower:
		return duly.Errorf(duly.NotFound, "there is no borrower with this id")
	case store.Conflict, store.Stale, store.UnknownLoan, store.WrongCurrency:
		return duly.Errorf(duly.Conflict, "it is known otherwise by now").WithHint("look at the page again")
	case store.NoResult, store.Added, store.Changed, store.Same:
	}
	return back(w, r, "/borrowers/"+url.PathEscape(string(id)))
}

// getSearch finds a borrower by the lender's number of the person or of a loan.
func (c *Console) getSearch(w http.ResponseWriter, r *request) error {
	q := strings.TrimSpace(r.FormValue("q"))
	if q != "" {
		owners, err := c.DB.OwnersOf(r.Context(), []duly.LoanID{duly.LoanID(q)})
		if err != nil {
			return err
		}
		if id, ok := owners[duly.LoanID(q)]; ok {
			return back(w, r, "/borrowers/"+url.PathEscape(string(id)))
		}
		if _, err := c.Engine.File(r.Context(), r.now, duly.BorrowerID(q)); err == nil {
			return back(w, r, "/borrowers/"+url.PathEscape(q))
		} else if duly.CodeOf(err) != duly.NotFound {
			return err
		}
	}
	c.show(w, r, http.StatusOK, "search", r.lang.t("search.title"), struct{ Query string }{q})
	return nil
}
