package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/gate"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
)

// Limits of an impact.
const (
	ImpactDaysMax  = 60
	impactExamples = 10
)

// Impact is what other rule packs would change about the contacts of the days to come. It closes: Considered = Same +
// Gained + Lost + Moved, in all and in every row.
type Impact struct {
	From       civil.Date `json:"from"`
	To         civil.Date `json:"to"`
	Packs      []string   `json:"packs"`          // as they are, id@hash
	Then       []string   `json:"packs_then"`     // as they would be
	Draft      int        `json:"draft_rules"`    // rules of the packs given that are in draft, and so change nothing
	Persons    int        `json:"persons"`        // looked at
	Failed     int        `json:"persons_failed"` // who cannot be planned; the log says why
	Gaining    int        `json:"persons_gaining"`
	Losing     int        `json:"persons_losing"`
	Moving     int        `json:"persons_moving"`
	Considered int        `json:"considered"`
	Same       int        `json:"same"`
	Gained     int        `json:"gained"` // would go, and would not now
	Lost       int        `json:"lost"`   // would not go any more
	Moved      int        `json:"moved"`  // would go at another time
	Rows       []Effect   `json:"rows"`
	Examples   []Example  `json:"examples"`
}

// Effect counts what becomes of the contacts of one step and channel, by the reason that makes the difference; where there
// is none, by the reason that holds them back either way, or "".
type Effect struct {
	Step       string       `json:"step"`
	Channel    duly.Channel `json:"channel"`
	Reason     string       `json:"reason"`
	Considered int          `json:"considered"`
	Same       int          `json:"same"`
	Gained     int          `json:"gained"`
	Lost       int          `json:"lost"`
	Moved      int          `json:"moved"`
	Later      int          `json:"moved_later"` // of those moved
	ShiftMean  int          `json:"shift_minutes_mean"`
	ShiftMax   int          `json:"shift_minutes_max"`
	shift      int          // in all, in minutes
}

// Example is one contact that would go otherwise. It names the borrower by id and holds nothing else of theirs.
type Example struct {
	What       string          `json:"what"` // gained, lost or moved
	BorrowerID duly.BorrowerID `json:"borrower_id"`
	Step       string          `json:"step"`
	Channel    duly.Channel    `json:"channel"`
	Day        civil.Date      `json:"day"`
	Reason     string          `json:"reason"`
	Rule       string          `json:"rule,omitempty"`
	Now        time.Time       `json:"now,omitzero"`  // when it goes by the packs as they are
	Then       time.Time       `json:"then,omitzero"` // and as they would be
	Shift      int             `json:"shift_minutes,omitempty"`
	id         duly.ContactID
}

// Impact plans and judges the days from today on twice, by the packs as they are and with the given ones in the place of
// those of the same id or beside them, as if nobody paid and every message arrived. What is planned is judged again; words
// are rendered and judged as when they are sent. It writes nothing.
func (e *Engine) Impact(ctx context.Context, now time.Time, packs []*rule.Pack, days int) (Impact, error) {
	if days < 1 || days > ImpactDaysMax {
		return Impact{}, duly.Errorf(duly.Usage, "an impact is of 1 to %d days", ImpactDaysMax)
	}
	then, err := e.under(replaced(e.packs, packs))
	if err != nil {
		return Impact{}, err
	}
	today := e.Today(now)
	m := &impactCount{
		Impact: Impact{From: today, To: today.Add(days - 1), Packs: e.rules.IDs(), Then: then.rules.IDs(), Examples: []Example{}},
		rows:   map[Effect]*Effect{}, examples: map[exampleKey][]Example{},
	}
	for _, p := range packs {
		for i := range p.Rules {
			if p.Rules[i].Force == duly.ForceDraft {
				m.Draft++
			}
		}
	}
	before, after := e.reach()
	since := deeper(e.since(now), then.since(now))
	for b := range duly.Buckets {
		var persons []duly.Person
		var state store.Bucket
		err := e.db.View(ctx, func(tx *store.Tx) error {
			ids, err := tx.Due([]int{b}, today.Add(-after), today.Add(before+days))
			if err != nil {
				return err
			}
			waiting, err := tx.Waiting([]int{b})
			if err != nil {
				return err
			}
			if state, err = tx.Bucket(b); err != nil {
				return err
			}
			persons, err = tx.PersonsSince(b, unique(append(ids, waiting...)), since)
			return err
		})
		if err != nil {
			return Impact{}, err
		}
		for i := range persons {
			a, errNow := e.foresee(&persons[i], now, state.PlannedThrough, days)
			z, errThen := then.foresee(&persons[i], now, state.PlannedThrough, days)
			if err := errors.Join(errNow, errThen); err != nil {
				e.log.Error("a person cannot be planned, and is left out of the impact", "bucket", b, "error", err)
				m.Failed++
				continue
			}
			m.person(&persons[i], a, z)
		}
		if ctx.Err() != nil {
			return Impact{}, ctx.Err()
		}
	}
	return m.done(), nil
}

