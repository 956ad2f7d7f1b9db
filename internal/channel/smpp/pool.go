package smpp

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// waitMax is how long a message waits for the next try to connect. Where that is further off the message is given back at once.
const waitMax = 2 * time.Second

// phase is how a slot stands.
type phase uint8

const (
	connecting phase = iota
	up
	down
)

// slot is one connection that is made anew whenever it ends.
type slot struct {
	how     command
	phase   phase
	session *session
	err     *channel.Error // why the last try to connect failed
	rest    time.Duration  // until the next
}

// pool keeps the connections to one carrier, and gives each message a place in the window of one of them. Who came first is served
// first.
type pool struct {
	c      *Config
	hear   func(*session, pdu)
	log    func(msg string, args ...any)
	window int

	mu       sync.Mutex
	slots    []*slot
	next     int // the slot that is looked at first
	waiters  []chan *session
	failures int           // of trying to connect
	changed  chan struct{} // closed when a slot's phase changes

	wg   sync.WaitGroup
	stop context.CancelFunc
}

func newPool(c *Config, hear func(*session, pdu), log func(string, ...any)) *pool {
	p := &pool{c: c, hear: hear, log: log, window: c.Window, changed: make(chan struct{})}
	for range c.Binds {
		if c.Bind == BindPair {
			p.slots = append(p.slots, &slot{how: bindTransmitter}, &slot{how: bindReceiver})
		} else {
			p.slots = append(p.slots, &slot{how: bindTransceiver})
		}
	}
	return p
}

// start begins to connect.
func (p *pool) start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	for _, s := range p.slots {
		p.wg.Go(func() { p.run(ctx, s) })
	}
}

// close says goodbye on every connection and waits until all have ended.
func (p *pool) close() {
	p.stop()
	p.wg.Wait()
}

// run keeps a slot connected until ctx ends.
func (p *pool) run(ctx context.Context, s *slot) {
	fruitless := 0
	for ctx.Err() == nil {
		p.set(s, connecting, nil, s.err, 0)
		dctx, cancel := context.WithTimeoutCause(ctx, p.c.Answer, errTimeout)
		session, err := dial(dctx, p.c, s.how, p.hear)
		cancel()
		if err == nil {
			p.set(s, up, session, nil, 0)
			p.serve(ctx, session)
			err = &channel.Error{Class: channel.Temporary, Code: codeConnection, Detail: "lost"}
			if session.used() {
				fruitless = 0
			}
		} else if ctx.Err() == nil {
			p.failed()
			p.log("carrier cannot be reached; will try again", "code", err.Code, "detail", err.Detail)
		}
		rest := p.backoff(fruitless)
		fruitless++
		p.set(s, down, nil, err, rest)
		pause(ctx, rest)
	}
	p.set(s, down, nil, &channel.Error{Class: channel.Temporary, Code: codeClosed, Detail: "connect"}, time.Hour)
}

// serve runs a session until it or ctx ends.
func (p *pool) serve(ctx context.Context, s *session) {
	s.keep(ctx, p.c.Enquire)
	if ctx.Err() != nil {
		s.bye()
		return
	}
	s.end()
	s.wait()
}

// backoff doubles with every failure, and is never quite the same: many processes that lost one carrier must not come back at once.
func (p *pool) backoff(fruitless int) time.Duration {
	d := p.c.ReconnectMax
	if fruitless < 16 {
		d = min(d, p.c.ReconnectMin<<fruitless)
	}
	return d/2 + rand.N(d/2+1)
}

func (p *pool) set(s *slot, ph phase, session *session, err *channel.Error, rest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.phase, s.session, s.err, s.rest = ph, session, err, rest
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pool) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
}

// get waits for a place in a window. It fails when all connections are down and will stay so for longer than a message may wait, or
// when each has failed to connect meanwhile.
func (p *pool) get(ctx context.Context) (*session, *channel.Error) {
	first := -1
	for {
		p.mu.Lock()
		if first < 0 {
			first = p.failures
		}
		if s := p.free(); s != nil {
			p.mu.Unlock()
			return s, nil
		}
		if e := p.hopeless(p.failures - first); e != nil {
			p.mu.Unlock()
			return nil, e
		}
		w, changed := make(chan *session, 1), p.changed
		p.waiters = append(p.waiters, w)
		p.mu.Unlock()
		select {
		case s := <-w:
			return s, nil
		case <-changed:
		case <-ctx.Done():
		}
		if s := p.leave(w); s != nil {
			if ctx.Err() == nil {
				return s, nil
			}
			p.put(s)
		}
		if ctx.Err() != nil {
			return nil, &channel.Error{Class: channel.Temporary, Code: ended(ctx), Detail: "window"}
		}
	}
}

// leave takes a waiter out of the line, and returns what it was handed before it could.
func (p *pool) leave(w chan *session) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := slices.Index(p.waiters, w); n >= 0 {
		p.waiters = slices.Delete(p.waiters, n, n+1)
		return nil
	}
	return <-w
}

// free takes a place in a window, if nobody waits for one and there is one.
func (p *pool) free() *session {
	for n := range p.slots {
		s := p.slots[(p.next+n)%len(p.slots)]
		if s.phase == up && s.session.sends && s.session.inflight < p.window && !s.session.closing() {
			p.next = (p.next + n + 1) % len(p.slots)
			s.session.inflight++
			return s.session
		}
	}
	return nil
}

// hopeless returns why there is no use in waiting, after so many failures to connect; nil where there is.
func (p *pool) hopeless(failures int) *channel.Error {
	var worst *channel.Error
	senders, rest := 0, time.Duration(1<<62)
	for _, s := range p.slots {
		if s.how == bindReceiver {
			continue
		}
		if s.phase == up {
			return nil
		}
		senders++
		rest = min(rest, s.rest)
		if s.err != nil && (worst == nil || s.err.Class == channel.Config) {
			worst = s.err
		}
	}
	if worst == nil || failures < senders && rest <= waitMax {
		return nil
	}
	e := *worst
	e.RetryAfter = rest
	return &e
}

// put gives a place back: to who waits longest, while the session is good for it.
func (p *pool) put(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 && !s.closing() {
		w := p.waiters[0]
		p.waiters = p.waiters[1:]
		w <- s
		return
	}
	s.inflight--
}

// closing reports whether nothing new may be asked.
func (s *session) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || s.ending
}

// used reports whether anything was asked on the session but to bind.
func (s *session) used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq > 1
}

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
