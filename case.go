package duly

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/civil"
)

// Case is a matter of one borrower that somebody has to look at: a complaint, a request, a crisis. Opening one starts the
// clocks of the law; what they demand are its duties. It holds no words of the borrower's.
type Case struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	ID         CaseID     `json:"id"`
	Kind       CaseKind   `json:"kind"`
	LoanID     LoanID     `json:"loan_id"` // "" is about the person
	Channel    Channel    `json:"channel"` // by which it came in; "" is not known
	Urgent     bool       `json:"urgent"`  // before all others; a crisis always is
	Complex    bool       `json:"complex"` // the law gives more time for it
	State      CaseState  `json:"state"`
	OpenedAt   time.Time  `json:"opened_at"`
	DoneAt     time.Time  `json:"done_at,omitzero"`
	Author     string     `json:"author"`  // who opened it
	Outcome    string     `json:"outcome"` // a code of what it came to: upheld, refused, answered, …
	Version    int64      `json:"version"`
}

// OutcomeKnown reports whether the outcome is a code, or empty: up to 64 small letters, digits and _. Anything else could hold
// words about a person.
func (c *Case) OutcomeKnown() bool {
	for i, r := range c.Outcome {
		if i >= 64 || r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

// CaseKind is what a case is about. A kind that is named like an event of the law starts its clocks.
type CaseKind string

// The kinds of cases.
const (
	CaseOptOut      CaseKind = "opt_out"
	CaseWrongParty  CaseKind = "wrong_party"
	CasePaid        CaseKind = "payment_claim" // the borrower says it is paid
	CaseDispute     CaseKind = "dispute"
	CaseHardship    CaseKind = "hardship"
	CasePromise     CaseKind = "promise"
	CaseTime        CaseKind = "time_preference"
	CasePlace       CaseKind = "place_restriction"
	CaseAttorney    CaseKind = "attorney"
	CaseComplaint   CaseKind = "complaint"
	CaseThirdParty  CaseKind = "third_party_restriction"
	CaseCrisis      CaseKind = "crisis" // somebody may come to harm: automation stops
	CaseQuestion    CaseKind = "question"
	CaseUnknown     CaseKind = "unknown_reply"
	CaseAccess      CaseKind = "access_request"
	CaseCorrection  CaseKind = "correction"
	CaseErasure     CaseKind = "erasure"
	CasePortability CaseKind = "portability"
	CaseObjection   CaseKind = "objection"
	CaseDocuments   CaseKind = "documentation_request"
	CaseBreathing   CaseKind = "breathing_space"
	CaseAdviser     CaseKind = "debt_adviser"
	CaseSuspension  CaseKind = "suspension"
)

// CaseKinds lists the kinds.
func CaseKinds() []CaseKind {
	return []CaseKind{
		CaseOptOut, CaseWrongParty, CasePaid, CaseDispute, CaseHardship, CasePromise, CaseTime, CasePlace, CaseAttorney, CaseComplaint,
		CaseThirdParty, CaseCrisis, CaseQuestion, CaseUnknown, CaseAccess, CaseCorrection, CaseErasure, CasePortability, CaseObjection,
		CaseDocuments, CaseBreathing, CaseAdviser, CaseSuspension,
	}
}

// Known reports whether k is one of the kinds above.
func (k CaseKind) Known() bool {
	for _, x := range CaseKinds() {
		if x == k {
			return true
		}
	}
	return false
}

// CaseState is whether somebody still has to look.
type CaseState string

// The states of a case.
const (
	CaseOpen CaseState = "open"
	CaseDone CaseState = "done"
)

// Known reports whether s is one of the states above.
func (s CaseState) Known() bool { return s == CaseOpen || s == CaseDone }

// HoldCrisis is the kind of hold that a crisis puts on the person.
const HoldCrisis = "crisis"

// CrisisHoldID returns the id of the hold that a case of crisis puts on its borrower.
func CrisisHoldID(id CaseID) HoldID {
	sum := sha256.Sum256([]byte(id))
	return HoldID(HoldCrisis + "-" + idText.EncodeToString(sum[:10]))
}

// NewCaseID makes the id of a case that comes without one. A borrower has one case of a kind and an instant.
func NewCaseID(b BorrowerID, k CaseKind, at time.Time) CaseID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", b, k, at.UnixMicro()))
	return CaseID("k" + idText.EncodeToString(sum[:10]))
}

// CaseDuty is what the law demands because of a case, with its time.
type CaseDuty struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	CaseID     CaseID     `json:"case_id"`
	Rule       string     `json:"rule"`
	Pack       string     `json:"pack"` // as id@hash, when it was worked out
	TitleZH    string     `json:"title_zh"`
	TitleEN    string     `json:"title_en"`
	Demand     string     `json:"demand"`           // within, keep, erase or wait
	If         string     `json:"if,omitempty"`     // it applies only if this holds
	DueOn      civil.Date `json:"due_on,omitzero"`  // the day, for terms of days
	DueAt      time.Time  `json:"due_at,omitzero"`  // when the time has run out; zero where it is not known
	Lack       string     `json:"lack,omitempty"`   // why it is not known: calendar_missing, …
	Shadow     bool       `json:"shadow,omitempty"` // not to be relied on: a draft, or from memory
	Source     string     `json:"source"`
	DoneAt     time.Time  `json:"done_at,omitzero"`
}

// Deadline reports whether time can run out on the duty: it is to be done or deleted by then. What is only to be kept or
// waited for cannot be late.
func (d *CaseDuty) Deadline() bool { return d.Demand == "within" || d.Demand == "erase" }

// Overdue reports whether the duty's time has run out at t without its being done.
func (d *CaseDuty) Overdue(t time.Time) bool {
	return d.Deadline() && d.DoneAt.IsZero() && !d.DueAt.IsZero() && !t.Before(d.DueAt)
}
