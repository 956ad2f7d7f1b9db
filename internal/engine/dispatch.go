package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store"
)

// DispatchReport counts what a dispatch did. It closes: Due = Claimed + Expired + the sum of Held; Claimed + Late = Accepted + Failed +
// Retried + InDoubt + Recalled + Unanswered.
type DispatchReport struct {
	Due      int
	Claimed  int
	Held     map[string]int // by reason: postponed, blocked or cancelled when asked again
	Accepted int
	Failed   int // for good
	Retried  int // not accepted, planned again
	InDoubt  int
	Recalled int // stopped between claim and sending
	Expired  int // planned contacts whose time had passed
	Lapsed   int // tries of an earlier run whose lease ended without an answer: now in doubt
	Unknown  int // reservations of contacts outside Duly whose slot ran out: not known whether they were made
	Late     int // answers of earlier dispatches that came, or could be stored, only now
	// Again is when the next of those may go that a carrier's rate sent away; zero where there are none.
	Again time.Time
	// Unanswered are messages whose carriers have not answered yet: a later report counts them as Late.
	Unanswered int
	More       bool
}

func (r *DispatchReport) add(o DispatchReport) {
	r.Due += o.Due
	r.Claimed += o.Claimed
	r.Accepted += o.Accepted
	r.Failed += o.Failed
	r.Retried += o.Retried
	r.InDoubt += o.InDoubt
	r.Recalled += o.Recalled
	r.Expired += o.Expired
	r.Lapsed += o.Lapsed
	r.Unknown += o.Unknown
	r.Late += o.Late
	r.Unanswered += o.Unanswered
	r.More = r.More || o.More
	for k, n := range o.Held {
		r.hold(k, n)
	}
}

func (r *DispatchReport) hold(reason string, n int) {
	if r.Held == nil {
		r.Held = map[string]int{}
	}
	r.Held[reason] += n
}

func (r *DispatchReport) held(_ duly.ContactState, reason string) { r.hold(reason, 1) }

// Dispatch sends what is due: it claims bucket by bucket, hands the claimed contacts to workers that send them, and
// stores the answers in batches. Claims run ahead of the workers by little, because what is claimed can no longer be
// stopped by another process. Tries that an earlier run left open are put in doubt first, never sent again.
func (e *Engine) Dispatch(ctx context.Context, now time.Time) (DispatchReport, error) {
	var r DispatchReport
	if err := e.holding.joined(); err != nil {
		return r, err
	}
	if err := e.storeLate(ctx, now, &r); err != nil {
		return r, err
	}
	if err := e.lapse(ctx, now, &r); err != nil {
		return r, err
	}
	if g, err := e.learnGap(ctx, now); err != nil || g.held {
		return r, err
	}
	if err := e.overrunAll(ctx, now, &r); err != nil {
		return r, err
	}
	if err := e.learnRoutes(ctx, now); err != nil {
		return r, err
	}
	buckets, err := e.db.DueBuckets(ctx, now)
	if buckets = e.holding.Mine(buckets); err != nil || len(buckets) == 0 {
		r.Again = e.again(now)
		return r, errors.Join(err, e.tellCarriers(ctx, now))
	}
	busy := e.stragglers.below(ctx, e.cfg.Workers/2)
	p := newPipeline(ctx, e, now, max(1, e.cfg.Workers-busy))
	claimErr := p.claimAll(ctx, buckets, &r)
	finishErr := p.wait(&r)
	r.Again = e.again(now)
	return r, errors.Join(claimErr, finishErr, e.tellCarriers(ctx, now))
}

// pipeline is the moving part of one Dispatch: claims go in, answers come out.
type pipeline struct {
	e       *Engine
	now     time.Time
	workers int
	began   time.Time
	gains   int // of the holding, when it began
	jobs    chan job
	answers chan answer
	senders sync.WaitGroup
	storer  sync.WaitGroup
	under   chan int      // how many answers were stored, each time some were
	way     int           // claimed and not stored; of claimAll alone
	open    atomic.Int64  // handed to the senders, and the storer has no answer of it
	leave   chan struct{} // closed to have the storer leave what is still to come to the next dispatch
	err     error         // of the storer alone
	failed  atomic.Bool
	report  DispatchReport // of the storer alone
}

