package engine

import (
	"context"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/arrange"
	"github.com/dulyhq/duly/internal/store"
)

// Applied says what became of facts that were applied: how many were new, and how many contacts they stopped.
type Applied struct {
	Results   []store.PutResult // of each fact, in order
	Settled   int               // instalments that became settled
	Reopened  int               // instalments that a reversal opened again
	Stopped   int               // contacts cancelled because what they were about is paid
	Replies   int               // taken in, each with its Meaning
	Unsettled int               // borrowers whose payments do not fit their loans: held until a person looks
	elsewhere bool              // contacts of these borrowers are claimed by another process, whose fence is out of reach
}

// Count returns how many of the facts ended as r.
func (a *Applied) Count(r store.PutResult) int {
	n := 0
	for _, x := range a.Results {
		if x == r {
			n++
		}
	}
	return n
}

// Add adds the counts of another.
func (a *Applied) Add(o Applied) {
	a.Settled += o.Settled
	a.Reopened += o.Reopened
	a.Stopped += o.Stopped
	a.Replies += o.Replies
	a.Unsettled += o.Unsettled
}

// Apply makes facts known. Payments are allocated to the ledger before Apply returns, and every contact that waits for
// what they settle is cancelled in the same transaction: after Apply has returned nothing about it is sent. Facts without
// an owner are found theirs by their loan. What is wrong with a fact is in Results; an error means nothing was applied.
func (e *Engine) Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact) (Applied, error) {
	if err := e.FindOwners(ctx, facts); err != nil {
		return Applied{}, err
	}
	p, err := parcel(facts)
	if err == nil {
		err = e.foreign(p.Buckets())
	}
	if err != nil {
		return Applied{}, err
	}
	var out Applied
	err = e.db.Update(ctx, now, p.Buckets(), func(tx *store.Tx) error {
		out, err = e.applyParcel(tx, actor, p, true)
		return err
	})
	if err == nil {
		e.settleElsewhere(ctx, &out)
	}
	return out, err
}

// settleWait is how long a call waits for other processes to have seen what it applied.
const settleWait = readAgeMax + readAgeMax/4

// settleElsewhere waits, once facts are committed, until no other process can begin to send without having seen them: each
// begins only on what it claimed or read within the last claimAgeMax or readAgeMax, and by then that is after the commit. It goes by
// how long things take, not by what any clock shows.
func (e *Engine) settleElsewhere(ctx context.Context, a *Applied) {
	if !a.elsewhere {
		return
	}
	if e.cfg.Wait != nil {
		e.cfg.Wait(ctx, settleWait)
		return
	}
	wait := time.NewTimer(settleWait)
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-wait.C:
	}
}

// claimedElsewhere reports whether contacts of borrowers are claimed in a bucket that is not this process's.
func (e *Engine) claimedElsewhere(tx *store.Tx, bucket int, ids []duly.BorrowerID) (bool, error) {
	if len(ids) == 0 || len(e.holding.Mine([]int{bucket})) > 0 {
		return false, nil
	}
	open, err := tx.OpenContacts(bucket, unique(ids))
	return slices.ContainsFunc(open, func(c duly.Contact) bool { return c.State == duly.Claimed }), err
}

// parcel makes facts ready to be put: what the engine adds of its own to one is part of it.
func parcel(facts []duly.Fact) (*store.Parcel, error) {
	urgentCases(facts)
	return store.NewParcel(facts)
}

// apply is Apply inside a transaction.
func (e *Engine) apply(tx *store.Tx, actor string, facts []duly.Fact, single bool) (Applied, error) {
	p, err := parcel(facts)
	if err != nil {
		return Applied{}, err
	}
	return e.applyParcel(tx, actor, p, single)
}

