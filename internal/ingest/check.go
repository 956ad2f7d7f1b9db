package ingest

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/reply"
)

const (
	cacheMax       = 4096 // names of zones and languages remembered
	installmentMax = 1200 // instalments of one loan: a hundred years of months
	rankMax        = 1000
	phoneDigitsMin = 5
	phoneDigitsMax = 15 // E.164
)

// finding is a problem of a fact, by the noun's field.
type finding struct{ field, class, reason, hint string }

// checker holds facts, whatever they were read from, against what the nouns demand.
type checker struct {
	found     []finding
	zoneKnown map[string]bool
	tagKnown  map[string]bool
}

func (k *checker) add(field, class, reason, hint string) {
	k.found = append(k.found, finding{field, class, reason, hint})
}

// check looks a fact over; what is wrong is in k.found.
func (k *checker) check(f duly.Fact) {
	if f.FactVersion() < 0 {
		k.add("version", "number", "a version is not below nothing", "")
	}
	switch f := f.(type) {
	case *duly.Borrower:
		k.borrower(f)
	case *duly.ContactPoint:
		k.point(f)
	case *duly.Loan:
		k.loan(f)
	case *duly.Installment:
		k.installment(f)
	case *duly.Payment:
		k.payment(f)
	case *duly.Debit:
		k.debit(f)
	case *duly.Consent:
		k.consent(f)
	case *duly.OptOut:
		k.optOut(f)
	case *duly.Hold:
		k.hold(f)
	case *duly.Touch:
		k.touch(f)
	case *duly.Case:
		k.caseFile(f)
	case *duly.Reply:
		k.reply(f)
	case *duly.Notice:
		k.notice(f)
	case *duly.Preference:
		k.preference(f)
	}
}

func (k *checker) borrower(f *duly.Borrower) {
	k.needID("id", string(f.ID))
	if f.Language != "" && !k.tag(f.Language) {
		k.add("language", classOf(f.Language), "not a language tag", "write it as BCP 47 does: zh-CN, en")
	}
	if f.Country != "" && !countryPath(f.Country) {
		k.add("country", classOf(f.Country), "not a country", "write it as ISO 3166 does: CN, US, US-MA")
	}
	if len(f.Tier) > 1 || f.Tier != "" && (f.Tier[0] < 'A' || f.Tier[0] > 'E') {
		k.add("tier", classOf(f.Tier), "not a tier", "A to E, or empty where it is not known; `map` turns other names into these")
	}
	k.short("name", f.Name, nameMax)
	k.short("segment", f.Segment, nameMax)
	if len(f.Zones) > listMax || len(f.Flags) > listMax {
		k.add("zone", "list", fmt.Sprintf("more than %d zones or flags", listMax), "")
		return
	}
	for _, z := range f.Zones {
		if !k.zone(z.Name) {
			k.add("zone", classOf(z.Name), "not a time zone", "write it as the IANA list does: Asia/Shanghai")
		}
		if !zoneSourceKnown(z.Source) {
			k.add("zone_source", classOf(string(z.Source)), "not a kind of evidence for a zone", "stated, address, phone, device or lender")
		}
		k.instant("zone_observed_at", z.ObservedAt, false)
	}
	for _, s := range f.Flags {
		k.short("flags", s, nameMax)
	}
}

func (k *checker) point(f *duly.ContactPoint) {
	k.needID("borrower_id", string(f.BorrowerID))
	k.needID("id", string(f.ID))
	if !f.Kind.Known() {
		k.add("kind", classOf(string(f.Kind)), "not a kind of contact point", "mobile, landline, email, work_email, app_token, wechat, whatsapp or postal")
	}
	if !f.State.Known() {
		k.add("state", classOf(string(f.State)), "not a state of a contact point", "active, good, suspect, bounced, wrong_number, recycled or retired")
	}
	if reason, hint := addressWrong(f.Kind, f.Value); reason != "" {
		k.add("value", classOf(f.Value), reason, hint)
	}
	k.short("source", f.Source, nameMax)
	if f.Rank < 0 || f.Rank > rankMax {
		k.add("rank", "number", fmt.Sprintf("not a rank from 0 to %d", rankMax), "")
	}
	k.instant("verified_at", f.VerifiedAt, false)
	k.instant("observed_at", f.ObservedAt, false)
}