// answer is what became of a job.
type answer struct {
	job      job // its attempt knows when the POST began, if it did
	accepted channel.Accepted
	err      *channel.Error
	recalled bool
}

// underMax is more than the batches of answers that one Dispatch can store, so that telling of one never waits.
const underMax = dispatchMax + 2*claimMax

// dispatchFor is how long one Dispatch claims.
const dispatchFor = 10 * time.Second

// claimBucketsMin is from how many buckets the first claim is made, and claimSize how many contacts a claim takes: while one claim is
// sent the next is made.
const (
	claimBucketsMin = 8
	claimSize       = claimMax / 2
)

// answersMax is how many answers are stored in one transaction, and answerWait how long an answer waits for others.
const (
	answersMax = 256
	answerWait = 10 * time.Millisecond
	// finishLimit is how long the store may take to take them.
	finishLimit = 30 * time.Second
)

func newPipeline(ctx context.Context, e *Engine, now time.Time, workers int) *pipeline {
	p := &pipeline{
		e: e, now: now, workers: workers, began: e.fresh(now), gains: e.holding.gains(), jobs: make(chan job, workers),
		answers: make(chan answer, answersMax), under: make(chan int, underMax), leave: make(chan struct{}),
	}
	if e.cfg.Lockstep != nil {
		return p
	}
	for range workers {
		p.senders.Go(func() {
			for j := range p.jobs {
				p.answers <- e.send(ctx, j, e.fresh(now))
			}
		})
	}
	p.storer.Go(p.store)
	return p
}

func (p *pipeline) claimAll(ctx context.Context, buckets []int, r *DispatchReport) error {
	sent, size := 0, claimBucketsMin
	for len(buckets) > 0 {
		// Draining, claim no more: what is claimed is finished. Nor while answers cannot be stored, nor once a step should look anew.
		if ctx.Err() != nil || p.failed.Load() || sent >= dispatchMax || p.outdated() {
			r.More = true
			return nil
		}
		if p.e.allRest(p.e.fresh(p.now)) {
			return nil
		}
		p.clear(claimSize)
		if buckets = p.e.holding.Mine(buckets); len(buckets) == 0 {
			break
		}
		group := p.e.db.Groups(buckets)[0]
		group = group[:min(size, len(group))]
		jobs, got, err := p.e.claim(ctx, p.e.fresh(p.now), group, claimSize)
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		p.way += len(jobs)
		p.hand(ctx, jobs)
		sent += len(jobs)
		switch { // as many buckets as fill a claim, so that none is read for nothing
		case got.More:
			size = max(1, size/2)
		case got.Due < claimSize/2:
			size = min(2*size, duly.Buckets)
		}
		if !got.More {
			buckets = buckets[len(group):]
		}
		got.More = false
		r.add(got)
	}
	return nil
}

// outdated reports whether there is more to look at than the buckets that this dispatch began with: some of a node that is gone have
// come in, or it has lasted so long with a slow carrier that facts and receipts wait.
func (p *pipeline) outdated() bool {
	return p.e.holding.gains() != p.gains || p.e.fresh(p.now).Sub(p.began) > dispatchFor
}

// clear waits until so many contacts more can be on their way that they are no more than there are workers and a claim of
// claimMax. So a process that dies leaves no more in doubt than that, and a payment by another process waits behind no more.
func (p *pipeline) clear(more int) {
	for p.way > p.workers+claimMax-more {
		p.way -= <-p.under
	}
}

