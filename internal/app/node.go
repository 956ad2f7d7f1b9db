package app

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
)

// NodeConfig is how this process stands among others over one store.
type NodeConfig struct {
	Name  string   `yaml:"name"`  // for people; "" is the machine's
	Lease Duration `yaml:"lease"` // how long a node that is silent keeps its buckets
}

// Limits of node.lease: shorter than a hiccup it would be lost for nothing, longer than this a dead node's share waits.
const (
	nodeLeaseMin = time.Second
	nodeLeaseMax = time.Minute
)

func (a *App) keeper(what string) *engine.Keeper {
	name := a.Config.Node.Name
	if name == "" {
		if name, _ = os.Hostname(); name == "" {
			name = "unnamed"
		}
	}
	if what != "" {
		name += " (duly " + what + ")"
	}
	return engine.NewKeeper(engine.KeeperConfig{
		DB: a.DB, Holding: a.Engine.Holding(), Name: name, Version: version(), Lease: time.Duration(a.Config.Node.Lease),
		Clock: time.Now, NewID: rand.Text, Log: a.Log,
	})
}

// version is that of the program, as its build tells it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// Join leases every bucket for a command that runs the engine by itself, until leave is called. Where a node serves the
// store already it refuses and names it; for the lease of one that has died it waits. Leave fails where the lease was lost
// meanwhile: then the engine did nothing for a while.
func (a *App) Join(ctx context.Context, what string) (leave func() error, err error) {
	k := a.keeper(what)
	if err := a.alone(ctx, k); err != nil {
		return nil, err
	}
	for try := 1; a.Engine.Holding().State().Buckets < len(a.Engine.Holding().Works()); try++ {
		err := k.Beat(ctx)
		if err == nil {
			err = a.only(ctx, k.ID())
		}
		if err == nil && try > joinTries {
			err = duly.Errorf(duly.Unavailable, "another process holds some of the buckets for the moment").WithHint("try again; see `duly nodes`")
		}
		if err != nil {
			return nil, errors.Join(err, k.Leave(context.WithoutCancel(ctx)))
		}
		if try > 1 {
			pause(ctx, k.Every())
		}
	}
	stop := a.keep(k, &outage{log: a.Log})
	before := a.Engine.Holding().State().Gaps
	return sync.OnceValue(func() error {
		stop()
		err := k.Leave(context.WithoutCancel(ctx))
		if a.Engine.Holding().State().Gaps > before {
			err = errors.Join(err, duly.Errorf(duly.Unavailable, "the lease of this run was lost for a while, and nothing was done meanwhile").
				WithHint("run it again: what was done is kept, and nothing is done twice"))
		}
		return err
	}), nil
}

// joinTries is how many beats a command waits for buckets that are just changing hands.
const joinTries = 8

// alone waits until no other node lives, or refuses once one is heard: a node that has died is silent.
func (a *App) alone(ctx context.Context, k *engine.Keeper) error {
	heard := map[string]time.Time{}
	for {
		all, err := a.DB.Leases(ctx)
		if err != nil {
			return err
		}
		others := all.Alive()
		if len(others) == 0 {
			return nil
		}
		for i := range others {
			n := &others[i]
			if last, ok := heard[n.ID]; ok && n.HeardAt.After(last) {
				return served(&all, n)
			}
			heard[n.ID] = n.HeardAt
		}
		if !pause(ctx, k.Every()) {
			return context.Cause(ctx)
		}
	}
}

// only refuses where another node has joined at the same moment.
func (a *App) only(ctx context.Context, id string) error {
	all, err := a.DB.Leases(ctx)
	if err != nil {
		return err
	}
	for _, n := range all.Alive() {
		if n.ID != id {
			return served(&all, &n)
		}
	}
	return nil
}

func served(all *store.Leases, n *store.Node) error {
	owned := 0
	for _, b := range all.Buckets {
		if b.Owner == n.ID {
			owned++
		}
	}
	return duly.Errorf(duly.Refused, "node %s works on this store: %d of its %d buckets are leased to it", n.Name, owned, len(all.Buckets)).
		WithHint("it plans and sends by itself, see `duly nodes` and `duly plan --dry-run`; stop it to run this command")
}

// pause waits, and reports whether ctx lives still.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// keep beats until stop is called, which waits for the last beat. It tells out how it goes; where the lease has run out it
// gives up the step that is under way, for that hangs on a store that does not answer.
func (a *App) keep(k *engine.Keeper, out *outage) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause(ctx, k.Every()) {
			a.beat(ctx, k, out)
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

// beat beats once. It waits for the store no longer than would leave time for another try within the lease.
func (a *App) beat(ctx context.Context, k *engine.Keeper, out *outage) {
	h := k.Holding
	before := h.State().Buckets
	limited, cancel := context.WithTimeoutCause(ctx, k.Lease/2, errSilent)
	defer cancel()
	err := k.Beat(limited)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		out.failed("lease", err)
		if !h.Live() && a.giveUp() {
			out.failed("step", err) // the outage lasts until one has succeeded
		}
	default:
		out.worked("lease")
		if h.State().Buckets > before {
			a.gained()
		}
	}
}

var errSilent = errors.New("the store does not answer in time")

// outage is a time in which the store does not answer. It is said once when it begins and once when it ends, however often
// it is tried meanwhile.
type outage struct {
	log     *slog.Logger
	mu      sync.Mutex
	failing map[string]bool // by what was tried
	since   time.Time
}

// failed notes that the store did not answer to something.
func (o *outage) failed(what string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failing) == 0 {
		o.failing, o.since = map[string]bool{}, time.Now()
		o.log.Error("the store does not answer: sending pauses until it does", "error", err)
	}
	o.failing[what] = true
}

// worked notes that it did. The outage ends when all that had failed works.
func (o *outage) worked(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failing[what] {
		return
	}
	delete(o.failing, what)
	if len(o.failing) == 0 {
		o.log.Warn("the store answers again: sending goes on", "paused", time.Since(o.since).Round(time.Millisecond))
	}
}