// applyParcel is apply for facts made ready. Single facts make their persons dirty, so that the plan looks at them again;
// bulk facts make whole buckets due for planning.
func (e *Engine) applyParcel(tx *store.Tx, actor string, parcel *store.Parcel, single bool) (Applied, error) {
	facts := parcel.Facts
	results, err := tx.PutParcel(parcel)
	if err != nil {
		return Applied{}, err
	}
	if err := e.applyCases(tx, actor, facts, results); err != nil {
		return Applied{}, err
	}
	out := Applied{Results: results}
	if err := e.applyReplies(tx, facts, results, &out); err != nil {
		return Applied{}, err
	}
	settle, touched, dirty := map[int][]duly.BorrowerID{}, map[int][]duly.BorrowerID{}, map[int][]duly.BorrowerID{}
	owed := map[int][]duly.BorrowerID{}  // who has new loans or instalments, which earlier payments may settle
	stops := map[int][]duly.BorrowerID{} // whose contacts these facts may stop: not what is new of a book
	applied := map[duly.FactKind]int{}
	if err := e.toldAgain(tx, parcel, results, &out); err != nil {
		return Applied{}, err
	}
	for i, f := range facts {
		if results[i] != store.Added && results[i] != store.Changed {
			continue
		}
		applied[f.FactKind()]++
		b, _ := parcel.Bucket(i)
		push(touched, b, f.Owner())
		if results[i] == store.Changed || !ofBook(f.FactKind()) {
			push(stops, b, f.Owner())
		}
		switch f.FactKind() {
		case duly.FactPayment: // settle finds out whether the plan has something to look at
			push(settle, b, f.Owner())
			e.fence.stop(f.Owner())
		case duly.FactInstallment, duly.FactLoan:
			push(owed, b, f.Owner())
			push(dirty, b, f.Owner())
			if results[i] == store.Changed {
				push(settle, b, f.Owner())
			}
			e.fence.stop(f.Owner())
		case duly.FactHold, duly.FactOptOut, duly.FactDebit, duly.FactConsent, duly.FactPoint, duly.FactBorrower, duly.FactTouch, duly.FactNotice,
			duly.FactPreference:
			push(dirty, b, f.Owner())
			e.fence.stop(f.Owner())
		case duly.FactReply: // what it stops is a fact of its own
		case duly.FactCase: // a crisis holds its borrower; no other case changes what is planned
			if c, ok := f.(*duly.Case); ok && c.Kind == duly.CaseCrisis {
				push(dirty, b, f.Owner())
				e.fence.stop(f.Owner())
			}
		}
	}
	payers, err := tx.Payers(owed)
	if err != nil {
		return Applied{}, err
	}
	for _, id := range payers {
		settle[id.Bucket()] = append(settle[id.Bucket()], id)
	}
	for _, b := range sortedKeys(touched) {
		touched[b] = unique(touched[b])
		elsewhere, err := e.claimedElsewhere(tx, b, stops[b])
		if err != nil {
			return Applied{}, err
		}
		out.elsewhere = out.elsewhere || elsewhere
		if ids := unique(settle[b]); len(ids) > 0 {
			again, err := e.settle(tx, b, ids, &out)
			if err != nil {
				return Applied{}, err
			}
			dirty[b] = append(dirty[b], again...)
		}
		if err := markDirty(tx, b, dirty[b], single); err != nil {
			return Applied{}, err
		}
		tx.Audit(b, "facts", actor, "", factsDetail{applied, len(touched[b]), tx.Version(b)})
	}
	return out, nil
}

// toldAgain sees to facts that are known already, and are no part of a book: the process that applied them may have died before it
// had told others or waited for them, and this call is answered as if it had been the first.
func (e *Engine) toldAgain(tx *store.Tx, parcel *store.Parcel, results []store.PutResult, out *Applied) error {
	again := map[int][]duly.BorrowerID{}
	for i, f := range parcel.Facts {
		if b, ok := parcel.Bucket(i); ok && results[i] == store.Same && !ofBook(f.FactKind()) {
			push(again, b, f.Owner())
			e.fence.stop(f.Owner())
		}
	}
	for _, b := range sortedKeys(again) {
		elsewhere, err := e.claimedElsewhere(tx, b, again[b])
		if err != nil {
			return err
		}
		out.elsewhere = out.elsewhere || elsewhere
	}
	return nil
}

// push adds a borrower to those of a bucket. Facts of one person come together, so most are there already.
func push(m map[int][]duly.BorrowerID, bucket int, id duly.BorrowerID) {
	if ids := m[bucket]; len(ids) == 0 || ids[len(ids)-1] != id {
		m[bucket] = append(ids, id)
	}
}

// ofBook reports whether facts of the kind are those of a loan book rather than things that happen.
func ofBook(k duly.FactKind) bool {
	switch k {
	case duly.FactBorrower, duly.FactPoint, duly.FactLoan, duly.FactInstallment:
		return true
	case duly.FactPayment, duly.FactHold, duly.FactOptOut, duly.FactDebit, duly.FactConsent, duly.FactTouch, duly.FactNotice, duly.FactPreference:
	}
	return false
}

// markDirty has persons planned again, or for bulk facts their whole bucket.
func markDirty(tx *store.Tx, bucket int, ids []duly.BorrowerID, single bool) error {
	switch {
	case len(ids) == 0:
		return nil
	case single:
		return tx.MarkDirty(unique(ids))
	}
	return tx.MarkBucketDirty(bucket)
}

type factsDetail struct {
	Facts   map[duly.FactKind]int `json:"facts"`
	Persons int                   `json:"persons"`
	Version int64                 `json:"version"` // of the bucket, with which they are known
}

