package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/reply"
	"github.com/dulyhq/duly/internal/store"
)

// The kinds of hold that a reply puts, in the words of the rule packs.
const (
	holdDispute    = "dispute"
	holdAttorney   = "attorney_represented"
	holdPromise    = "promise_to_pay"
	holdWrongParty = "wrong_party"
)

// caseKinds says which case a person gets for what a reply means.
var caseKinds = map[reply.Intent]duly.CaseKind{
	reply.Crisis: duly.CaseCrisis, reply.OptOut: duly.CaseOptOut, reply.Attorney: duly.CaseAttorney, reply.WrongParty: duly.CaseWrongParty,
	reply.Dispute: duly.CaseDispute, reply.ThirdParty: duly.CaseThirdParty, reply.Place: duly.CasePlace, reply.Complaint: duly.CaseComplaint,
	reply.Hardship: duly.CaseHardship, reply.Claim: duly.CasePaid, reply.Promise: duly.CasePromise, reply.Hour: duly.CaseTime,
	reply.Question: duly.CaseQuestion, reply.Unknown: duly.CaseUnknown,
}

// applyReplies works out what the replies among facts that were put mean, does at once what makes contact less, and opens a
// case for the rest. It does nothing that could make contact more: that is for a person.
func (e *Engine) applyReplies(tx *store.Tx, facts []duly.Fact, results []store.PutResult, out *Applied) error {
	for i, f := range facts {
		r, ok := f.(*duly.Reply)
		if !ok || results[i] != store.Added && results[i] != store.Changed {
			continue
		}
		if err := e.applyReply(tx, r); err != nil {
			return err
		}
		out.Replies++
	}
	return nil
}

func (e *Engine) applyReply(tx *store.Tx, r *duly.Reply) error {
	b := r.BorrowerID.Bucket()
	persons, err := tx.Persons(b, []duly.BorrowerID{r.BorrowerID}, tx.Now())
	if err != nil {
		return err
	}
	if len(persons) == 0 {
		return duly.Errorf(duly.NotFound, "there is no borrower with this id")
	}
	t := taking{e: e, tx: tx, r: r, p: &persons[0]}
	if err := t.about(); err != nil {
		return err
	}
	language := r.Language
	if language == "" {
		language = t.p.Borrower.Language
	}
	got := reply.Classify(reply.Message{
		Text: r.Text, Language: language, On: t.today(), Channel: r.Channel, Said: reply.Intent(r.Said.Intent), SaidOn: r.Said.PromiseOn,
	})
	if r.Said.Shared {
		got = got.Guarded()
	}
	r.Meaning = duly.Meaning{
		Intent: string(got.Intent), Scope: got.Scope, Auto: got.Auto, Person: got.Person, Matched: got.Matched, PromiseOn: got.PromiseOn,
	}
	for _, i := range got.Also {
		r.Meaning.Also = append(r.Meaning.Also, string(i))
	}
	t.stop(&got)
	t.open(&got)
	if len(t.facts) > 0 {
		if _, err := e.apply(tx, "reply", t.facts, true); err != nil {
			return err
		}
	}
	for _, id := range t.wrong {
		if err := tx.SetPointState(b, r.BorrowerID, id, duly.PointWrong); err != nil {
			return err
		}
	}
	for _, id := range t.retired {
		if err := tx.SetPointState(b, r.BorrowerID, id, duly.PointRetired); err != nil {
			return err
		}
	}
	if r.PointID != "" && !r.Said.Shared && got.Intent != reply.WrongParty && !slices.Contains(got.Also, reply.WrongParty) {
		if err := learnUse(tx, b, []lesson{{borrower: r.BorrowerID, point: r.PointID, event: duly.PointAnswered}}); err != nil {
			return err
		}
	}
	tx.Audit(b, "reply", "borrower", string(r.ID), r.Meaning)
	if err := tx.MarkDirty([]duly.BorrowerID{r.BorrowerID}); err != nil {
		return err
	}
	return tx.SetMeaning(r)
}

// taking is one reply being taken in: what is to be written because of it.
type taking struct {
	e       *Engine
	tx      *store.Tx
	r       *duly.Reply
	p       *duly.Person
	facts   []duly.Fact
	wrong   []duly.PointID
	retired []duly.PointID
	wider   bool // the hours asked for lie outside those asked for before: not written down
}