// hand gives claimed contacts to the senders; in lockstep it sends them, and stores the answers.
func (p *pipeline) hand(ctx context.Context, jobs []job) {
	if p.e.cfg.Lockstep == nil {
		p.open.Add(int64(len(jobs)))
		for _, j := range jobs {
			p.jobs <- j
		}
		return
	}
	batch := make([]answer, 0, len(jobs))
	for _, j := range jobs {
		p.e.at(PointSend, j.contact.BorrowerID)
		batch = append(batch, p.e.send(ctx, j, p.e.fresh(p.now)))
	}
	if len(batch) > 0 {
		p.e.at(PointAnswer, "")
		p.flush(batch)
	}
}

// wait returns when every answer is stored; or, where the engine is not that patient, when all that is still to come are answers of
// carriers that have been asked.
func (p *pipeline) wait(r *DispatchReport) error {
	if p.e.cfg.Lockstep == nil {
		p.await()
	}
	r.add(p.report)
	return p.err
}

// await waits for the storer.
func (p *pipeline) await() {
	close(p.jobs)
	go func() { p.senders.Wait(); close(p.answers) }()
	stored := make(chan struct{})
	go func() { p.storer.Wait(); close(stored) }()
	var out <-chan time.Time // never, where the engine waits for all
	if p.e.cfg.Patience > 0 {
		t := time.NewTicker(p.e.cfg.Patience)
		defer t.Stop()
		out = t.C
	}
	for waiting := true; waiting; {
		select {
		case <-stored:
			waiting = false
		case <-out:
			if len(p.jobs) == 0 {
				close(p.leave)
				<-stored
				waiting = false
			}
		}
	}
}

// store gathers answers and writes them. It goes on after a failure of the store, so that no sender waits for ever; what
// could not be stored is kept for the next dispatch, and comes to be in doubt if this process ends before.
func (p *pipeline) store() {
	batch := make([]answer, 0, answersMax)
	flush := func() {
		if len(batch) > 0 {
			p.flush(batch)
			batch = batch[:0]
		}
	}
	timer := time.NewTimer(answerWait)
	defer timer.Stop()
	for {
		select {
		case a, ok := <-p.answers:
			if !ok {
				flush()
				return
			}
			p.open.Add(-1)
			if batch = append(batch, a); len(batch) == answersMax {
				flush()
			}
		case <-p.leave:
			flush()
			n := int(p.open.Load())
			p.report.Unanswered = n
			p.e.adopt(n, p.answers)
			return
		case <-timer.C:
			flush()
			timer.Reset(answerWait)
		}
	}
}

// flush writes answers. They are facts that must be written even while the process drains; a store that has failed once is
// not waited for again by every batch.
func (p *pipeline) flush(batch []answer) {
	failed, err := batch, p.err
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), finishLimit)
		defer cancel()
		if failed, err = p.e.finish(ctx, p.e.fresh(p.now), batch, &p.report); err != nil {
			p.err = fmt.Errorf("store answers: %w", err)
		}
	}
	p.e.late.add(failed...)
	p.failed.Store(p.err != nil)
	p.under <- len(batch)
}

// A claim older than claimAgeMax is read once more ahead of the POST: a payment applied by another process shows only
// there. What was read then must be acted upon within readAgeMax, or is read again, a few times. One older than claimAgeLimit is
// taken back: what the gate allowed then it must be asked again.
const (
	claimAgeMax   = 100 * time.Millisecond
	readAgeMax    = 300 * time.Millisecond // a read may have to wait for a connection, and a busy machine for itself
	readsMax      = 4
	claimAgeLimit = 20 * time.Second
)

// fresh is now as it has become since a step began: a step may be long, windows and leases are not.
func (e *Engine) fresh(now time.Time) time.Time {
	if e.cfg.Clock != nil {
		if t := e.cfg.Clock().UTC(); t.After(now) {
			return t
		}
	}
	return now
}

