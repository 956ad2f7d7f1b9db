package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// Mover moves parts between two cells while others work on them. What it has done stands in the cells themselves, bucket by
// bucket, so that a run which was cut off at any point is taken up by the next:
//
//	cell that it leaves:   here → leaving → sealed ─────────────────▶ left ────────▶ away
//	cell that it comes to: away ──────────▶ coming (copied, compared) ready → here
//
// Every step holds the bucket's row and asks whether this run still is the one that moves it. A bucket is here in the new cell only
// once it is left by the old one, and left only once all of its rows were found in the new cell.
type Mover struct {
	From, To Cell
	Parts    int
	Run      string        // an id of this run; never used again
	Lease    time.Duration // how long a run that is silent keeps others out
	Grace    time.Duration // until no process reads any more where the part was
	Log      *slog.Logger
	// Told is called as a part goes on, with what is done.
	Told func(part int, what string)

	patience time.Duration // of a part for its tries under way; 0: drainLimit
	batch    int           // rows that are gathered for one transaction; 0: copyMax
	fault    func(step string, bucket int) error
}

// Cell is a store with its name.
type Cell struct {
	Name string
	DB   *store.DB
}

// Moved says what a move did.
type Moved struct {
	Part    int           `json:"part"`
	Buckets int           `json:"buckets"`
	Rows    int64         `json:"rows"`
	Stopped time.Duration `json:"-"` // how long nobody could work on the part in this run, but for the changes of leases
}

// Waits of a move.
const (
	drainLimit = 10 * time.Second // how long a part stands still for tries that have no answer; then it works on for a while
	drainEvery = 100 * time.Millisecond
	drainPause = 5 * time.Second
	waitEvery  = 500 * time.Millisecond
	drainTries = 40 // longer than the lease of a try, whose process may have died
)

// Move moves one part, and returns when it is in the new cell and gone from the old one. Where it fails the part works on in the old
// cell, if that has let go of none of it; else it stands still until Move is called again for the same cells.
func (m *Mover) Move(ctx context.Context, now func() time.Time, part int) (out Moved, err error) {
	size := duly.Buckets / m.Parts
	buckets := make([]int, size)
	for i := range buckets {
		buckets[i] = part*size + i
	}
	out = Moved{Part: part, Buckets: size}
	if err := m.check(ctx, part, buckets); err != nil {
		return out, err
	}
	if err := m.wait(ctx, part, buckets); err != nil {
		return out, err
	}
	beating := m.beat(ctx)
	defer beating()
	stopped, err := m.still(ctx, now, part, buckets)
	if err == nil {
		err = m.carry(ctx, now, buckets, &out)
	}
	if err != nil {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
		defer cancel()
		if m.fault == nil || !errors.Is(err, errKilled) {
			err = errors.Join(err, m.undo(limited, buckets))
		}
		return out, err
	}
	out.Stopped = now().Sub(stopped)
	m.told(part, "is in its new cell")
	return out, m.clear(ctx, buckets)
}

// errKilled is what a test has a step end with, in place of the process.
var errKilled = errors.New("killed")

// still has nothing begin in a part any more, and waits for what has. It returns when it stopped it.
func (m *Mover) still(ctx context.Context, now func() time.Time, part int, buckets []int) (time.Time, error) {
	for try := 1; ; try++ {
		stopped := now()
		if err := m.stop(ctx, buckets); err != nil {
			return stopped, err
		}
		m.told(part, "stands still")
		if ok, err := m.drain(ctx, now, buckets); ok || err != nil {
			return stopped, err
		}
		if err := m.goOn(ctx, buckets); err != nil {
			return stopped, err
		}
		if try == drainTries {
			return stopped, duly.Errorf(duly.Unavailable, "messages of part %d are on their way to carriers all the time, or their answers cannot be stored", part).
				WithHint("look at `duly nodes --cell %s` and at the log of the processes there, then move it again", m.From.Name)
		}
		m.told(part, "works on for a while: messages have no answer yet")
		if pause(ctx, cmp.Or(m.patience, drainPause)); ctx.Err() != nil {
			return stopped, context.Cause(ctx)
		}
	}
}

