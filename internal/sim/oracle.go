package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/store"
)

// The promises, as breaches name them.
const (
	promisePaid     = "no contact after payment"
	promiseAmount   = "the amount is what the ledger says"
	promiseHours    = "none outside a window"
	promiseWish     = "only in the hours asked for"
	promiseCap      = "none over a cap"
	promiseHold     = "none under a hold"
	promiseRefusal  = "no contact after a refusal"
	promiseDebit    = "none while a debit is under way"
	promiseTwice    = "never twice"
	promiseLease    = "nothing is sent without a lease"
	promiseClock    = "nothing is sent by a clock that is behind"
	promiseFeed     = "nothing is sent on stale payments"
	promiseCatchUp  = "one catch-up message after an outage"
	promiseState    = "every contact in one legal state"
	promiseAccount  = "every contact is accounted for"
	promiseForgot   = "nobody is forgotten"
	promiseMoney    = "money balances"
	promiseAudit    = "the audit holds"
	promiseSettled  = "planning again changes nothing"
	promiseCounts   = "counts close"
	promiseRecorded = "what leaves is on record"
)

// posted holds a POST that begins against the promises, by what the world knows itself. The store is asked only what the
// message is about.
func (w *world) posted(p *process, m *channel.Message) {
	w.count.Posts++
	w.count.Checks++
	k := w.ledger.of(m.BorrowerID)
	broke := func(promise, format string, args ...any) {
		id, _ := m.AttemptID.Contact()
		w.broke(&Breach{Violation{promise, id, fmt.Sprintf(format, args...)}, m.BorrowerID, w.now})
	}
	id, _ := m.AttemptID.Contact()
	var c duly.Contact
	var a duly.Attempt
	err := w.eye.View(w.ctx, func(tx *store.Tx) (err error) {
		if c, err = tx.FindContact(id); err == nil {
			a, err = tx.FindAttempt(m.AttemptID)
		}
		return err
	})
	if err != nil {
		broke(promiseRecorded, "an attempt is sent that is not on record: %v", err)
		return
	}
	at := p.clock()
	w.tell(m.BorrowerID, "POST %s by %s: step %s of %s by %s about %s", m.AttemptID, p.name, c.Step, c.Day, c.Channel, itemsText(c.Items))
	fmt.Fprintf(w.sum, "post %s %d\n", m.AttemptID, at.UnixMicro())
	if !p.leased() {
		broke(promiseLease, "%s was last heard at %s, its lease is %s", p.name, w.show(p.heard), nodeLease)
	}
	if behind, ok := w.behind[m.BorrowerID.Bucket()]; ok && behind.Equal(a.ClaimedAt) {
		broke(promiseClock, "claimed at %s by its clock, and %s is on record", w.show(a.ClaimedAt), w.show(w.lastWrite[m.BorrowerID.Bucket()]))
	}
	if age := a.ClaimedAt.Sub(w.feed); age > feedMaxAge {
		broke(promiseFeed, "payments were known up to %s only", w.show(w.feed))
	}
	w.checkMoney(k, &c, broke)
	w.checkHours(k, &c, at, broke)
	if kind := k.heldBy(&c, c.Purpose, at); kind != "" {
		broke(promiseHold, "a hold of kind %s stands", kind)
	}
	if key := k.refused(&c, at); key != "" {
		broke(promiseRefusal, "refused by key %s", key)
	}
	if k.debited(&c, at) {
		broke(promiseDebit, "a debit of what it is about is in flight")
	}
	w.checkCaps(p, k, &c, at, broke)
	l := k.letters[c.ID]
	switch {
	case l == nil:
		l = &letter{contact: c.ID, step: c.Step, day: c.Day, channel: c.Channel}
		k.letters[c.ID] = l
		k.sent = append(k.sent, l)
	case l.taken > 0 || l.unproven:
		broke(promiseTwice, "an earlier try may have gone out: %s", l.attempt)
	}
	l.attempt, l.at, l.refused, l.unproven = m.AttemptID, at, false, true // until the carrier answers
	w.checkCatchUp(k, l, broke)
}

func itemsText(items []duly.Item) string {
	s := ""
	for i, it := range items {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s/%d due %s owing %s", it.LoanID, it.No, it.DueOn, it.Outstanding)
	}
	return s
}