// send makes one try, unless the fence has fallen since the claim.
func (e *Engine) send(ctx context.Context, j job, now time.Time) answer {
	begun, current := e.current(ctx, &j, now)
	if !e.fence.begin(j.contact.BorrowerID, j.attempt.ID) || !current {
		e.router.Return(&j.ticket)
		return answer{job: j, recalled: true}
	}
	j.attempt.BegunAt = begun
	timeout := j.carrier.Caps().Timeout
	if timeout <= 0 {
		timeout = sendTimeout
	}
	// A try that has begun is finished even while the process drains: giving it up would leave it in doubt.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), timeout, errSendTimeout)
	defer cancel()
	fault.At(fault.PostBefore)
	acc, err := j.carrier.Send(ctx, channel.Message{
		AttemptID: j.attempt.ID, BorrowerID: j.contact.BorrowerID, Channel: j.contact.Channel, To: j.to, Subject: j.subject,
		Text: j.attempt.Text, Language: j.language, Segments: j.attempt.Segments, ExpiresAt: j.contact.ExpiresAt, Now: now,
		Items: j.contact.Items, Tone: j.contact.Tone, Template: j.contact.Template, Variables: j.variables,
		Still: func(ctx context.Context) bool { return e.stillOwed(ctx, &j) },
	})
	fault.At(fault.PostAfter)
	if err == nil {
		e.heed(now, &j, &acc, nil)
		return answer{job: j, accepted: acc}
	}
	ce, ok := errors.AsType[*channel.Error](err)
	if !ok {
		ce = &channel.Error{Class: channel.Unknown, Code: "unclassified"}
	}
	e.heed(now, &j, nil, ce)
	return answer{job: j, err: ce}
}

const sendTimeout = 30 * time.Second

var errSendTimeout = errors.New("the carrier did not answer in time")

// current returns when the POST begins, and whether it may as far as what is known of the contact goes: that is young enough at
// this very reading of the clock, after which only the fence is asked. What has grown old is read once more, and that too must
// be young when it is acted upon: a process that was paused in between reads again. Else a payment that another process
// answered meanwhile would be passed by; the model in model_test.go has that story.
func (e *Engine) current(ctx context.Context, j *job, now time.Time) (time.Time, bool) {
	ageMax := claimAgeMax
	for range readsMax {
		begun := e.fresh(now) // read before the fence is asked: what stops it later has a later time
		if !begun.Before(j.contact.ExpiresAt) || begun.Sub(j.attempt.ClaimedAt) > claimAgeLimit {
			return begun, false
		}
		if e.cfg.Clock == nil {
			return begun, true
		}
		read := e.cfg.Clock()
		if elapsed(j.claimedAt, read) <= ageMax {
			return begun, true
		}
		if !e.stillClaimed(ctx, j) {
			return begun, false
		}
		j.claimedAt, ageMax = read, readAgeMax
	}
	return now, false // the store answers too slowly to be believed
}

// stillClaimed reads the contact and its person once more: it must be claimed still, every item of it owed as it was, and
// nothing changed that may stand in its way.
func (e *Engine) stillClaimed(ctx context.Context, j *job) bool {
	return e.still(ctx, j, func(s duly.ContactState) bool { return s == duly.Claimed })
}

// stillOwed is stillClaimed for what has been handed over: the carrier asks before it names the debt. Where the store cannot say, it
// is not named.
func (e *Engine) stillOwed(ctx context.Context, j *job) bool {
	return e.still(ctx, j, func(s duly.ContactState) bool { return s.CountsAsSent() })
}

func (e *Engine) still(ctx context.Context, j *job, on func(duly.ContactState) bool) bool {
	owed := false
	err := e.db.View(ctx, func(tx *store.Tx) error {
		c, err := tx.FindContact(j.contact.ID)
		if err != nil || !on(c.State) {
			return err
		}
		since := j.attempt.ClaimedAt.AddDate(0, 0, -historyDays)
		persons, err := tx.Persons(c.BorrowerID.Bucket(), []duly.BorrowerID{c.BorrowerID}, since)
		if err != nil || len(persons) != 1 {
			return err
		}
		owed = slices.Equal(openItems(j.contact.Items, &persons[0]), j.contact.Items) && restraints(&persons[0], since) == j.known
		return nil
	})
	return err == nil && owed
}

