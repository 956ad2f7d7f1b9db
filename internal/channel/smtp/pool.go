package smtp

import (
	"context"
	"sync"
)

// messagesMax is how many mails one connection carries before it is closed; many servers end it themselves at 100.
const messagesMax = 100

// pool keeps connections for the next mail and bounds how many there are. It starts nothing by itself: a connection
// that the server gave up is found out when it is used.
type pool struct {
	c     Config
	slots chan struct{} // one per connection in use

	mu     sync.Mutex
	idle   []*conn // the last used is taken first, so that what is not needed times out
	closed bool
}

func newPool(c Config) *pool { return &pool{c: c, slots: make(chan struct{}, c.Connections)} }

// get waits for a slot and returns a kept connection, or a new one.
func (p *pool) get(ctx context.Context) (*conn, *failure) {
	if ctx.Err() != nil {
		return nil, failed(ctx, phaseWait, ctx.Err())
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, failed(ctx, phaseWait, ctx.Err())
	}
	if c := p.pop(); c != nil {
		c.reused = true
		return c, nil
	}
	c, err := dial(ctx, &p.c)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return c, nil
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// put gives a connection back. It is kept if the transaction ended well, or was refused and could be reset.
func (p *pool) put(c *conn, err *failure) {
	defer func() { <-p.slots }()
	c.sent++
	if c.usable(err) && c.sent < messagesMax && p.push(c) {
		return
	}
	c.close(err == nil)
}

func (p *pool) push(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.idle = append(p.idle, c)
	}
	return !p.closed
}

func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.close(true)
	}
}