// about fills in, from the contact that the reply answers, what its source did not say. A contact about several loans names
// none: what is said of it is said of all.
func (t *taking) about() error {
	if t.r.ContactID == "" {
		return nil
	}
	c, err := t.tx.FindContact(t.r.ContactID)
	if err != nil && duly.CodeOf(err) == duly.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if c.BorrowerID != t.r.BorrowerID {
		return nil // its loan and address are another's: what is said is then said of everything
	}
	if t.r.PointID == "" {
		t.r.PointID = c.PointID
	}
	if t.r.LoanID == "" && len(c.Items) > 0 && !slices.ContainsFunc(c.Items, func(it duly.Item) bool { return it.LoanID != c.Items[0].LoanID }) {
		t.r.LoanID = c.Items[0].LoanID
	}
	return nil
}

// today is the borrower's day when the reply came; of several zones the first day: a promised day is then never too late.
func (t *taking) today() civil.Date {
	day := civil.In(t.r.At, t.e.cfg.Location)
	for _, z := range t.p.Borrower.Zones {
		if loc, err := time.LoadLocation(z.Name); err == nil {
			if d := civil.In(t.r.At, loc); d.Before(day) {
				day = d
			}
		}
	}
	return day
}

// stop does everything that the whole text asks for and that makes contact less.
func (t *taking) stop(got *reply.Result) {
	for _, scope := range got.Stops {
		switch scope {
		case "address":
			t.wrongAddress()
		case "loan":
			t.pause(got)
		case "stop_automation", "urgent_human": // the case of crisis holds the borrower
		case "hours":
			t.prefer(&got.Hours)
		case "work":
			t.noWork()
			t.refuse(scope)
		default: // a channel, a third party, a place, or all
			t.refuse(scope)
		}
	}
	if got.Intent == reply.Attorney || slices.Contains(got.Also, reply.Attorney) {
		t.hold(holdAttorney, duly.HoldPerson, time.Time{})
	}
}

func (t *taking) done(what, of string) { t.r.Meaning.Done = append(t.r.Meaning.Done, what+" "+of) }

func (t *taking) version() int64 { return max(t.r.At.UnixMicro(), 1) }

// refuse records a refusal. A later one of the same key stands even where an earlier one was revoked.
func (t *taking) refuse(key string) {
	t.facts = append(t.facts, &duly.OptOut{
		BorrowerID: t.r.BorrowerID, ID: duly.ConsentID("reply:" + key), Key: key, At: t.since(), Source: "reply", Version: t.version(),
	})
	t.done("opt_out", key)
}

// since is from when a reply counts: from when it was written, or now where its clock is ahead.
func (t *taking) since() time.Time {
	if t.r.At.After(t.tx.Now()) {
		return t.tx.Now()
	}
	return t.r.At
}

func (t *taking) hold(kind string, scope duly.HoldScope, until time.Time) {
	h := &duly.Hold{
		BorrowerID: t.r.BorrowerID, ID: duly.HoldID("reply:" + kind), Kind: kind, Scope: scope, Reason: "reply", Author: "reply", From: t.since(),
		Until: until, Version: t.version(),
	}
	switch scope {
	case duly.HoldLoan:
		h.LoanID = t.r.LoanID
		h.ID = duly.HoldID("reply:" + kind + ":" + shortened(string(t.r.LoanID)))
	case duly.HoldAddress:
		h.PointID = t.r.PointID
		h.ID = duly.HoldID("reply:" + kind + ":" + shortened(string(t.r.PointID)))
	case duly.HoldPerson:
	}
	if until.IsZero() {
		h.ReviewOn = t.e.Today(t.tx.Now())
	}
	t.facts = append(t.facts, h)
	t.done("hold", kind)
}

