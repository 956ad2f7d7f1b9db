package stream

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// Cells returns the engines of the cells that answer, and an error if one does not.
type Cells func() ([]*engine.Engine, error)

// cellLimit is how long one cell may take to be asked or told something, so that one that hangs does not hold up what is about others.
const cellLimit = 5 * time.Second

var errCellSilent = errors.New("the cell does not answer in time")

// ask has a cell answer in time.
func ask(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cellLimit, errCellSilent)
	defer cancel()
	err := fn(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errCellSilent) {
		return duly.Errorf(duly.Unavailable, "a cell does not answer in %s", cellLimit).WithHint("is its server up? /healthz says which")
	}
	return err
}

// Publisher tells facts and receipts to the log, and waits until they have taken effect. It is safe for concurrent use.
type Publisher struct {
	log   *Log
	cells Cells
	// Patience is how long a call waits for its facts to be applied.
	Patience time.Duration
	// Keeps returns the stores that may keep commands which were not applied in time; nil keeps none.
	Keeps func() []*store.DB

	inbox   string
	sub     *nats.Subscription
	mu      sync.Mutex
	waiting map[string]chan outcome
}

// replyHeader names where the outcome of a command is wanted.
const replyHeader = "Duly-Reply"

// patience is how long a call waits unless told otherwise: longer than a part takes to find a new worker.
const patience = 30 * time.Second

// NewPublisher makes a Publisher. Close it when done.
func NewPublisher(l *Log, cells Cells) (*Publisher, error) {
	p := &Publisher{log: l, cells: cells, Patience: patience, inbox: nats.NewInbox(), waiting: map[string]chan outcome{}}
	var err error
	p.sub, err = l.conn.Subscribe(p.inbox+".*", p.told)
	if err != nil {
		return nil, unreachable(err)
	}
	return p, nil
}

// Close ends the Publisher.
func (p *Publisher) Close() error { return p.sub.Unsubscribe() }

// told takes the outcome of a command to whoever waits for it.
func (p *Publisher) told(m *nats.Msg) {
	p.mu.Lock()
	ch := p.waiting[m.Subject]
	p.mu.Unlock()
	var o outcome
	if ch == nil || json.Unmarshal(m.Data, &o) != nil {
		return
	}
	select {
	case ch <- o:
	default: // told twice
	}
}

// Apply is [engine.Engine.Apply] through the log: it returns when the facts are applied in their cells. An error may leave some of
// them applied and others not, or yet to be: to tell them again changes nothing about those that are.
func (p *Publisher) Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact) (engine.Applied, error) {
	return p.apply(ctx, now, actor, facts, false)
}

// bulk is a Publisher for imports: buckets are planned whole.
type bulk struct{ *Publisher }

// Apply is that of an [engine.Way].
func (b bulk) Apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact, whole bool) (engine.Applied, error) {
	return b.apply(ctx, now, actor, facts, whole)
}

// Way returns the way of an import through the log.
func (p *Publisher) Way() engine.Way { return bulk{p} }

func (p *Publisher) apply(ctx context.Context, now time.Time, actor string, facts []duly.Fact, whole bool) (engine.Applied, error) {
	out := engine.Applied{Results: make([]store.PutResult, len(facts))}
	if err := p.findOwners(ctx, facts); err != nil {
		return out, err
	}
	for i, f := range facts {
		if f.Owner() == "" {
			out.Results[i] = store.Ownerless(f)
		}
	}
	most := factsMax
	if whole {
		most = bulkMax
	}
	pieces, err := p.log.cut(facts, most)
	if err != nil {
		return out, err
	}
	outcomes, err := p.publish(ctx, len(pieces), func(i int) (int, command) {
		return pieces[i].part, command{At: now, Actor: actor, Bulk: whole, facts: pieces[i].facts}
	})
	if err != nil {
		return out, err
	}
	for i := range outcomes {
		a := &outcomes[i].Answer
		if len(a.Results) != len(pieces[i].places) {
			return out, fmt.Errorf("a command of %d facts was answered for %d", len(pieces[i].places), len(a.Results))
		}
		for n, place := range pieces[i].places {
			out.Results[place] = a.Results[n]
			if r, ok := facts[place].(*duly.Reply); ok {
				r.Meaning = a.Meanings[n]
			}
		}
		out.Add(a.Applied())
	}
	return out, nil
}

