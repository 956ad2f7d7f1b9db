package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Limits of a reservation.
const (
	ReserveFor = 15 * time.Minute // how long a slot is kept if nothing else is asked
	ReserveMax = 24 * time.Hour
	minutesMax = 24 * 60
	loansMax   = 100
)

// Ask is the question of somebody outside Duly who is about to contact a borrower: may I, and will you keep the slot?
type Ask struct {
	BorrowerID duly.BorrowerID `json:"borrower"` // found by the loan if left out
	Loans      []duly.LoanID   `json:"loans"`    // none: all that the borrower has
	Channel    duly.Channel    `json:"channel"`
	Purpose    duly.Purpose    `json:"purpose"` // left out, it follows from the dates
	PointID    duly.PointID    `json:"point"`   // left out, the best for the channel
	Party      string          `json:"party"`   // left out, the debtor
	Actor      duly.Actor      `json:"actor"`
	Minutes    int             `json:"expected_minutes"` // of a call, which must end within the contact hours
	ExpiresIn  time.Duration   `json:"-"`                // 0 is ReserveFor
	Text       string          `json:"text"`             // the words of a message; judged and not kept
	Key        string          `json:"key"`
}

// Slot is the answer: with Allow a slot is kept, else nothing is, and the reasons say why.
type Slot struct {
	ID        duly.ReservationID `json:"id,omitempty"`
	Verdict   duly.Verdict       `json:"verdict"`
	NotBefore time.Time          `json:"not_before,omitzero"`
	Reasons   []duly.Reason      `json:"reasons"`
	PointID   duly.PointID       `json:"point,omitempty"`
	Purpose   duly.Purpose       `json:"purpose,omitempty"`
	ExpiresAt time.Time          `json:"expires_at,omitzero"` // never later than the gate would still let pass
}

// Refusal is the error that says that no slot is kept; nil where one is.
func (s *Slot) Refusal() *duly.Error {
	e := duly.Errorf(duly.Refused, "the contact may not be made, and no slot is kept")
	switch s.Verdict {
	case duly.Defer:
		return e.WithHint("ask again at not_before or later; another channel is no way around a refusal")
	case duly.Block, duly.NoVerdict:
		return e.WithHint("the reasons say what stands against it; another channel is no way around a refusal")
	case duly.Allow:
	}
	return nil
}

// Reserve asks the gate, with authority and from the facts of this moment, whether the contact may be made, and if so keeps
// a slot for it: in one transaction that holds the borrower's bucket, as Duly's own claims do. So of all who ask at once
// for the last slot one gets it. The same key again is the same slot, while it is kept.
func (e *Engine) Reserve(ctx context.Context, now time.Time, by string, ask Ask) (Slot, error) {
	if err := ask.check(); err != nil {
		return Slot{}, err
	}
	if ask.BorrowerID == "" {
		owners, err := e.db.OwnersOf(ctx, ask.Loans)
		if err != nil {
			return Slot{}, err
		}
		if ask.BorrowerID = owners[ask.Loans[0]]; ask.BorrowerID == "" {
			return Slot{}, duly.Errorf(duly.NotFound, "the loan is not known").WithHint("import the loan book first")
		}
	}
	var out Slot
	err := e.db.Update(ctx, now, []int{ask.BorrowerID.Bucket()}, func(tx *store.Tx) error {
		var err error
		out, err = e.reserve(tx, by, &ask)
		return err
	})
	return out, err
}

