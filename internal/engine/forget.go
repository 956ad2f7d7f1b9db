package engine

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Limits of forgetting. It is never urgent: a step that had anything else to do does none of it.
const (
	forgetPersons = 100 // whose records are looked at in one transaction
	forgetPages   = 64  // such transactions of one Step
	forgetEvery   = 30  // days after which a bucket is gone through again
)

// leg is one way through a bucket for one kind of record.
type leg struct {
	*recordKind
	term rule.Term
	what string // see store.Tx.Forget and store.Tx.ForgetOf
	by   legBy
	last bool // law counts from the last contact with a person
}

// legBy is how a leg finds whose records are old.
type legBy int

const (
	byKeptBack legBy = iota + 1 // persons who were kept back before, for the days that were gone through
	byDay                       // persons with contacts of the days since
	byOwner                     // owners of what has an instant of its own
)

// forgetting is where forgetting stands in a bucket.
type forgetting struct {
	bucket int
	began  civil.Date
	leg    int
	after  string // the owner that was looked at last
	mark   store.KeepMark
	found  ForgetReport
}

// forgetState is what is left to go through today.
type forgetState struct {
	asked civil.Date
	todo  []int
	under *forgetting
}

// ForgetReport counts what was removed, or would be.
type ForgetReport struct {
	Buckets int              `json:"buckets"` // gone through to their end
	Rows    map[Record]int64 `json:"rows"`    // by kind of record
	Kept    int              `json:"kept"`    // persons of whom something was kept though it was old enough: it is needed still
}

func (r *ForgetReport) add(o ForgetReport) {
	r.Buckets += o.Buckets
	r.Kept += o.Kept
	for k, n := range o.Rows {
		r.rows(k, n)
	}
}

func (r *ForgetReport) rows(k Record, n int64) {
	if n == 0 {
		return
	}
	if r.Rows == nil {
		r.Rows = map[Record]int64{}
	}
	r.Rows[k] += n
}

// Forget removes what need not be kept any more: a bounded part of it, bucket after bucket, each once in forgetEvery days. It
// goes on where it stood the last time. The audit says what was removed, by which term and how many; its own entries stay.
func (e *Engine) Forget(ctx context.Context, now time.Time) (ForgetReport, error) {
	var r ForgetReport
	if len(e.legs) == 0 {
		return r, nil
	}
	if err := e.holding.joined(); err != nil {
		return r, err
	}
	for range forgetPages {
		f, err := e.forgetNext(ctx, now)
		if err != nil || f == nil {
			return r, err
		}
		done, err := e.forgetPage(ctx, now, f, false)
		if err != nil {
			e.forgetting.under = nil // from the beginning of the bucket: what is gone is gone
			return r, fmt.Errorf("bucket %d: %w", f.bucket, err)
		}
		if done {
			r.add(f.found)
			e.forgetting.under = nil
		}
	}
	return r, nil
}

// forgetNext returns the bucket that is being gone through, or begins the next; nil if there is none today.
func (e *Engine) forgetNext(ctx context.Context, now time.Time) (*forgetting, error) {
	s, today := &e.forgetting, e.Today(now)
	if s.under != nil && len(e.holding.Mine([]int{s.under.bucket})) == 1 {
		return s.under, nil
	}
	s.under = nil
	if s.asked != today {
		todo, err := e.db.KeepBuckets(ctx, today.Add(-forgetEvery))
		if err != nil {
			return nil, err
		}
		s.asked, s.todo = today, todo
	}
	for len(s.todo) > 0 && s.under == nil {
		b := s.todo[0]
		s.todo = s.todo[1:]
		if len(e.holding.Mine([]int{b})) == 0 {
			continue
		}
		f, err := e.beginForgetting(ctx, now, b)
		if err != nil {
			return nil, err
		}
		s.under = f
	}
	return s.under, nil
}

func (e *Engine) beginForgetting(ctx context.Context, now time.Time, bucket int) (*forgetting, error) {
	f := &forgetting{bucket: bucket, began: e.Today(now)}
	return f, e.db.View(ctx, func(tx *store.Tx) (err error) { f.mark, err = tx.KeepMark(bucket); return err })
}

// ForgetAll goes through every bucket of this process at once, whenever it was last gone through, or with dry counts what it
// would remove and removes nothing.
func (e *Engine) ForgetAll(ctx context.Context, now time.Time, dry bool) (ForgetReport, error) {
	var r ForgetReport
	if len(e.legs) == 0 {
		return r, nil
	}
	if !dry {
		if err := e.holding.joined(); err != nil {
			return r, err
		}
	}
	peopled, err := e.db.KeepBuckets(ctx, e.Today(now).Add(1))
	if err != nil {
		return r, err
	}
	for _, b := range peopled {
		if !dry && len(e.holding.Mine([]int{b})) == 0 {
			continue
		}
		f, err := e.beginForgetting(ctx, now, b)
		for done := false; err == nil && !done; {
			done, err = e.forgetPage(ctx, now, f, dry)
		}
		r.add(f.found)
		if err != nil {
			return r, fmt.Errorf("forget: bucket %d: %w", b, err)
		}
	}
	return r, nil
}

