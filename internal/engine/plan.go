package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/store"
)

// PlanReport counts what a plan did, by person and by contact.
type PlanReport struct {
	Buckets int
	Persons int // looked at
	New     int // contacts written for the first time, planned or blocked
	Moved   int // contacts that changed
	Planned int // of both, those that now wait to be sent
	Blocked int
	Failed  int // persons who could not be planned, and are not contacted; the log says why
}

func (r *PlanReport) add(o PlanReport) {
	r.Buckets += o.Buckets
	r.Persons += o.Persons
	r.New += o.New
	r.Moved += o.Moved
	r.Planned += o.Planned
	r.Blocked += o.Blocked
	r.Failed += o.Failed
}

// planWorkers is how many buckets are planned at a time: reading and deciding overlap, writing takes turns in SQLite.
const planWorkers = 2

// Plan writes the contacts that the day wants. A bucket is planned whole once a day, and again for persons whose facts
// changed or whose next rung is due. Planning twice changes nothing.
func (e *Engine) Plan(ctx context.Context, now time.Time) (PlanReport, error) {
	today := e.Today(now)
	if err := e.holding.joined(); err != nil {
		return PlanReport{}, err
	}
	if g, err := e.learnGap(ctx, now); err != nil || g.held {
		return PlanReport{}, err
	}
	buckets, persons, err := e.db.PlanBuckets(ctx, today, now)
	if buckets = e.holding.Mine(buckets); err != nil {
		return PlanReport{}, err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		total  PlanReport
		first  error
		groups [][]int
	)
	groups = e.planGroups(buckets, persons)
	work := func() {
		for {
			mu.Lock()
			if len(groups) == 0 || first != nil || ctx.Err() != nil {
				mu.Unlock()
				return
			}
			group := groups[0]
			groups = groups[1:]
			mu.Unlock()
			r, err := e.planGroup(ctx, now, today, e.holding.Mine(group))
			mu.Lock()
			total.add(r)
			if err != nil && first == nil {
				first = fmt.Errorf("buckets %v: %w", group, err)
			}
			mu.Unlock()
		}
	}
	if e.cfg.Lockstep != nil {
		work()
	} else {
		for range min(planWorkers, len(groups)) {
			wg.Go(work)
		}
		wg.Wait()
	}
	if first == nil {
		first = ctx.Err()
	}
	return total, first
}

// planPersonsMax bounds how many persons are held in memory by one worker, as far as buckets are even.
const planPersonsMax = 4000

// planGroups splits buckets into groups that are planned together: no more than the store takes well, and no more persons to be
// looked at than fit. A group is a commit: where few persons changed in many buckets, these are one.
func (e *Engine) planGroups(buckets []int, persons map[int]int64) [][]int {
	var out [][]int
	for _, group := range e.db.Groups(buckets) {
		first, sum := 0, int64(0)
		for i, b := range group {
			if i > first && sum+persons[b] > planPersonsMax {
				out = append(out, group[first:i:i])
				first, sum = i, 0
			}
			sum += persons[b]
		}
		out = append(out, group[first:])
	}
	return out
}

// planRetries bounds how often a bucket is planned anew because its facts changed meanwhile.
const planRetries = 8

// planGroup decides a group of buckets outside the write transaction and writes inside it those whose facts are still the
// same; the others are decided again.
func (e *Engine) planGroup(ctx context.Context, now time.Time, today civil.Date, group []int) (PlanReport, error) {
	var total PlanReport
	if len(group) == 0 { // they are another node's by now
		return total, nil
	}
	if err := e.keepSources(ctx, now); err != nil {
		return total, err
	}
	for range planRetries {
		decided, err := e.decideGroup(ctx, now, today, group)
		if err != nil {
			return total, err
		}
		var r PlanReport
		var stale []int
		err = e.db.Update(ctx, now, group, func(tx *store.Tx) error {
			r, stale = PlanReport{}, nil
			var fresh []*bucketInput
			for _, d := range decided {
				state, err := tx.Bucket(d.bucket)
				if err != nil {
					return err
				}
				if state.Version != d.state.Version {
					stale = append(stale, d.bucket)
					continue
				}
				fresh = append(fresh, d)
				r.add(d.report)
			}
			err := e.writePlan(tx, now, today, fresh)
			fault.At(fault.PlanUncommitted)
			return err
		})
		fault.At(fault.PlanCommitted)
		if err != nil {
			return total, err
		}
		total.add(r)
		if len(stale) == 0 {
			return total, nil
		}
		group = stale
	}
	return total, duly.Errorf(duly.Unavailable, "facts change faster than they can be planned").
		WithHint("try again; the buckets stay due for planning")
}

