// Package engine is the pipe that a contact goes through: import, plan, dispatch, receive, measure.
//
// Rows are the only hand-over between the steps. Each step reads rows in one state, asks a pure rule, and writes rows in
// the next state, in one transaction and in bounded batches; each is safe to repeat. Dispatch takes two transactions,
// with the sending between them. Nothing here reads a clock by itself: [Engine.Step] is told what time it is.
//
//	e, err := engine.New(deps, config)
//	report, err := e.Step(ctx, now)
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/route"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/message"
	"github.com/dulyhq/duly/internal/rule"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/strategy"
)

// Limits of one step, so that no step runs without end.
const (
	historyDays      = 35      // how far back persons are read at least; see Engine.since
	claimMax         = 256     // contacts claimed in one transaction
	dispatchMax      = 5000    // contacts sent in one Step; the caller steps again while there is more
	receiptMax       = 2000    // receipts taken from one carrier or one bucket at a time
	attemptsMax      = 5       // tries of one contact before it counts as failed
	importChunkRows  = 25_000  // rows of an import applied in one transaction at most
	importGroupRows  = 10_000  // rows of an import applied in one transaction where they are sorted: a larger one gains nothing
	importWindowRows = 250_000 // rows of an import sorted before they are applied
)

// FeedPayments is the name of the feed whose freshness the payment fence watches.
const FeedPayments = "payments"

// Deps is what an Engine works with. All are needed but Routes, Log, Holding and Sources.
type Deps struct {
	DB         *store.DB
	Strategies []*strategy.Strategy // the first that applies to a person is theirs
	Packs      []*rule.Pack
	Calendars  *civil.Calendars
	Messages   *message.Set
	Carriers   map[duly.Channel][]channel.Sender // of each channel, in the operator's order
	Routes     route.Config                      // how they are chosen; who they are is said by Carriers
	Log        *slog.Logger
	Holding    *Holding // what this process may work on; nil: everything
	Sources    Sources  // the texts that Strategies, Packs, Calendars and Messages were made of
}

// Sources are the texts that decide: the store keeps each by its hash when it is used for the first time, so that a past day
// can be decided again.
type Sources struct {
	Configuration string // the hash of the document that names the others; "" where none are to be kept
	Documents     []store.Document
}

// Config is how an Engine behaves.
type Config struct {
	Location     *time.Location       // of the lender's calendar: when a day begins
	Lender       string               // as borrowers know it: signature of messages
	LenderKind   string               // by the table of inputs of package rule: whose duties it has; "" is not known
	ServicePhone string               // where borrowers get help
	FeedMaxAge   time.Duration        // payments older than this stop sending
	Lease        time.Duration        // a try without an answer after this is in doubt
	Workers      int                  // messages on the way to carriers at one time
	FanOut       int                  // tries to send to one person within a day: more are refused; 0: no limit
	Patience     time.Duration        // how long a Dispatch with nothing more to claim waits for answers, before it leaves them to the next; 0: for all
	Law          *rule.Lender         // what rules ask of the lender; nil: nothing is known
	Keep         map[Record]rule.Term // for how long records are kept; those without a term for ever
	// Clock tells the time between claiming and sending, for the recheck of a claim that waited. Nil never rechecks,
	// which is right where time stands still between steps, as in the simulator.
	Clock func() time.Time
	// Lockstep, if not nil, has the engine do one thing at a time, in the goroutine that calls it, and is told before each.
	// What a run does then depends on nothing but what it was given, and a simulator may do anything in between: even panic,
	// which leaves what a process leaves that dies there.
	Lockstep func(Point, duly.BorrowerID)
	// Wait waits in place of a timer; nil waits by one. A simulator lets its own time go by.
	Wait func(ctx context.Context, d time.Duration)
}

// Point is a place in a step at which an engine in lockstep tells where it is.
type Point string

// The points, in the order of a step. Send comes once for each contact, with its borrower: claimed and committed, not yet
// begun. Answer comes before the answers of carriers are stored.
const (
	PointReceive  Point = "receive"
	PointPlan     Point = "plan"
	PointDispatch Point = "dispatch"
	PointSend     Point = "send"
	PointAnswer   Point = "answer"
	PointMeasure  Point = "measure"
	PointDone     Point = "done"
)

