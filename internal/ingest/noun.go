package ingest

import (
	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
)

// Limits of the values of fields, in bytes.
const (
	nameMax  = 256  // of names, codes and free words
	valueMax = 512  // of addresses of contact points and of reasons
	tokenMax = 2048 // of an app's token: that of a browser is a whole subscription
	listMax  = 16   // of the parts of a list
)

// valueType is what a field holds, and so which sources and formats suit it.
type valueType string

const (
	typeID      valueType = "id"
	typeText    valueType = "text"
	typeAmount  valueType = "amount"
	typeDate    valueType = "day"
	typeTime    valueType = "time"
	typeInt     valueType = "number"
	typeBool    valueType = "yes or no"
	typeList    valueType = "list"
	typeVersion valueType = "version"
)

// field is one thing that a mapping can say of a noun. Set gives it to a fact; it is called for values that are there.
type field struct {
	name string
	typ  valueType
	must bool // it has to be mapped, and may not be empty
	set  func(f duly.Fact, c *cell)
}

// noun is one kind of fact, with the fields in the order in which they are set.
type noun struct {
	kind   duly.FactKind
	make   func() duly.Fact
	money  bool // it has amounts, and so a currency
	fields []field
}

func (n *noun) field(name string) *field {
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

// fieldCurrency is set before all others, because amounts are read in it.
const fieldCurrency = "currency"

// of makes a field whose setter takes the fact by its own type.
func of[T any](name string, typ valueType, set func(*T, *cell)) field {
	return field{name: name, typ: typ, set: func(f duly.Fact, c *cell) {
		if t, ok := f.(any).(*T); ok {
			set(t, c)
		}
	}}
}

// must makes a field that has to be there.
func must(f field) field { f.must = true; return f }

// findNoun returns the table of a kind, or nil.
func findNoun(kind duly.FactKind) *noun {
	switch kind {
	case duly.FactBorrower:
		return &nounBorrower
	case duly.FactPoint:
		return &nounPoint
	case duly.FactLoan:
		return &nounLoan
	case duly.FactInstallment:
		return &nounInstallment
	case duly.FactPayment:
		return &nounPayment
	case duly.FactDebit:
		return &nounDebit
	case duly.FactConsent:
		return &nounConsent
	case duly.FactOptOut:
		return &nounOptOut
	case duly.FactHold:
		return &nounHold
	case duly.FactTouch:
		return &nounTouch
	case duly.FactCase:
		return &nounCase
	case duly.FactReply:
		return &nounReply
	case duly.FactNotice:
		return &nounNotice
	case duly.FactPreference:
		return &nounPreference
	}
	return nil
}

var nounBorrower = noun{kind: duly.FactBorrower, make: func() duly.Fact { return &duly.Borrower{} }, fields: []field{
	must(of("id", typeID, func(f *duly.Borrower, c *cell) { f.ID = duly.BorrowerID(c.id()) })),
	of("name", typeText, func(f *duly.Borrower, c *cell) { f.Name = c.words(nameMax) }),
	of("language", typeText, func(f *duly.Borrower, c *cell) { f.Language = c.words(nameMax) }),
	of("country", typeText, func(f *duly.Borrower, c *cell) { f.Country = c.words(nameMax) }),
	of("tier", typeText, func(f *duly.Borrower, c *cell) { f.Tier = c.words(nameMax) }),
	of("segment", typeText, func(f *duly.Borrower, c *cell) { f.Segment = c.words(nameMax) }),
	of("zone", typeList, func(f *duly.Borrower, c *cell) { f.Zones = c.zones() }),
	of("zone_source", typeList, setZoneSources),
	of("zone_observed_at", typeTime, func(f *duly.Borrower, c *cell) {
		at := c.time()
		for i := range f.Zones {
			f.Zones[i].ObservedAt = at
		}
	}),
	of("flags", typeList, func(f *duly.Borrower, c *cell) { f.Flags = c.list() }),
	of("version", typeVersion, func(f *duly.Borrower, c *cell) { f.Version = c.version() }),
}}

// setZoneSources gives each zone its evidence: one for all of them, or one for each.
func setZoneSources(f *duly.Borrower, c *cell) {
	if len(f.Zones) == 1 {
		f.Zones[0].Source = duly.ZoneSource(c.text)
		return
	}
	sources := c.list()
	if len(f.Zones) == 0 || len(sources) == 0 {
		return
	}
	if len(sources) != 1 && len(sources) != len(f.Zones) {
		c.fail("as many sources as zones are needed, or one for all", "")
		return
	}
	for i := range f.Zones {
		f.Zones[i].Source = duly.ZoneSource(sources[min(i, len(sources)-1)])
	}
}

var nounPoint = noun{kind: duly.FactPoint, make: func() duly.Fact { return &duly.ContactPoint{State: duly.PointActive} }, fields: []field{
	must(of("borrower_id", typeID, func(f *duly.ContactPoint, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) })),
	must(of("id", typeID, func(f *duly.ContactPoint, c *cell) { f.ID = duly.PointID(c.id()) })),
	must(of("kind", typeText, func(f *duly.ContactPoint, c *cell) { f.Kind = duly.PointKind(c.words(nameMax)) })),
	must(of("value", typeText, func(f *duly.ContactPoint, c *cell) { f.Value = c.address(f.Kind) })),
	of("state", typeText, func(f *duly.ContactPoint, c *cell) { f.State = duly.PointState(c.words(nameMax)) }),
	of("source", typeText, func(f *duly.ContactPoint, c *cell) { f.Source = c.words(nameMax) }),
	of("rank", typeInt, func(f *duly.ContactPoint, c *cell) { f.Rank = c.number() }),
	of("verified_at", typeTime, func(f *duly.ContactPoint, c *cell) { f.VerifiedAt = c.time() }),
	of("observed_at", typeTime, func(f *duly.ContactPoint, c *cell) { f.ObservedAt = c.time() }),
	of("version", typeVersion, func(f *duly.ContactPoint, c *cell) { f.Version = c.version() }),
}}

