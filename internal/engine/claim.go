package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/strategy"
)

// job is a claimed contact on its way to a carrier.
type job struct {
	contact   duly.Contact
	attempt   duly.Attempt
	to        string
	subject   string
	language  string
	variables map[string]string // of the template, for carriers that fill one of their own
	carrier   channel.Sender
	ticket    route.Ticket
	claimedAt time.Time // by the engine's clock, for the recheck of a claim that waited
	epoch     int64     // of the bucket's lease under which it was claimed
	known     uint64    // what stood in the way of a contact, or might have; see restraints
}

// claim takes contacts of buckets that are due. In one transaction it reads the ledger, the holds and the contact
// history anew, asks the gate with authority, and writes for each contact that may go the attempt that is about to be
// made. Whatever may not go is deferred, blocked or cancelled with its reasons. The attempts it returns are committed. In
// buckets that the store knows to be another node's by now, it claims nothing.
func (e *Engine) claim(ctx context.Context, now time.Time, group []int, limit int) ([]job, DispatchReport, error) {
	var jobs []job
	var seen DispatchReport
	complete := false // only the commit may have failed
	err := e.db.Update(ctx, now, group, func(tx *store.Tx) error {
		e.dropClaims(jobs) // of a try that the store had to repeat
		jobs, seen, complete = nil, DispatchReport{}, false
		epochs, err := e.tenure(tx, group)
		if err != nil {
			return err
		}
		if err := e.claimDue(tx, epochs, limit, &seen, &jobs); err != nil {
			return err
		}
		for i := range jobs {
			e.fence.claim(jobs[i].contact.BorrowerID, jobs[i].attempt.ID, jobs[i].epoch)
		}
		if complete = true; len(jobs) > 0 {
			fault.At(fault.ClaimUncommitted)
		}
		return nil
	})
	if err != nil {
		e.dropClaims(jobs)
		if complete { // it may be on record: then it is taken back as soon as the store answers, and is not left in doubt
			for _, j := range jobs {
				e.late.add(answer{job: j, recalled: true})
			}
		}
		return nil, seen, err
	}
	if len(jobs) > 0 {
		fault.At(fault.ClaimCommitted)
	}
	return jobs, seen, nil
}

// tenure returns the epochs of those of the buckets that may be claimed from: this process believes that it holds them,
// and the store says so in the transaction itself. What it no longer holds it drops.
func (e *Engine) tenure(tx *store.Tx, group []int) (map[int]int64, error) {
	if e.holding == nil {
		all := make(map[int]int64, len(group))
		for _, b := range group {
			all[b] = 0
		}
		return all, nil
	}
	node, epochs := e.holding.tenure(group)
	if len(epochs) == 0 {
		return nil, nil
	}
	held, err := tx.Leased(node, sortedKeys(epochs))
	if err != nil {
		return nil, err
	}
	for b, epoch := range epochs {
		if held[b] != epoch {
			e.holding.drop([]int{b})
			delete(epochs, b)
		}
	}
	return epochs, nil
}

func (e *Engine) dropClaims(jobs []job) {
	for i := range jobs {
		e.fence.begin(jobs[i].contact.BorrowerID, jobs[i].attempt.ID)
		e.router.Return(&jobs[i].ticket)
	}
}

// claimDue claims what is due in the buckets that may be claimed from, and ends what is over.
func (e *Engine) claimDue(tx *store.Tx, epochs map[int]int64, limit int, seen *DispatchReport, jobs *[]job) error {
	if len(epochs) == 0 {
		return nil
	}
	due, err := tx.DueContacts(sortedKeys(epochs), tx.Now(), limit)
	if err != nil || len(due) == 0 {
		return err
	}
	seen.Due, seen.More = len(due), len(due) == limit
	return e.judge(tx, due, epochs, seen, jobs)
}