// restraints digests what of a person may stand in the way of a contact besides what is owed: holds, refusals, consents,
// notices, preferences, debits, contact points, what the borrower is, and contacts that others made since an instant. Two that are alike mean that
// nothing came in.
func restraints(p *duly.Person, since time.Time) uint64 {
	h := fnv.New64a()
	add := func(kind duly.FactKind, key, state string, version int64) {
		fmt.Fprintf(h, "%s\x00%s\x00%s\x00%d\x00", kind, key, state, version)
	}
	add(duly.FactBorrower, "", p.Borrower.Tier, p.Borrower.Version)
	for i := range p.Holds {
		add(duly.FactHold, p.Holds[i].FactKey(), "", p.Holds[i].Version)
	}
	for i := range p.OptOuts {
		add(duly.FactOptOut, p.OptOuts[i].FactKey(), "", p.OptOuts[i].Version)
	}
	for i := range p.Consents {
		add(duly.FactConsent, p.Consents[i].FactKey(), "", p.Consents[i].Version)
	}
	for i := range p.Notices {
		add(duly.FactNotice, p.Notices[i].FactKey(), "", p.Notices[i].Version)
	}
	for i := range p.Preferences {
		add(duly.FactPreference, p.Preferences[i].FactKey(), "", p.Preferences[i].Version)
	}
	for i := range p.Debits {
		add(duly.FactDebit, p.Debits[i].FactKey(), string(p.Debits[i].State), p.Debits[i].Version)
	}
	for i := range p.Points {
		add(duly.FactPoint, p.Points[i].FactKey(), string(p.Points[i].State), p.Points[i].Version)
	}
	for i := range p.Touches {
		if p.Touches[i].At.Before(since) {
			continue
		}
		add(duly.FactTouch, p.Touches[i].FactKey(), "", p.Touches[i].Version)
	}
	return h.Sum64()
}

// lapse puts in doubt every try whose lease ended without an answer: the process that made it died, or could not store
// the answer. It may have gone out, so it is never made again by itself.
func (e *Engine) lapse(ctx context.Context, now time.Time, r *DispatchReport) error {
	buckets, err := e.db.LeaseBuckets(ctx, now)
	if err != nil {
		return err
	}
	for _, b := range e.holding.Mine(buckets) {
		n := 0
		err := e.db.Update(ctx, now, []int{b}, func(tx *store.Tx) error {
			n = 0
			open, err := tx.OpenAttempts(b, tx.Now(), claimMax)
			if err != nil || len(open) == 0 {
				return err
			}
			var moves []store.Move
			for i := range open {
				a := &open[i]
				a.State, a.Class, a.Detail, a.EndedAt = duly.AttemptInDoubt, string(channel.Unknown), "lease_ended", tx.Now()
				c, err := tx.FindContact(a.ContactID)
				if err != nil {
					return err
				}
				if c.State == duly.Claimed {
					c.State, c.Reason, c.FallbackAt = duly.InDoubt, "lease_ended", time.Time{}
					moves = append(moves, store.Move{Contact: c, From: duly.Claimed})
				}
			}
			n = len(open)
			tx.Audit(b, "in_doubt", "engine", "lease_ended", contactIDs(moves))
			if err := tx.MoveContacts(moves); err != nil {
				return err
			}
			return tx.FinishAttempts(open)
		})
		if err != nil {
			return err
		}
		r.Lapsed += n
		r.More = r.More || n == claimMax
	}
	return nil
}

// daysPastDue is that of the contact's most overdue item.
func daysPastDue(c *duly.Contact, today civil.Date) int {
	worst := 0
	for i, it := range c.Items {
		if d := today.Sub(it.DueOn); i == 0 || d > worst {
			worst = d
		}
	}
	return worst
}

func amountDue(c *duly.Contact) int64 {
	var sum int64
	for _, it := range c.Items {
		sum += it.Outstanding.Minor
	}
	return sum
}
