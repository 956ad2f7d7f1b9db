package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
)

// Volumes are the contacts of one day, counted. They close: Considered = Contacts + HeldBack.
type Volumes struct {
	Day        civil.Date `json:"day"`
	DryRun     bool       `json:"dry_run"`
	Wanted     []Wanted   `json:"wanted"`
	Held       []Held     `json:"held"`
	Considered int        `json:"considered"`
	Contacts   int        `json:"contacts"`
	HeldBack   int        `json:"held_back"`
	Hash       string     `json:"hash"`    // over every contact's id, state and reason, in order of id
	Decided    Decisions  `json:"decided"` // what the day's planning decided; empty of a dry run
}

// Wanted counts the contacts of one step, channel and hour that go or went out.
type Wanted struct {
	Step    string       `json:"step"`
	Channel duly.Channel `json:"channel"`
	Hour    int          `json:"hour"` // of the lender's clock, at which it may first go
	Count   int          `json:"count"`
}

// Held counts the contacts that are held back for one reason.
type Held struct {
	State  duly.ContactState `json:"state"`
	Reason string            `json:"reason"`
	Count  int               `json:"count"`
}

// Volumes counts the contacts on record for a day.
func (e *Engine) Volumes(ctx context.Context, day civil.Date) (Volumes, error) {
	v := newVolumeCount(day, e.cfg.Location)
	for b := range duly.Buckets {
		err := e.db.View(ctx, func(tx *store.Tx) error {
			cs, err := tx.DayContacts(b, day)
			for i := range cs {
				v.add(&cs[i])
			}
			return err
		})
		if err != nil {
			return Volumes{}, err
		}
	}
	out := v.done()
	var err error
	out.Decided, err = Decided(ctx, e.db, day)
	return out, err
}

// Contacts returns up to limit contacts of a day that were sent, for looking at.
func (e *Engine) Contacts(ctx context.Context, day civil.Date, limit int) ([]duly.Contact, error) {
	var out []duly.Contact
	for b := 0; b < duly.Buckets && len(out) < limit; b++ {
		err := e.db.View(ctx, func(tx *store.Tx) error {
			cs, err := tx.DayContacts(b, day)
			for _, c := range cs {
				if c.State.CountsAsSent() && len(out) < limit {
					out = append(out, c)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DryRun plans a day and writes nothing. A day to come is planned from what is known now, as of its beginning.
func (e *Engine) DryRun(ctx context.Context, now time.Time, day civil.Date) (Volumes, error) {
	at := now
	if day != e.Today(now) {
		at = day.At(0, e.cfg.Location).UTC()
	}
	v := newVolumeCount(day, e.cfg.Location)
	before, after := e.reach()
	for b := range duly.Buckets {
		in := &bucketInput{}
		err := e.db.View(ctx, func(tx *store.Tx) error {
			ids, err := tx.Due([]int{b}, day.Add(-after), day.Add(before))
			if err != nil {
				return err
			}
			if in.state, err = tx.Bucket(b); err != nil {
				return err
			}
			if day.After(e.Today(now)) {
				in.state.PlannedThrough = day.Add(-1) // the days until then will have been planned
			}
			in.persons, err = tx.PersonsSince(b, ids, e.since(at))
			return err
		})
		if err != nil {
			return Volumes{}, err
		}
		changes, _, err := e.decide(in, at, day)
		if err != nil {
			return Volumes{}, err
		}
		changed := map[duly.ContactID]bool{}
		for i := range changes {
			changed[changes[i].Contact.ID] = true
			if changes[i].Contact.Day == day {
				v.add(&changes[i].Contact)
			}
		}
		for i := range in.persons {
			for j := range in.persons[i].Contacts {
				if c := &in.persons[i].Contacts[j]; c.Day == day && !changed[c.ID] {
					v.add(c)
				}
			}
		}
	}
	out := v.done()
	out.DryRun = true
	return out, nil
}

type volumeCount struct {
	day    civil.Date
	loc    *time.Location
	wanted map[Wanted]int
	held   map[Held]int
	lines  []string
}

func newVolumeCount(day civil.Date, loc *time.Location) *volumeCount {
	return &volumeCount{day: day, loc: loc, wanted: map[Wanted]int{}, held: map[Held]int{}}
}

func (v *volumeCount) add(c *duly.Contact) {
	switch c.State {
	case duly.Blocked, duly.Cancelled:
		v.held[Held{State: c.State, Reason: c.Reason}]++
	case duly.Planned, duly.Claimed, duly.Accepted, duly.Delivered, duly.Read, duly.Failed, duly.InDoubt:
		v.wanted[Wanted{Step: c.Step, Channel: c.Channel, Hour: c.NotBefore.In(v.loc).Hour()}]++
	}
	v.lines = append(v.lines, fmt.Sprintf("%s %s %s %s\n", c.ID, c.State, c.Reason, c.Decision.Code()))
}

func (v *volumeCount) done() Volumes {
	out := Volumes{Day: v.day}
	for w, n := range v.wanted {
		w.Count = n
		out.Wanted = append(out.Wanted, w)
		out.Contacts += n
	}
	for h, n := range v.held {
		h.Count = n
		out.Held = append(out.Held, h)
		out.HeldBack += n
	}
	out.Considered = out.Contacts + out.HeldBack
	slices.SortFunc(out.Wanted, func(a, b Wanted) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Hour, b.Hour))
	})
	slices.SortFunc(out.Held, func(a, b Held) int { return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.Reason, b.Reason)) })
	slices.Sort(v.lines)
	h := sha256.New()
	for _, l := range v.lines {
		h.Write([]byte(l))
	}
	out.Hash = hex.EncodeToString(h.Sum(nil)[:16])
	return out
}

// Add adds the counts of o to r; More is o's.
func (r *Report) Add(o Report) {
	r.Planned.add(o.Planned)
	r.Dispatched.add(o.Dispatched)
	r.Received.Receipts += o.Received.Receipts
	r.Received.Applied += o.Received.Applied
	r.Received.Moved += o.Received.Moved
	r.Received.Resolved += o.Received.Resolved
	r.Received.Orphans += o.Received.Orphans
	r.Measured += o.Measured
	r.Forgotten.add(o.Forgotten)
	r.More, r.Dispatched.Again = o.More, o.Dispatched.Again
}
