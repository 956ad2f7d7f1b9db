package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/money"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream"
	"github.com/dulyhq/duly/internal/stream/local"
)

// cellsBench is the main job with two PostgreSQL behind a log of three servers, each a process of its own. This process is the
// worker of both cells, the importer and the sink.
type cellsBench struct {
	bench
	apps []*app.App
	log  *stream.Log
	pub  *stream.Publisher
}

const (
	cells = 2
	parts = 64
)

func runCells(n int, dir string, p profiler) (err error) {
	ctx := context.Background()
	c := &cellsBench{bench: bench{n: n, dir: dir, profiler: p}}
	url, err := c.listen()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "book.csv")
	if err := writeBook(path, n); err != nil {
		return err
	}
	servers, err := local.StartCluster(dir, 3)
	if err != nil {
		return err
	}
	defer servers.Stop()
	for i := range cells {
		s, err := storetest.StartServer()
		if err != nil {
			return err
		}
		defer s.Stop()
		c.dsn, c.share = s.DSN(), stream.ShareOf(parts, i*parts/cells, (i+1)*parts/cells-1)
		if err := c.open(ctx, url); err != nil {
			return err
		}
		defer c.app.Close()
		defer c.leave()
		c.apps = append(c.apps, c.app)
	}
	for began := time.Now(); c.log == nil; time.Sleep(100 * time.Millisecond) { // until the servers have found each other
		if c.log, err = stream.Open(ctx, stream.Config{URLs: servers.URLs(), Name: "bench", Parts: parts, Replicas: 3}); err != nil && time.Since(began) > time.Minute {
			return err
		}
	}
	defer c.log.Close()
	if c.pub, err = stream.NewPublisher(c.log, c.engines); err != nil {
		return err
	}
	defer c.pub.Close()
	c.pub.Patience = 5 * time.Minute
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	for _, a := range c.apps {
		work.Go(func() { c.log.Work(working, a.Engine, func() {}) })
	}
	defer work.Wait()
	defer stop()
	for _, step := range []struct {
		name string
		run  func(context.Context, string) error
	}{{"import", c.imports}, {"payments", c.payments}, {"plan", c.plan}, {"dispatch", c.dispatch}} {
		end := c.profiler.start(step.name)
		err := step.run(ctx, path)
		end()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cellsBench) engines() (out []*engine.Engine, err error) {
	for _, a := range c.apps {
		out = append(out, a.Engine)
	}
	return out, nil
}

func (c *cellsBench) imports(ctx context.Context, path string) error {
	m, err := app.LoadMapping("duly-book")
	if err != nil {
		return err
	}
	t := stopwatch()
	rep, err := c.app.Engine.Import(ctx, start.At(0, c.app.Location).UTC(), path, engine.ImportOptions{Mapping: m, Way: c.pub.Way()})
	if err != nil {
		return err
	}
	if rep.Bad > 0 {
		return fmt.Errorf("the benchmark's own book has %d bad rows", rep.Bad)
	}
	t.report("import", rep.Good, "instalments/s", "a prototype without rules: 178,000")
	return nil
}

// payments tells of payments of the last persons, who owe nothing today: one to a call by many callers, then many to a call.
func (c *cellsBench) payments(ctx context.Context, _ string) error {
	now := start.At(1, c.app.Location).UTC()
	amount := money.New(100, "CNY")
	pay := func(i int) *duly.Payment {
		p := i % (c.n / 4)
		return &duly.Payment{
			ID: duly.PaymentID(fmt.Sprintf("P%d", i)), BorrowerID: duly.BorrowerID(fmt.Sprintf("B%07d", p)), LoanID: duly.LoanID(fmt.Sprintf("L%07d", p)),
			Amount: amount, ValueAt: now, ArrivedAt: now, Version: 1,
		}
	}
	for _, way := range []struct {
		name           string
		calls, callers int
		each           int
	}{{"payments, one a call", 2000, 64, 1}, {"payments, 500 a call", 20, 4, 500}} {
		var next atomic.Int64
		errs := make([]error, way.callers)
		var callers sync.WaitGroup
		t := stopwatch()
		for i := range way.callers {
			callers.Go(func() {
				for n := next.Add(1); n <= int64(way.calls) && errs[i] == nil; n = next.Add(1) {
					var facts []duly.Fact
					for k := range way.each {
						facts = append(facts, pay(int(n)*way.each+k))
					}
					_, errs[i] = c.pub.Apply(ctx, now, "bench", facts)
				}
			})
		}
		callers.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		t.report(way.name, int64(way.calls*way.each), "payments/s", "none")
	}
	return nil
}

// each runs a step of every cell at one time.
func (c *cellsBench) each(fn func(a *app.App) error) error {
	errs := make([]error, len(c.apps))
	var all sync.WaitGroup
	for i, a := range c.apps {
		all.Go(func() { errs[i] = fn(a) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (c *cellsBench) plan(ctx context.Context, _ string) error {
	now := start.At(5, c.app.Location).UTC()
	if err := c.pub.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	var persons atomic.Int64
	t := stopwatch()
	err := c.each(func(a *app.App) error {
		r, err := a.Engine.Plan(ctx, now)
		persons.Add(int64(r.Persons))
		return err
	})
	t.report("plan", persons.Load(), "persons/s", "none")
	return err
}

func (c *cellsBench) dispatch(ctx context.Context, _ string) error {
	now := start.At(12*60, c.app.Location).UTC()
	if err := c.pub.FeedThrough(ctx, now, engine.FeedPayments, now); err != nil {
		return err
	}
	var claimed, accepted atomic.Int64
	t := stopwatch()
	err := c.each(func(a *app.App) error {
		for more := true; more; {
			r, err := a.Engine.Dispatch(ctx, now)
			if err != nil {
				return err
			}
			claimed.Add(int64(r.Claimed))
			accepted.Add(int64(r.Accepted))
			more = r.More
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.report("dispatch", accepted.Load(), "contacts/s", "a prototype without rules: 66,000")
	if c.sink.Load() != claimed.Load() {
		return fmt.Errorf("claimed %d, sink counted %d", claimed.Load(), c.sink.Load())
	}
	return nil
}
