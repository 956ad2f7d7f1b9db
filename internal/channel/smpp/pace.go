package smpp

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/dulyhq/duly/internal/channel"
)

// How the pace follows the carrier: what it refuses for the rate slows it by a tenth, once per beat at most; every beat without slows
// it no more, but brings it nearer to what the configuration allows.
const (
	beat      = 200 * time.Millisecond
	beats     = int(time.Second / beat)
	slower    = 0.9
	faster    = 1.004     // per beat: two per cent a second
	calm      = 5 * beats // without a refusal; after them the limit is far off, and the pace grows
	fastest   = 1.02      // per beat: ten per cent a second
	paceMin   = 1         // per second
	burstPart = 10        // of a second's messages may go at once
)

// pace is how many submit_sm go per second. Without a rate in the configuration there is no limit until the carrier refuses for the
// rate, and then the most that it took in a second is where it starts: what it took last may be little, after an outage.
type pace struct {
	most    rate.Limit // of the configuration; rate.Inf for none
	limiter *rate.Limiter

	mu    sync.Mutex
	cut   bool       // slowed within this beat
	quiet int        // beats since
	taken [beats]int // in the last beats
	best  int        // the most of a second
	at    int
}

func newPace(perSecond int) *pace {
	most := rate.Inf
	if perSecond > 0 {
		most = rate.Limit(perSecond)
	}
	return &pace{most: most, limiter: rate.NewLimiter(most, burst(most))}
}

func burst(l rate.Limit) int { return max(1, int(min(l, rateMax)/burstPart)) }

// wait waits for a message's turn. A turn that ctx does not live to see is refused, as the carrier would have.
func (p *pace) wait(ctx context.Context) *channel.Error {
	if err := p.limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return &channel.Error{Class: channel.Temporary, Code: ended(ctx), Detail: "rate"}
		}
		return &channel.Error{Class: channel.Throttled, Code: "rate", RetryAfter: throttledRest}
	}
	return nil
}

func (p *pace) took() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[p.at]++
}

// throttled slows down.
func (p *pace) throttled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return
	}
	p.cut, p.quiet = true, 0
	l := p.limiter.Limit()
	if l == rate.Inf {
		l = rate.Limit(max(p.best, p.seen()))
	}
	p.set(max(l*slower, paceMin))
}

// seen is what was taken in the last second.
func (p *pace) seen() (n int) {
	for _, taken := range p.taken {
		n += taken
	}
	return n
}

func (p *pace) set(l rate.Limit) {
	p.limiter.SetLimit(l)
	p.limiter.SetBurst(burst(l))
}

// tick is called every beat.
func (p *pace) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.limiter.Limit(); !p.cut && l < p.most {
		by := rate.Limit(faster)
		if p.quiet++; p.quiet > calm {
			by = fastest
		}
		p.set(min(l*by, p.most))
	}
	p.cut = false
	p.best = max(p.best, p.seen())
	p.at = (p.at + 1) % beats
	p.taken[p.at] = 0
}

// run beats until ctx ends.
func (p *pace) run(ctx context.Context) {
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			p.tick()
		}
	}
}