// judge decides contacts that are due, bucket by bucket, and writes what was decided. What it claimed stands in jobs even where it
// fails: each has taken something of a carrier's rate.
func (e *Engine) judge(tx *store.Tx, due []store.Due, epochs map[int]int64, seen *DispatchReport, jobs *[]job) error {
	feedAt, err := tx.FeedAt(FeedPayments)
	if err != nil {
		return err
	}
	contacts, byID, err := e.recall(tx, due)
	if err != nil {
		return err
	}
	refusers, err := e.refusers(tx, contacts)
	if err != nil {
		return err
	}
	var moves []store.Move
	*jobs = make([]job, 0, len(contacts))
	for len(contacts) > 0 {
		bucket, n := contacts[0].BorrowerID.Bucket(), 1
		for n < len(contacts) && contacts[n].BorrowerID.Bucket() == bucket {
			n++
		}
		c := &claimer{e: e, tx: tx, bucket: bucket, epoch: epochs[bucket], now: tx.Now(), feedAt: feedAt, seen: seen, jobs: jobs, refusers: refusers}
		if c.state, err = tx.Bucket(bucket); err != nil {
			return err
		}
		if c.entry, err = tx.AuditNext(bucket); err != nil {
			return err
		}
		for i := range contacts[:n] {
			if err := c.judge(&contacts[i], byID[contacts[i].BorrowerID]); err != nil {
				return err
			}
		}
		if len(c.moves) > 0 {
			tx.Audit(bucket, auditClaimed, "engine", "", claimDetail(c.moves, c.seals))
		}
		moves = append(moves, c.moves...)
		contacts = contacts[n:]
	}
	return write(tx, moves, *jobs)
}

// recall reads the persons of contacts that are due, and the contacts, in their order. A person comes with the contacts that
// count; one that does not, or whose borrower is not known, is read by its id.
func (e *Engine) recall(tx *store.Tx, due []store.Due) ([]duly.Contact, map[duly.BorrowerID]*duly.Person, error) {
	ids := make([]duly.BorrowerID, len(due))
	for i := range due {
		ids[i] = due[i].Borrower
	}
	persons, err := tx.PersonsOf(unique(ids), e.since(tx.Now()))
	if err != nil {
		return nil, nil, err
	}
	byID := make(map[duly.BorrowerID]*duly.Person, len(persons))
	for i := range persons {
		byID[persons[i].Borrower.ID] = &persons[i]
	}
	contacts, missing := make([]duly.Contact, len(due)), []duly.ContactID(nil)
	for i, d := range due {
		if c := contactOf(byID[d.Borrower], d.Contact); c != nil {
			contacts[i] = *c
		} else {
			missing = append(missing, d.Contact)
		}
	}
	if len(missing) == 0 {
		return contacts, byID, nil
	}
	others, err := tx.FindContacts(missing)
	if err != nil {
		return nil, nil, err
	}
	for i, d := range due {
		if contacts[i].ID != "" {
			continue
		}
		c, ok := others[d.Contact]
		if !ok {
			return nil, nil, fmt.Errorf("contact %s is to be sent and is not there", d.Contact)
		}
		contacts[i] = c
	}
	return contacts, byID, nil
}

// contactOf returns the contact of a person, or nil.
func contactOf(p *duly.Person, id duly.ContactID) *duly.Contact {
	if p == nil {
		return nil
	}
	for i := range p.Contacts {
		if p.Contacts[i].ID == id {
			return &p.Contacts[i]
		}
	}
	return nil
}

// write stores the moves of a claim, and the attempts that are about to be made.
func write(tx *store.Tx, moves []store.Move, jobs []job) error {
	if err := tx.MoveContacts(moves); err != nil {
		return err
	}
	attempts := make([]duly.Attempt, len(jobs))
	for i := range jobs {
		attempts[i] = jobs[i].attempt
	}
	return tx.PutAttempts(attempts)
}

// claimer is one bucket's part of a claim.
type claimer struct {
	e      *Engine
	tx     *store.Tx
	bucket int
	epoch  int64
	now    time.Time
	feedAt time.Time
	state  store.Bucket
	entry  int64                     // of the audit, that this claim will have
	seals  map[duly.ContactID]string // commitments to the certificates
	seen   *DispatchReport
	was    *duly.Contact // the contact that is judged, as it was read
	moves  []store.Move
	jobs   *[]job // of the claim so far

	refusers map[duly.ContactID][]string // of contacts that were tried before: the carriers that refused
}