func (e *Engine) decideGroup(ctx context.Context, now time.Time, today civil.Date, group []int) ([]*bucketInput, error) {
	var out []*bucketInput
	err := e.db.View(ctx, func(tx *store.Tx) (err error) { out, err = e.readGroup(tx, now, today, group); return err })
	if err != nil {
		return nil, err
	}
	for _, in := range out {
		if in.changes, in.report, err = e.decide(in, now, today); err != nil {
			return nil, err
		}
		in.hash = decisionHash(in.report.Persons, in.changes)
	}
	return out, nil
}

// bucketInput is what one bucket's plan is decided from, and what was decided.
type bucketInput struct {
	bucket  int
	state   store.Bucket
	whole   bool // the day's plan, not only changed persons
	dirty   []duly.BorrowerID
	persons []duly.Person
	changes []plan.Change
	report  PlanReport
	hash    string // of what was decided
}

// readGroup reads the persons of buckets who are to be looked at, all buckets in the same few questions to the store.
func (e *Engine) readGroup(tx *store.Tx, now time.Time, today civil.Date, group []int) ([]*bucketInput, error) {
	states, err := tx.Buckets(group)
	if err != nil {
		return nil, err
	}
	out := make([]*bucketInput, len(group))
	at := make(map[int]*bucketInput, len(group))
	var whole []int
	for i, b := range group {
		out[i] = &bucketInput{bucket: b, state: states[b], whole: states[b].PlannedThrough.Before(today)}
		at[b] = out[i]
		if out[i].whole {
			whole = append(whole, b)
		}
	}
	ids, err := tx.Followups(group, now)
	if err != nil {
		return nil, err
	}
	dirty, err := tx.Dirty(group)
	if err != nil {
		return nil, err
	}
	for _, id := range dirty {
		in := at[id.Bucket()]
		in.dirty = append(in.dirty, id)
	}
	ids = append(ids, dirty...)
	if len(whole) > 0 {
		before, after := e.reach()
		due, err := tx.Due(whole, today.Add(-after), today.Add(before))
		if err != nil {
			return nil, err
		}
		waiting, err := tx.Waiting(whole) // also who no longer has anything due within reach
		if err != nil {
			return nil, err
		}
		ids = append(append(ids, due...), waiting...)
	}
	persons, err := tx.PersonsOf(unique(ids), e.since(now))
	for i := range persons {
		in := at[persons[i].Borrower.ID.Bucket()]
		in.persons = append(in.persons, persons[i])
	}
	return out, err
}

// decide asks package plan for every person, and returns the changes in the order in which they will be sent: contacts
// that are claimed together then lie together on disk.
func (e *Engine) decide(in *bucketInput, now time.Time, today civil.Date) ([]plan.Change, PlanReport, error) {
	r := PlanReport{Buckets: 1, Persons: len(in.persons)}
	var changes []plan.Change
	for i := range in.persons {
		res, err := e.next(&in.persons[i], now, today, in.state.PlannedThrough, false)
		if err != nil { // one person's trouble keeps nobody else from being planned
			e.log.Error("a person cannot be planned and is not contacted", "bucket", in.bucket, "error", err)
			r.Failed++
			res = plan.Result{Changes: blockPlanned(&in.persons[i])}
		}
		changes = append(changes, res.Changes...)
	}
	slices.SortStableFunc(changes, func(a, b plan.Change) int { return a.Contact.NotBefore.Compare(b.Contact.NotBefore) })
	for i := range changes {
		if changes[i].From == "" {
			r.New++
		} else {
			r.Moved++
		}
		switch changes[i].Contact.State {
		case duly.Planned:
			r.Planned++
		case duly.Blocked:
			r.Blocked++
		case duly.Claimed, duly.Accepted, duly.Delivered, duly.Read, duly.Failed, duly.InDoubt, duly.Cancelled:
		}
	}
	return changes, r, nil
}