// under is the engine as it would be with other packs, for planning and judging alone.
func (e *Engine) under(packs []*rule.Pack) (*Engine, error) {
	out := &Engine{calendars: e.calendars, messages: e.messages, carriers: e.carriers, log: e.log, cfg: e.cfg, packs: packs}
	var err error
	if out.rules, err = rule.NewSet(packs); err != nil {
		return nil, err
	}
	for i := range e.strategies {
		l, err := newLane(e.strategies[i].Strategy, packs)
		if err != nil {
			return nil, err
		}
		out.strategies = append(out.strategies, l)
	}
	out.history = out.depth()
	return out, nil
}

// replaced returns the packs with others in the place of those of the same id, or beside them.
func replaced(packs, others []*rule.Pack) []*rule.Pack {
	out := slices.Clone(packs)
	for _, o := range others {
		i := slices.IndexFunc(out, func(p *rule.Pack) bool { return p.ID == o.ID })
		if i < 0 {
			out = append(out, o)
			continue
		}
		out[i] = o
	}
	return out
}

func deeper(a, b store.Since) store.Since {
	if b.Contacts.Before(a.Contacts) {
		a.Contacts = b.Contacts
	}
	return a
}

// foresee returns a person's contacts as they would be after some days, planned at the beginning of each and sent as they
// fall due.
func (e *Engine) foresee(was *duly.Person, now time.Time, through civil.Date, days int) ([]duly.Contact, error) {
	p := *was
	p.Contacts = slices.Clone(was.Contacts)
	today := e.Today(now)
	for d := range days {
		day, at := today.Add(d), now
		if d > 0 {
			at, through = today.Add(d).At(0, e.cfg.Location).UTC(), day.Add(-1)
		}
		res, err := e.next(&p, at, day, through, false)
		if err != nil {
			return nil, err
		}
		for _, c := range res.Changes {
			if i := slices.IndexFunc(p.Contacts, func(x duly.Contact) bool { return x.ID == c.Contact.ID }); i >= 0 {
				p.Contacts[i] = c.Contact
			} else {
				p.Contacts = append(p.Contacts, c.Contact)
			}
		}
		if err := e.foresend(&p, at, day.Add(1).At(0, e.cfg.Location).UTC()); err != nil {
			return nil, err
		}
	}
	return p.Contacts, nil
}

// foresend judges what is planned to go before an instant as it is judged when it is sent, in the order in which it goes.
func (e *Engine) foresend(p *duly.Person, from, until time.Time) error {
	for range 4 * len(p.Contacts) { // a contact that is deferred is looked at again
		var c *duly.Contact
		for i := range p.Contacts {
			if x := &p.Contacts[i]; x.State == duly.Planned && x.NotBefore.Before(until) && (c == nil || goesFirst(x, c)) {
				c = x
			}
		}
		if c == nil {
			return nil
		}
		at := c.NotBefore
		if at.Before(from) {
			at = from
		}
		if err := e.foresendOne(p, c, at); err != nil {
			return err
		}
	}
	return nil
}

