package duly

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Reply is what a borrower wrote back. Taking one in works out what it means and does what makes contact less; the rest is a
// case for a person. Text is personal: it is shown by role and never logged.
type Reply struct {
	BorrowerID BorrowerID `json:"borrower_id"` // found by the contact or the loan if left out
	ID         ReplyID    `json:"id"`          // the source's own; the same one is the same reply
	ContactID  ContactID  `json:"contact_id"`  // what it answers; "" is not known
	LoanID     LoanID     `json:"loan_id"`     // "" is not known
	PointID    PointID    `json:"point_id"`    // the address it came from; "" is not known
	Channel    Channel    `json:"channel"`
	Language   string     `json:"language"` // BCP 47; "" is the borrower's
	Text       string     `json:"text"`
	Said       Said       `json:"said,omitzero"` // without words, or beside them
	At         time.Time  `json:"at"`
	Version    int64      `json:"version"`
	Meaning    Meaning    `json:"meaning"` // worked out when it is taken in; never part of what a source says
}

// Said is what is known of a reply besides its words: a key that was pressed, a button, what an agent heard.
type Said struct {
	Intent    string     `json:"intent,omitempty"`    // one of package reply's; "" leaves it to the words
	PromiseOn civil.Date `json:"promise_on,omitzero"` // the day promised, where that was said
	Shared    bool       `json:"shared,omitempty"`    // others have the address too, and nobody knows who of them wrote
}

// NewReplyID makes the id of a reply that a carrier tells of under a key of its own. The same key of a carrier is the same reply.
func NewReplyID(carrier, key string) ReplyID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", carrier, key))
	return ReplyID("h" + idText.EncodeToString(sum[:15]))
}

// ReplyTextMax bounds the text of a reply, in bytes.
const ReplyTextMax = 16 << 10

// Meaning is what a reply was taken to mean, and what was done because of it.
type Meaning struct {
	Intent    string     `json:"intent"` // see package reply
	Also      []string   `json:"also,omitempty"`
	Scope     []string   `json:"scope"`
	Auto      bool       `json:"auto"`                // acted on without a person
	Person    bool       `json:"person"`              // a person reads it
	Matched   string     `json:"matched"`             // the rule that decided
	PromiseOn civil.Date `json:"promise_on,omitzero"` // the day promised
	Done      []string   `json:"done,omitempty"`      // what was done: opt_out sms, hold dispute, …
	Cases     []CaseID   `json:"cases,omitempty"`     // opened because of it
}