// at tells a simulator where the engine is.
func (e *Engine) at(p Point, b duly.BorrowerID) {
	if e.cfg.Lockstep != nil {
		e.cfg.Lockstep(p, b)
	}
}

// Engine runs the steps. Its methods are safe for concurrent use; Step is not run twice at a time by one Engine.
type Engine struct {
	db         *store.DB
	strategies []lane
	packs      []*rule.Pack // for their obligations
	calendars  *civil.Calendars
	messages   *message.Set
	carriers   map[duly.Channel][]channel.Sender
	senders    []channel.Sender      // the distinct carriers, by name
	named      map[duly.Channel]bool // one of the channel's carriers fills a template of its own
	router     *route.Router
	routes     routeState
	log        *slog.Logger
	cfg        Config
	holding    *Holding
	fence      *fence
	rules      *rule.Set // the packs alone: for contacts with persons whom no strategy serves
	history    int       // days back that the rules count contacts; -1: all that ever were
	late       lateAnswers
	stragglers stragglers
	legs       []leg // of forgetting: none where everything is kept
	forgetting forgetState
	sources    Sources
	kept       atomic.Bool // sources are in the store
	gap        atomic.Pointer[gap]
	mu         sync.Mutex // one Step at a time
}

// lane is a strategy with the rules that bind it: the packs and its own limits.
type lane struct {
	*strategy.Strategy
	rules *rule.Set
}

// New checks that the parts fit: every channel a strategy uses has a carrier, every template it names exists in the
// tone it wants.
func New(d Deps, c Config) (*Engine, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		db: d.DB, packs: d.Packs, calendars: d.Calendars, messages: d.Messages, carriers: d.Carriers, log: d.Log, cfg: c,
		holding: d.Holding, fence: newFence(d.Holding), sources: d.Sources, named: map[duly.Channel]bool{},
	}
	byName := map[string]channel.Sender{}
	for ch, list := range d.Carriers {
		for _, s := range list {
			byName[s.Name()] = s
			e.named[ch] = e.named[ch] || s.Caps().Variables
		}
	}
	e.router, e.routes.stopped = route.New(lanes(d)), map[duly.Channel]time.Time{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		e.senders = append(e.senders, byName[name])
	}
	var err error
	for _, s := range d.Strategies {
		if err := carried(s, d); err != nil {
			return nil, err
		}
		l, err := newLane(s, d.Packs)
		if err != nil {
			return nil, err
		}
		e.strategies = append(e.strategies, l)
	}
	if e.rules, err = rule.NewSet(d.Packs); err != nil {
		return nil, err
	}
	e.history = e.depth()
	if len(e.strategies) == 0 {
		return nil, duly.Errorf(duly.Usage, "no strategy is given").WithHint("name one in the configuration under strategies")
	}
	if err := e.setKeep(); err != nil {
		return nil, err
	}
	return e, nil
}

// depth is how many days back contacts must be read so that no rule counts too few; -1 for all that ever were.
func (e *Engine) depth() int {
	h := e.furthest()
	if h.Ever {
		return -1
	}
	return max(h.Days, historyDays)
}

// since is how far back of an instant persons are read: contacts and touches as far as the rules count, the rest for the
// plan.
func (e *Engine) since(at time.Time) store.Since {
	s := store.Since{Facts: at.AddDate(0, 0, -historyDays)}
	if e.history >= 0 {
		s.Contacts = at.AddDate(0, 0, -e.history)
	}
	return s
}

// carried checks that what a strategy sends has its carriers and its words.
func carried(s *strategy.Strategy, d Deps) error {
	for _, use := range s.Templates() {
		place := duly.Place{File: s.Name, Line: use.Line, Field: "steps." + use.Step}
		if len(d.Carriers[use.Channel]) == 0 {
			return duly.Errorf(duly.Invalid, "no carrier is configured for channel %s", use.Channel).At(place).
				WithHint("add one under carriers, or take the channel out of the step's ladder")
		}
		if err := d.Messages.Check(use.Template, use.Channel, use.Tone); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
	}
	return nil
}