// next is the plan of one person. Someone whom no strategy serves keeps nothing planned.
func (e *Engine) next(p *duly.Person, now time.Time, today, through civil.Date, explain bool) (plan.Result, error) {
	l, err := e.laneFor(p, today)
	if err != nil {
		return plan.Result{}, err
	}
	if l == nil {
		return plan.Result{Changes: unserved(p), Summary: "No strategy applies to this borrower."}, nil
	}
	g := e.restoredGap()
	return plan.Next(&plan.Input{
		UnknownThrough: g.through, SkipUnknown: g.skip,
		Person: p, Strategy: l.Strategy, Rules: l.rules, Calendars: e.calendars, Lender: e.cfg.Law, Location: e.cfg.Location,
		Now: now, PlannedThrough: through, Explain: explain,
	})
}

// blockPlanned keeps what waits for a person who cannot be planned from going out.
func blockPlanned(p *duly.Person) []plan.Change {
	var out []plan.Change
	for _, c := range p.Contacts {
		if c.State == duly.Planned {
			c.State, c.Reason, c.FallbackAt = duly.Blocked, "plan_failed", time.Time{}
			out = append(out, plan.Change{Contact: c, From: duly.Planned})
		}
	}
	return out
}

// unserved ends what is still to come for a person whom no strategy serves any more.
func unserved(p *duly.Person) []plan.Change {
	var out []plan.Change
	for _, c := range p.Contacts {
		from := c.State
		switch {
		case from == duly.Planned:
			c.State, c.Reason = duly.Cancelled, duly.CancelReplaced
		case c.FallbackAt.IsZero():
			continue
		}
		c.FallbackAt = time.Time{}
		out = append(out, plan.Change{Contact: c, From: from})
	}
	return out
}

func (e *Engine) writePlan(tx *store.Tx, now time.Time, today civil.Date, decided []*bucketInput) error {
	var rows []duly.Contact
	var moves []store.Move
	var rounds []store.Round
	for _, in := range decided {
		for i := range in.changes {
			if c := &in.changes[i]; c.From == "" {
				rows = append(rows, c.Contact)
			} else {
				moves = append(moves, store.Move{Contact: c.Contact, From: c.From, Was: in.was(&c.Contact)})
			}
		}
		rounds = append(rounds, store.Round{
			Bucket: in.bucket, Day: today, At: now, Through: in.state.PlannedThrough, Asked: in.dirty, Configuration: e.sources.Configuration,
			Persons: in.report.Persons, Changes: len(in.changes), Hash: in.hash,
		})
	}
	if err := tx.PutRounds(rounds); err != nil {
		return err
	}
	if err := tx.PutContacts(rows); err != nil {
		return err
	}
	if err := tx.MoveContacts(moves); err != nil {
		return err
	}
	if err := tx.PutAttempts(e.doubtful(contactsOf(rows, moves), now)); err != nil {
		return err
	}
	for _, in := range decided {
		if len(in.changes) > 0 {
			tx.Audit(in.bucket, "planned", "engine", today.String(), planDetail(in.changes))
		}
		if err := tx.ClearDirty(in.bucket, in.dirty); err != nil {
			return err
		}
		if in.whole {
			if err := tx.SetPlannedThrough(in.bucket, today); err != nil {
				return err
			}
		}
	}
	return nil
}

// contactsOf lists contacts that are written, and those that are moved.
func contactsOf(rows []duly.Contact, moves []store.Move) []duly.Contact {
	out := slices.Clone(rows)
	for i := range moves {
		out = append(out, moves[i].Contact)
	}
	return out
}

// was returns a contact as it was read, or nil.
func (in *bucketInput) was(c *duly.Contact) *duly.Contact {
	i, ok := slices.BinarySearchFunc(in.persons, c.BorrowerID, func(p duly.Person, id duly.BorrowerID) int { return cmp.Compare(p.Borrower.ID, id) })
	if !ok {
		return nil
	}
	for j := range in.persons[i].Contacts {
		if x := &in.persons[i].Contacts[j]; x.ID == c.ID {
			return x
		}
	}
	return nil
}

// planDetail lists each change as id, new state and reason: what an auditor compares with the contacts.
func planDetail(changes []plan.Change) [][3]string {
	out := make([][3]string, len(changes))
	for i := range changes {
		c := &changes[i].Contact
		out[i] = [3]string{string(c.ID), string(c.State), c.Reason}
	}
	return out
}