var nounLoan = noun{kind: duly.FactLoan, make: func() duly.Fact { return &duly.Loan{} }, money: true, fields: []field{
	of(fieldCurrency, typeText, func(f *duly.Loan, c *cell) { f.Currency = c.currency }),
	must(of("borrower_id", typeID, func(f *duly.Loan, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) })),
	must(of("id", typeID, func(f *duly.Loan, c *cell) { f.ID = duly.LoanID(c.id()) })),
	of("contract_no", typeID, func(f *duly.Loan, c *cell) { f.ContractNo = c.id() }),
	of("product", typeText, func(f *duly.Loan, c *cell) { f.Product = c.words(nameMax) }),
	must(of("schedule", typeText, func(f *duly.Loan, c *cell) { f.Schedule = duly.ScheduleKind(c.words(nameMax)) })),
	of("principal", typeAmount, func(f *duly.Loan, c *cell) { f.Principal = c.amount() }),
	of("disbursed_on", typeDate, func(f *duly.Loan, c *cell) { f.DisbursedOn = c.date() }),
	of("auto_debit", typeBool, func(f *duly.Loan, c *cell) { f.AutoDebit = c.truth() }),
	of("version", typeVersion, func(f *duly.Loan, c *cell) { f.Version = c.version() }),
}}

