package duly

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/dulyhq/duly/internal/civil"
)

// Typed ids. Those of facts are the lender's own; those of contacts and attempts are made by [NewContactID] and
// [NewAttemptID] and are the same whenever the same thing is planned again.
type (
	BorrowerID string // the lender's customer number
	PointID    string // a contact point within a borrower
	LoanID     string // the lender's loan or account number
	PaymentID  string // the lender's payment reference
	DebitID    string // one attempt of an automatic debit
	ConsentID  string
	HoldID     string
	CaseID     string
	NoticeID   string
	ReplyID    string // the source's own id of an inbound message
	ContactID  string
	AttemptID  string

	PreferenceID  string
	ReservationID string // made by [NewReservationID]
)

// Buckets is the number of partitions that people are spread over. It never changes: ids carry the bucket.
const Buckets = 1024

// MaxIDLen bounds the length in bytes of every id a lender gives.
const MaxIDLen = 128

// Bucket returns the partition of the person, 0 to Buckets-1: the first bytes of SHA-256 of the id.
func (id BorrowerID) Bucket() int {
	sum := sha256.Sum256([]byte(id))
	return int(binary.BigEndian.Uint16(sum[:2]) % Buckets)
}

var idText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewContactID makes the id of the contact that a strategy's step wants with a person on a day, on a rung of the step's
// channel ladder (0 is the first). Planning twice makes the same id, so there are no twins, and a contact keeps its id
// when a new version of the strategy is published.
func NewContactID(b BorrowerID, strategy, step string, day civil.Date, rung int) ContactID {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%d\x00%d", b, strategy, step, day.Int(), rung)
	return ContactID(fmt.Sprintf("c%03x%s", b.Bucket(), idText.EncodeToString(h.Sum(nil)[:15])))
}

// Bucket returns the bucket that the id carries, or false for text that is no contact id.
func (id ContactID) Bucket() (int, bool) { return idBucket(string(id), 'c') }

// NewAttemptID makes the id of the n-th try (from 1) to send a contact. It is the reference that the provider gets.
func NewAttemptID(c ContactID, n int) AttemptID {
	return AttemptID("a" + string(c[1:]) + "-" + strconv.Itoa(n))
}

// Bucket returns the bucket that the id carries, or false for text that is no attempt id.
func (id AttemptID) Bucket() (int, bool) { return idBucket(string(id), 'a') }

// Contact returns the contact that the attempt is a try of, or false for text that is no attempt id.
func (id AttemptID) Contact() (ContactID, bool) {
	for i := len(id) - 1; i > 4; i-- {
		if id[i] == '-' {
			_, ok := id.Bucket()
			return ContactID("c" + string(id[1:i])), ok
		}
	}
	return "", false
}

// NewPreferenceID makes the id of a preference that comes without one: a source asks for one thing once.
func NewPreferenceID(b BorrowerID, source, of string) PreferenceID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", b, source, of))
	return PreferenceID("w" + idText.EncodeToString(sum[:10]))
}

func idBucket(id string, kind byte) (int, bool) {
	if len(id) < 4 || id[0] != kind {
		return 0, false
	}
	n, err := strconv.ParseUint(id[1:4], 16, 16)
	if err != nil || n >= Buckets {
		return 0, false
	}
	return int(n), true
}

// maskedTail is how many characters of an id are shown where it is masked.
const maskedTail = 3

// Masked returns the id for lists that are passed around: its last characters only, and of a short one nothing.
func (id BorrowerID) Masked() string {
	r := []rune(string(id))
	if len(r) <= 2*maskedTail {
		return "…"
	}
	return "…" + string(r[len(r)-maskedTail:])
}