func (e *Engine) reserve(tx *store.Tx, by string, ask *Ask) (Slot, error) {
	b := ask.BorrowerID.Bucket()
	if _, err := e.overrun(tx, b); err != nil {
		return Slot{}, err
	}
	if err := notHeld(tx); err != nil {
		return Slot{}, err
	}
	v := ask.reservation(tx.Now())
	was, err := tx.FindReservation(v.ID)
	switch {
	case err == nil:
		return again(&was, v.Digest)
	case duly.CodeOf(err) != duly.NotFound:
		return Slot{}, err
	}
	j, err := e.look(tx, &v, tx.Now())
	if err != nil {
		return Slot{}, err
	}
	if err := j.fill(ask); err != nil {
		return Slot{}, err
	}
	d := j.ask(ask.Text)
	if d.Verdict != duly.Allow {
		tx.Audit(b, "reservation_refused", by, string(v.ID), slotDetail(&v, &d))
		return Slot{Verdict: d.Verdict, NotBefore: d.NotBefore, Reasons: d.Reasons, Purpose: v.Purpose, PointID: v.PointID}, nil
	}
	v.ExpiresAt = j.lasts(v.ReservedAt, v.ExpiresAt)
	v.At = v.ExpiresAt
	v.Known = duly.Knowledge{
		LedgerVersion: j.state.Version, FeedAt: j.feedAt, Outstanding: duly.OutstandingOf(v.Items), Items: v.Items, Packs: d.Packs, Strategy: j.strategy,
		Decision: d.Hash(),
	}
	if err := tx.PutReservation(&v); err != nil {
		return Slot{}, err
	}
	tx.Audit(b, "reserved", by, string(v.ID), slotDetail(&v, &d))
	return slotOf(&v), tx.MarkDirty([]duly.BorrowerID{v.BorrowerID})
}

// slotAudit is what the audit keeps of a question and its answer.
type slotAudit struct {
	Channel   duly.Channel `json:"channel"`
	Purpose   duly.Purpose `json:"purpose"`
	Party     string       `json:"party,omitempty"`
	Actor     duly.Actor   `json:"actor"`
	Verdict   duly.Verdict `json:"verdict"`
	Codes     []string     `json:"codes,omitempty"`
	Packs     []string     `json:"packs,omitempty"`
	ExpiresAt time.Time    `json:"expires_at,omitzero"`
}

func slotDetail(v *duly.Reservation, d *duly.Decision) slotAudit {
	a := slotAudit{Channel: v.Channel, Purpose: v.Purpose, Party: v.Party, Actor: v.Actor, Verdict: d.Verdict, Packs: d.Packs}
	if d.Verdict == duly.Allow {
		a.ExpiresAt = v.ExpiresAt
	}
	for i := range d.Reasons {
		a.Codes = append(a.Codes, d.Reasons[i].Rule+" "+d.Reasons[i].Code)
	}
	return a
}

func slotOf(v *duly.Reservation) Slot {
	return Slot{ID: v.ID, Verdict: duly.Allow, Reasons: []duly.Reason{}, PointID: v.PointID, Purpose: v.Purpose, ExpiresAt: v.ExpiresAt}
}

// again answers a key that was used before.
func again(v *duly.Reservation, digest int64) (Slot, error) {
	switch {
	case v.Digest != digest:
		return Slot{}, duly.Errorf(duly.Conflict, "the key was used to ask for something else").WithHint("give every contact a key of its own")
	case v.State != duly.TouchReserved:
		return Slot{}, duly.Errorf(duly.Conflict, "the reservation of this key is %s already", v.State).WithHint("ask with another key for another contact")
	}
	return slotOf(v), nil
}