var nounInstallment = noun{kind: duly.FactInstallment, make: func() duly.Fact { return &duly.Installment{} }, money: true, fields: []field{
	of(fieldCurrency, typeText, func(f *duly.Installment, c *cell) {
		// Parts that are not mapped are nothing, in the same currency.
		f.Principal.Currency, f.Interest.Currency, f.Fee.Currency = c.currency, c.currency, c.currency
	}),
	of("borrower_id", typeID, func(f *duly.Installment, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("loan_id", typeID, func(f *duly.Installment, c *cell) { f.LoanID = duly.LoanID(c.id()) })),
	must(of("no", typeInt, func(f *duly.Installment, c *cell) { f.No = c.number() })),
	must(of("due_on", typeDate, func(f *duly.Installment, c *cell) { f.DueOn = c.date() })),
	must(of("principal", typeAmount, func(f *duly.Installment, c *cell) { f.Principal = c.amount() })),
	of("interest", typeAmount, func(f *duly.Installment, c *cell) { f.Interest = c.amount() }),
	of("fee", typeAmount, func(f *duly.Installment, c *cell) { f.Fee = c.amount() }),
	of("version", typeVersion, func(f *duly.Installment, c *cell) { f.Version = c.version() }),
}}

var nounPayment = noun{kind: duly.FactPayment, make: func() duly.Fact { return &duly.Payment{} }, money: true, fields: []field{
	of(fieldCurrency, typeText, func(f *duly.Payment, c *cell) { f.Amount.Currency = c.currency }),
	of("borrower_id", typeID, func(f *duly.Payment, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Payment, c *cell) { f.ID = duly.PaymentID(c.id()) })),
	of("loan_id", typeID, func(f *duly.Payment, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	must(of("amount", typeAmount, func(f *duly.Payment, c *cell) { f.Amount = c.amount() })),
	must(of("value_at", typeTime, func(f *duly.Payment, c *cell) {
		f.ValueAt = c.time()
		f.ArrivedAt = f.ValueAt // unless it is said when it arrived
	})),
	of("arrived_at", typeTime, func(f *duly.Payment, c *cell) { f.ArrivedAt = c.time() }),
	of("reverses", typeID, func(f *duly.Payment, c *cell) { f.Reverses = duly.PaymentID(c.id()) }),
	of("method", typeText, func(f *duly.Payment, c *cell) { f.Method = c.words(nameMax) }),
	of("version", typeVersion, func(f *duly.Payment, c *cell) { f.Version = c.version() }),
}}

var nounDebit = noun{kind: duly.FactDebit, make: func() duly.Fact { return &duly.Debit{} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.Debit, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Debit, c *cell) { f.ID = duly.DebitID(c.id()) })),
	must(of("loan_id", typeID, func(f *duly.Debit, c *cell) { f.LoanID = duly.LoanID(c.id()) })),
	of("installment_no", typeInt, func(f *duly.Debit, c *cell) { f.InstallmentNo = c.number() }),
	must(of("at", typeTime, func(f *duly.Debit, c *cell) { f.At = c.time() })),
	must(of("state", typeText, func(f *duly.Debit, c *cell) { f.State = duly.DebitState(c.words(nameMax)) })),
	of("reason", typeText, func(f *duly.Debit, c *cell) { f.Reason = c.words(valueMax) }),
	of("version", typeVersion, func(f *duly.Debit, c *cell) { f.Version = c.version() }),
}}

var nounConsent = noun{kind: duly.FactConsent, make: func() duly.Fact { return &duly.Consent{} }, fields: []field{
	must(of("borrower_id", typeID, func(f *duly.Consent, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) })),
	must(of("id", typeID, func(f *duly.Consent, c *cell) { f.ID = duly.ConsentID(c.id()) })),
	must(of("key", typeText, func(f *duly.Consent, c *cell) { f.Key = c.words(nameMax) })),
	must(of("given_at", typeTime, func(f *duly.Consent, c *cell) { f.GivenAt = c.time() })),
	of("until", typeTime, func(f *duly.Consent, c *cell) { f.Until = c.time() }),
	of("withdrawn_at", typeTime, func(f *duly.Consent, c *cell) { f.WithdrawnAt = c.time() }),
	of("evidence", typeText, func(f *duly.Consent, c *cell) { f.Evidence = c.words(valueMax) }),
	of("version", typeVersion, func(f *duly.Consent, c *cell) { f.Version = c.version() }),
}}

