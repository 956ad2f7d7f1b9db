package duly

import "time"

// Notice is a notice that was given to the borrower, which some acts need before them: an adverse report to a credit bureau,
// a transfer of the debt, the name of the agent who will call.
type Notice struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	ID         NoticeID   `json:"id"`
	Type       string     `json:"type"`     // a code that rules name: adverse_credit_notice, debt_notice_sent, transfer_notice, …
	LoanID     LoanID     `json:"loan_id"`  // "" is about all loans
	At         time.Time  `json:"at"`       // when it was given
	Evidence   string     `json:"evidence"` // where the proof is kept
	Version    int64      `json:"version"`
}

// TypeKnown reports whether the type is a code: up to 64 small letters, digits and _. Anything else would be of no rule.
func (n *Notice) TypeKnown() bool { return n.Type != "" && isCode(n.Type) }

// isCode reports whether s is up to 64 small letters, digits and _.
func isCode(s string) bool {
	for i, r := range s {
		if i >= 64 || r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}