func (k *checker) loan(f *duly.Loan) {
	k.needID("borrower_id", string(f.BorrowerID))
	k.needID("id", string(f.ID))
	k.short("contract_no", f.ContractNo, duly.MaxIDLen)
	k.short("product", f.Product, nameMax)
	if !f.Schedule.Known() {
		k.add("schedule", classOf(string(f.Schedule)), "not a schedule", "equal_installment, equal_principal, interest_first, bullet or revolving; `map` turns other names into these")
	}
	k.currency(f.Currency)
	k.amount("principal", f.Principal, f.Currency, false)
	k.day("disbursed_on", f.DisbursedOn, false)
}

func (k *checker) installment(f *duly.Installment) {
	k.mayID("borrower_id", string(f.BorrowerID))
	k.needID("loan_id", string(f.LoanID))
	if f.No < 1 || f.No > installmentMax {
		k.add("no", "number", fmt.Sprintf("not a number of an instalment, 1 to %d", installmentMax), "")
	}
	k.day("due_on", f.DueOn, true)
	k.currency(f.Currency())
	// An instalment of nothing is let pass: that is how a lender says that it was waived.
	k.amount("principal", f.Principal, f.Currency(), false)
	k.amount("interest", f.Interest, f.Currency(), false)
	k.amount("fee", f.Fee, f.Currency(), false)
	total, err := f.Principal.Add(f.Interest)
	if err == nil {
		_, err = total.Add(f.Fee)
	}
	if err == money.ErrOverflow {
		k.add("principal", "amount", "principal, interest and fee together are too large", "")
	}
	if f.Paid != (duly.Split{}) || !f.SettledAt.IsZero() {
		k.add("paid", "amount", "what is paid is derived from payments, never imported", "leave out paid and settled_at, and import the payments")
	}
}

func (k *checker) payment(f *duly.Payment) {
	k.needID("id", string(f.ID))
	k.owner(string(f.BorrowerID), string(f.LoanID))
	k.mayID("reverses", string(f.Reverses))
	if f.Reverses != "" && f.Reverses == f.ID {
		k.add("reverses", "text", "a payment cannot reverse itself", "")
	}
	k.currency(f.Amount.Currency)
	k.amount("amount", f.Amount, f.Amount.Currency, true)
	k.instant("value_at", f.ValueAt, true)
	k.instant("arrived_at", f.ArrivedAt, !f.ValueAt.IsZero())
	k.short("method", f.Method, nameMax)
}

func (k *checker) debit(f *duly.Debit) {
	k.needID("id", string(f.ID))
	k.mayID("borrower_id", string(f.BorrowerID))
	k.needID("loan_id", string(f.LoanID))
	if f.InstallmentNo < 0 || f.InstallmentNo > installmentMax {
		k.add("installment_no", "number", fmt.Sprintf("not a number of an instalment, 1 to %d", installmentMax), "")
	}
	k.instant("at", f.At, true)
	if !f.State.Known() {
		k.add("state", classOf(string(f.State)), "not a state of a debit", "scheduled, in_flight, succeeded or failed")
	}
	k.short("reason", f.Reason, valueMax)
}

func (k *checker) consent(f *duly.Consent) {
	k.needID("borrower_id", string(f.BorrowerID))
	k.needID("id", string(f.ID))
	k.need("key", f.Key)
	k.instant("given_at", f.GivenAt, true)
	k.instant("until", f.Until, false)
	k.instant("withdrawn_at", f.WithdrawnAt, false)
	k.short("evidence", f.Evidence, valueMax)
}

func (k *checker) optOut(f *duly.OptOut) {
	k.needID("id", string(f.ID))
	k.owner(string(f.BorrowerID), string(f.LoanID))
	k.need("key", f.Key)
	k.instant("at", f.At, true)
	k.instant("revoked_at", f.RevokedAt, false)
	k.short("source", f.Source, nameMax)
}

