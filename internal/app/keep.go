package app

import (
	"context"
	"errors"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/stream"
)

// moves are those that this process was asked for by the API: one at a time.
type moves struct {
	mu      sync.Mutex
	running bool
	work    sync.WaitGroup
}

func (m *moves) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running {
		return false
	}
	m.running = true
	return true
}

func (m *moves) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = false
}

// move begins to move parts; limited is the call's context, ctx that of the process. Where the process is told to stop, a part that
// is not quite moved works on where it was.
func (f *fleet) move(limited, ctx context.Context, from, to int, cell string) error {
	if !f.moves.begin() {
		return duly.Errorf(duly.Conflict, "this process is moving parts already").WithHint("GET /v1/cells tells how far it is")
	}
	m, err := planMove(limited, f.cfg, f.opts, from, to, cell)
	if err != nil {
		f.moves.end()
		return err
	}
	f.moves.work.Go(func() {
		defer f.moves.end()
		_, err := m.run(ctx, func(part int, what string) { f.opts.Log.Info("move", "part", part, "to", cell, "part_is", what) })
		if err != nil {
			f.opts.Log.Error("parts could not be moved; move them again", "to", cell, "error", err)
		}
	})
	return nil
}

// opened is the cells that are open in this process.
func (f *fleet) opened() *cellSet {
	s := &cellSet{cfg: &f.cfg, dbs: map[string]*store.DB{}, closed: map[string]error{}}
	for _, c := range f.cells {
		if a, _ := c.opened(); a != nil {
			s.dbs[c.name] = a.DB
		} else {
			s.closed[c.name] = away(c.name)
		}
	}
	return s
}

// list reports who has which part, from the cells that are open in this process.
func (f *fleet) list(ctx context.Context) (any, error) {
	waiting, err := f.log.WaitingBy(ctx)
	if err != nil {
		f.opts.Log.Debug("cells", "error", err)
	}
	return f.opened().report(ctx, waiting)
}

// stores are those of the cells that are open.
func (f *fleet) stores() []*store.DB {
	var out []*store.DB
	for _, c := range f.cells {
		if a, _ := c.opened(); a != nil {
			out = append(out, a.DB)
		}
	}
	return out
}

// reconcileEvery is how often commands are looked after that were kept because they were not applied in time.
const reconcileEvery = time.Hour

// reconcile looks after the kept commands of each cell that this process has the first bucket of, until ctx ends.
func (f *fleet) reconcile(ctx context.Context) {
	for pause(ctx, reconcileEvery) {
		for _, c := range f.cells {
			a, _ := c.opened()
			if a == nil {
				continue
			}
			if has := a.Engine.Holding().Works(); len(has) == 0 || len(a.Engine.Holding().Mine(has[:1])) == 0 {
				continue // its owner does
			}
			r, err := f.pub.Reconcile(ctx, a.DB)
			if err != nil && ctx.Err() == nil {
				c.log.Warn("commands that were kept could not all be looked after; the next round tries again", "error", err)
			}
			if r.Told > 0 {
				c.log.Warn("the log did not have commands that were kept; they were told again", "told", r.Told, "applied", r.Applied, "refused", r.Refused)
			}
		}
	}
}

// Reconcile tells the commands that any cell keeps to the log again, unless it has them still. Some `duly serve` must run.
func Reconcile(ctx context.Context, c Config, o Options) (out stream.Reconciled, err error) {
	s, err := openCells(ctx, &c, o)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.whole("it may keep commands"); err != nil {
		return out, err
	}
	if c.Stream.Embedded != "" {
		return out, errEmbedded()
	}
	l, stop, err := openLog(ctx, &c, o)
	if err != nil {
		return out, err
	}
	defer stop()
	p, err := stream.NewPublisher(l, func() ([]*engine.Engine, error) { return nil, nil })
	if err != nil {
		return out, err
	}
	defer p.Close()
	for _, cell := range c.Cells {
		r, err := p.Reconcile(ctx, s.dbs[cell.Name])
		out.Add(r)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func errEmbedded() *duly.Error {
	return duly.Errorf(duly.Refused, "the log is inside another process").At(duly.Place{Field: "stream.embedded"}).
		WithHint("its `duly serve` does it by itself; facts are told to it by POST /v1/events")
}