// settle allocates the payments of borrowers anew, stores what changed, and cancels the contacts that it settles. It returns
// the borrowers who owe something other than before, for the plan; who only settled what was due needs no new plan.
func (e *Engine) settle(tx *store.Tx, bucket int, ids []duly.BorrowerID, out *Applied) ([]duly.BorrowerID, error) {
	ledgers, err := tx.Ledgers(bucket, ids)
	if err != nil {
		return nil, err
	}
	var changed []duly.Installment
	var again []duly.BorrowerID
	open := map[duly.BorrowerID]map[itemKey]bool{}
	for i := range ledgers {
		l := &ledgers[i]
		a, err := arrange.Allocate(l.Installments, l.Payments, l.Loans, e.cfg.Location)
		if err != nil {
			if err := e.distrust(tx, l.BorrowerID, err); err != nil {
				return nil, err
			}
			out.Unsettled++
			again = append(again, l.BorrowerID)
			continue
		}
		open[l.BorrowerID] = map[itemKey]bool{}
		before := map[itemKey]*duly.Installment{}
		for j := range l.Installments {
			before[keyOf(&l.Installments[j])] = &l.Installments[j]
		}
		for j := range a.Installments {
			in := &a.Installments[j]
			was := before[keyOf(in)]
			if in.Open() {
				open[l.BorrowerID][keyOf(in)] = true
			}
			if was.Paid == in.Paid && was.SettledAt.Equal(in.SettledAt) {
				continue
			}
			changed = append(changed, *in)
			if in.Open() {
				again = append(again, l.BorrowerID)
			}
			switch {
			case was.Open() && !in.Open():
				out.Settled++
			case !was.Open() && in.Open():
				out.Reopened++
			}
		}
	}
	if err := tx.SetPaid(changed); err != nil {
		return nil, err
	}
	stopped, err := e.cancelPaid(tx, bucket, ids, open, out)
	return append(again, stopped...), err
}

// distrust holds a borrower whose payments cannot be allocated, such as one in another currency than the loan it names: what
// they owe is not known, so they are not contacted. One person's facts do not keep others' from being applied.
func (e *Engine) distrust(tx *store.Tx, id duly.BorrowerID, cause error) error {
	e.log.Error("payments of a borrower do not fit; contact is held", "bucket", id.Bucket(), "error", cause)
	now := tx.Now()
	hold := &duly.Hold{
		BorrowerID: id, ID: "ledger", Kind: "manual", Scope: duly.HoldPerson, Author: "engine", From: now,
		Reason: "payments do not fit the loans: " + cause.Error(), ReviewOn: e.Today(now), Version: now.UnixMicro(),
	}
	_, err := tx.Put([]duly.Fact{hold})
	return err
}

type itemKey struct {
	loan duly.LoanID
	no   int
}

func keyOf(i *duly.Installment) itemKey { return itemKey{i.LoanID, i.No} }

// cancelPaid cancels the waiting contacts of which nothing is owed any more, and returns their borrowers: what had given way
// to such a contact may now be due.
func (e *Engine) cancelPaid(tx *store.Tx, bucket int, ids []duly.BorrowerID, open map[duly.BorrowerID]map[itemKey]bool, out *Applied) ([]duly.BorrowerID, error) {
	waiting, err := tx.OpenContacts(bucket, ids)
	if err != nil {
		return nil, err
	}
	var again []duly.BorrowerID
	var moves []store.Move
	var claimed []duly.Contact
	for _, c := range waiting {
		if c.State == duly.Claimed {
			claimed = append(claimed, c)
		}
		if open[c.BorrowerID] == nil { // the ledger is held in distrust: nothing is known to be settled
			continue
		}
		if c.State != duly.Planned {
			continue // claimed: the fence takes it back, or it has left and must stay on record as what it is
		}
		if slices.ContainsFunc(c.Items, func(it duly.Item) bool { return open[c.BorrowerID][itemKey{it.LoanID, it.No}] }) {
			continue
		}
		was := c
		c.State, c.Reason, c.FallbackAt = duly.Cancelled, duly.CancelPaid, time.Time{}
		moves = append(moves, store.Move{Contact: c, From: was.State, Was: &was})
		if len(open[c.BorrowerID]) > 0 {
			again = append(again, c.BorrowerID)
		}
	}
	if err := tx.FenceAttempts(claimed, e.fencedAt(tx.Now(), out)); err != nil {
		return nil, err
	}
	if len(moves) == 0 {
		return nil, nil
	}
	out.Stopped += len(moves)
	tx.Audit(bucket, "contacts_cancelled", "engine", duly.CancelPaid, contactIDs(moves))
	return again, tx.MoveContacts(moves)
}

// fencedAt is from when on no try of a borrower may begin whose payment is being applied. The fence was told before, and
// another process reads its claims again before they are as old as the call waits.
func (e *Engine) fencedAt(now time.Time, a *Applied) time.Time {
	at := e.fresh(now)
	if a.elsewhere {
		at = at.Add(settleWait)
	}
	return at
}

