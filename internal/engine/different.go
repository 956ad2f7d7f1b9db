package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/plan"
	"github.com/dulyhq/duly/internal/store"
)

// Difference is a person about whom a day is decided otherwise with what was known, and what decided, at two times.
type Difference struct {
	Borrower duly.BorrowerID `json:"borrower"`
	A        []string        `json:"a"`       // what is decided with the one
	B        []string        `json:"b"`       // and with the other
	Because  []Cause         `json:"because"` // what of the other is enough to have it decided so, and no less
}

// Cause is a fact, or a text that decides, which makes a difference.
type Cause struct {
	What  string    `json:"what"`
	Known time.Time `json:"known_from,omitzero"` // when the fact came in
}

// Differences compares how a day is decided with what was known when days a and b were planned; the zero day is now. It
// returns the first persons about whom it is not decided alike, in order of their ids, and how many there are.
func (r *Replayer) Differences(ctx context.Context, day, a, b civil.Date, limit int) ([]Difference, int, error) {
	rounds, err := r.first(ctx, day)
	if err != nil {
		return nil, 0, err
	}
	ra, err := r.first(ctx, a)
	if err != nil {
		return nil, 0, err
	}
	rb, err := r.first(ctx, b)
	if err != nil {
		return nil, 0, err
	}
	var out []Difference
	total := 0
	for _, bucket := range sortedKeys(rounds) {
		p := &pair{r: r, round: rounds[bucket]}
		if p.a, err = p.side(ctx, ra, a); err != nil {
			return nil, 0, err
		}
		if p.b, err = p.side(ctx, rb, b); err != nil {
			return nil, 0, err
		}
		who := p.differ()
		total += len(who)
		for _, id := range who[:min(len(who), max(0, limit-len(out)))] {
			d, err := p.explain(ctx, id)
			if err != nil {
				return nil, 0, err
			}
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(x, y Difference) int { return cmp.Compare(x.Borrower, y.Borrower) })
	return out, total, nil
}

// first returns the first round of each bucket on a day; none for the zero day.
func (r *Replayer) first(ctx context.Context, day civil.Date) (map[int]*store.Round, error) {
	out := map[int]*store.Round{}
	if day.IsZero() {
		return out, nil
	}
	rounds, err := roundsOf(ctx, r.From, day)
	if err == nil && len(rounds) == 0 {
		err = unplanned(day)
	}
	for i := range rounds {
		if out[rounds[i].Bucket] == nil {
			out[rounds[i].Bucket] = &rounds[i]
		}
	}
	return out, err
}

// pair is a round that is decided in two ways.
type pair struct {
	r     *Replayer
	round *store.Round
	a, b  side
}

// side is one way to decide a round.
type side struct {
	decider Decider
	snap    *store.Snapshot
	lines   map[duly.BorrowerID][]string // what is decided, digested
	told    map[duly.BorrowerID][]string // and for people
}

// side decides the round with what was known at a time. Where nobody was planned in the bucket on that day it is what was known
// when the round itself was decided.
func (p *pair) side(ctx context.Context, rounds map[int]*store.Round, day civil.Date) (side, error) {
	known, configuration := int64(math.MaxInt64), ""
	if !day.IsZero() {
		at := rounds[p.round.Bucket]
		if at == nil {
			at = p.round
		}
		known, configuration = at.Version-1, at.Configuration
	}
	s := side{}
	var err error
	if s.decider, err = p.r.Decider(ctx, configuration); err != nil {
		return s, err
	}
	e, err := p.r.engine(ctx, configuration)
	if err != nil {
		return s, err
	}
	if s.snap, err = p.r.asOf(ctx, p.round, known); err != nil {
		return s, err
	}
	in, err := p.r.decide(ctx, e, p.round, s.snap)
	if err != nil {
		return s, err
	}
	s.lines, s.told = told(in.changes)
	return s, nil
}

// told lists decisions by person, digested and for people.
func told(changes []plan.Change) (lines, words map[duly.BorrowerID][]string) {
	lines, words = map[duly.BorrowerID][]string{}, map[duly.BorrowerID][]string{}
	for i := range changes {
		c := &changes[i].Contact
		lines[c.BorrowerID] = append(lines[c.BorrowerID], string(appendDecision(nil, &changes[i])))
		words[c.BorrowerID] = append(words[c.BorrowerID], tell(c))
	}
	for id := range lines {
		slices.Sort(lines[id])
		slices.Sort(words[id])
	}
	return lines, words
}

func tell(c *duly.Contact) string {
	s := fmt.Sprintf("step %s of %s by %s: %s", c.Step, c.Day, c.Channel, c.State)
	if c.Reason != "" {
		s += " (" + c.Reason + ")"
	}
	if c.State == duly.Planned {
		s += " from " + c.NotBefore.Format(time.RFC3339)
	}
	var items []string
	for i := range c.Items {
		items = append(items, fmt.Sprintf("%s/%d %s", c.Items[i].LoanID, c.Items[i].No, c.Items[i].Outstanding))
	}
	return s + ", about " + strings.Join(items, ", ")
}

// differ lists the persons about whom the sides do not decide alike, sorted.
func (p *pair) differ() []duly.BorrowerID {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(p.a.lines)), maps.Keys(p.b.lines))
	return slices.DeleteFunc(unique(ids), func(id duly.BorrowerID) bool { return slices.Equal(p.a.lines[id], p.b.lines[id]) })
}