var nounOptOut = noun{kind: duly.FactOptOut, make: func() duly.Fact { return &duly.OptOut{} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.OptOut, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.OptOut, c *cell) { f.ID = duly.ConsentID(c.id()) })),
	must(of("key", typeText, func(f *duly.OptOut, c *cell) { f.Key = c.words(nameMax) })),
	of("loan_id", typeID, func(f *duly.OptOut, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	must(of("at", typeTime, func(f *duly.OptOut, c *cell) { f.At = c.time() })),
	of("revoked_at", typeTime, func(f *duly.OptOut, c *cell) { f.RevokedAt = c.time() }),
	of("source", typeText, func(f *duly.OptOut, c *cell) { f.Source = c.words(nameMax) }),
	of("version", typeVersion, func(f *duly.OptOut, c *cell) { f.Version = c.version() }),
}}

var nounHold = noun{kind: duly.FactHold, make: func() duly.Fact { return &duly.Hold{Scope: duly.HoldPerson} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.Hold, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Hold, c *cell) { f.ID = duly.HoldID(c.id()) })),
	must(of("kind", typeText, func(f *duly.Hold, c *cell) { f.Kind = c.words(nameMax) })),
	of("scope", typeText, func(f *duly.Hold, c *cell) { f.Scope = duly.HoldScope(c.words(nameMax)) }),
	of("loan_id", typeID, func(f *duly.Hold, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	of("point_id", typeID, func(f *duly.Hold, c *cell) { f.PointID = duly.PointID(c.id()) }),
	of("reason", typeText, func(f *duly.Hold, c *cell) { f.Reason = c.words(valueMax) }),
	of("author", typeText, func(f *duly.Hold, c *cell) { f.Author = c.words(nameMax) }),
	must(of("from", typeTime, func(f *duly.Hold, c *cell) { f.From = c.time() })),
	of("until", typeTime, func(f *duly.Hold, c *cell) { f.Until = c.time() }),
	of("released_at", typeTime, func(f *duly.Hold, c *cell) { f.ReleasedAt = c.time() }),
	of("review_on", typeDate, func(f *duly.Hold, c *cell) { f.ReviewOn = c.date() }),
	of("version", typeVersion, func(f *duly.Hold, c *cell) { f.Version = c.version() }),
}}

var nounTouch = noun{kind: duly.FactTouch, make: func() duly.Fact { return &duly.Touch{} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.Touch, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Touch, c *cell) { f.ID = c.id() })),
	of("loan_id", typeID, func(f *duly.Touch, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	of("point_id", typeID, func(f *duly.Touch, c *cell) { f.PointID = duly.PointID(c.id()) }),
	must(of("channel", typeText, func(f *duly.Touch, c *cell) { f.Channel = duly.Channel(c.words(nameMax)) })),
	of("purpose", typeText, func(f *duly.Touch, c *cell) { f.Purpose = duly.Purpose(c.words(nameMax)) }),
	of("inbound", typeBool, func(f *duly.Touch, c *cell) { f.Inbound = c.truth() }),
	of("outcome", typeText, func(f *duly.Touch, c *cell) { f.Outcome = c.words(nameMax) }),
	must(of("at", typeTime, func(f *duly.Touch, c *cell) { f.At = c.time() })),
	of("agency", typeText, func(f *duly.Touch, c *cell) { f.Agency = c.words(nameMax) }),
	of("version", typeVersion, func(f *duly.Touch, c *cell) { f.Version = c.version() }),
}}

var nounCase = noun{kind: duly.FactCase, make: func() duly.Fact { return &duly.Case{State: duly.CaseOpen} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.Case, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Case, c *cell) { f.ID = duly.CaseID(c.id()) })),
	must(of("kind", typeText, func(f *duly.Case, c *cell) { f.Kind = duly.CaseKind(c.words(nameMax)) })),
	of("loan_id", typeID, func(f *duly.Case, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	of("channel", typeText, func(f *duly.Case, c *cell) { f.Channel = duly.Channel(c.words(nameMax)) }),
	of("urgent", typeBool, func(f *duly.Case, c *cell) { f.Urgent = c.truth() }),
	of("complex", typeBool, func(f *duly.Case, c *cell) { f.Complex = c.truth() }),
	of("state", typeText, func(f *duly.Case, c *cell) { f.State = duly.CaseState(c.words(nameMax)) }),
	must(of("opened_at", typeTime, func(f *duly.Case, c *cell) { f.OpenedAt = c.time() })),
	of("done_at", typeTime, func(f *duly.Case, c *cell) { f.DoneAt = c.time() }),
	of("author", typeText, func(f *duly.Case, c *cell) { f.Author = c.words(nameMax) }),
	of("outcome", typeText, func(f *duly.Case, c *cell) { f.Outcome = c.words(nameMax) }),
	of("version", typeVersion, func(f *duly.Case, c *cell) { f.Version = c.version() }),
}}

