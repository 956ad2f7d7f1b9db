package duly

import (
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// Loan is one contract. Its instalments say what is owed when; the loan says what kind of contract it is.
type Loan struct {
	BorrowerID  BorrowerID     `json:"borrower_id"`
	ID          LoanID         `json:"id"`
	ContractNo  string         `json:"contract_no"` // what the borrower knows it by; "" means the id
	Product     string         `json:"product"`
	Schedule    ScheduleKind   `json:"schedule"`
	Currency    money.Currency `json:"currency"`
	Principal   money.Amount   `json:"principal"`
	DisbursedOn civil.Date     `json:"disbursed_on"`
	AutoDebit   bool           `json:"auto_debit"` // repayment is drawn from an account by itself
	Version     int64          `json:"version"`
}

// ScheduleKind is how a loan is repaid.
type ScheduleKind string

// The schedules of Chinese consumer credit, with their Chinese names.
const (
	EqualInstallment ScheduleKind = "equal_installment" // 等额本息
	EqualPrincipal   ScheduleKind = "equal_principal"   // 等额本金
	InterestFirst    ScheduleKind = "interest_first"    // 先息后本
	Bullet           ScheduleKind = "bullet"            // 到期还本付息
	Revolving        ScheduleKind = "revolving"         // 随借随还
)

// Known reports whether k is one of the schedules above.
func (k ScheduleKind) Known() bool {
	switch k {
	case EqualInstallment, EqualPrincipal, InterestFirst, Bullet, Revolving:
		return true
	}
	return false
}

// Installment is one amount of a loan that falls due on one day. Paid is derived from the payments, never imported.
type Installment struct {
	BorrowerID BorrowerID   `json:"borrower_id"`
	LoanID     LoanID       `json:"loan_id"`
	No         int          `json:"no"` // from 1
	DueOn      civil.Date   `json:"due_on"`
	Principal  money.Amount `json:"principal"`
	Interest   money.Amount `json:"interest"`
	Fee        money.Amount `json:"fee"`
	Paid       Split        `json:"paid"`
	SettledAt  time.Time    `json:"settled_at,omitzero"` // value time of the payment that settled it; zero while open
	Version    int64        `json:"version"`
}

// Split is an amount by part, in minor units of the loan's currency.
type Split struct {
	Fee       int64 `json:"fee"`
	Interest  int64 `json:"interest"`
	Principal int64 `json:"principal"`
}

// Total returns the sum of the parts.
func (s Split) Total() int64 { return s.Fee + s.Interest + s.Principal }

// Due returns what the contract asks for, by part.
func (i *Installment) Due() Split { return Split{i.Fee.Minor, i.Interest.Minor, i.Principal.Minor} }

// Outstanding returns what is still owed: due less paid.
func (i *Installment) Outstanding() money.Amount {
	return money.New(i.Due().Total()-i.Paid.Total(), i.Currency())
}

// Open reports whether anything is still owed.
func (i *Installment) Open() bool { return i.Due().Total() > i.Paid.Total() }

// Currency returns the currency of the instalment.
func (i *Installment) Currency() money.Currency { return i.Principal.Currency }

// DaysPastDue returns how many days the instalment is late on a day: 0 on the due day, negative before it.
func (i *Installment) DaysPastDue(on civil.Date) int { return on.Sub(i.DueOn) }

// Payment is money that came in, or the reversal of an earlier payment. ValueAt is when it counts from, ArrivedAt when
// the lender knew of it: a contact sent between the two was sent in good faith.
type Payment struct {
	BorrowerID BorrowerID   `json:"borrower_id"`
	ID         PaymentID    `json:"id"`
	LoanID     LoanID       `json:"loan_id"`    // "" pays the borrower's loans, oldest due first
	Amount     money.Amount `json:"amount"`     // above nothing
	ValueAt    time.Time    `json:"value_at"`   // 起息时间
	ArrivedAt  time.Time    `json:"arrived_at"` // 到账时间
	Reverses   PaymentID    `json:"reverses"`   // the payment that this one undoes, whole; "" for a payment
	Method     string       `json:"method"`     // auto_debit, manual, …
	Version    int64        `json:"version"`
}

// Debit is one automatic debit of a loan's repayment.
type Debit struct {
	BorrowerID    BorrowerID `json:"borrower_id"`
	ID            DebitID    `json:"id"`
	LoanID        LoanID     `json:"loan_id"`
	InstallmentNo int        `json:"installment_no"`
	At            time.Time  `json:"at"` // when it is or was tried
	State         DebitState `json:"state"`
	Reason        string     `json:"reason"` // of a failure: insufficient_funds, card_expired, …
	Version       int64      `json:"version"`
}

// DebitState is how far a debit has got.
type DebitState string

// The states of a debit. While one is in flight its instalment is not reminded.
const (
	DebitScheduled DebitState = "scheduled"
	DebitInFlight  DebitState = "in_flight"
	DebitSucceeded DebitState = "succeeded"
	DebitFailed    DebitState = "failed"
)

// Known reports whether s is one of the states above.
func (s DebitState) Known() bool {
	switch s {
	case DebitScheduled, DebitInFlight, DebitSucceeded, DebitFailed:
		return true
	}
	return false
}
