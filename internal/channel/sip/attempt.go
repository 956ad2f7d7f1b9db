package sip

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/dialogue"
)

// attempt is one call, from the INVITE to what is told of it.
type attempt struct {
	s      *Sender
	m      channel.Message
	d      *dialogue.Dialogue
	call   *dialogue.Call
	sounds map[string][]int16
	uri    string
	callID string
	media  *media
	taken  chan *channel.Error // the answer of Send: nil once it rings
	once   sync.Once
	rang   bool
}

// begin calls and waits until it rings or will not.
func (a *attempt) begin(ctx context.Context) (channel.Accepted, error) {
	if err := a.s.enter(ctx); err != nil {
		return channel.Accepted{}, err
	}
	if err := a.start(ctx); err != nil {
		<-a.s.slots
		return channel.Accepted{}, err
	}
	if err := <-a.taken; err != nil {
		return channel.Accepted{}, err
	}
	return channel.Accepted{ProviderID: a.callID}, nil
}

// start begins the call on its own: what it is given to ring in is bounded, and so is the whole.
func (a *attempt) start(ctx context.Context) *channel.Error {
	l, cerr := a.s.ready(ctx)
	if cerr != nil {
		return cerr
	}
	if !l.alive(ctx) {
		a.s.lose(l) // the next call looks the trunk's address up anew
		return fail(channel.Temporary, "trunk_silent", lineRest)
	}
	if ctx.Err() != nil {
		return fail(channel.Temporary, "cancelled", 0)
	}
	var err error
	if a.media, err = newMedia(a.s.pacer, &a.s.c, a.s.clock); err != nil {
		return fail(channel.Throttled, "no_port", lineRest)
	}
	a.taken, a.callID = make(chan *channel.Error, 1), l.newCallID(a.m.AttemptID)
	a.s.mu.Lock()
	switch {
	case a.s.stopping:
		a.s.mu.Unlock()
		_ = a.media.close()
		return fail(channel.Temporary, "stopping", lineRest)
	case !a.s.hearing: // what comes of it would be told to nobody
		a.s.mu.Unlock()
		_ = a.media.close()
		return fail(channel.Temporary, "not_listening", lineRest)
	}
	a.s.calls.Add(1)
	a.s.mu.Unlock()
	go a.run(ctx, l)
	return nil
}

// lose gives up a line to a trunk that is silent, unless calls still use it.
func (s *Sender) lose(l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.mu.Lock()
	idle := len(l.legs) == 0 && len(l.open) == 0
	l.mu.Unlock()
	if s.line == l && idle {
		s.line = nil
		go l.close()
	}
}

// run makes the call.
func (a *attempt) run(asked context.Context, l *line) {
	defer func() {
		_ = a.media.close()
		<-a.s.slots
		a.s.calls.Done()
	}()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := context.AfterFunc(asked, func() { cancel(errCancelled) }) // until it rings, whoever asked may give up
	defer stop()
	setup := time.AfterFunc(a.s.c.Setup, func() { cancel(errNothing) })
	defer setup.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-a.s.cut:
			cancel(errStopping)
		case <-over:
		}
	}()
	var ring *time.Timer
	g, f := l.invite(ctx, a.callID, a.uri, a.media, func() {
		stop()
		setup.Stop()
		ring = time.AfterFunc(a.s.c.Ring, func() { cancel(errNoAnswer) })
		a.ringing(nil)
	})
	stop()
	setup.Stop()
	if ring != nil {
		ring.Stop()
	}
	if f != nil {
		a.missed(f)
		return
	}
	a.ringing(nil) // answered without a ring
	a.talk(g)
}

// ringing answers Send, once.
func (a *attempt) ringing(err *channel.Error) {
	a.once.Do(func() {
		a.rang = err == nil
		a.taken <- err
	})
}

// missed is a call that nobody answered.
func (a *attempt) missed(f *failure) {
	if !f.rang && f.code != declined {
		a.ringing(f.refusal())
		return
	}
	a.ringing(nil)
	a.s.tell(a.report(f.ended(), dialogue.Result{}, a.s.clock(), 0))
}

// talk plays the dialogue, and tells what came of it.
func (a *attempt) talk(g *leg) {
	began := a.s.clock()
	r := newRobot(a, g)
	if rec := a.s.recorder(a, began); rec != nil {
		r.record = rec
	}
	outcome := r.play()
	g.hangUp()
	now := a.s.clock()
	a.s.log.Info("call ended", "carrier", a.s.name, "outcome", outcome, "disclosed", a.call.Result.Disclosed, "seconds", int(now.Sub(began)/time.Second))
	a.s.tell(a.report(outcome, a.call.Result, now, now.Sub(began)))
}

// errGone is the other side's hanging up.
var errGone = errors.New("hung up")