// beat keeps others out of the buckets that this run moves, until it is called off.
func (m *Mover) beat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for pause(ctx, m.Lease/4); ctx.Err() == nil; pause(ctx, m.Lease/4) {
			for _, c := range []Cell{m.From, m.To} {
				if err := c.DB.KeepMoving(ctx, m.Run, m.Lease); err != nil && ctx.Err() == nil {
					m.Log.Warn("a cell that parts are moved between does not answer", "cell", c.Name, "error", err)
				}
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func (m *Mover) told(part int, what string) {
	if m.Told != nil {
		m.Told(part, what)
	}
}

// check finds out whether the cells agree that the part can be moved, or that a move of it was begun. It changes nothing.
func (m *Mover) check(ctx context.Context, part int, buckets []int) error {
	from, err := m.From.DB.Placings(ctx)
	if err != nil {
		return err
	}
	to, err := m.To.DB.Placings(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		f, t := &from[b], &to[b]
		if f.Place != store.Here && f.Peer != m.To.Name {
			return duly.Errorf(duly.Conflict, "part %d is on its way to cell %s already", part, f.Peer).WithHint("let that move end first: duly cells move %d --to %s", part, f.Peer)
		}
		ok := false
		switch f.Place {
		case store.Here, store.Leaving, store.Sealed:
			ok = t.Place == store.Away || t.Place == store.Coming || t.Place == store.Ready
		case store.Left:
			ok = t.Peer == m.From.Name && (t.Place == store.Ready || t.Place == store.Here)
		case store.Away:
			ok = t.Place == store.Here
		case store.Unsaid, store.Coming, store.Ready:
		}
		if !ok {
			return m.astray(part, f.Place, t.Place)
		}
	}
	return m.restored(ctx, part, buckets)
}

// restored refuses while a cell is held that was restored from a backup, and until the part was planned after its release: what a
// lost store may have sent is closed there, and the other cell does not know of it.
func (m *Mover) restored(ctx context.Context, part int, buckets []int) error {
	for _, c := range []Cell{m.From, m.To} {
		all, err := c.DB.Restorations(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			r := &all[i]
			behind := false
			err := c.DB.View(ctx, func(tx *store.Tx) error {
				behind = false
				for _, b := range buckets {
					state, err := tx.Bucket(b)
					if err != nil {
						return err
					}
					behind = behind || c.DB == m.From.DB && state.People > 0 && state.PlannedThrough.Before(r.Through)
				}
				return nil
			})
			switch {
			case err != nil:
				return err
			case r.Held():
				return duly.Errorf(duly.Refused, "cell %s was restored from a backup and is held; part %d stays where it is", c.Name, part).
					WithHint("release it first: `duly resume --after-restore --cell %s`", c.Name)
			case behind:
				return duly.Errorf(duly.Refused, "part %d was not planned since cell %s was restored; what may have been sent is not closed yet", part, c.Name).
					WithHint("let `duly serve` plan it, then move it again")
			}
		}
	}
	return nil
}

// wait waits until an earlier run that was cut off has been silent for long enough, and refuses beside one that is heard.
func (m *Mover) wait(ctx context.Context, part int, buckets []int) error {
	var until [2]time.Time
	told := false
	for {
		busy := false
		for i, c := range []Cell{m.From, m.To} {
			all, err := c.DB.Placings(ctx)
			if err != nil {
				return err
			}
			for _, b := range buckets {
				p := &all[b]
				if p.Mover == "" || !p.Until.After(p.Now) {
					continue
				}
				if busy = true; !until[i].IsZero() && p.Until.After(until[i]) {
					return duly.Errorf(duly.Conflict, "another process is moving part %d", part).WithHint("`duly cells list` shows how far it is")
				}
			}
			if until[i].IsZero() {
				for _, b := range buckets {
					if all[b].Until.After(until[i]) {
						until[i] = all[b].Until
					}
				}
			}
		}
		if !busy {
			return nil
		}
		if !told {
			told = true
			m.told(part, "was being moved; waits whether that run is heard")
		}
		if pause(ctx, min(waitEvery, m.Lease/8)); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// stop takes the buckets for this run, has nothing begin in them any more, and has the new cell expect them. What an earlier run has
// done stays done.
func (m *Mover) stop(ctx context.Context, buckets []int) error {
	for _, b := range buckets {
		left := false
		err := m.From.DB.Rehouse(ctx, b, func(_ *store.Tx, p *store.Placing) error {
			if left = p.Place == store.Left || p.Place == store.Away; p.Place == store.Away {
				return nil
			}
			if err := p.Take(m.Run, m.Lease); err != nil {
				return err
			}
			if p.Place == store.Here {
				p.Place, p.Peer = store.Leaving, m.To.Name
			}
			return nil
		})
		if err == nil {
			err = m.To.DB.Rehouse(ctx, b, func(_ *store.Tx, p *store.Placing) error {
				if p.Place == store.Here {
					return nil
				}
				if !left { // what was copied may have changed since
					p.Place, p.Peer = store.Coming, m.From.Name
				}
				return p.Take(m.Run, m.Lease)
			})
		}
		if err == nil && m.fault != nil {
			err = m.fault("stop", b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Mover) astray(part int, from, to store.Place) error {
	return duly.Errorf(duly.Conflict, "cells %s (%s) and %s (%s) do not agree where part %d is", m.From.Name, from, m.To.Name, to, part).
		WithHint("was one of them restored from a backup that is older than a move? See docs/scale.md")
}

// drain waits until every try that was made in the buckets has its answer, and seals them. It gives up after a while.
func (m *Mover) drain(ctx context.Context, now func() time.Time, buckets []int) (bool, error) {
	until := now().Add(cmp.Or(m.patience, drainLimit))
	for _, b := range buckets {
		for {
			open := 0
			err := m.atFrom(ctx, "seal", b, func(tx *store.Tx, p *store.Placing) (err error) {
				open = 0
				if p.Place != store.Leaving {
					return nil
				}
				if open, err = tx.OpenTries(b); err == nil && open == 0 {
					p.Place = store.Sealed
				}
				return err
			})
			if err != nil {
				return false, err
			}
			if open == 0 {
				break
			}
			if now().After(until) {
				return false, nil
			}
			if pause(ctx, drainEvery); ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
		}
	}
	return true, nil
}

func (m *Mover) atFrom(ctx context.Context, step string, bucket int, fn func(tx *store.Tx, p *store.Placing) error) error {
	return m.at(ctx, m.From, store.Away, step, bucket, fn)
}

func (m *Mover) atTo(ctx context.Context, step string, bucket int, fn func(tx *store.Tx, p *store.Placing) error) error {
	return m.at(ctx, m.To, store.Here, step, bucket, fn)
}

// at runs one step of a bucket in one of the cells, if this run still moves it, and nothing if the bucket is at its end there.
func (m *Mover) at(ctx context.Context, c Cell, end store.Place, step string, bucket int, fn func(tx *store.Tx, p *store.Placing) error) error {
	err := c.DB.Rehouse(ctx, bucket, func(tx *store.Tx, p *store.Placing) error {
		if p.Place == end {
			return nil
		}
		if err := p.Hold(m.Run, m.Lease); err != nil {
			return err
		}
		return fn(tx, p)
	})
	if err == nil && m.fault != nil {
		err = m.fault(step, bucket)
	}
	if err != nil {
		return fmt.Errorf("%s in cell %s: %w", step, c.Name, err)
	}
	return nil
}

// goOn has the old cell work on the part again, unless it has let go of some of it.
func (m *Mover) goOn(ctx context.Context, buckets []int) error {
	all, err := m.From.DB.Placings(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		if all[b].Place == store.Left || all[b].Place == store.Away {
			return nil
		}
	}
	for _, b := range buckets {
		err := m.From.DB.Rehouse(ctx, b, func(_ *store.Tx, p *store.Placing) error {
			if p.Mover == m.Run && (p.Place == store.Leaving || p.Place == store.Sealed) {
				p.Place, p.Peer, p.Mover, p.Until = store.Here, "", "", time.Time{}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// undo is goOn for good: what was copied already is removed.
func (m *Mover) undo(ctx context.Context, buckets []int) error {
	if err := m.goOn(ctx, buckets); err != nil {
		return err
	}
	all, err := m.From.DB.Placings(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		for done := all[b].Place != store.Here; !done; {
			err := m.To.DB.Rehouse(ctx, b, func(tx *store.Tx, p *store.Placing) (err error) {
				if done = p.Mover != m.Run || p.Place != store.Coming && p.Place != store.Ready; done {
					return nil
				}
				if done, err = tx.ClearRows(b, false); done {
					p.Place, p.Peer, p.Mover, p.Until = store.Away, "", "", time.Time{}
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// carry copies the buckets, compares them, and has the new cell take them as the old one lets go.
func (m *Mover) carry(ctx context.Context, now func() time.Time, buckets []int, out *Moved) error {
	if err := m.feeds(ctx, now()); err != nil {
		return err
	}
	if err := store.CopyDocuments(ctx, now(), m.From.DB, m.To.DB); err != nil {
		return err
	}
	at, err := m.From.DB.Placings(ctx)
	if err != nil {
		return err
	}
	for _, b := range buckets {
		if at[b].Place != store.Sealed { // an earlier run has come so far that the old cell let go
			continue
		}
		rows, err := m.copy(ctx, b, at[b].Moves+1)
		if err != nil {
			return err
		}
		out.Rows += rows
	}
	for _, b := range buckets {
		if err := m.atFrom(ctx, "let go", b, func(_ *store.Tx, p *store.Placing) error {
			if p.Place == store.Sealed {
				p.Place, p.Moves = store.Left, p.Moves+1
			}
			return nil
		}); err != nil {
			return err
		}
		if err := m.atTo(ctx, "take", b, func(_ *store.Tx, p *store.Placing) error {
			if p.Place != store.Ready {
				return m.astray(b/len(buckets), store.Left, p.Place)
			}
			p.Place = store.Here
			p.Mover, p.Until = "", time.Time{}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// copy has the new cell have all rows of a bucket that is sealed, and compares them.
func (m *Mover) copy(ctx context.Context, bucket int, moves int64) (int64, error) {
	for done := false; !done; {
		err := m.atTo(ctx, "make room", bucket, func(tx *store.Tx, p *store.Placing) (err error) {
			done, err = tx.ClearRows(bucket, true)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	var held []store.Rows // of small tables, to be written together
	rows := 0
	was, err := m.From.DB.SumBucket(ctx, bucket, func(more store.Rows) error {
		held, rows = append(held, more), rows+more.Len()
		if rows < cmp.Or(m.batch, copyMax) {
			return nil
		}
		all := held
		held, rows = nil, 0
		return m.atTo(ctx, "copy", bucket, func(tx *store.Tx, _ *store.Placing) error { return putAll(tx, all) })
	})
	if err != nil {
		return 0, err
	}
	if err := m.atTo(ctx, "close", bucket, func(tx *store.Tx, _ *store.Placing) error {
		return errors.Join(putAll(tx, held), tx.PutState(bucket, &was))
	}); err != nil {
		return 0, err
	}
	is, err := m.To.DB.SumBucket(ctx, bucket, nil)
	if err != nil {
		return 0, err
	}
	if table := was.Differs(&is); table != "" {
		return 0, fmt.Errorf("bucket %d: table %s is not the same in cell %s after it was copied there", bucket, table, m.To.Name)
	}
	return was.Rows(), m.atTo(ctx, "ready", bucket, func(_ *store.Tx, p *store.Placing) error {
		p.Place, p.Moves = store.Ready, moves
		return nil
	})
}

// copyMax is how many rows are gathered for one transaction.
const copyMax = 2000

func putAll(tx *store.Tx, all []store.Rows) error {
	for _, rows := range all {
		if err := tx.PutRows(rows); err != nil {
			return err
		}
	}
	return nil
}

// feeds has the new cell claim no more of the feeds than the old one does: what it is to get is known no further.
func (m *Mover) feeds(ctx context.Context, now time.Time) error {
	old, err := m.From.DB.Feeds(ctx)
	if err != nil {
		return err
	}
	known, err := m.To.DB.Feeds(ctx)
	if err != nil {
		return err
	}
	places, err := m.To.DB.Placings(ctx)
	if err != nil {
		return err
	}
	empty := true
	for b := range places {
		empty = empty && places[b].Place != store.Here
	}
	for name := range old {
		known[name] = time.Time{}
	}
	for name := range known {
		if err := m.To.DB.LowerFeed(ctx, now, name, old[name], empty); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what is left in the old cell, once no process of it can still read there: they look where a bucket is at every
// renewal of their leases.
func (m *Mover) clear(ctx context.Context, buckets []int) error {
	if pause(ctx, m.Grace); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, b := range buckets {
		for done := false; !done; {
			done = true
			err := m.atFrom(ctx, "clear", b, func(tx *store.Tx, p *store.Placing) (err error) {
				if p.Place != store.Left {
					return m.astray(b/len(buckets), p.Place, store.Here)
				}
				if done, err = tx.ClearRows(b, false); err == nil && done {
					p.Place, p.Mover, p.Until = store.Away, "", time.Time{}
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
