package engine

import (
	"sync"

	duly "github.com/dulyhq/duly"
)

// fence makes "stop" mean stop within one process. A claim registers its borrower while it holds the bucket's lock; a
// payment, hold or refusal for that borrower stops the claim while it holds the same lock; a worker asks begin right
// before the POST. So a POST either began before the payment's transaction committed, or does not begin at all. Nor does
// it begin where the lease has run out under which it was claimed: by then another node may own the bucket.
type fence struct {
	holding *Holding
	mu      sync.Mutex
	claims  map[duly.BorrowerID]map[duly.AttemptID]*claimMark
}

type claimMark struct {
	epoch   int64 // of the bucket's lease
	stopped bool
}

func newFence(h *Holding) *fence {
	return &fence{holding: h, claims: map[duly.BorrowerID]map[duly.AttemptID]*claimMark{}}
}

// claim registers an attempt that is about to be sent.
func (f *fence) claim(b duly.BorrowerID, a duly.AttemptID, epoch int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.claims[b] == nil {
		f.claims[b] = map[duly.AttemptID]*claimMark{}
	}
	f.claims[b][a] = &claimMark{epoch: epoch}
}

// stop keeps every registered attempt of the borrower from beginning.
func (f *fence) stop(b duly.BorrowerID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.claims[b] {
		m.stopped = true
	}
}

// begin reports whether the attempt may be sent now, and forgets it: what has begun can no longer be stopped.
func (f *fence) begin(b duly.BorrowerID, a duly.AttemptID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.claims[b][a]
	delete(f.claims[b], a)
	if len(f.claims[b]) == 0 {
		delete(f.claims, b)
	}
	return m != nil && !m.stopped && f.holding.has(b.Bucket(), m.epoch)
}