// findOwners asks the cells whose facts are that name only their loan. What those that answer know is known; where one does not
// answer, nothing is known of the rest.
func (p *Publisher) findOwners(ctx context.Context, facts []duly.Fact) error {
	ownerless := func(f duly.Fact) bool { return f.Owner() == "" }
	if !slices.ContainsFunc(facts, ownerless) {
		return nil
	}
	var lost []duly.Fact
	for _, f := range facts {
		if ownerless(f) {
			lost = append(lost, f)
		}
	}
	cells, away := p.cells()
	for _, e := range cells { // a fact that one has found is not looked for by the next
		away = errors.Join(away, ask(ctx, func(ctx context.Context) error { return e.FindOwners(ctx, lost) }))
	}
	if slices.ContainsFunc(lost, ownerless) {
		return away
	}
	return nil
}

// FeedThrough tells every cell that everything of a feed up to an instant is known. It does not go through the log: whoever
// calls it has seen the facts applied. One cell that is away keeps no other from being told.
func (p *Publisher) FeedThrough(ctx context.Context, now time.Time, feed string, through time.Time) error {
	cells, err := p.cells()
	errs := make([]error, len(cells))
	var told sync.WaitGroup
	for i, e := range cells {
		told.Go(func() {
			errs[i] = ask(ctx, func(ctx context.Context) error { return e.FeedThrough(ctx, now, feed, through) })
		})
	}
	told.Wait()
	return errors.Join(append(errs, err)...)
}

// Accept is [engine.Engine.Accept] through the log. A receipt that names no attempt goes to the cell that knows the carrier's
// reference, and to all of them if none does.
func (p *Publisher) Accept(ctx context.Context, now time.Time, receipts []duly.Receipt, r *engine.ReceiveReport) error {
	byPart := map[int][]duly.Receipt{}
	for _, rc := range receipts {
		if b, ok := rc.AttemptID.Bucket(); ok {
			part := p.log.PartOf(b)
			byPart[part] = append(byPart[part], rc)
			continue
		}
		parts, err := p.trace(ctx, &rc)
		if err != nil {
			return err
		}
		for _, part := range parts {
			byPart[part] = append(byPart[part], rc)
		}
	}
	var order []int
	for part := range byPart {
		order = append(order, part)
	}
	outcomes, err := p.publish(ctx, len(order), func(i int) (int, command) { return order[i], command{At: now, Receipts: byPart[order[i]]} })
	for i := range outcomes {
		r.Receipts += outcomes[i].Receive.Receipts
		r.Orphans += outcomes[i].Receive.Orphans
	}
	return err
}

// Hear is [engine.Engine.Hear] through the log: people are looked for in every cell.
func (p *Publisher) Hear(ctx context.Context, now time.Time, carrier string, heard channel.Heard, r *engine.ReceiveReport) error {
	cells, away := p.cells()
	return engine.HearFor(ctx, now, carrier, heard, cells, away, p, r)
}

// trace returns the parts that a receipt without an attempt is told to.
func (p *Publisher) trace(ctx context.Context, rc *duly.Receipt) ([]int, error) {
	cells, away := p.cells()
	var first []int
	for _, e := range cells {
		if has := e.Holding().Works(); len(has) > 0 {
			first = append(first, p.log.PartOf(has[0]))
		}
		if rc.ProviderID == "" {
			continue
		}
		var a duly.Attempt
		err := ask(ctx, func(ctx context.Context) (err error) {
			a, err = e.DB().FindAttemptByProvider(ctx, rc.Provider, rc.ProviderID)
			return err
		})
		if b, ok := a.ID.Bucket(); err == nil && ok {
			return []int{p.log.PartOf(b)}, nil
		}
		if err != nil && duly.CodeOf(err) != duly.NotFound {
			away = errors.Join(away, err)
		}
	}
	return first, away
}