// shortened keeps the id of a hold within its bound. Ids that begin alike stay apart: one hold must not take another's place.
func shortened(id string) string {
	if len(id) <= duly.MaxIDLen/2 {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

// prefer writes down the hours that the borrower asks for. Those in which contact is asked for count from now on, alone, where
// they lie within what was asked for before; where they do not, they would open what was closed, and a person decides.
func (t *taking) prefer(h *reply.Hours) {
	p := &duly.Preference{
		BorrowerID: t.r.BorrowerID, ID: duly.NewPreferenceID(t.r.BorrowerID, "reply", string(t.r.ID)), Kind: duly.PreferAllow, Days: civil.EveryDay,
		From: h.From, To: h.To, Source: "reply", At: t.since(), Version: max(t.version(), t.r.Version),
	}
	if h.Except {
		p.Kind = duly.PreferForbid
	}
	if len(h.Days) > 0 {
		p.Days = civil.Weekdays{}
		for _, d := range h.Days {
			p.Days[d] = true
		}
	}
	if p.From == p.To {
		p.From, p.To = 0, 24*60
	}
	if p.Kind == duly.PreferAllow {
		before := t.allowed(p.ID)
		if t.wider = len(before) > 0 && !within(p, before); t.wider {
			return
		}
		for i := range before {
			before[i].RevokedAt, before[i].Version = t.since(), max(before[i].Version+1, t.version())
			t.facts = append(t.facts, &before[i])
		}
	}
	t.facts = append(t.facts, p)
	t.done("preference", p.String())
}

// allowed returns the hours in which contact was asked for before, but by the same reply.
func (t *taking) allowed(but duly.PreferenceID) []duly.Preference {
	var out []duly.Preference
	for _, x := range t.p.Preferences {
		if x.Kind == duly.PreferAllow && x.ID != but && x.ActiveAt(t.tx.Now()) {
			out = append(out, x)
		}
	}
	return out
}

// within reports whether the hours of p lie within those of all, minute by minute of the week.
func within(p *duly.Preference, all []duly.Preference) bool {
	for day := time.Sunday; day <= time.Saturday; day++ {
		for c := range civil.Clock(24 * 60) {
			if p.Covers(day, c) && !slices.ContainsFunc(all, func(x duly.Preference) bool { return x.Covers(day, c) }) {
				return false
			}
		}
	}
	return true
}

// pause holds the loan: until it is settled who is right, or until the promised day is over.
func (t *taking) pause(got *reply.Result) {
	scope := duly.HoldLoan
	if t.r.LoanID == "" {
		scope = duly.HoldPerson
	}
	if got.Intent == reply.Dispute || slices.Contains(got.Also, reply.Dispute) {
		t.hold(holdDispute, scope, time.Time{})
		return
	}
	if !got.PromiseOn.IsZero() {
		t.hold(holdPromise, scope, got.PromiseOn.Add(1).At(0, t.e.cfg.Location))
	}
}

// wrongAddress retires the address that the reply came from: it reaches somebody else. Where it is not known which one it
// was, everything stops.
func (t *taking) wrongAddress() {
	if t.r.PointID == "" || t.p.Point(t.r.PointID) == nil {
		t.hold(holdWrongParty, duly.HoldPerson, time.Time{})
		return
	}
	t.wrong = append(t.wrong, t.r.PointID)
	t.hold(holdWrongParty, duly.HoldAddress, time.Time{})
}

// noWork retires the addresses at work.
func (t *taking) noWork() {
	for i := range t.p.Points {
		if t.p.Points[i].Kind == duly.PointWorkEmail {
			t.retired = append(t.retired, t.p.Points[i].ID)
		}
	}
}

// open opens the cases that a person is to look at. What was done at once and needs nobody is recorded as a case that is done,
// so that its clock shows as kept.
func (t *taking) open(got *reply.Result) {
	read := slices.ContainsFunc(got.Also, ownCase) // a person reads the reply for what else it says
	for i, intent := range append([]reply.Intent{got.Intent}, got.Also...) {
		person := ownCase(intent)
		if i == 0 {
			person = got.Person && !(read && intent == reply.OptOut) || t.wider && intent == reply.Hour
		}
		if !person && intent != reply.OptOut {
			continue
		}
		kind := caseKinds[intent]
		c := &duly.Case{
			BorrowerID: t.r.BorrowerID, ID: duly.NewCaseID(t.r.BorrowerID, kind, t.r.At), Kind: kind, LoanID: t.r.LoanID, Channel: t.r.Channel,
			Urgent: kind == duly.CaseCrisis, State: duly.CaseOpen, OpenedAt: t.since(), Author: "reply", Version: t.version(),
		}
		if !person {
			c.State, c.DoneAt, c.Outcome = duly.CaseDone, t.tx.Now(), "honoured"
		}
		t.facts = append(t.facts, c)
		t.r.Meaning.Cases = append(t.r.Meaning.Cases, c.ID)
	}
}

// ownCase reports whether an intent beside another is a case of its own. Whoever reads the rest answers what is asked.
func ownCase(i reply.Intent) bool { return i.Person() && i != reply.Question }

// replyOwners fills in the owner of replies that name only the contact they answer.
func (e *Engine) replyOwners(ctx context.Context, facts []duly.Fact) error {
	for _, f := range facts {
		r, ok := f.(*duly.Reply)
		if !ok || r.BorrowerID != "" || r.ContactID == "" {
			continue
		}
		c, err := e.db.FindContact(ctx, r.ContactID)
		if err != nil && duly.CodeOf(err) == duly.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		r.BorrowerID = c.BorrowerID
	}
	return nil
}