func newLane(s *strategy.Strategy, packs []*rule.Pack) (lane, error) {
	var caps []rule.Rule
	for i, l := range s.Limits {
		r, err := rule.NewCap(fmt.Sprintf("LIMIT-%02d", i+1), s.Name, l.Max, l.Per, l.Channels)
		if err != nil {
			return lane{}, err
		}
		caps = append(caps, r)
	}
	set, err := rule.NewSet(packs, caps...)
	if err != nil {
		return lane{}, err
	}
	return lane{s, set}, nil
}

// Report says what one Step did.
type Report struct {
	Planned    PlanReport
	Dispatched DispatchReport
	Received   ReceiveReport
	Measured   int
	Forgotten  ForgetReport
	More       bool // there is more to do at this very moment: step again
}

// Step runs the pipe once, for the given instant: what came back is received, what is needed is planned, what is due is
// sent, what followed is measured; where there was none of that, what need not be kept is removed. It returns at the first failure of the store; a carrier's failure is not one.
func (e *Engine) Step(ctx context.Context, now time.Time) (Report, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.step(ctx, now)
	err = e.settleMoving(&r, err)
	return r, err
}

func (e *Engine) step(ctx context.Context, now time.Time) (Report, error) {
	var r Report
	var err error
	e.at(PointReceive, "")
	if r.Received, err = e.Receive(ctx, now); err != nil {
		return r, fmt.Errorf("receive: %w", err)
	}
	// What is planned already may go though a plan failed somewhere: every claim asks the gate and the ledger anew.
	var planErr error
	e.at(PointPlan, "")
	if r.Planned, planErr = e.Plan(ctx, now); planErr != nil {
		planErr = fmt.Errorf("plan: %w", planErr)
	}
	e.at(PointDispatch, "")
	if r.Dispatched, err = e.Dispatch(ctx, now); err != nil {
		return r, errors.Join(planErr, fmt.Errorf("dispatch: %w", err))
	}
	e.at(PointMeasure, "")
	if r.Measured, err = e.Measure(ctx, now); err != nil {
		return r, errors.Join(planErr, fmt.Errorf("measure: %w", err))
	}
	e.at(PointDone, "")
	r.More = r.Dispatched.More || r.Received.More
	if planErr == nil && r.quiet() {
		if r.Forgotten, err = e.Forget(ctx, now); err != nil {
			return r, fmt.Errorf("forget: %w", err)
		}
	}
	return r, planErr
}

// quiet reports whether there was nothing to do so far.
func (r *Report) quiet() bool {
	return !r.More && r.Received.Applied+r.Planned.New+r.Planned.Moved+r.Dispatched.Claimed+r.Measured == 0
}

// Holding returns what this process may work on; nil is everything.
func (e *Engine) Holding() *Holding { return e.holding }

// Today returns the lender's day at an instant.
func (e *Engine) Today(now time.Time) civil.Date { return civil.In(now, e.cfg.Location) }

// DB returns the engine's store, for reading.
func (e *Engine) DB() *store.DB { return e.db }

// Config returns how the engine behaves.
func (e *Engine) Config() Config { return e.cfg }

// laneOf returns the lane with a strategy's name, or nil.
func (e *Engine) laneOf(name string) *lane {
	for i := range e.strategies {
		if e.strategies[i].Name == name {
			return &e.strategies[i]
		}
	}
	return nil
}

// laneFor returns the lane that serves a person: that of the first strategy that applies, or nil.
func (e *Engine) laneFor(p *duly.Person, today civil.Date) (*lane, error) {
	for i := range e.strategies {
		ok, err := e.strategies[i].Applies(p, today)
		if err != nil {
			return nil, err
		}
		if ok {
			return &e.strategies[i], nil
		}
	}
	return nil, nil
}

func (e *Engine) reach() (before, after int) {
	for i := range e.strategies {
		b, a := e.strategies[i].Reach()
		before, after = max(before, b), max(after, a)
	}
	return before, after
}