// cause is something of side b that side a can be given.
type cause struct {
	Cause
	fact *store.FactChange
	part func(to *Decider, from Decider) // of what decides; nil for a fact
}

// explain finds the least of side b that side a has to be given to decide as b does: it gives it all, and takes back one after
// the other what is not needed.
func (p *pair) explain(ctx context.Context, id duly.BorrowerID) (Difference, error) {
	d := Difference{Borrower: id, A: p.a.told[id], B: p.b.told[id]}
	mine := p.a.snap.Of(id)
	changes := mine.Changes(p.b.snap.Of(id))
	needed := parts(&p.a.decider, &p.b.decider)
	for i := range changes {
		needed = append(needed, cause{fact: &changes[i]})
	}
	for i := 0; i < len(needed); {
		fewer := slices.Delete(slices.Clone(needed), i, i+1)
		lines, err := p.given(ctx, id, mine, fewer)
		if err != nil {
			return d, err
		}
		if slices.Equal(lines, p.b.lines[id]) {
			needed = fewer
		} else {
			i++
		}
	}
	for _, c := range needed {
		if c.fact != nil {
			var err error
			if c.Cause, err = p.fact(ctx, c.fact); err != nil {
				return d, err
			}
		}
		d.Because = append(d.Because, c.Cause)
	}
	return d, nil
}

// given decides about one person by side a with some causes of side b.
func (p *pair) given(ctx context.Context, id duly.BorrowerID, mine *store.Snapshot, causes []cause) ([]string, error) {
	decider := p.a.decider
	var facts []store.FactChange
	for _, c := range causes {
		if c.fact != nil {
			facts = append(facts, *c.fact)
		} else {
			c.part(&decider, p.b.decider)
		}
	}
	e, err := p.r.planner(decider)
	if err != nil {
		return nil, err
	}
	in, err := p.r.decide(ctx, e, p.round, mine.With(facts))
	if err != nil {
		return nil, err
	}
	lines, _ := told(in.changes)
	return lines[id], nil
}

// parts are the parts of what decides in which two differ.
func parts(a, b *Decider) []cause {
	var out []cause
	add := func(what string, part func(to *Decider, from Decider)) {
		out = append(out, cause{Cause: Cause{What: what}, part: part})
	}
	if s := otherNames("strategy", strategyNames(a), strategyNames(b)); s != "" {
		add(s, func(to *Decider, from Decider) { to.Deps.Strategies = from.Deps.Strategies })
	}
	if s := otherNames("rule pack", packNames(a), packNames(b)); s != "" {
		add(s, func(to *Decider, from Decider) { to.Deps.Packs, to.Enforced = from.Deps.Packs, from.Enforced })
	}
	if a.Calendars != b.Calendars {
		add("calendars", func(to *Decider, from Decider) { to.Deps.Calendars, to.Calendars = from.Deps.Calendars, from.Calendars })
	}
	if a.Lender != b.Lender {
		add("the lender's own settings", func(to *Decider, from Decider) { to.Config, to.Lender = from.Config, from.Lender })
	}
	return out
}

func strategyNames(d *Decider) (out []string) {
	for _, s := range d.Deps.Strategies {
		out = append(out, s.Name+"@"+s.Hash)
	}
	return out
}

func packNames(d *Decider) (out []string) {
	for _, p := range d.Deps.Packs {
		out = append(out, p.Name())
	}
	for _, name := range d.Enforced {
		out = append(out, "enforced:"+name)
	}
	return out
}

// otherNames says how one list of names differs from another, or "".
func otherNames(what string, a, b []string) string {
	if slices.Equal(a, b) {
		return ""
	}
	without := func(from, those []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(from), func(n string) bool { return slices.Contains(those, n) }), " ")
	}
	gone, come := without(a, b), without(b, a)
	if gone == "" && come == "" {
		return what + ": another order"
	}
	return strings.TrimSpace(what + " " + gone + " → " + come)
}

// fact describes a fact that makes a difference, without personal data.
func (p *pair) fact(ctx context.Context, c *store.FactChange) (Cause, error) {
	out := Cause{What: string(c.Kind) + " " + c.Key}
	switch {
	case c.Added:
		out.What += " came in"
	case len(c.Columns) > 0:
		out.What += ": " + strings.Join(c.Columns, ", ")
	}
	var err error
	out.Known, err = p.r.From.FactsAt(ctx, p.round.Bucket, c.Since)
	return out, err
}