// goesFirst reports whether a is claimed before b.
func goesFirst(a, b *duly.Contact) bool {
	return cmp.Or(a.NotBefore.Compare(b.NotBefore), cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.ID, b.ID)) < 0
}

func (e *Engine) foresendOne(p *duly.Person, c *duly.Contact, at time.Time) error {
	l := e.laneOf(c.Strategy)
	c.FallbackAt = time.Time{}
	if l == nil || !at.Before(c.ExpiresAt) {
		c.State, c.Reason = duly.Cancelled, duly.CancelExpired
		return nil
	}
	words, _, err := e.words(c, p, false, at)
	if err != nil {
		if duly.CodeOf(err) == duly.Internal {
			return err
		}
		c.State, c.Reason = duly.Blocked, "words_refused"
		return nil
	}
	asked := *c
	d := gate.Check(&rule.Facts{
		Phase: rule.PhaseSend, Now: at, Person: p, Contact: &asked, DaysPastDue: daysPastDue(c, e.Today(at)), AmountDue: amountDue(c), Text: words.Text,
		Actor: rule.Actor{Type: "system"}, Calendars: e.calendars, FeedAt: at, FeedMaxAge: e.cfg.FeedMaxAge, ClockOK: true,
	}, l.rules)
	if d.Verdict != duly.Allow { // else the one that it waited for stays, to say why it goes when it does
		c.Decision = d
	}
	switch {
	case d.Verdict == duly.Allow:
		c.State, c.NotBefore, c.SentAt = duly.Delivered, at, at
	case d.Verdict == duly.Defer && d.NotBefore.Before(c.ExpiresAt) && d.NotBefore.After(at):
		c.NotBefore, c.Reason = d.NotBefore, d.Code()
	default:
		c.State, c.Reason = duly.Blocked, d.Code()
	}
	return nil
}

// impactCount gathers an Impact person by person.
type impactCount struct {
	Impact
	rows     map[Effect]*Effect
	examples map[exampleKey][]Example // the clearest of each
}

// exampleKey is a row and what becomes of a contact.
type exampleKey struct {
	row  Effect
	what string
}

// person compares the contacts of one person as they would be by the one packs and by the other.
func (m *impactCount) person(p *duly.Person, now, then []duly.Contact) {
	m.Persons++
	done := map[duly.ContactID]bool{} // before anything was foreseen
	for i := range p.Contacts {
		if c := &p.Contacts[i]; c.State != duly.Planned && c.State != duly.Blocked && (c.State != duly.Cancelled || !c.SentAt.IsZero()) {
			done[c.ID] = true
		}
	}
	byID := make(map[duly.ContactID]*duly.Contact, len(then))
	for i := range then {
		byID[then[i].ID] = &then[i]
	}
	seen := map[string]bool{}
	for i := range now {
		c := &now[i]
		if !done[c.ID] {
			seen[m.pair(c, byID[c.ID])] = true
		}
		delete(byID, c.ID)
	}
	for i := range then { // in their order, so that the same question gives the same examples
		if c := &then[i]; byID[c.ID] != nil && !done[c.ID] {
			seen[m.pair(nil, c)] = true
		}
	}
	for what, n := range map[string]*int{"gained": &m.Gaining, "lost": &m.Losing, "moved": &m.Moving} {
		if seen[what] {
			*n++
		}
	}
}

// goes reports whether a foreseen contact went, or waits to go.
func goes(c *duly.Contact) bool {
	return c != nil && (c.State == duly.Delivered || c.State == duly.Planned)
}

// pair counts one contact, of which either may be missing, and returns what becomes of it.
func (m *impactCount) pair(a, z *duly.Contact) string {
	c := a
	if c == nil {
		c = z
	}
	if c.Day.Before(m.From) && !goes(a) && !goes(z) || !goes(a) && !goes(z) && !held(a) && !held(z) {
		return "" // long over, or cancelled either way: no rule has a say
	}
	x := Example{BorrowerID: c.BorrowerID, Step: c.Step, Channel: c.Channel, Day: c.Day, id: c.ID}
	if goes(a) {
		x.Now = a.NotBefore
	}
	if goes(z) {
		x.Then = z.NotBefore
	}
	switch {
	case goes(a) && !goes(z):
		x.What = "lost"
		x.because(z)
	case goes(z) && !goes(a):
		x.What = "gained"
		x.because(a)
	case goes(a) && !a.NotBefore.Equal(z.NotBefore):
		x.What, x.Shift = "moved", int(z.NotBefore.Sub(a.NotBefore)/time.Minute)
		if x.because(z); z.NotBefore.Before(a.NotBefore) {
			x.because(a)
		}
	default:
		x.What = "same"
		if !goes(a) {
			x.because(a)
		}
	}
	m.count(&x)
	return x.What
}