// forgetPage looks at the next owners of a leg, in a transaction of its own where there are any, and reports whether the bucket
// is done with.
func (e *Engine) forgetPage(ctx context.Context, now time.Time, f *forgetting, dry bool) (done bool, err error) {
	if f.leg == len(e.legs) {
		f.found.Buckets++
		if dry {
			return true, nil
		}
		return true, e.endForgetting(ctx, now, f)
	}
	p := page{leg: &e.legs[f.leg], forgetting: f, now: now}
	p.through = p.term.Before(e.Today(now))
	p.at = p.through.Add(1).At(0, e.cfg.Location).UTC()
	var owners []string
	err = e.db.View(ctx, func(tx *store.Tx) error {
		if owners, err = p.owners(tx); err != nil || len(owners) == 0 || !dry {
			return err
		}
		return p.forget(tx, owners)
	})
	if err == nil && len(owners) > 0 && !dry {
		err = e.db.Update(ctx, now, []int{f.bucket}, func(tx *store.Tx) error {
			if err := p.forget(tx, owners); err != nil {
				return err
			}
			if p.rows > 0 {
				tx.Audit(f.bucket, "forgotten", "engine", p.through.String(), forgotten{p.record, p.term.String(), len(owners), p.rows})
			}
			return tx.KeepBack(p.kept, f.began)
		})
	}
	if err != nil {
		return false, err
	}
	f.found.rows(p.record, p.rows)
	f.found.Kept += len(p.kept)
	if len(owners) < forgetPersons {
		f.leg, f.after = f.leg+1, ""
	} else {
		f.after = owners[len(owners)-1]
	}
	return false, nil
}

// forgotten is what the audit says: counts, and by which term.
type forgotten struct {
	Record  Record `json:"record"`
	Keep    string `json:"keep"`
	Persons int    `json:"persons"` // looked at
	Rows    int64  `json:"rows"`
}

// endForgetting notes that a bucket was gone through to its end.
func (e *Engine) endForgetting(ctx context.Context, now time.Time, f *forgetting) error {
	today := e.Today(now)
	f.mark.LookedOn = today
	for i := range e.legs {
		if l := &e.legs[i]; l.by == byDay {
			if through := l.term.Before(today); through.After(f.mark.Through[l.what]) {
				f.mark.Through[l.what] = through
			}
		}
	}
	return e.db.Update(ctx, now, []int{f.bucket}, func(tx *store.Tx) error {
		if err := tx.SetKeepMark(f.bucket, f.mark); err != nil {
			return err
		}
		if through, ok := f.mark.Through["contacts"]; ok {
			if err := tx.ForgetPast(f.bucket, through); err != nil {
				return err
			}
		}
		return tx.DropKeptBack(f.bucket, f.began)
	})
}

// page is one transaction of a leg.
type page struct {
	*leg
	*forgetting
	now     time.Time
	through civil.Date // the last day that is old enough
	at      time.Time  // its end
	rows    int64
	kept    []duly.BorrowerID
}

// owners returns whose records are looked at next.
func (p *page) owners(tx *store.Tx) ([]string, error) {
	switch p.by {
	case byKeptBack:
		return tx.KeptBack(p.bucket, p.after, forgetPersons)
	case byDay:
		return tx.ContactPersons(p.bucket, p.mark.Through[p.what], p.through, p.after, forgetPersons)
	case byOwner:
		return tx.OldOwners(p.what, p.bucket, p.at, p.after, forgetPersons)
	}
	return nil, nil
}

// forget removes, or in a View counts, what may go of the owners' records.
func (p *page) forget(tx *store.Tx, owners []string) error {
	p.rows, p.kept = 0, nil
	if p.record == RecordSandbox {
		n, err := tx.ForgetOf(p.what, p.bucket, owners, p.at)
		p.rows = n
		return err
	}
	bound, err := tx.Bound(p.bucket, owners, p.now)
	if err == nil && p.last {
		err = bound.ContactedAfter(tx, p.bucket, owners, p.through, p.at)
	}
	if err != nil {
		return err
	}
	if p.by != byOwner {
		return p.forgetContacts(tx, owners, bound)
	}
	var free []string
	for _, id := range owners {
		if !bound.Persons[id] {
			free = append(free, id)
		}
	}
	p.rows, err = tx.ForgetOf(p.what, p.bucket, free, p.at)
	return err
}

// forgetContacts is forget for what hangs on contacts. Who is kept back is looked at again the next time.
func (p *page) forgetContacts(tx *store.Tx, owners []string, bound store.Bound) error {
	from, through := p.mark.Through[p.what], p.through
	if p.by == byKeptBack {
		from, through = civil.Date{}, minDate(from, p.through)
	}
	old, err := tx.OldContacts(p.bucket, owners, from, through, p.at)
	if err != nil {
		return err
	}
	var over []duly.ContactID
	for i := range old {
		c := &old[i]
		if c.Over && !bound.Persons[string(c.BorrowerID)] && !unsettled(c, bound) {
			over = append(over, c.ID)
		} else if n := len(p.kept); n == 0 || p.kept[n-1] != c.BorrowerID {
			p.kept = append(p.kept, c.BorrowerID)
		}
	}
	p.rows, err = tx.Forget(p.what, p.bucket, over)
	return err
}

func minDate(a, b civil.Date) civil.Date {
	if b.Before(a) {
		return b
	}
	return a
}

// unsettled reports whether a contact is about an instalment that is not settled.
func unsettled(c *store.OldContact, bound store.Bound) bool {
	for _, it := range c.Items {
		if bound.Items[store.OpenItem{BorrowerID: c.BorrowerID, LoanID: it.LoanID, No: it.No}] {
			return true
		}
	}
	return false
}