func (w *world) checkMoney(k *known, c *duly.Contact, broke func(string, string, ...any)) {
	owed := k.owed()
	for _, it := range c.Items {
		switch left, ok := owed[itemKey{it.LoanID, it.No}]; {
		case !ok || left == 0:
			broke(promisePaid, "%s/%d is settled", it.LoanID, it.No)
		case left != it.Outstanding.Minor:
			broke(promiseAmount, "%s/%d owes %d, the message is about %d", it.LoanID, it.No, left, it.Outstanding.Minor)
		}
	}
}

// checkHours holds the instant against the step's hours, those of the law and those asked for.
func (w *world) checkHours(k *known, c *duly.Contact, at time.Time, broke func(string, string, ...any)) {
	if len(k.zones) == 0 {
		broke(promiseHours, "no zone of the borrower is known")
		return
	}
	clock := func() string { return at.In(k.zones[0]).Format("15:04:05 ") + k.zones[0].String() }
	if pol := w.policies[c.StrategyHash]; pol == nil {
		broke(promiseHours, "of no strategy that was published")
	} else if st := pol.step(c.Step); st == nil || !within(at, st.from, st.to, k.zones) {
		broke(promiseHours, "%s is outside the hours of step %s", clock(), c.Step)
	}
	if from, to := lawful(c.Purpose); !within(at, from, to, k.zones) {
		broke(promiseHours, "%s is outside the hours of law", clock())
	}
	if k.unwanted(at) {
		broke(promiseWish, "%s", at.In(k.zones[0]).Format("Mon 15:04:05 ")+k.zones[0].String())
	}
}

// checkCaps holds the message against the limits of the strategy and of the pack that the process has, and its hours.
func (w *world) checkCaps(p *process, k *known, c *duly.Contact, at time.Time, broke func(string, string, ...any)) {
	if !within(at, p.policy.from, p.policy.to, k.zones) {
		broke(promiseHours, "%s is outside the hours of the rule pack", w.show(at))
	}
	if n := k.counted(c.ID, at, 1); n >= min(p.policy.dayMax, p.policy.lawMax) {
		broke(promiseCap, "%d today before it, at most %d in all", n, min(p.policy.dayMax, p.policy.lawMax))
	}
	if n := k.counted(c.ID, at, 7); n >= p.policy.weekMax {
		broke(promiseCap, "%d in seven days before it, at most %d in all", n, p.policy.weekMax)
	}
}

// checkCatchUp counts what makes up for days on which nobody planned: one message to a person, after each such time.
func (w *world) checkCatchUp(k *known, l *letter, broke func(string, string, ...any)) {
	resumed, missed := w.resumed(l.day)
	if !missed {
		return
	}
	for _, s := range k.sent {
		if s == l || s.taken == 0 || s.step == l.step && s.day == l.day {
			continue
		}
		if other, ok := w.resumed(s.day); ok && other == resumed {
			broke(promiseCatchUp, "step %s of %s was made up for already", s.step, s.day)
			return
		}
	}
}

// resumed returns the first day after one on which nobody planned, or false where somebody did.
func (w *world) resumed(day civil.Date) (civil.Date, bool) {
	if w.planned[day] || day.Before(w.start) {
		return day, false
	}
	for d := day.Add(1); !d.After(w.today); d = d.Add(1) {
		if w.planned[d] {
			return d, true
		}
	}
	return day, false
}

// answered notes what the carrier said to the POST.
func (w *world) answered(id duly.AttemptID, err error) {
	l := w.letterOf(id)
	if l == nil {
		return
	}
	class := "accepted"
	if e, ok := errors.AsType[*channel.Error](err); ok {
		class = string(e.Class)
	}
	l.unproven = class == string(channel.Unknown)
	l.refused = err != nil && !l.unproven
	fmt.Fprintf(w.sum, "answer %s %s\n", id, class)
	w.tell(w.borrowerOf(id), "the carrier answers %s: %s", id, class)
}

// taken notes that the carrier took a message.
func (w *world) taken(id duly.AttemptID) {
	w.count.Sent++
	if l := w.letterOf(id); l != nil {
		l.taken++
	}
}

// told notes a receipt that is on record. One that does not name the attempt itself may be traced late, or never.
func (w *world) told(id duly.AttemptID, status duly.ReceiptStatus, sure bool) {
	l := w.letterOf(id)
	if l == nil {
		return
	}
	switch status {
	case duly.ReceiptFailed, duly.ReceiptBadAddress, duly.ReceiptOptedOut:
		l.failed = true
	case duly.ReceiptRead:
		l.read = l.read || sure
		l.arrived = true
	case duly.ReceiptDelivered:
		l.arrived = true
	case duly.ReceiptAccepted:
	}
	w.tell(w.borrowerOf(id), "receipt for %s: %s", id, status)
}

