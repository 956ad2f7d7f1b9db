package duly

import "strconv"

// Fact is one thing that a lender says about a borrower. Facts come in any order and more than once: a fact with the
// same key replaces an older version of itself and changes nothing where it is the same.
type Fact interface {
	FactKind() FactKind // which noun it is
	Owner() BorrowerID  // whose it is; "" where only the loan is known
	FactKey() string    // its natural key within its owner and kind
	FactVersion() int64 // the source's version: higher is newer
}

// FactKind names a noun that can be imported.
type FactKind string

// The kinds of facts, in the order in which they refer to each other.
const (
	FactBorrower    FactKind = "borrower"
	FactPoint       FactKind = "contact_point"
	FactLoan        FactKind = "loan"
	FactInstallment FactKind = "installment"
	FactPayment     FactKind = "payment"
	FactDebit       FactKind = "debit"
	FactConsent     FactKind = "consent"
	FactOptOut      FactKind = "opt_out"
	FactHold        FactKind = "hold"
	FactTouch       FactKind = "touch"
	FactCase        FactKind = "case"
	FactReply       FactKind = "reply"
)

// FactKinds lists the kinds in the order in which they refer to each other: what comes later may name what comes before.
func FactKinds() []FactKind {
	return []FactKind{FactBorrower, FactPoint, FactLoan, FactInstallment, FactPayment, FactDebit, FactConsent, FactOptOut, FactHold, FactTouch, FactCase, FactReply}
}

var (
	_ Fact = (*Borrower)(nil)
	_ Fact = (*ContactPoint)(nil)
	_ Fact = (*Loan)(nil)
	_ Fact = (*Installment)(nil)
	_ Fact = (*Payment)(nil)
	_ Fact = (*Debit)(nil)
	_ Fact = (*Consent)(nil)
	_ Fact = (*OptOut)(nil)
	_ Fact = (*Hold)(nil)
	_ Fact = (*Touch)(nil)
	_ Fact = (*Case)(nil)
	_ Fact = (*Reply)(nil)
)

func (*Borrower) FactKind() FactKind     { return FactBorrower }
func (*ContactPoint) FactKind() FactKind { return FactPoint }
func (*Loan) FactKind() FactKind         { return FactLoan }
func (*Installment) FactKind() FactKind  { return FactInstallment }
func (*Payment) FactKind() FactKind      { return FactPayment }
func (*Debit) FactKind() FactKind        { return FactDebit }
func (*Consent) FactKind() FactKind      { return FactConsent }
func (*OptOut) FactKind() FactKind       { return FactOptOut }
func (*Hold) FactKind() FactKind         { return FactHold }
func (*Touch) FactKind() FactKind        { return FactTouch }
func (*Case) FactKind() FactKind         { return FactCase }
func (*Reply) FactKind() FactKind        { return FactReply }

func (b *Borrower) Owner() BorrowerID     { return b.ID }
func (p *ContactPoint) Owner() BorrowerID { return p.BorrowerID }
func (l *Loan) Owner() BorrowerID         { return l.BorrowerID }
func (i *Installment) Owner() BorrowerID  { return i.BorrowerID }
func (p *Payment) Owner() BorrowerID      { return p.BorrowerID }
func (d *Debit) Owner() BorrowerID        { return d.BorrowerID }
func (c *Consent) Owner() BorrowerID      { return c.BorrowerID }
func (o *OptOut) Owner() BorrowerID       { return o.BorrowerID }
func (h *Hold) Owner() BorrowerID         { return h.BorrowerID }
func (t *Touch) Owner() BorrowerID        { return t.BorrowerID }
func (c *Case) Owner() BorrowerID         { return c.BorrowerID }
func (r *Reply) Owner() BorrowerID        { return r.BorrowerID }

func (b *Borrower) FactKey() string     { return string(b.ID) }
func (p *ContactPoint) FactKey() string { return string(p.ID) }
func (l *Loan) FactKey() string         { return string(l.ID) }
func (i *Installment) FactKey() string  { return string(i.LoanID) + "/" + strconv.Itoa(i.No) }
func (p *Payment) FactKey() string      { return string(p.ID) }
func (d *Debit) FactKey() string        { return string(d.ID) }
func (c *Consent) FactKey() string      { return string(c.ID) }
func (o *OptOut) FactKey() string       { return string(o.ID) }
func (h *Hold) FactKey() string         { return string(h.ID) }
func (t *Touch) FactKey() string        { return t.ID }
func (c *Case) FactKey() string         { return string(c.ID) }
func (r *Reply) FactKey() string        { return string(r.ID) }

func (b *Borrower) FactVersion() int64     { return b.Version }
func (p *ContactPoint) FactVersion() int64 { return p.Version }
func (l *Loan) FactVersion() int64         { return l.Version }
func (i *Installment) FactVersion() int64  { return i.Version }
func (p *Payment) FactVersion() int64      { return p.Version }
func (d *Debit) FactVersion() int64        { return d.Version }
func (c *Consent) FactVersion() int64      { return c.Version }
func (o *OptOut) FactVersion() int64       { return o.Version }
func (h *Hold) FactVersion() int64         { return h.Version }
func (t *Touch) FactVersion() int64        { return t.Version }
func (c *Case) FactVersion() int64         { return c.Version }
func (r *Reply) FactVersion() int64        { return r.Version }
