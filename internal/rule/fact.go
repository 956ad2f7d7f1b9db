package rule

import (
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Phase is when the gate is asked: while planning, as a preview, or right before sending, with authority.
type Phase string

// The phases.
const (
	PhasePlan Phase = "plan"
	PhaseSend Phase = "send"
)

// Known reports whether p is one of the phases above.
func (p Phase) Known() bool { return p == PhasePlan || p == PhaseSend }

// Actor is who makes the contact.
type Actor struct {
	Type             string // human, ai or system
	ThirdParty       bool   // an outside agency
	Certified        bool
	HumanReviewed    bool
	IdentityVerified bool // the right party has been verified in this conversation
}

// Sender is from whom the contact seems to come.
type Sender struct {
	Number     string // the number or header that the borrower sees; "" is not known
	Hidden     bool   // the number is withheld
	TemplateID string // under which the words are registered with the carrier; "" is not registered
}

// Hours are hours of some days of the week. Those that end before they begin last into the next day.
type Hours struct {
	Days     [7]bool // Sunday first
	From, To civil.Clock
}

// Preferences are the hours that the borrower asked for: contact within the allowed ones only, if there are any, and in
// none of the forbidden ones.
type Preferences struct {
	Allow, Forbid []Hours
}

// Notice is a notice that was given to the borrower, which some acts need before them.
type Notice struct {
	Type string // adverse_credit_notice, …
	At   time.Time
}

// PartyDebtor is the party of a contact whose Facts.Party is empty.
const PartyDebtor = "debtor"

// Facts is everything that a rule may look at: one input, which no rule changes. A rule that needs a fact that is not
// there blocks. The products of the contact's loans are those of Person.Loans, the address is one of Person.Points.
type Facts struct {
	Phase           Phase
	Now             time.Time     // the instant that is judged
	Person          *duly.Person  // required
	Contact         *duly.Contact // required: channel, purpose, point and items
	DaysPastDue     int           // of the contact's oldest item; negative before the due day
	Party           string        // debtor ("" too), guarantor, co_borrower, contact_person, …
	Text            string        // the rendered words; "" while planning, and content is then not judged
	WordsLater      bool          // there are no words yet although it is not the plan that asks: content is not judged
	AmountDue       int64         // what the contact's items still owe, in minor units of their currency
	Action          string        // what is about to be done within a conversation: disclose_debt, …; "" opens the contact
	Length          time.Duration // how long a call or visit is expected to last; it must end within the contact hours
	Actor           Actor
	Sender          Sender
	EntityClass     string                // the lender's class, where duties begin by class: commercial_bank, nbfc_large, …
	StartDays       map[string]civil.Date // from when a duty binds this lender, by the name that a rule gives it
	CreditPurchaser bool                  // the lender bought the credit
	Preferences     Preferences
	JointHolds      []duly.Hold // holds of others who owe the contact's loans too
	Notices         []Notice
	Missing         []string // facts that are not known, as rules name them: loan.amount_due, days_past_due
	Calendars       *civil.Calendars
	FeedAt          time.Time     // payments up to here are known; judged when sending
	FeedMaxAge      time.Duration // how old FeedAt may be
	ClockOK         bool          // nothing stored is later than Now; judged when sending
}

// lacks reports whether the fact of that name is not known.
func (f *Facts) lacks(name string) bool { return slices.Contains(f.Missing, name) }

// currency returns the currency of what the contact's items owe; "" if it is not known or not one.
func (f *Facts) currency() money.Currency {
	var got money.Currency
	for i := range f.Contact.Items {
		c := f.Contact.Items[i].Outstanding.Currency
		if i > 0 && c != got {
			return ""
		}
		got = c
	}
	return got
}

// point returns the contact point that the contact goes to, or nil.
func (f *Facts) point() *duly.ContactPoint { return f.Person.Point(f.Contact.PointID) }

// product reports whether one of the contact's loans is of one of the products (with not: of another than these), and
// whether that is known.
func (f *Facts) product(names []string, not bool) (is, known bool) {
	known = len(f.Contact.Items) > 0
	for i := range f.Contact.Items {
		l := f.Person.Loan(f.Contact.Items[i].LoanID)
		switch {
		case l == nil || l.Product == "":
			known = false
		case slices.Contains(names, l.Product) != not:
			return true, true
		}
	}
	return false, known
}

// same reports whether what belongs to a borrower belongs to whom the contact is with; what belongs to nobody known does.
func (f *Facts) same(id duly.BorrowerID) bool {
	return id == "" || f.Contact.BorrowerID == "" || id == f.Contact.BorrowerID
}

// party returns who is contacted.
func (f *Facts) party() string {
	if f.Party == "" {
		return PartyDebtor
	}
	return f.Party
}

// consent reports whether the borrower's consent stands at t. One that is to be given after Now is not known to come.
func (f *Facts) consent(key string, t time.Time) bool {
	for i := range f.Person.Consents {
		c := &f.Person.Consents[i]
		if c.Key == key && !c.GivenAt.After(f.Now) && c.ActiveAt(t) {
			return true
		}
	}
	return false
}

// about reports whether the contact is about the loan; a thing of no known loan is about every loan, and so is a contact of
// which it is not known what it is about.
func (f *Facts) about(id duly.LoanID) bool {
	if id == "" || len(f.Contact.Items) == 0 {
		return true
	}
	for i := range f.Contact.Items {
		if f.Contact.Items[i].LoanID == id {
			return true
		}
	}
	return false
}

// at reports whether the contact goes to the address; a thing of no known address is of every address.
func (f *Facts) at(id duly.PointID) bool {
	return id == "" || f.Contact.PointID == "" || id == f.Contact.PointID
}
