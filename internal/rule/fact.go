package rule

import (
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
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

// Notice is a notice that was given to the borrower, which some acts need before them.
type Notice struct {
	Type string // adverse_credit_notice, …
	At   time.Time
}

// PartyDebtor is the party of a contact whose Facts.Party is empty.
const PartyDebtor = "debtor"

// Facts is everything that a rule may look at: one input, which no rule changes. A rule that needs a fact that is not
// there blocks.
type Facts struct {
	Phase       Phase
	Now         time.Time     // the instant that is judged
	Person      *duly.Person  // required
	Contact     *duly.Contact // required: channel, purpose, point and items
	DaysPastDue int           // of the contact's oldest item; negative before the due day
	Party       string        // debtor ("" too), guarantor, co_borrower, contact_person, …
	Text        string        // the rendered words; "" while planning, and content is then not judged
	AmountDue   int64         // what the contact's items still owe, in minor units
	Action      string        // what is about to be done within a conversation: disclose_debt, …; "" opens the contact
	Length      time.Duration // how long a call is expected to last; it must end within the contact hours
	Actor       Actor
	Notices     []Notice
	Calendars   *civil.Calendars
	FeedAt      time.Time     // payments up to here are known; judged when sending
	FeedMaxAge  time.Duration // how old FeedAt may be
	ClockOK     bool          // nothing stored is later than Now; judged when sending
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

// about reports whether the contact is about the loan; a thing of no known loan is about every loan.
func (f *Facts) about(id duly.LoanID) bool {
	if id == "" {
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
func (f *Facts) at(id duly.PointID) bool { return id == "" || id == f.Contact.PointID }