// judge decides one contact and records the decision in moves, and in jobs if it may go.
func (c *claimer) judge(contact *duly.Contact, p *duly.Person) error {
	read := *contact
	c.was = &read
	if !c.now.Before(contact.ExpiresAt) {
		c.expire(contact)
		return nil
	}
	if p == nil {
		c.end(contact, duly.Blocked, "borrower_unknown")
		return nil
	}
	was := contact.Items
	c.refresh(contact, p)
	lane := c.e.laneOf(contact.Strategy)
	point := p.Point(contact.PointID)
	switch {
	case len(contact.Items) == 0:
		c.end(contact, duly.Cancelled, goneBecause(was, p))
	case !contact.Day.After(c.e.restoredGap().through):
		c.end(contact, duly.Cancelled, duly.ReasonRestored) // the plan has seen to it; this is the last wall
	case lane == nil:
		c.end(contact, duly.Cancelled, duly.CancelReplaced)
	case len(c.e.carriers[contact.Channel]) == 0:
		c.end(contact, duly.Blocked, "no_carrier")
	case point == nil || !point.State.Usable():
		c.end(contact, duly.Blocked, "no_contact_point")
	case !c.e.clockOK(c.state, p, c.now):
		c.postpone(contact, c.now.Add(clockRetry), codeClock)
	default:
		if choice := c.e.router.Ready(c.now, contact.Channel); choice.Index < 0 {
			c.sendAway(contact, choice)
			return nil
		}
		return c.ask(contact, p, lane, point)
	}
	return nil
}

// clockRetry is when a contact is asked about again that was held because the clock is behind what is on record.
const clockRetry = time.Minute

// clockOK reports whether the clock is not behind what is on record: a clock that was set back, or a store that another
// machine with a faster clock writes to, would make every window and cap a guess. A step has one now for long; facts that
// came in since it began are later than it, and no fault of the clock's.
func (e *Engine) clockOK(state store.Bucket, p *duly.Person, now time.Time) bool {
	if e.cfg.Clock != nil {
		if t := e.cfg.Clock(); t.After(now) {
			now = t
		}
	}
	return !state.ChangedAt.After(now) && !p.LatestEvent().After(now)
}

// goneBecause says why none of a contact's items is left: paid, or something about them changed.
func goneBecause(items []duly.Item, p *duly.Person) string {
	for _, it := range items {
		for i := range p.Installments {
			if in := &p.Installments[i]; in.LoanID == it.LoanID && in.No == it.No && in.Open() {
				return duly.CancelReplaced
			}
		}
	}
	return duly.CancelPaid
}

// refresh makes the contact's items what the ledger says now: what is settled drops out, what is owed is exact.
func (c *claimer) refresh(contact *duly.Contact, p *duly.Person) {
	contact.Items = openItems(contact.Items, p)
}

// openItems returns those of the items that are still owed and still due on the day they were, with what is owed now. One
// whose due day was moved is for the plan to look at anew: the step's words and hours were for the old day.
func openItems(items []duly.Item, p *duly.Person) []duly.Item {
	out := make([]duly.Item, 0, len(items))
	for _, it := range items {
		for i := range p.Installments {
			in := &p.Installments[i]
			if in.LoanID == it.LoanID && in.No == it.No && in.DueOn == it.DueOn && in.Open() {
				out = append(out, duly.Item{LoanID: in.LoanID, No: in.No, DueOn: in.DueOn, Outstanding: in.Outstanding()})
			}
		}
	}
	return out
}