var nounReply = noun{kind: duly.FactReply, make: func() duly.Fact { return &duly.Reply{} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.Reply, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Reply, c *cell) { f.ID = duly.ReplyID(c.id()) })),
	of("contact_id", typeID, func(f *duly.Reply, c *cell) { f.ContactID = duly.ContactID(c.id()) }),
	of("loan_id", typeID, func(f *duly.Reply, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	of("point_id", typeID, func(f *duly.Reply, c *cell) { f.PointID = duly.PointID(c.id()) }),
	must(of("channel", typeText, func(f *duly.Reply, c *cell) { f.Channel = duly.Channel(c.words(nameMax)) })),
	of("language", typeText, func(f *duly.Reply, c *cell) { f.Language = c.words(nameMax) }),
	must(of("text", typeText, func(f *duly.Reply, c *cell) { f.Text = c.text })), // as it came: a refusal must not be lost for an odd character
	must(of("at", typeTime, func(f *duly.Reply, c *cell) { f.At = c.time() })),
	of("version", typeVersion, func(f *duly.Reply, c *cell) { f.Version = c.version() }),
}}

var nounNotice = noun{kind: duly.FactNotice, make: func() duly.Fact { return &duly.Notice{} }, fields: []field{
	of("borrower_id", typeID, func(f *duly.Notice, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) }),
	must(of("id", typeID, func(f *duly.Notice, c *cell) { f.ID = duly.NoticeID(c.id()) })),
	must(of("type", typeText, func(f *duly.Notice, c *cell) { f.Type = c.words(nameMax) })),
	of("loan_id", typeID, func(f *duly.Notice, c *cell) { f.LoanID = duly.LoanID(c.id()) }),
	must(of("at", typeTime, func(f *duly.Notice, c *cell) { f.At = c.time() })),
	of("evidence", typeText, func(f *duly.Notice, c *cell) { f.Evidence = c.words(valueMax) }),
	of("version", typeVersion, func(f *duly.Notice, c *cell) { f.Version = c.version() }),
}}

var nounPreference = noun{kind: duly.FactPreference, make: func() duly.Fact { return &duly.Preference{Days: civil.EveryDay} }, fields: []field{
	must(of("borrower_id", typeID, func(f *duly.Preference, c *cell) { f.BorrowerID = duly.BorrowerID(c.id()) })),
	must(of("id", typeID, func(f *duly.Preference, c *cell) { f.ID = duly.PreferenceID(c.id()) })),
	must(of("kind", typeText, func(f *duly.Preference, c *cell) { f.Kind = duly.PreferenceKind(c.words(nameMax)) })),
	of("days", typeText, func(f *duly.Preference, c *cell) { f.Days = c.weekdays() }),
	must(of("from", typeText, func(f *duly.Preference, c *cell) { f.From = c.clock() })),
	must(of("to", typeText, func(f *duly.Preference, c *cell) { f.To = c.clock() })),
	of("source", typeText, func(f *duly.Preference, c *cell) { f.Source = c.words(nameMax) }),
	must(of("at", typeTime, func(f *duly.Preference, c *cell) { f.At = c.time() })),
	of("revoked_at", typeTime, func(f *duly.Preference, c *cell) { f.RevokedAt = c.time() }),
	of("version", typeVersion, func(f *duly.Preference, c *cell) { f.Version = c.version() }),
}}
