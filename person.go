package duly

import "time"

// Person is all that is known of one borrower: what the plan and the gate decide from.
type Person struct {
	Borrower     Borrower
	Points       []ContactPoint
	Loans        []Loan
	Installments []Installment // those not settled, and those settled lately
	Debits       []Debit
	Consents     []Consent
	OptOuts      []OptOut
	Holds        []Hold
	Notices      []Notice
	Preferences  []Preference // of hours
	Contacts     []Contact    // recent and coming ones, oldest first
	Touches      []Touch      // contacts outside Duly that count: agents' calls, agencies, the borrower's own
}

// Touch is a contact that Duly did not send but that caps count: an agent's call, an agency's, a call the borrower made.
// Those for which a slot was reserved are kept as a [Reservation], and are among a person's touches until they are released.
type Touch struct {
	BorrowerID BorrowerID `json:"borrower_id"`
	ID         string     `json:"id"`
	LoanID     LoanID     `json:"loan_id"`
	PointID    PointID    `json:"point_id"`
	Channel    Channel    `json:"channel"`
	Purpose    Purpose    `json:"purpose"`
	Inbound    bool       `json:"inbound"`
	Outcome    string     `json:"outcome"` // no_answer, busy, voicemail, answered, conversation, delivered; reserved, unknown
	At         time.Time  `json:"at"`
	Agency     string     `json:"agency,omitempty"` // the outside agency that made it; "" is the lender itself
	Version    int64      `json:"version"`
}

// LatestEvent returns when the newest contact on record went out, Duly's own and others'; zero if there is none. One that
// is later than now means that a clock is wrong. A slot that is only kept counts as of its end, and is no event yet.
func (p *Person) LatestEvent() time.Time {
	var last time.Time
	for i := range p.Contacts {
		if at := p.Contacts[i].SentAt; at.After(last) {
			last = at
		}
	}
	for i := range p.Touches {
		if at := p.Touches[i].At; at.After(last) && p.Touches[i].Outcome != OutcomeReserved {
			last = at
		}
	}
	return last
}

// Loan returns the person's loan with the id, or nil.
func (p *Person) Loan(id LoanID) *Loan {
	for i := range p.Loans {
		if p.Loans[i].ID == id {
			return &p.Loans[i]
		}
	}
	return nil
}

// Point returns the person's contact point with the id, or nil.
func (p *Person) Point(id PointID) *ContactPoint {
	for i := range p.Points {
		if p.Points[i].ID == id {
			return &p.Points[i]
		}
	}
	return nil
}

// PointFor returns the best usable contact point for a channel, or nil: by the channel's order of kinds, then by how good it is,
// by the lender's rank, by when it was last seen, and by id.
func (p *Person) PointFor(c Channel) *ContactPoint {
	for _, kind := range c.Points() {
		var best *ContactPoint
		for i := range p.Points {
			q := &p.Points[i]
			if q.Kind != kind || !q.State.Usable() {
				continue
			}
			if best == nil || q.better(best) {
				best = q
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}