// ask renders the words and asks the gate with authority.
func (c *claimer) ask(contact *duly.Contact, p *duly.Person, l *lane, point *duly.ContactPoint) error {
	words, variables, err := c.e.words(contact, p, c.e.named[contact.Channel], c.now)
	if err != nil {
		if e, ok := errors.AsType[*duly.Error](err); ok {
			contact.Decision = unfitWords("words_refused", e.Message)
			c.end(contact, duly.Blocked, "words_refused")
			return nil
		}
		return err
	}
	facts := &rule.Facts{
		Phase: rule.PhaseSend, Now: c.now, Person: p, Contact: contact, DaysPastDue: daysPastDue(contact, c.e.Today(c.now)),
		AmountDue: amountDue(contact), Text: words.Text, Actor: rule.Actor{Type: "system"}, Calendars: c.e.calendars,
		FeedAt: c.feedAt, FeedMaxAge: c.e.cfg.FeedMaxAge, ClockOK: true, // judge has seen to it
	}
	c.e.cfg.Law.Tell(facts)
	contact.Decision = gate.Check(facts, l.rules)
	switch contact.Decision.Verdict {
	case duly.Allow:
		if c.e.inFlight(p, contact, c.now) {
			c.end(contact, duly.Blocked, "debit_in_flight")
			return nil
		}
		if n := tries(p, contact, c.now); c.e.cfg.FanOut > 0 && n >= c.e.cfg.FanOut {
			c.e.log.Error("more tries to send to one person within a day than the configuration allows; nothing more is sent", "borrower", contact.BorrowerID.Masked(), "tries", n)
			c.end(contact, duly.Blocked, codeFanOut)
			return nil
		}
		ticket, choice := c.e.router.Take(&route.Ask{Now: c.now, Channel: contact.Channel, To: point.Value, Segments: words.Segments, Tried: c.refusers[contact.ID]})
		if choice.Index < 0 {
			c.sendAway(contact, choice)
			return nil
		}
		c.take(contact, p, ticket, point, words, variables)
	case duly.Defer:
		if contact.Decision.NotBefore.Before(contact.ExpiresAt) {
			c.postpone(contact, contact.Decision.NotBefore, contact.Decision.Code())
		} else {
			c.end(contact, duly.Blocked, contact.Decision.Code())
		}
	case duly.Block, duly.NoVerdict:
		c.end(contact, duly.Blocked, contact.Decision.Code())
	}
	return nil
}

// take claims the contact: the attempt that is about to be made, with the proof of what was known.
func (c *claimer) take(contact *duly.Contact, p *duly.Person, ticket route.Ticket, point *duly.ContactPoint, words message.Words, variables map[string]string) {
	carrier := c.e.carriers[contact.Channel][ticket.Index]
	if !carrier.Caps().Variables { // another of the channel's asks for them
		variables = nil
	}
	contact.Attempts++
	contact.State, contact.Reason = duly.Claimed, ""
	if contact.SentAt.IsZero() {
		contact.SentAt = c.now
	}
	contact.ChangedAt = c.now
	a := duly.Attempt{
		ID: duly.NewAttemptID(contact.ID, contact.Attempts), ContactID: contact.ID, BorrowerID: contact.BorrowerID,
		No: contact.Attempts, Carrier: carrier.Name(), State: duly.AttemptOpen, Segments: words.Segments, Text: words.Text,
		Known: duly.Knowledge{
			LedgerVersion: c.state.Version, FeedAt: c.feedAt, Items: contact.Items, Packs: contact.Decision.Packs,
			Strategy: contact.Strategy + "@" + contact.StrategyHash,
		},
		Cost:      duly.Cost{Micros: int64(ticket.Cost), Currency: ticket.Currency},
		ClaimedAt: c.now, LeaseUntil: c.now.Add(c.e.cfg.Lease),
	}
	if c.seals == nil {
		c.seals = map[duly.ContactID]string{}
	}
	c.seals[contact.ID] = certify(&a, &contact.Decision, c.entry)
	j := job{contact: *contact, attempt: a, to: point.Value, subject: words.Subject, language: words.Language, variables: variables, carrier: carrier, ticket: ticket, epoch: c.epoch, known: restraints(p, c.now.AddDate(0, 0, -historyDays))}
	if c.e.cfg.Clock != nil {
		j.claimedAt = c.e.cfg.Clock()
	}
	*c.jobs = append(*c.jobs, j)
	c.moves = append(c.moves, store.Move{Contact: *contact, From: duly.Planned, Was: c.was})
	c.seen.Claimed++
	for i := range p.Contacts { // what is judged next for this person must see this one as sent
		if p.Contacts[i].ID == contact.ID {
			p.Contacts[i] = *contact
		}
	}
}

