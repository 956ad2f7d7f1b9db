package duly

import (
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Consent is a borrower's permission, by the key that rules name: out_of_hours, marketing_sms, tcpa_prior_express.
type Consent struct {
	BorrowerID  BorrowerID `json:"borrower_id"`
	ID          ConsentID  `json:"id"`
	Key         string     `json:"key"`
	GivenAt     time.Time  `json:"given_at"`
	Until       time.Time  `json:"until,omitzero"`        // zero: no end
	WithdrawnAt time.Time  `json:"withdrawn_at,omitzero"` // zero: stands
	Evidence    string     `json:"evidence"`              // where the proof is kept
	Version     int64      `json:"version"`
}

// ActiveAt reports whether the consent stands at t.
func (c *Consent) ActiveAt(t time.Time) bool {
	return !t.Before(c.GivenAt) && (c.Until.IsZero() || t.Before(c.Until)) && (c.WithdrawnAt.IsZero() || t.Before(c.WithdrawnAt))
}

// OptOut is a borrower's refusal, by the key that rules name: all, calls, sms, sms_marketing, email, …
type OptOut struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	ID         ConsentID  `json:"id"`
	Key        string     `json:"key"`
	LoanID     LoanID     `json:"loan_id"` // "" refuses for every loan
	At         time.Time  `json:"at"`
	RevokedAt  time.Time  `json:"revoked_at,omitzero"` // zero: stands
	Source     string     `json:"source"`              // sms_reply, agent, self_service, provider, …
	Version    int64      `json:"version"`
}

// ActiveAt reports whether the refusal stands at t.
func (o *OptOut) ActiveAt(t time.Time) bool {
	return !t.Before(o.At) && (o.RevokedAt.IsZero() || t.Before(o.RevokedAt))
}

// Hold stops contact for a reason, from one instant to another.
type Hold struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	ID         HoldID     `json:"id"`
	Kind       string     `json:"kind"` // dispute, hardship, promise_to_pay, wrong_party, manual, …: the types that rules name
	Scope      HoldScope  `json:"scope"`
	LoanID     LoanID     `json:"loan_id"`  // for HoldLoan
	PointID    PointID    `json:"point_id"` // for HoldAddress
	Reason     string     `json:"reason"`
	Author     string     `json:"author"`
	From       time.Time  `json:"from"`
	Until      time.Time  `json:"until,omitzero"`       // zero: until released
	ReleasedAt time.Time  `json:"released_at,omitzero"` // zero: not released
	ReviewOn   civil.Date `json:"review_on"`            // the day a person looks at it again
	Version    int64      `json:"version"`
}

// HoldScope is what a hold stops.
type HoldScope string

// The scopes of a hold.
const (
	HoldPerson  HoldScope = "person"
	HoldLoan    HoldScope = "loan"
	HoldAddress HoldScope = "address"
)

// Known reports whether s is one of the scopes above.
func (s HoldScope) Known() bool { return s == HoldPerson || s == HoldLoan || s == HoldAddress }

// ActiveAt reports whether the hold stops contact at t.
func (h *Hold) ActiveAt(t time.Time) bool {
	return !t.Before(h.From) && (h.Until.IsZero() || t.Before(h.Until)) && (h.ReleasedAt.IsZero() || t.Before(h.ReleasedAt))
}
