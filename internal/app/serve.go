package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/web/api"
)

// drainTimeout is how long a stop waits for calls of the API that are being answered. Messages on their way to carriers
// are waited for as long as their carriers' time-outs.
const drainTimeout = 45 * time.Second

// Serve joins the nodes of the store, steps the engine over the buckets that fall to it, and answers the HTTP API and the console until ctx
// ends. Then it drains: it claims nothing more, waits for what has been handed to carriers, stores the answers, gives its
// buckets up, and returns. ready, if not nil, is told the address it listens on.
func (a *App) Serve(ctx context.Context, ready func(addr string)) error {
	if a.Config.APIToken == "" && !loopback(a.Config.Listen) { // --listen may have changed what the file was checked for
		return duly.Errorf(duly.Refused, "without an api_token the API listens on a loopback address only").
			WithHint("set api_token in the configuration, or listen on 127.0.0.1")
	}
	ln, err := net.Listen("tcp", a.Config.Listen)
	if err != nil {
		return duly.Errorf(duly.Unavailable, "cannot listen on %s: the address is in use or not allowed", a.Config.Listen).
			WithHint("set listen in the configuration, or --listen")
	}
	h := a.handlerOf(nil, nil, nil)
	faces, err := a.faces(h)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := server(faces)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	err = a.run(ctx, h, served, func() {
		if ready != nil {
			ready(ln.Addr().String())
		}
	})
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(err, srv.Shutdown(stop))
}

// handlerOf is the API over the store; facts that are posted go to f, or for nil to the engine. The rest is of all cells, where the
// store is one of several.
func (a *App) handlerOf(f api.Facts, list func(context.Context) (any, error), move func(ctx context.Context, from, to int, cell string) error) *api.Handler {
	return api.New(api.Deps{
		Engine: a.Engine, DB: a.DB, Facts: f, ListCells: list, MoveParts: move, Inbound: a.Inbound, Packs: a.Packs, Calendars: a.Calendars, Token: a.Config.APIToken, Log: a.Log, Now: time.Now,
	})
}

func server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
}

// run joins the nodes of the store and steps the engine until ctx ends or the API fails, then gives the buckets up. joined is
// called once it has tried to join.
func (a *App) run(ctx context.Context, h *api.Handler, served <-chan error, joined func()) error {
	out := &outage{log: a.Log}
	k := a.keeper("")
	a.beat(ctx, k, out)
	stopped := a.keep(k, out)
	joined()
	a.warnCalendars()
	a.warnHeld(ctx)
	sealing, stop := context.WithCancel(ctx)
	var seals sync.WaitGroup
	seals.Go(func() { a.sealing(sealing) })
	deaf := a.listen(ctx, h)
	err := a.loop(ctx, h, out, served)
	a.drain(ctx)
	deaf() // last: what is on its way may use the same connections, and its receipts are worth hearing
	stop()
	seals.Wait()
	stopped()
	if left := a.leave(ctx, k); left != nil {
		a.Log.Warn("the buckets could not be given up; others take them when the lease ends", "error", left)
	}
	return err
}

// The wait before a carrier is listened to again that ended by itself, and how far it grows.
const (
	listenRetryMin = time.Second
	listenRetryMax = time.Minute
)

// listen hears what carriers tell over connections of their own, until the function that it returns is called, which waits for all
// of them.
func (a *App) listen(ctx context.Context, h *api.Handler) func() {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for name, l := range a.Listeners {
		take := func(ctx context.Context, heard channel.Heard) error { return h.Hear(ctx, name, heard) }
		all.Go(func() {
			for wait := listenRetryMin; ctx.Err() == nil; wait = min(2*wait, listenRetryMax) {
				began := time.Now()
				err := l.Listen(ctx, take)
				if ctx.Err() != nil {
					return
				}
				if time.Since(began) > listenRetryMax {
					wait = listenRetryMin
				}
				a.Log.Warn("a carrier is no longer listened to; will try again", "carrier", name, "error", err)
				pause(ctx, wait)
			}
		})
	}
	return func() { stop(); all.Wait() }
}

// drain waits for the answers of carriers, while the lease is still kept.
func (a *App) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer cancel()
	if err := a.Engine.Drain(ctx, time.Now().UTC()); err != nil {
		a.Log.Warn("not every answer of a carrier is stored", "error", err)
	}
}

// answerLimit is longer than any carrier's time-out.
const answerLimit = 11 * time.Minute

// leaveLimit is how long a stop waits for the store to take the buckets back.
const leaveLimit = 5 * time.Second

func (a *App) leave(ctx context.Context, k *engine.Keeper) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), leaveLimit, errSilent)
	defer cancel()
	return k.Leave(ctx)
}

// step steps the engine once, until it is done or given up.
func (a *App) step(ctx context.Context) (engine.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.mu.Lock()
	a.abandon = cancel
	a.mu.Unlock()
	r, err := a.Engine.Step(ctx, time.Now().UTC())
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		err = fmt.Errorf("%w: %w", errSilent, err) // the driver only says that it was told to stop
	}
	return r, err
}

// giveUp ends the step under way. It reports whether there are steps at all.
func (a *App) giveUp() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.abandon == nil {
		return false
	}
	a.abandon(errSilent)
	return true
}

// gained has the engine step at once.
func (a *App) gained() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// againMin is between two steps at least, though those wait whom a carrier's rate sent away.
const againMin = 100 * time.Millisecond

// loop steps the engine until ctx ends or the API fails.
func (a *App) loop(ctx context.Context, h *api.Handler, out *outage, served <-chan error) error {
	tick := time.NewTicker(time.Duration(a.Config.Tick))
	defer tick.Stop()
	told := "" // the last failure that the log holds
	for {
		r, err := a.step(ctx)
		switch {
		case ctx.Err() != nil:
			if err != nil && !errors.Is(err, context.Canceled) {
				a.Log.Warn("the last step ended early; what it left open will be in doubt when its lease ends", "error", err)
			}
			return nil
		case duly.CodeOf(err) == duly.Unavailable || errors.Is(err, errSilent):
			h.Stepped(r, err)
			out.failed("step", err)
		case err != nil:
			h.Stepped(r, err)
			if told != err.Error() { // once, not at every tick
				told = err.Error()
				a.Log.Error("step ended early; nothing is sent until one succeeds", "error", err)
			}
		default:
			h.Stepped(r, nil)
			out.worked("step")
			told = ""
		}
		if r.More && err == nil {
			continue
		}
		var again <-chan time.Time // never, where no carrier's rate sent anybody away
		if at := r.Dispatched.Again; !at.IsZero() && err == nil {
			again = time.After(max(againMin, time.Until(at)))
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-again:
		case <-tick.C:
		case <-h.Wake():
		case <-a.wake:
		}
	}
}

func (a *App) warnHeld(ctx context.Context) {
	all, err := a.DB.Restorations(ctx)
	if err == nil && slices.ContainsFunc(all, func(r store.Restoration) bool { return r.Held() }) {
		a.Log.Warn("the store was restored from a backup and is held: nothing is sent until `duly resume --after-restore`")
	}
}

func (a *App) warnCalendars() {
	for _, m := range a.Lacking(a.Engine.Today(time.Now())) {
		a.Log.Warn("a holiday calendar is missing; steps and rules that need it will block", "calendar", m.Calendar, "year", m.Year)
	}
}