// expire cancels a contact whose time is over.
func (c *claimer) expire(contact *duly.Contact) {
	contact.State, contact.Reason = duly.Cancelled, duly.CancelExpired
	c.moves = append(c.moves, store.Move{Contact: *contact, From: duly.Planned, Was: c.was})
	c.seen.Expired++
}

func (c *claimer) end(contact *duly.Contact, state duly.ContactState, reason string) {
	contact.State, contact.Reason, contact.FallbackAt = state, reason, time.Time{}
	c.moves = append(c.moves, store.Move{Contact: *contact, From: duly.Planned, Was: c.was})
	c.seen.held(state, reason)
}

func (c *claimer) postpone(contact *duly.Contact, until time.Time, reason string) {
	contact.NotBefore, contact.Reason = until, reason
	c.moves = append(c.moves, store.Move{Contact: *contact, From: duly.Planned, Was: c.was})
	c.seen.held(duly.Planned, reason)
}

func moveDetail(moves []store.Move) [][3]string {
	out := make([][3]string, len(moves))
	for i := range moves {
		m := &moves[i].Contact
		out[i] = [3]string{string(m.ID), string(m.State), m.Reason}
	}
	return out
}

// words renders the contact from the facts of this moment; where a carrier asks for them, with the variables by name.
func (e *Engine) words(c *duly.Contact, p *duly.Person, named bool, now time.Time) (message.Words, map[string]string, error) {
	v := &message.Values{
		Name: p.Borrower.Name, Lender: e.cfg.Lender, ServicePhone: e.cfg.ServicePhone, Code: checkCode(c.ID),
		Items: c.Items, Today: e.Today(now), Contracts: make(map[duly.LoanID]string, len(c.Items)),
	}
	for _, it := range c.Items {
		if l := p.Loan(it.LoanID); l != nil {
			v.Contracts[it.LoanID] = l.ContractNo
			if l.ContractNo == "" {
				v.Contracts[it.LoanID] = string(l.ID)
			}
		}
	}
	v.DebitReason = failedDebit(p, c)
	w, err := e.messages.Render(c.Template, p.Borrower.Language, c.Channel, v)
	if err != nil || !named {
		return w, nil, err
	}
	if c.Channel.Call() { // a dialogue has words of its own
		return w, message.Known(w.Language, v), nil
	}
	variables, err := e.messages.Variables(c.Template, p.Borrower.Language, c.Channel, v)
	return w, variables, err
}

// checkCode is the short code by which a borrower can ask whether a message is really the lender's.
func checkCode(id duly.ContactID) string {
	s := string(id)
	return s[max(0, len(s)-6):]
}

// failedDebit returns why the latest debit of one of the contact's instalments failed, or "".
func failedDebit(p *duly.Person, c *duly.Contact) string {
	var latest *duly.Debit
	for i := range p.Debits {
		d := &p.Debits[i]
		if about(c, d) && (latest == nil || d.At.After(latest.At)) {
			latest = d
		}
	}
	if latest == nil || latest.State != duly.DebitFailed {
		return ""
	}
	if latest.Reason == "" {
		return "unknown" // the words for it say that the debit failed, and no more
	}
	return latest.Reason
}

// inFlight reports whether a debit of one of the contact's instalments is on its way.
func (e *Engine) inFlight(p *duly.Person, c *duly.Contact, now time.Time) bool {
	return slices.ContainsFunc(c.Items, func(it duly.Item) bool {
		return strategy.DebitInFlight(p, it.LoanID, it.No, now, e.cfg.Location)
	})
}

func about(c *duly.Contact, d *duly.Debit) bool {
	return slices.ContainsFunc(c.Items, func(it duly.Item) bool { return it.LoanID == d.LoanID && it.No == d.InstallmentNo })
}

func unfitWords(code, facts string) duly.Decision {
	return duly.Decision{Verdict: duly.Block, Reasons: []duly.Reason{{
		Code: code, Rule: "SEND-01", Pack: "built-in", Force: duly.ForcePolicy, Verdict: duly.Block,
		Source: "a message with a missing or unfit value is not sent", Facts: facts,
	}}}
}
