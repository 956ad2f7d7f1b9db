package duly

import (
	"encoding/json"
	"time"

	"github.com/dulyhq/duly/internal/money"
)

// Knowledge is what the ledger said, and how fresh it was, when a contact was claimed or a slot reserved.
type Knowledge struct {
	LedgerVersion int64          `json:"ledger_version"`             // counts the changes to the facts of the person's bucket
	FeedAt        time.Time      `json:"feed_at"`                    // payments up to here were known: the feed watermark
	FeedAge       int64          `json:"feed_age_seconds,omitempty"` // how long ago that was
	Outstanding   []money.Amount `json:"outstanding,omitempty"`      // what the items came to, by currency
	Items         []Item         `json:"items"`
	Packs         []string       `json:"packs"` // rule packs, id@hash
	Strategy      string         `json:"strategy"`
	Decision      string         `json:"decision,omitempty"`    // hash of the gate's decision; see [Decision.Hash]
	Text          string         `json:"text,omitempty"`        // commitment to the words, under the certificate's salt
	Entry         int64          `json:"audit_entry,omitempty"` // of the person's bucket, which seals the certificate
}

// Certificate is what an attempt proves: what was known of the payments when the contact was claimed. A commitment to its
// canonical form is in the audit, sealed in the claim's own transaction, so that neither can be changed afterwards; what it
// says lies with the attempt, and can be erased.
type Certificate struct {
	Attempt   AttemptID `json:"attempt"`
	Contact   ContactID `json:"contact"`
	Carrier   string    `json:"carrier"`
	ClaimedAt time.Time `json:"claimed_at"`
	Known     Knowledge `json:"known"`
}

// Certificate returns the attempt's certificate.
func (a *Attempt) Certificate() Certificate {
	return Certificate{Attempt: a.ID, Contact: a.ContactID, Carrier: a.Carrier, ClaimedAt: a.ClaimedAt, Known: a.Known}
}

// Canonical returns the form of the certificate that is committed to. The form is for ever: what is added to it later is left
// out while it is empty.
func (c *Certificate) Canonical() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic("duly.Certificate: " + err.Error()) // plain structs of texts, numbers and times always marshal
	}
	return b
}

// OutstandingOf adds up what items come to, by currency in the order in which they come.
func OutstandingOf(items []Item) []money.Amount {
	var out []money.Amount
next:
	for i := range items {
		a := items[i].Outstanding
		for j := range out {
			if out[j].Currency == a.Currency {
				out[j].Minor += a.Minor
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}
