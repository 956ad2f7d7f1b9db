package duly

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// Reservation is a slot of a borrower's limits that is kept for a contact outside Duly which is about to be made: an agent
// of the lender's or of an agency asked, the gate let it pass, and from then on it counts. It is a [Touch] in the making,
// and once it is committed it is one.
type Reservation struct {
	ID         ReservationID `json:"id"`
	BorrowerID BorrowerID    `json:"borrower"`
	Key        string        `json:"key"`   // the caller's own: the same key of a borrower is the same reservation
	Loans      []LoanID      `json:"loans"` // it counts for each of one, and for every loan where there are several or none
	Items      []Item        `json:"items"` // what was owed when the slot was kept
	PointID    PointID       `json:"point"`
	Channel    Channel       `json:"channel"`
	Purpose    Purpose       `json:"purpose"`
	Party      string        `json:"party,omitempty"` // who is contacted; "" is the debtor
	Actor      Actor         `json:"actor"`
	Minutes    int           `json:"expected_minutes"`
	State      TouchState    `json:"state"`
	Outcome    string        `json:"outcome"` // reserved, unknown, or how it ended
	At         time.Time     `json:"at"`      // when it was made; while that is not known, the latest that it can have been
	ReservedAt time.Time     `json:"reserved_at"`
	ExpiresAt  time.Time     `json:"expires_at"` // the slot is kept until here, exclusive
	Known      Knowledge     `json:"known"`      // what was known when the slot was kept
	Digest     int64         `json:"-"`          // of what was asked, to know the same question from another one
}

// Actor is who makes a contact outside Duly.
type Actor struct {
	Type             string `json:"type"` // human, ai or system
	ThirdParty       bool   `json:"third_party"`
	Agency           string `json:"agency,omitempty"` // the outside agency's name; one that is named is a third party
	Certified        bool   `json:"certified"`
	HumanReviewed    bool   `json:"human_reviewed"`
	IdentityVerified bool   `json:"identity_verified"` // the right party has been verified in this conversation
}

// TouchState is where a contact outside Duly is in its life. One that was only told of has none.
type TouchState string

// The states of a reservation. Reserved counts as the worst that it can become, unknown in every limit, committed as what
// it was, released not at all.
const (
	TouchReserved  TouchState = "reserved"
	TouchCommitted TouchState = "committed"
	TouchReleased  TouchState = "released"
	TouchUnknown   TouchState = "unknown" // the slot ran out, and nobody said what became of it
)

// touchMoves is the one table of allowed moves. Out of unknown leads only a person's hand.
var touchMoves = map[TouchState][]TouchState{
	TouchReserved:  {TouchCommitted, TouchReleased, TouchUnknown},
	TouchUnknown:   {TouchCommitted, TouchReleased},
	TouchCommitted: {},
	TouchReleased:  {},
}

// TouchStates lists every state, in the order of a reservation's life.
func TouchStates() []TouchState {
	return []TouchState{TouchReserved, TouchCommitted, TouchReleased, TouchUnknown}
}

// CanBecome reports whether a reservation may move from s to next.
func (s TouchState) CanBecome(next TouchState) bool {
	for _, n := range touchMoves[s] {
		if n == next {
			return true
		}
	}
	return false
}

// Known reports whether s is one of the states above.
func (s TouchState) Known() bool { _, ok := touchMoves[s]; return ok }

// The outcomes of a touch that no channel reports: its slot is kept, or nobody knows.
const (
	OutcomeReserved = "reserved"
	OutcomeUnknown  = "unknown"
)

// Outcomes lists how a contact outside Duly can end, as limits count it.
func Outcomes() []string {
	return []string{"no_answer", "busy", "voicemail", "answered", "conversation", "delivered"}
}

// NewReservationID makes the id of the reservation that a caller asks for under a key of its own. Asking twice makes the
// same id.
func NewReservationID(b BorrowerID, key string) ReservationID {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s", b, key)
	return ReservationID(fmt.Sprintf("r%03x%s", b.Bucket(), idText.EncodeToString(h.Sum(nil)[:15])))
}

// Bucket returns the bucket that the id carries, or false for text that is no reservation id.
func (id ReservationID) Bucket() (int, bool) { return idBucket(string(id), 'r') }