func held(c *duly.Contact) bool { return c != nil && c.State == duly.Blocked }

// because takes over why a contact does not go, or goes later; one that nobody wanted gave way to another.
func (x *Example) because(c *duly.Contact) {
	x.Reason, x.Rule = "not_wanted", ""
	if c == nil {
		return
	}
	if c.Reason != "" {
		x.Reason = c.Reason
	}
	for i := range c.Decision.Reasons {
		if r := &c.Decision.Reasons[i]; r.Code == x.Reason {
			x.Rule = r.Pack + " " + r.Rule
			return
		}
	}
}

func (m *impactCount) count(x *Example) {
	key := Effect{Step: x.Step, Channel: x.Channel, Reason: x.Reason}
	row := m.rows[key]
	if row == nil {
		row = &Effect{Step: x.Step, Channel: x.Channel, Reason: x.Reason}
		m.rows[key] = row
	}
	row.Considered++
	m.Considered++
	switch x.What {
	case "same":
		row.Same++
		m.Same++
		return
	case "gained":
		row.Gained++
		m.Gained++
	case "lost":
		row.Lost++
		m.Lost++
	case "moved":
		row.Moved++
		m.Moved++
		if x.Shift > 0 {
			row.Later++
		}
		row.shift += x.Shift
		if abs(x.Shift) > abs(row.ShiftMax) {
			row.ShiftMax = x.Shift
		}
	}
	kind := exampleKey{key, x.What}
	list := append(m.examples[kind], *x)
	slices.SortFunc(list, clearer)
	m.examples[kind] = list[:min(len(list), impactExamples)]
}

func abs(n int) int { return max(n, -n) }

// changes are what can become of a contact, the clearest first.
var changes = [...]string{"lost", "gained", "moved"}

func rank(what string) int { return slices.Index(changes[:], what) }

// clearer puts what is lost before what is gained and what is moved, and what is moved further before the rest.
func clearer(a, b Example) int {
	return cmp.Or(cmp.Compare(rank(a.What), rank(b.What)), cmp.Compare(abs(b.Shift), abs(a.Shift)), cmp.Compare(a.BorrowerID, b.BorrowerID),
		a.Day.Compare(b.Day), cmp.Compare(a.id, b.id))
}

// done puts the rows in order and picks the examples.
func (m *impactCount) done() Impact {
	out := m.Impact
	out.Rows = make([]Effect, 0, len(m.rows))
	for _, r := range m.rows {
		if r.Moved > 0 {
			r.ShiftMean = r.shift / r.Moved
		}
		out.Rows = append(out.Rows, *r)
	}
	slices.SortFunc(out.Rows, func(a, b Effect) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Reason, b.Reason))
	})
	out.Examples = m.pick()
	return out
}

// pick takes the examples: what is lost, gained and moved in turn, and of each the clearest of every row before the next.
func (m *impactCount) pick() []Example {
	var queues [len(changes)][]Example
	for round := range impactExamples {
		var next []Example
		for _, list := range m.examples {
			if round < len(list) {
				next = append(next, list[round])
			}
		}
		slices.SortFunc(next, clearer)
		for _, x := range next {
			queues[rank(x.What)] = append(queues[rank(x.What)], x)
		}
	}
	out := make([]Example, 0, impactExamples)
	for round := range impactExamples {
		for _, q := range queues {
			if round < len(q) && len(out) < impactExamples {
				out = append(out, q[round])
			}
		}
	}
	return out
}
