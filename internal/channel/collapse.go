package channel

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
)

// Collapse names what a message is about, for carriers that replace a message that was not looked at by a later one of the
// same name: the loan and the due day of its oldest instalment. It is 32 characters, of A-Z a-z 0-9 - _, and tells nothing
// of either. A message about no instalment is about itself.
func (m Message) Collapse() string {
	about := "attempt\x00" + string(m.AttemptID)
	if len(m.Items) > 0 {
		first := slices.MinFunc(m.Items, func(a, b duly.Item) int {
			return cmp.Or(cmp.Compare(a.DueOn.Int(), b.DueOn.Int()), cmp.Compare(a.LoanID, b.LoanID))
		})
		about = "item\x00" + string(first.LoanID) + "\x00" + first.DueOn.String()
	}
	sum := sha256.Sum256([]byte(about))
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// Life is how long the words are true from when they are sent, most at most and no less than nothing: a carrier that keeps
// a message for a recipient who is away is not to show it later.
func (m Message) Life(most time.Duration) time.Duration {
	if m.ExpiresAt.IsZero() {
		return most
	}
	return min(max(m.ExpiresAt.Sub(m.Now), 0), most)
}
