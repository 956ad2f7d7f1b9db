package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/web/api"
)

// drainTimeout is how long a stop waits for calls of the API that are being answered. Messages on their way to carriers
// are waited for as long as their carriers' time-outs.
const drainTimeout = 45 * time.Second

// Serve steps the engine and answers the HTTP API until ctx ends. Then it drains: it claims nothing more, waits for what
// has been handed to carriers, stores the answers, and returns. ready, if not nil, is told the address it listens on.
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
	h := api.New(api.Deps{
		Engine: a.Engine, DB: a.DB, Inbound: a.Inbound, Packs: a.Packs, Calendars: a.Calendars, Token: a.Config.APIToken, Log: a.Log, Now: time.Now,
	})
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	if ready != nil {
		ready(ln.Addr().String())
	}
	a.warnCalendars()
	err = a.loop(ctx, h, served)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return errors.Join(err, srv.Shutdown(stop))
}

// loop steps the engine until ctx ends or the API fails.
func (a *App) loop(ctx context.Context, h *api.Handler, served <-chan error) error {
	tick := time.NewTicker(time.Duration(a.Config.Tick))
	defer tick.Stop()
	for {
		r, err := a.Engine.Step(ctx, time.Now().UTC())
		switch {
		case ctx.Err() != nil:
			if err != nil && !errors.Is(err, context.Canceled) {
				a.Log.Warn("the last step ended early; what it left open will be in doubt when its lease ends", "error", err)
			}
			return nil
		case err != nil:
			h.Stepped(r, err)
			a.Log.Error("step ended early; nothing is sent until one succeeds", "error", err)
		default:
			h.Stepped(r, nil)
		}
		if r.More && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return err
		case <-tick.C:
		case <-h.Wake():
		}
	}
}

func (a *App) warnCalendars() {
	for _, m := range a.Lacking(a.Engine.Today(time.Now())) {
		a.Log.Warn("a holiday calendar is missing; steps and rules that need it will block", "calendar", m.Calendar, "year", m.Year)
	}
}