// check refuses what is put wrongly; whether it is allowed is the gate's to say.
func (a *Ask) check() error {
	bad := func(field, format string, args ...any) *duly.Error {
		return duly.Errorf(duly.Invalid, format, args...).At(duly.Place{Field: field})
	}
	texts := map[string]string{"borrower": string(a.BorrowerID), "point": string(a.PointID), "party": a.Party, "actor.agency": a.Actor.Agency, "key": a.Key}
	for _, id := range a.Loans {
		if id == "" {
			return bad("loans", "an id is empty")
		}
		if !plain(string(id)) {
			texts["loans"] = string(id)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(texts)) {
		if !plain(texts[field]) {
			return bad(field, "longer than %d bytes, or not text", duly.MaxIDLen)
		}
	}
	switch {
	case a.Key == "":
		return bad("key", "is missing").WithHint("a key of your own for this contact: who asks again with it gets the same slot")
	case a.BorrowerID == "" && len(a.Loans) == 0:
		return bad("borrower", "neither a borrower nor a loan is named")
	case len(a.Loans) > loansMax:
		return bad("loans", "more than %d", loansMax)
	case !a.Channel.Known():
		return bad("channel", "not a channel").WithHint("sms, email, push, im, in_app, call_prerecorded, call_ai, call_agent or letter")
	case !slices.Contains([]string{"human", "ai", "system"}, a.Actor.Type):
		return bad("actor.type", "must be human, ai or system")
	case a.Actor.ThirdParty && a.Actor.Agency == "":
		return bad("actor.agency", "is missing").WithHint("name the outside agency")
	case a.Minutes < 0 || a.Minutes > minutesMax || a.Channel.Call() && a.Minutes == 0:
		return bad("expected_minutes", "must be 1 to %d for a call", minutesMax).WithHint("how long it usually lasts: it must end within the contact hours")
	case a.ExpiresIn < 0 || a.ExpiresIn > ReserveMax || a.ExpiresIn%time.Microsecond != 0:
		return bad("expires_in", "must be above zero and at most %s", ReserveMax)
	case len(a.Text) > rule.MaxTextBytes || !utf8.ValidString(a.Text):
		return bad("text", "longer than %d KiB, or not text", rule.MaxTextBytes>>10)
	}
	a.Actor.ThirdParty = a.Actor.Agency != ""
	return nil
}

func plain(s string) bool {
	return len(s) <= duly.MaxIDLen && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// reservation is what the question asks for, before anything is known of the borrower.
func (a *Ask) reservation(now time.Time) duly.Reservation {
	keep := a.ExpiresIn
	if keep == 0 {
		keep = ReserveFor
	}
	text, err := json.Marshal(struct {
		*Ask
		For time.Duration
	}{a, keep})
	if err != nil {
		panic("engine.Ask.reservation: " + err.Error()) // plain texts and numbers always marshal
	}
	sum := sha256.Sum256(text)
	return duly.Reservation{
		ID: duly.NewReservationID(a.BorrowerID, a.Key), BorrowerID: a.BorrowerID, Key: a.Key, Loans: a.Loans, PointID: a.PointID, Channel: a.Channel,
		Purpose: a.Purpose, Party: a.Party, Actor: a.Actor, Minutes: a.Minutes, State: duly.TouchReserved, Outcome: duly.OutcomeReserved,
		ReservedAt: now, ExpiresAt: now.Add(keep), Digest: int64(binary.BigEndian.Uint64(sum[:8])),
	}
}

// slotCase is a reservation with all that is known of its borrower at an instant.
type slotCase struct {
	e        *Engine
	v        *duly.Reservation
	p        *duly.Person
	now      time.Time
	rules    *rule.Set
	strategy string
	state    store.Bucket
	feedAt   time.Time
}

// look reads what is known of the reservation's borrower. The reservation's own slot does not count against itself.
func (e *Engine) look(tx *store.Tx, v *duly.Reservation, now time.Time) (*slotCase, error) {
	b := v.BorrowerID.Bucket()
	persons, err := tx.PersonsSince(b, []duly.BorrowerID{v.BorrowerID}, e.since(now))
	if err != nil {
		return nil, err
	}
	if len(persons) == 0 {
		return nil, duly.Errorf(duly.NotFound, "there is no borrower with this id").WithHint("import the loan book first")
	}
	j := &slotCase{e: e, v: v, p: &persons[0], now: now, rules: e.rules}
	for _, id := range v.Loans {
		if j.p.Loan(id) == nil {
			return nil, duly.Errorf(duly.NotFound, "the loan is not known as this borrower's").WithHint("import the loan book first")
		}
	}
	j.p.Touches = slices.DeleteFunc(j.p.Touches, func(t duly.Touch) bool { return t.ID == string(v.ID) })
	if j.state, err = tx.Bucket(b); err != nil {
		return nil, err
	}
	if j.feedAt, err = tx.FeedAt(FeedPayments); err != nil {
		return nil, err
	}
	l, err := e.laneFor(j.p, e.Today(now))
	if err != nil {
		return nil, err
	}
	if l != nil {
		j.rules, j.strategy = l.rules, l.Name+"@"+l.Hash
	}
	return j, nil
}

// fill completes the reservation from what is known: what is owed, to which address, and for what by the dates.
func (j *slotCase) fill(ask *Ask) error {
	v, today := j.v, j.e.Today(j.now)
	v.Items = dueItems(j.p, v.Loans, today)
	if v.PointID == "" {
		if p := j.p.PointFor(v.Channel); p != nil {
			v.PointID = p.ID
		}
	}
	if !dated(ask.Purpose) || len(v.Items) == 0 {
		return nil
	}
	v.Purpose = duly.PurposeAt(daysPastDue(&duly.Contact{Items: v.Items}, today))
	if ask.Purpose != "" && ask.Purpose != v.Purpose {
		return duly.Errorf(duly.Invalid, "the purpose is not what the due days make it").At(duly.Place{Field: "purpose"}).
			WithHint("leave it out: a reminder becomes collection when the due day has passed")
	}
	return nil
}

// dated reports whether a purpose follows from the due days.
func dated(p duly.Purpose) bool {
	return p == "" || p == duly.PurposePreDue || p == duly.PurposeDueDay || p == duly.PurposeCollection
}

// dueItems returns what a borrower is spoken to about: of the loans, or of all, the instalments that are due and not
// settled; where none is due yet, those that are due next.
func dueItems(p *duly.Person, loans []duly.LoanID, today civil.Date) []duly.Item {
	var due, next []duly.Item
	for i := range p.Installments {
		in := &p.Installments[i]
		if !in.Open() || in.DueOn.IsZero() || len(loans) > 0 && !slices.Contains(loans, in.LoanID) {
			continue
		}
		it := duly.Item{LoanID: in.LoanID, No: in.No, DueOn: in.DueOn, Outstanding: in.Outstanding()}
		switch {
		case !in.DueOn.After(today):
			due = append(due, it)
		case len(next) == 0 || in.DueOn.Before(next[0].DueOn):
			next = []duly.Item{it}
		case in.DueOn == next[0].DueOn:
			next = append(next, it)
		}
	}
	if len(due) > 0 {
		return due
	}
	return next
}

// The reasons of the engine itself, which no pack gives.
const (
	ruleOwed  = "SEND-02"
	rulePoint = "SEND-03"
	ruleDebit = "SEND-04"
	ruleClock = "SEND-05"

	codeNothingDue = "nothing_due"
	codePoint      = "no_contact_point"
	codeDebit      = "debit_in_flight"
	codeClock      = "clock_or_data_not_trustworthy"
)

func own(id, code string, verdict duly.Verdict, until time.Time, source string) duly.Reason {
	return duly.Reason{Code: code, Rule: id, Pack: rule.BuiltIn, Force: duly.ForcePolicy, Verdict: verdict, Until: until, Source: source}
}

// ask answers with authority: what the engine itself sees to before each of its own sendings, and the gate.
func (j *slotCase) ask(text string) duly.Decision {
	v := j.v
	if dated(v.Purpose) && len(v.Items) == 0 {
		return duly.Decision{Verdict: duly.Block, Packs: j.rules.IDs(),
			Reasons: []duly.Reason{own(ruleOwed, codeNothingDue, duly.Block, time.Time{}, "no contact after payment")}}
	}
	f := j.facts(text)
	d := gate.Check(f, j.rules)
	if p := j.p.Point(v.PointID); v.PointID != "" && (p == nil || !p.State.Usable()) {
		stricter(&d, own(rulePoint, codePoint, duly.Block, time.Time{}, "only an address of the borrower's that is in use"))
	}
	if dated(v.Purpose) && j.e.inFlight(j.p, f.Contact, j.now) {
		stricter(&d, own(ruleDebit, codeDebit, duly.Block, time.Time{}, "no reminder while the instalment is being debited"))
	}
	if !j.e.clockOK(j.state, j.p, j.now) {
		stricter(&d, own(ruleClock, codeClock, duly.Defer, j.now.Add(clockRetry), "the clock is behind what is on record"))
	}
	return d
}

// facts is the question to the gate at the case's instant.
func (j *slotCase) facts(text string) *rule.Facts {
	v := j.v
	c := &duly.Contact{
		ID: duly.ContactID(v.ID), BorrowerID: v.BorrowerID, Channel: v.Channel, Purpose: v.Purpose, PointID: v.PointID, Items: v.Items,
		State: duly.Planned, NotBefore: j.now,
	}
	return &rule.Facts{
		Phase: rule.PhaseSend, Now: j.now, Person: j.p, Contact: c, DaysPastDue: daysPastDue(c, j.e.Today(j.now)), Party: v.Party, Text: text,
		AmountDue: amountDue(c), Length: time.Duration(v.Minutes) * time.Minute, Calendars: j.e.calendars,
		Actor: rule.Actor{
			Type: v.Actor.Type, ThirdParty: v.Actor.ThirdParty, Certified: v.Actor.Certified, HumanReviewed: v.Actor.HumanReviewed,
			IdentityVerified: v.Actor.IdentityVerified,
		},
		FeedAt: j.feedAt, FeedMaxAge: j.e.cfg.FeedMaxAge, ClockOK: true, // ask has seen to it
	}
}

// stricter adds a reason to a decision.
func stricter(d *duly.Decision, r duly.Reason) {
	d.Reasons = append([]duly.Reason{r}, d.Reasons...)
	d.Verdict = max(d.Verdict, r.Verdict)
	if r.Until.After(d.NotBefore) {
		d.NotBefore = r.Until
	}
	if d.Verdict == duly.Block {
		d.NotBefore = time.Time{}
	}
}

// slotMin is the shortest slot that is kept.
const slotMin = time.Second

// lasts returns how long a slot may be kept, at most until an instant: as long as a contact that begins within it is within
// the hours of every rule, and on the day whose dates its purpose follows from. Hours begin and end with the minute.
func (j *slotCase) lasts(from, until time.Time) time.Time {
	if tomorrow := j.e.Today(from).Add(1).At(0, j.e.cfg.Location); dated(j.v.Purpose) && tomorrow.Before(until) {
		until = tomorrow.UTC()
	}
	f := j.facts("")
	v := j.rules.View(f)
	defer v.Release()
	for end := from.Truncate(time.Minute).Add(time.Minute); ; end = end.Add(time.Minute) {
		last := end
		if until.Before(end) {
			last = until
		}
		if !j.open(v, last.Add(-time.Microsecond)) {
			if last = end.Add(-time.Minute); last.Before(from.Add(slotMin)) {
				last = from.Add(slotMin)
			}
			return last
		}
		if !end.Before(until) {
			return until
		}
	}
}

// open reports whether every rule about hours lets the contact pass at an instant.
func (j *slotCase) open(v *rule.View, at time.Time) bool {
	for r := range j.rules.Rules(v) {
		if r.Kind == rule.ContactWindow && r.Force != duly.ForceDraft && r.Judge(v, at).Verdict != duly.NoVerdict {
			return false
		}
	}
	return true
}

// overrun makes unknown the reservations of a bucket whose slot ran out: the call may have been made, so it counts until a
// person says what became of it.
func (e *Engine) overrun(tx *store.Tx, bucket int) (int, error) {
	gone, err := tx.ExpiredReservations(bucket, tx.Now())
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	var ids []duly.ReservationID
	var who []duly.BorrowerID
	for i := range gone {
		v := &gone[i]
		v.State, v.Outcome = duly.TouchUnknown, duly.OutcomeUnknown
		if err := tx.MoveReservation(v, duly.TouchReserved); err != nil {
			return 0, err
		}
		ids, who = append(ids, v.ID), append(who, v.BorrowerID)
	}
	tx.Audit(bucket, "reservations_expired", "engine", "", ids)
	return len(gone), tx.MarkDirty(unique(who))
}

// overrunAll is overrun for every bucket that needs it.
func (e *Engine) overrunAll(ctx context.Context, now time.Time, r *DispatchReport) error {
	buckets, err := e.db.ReservationBuckets(ctx, now)
	if err != nil {
		return err
	}
	for _, b := range e.holding.Mine(buckets) {
		n := 0
		err := e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
			var err error
			n, err = e.overrun(tx, b)
			return err
		})
		if err != nil {
			return err
		}
		r.Unknown += n
	}
	return nil
}
