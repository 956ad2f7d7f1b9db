package sim

import (
	"context"
	"fmt"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// process is one `duly serve`: the real engine over the real store, on a machine with a clock of its own.
type process struct {
	w       *world
	name    string
	db      *store.DB // nil while it is dead
	e       *engine.Engine
	keeper  *engine.Keeper // nil where it is alone on the store
	policy  *policy
	skew    time.Duration // of its clock, always
	jump    time.Duration // of its clock, for a while
	frozen  time.Duration // how long its machine stood still, for the clock of its lease
	calm    int           // instants until jump and frozen end
	heard   time.Time     // when its last beat began that went well, by the true clock
	back    time.Time     // when it is started again after a death
	doom    doom
	depth   int
	planned map[int]bool                   // buckets that its plan wrote to, until they are looked at
	moved   map[duly.ContactID]store.Sight // contacts that a dispatch had moved at the very instant of the step, when it began
	point   engine.Point
}

// doom is where a process is going to die.
type doom struct {
	how   string       // "" is nowhere: point, write, commit, taken, untaken
	point engine.Point // of how point
	left  int          // how many of the kind it still survives
}

// death is the panic of a process that dies.
type death struct{ p *process }

const nodeLease = 3 * time.Hour

// clock is what the machine shows.
func (p *process) clock() time.Time { return p.w.now.Add(p.skew + p.jump) }

// steady is the clock that its lease goes by: a machine that stood still lost time by it.
func (p *process) steady() time.Time { return p.w.now.Add(-p.frozen) }

// start opens the store and makes the engine, as a new process does.
func (p *process) start(ctx context.Context) error {
	db, err := store.Open(ctx, p.w.dsn)
	if err != nil {
		return err
	}
	p.db, p.policy, p.planned, p.doom = db, p.w.policy, map[int]bool{}, doom{}
	db.Simulate(store.Hooks{Now: func() time.Time { return p.w.now }, Write: func() { p.near("write", "") }, Committed: p.committed})
	d := engine.Deps{
		DB: db, Packs: p.policy.packs, Calendars: p.w.calendars, Messages: p.w.messages, Carriers: map[duly.Channel][]channel.Sender{},
	}
	d.Strategies = append(d.Strategies, p.policy.strategy)
	for _, c := range []duly.Channel{duly.ChannelPush, duly.ChannelSMS, duly.ChannelEmail, duly.ChannelRobot} {
		d.Carriers[c] = []channel.Sender{sender{p, carrierName}, sender{p, otherName}}
	}
	d.Routes.Limits = map[string]route.Limits{carrierName: {Rate: route.Rate{N: firstRate, Per: time.Second}}} // what it does not let in goes to the other
	if p.w.shared {
		d.Holding = engine.NewHolding(p.steady)
		p.keeper = engine.NewKeeper(engine.KeeperConfig{
			DB: db, Holding: d.Holding, Name: p.name, Version: "simulated", Lease: nodeLease, Clock: p.steady,
			NewID: func() string { p.w.made++; return fmt.Sprintf("%s-%d", p.name, p.w.made) },
		})
	}
	p.e, err = engine.New(d, engine.Config{
		Location: p.w.loc, Lender: "模拟消金", ServicePhone: "95000", FeedMaxAge: feedMaxAge, Lease: tryLease, Workers: 4, Clock: p.clock,
		Lockstep: p.at, Wait: func(_ context.Context, d time.Duration) { p.w.pass(d) },
	})
	return err
}

// Limits of the engines, and what the world knows of them.
const (
	feedMaxAge = 4 * time.Hour
	tryLease   = 2 * time.Minute
	firstRate  = 3 // messages a second that the first carrier takes
)

// do runs fn as this process, and reports whether the process died in it. What a process does for another one's sake, in the
// middle of something, it may die of too.
func (p *process) do(fn func() error) (died bool, err error) {
	if p.depth > 0 {
		return false, fn()
	}
	p.depth++
	defer func() {
		p.depth--
		switch r := recover().(type) {
		case nil:
		case death:
			if r.p != p {
				panic(r)
			}
			died = true
			p.bury()
		default:
			panic(r)
		}
	}()
	return false, fn()
}

// bury takes away what a dead process leaves: only its files stay.
func (p *process) bury() {
	p.db.Close()
	p.db, p.e, p.keeper, p.heard, p.doom = nil, nil, nil, time.Time{}, doom{}
	if p.back.Before(p.w.now) {
		p.back = p.w.now.Add(time.Duration(p.w.r.crash.IntN(150)) * time.Minute)
	}
}

// kill ends the process between two things that it does, and has it started again at an instant.
func (p *process) kill(back time.Time) {
	p.back = back
	if p.db != nil {
		p.bury()
	}
}

// near brings the process nearer to its death, and kills it there.
func (p *process) near(how string, at engine.Point) {
	if p.doom.how != how || p.doom.point != at {
		return
	}
	if p.doom.left--; p.doom.left < 0 {
		p.doom = doom{}
		p.w.count.Crashes++
		p.w.tell("", "%s dies (%s %s)", p.name, how, at)
		panic(death{p})
	}
}

// at is told by the engine where it is.
func (p *process) at(point engine.Point, b duly.BorrowerID) {
	p.point = point
	p.near("point", point)
	switch point {
	case engine.PointReceive:
		p.w.noteMoved(p)
	case engine.PointDispatch:
		p.w.planAgain(p)
	case engine.PointSend:
		p.w.between(p, b)
	case engine.PointPlan, engine.PointAnswer, engine.PointMeasure, engine.PointDone:
	}
}

// committed is told by the store what became durable, before the engine is.
func (p *process) committed(now time.Time, held, changed []int) {
	p.w.committed(now, held, changed)
	switch p.point {
	case engine.PointPlan:
		for _, b := range changed {
			p.planned[b] = true
		}
	case engine.PointDispatch, engine.PointSend, engine.PointAnswer:
		p.w.dispatched(now, changed)
	case engine.PointReceive, engine.PointMeasure, engine.PointDone:
	}
	p.near("commit", "")
}

// leased reports whether the process may send, as the world sees it: it was heard within its lease.
func (p *process) leased() bool { return p.keeper == nil || p.w.now.Sub(p.heard) < nodeLease }

// beat renews the lease.
func (p *process) beat(ctx context.Context) error {
	if p.keeper == nil {
		return nil
	}
	from := p.w.now
	if err := p.keeper.Beat(ctx); err != nil {
		return err
	}
	p.heard = from
	return nil
}

// sender is one of the carriers as one process reaches it.
type sender struct {
	p    *process
	name string
}

var (
	_ channel.Sender  = sender{}
	_ channel.Querier = sender{}
)

// Name returns the carrier's name.
func (s sender) Name() string { return s.name }

// Caps says that it serves every channel.
func (s sender) Caps() channel.Caps { return s.p.w.post.boxes[s.name].Caps() }

// Send hands the message over, unless the process dies before, and lives to hear of it, unless it dies after.
func (s sender) Send(ctx context.Context, m channel.Message) (channel.Accepted, error) {
	s.p.near("untaken", "")
	s.p.w.posted(s.p, &m)
	acc, err := s.p.w.post.send(ctx, s.p, s.name, m)
	s.p.near("taken", "")
	return acc, err
}

// Query asks the carrier what became of an attempt.
func (s sender) Query(ctx context.Context, id duly.AttemptID) (duly.ReceiptStatus, bool, error) {
	return s.p.w.post.boxes[s.name].Query(ctx, id)
}
