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

// Connect calls the agent, then the number, and joins the two until one hangs up. An agent who does not answer is temporary: the number was
// not called. What the number's answer means is as for Send; ringing out is unknown, for the phone rang.
func (s *Sender) Connect(ctx context.Context, c channel.Connection) error {
	if s.clock == nil {
		return fail(channel.Config, "time_stands_still", 0)
	}
	number, ok := s.c.dialled(c.Number)
	if !ok {
		return fail(channel.BadAddress, "no_number", 0)
	}
	if c.Agent == "" || strings.ContainsAny(c.Agent, " \r\n<>\"") {
		return fail(channel.Config, "no_agent", 0)
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer func() { <-s.slots }()
	l, cerr := s.ready(ctx)
	if cerr != nil {
		return cerr
	}
	if !l.alive(ctx) {
		s.lose(l)
		return fail(channel.Temporary, "trunk_silent", lineRest)
	}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return fail(channel.Temporary, "stopping", lineRest)
	}
	s.calls.Add(1)
	s.mu.Unlock()
	defer s.calls.Done()
	return s.connect(ctx, l, c, "sip:"+number+"@"+s.c.Domain)
}

func (s *Sender) connect(ctx context.Context, l *line, c channel.Connection, uri string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
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
	agent, err := s.callAgent(ctx, l, c.Agent)
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
	g, f := l.invite(ctx, l.newCallID(c.AttemptID), uri, md, func() {})
	ring.Stop()
	if f != nil {
		if f.rang {
			return fail(channel.Unknown, f.ended(), 0)
		}
		return f.refusal()
	}
	defer g.hangUp()
	agent.media.join(md)
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