func (k *checker) hold(f *duly.Hold) {
	k.needID("id", string(f.ID))
	k.owner(string(f.BorrowerID), string(f.LoanID))
	k.mayID("point_id", string(f.PointID))
	k.need("kind", f.Kind)
	switch f.Scope {
	case duly.HoldPerson:
	case duly.HoldLoan:
		k.need("loan_id", string(f.LoanID))
	case duly.HoldAddress:
		k.need("point_id", string(f.PointID))
	default:
		k.add("scope", classOf(string(f.Scope)), "not a scope of a hold", "person, loan or address")
	}
	k.short("reason", f.Reason, valueMax)
	k.short("author", f.Author, nameMax)
	k.instant("from", f.From, true)
	k.instant("until", f.Until, false)
	k.instant("released_at", f.ReleasedAt, false)
	if !f.Until.IsZero() && f.Until.Before(f.From) {
		k.add("until", "date-like", "the hold ends before it begins", "")
	}
	k.day("review_on", f.ReviewOn, false)
}

func (k *checker) touch(f *duly.Touch) {
	k.needID("id", f.ID)
	k.owner(string(f.BorrowerID), string(f.LoanID))
	k.mayID("point_id", string(f.PointID))
	if !f.Channel.Known() {
		k.add("channel", classOf(string(f.Channel)), "not a channel", "sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
	}
	if f.Purpose != "" && !purposeKnown(f.Purpose) {
		k.add("purpose", classOf(string(f.Purpose)), "not a purpose", "pre_due_reminder, due_day_reminder, collection, …: see docs/mapping.md")
	}
	k.short("outcome", f.Outcome, nameMax)
	k.short("agency", f.Agency, nameMax)
	k.instant("at", f.At, true)
}

func (k *checker) caseFile(f *duly.Case) {
	k.needID("id", string(f.ID))
	k.owner(string(f.BorrowerID), string(f.LoanID))
	if !f.Kind.Known() {
		k.add("kind", classOf(string(f.Kind)), "not a kind of case", "opt_out, complaint, dispute, access_request, crisis, …: see docs/deadlines.md")
	}
	if f.Channel != "" && !f.Channel.Known() {
		k.add("channel", classOf(string(f.Channel)), "not a channel", "sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
	}
	if !f.State.Known() {
		k.add("state", classOf(string(f.State)), "not a state of a case", "open or done")
	}
	k.instant("opened_at", f.OpenedAt, true)
	k.instant("done_at", f.DoneAt, f.State == duly.CaseDone)
	switch {
	case f.State == duly.CaseOpen && !f.DoneAt.IsZero():
		k.add("done_at", "date-like", "the case is open and has an end", "give state done, or no done_at")
	case !f.DoneAt.IsZero() && f.DoneAt.Before(f.OpenedAt):
		k.add("done_at", "date-like", "the case ends before it begins", "")
	}
	k.short("author", f.Author, nameMax)
	if !f.OutcomeKnown() {
		k.add("outcome", classOf(f.Outcome), "not a code", "small letters, digits and _, such as upheld; no words about the borrower")
	}
}

func (k *checker) reply(f *duly.Reply) {
	k.needID("id", string(f.ID))
	if f.ContactID == "" {
		k.owner(string(f.BorrowerID), string(f.LoanID))
	} else if _, ok := f.ContactID.Bucket(); !ok {
		k.add("contact_id", classOf(string(f.ContactID)), "not the id of a contact", "as Duly made it: the check code alone is not enough")
	}
	k.mayID("borrower_id", string(f.BorrowerID))
	k.mayID("loan_id", string(f.LoanID))
	k.mayID("point_id", string(f.PointID))
	if !f.Channel.Known() {
		k.add("channel", classOf(string(f.Channel)), "not a channel", "sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
	}
	k.short("language", f.Language, nameMax)
	if len(f.Text) > duly.ReplyTextMax {
		k.add("text", "text", "too long", "at most 16 KiB; what is longer belongs into a case")
	}
	if i := f.Said.Intent; i != "" && !reply.Intent(i).Known() {
		k.add("said.intent", classOf(i), "not an intent", "docs/replies.md lists them")
	}
	k.instant("at", f.At, true)
}

func (k *checker) notice(f *duly.Notice) {
	k.needID("id", string(f.ID))
	k.owner(string(f.BorrowerID), string(f.LoanID))
	if !f.TypeKnown() {
		k.add("type", classOf(f.Type), "not a code", "small letters, digits and _, as rules name it: adverse_credit_notice, transfer_notice, …")
	}
	k.instant("at", f.At, true)
	k.short("evidence", f.Evidence, valueMax)
}

// How hours are written, wherever they come from.
const (
	hintClock = "write 08:30, up to 24:00"
	hintDays  = "write mon-fri, sat, mon,wed or *"
)

func (k *checker) preference(f *duly.Preference) {
	k.needID("borrower_id", string(f.BorrowerID))
	k.needID("id", string(f.ID))
	if !f.Kind.Known() {
		k.add("kind", classOf(string(f.Kind)), "not a kind of preference", "allow or forbid")
	}
	if f.Days == (civil.Weekdays{}) {
		k.add("days", "empty", "no day of the week", hintDays)
	}
	if f.From == f.To || f.From == dayEnd {
		k.add("to", "time of day", "no hours lie between from and to", "the whole day is 00:00 to 24:00; 22:00 to 06:00 lasts into the next day")
	}
	k.short("source", f.Source, nameMax)
	k.instant("at", f.At, true)
	k.instant("revoked_at", f.RevokedAt, false)
}

// dayEnd is the midnight that ends a day.
const dayEnd civil.Clock = 24 * 60

// owner wants a borrower, or a loan whose borrower the store knows.
func (k *checker) owner(borrower, loan string) {
	k.mayID("borrower_id", borrower)
	k.mayID("loan_id", loan)
	if borrower == "" && loan == "" {
		k.add("borrower_id", "empty", "neither a borrower nor a loan is named", "map borrower_id or loan_id")
	}
}

func (k *checker) need(field, s string) {
	if s == "" {
		k.add(field, "empty", "nothing here", "")
	}
	k.short(field, s, nameMax)
}

func (k *checker) needID(field, s string) {
	if s == "" {
		k.add(field, "empty", "no id", "every row needs one: see `hash` in docs/mapping.md where the source has none")
	}
	k.mayID(field, s)
}

func (k *checker) mayID(field, s string) { k.short(field, s, duly.MaxIDLen) }

// short wants at most limit bytes and no control characters, which neither a store nor a carrier takes.
func (k *checker) short(field, s string, limit int) {
	if len(s) > limit {
		k.add(field, classOf(s), fmt.Sprintf("longer than %d bytes", limit), "")
	}
	if !plain(s) {
		k.add(field, classOf(s), "control characters, or bytes that are no text", "clean the value at the source")
	}
}

func (k *checker) currency(c money.Currency) {
	if !c.Known() {
		k.add(fieldCurrency, classOf(string(c)), "not a currency that Duly knows", "write the ISO 4217 code: CNY")
	}
}

// amount wants an amount of the currency that is not below nothing or, with positive, above nothing.
func (k *checker) amount(field string, a money.Amount, c money.Currency, positive bool) {
	if a.Currency != c && !(a.IsZero() && a.Currency == "") {
		k.add(field, "amount", "an amount of another currency than the rest", "one row has one currency")
	}
	switch {
	case a.Minor < 0:
		hint := ""
		if positive {
			hint = "a reversal is an amount above nothing with `reverses` naming the payment it undoes"
		}
		k.add(field, "negative amount", "below nothing", hint)
	case positive && a.Minor == 0:
		k.add(field, "zero", "nothing: an amount above nothing is needed", "")
	}
}

func (k *checker) day(field string, d civil.Date, needed bool) {
	if d.IsZero() {
		if needed {
			k.add(field, "empty", "no day", "")
		}
		return
	}
	if y := d.Year(); y < civil.MinYear || y > civil.MaxYear {
		k.add(field, "date-like", fmt.Sprintf("a year outside %d to %d", civil.MinYear, civil.MaxYear), "")
	}
}

func (k *checker) instant(field string, t time.Time, needed bool) {
	if t.IsZero() {
		if needed {
			k.add(field, "empty", "no time", "")
		}
		return
	}
	if y := t.UTC().Year(); y < civil.MinYear || y > civil.MaxYear {
		k.add(field, "date-like", fmt.Sprintf("a year outside %d to %d", civil.MinYear, civil.MaxYear), "")
	}
}

// zone reports whether name is in the list of time zones.
func (k *checker) zone(name string) bool {
	known, ok := k.zoneKnown[name]
	if ok {
		return known
	}
	if name != "" && name != "Local" {
		_, err := time.LoadLocation(name)
		known = err == nil
	}
	k.zoneKnown = remember(k.zoneKnown, name, known)
	return known
}

// tag reports whether s is a well-formed language tag of known parts.
func (k *checker) tag(s string) bool {
	known, ok := k.tagKnown[s]
	if ok {
		return known
	}
	_, err := language.Parse(s)
	known = err == nil && len(s) <= nameMax && !strings.Contains(s, "_")
	k.tagKnown = remember(k.tagKnown, s, known)
	return known
}

func remember(m map[string]bool, s string, v bool) map[string]bool {
	if m == nil {
		m = map[string]bool{}
	}
	if len(m) < cacheMax {
		m[strings.Clone(s)] = v
	}
	return m
}

// countryPath reports whether s is a country of two capitals, and perhaps parts of it after hyphens.
func countryPath(s string) bool {
	head, rest, more := strings.Cut(s, "-")
	if len(head) != 2 || !capitals(head) || strings.ContainsAny(head, "0123456789") {
		return false
	}
	for more {
		head, rest, more = strings.Cut(rest, "-")
		if len(head) < 1 || len(head) > 3 || !capitals(head) {
			return false
		}
	}
	return true
}

// capitals reports whether s is capitals and digits only.
func capitals(s string) bool {
	for i := range len(s) {
		if (s[i] < 'A' || s[i] > 'Z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func zoneSourceKnown(s duly.ZoneSource) bool {
	switch s {
	case duly.ZoneStated, duly.ZoneAddress, duly.ZonePhone, duly.ZoneDevice, duly.ZoneLender:
		return true
	}
	return false
}

func purposeKnown(p duly.Purpose) bool {
	switch p {
	case duly.PurposePreDue, duly.PurposeDueDay, duly.PurposeCollection, duly.PurposeMarketing, duly.PurposeLocation,
		duly.PurposeCreditReport, duly.PurposeConsentRequest, duly.PurposeOptOutConfirm, duly.PurposeEnforcement,
		duly.PurposeHardshipDecision, duly.PurposeMandatory:
		return true
	}
	return false
}

// addressWrong says what is wrong with the value of a contact point of a kind, or "".
func addressWrong(kind duly.PointKind, v string) (reason, hint string) {
	most := valueMax
	if kind == duly.PointApp {
		most = tokenMax
	}
	switch {
	case v == "":
		return "no address", "leave the contact point out with `when` where the column is empty"
	case len(v) > most:
		return fmt.Sprintf("longer than %d bytes", most), ""
	case !utf8.ValidString(v) || !plain(strings.ReplaceAll(v, "\n", " ")):
		return "control characters, or bytes that are no text", "clean the value at the source"
	}
	switch kind {
	case duly.PointMobile, duly.PointLandline, duly.PointWhatsApp:
		if !phoneNumber(v) {
			return "not a phone number", fmt.Sprintf("%d to %d digits, with + and the country code in front", phoneDigitsMin, phoneDigitsMax)
		}
	case duly.PointEmail, duly.PointWorkEmail:
		name, host, ok := strings.Cut(v, "@")
		if !ok || name == "" || !strings.Contains(host, ".") || strings.ContainsAny(v, " <>,;\"\n") || strings.Contains(host, "@") {
			return "not an e-mail address", ""
		}
	case duly.PointApp, duly.PointWeChat, duly.PointPostal:
	}
	return "", ""
}

// phoneNumber reports whether s is a plus sign, perhaps, and digits.
func phoneNumber(s string) bool {
	digits := strings.TrimPrefix(s, "+")
	return len(digits) >= phoneDigitsMin && len(digits) <= phoneDigitsMax && allDigits(digits)
}
