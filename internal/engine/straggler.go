package engine

import (
	"context"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
)

// stragglers are messages whose carriers had not answered when their dispatch ended. One carrier that hangs must not keep
// everybody else's messages waiting until its time-out. Their answers are late ones: the next dispatch stores them.
type stragglers struct {
	mu   sync.Mutex
	n    int
	less chan struct{} // closed, and made anew, each time there is one less
}

// count returns how many there are, and a channel that is closed when there are fewer.
func (s *stragglers) count() (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.less == nil {
		s.less = make(chan struct{})
	}
	return s.n, s.less
}

func (s *stragglers) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += n
	if n < 0 && s.less != nil {
		close(s.less)
		s.less = nil
	}
}

// below waits until there are at most so many, or ctx ends, and returns how many there are.
func (s *stragglers) below(ctx context.Context, most int) int {
	for {
		n, less := s.count()
		if n <= most || ctx.Err() != nil {
			return n
		}
		select {
		case <-less:
		case <-ctx.Done():
		}
	}
}

// adopt takes answers as late ones until there are no more to come.
func (e *Engine) adopt(n int, answers <-chan answer) {
	e.stragglers.add(n)
	go func() {
		for a := range answers {
			e.late.add(a)
			e.stragglers.add(-1)
		}
	}()
}

// Drain waits until every carrier has answered or its time-out has passed, and stores what came late. A process calls it before it
// gives up its lease, after the last Step.
func (e *Engine) Drain(ctx context.Context, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.stragglers.below(ctx, 0); n > 0 {
		return duly.Errorf(duly.Unavailable, "%d messages have no answer yet; they will be in doubt when their lease ends", n).
			WithHint("a receipt settles them, or see `duly doubt list`")
	}
	var r DispatchReport
	return e.storeLate(ctx, now, &r)
}