// letterOf finds the letter of an attempt: of the person in its bucket who has it.
func (w *world) letterOf(id duly.AttemptID) *letter {
	c, _ := id.Contact()
	b, _ := id.Bucket()
	for _, who := range w.byBucket[b] {
		if l := w.ledger.of(who).letters[c]; l != nil {
			return l
		}
	}
	return nil
}

func (w *world) borrowerOf(id duly.AttemptID) duly.BorrowerID {
	c, _ := id.Contact()
	b, _ := id.Bucket()
	for _, who := range w.byBucket[b] {
		if w.ledger.of(who).letters[c] != nil {
			return who
		}
	}
	return ""
}

// historyDays is how far back persons are read to be planned again: further than any rule of a policy counts.
const historyDays = 35

// noteMoved notes what a dispatch moved at the very instant at which a process steps: it stepped at it before, or another did by its
// own clock. Contacts that the plan changes are known by their instant, and these bear the same.
func (w *world) noteMoved(p *process) {
	p.moved = nil
	now := p.clock().Truncate(time.Microsecond)
	buckets := w.sent[now.UnixMicro()]
	if len(buckets) == 0 {
		return
	}
	p.moved = map[duly.ContactID]store.Sight{}
	err := w.eye.View(w.ctx, func(tx *store.Tx) error {
		sights, err := tx.Sights(sorted(buckets), now)
		for _, s := range sights {
			p.moved[s.ID] = s
		}
		return err
	})
	if err != nil {
		w.fail(err)
	}
}

// planAgain plans once more whom a process has just planned: nothing may change. Whom only a dispatch moved, it has not planned: what
// the gate puts off because payments are not known is no matter of the plan's, which takes it for free again when next it looks.
func (w *world) planAgain(p *process) {
	w.planned[civil.In(p.clock(), w.loc)] = true
	if len(p.planned) == 0 {
		return
	}
	buckets := sorted(p.planned)
	clear(p.planned)
	now := p.clock()
	since := now.AddDate(0, 0, -historyDays)
	err := w.eye.View(w.ctx, func(tx *store.Tx) error {
		sights, err := tx.Sights(buckets, now.Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		var ids []duly.BorrowerID // not others of their buckets: time alone may have changed what those need
		for _, s := range sights {
			if p.moved[s.ID] != s {
				ids = append(ids, s.Borrower)
			}
		}
		slices.SortFunc(ids, func(a, b duly.BorrowerID) int { return cmp.Or(a.Bucket()-b.Bucket(), cmp.Compare(a, b)) })
		ids = slices.Compact(ids)
		persons, err := tx.PersonsOf(ids, store.Since{Facts: since, Contacts: since})
		if err != nil {
			return err
		}
		states, err := tx.Buckets(buckets)
		if err != nil {
			return err
		}
		for i := range persons {
			who := persons[i].Borrower.ID
			w.count.Checks++
			r, err := plan.Next(&plan.Input{
				Person: &persons[i], Strategy: p.policy.strategy, Rules: p.policy.set, Calendars: w.calendars, Location: w.loc, Now: now,
				PlannedThrough: states[who.Bucket()].PlannedThrough,
			})
			if err != nil {
				return err
			}
			for _, c := range r.Changes {
				w.broke(&Breach{Violation{promiseSettled, c.Contact.ID, fmt.Sprintf("step %s of %s becomes %s (%s) from %q", c.Contact.Step, c.Contact.Day,
					c.Contact.State, c.Contact.Reason, c.From)}, who, w.now})
			}
		}
		return nil
	})
	if err != nil {
		w.fail(err)
	}
}

// closes holds the counts of a step against each other.
func (w *world) closes(r *engine.Report) {
	d := &r.Dispatched
	w.count.Recalled += d.Recalled
	w.count.InDoubt += d.InDoubt + d.Lapsed
	held := 0
	for _, n := range d.Held {
		held += n
	}
	if d.Due != d.Claimed+d.Expired+held || d.Claimed+d.Late != d.Accepted+d.Failed+d.Retried+d.InDoubt+d.Recalled+d.Unanswered {
		w.broke(&Breach{Violation: Violation{Promise: promiseCounts, Story: fmt.Sprintf("%+v", *d)}, At: w.now})
	}
	if n := r.Planned.Failed; n > 0 {
		w.broke(&Breach{Violation: Violation{Promise: "nothing fails", Story: fmt.Sprintf("%d persons could not be planned", n)}, At: w.now})
	}
}