// publish publishes commands, those of one part in their order, and waits until all have taken effect. No part waits for another,
// whose cell may be away.
func (p *Publisher) publish(ctx context.Context, n int, of func(int) (part int, c command)) ([]outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Patience, errPatience)
	defer cancel()
	out := make([]outcome, n)
	errs := make([]error, n)
	queues := map[int][]int{}
	cmds := make([]command, n)
	for i := range n {
		part, c := of(i)
		cmds[i] = c
		queues[part] = append(queues[part], i)
	}
	var wg sync.WaitGroup
	for part, queue := range queues {
		wg.Go(func() {
			for _, i := range queue { // one after the other: what is refused must not be overtaken
				if out[i], errs[i] = p.tell(ctx, part, &cmds[i]); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

var errPatience = errors.New("the facts were not applied in time")

// retryWait is the wait between two tries to publish.
const retryWait = 200 * time.Millisecond

// tell publishes a command until a majority of the servers has it, and waits for its outcome.
func (p *Publisher) tell(ctx context.Context, part int, c *command) (outcome, error) {
	data, err := c.encode()
	if err != nil {
		return outcome{}, err
	}
	o, seq, err := p.tellData(ctx, part, data)
	if errors.Is(err, errNotApplied) {
		hint := "until they are, contacts about them may still go; their cell is away or behind, or their people are being moved. Tell them again to learn when they are applied: it changes nothing else"
		if !p.keep(ctx, c.At, store.KeptCommand{ID: rand.Text(), Part: part, At: store.Mark{Log: p.log.made, Seq: int64(seq)}, Data: string(data)}) {
			hint += "; and should the log lose them, nobody else does"
		}
		return o, duly.Errorf(duly.Unavailable, "the log has the facts, but they were not applied in %s", p.Patience).WithHint("%s", hint)
	}
	if err != nil {
		return o, err
	}
	return o, asError(o)
}

var errNotApplied = errors.New("the log has a command that was not applied in time")

// tellData is tell for a command as it is in the log. It returns its number there, and errNotApplied where it was not applied in
// time.
func (p *Publisher) tellData(ctx context.Context, part int, data []byte) (outcome, uint64, error) {
	id := rand.Text()
	subject := p.inbox + "." + id
	ch := make(chan outcome, 1)
	p.mu.Lock()
	p.waiting[subject] = ch
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, subject)
		p.mu.Unlock()
	}()
	var ack *jetstream.PubAck
	for ack == nil {
		try, cancel := context.WithTimeout(ctx, tryLimit)
		// The same id again is the same message: a try whose answer was lost puts it there once.
		got, err := p.log.js.PublishMsg(try, &nats.Msg{Subject: p.log.subject(part), Data: data, Header: nats.Header{replyHeader: {subject}}}, jetstream.WithMsgID(id))
		cancel()
		if errors.Is(err, nats.ErrMaxPayload) {
			return outcome{}, 0, duly.Errorf(duly.Usage, "one fact is larger than the log's servers take").WithHint("raise max_payload in their configuration")
		}
		if err == nil {
			ack = got
			break
		}
		p.log.Config.Log.Debug("publish", "part", part, "error", err)
		select {
		case o := <-ch: // it was taken all the same
			return o, 0, nil
		case <-ctx.Done():
			return outcome{}, 0, duly.Errorf(duly.Unavailable, "the log did not take the facts in %s: %s", p.Patience, cause(err)).
				WithHint("nothing of them counts as told; tell them again, what is known already changes nothing")
		case <-time.After(retryWait):
		}
	}
	select {
	case o := <-ch:
		return o, ack.Sequence, nil
	case <-ctx.Done():
		return outcome{}, ack.Sequence, errNotApplied
	}
}

func asError(o outcome) error {
	if o.Error != nil {
		return o.Error
	}
	return nil
}
