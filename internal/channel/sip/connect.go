package sip

import (
	"context"
	"strings"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// callAgent calls somebody of the lender's.
func (s *Sender) callAgent(ctx context.Context, l *line, agent string) (*leg, error) {
	uri := agent
	if !strings.Contains(agent, ":") {
		uri = "sip:" + agent + "@" + s.c.Domain
	}
	md, err := newMedia(s.pacer, &s.c, s.clock)
	if err != nil {
		return nil, err
	}
	g, f := l.invite(ctx, l.newCallID(""), uri, md, func() {})
	if f != nil {
		_ = md.close()
		return nil, errNoAnswer
	}
	return g, nil
}

// Connect calls the agent, then the number, and joins the two; it returns once both speak, and they do until one hangs up. An agent who does not answer is temporary: the number was
// not called. What the number's answer means is as for Send; ringing out is unknown, for the phone rang.
func (s *Sender) Connect(ctx context.Context, agent, number string) error {
	if s.clock == nil {
		return fail(channel.Config, "time_stands_still", 0)
	}
	dialled, ok := s.c.dialled(number)
	if !ok {
		return fail(channel.BadAddress, "no_number", 0)
	}
	if agent == "" || strings.ContainsAny(agent, " \r\n<>\"") {
		return fail(channel.Config, "no_agent", 0)
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.joining(ctx, agent, "sip:"+dialled+"@"+s.c.Domain)
}

// joining is Connect with a slot, which it gives back when the two have hung up.
func (s *Sender) joining(ctx context.Context, agent, uri string) error {
	free := func() { <-s.slots }
	l, cerr := s.ready(ctx)
	if cerr != nil {
		free()
		return cerr
	}
	if !l.alive(ctx) {
		free()
		s.lose(l)
		return fail(channel.Temporary, "trunk_silent", lineRest)
	}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		free()
		return fail(channel.Temporary, "stopping", lineRest)
	}
	s.calls.Add(1)
	s.mu.Unlock()
	joined := make(chan error, 1)
	go func() {
		defer s.calls.Done()
		defer free()
		if err := s.connect(ctx, l, agent, uri, func() { joined <- nil }); err != nil {
			joined <- err
		}
	}()
	return <-joined
}

// connect makes both calls and joins them; joined is called once both speak, from when on whoever asked may go.
func (s *Sender) connect(asked context.Context, l *line, address, uri string, joined func()) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := context.AfterFunc(asked, func() { cancel(errCancelled) })
	defer stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-s.cut:
			cancel(errStopping)
		case <-over:
		}
	}()
	ring := time.AfterFunc(s.c.AgentRing, func() { cancel(errNoAnswer) })
	agent, err := s.callAgent(ctx, l, address)
	ring.Stop()
	if err != nil {
		return fail(channel.Temporary, "agent_away", 0)
	}
	defer func() { _ = agent.media.close() }()
	defer agent.hangUp()
	md, err := newMedia(s.pacer, &s.c, s.clock)
	if err != nil {
		return fail(channel.Throttled, "no_port", lineRest)
	}
	defer func() { _ = md.close() }()
	go func() { // an agent who hangs up gives the call up
		select {
		case <-agent.gone:
			cancel(errGone)
		case <-over:
		}
	}()
	ring = time.AfterFunc(s.c.Setup+s.c.Ring, func() { cancel(errNoAnswer) })
	g, f := l.invite(ctx, l.newCallID(""), uri, md, func() {})
	ring.Stop()
	if f != nil {
		if f.rang {
			return fail(channel.Unknown, f.ended(), 0)
		}
		return f.refusal()
	}
	defer g.hangUp()
	stop()
	agent.media.join(md)
	joined()
	limit := time.NewTimer(agentTalkMax)
	defer limit.Stop()
	select {
	case <-g.gone:
	case <-agent.gone:
	case <-ctx.Done():
	case <-limit.C:
	}
	return nil
}

// agentTalkMax bounds a call between two people.
const agentTalkMax = time.Hour
