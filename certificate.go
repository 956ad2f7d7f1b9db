package duly

import (
	"encoding/binary"
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

// certificateForm begins the canonical form; another form has another number.
const certificateForm = "duly certificate 1"

// Canonical returns the form of the certificate that is committed to, which is for ever: texts preceded by their length, numbers as
// eight bytes, big end first, instants in microseconds (0 for none), days as YYYYMMDD, lists preceded by how many they have.
//
//	form attempt contact carrier claimed_at ledger_version feed_at feed_age outstanding(currency minor)…
//	items(loan no due_on currency minor)… packs… strategy decision text audit_entry
func (c *Certificate) Canonical() []byte {
	k := &c.Known
	b := make(canon, 0, 512)
	b.text(certificateForm, string(c.Attempt), string(c.Contact), c.Carrier)
	b.number(micros(c.ClaimedAt), k.LedgerVersion, micros(k.FeedAt), k.FeedAge, int64(len(k.Outstanding)))
	for _, a := range k.Outstanding {
		b.text(string(a.Currency))
		b.number(a.Minor)
	}
	b.number(int64(len(k.Items)))
	for i := range k.Items {
		it := &k.Items[i]
		b.text(string(it.LoanID))
		b.number(int64(it.No), it.DueOn.Int())
		b.text(string(it.Outstanding.Currency))
		b.number(it.Outstanding.Minor)
	}
	b.number(int64(len(k.Packs)))
	b.text(k.Packs...)
	b.text(k.Strategy, k.Decision, k.Text)
	b.number(k.Entry)
	return b
}

// canon is a canonical form in the making.
type canon []byte

func (c *canon) text(texts ...string) {
	for _, s := range texts {
		c.number(int64(len(s)))
		*c = append(*c, s...)
	}
}

func (c *canon) number(numbers ...int64) {
	for _, n := range numbers {
		*c = binary.BigEndian.AppendUint64(*c, uint64(n))
	}
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
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
