package duly

import (
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Contact is one intended message to one person: which step of which strategy wants it, when it may go, and what became
// of it. Its words are made when it is sent, from the facts of that moment.
type Contact struct {
	ID           ContactID    `json:"id"`
	BorrowerID   BorrowerID   `json:"borrower_id"`
	Strategy     string       `json:"strategy"`
	StrategyHash string       `json:"strategy_hash"`
	Step         string       `json:"step"`
	Day          civil.Date   `json:"day"`  // the day the step fell on: with the step, the occurrence
	Rung         int          `json:"rung"` // of the step's channel ladder
	Channel      Channel      `json:"channel"`
	PointID      PointID      `json:"point_id"`
	Purpose      Purpose      `json:"purpose"`
	Tone         Tone         `json:"tone"`
	Template     string       `json:"template"`
	Late         bool         `json:"late"`     // a catch-up: sent after its day, in the words for that
	Priority     int          `json:"priority"` // higher goes first
	Items        []Item       `json:"items"`
	State        ContactState `json:"state"`
	Reason       string       `json:"reason"`               // why it is in a state that is not on the way to delivery: a code
	NotBefore    time.Time    `json:"not_before,omitzero"`  // it may go from here …
	ExpiresAt    time.Time    `json:"expires_at,omitzero"`  // … until here, exclusive
	FallbackAt   time.Time    `json:"fallback_at,omitzero"` // when the next rung is due if nothing better is known; zero: no next rung
	Attempts     int          `json:"attempts"`             // tries so far
	SentAt       time.Time    `json:"sent_at,omitzero"`     // when it was claimed for its first try; zero while it never was
	Decision     Decision     `json:"decision"`             // of the gate, when it was last asked
	PlannedAt    time.Time    `json:"planned_at,omitzero"`
	ChangedAt    time.Time    `json:"changed_at,omitzero"`
}

// Item is one instalment that a contact is about, with what was owed when the contact was last looked at.
type Item struct {
	LoanID      LoanID       `json:"loan"`
	No          int          `json:"no"`
	DueOn       civil.Date   `json:"due_on"`
	Outstanding money.Amount `json:"outstanding"`
}

// ContactState is where a contact is in its life.
type ContactState string

// The states of a contact.
const (
	Planned   ContactState = "planned"
	Claimed   ContactState = "claimed"
	Accepted  ContactState = "accepted"
	Delivered ContactState = "delivered"
	Read      ContactState = "read"
	Failed    ContactState = "failed"
	InDoubt   ContactState = "in_doubt"
	Blocked   ContactState = "blocked"
	Cancelled ContactState = "cancelled"
)

// moves is the one table of allowed moves. Failed may still become delivered: a late receipt knows better than an early
// one. Planned may become delivered without a claim: by the receipt of an earlier try that was said to have failed, and
// in_doubt where the store that held it was restored from a backup: the one that was lost may have sent it. Accepted may become in_doubt only through a person's hand, so it is not here.
var moves = map[ContactState][]ContactState{
	Planned:   {Claimed, Accepted, Delivered, Read, InDoubt, Blocked, Cancelled},
	Claimed:   {Accepted, Delivered, Read, Planned, Failed, InDoubt, Blocked, Cancelled},
	Accepted:  {Delivered, Read, Failed},
	Delivered: {Read, Failed},
	Read:      {},
	Failed:    {Delivered, Read},
	InDoubt:   {Accepted, Delivered, Read, Failed},
	Blocked:   {Planned},
	Cancelled: {Planned},
}

// ContactStates lists every state, in the order of a contact's life.
func ContactStates() []ContactState {
	return []ContactState{Planned, Claimed, Accepted, Delivered, Read, Failed, InDoubt, Blocked, Cancelled}
}

// CanBecome reports whether a contact may move from s to next. Blocked and Cancelled may become Planned again while
// nothing was ever sent: a payment that is reversed brings the reminder back.
func (s ContactState) CanBecome(next ContactState) bool {
	for _, n := range moves[s] {
		if n == next {
			return true
		}
	}
	return false
}

// Known reports whether s is one of the states above.
func (s ContactState) Known() bool { _, ok := moves[s]; return ok }

// CountsAsSent reports whether a contact in state s counts against caps: it went out, or may have.
func (s ContactState) CountsAsSent() bool {
	switch s {
	case Claimed, Accepted, Delivered, Read, InDoubt:
		return true
	case Planned, Failed, Blocked, Cancelled:
		return false
	}
	return false
}

// The reasons for which a contact is cancelled; blocked contacts carry the rule's reason code instead.
const (
	CancelPaid     = "paid"
	CancelReplaced = "replaced"
	CancelHeld     = "held"
	CancelOptedOut = "opted_out"
	CancelExpired  = "expired"
)

// ReasonRestored is the reason of contacts that a store may have sent before it was lost and restored from a backup.
const ReasonRestored = "restored"

// Attempt is one try to send a contact, committed before the message leaves. Known is what was known at that moment:
// the proof that no payment had come in; see [Certificate].
type Attempt struct {
	ID         AttemptID    `json:"id"`
	ContactID  ContactID    `json:"contact_id"`
	BorrowerID BorrowerID   `json:"borrower_id"`
	No         int          `json:"no"`
	Carrier    string       `json:"carrier"`
	State      AttemptState `json:"state"`
	ProviderID string       `json:"provider_id"` // the provider's reference, once known
	Class      string       `json:"class"`       // of a failure: see package channel
	Detail     string       `json:"detail"`      // the provider's own code, without personal data
	Segments   int          `json:"segments"`    // billed parts
	Cost       Cost         `json:"cost,omitzero"`
	Text       string       `json:"-"`     // what was sent: personal, shown by role
	Known      Knowledge    `json:"known"` // what was known when it was claimed
	ClaimedAt  time.Time    `json:"claimed_at,omitzero"`
	LeaseUntil time.Time    `json:"lease_until,omitzero"` // after which a try without an answer is in doubt
	EndedAt    time.Time    `json:"ended_at,omitzero"`    // when the answer was stored; zero while open
	BegunAt    time.Time    `json:"begun_at,omitzero"`    // when the POST began; zero while that is not known, and where none did
	FencedAt   time.Time    `json:"fenced_at,omitzero"`   // money came in while it was open: from here on it must not begin; zero: none did
	Salt       string       `json:"-"`                    // of the certificate's commitment: whoever has it can try values
}

// Cost is what an attempt costs, in millionths of the currency's unit: less than the smallest coin, as carriers ask it. Zero is
// nothing, or not known.
type Cost struct {
	Micros   int64          `json:"micros"`
	Currency money.Currency `json:"currency"`
}

// AttemptState is how a try to send ended.
type AttemptState string

// The states of an attempt. Open is committed before the POST; one that is still open when its lease ends is in doubt.
const (
	AttemptOpen     AttemptState = "open"
	AttemptAccepted AttemptState = "accepted"
	AttemptRefused  AttemptState = "refused" // definitely not accepted
	AttemptInDoubt  AttemptState = "in_doubt"
	AttemptRecalled AttemptState = "recalled" // stopped before the POST: a payment came in
)

// Receipt is what a provider says became of an attempt. Receipts are kept as they come, in any order, and once each.
type Receipt struct {
	Provider   string        `json:"provider"`
	Key        string        `json:"key"` // the provider's own id of this event; the same event twice has the same key
	AttemptID  AttemptID     `json:"attempt_id"`
	ProviderID string        `json:"provider_id"`
	Status     ReceiptStatus `json:"status"`
	Detail     string        `json:"detail"`
	At         time.Time     `json:"at"` // the provider's clock
	ReceivedAt time.Time     `json:"received_at"`
}

// ReceiptStatus is what a receipt reports.
type ReceiptStatus string

// The statuses, weakest first. A permanent failure of the address is bad_address.
const (
	ReceiptAccepted   ReceiptStatus = "accepted"
	ReceiptNotTaken   ReceiptStatus = "not_taken" // the provider never had it, by its own log
	ReceiptFailed     ReceiptStatus = "failed"
	ReceiptBadAddress ReceiptStatus = "bad_address"
	ReceiptDelivered  ReceiptStatus = "delivered"
	ReceiptRead       ReceiptStatus = "read"
	ReceiptOptedOut   ReceiptStatus = "opted_out" // the recipient refused at the provider
)

// State returns the contact state that the status argues for, or "" where it argues for none.
func (s ReceiptStatus) State() ContactState {
	switch s {
	case ReceiptAccepted:
		return Accepted
	case ReceiptNotTaken, ReceiptFailed, ReceiptBadAddress, ReceiptOptedOut:
		return Failed
	case ReceiptDelivered:
		return Delivered
	case ReceiptRead:
		return Read
	}
	return ""
}