// FindOwners fills in the owners of facts that name only their loan or, of replies, their contact. Those that this store does
// not know stay without one.
func (e *Engine) FindOwners(ctx context.Context, facts []duly.Fact) error {
	if err := e.replyOwners(ctx, facts); err != nil {
		return err
	}
	return e.resolveOwners(ctx, facts)
}

// resolveOwners fills in the owner of facts that name only their loan.
func (e *Engine) resolveOwners(ctx context.Context, facts []duly.Fact) error {
	var loans []duly.LoanID
	for _, f := range facts {
		if f.Owner() == "" {
			loans = append(loans, loanOf(f))
		}
	}
	if len(loans) == 0 {
		return nil
	}
	owners, err := e.db.OwnersOf(ctx, loans)
	if err != nil {
		return err
	}
	for _, f := range facts {
		if f.Owner() != "" {
			continue
		}
		owner := owners[loanOf(f)]
		switch f := f.(type) {
		case *duly.Installment:
			f.BorrowerID = owner
		case *duly.Payment:
			f.BorrowerID = owner
		case *duly.Debit:
			f.BorrowerID = owner
		case *duly.Hold:
			f.BorrowerID = owner
		case *duly.OptOut:
			f.BorrowerID = owner
		case *duly.Touch:
			f.BorrowerID = owner
		case *duly.Case:
			f.BorrowerID = owner
		case *duly.Reply:
			f.BorrowerID = owner
		case *duly.Notice:
			f.BorrowerID = owner
		}
	}
	return nil
}

// loanOf returns the loan that a fact names, or "".
func loanOf(f duly.Fact) duly.LoanID {
	switch f := f.(type) {
	case *duly.Loan:
		return f.ID
	case *duly.Installment:
		return f.LoanID
	case *duly.Payment:
		return f.LoanID
	case *duly.Debit:
		return f.LoanID
	case *duly.Hold:
		return f.LoanID
	case *duly.OptOut:
		return f.LoanID
	case *duly.Touch:
		return f.LoanID
	case *duly.Case:
		return f.LoanID
	case *duly.Reply:
		return f.LoanID
	case *duly.Notice:
		return f.LoanID
	}
	return ""
}

func contactIDs(moves []store.Move) []duly.ContactID {
	ids := make([]duly.ContactID, len(moves))
	for i := range moves {
		ids[i] = moves[i].Contact.ID
	}
	return ids
}

func unique(ids []duly.BorrowerID) []duly.BorrowerID {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// FeedThrough tells that everything of a feed up to an instant is known. It never moves backwards, and never past now.
func (e *Engine) FeedThrough(ctx context.Context, now time.Time, feed string, through time.Time) error {
	if through.After(now) {
		return duly.Errorf(duly.Invalid, "the feed is said to be complete up to a time that has not come").
			WithHint("check the clock and time zone of the source")
	}
	return e.db.SetFeed(ctx, now, feed, through)
}

// Versioned gives facts that carry no version of their own that of the instant at which they came in.
func Versioned(facts []duly.Fact, now time.Time) []duly.Fact {
	for _, f := range facts {
		setVersion(f, now.UnixMicro())
	}
	return facts
}

// FindHold returns one hold of a borrower, or NotFound.
func (e *Engine) FindHold(ctx context.Context, b duly.BorrowerID, id duly.HoldID) (duly.Hold, error) {
	p, err := e.everythingOf(ctx, b)
	for i := range p.Holds {
		if p.Holds[i].ID == id {
			return p.Holds[i], nil
		}
	}
	if err == nil {
		err = duly.Errorf(duly.NotFound, "the borrower has no hold of this id that still stands").WithHint("`duly why BORROWER` shows what holds a borrower")
	}
	return duly.Hold{}, err
}

// FindPreference returns one preference of a borrower, or NotFound.
func (e *Engine) FindPreference(ctx context.Context, b duly.BorrowerID, id duly.PreferenceID) (duly.Preference, error) {
	p, err := e.everythingOf(ctx, b)
	for i := range p.Preferences {
		if p.Preferences[i].ID == id {
			return p.Preferences[i], nil
		}
	}
	if err == nil {
		err = duly.Errorf(duly.NotFound, "the borrower asked for no hours under this id").WithHint("`duly why BORROWER` shows the hours that a borrower asked for")
	}
	return duly.Preference{}, err
}

// everythingOf returns all that is known of a borrower, or nothing for one who is not known.
func (e *Engine) everythingOf(ctx context.Context, b duly.BorrowerID) (p duly.Person, err error) {
	err = e.db.View(ctx, func(tx *store.Tx) error {
		persons, err := tx.Persons(b.Bucket(), []duly.BorrowerID{b}, time.Time{})
		if len(persons) > 0 {
			p = persons[0]
		}
		return err
	})
	return p, err
}
