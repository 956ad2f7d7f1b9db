package engine

import (
	"maps"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// Holding is what this process may work on: the buckets that its node has leased, and until when. A Keeper fills it; the
// engine asks it before it claims and again right before each POST. It goes by this machine's own clock from the moment
// before the lease was asked for, so it runs out no later than others may take the buckets, whatever their clocks say.
// A nil Holding holds everything for good, which is right where nothing else opens the store.
type Holding struct {
	clock func() time.Time // with a monotonic reading
	share Share            // what there is to hold to begin with

	mu      sync.Mutex
	places  [duly.Buckets]store.Place // what the store itself says that it has; see Share
	node    string
	epochs  map[int]int64
	from    time.Time
	span    time.Duration
	entered bool // a Keeper cares for it
	gaps    int  // how often the lease had run out before it was renewed
	gained  int  // how often buckets came in
}

// NewHolding makes a Holding that holds nothing yet. The clock must be one that runs, such as time.Now.
func NewHolding(clock func() time.Time) *Holding { return NewHoldingOf(clock, Share{}) }

// NewHoldingOf is [NewHolding] for a store that has a share of the buckets.
func NewHoldingOf(clock func() time.Time, share Share) *Holding {
	return &Holding{clock: clock, share: share, epochs: map[int]int64{}}
}

// elapsed is how much time has passed since from by the clock that saw more of it pass: the monotonic one stands still
// while a machine is suspended, the wall clock may be set back.
func elapsed(from, now time.Time) time.Duration {
	return max(now.Sub(from), now.Round(0).Sub(from.Round(0)))
}

func (h *Holding) live() bool {
	return h.span > 0 && elapsed(h.from, h.clock()) < h.span
}

// Live reports whether the lease runs.
func (h *Holding) Live() bool {
	if h == nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.live()
}

// joined fails where nobody has asked for a lease: such a process would do nothing, and say nothing of it.
func (h *Holding) joined() error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.entered {
		return duly.Errorf(duly.Internal, "this process has not joined the nodes of the store")
	}
	return nil
}

// Mine returns those of the buckets that may be worked on now.
func (h *Holding) Mine(buckets []int) []int {
	if h == nil {
		return buckets
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.live() {
		return nil
	}
	var out []int
	for _, b := range buckets {
		if _, ok := h.epochs[b]; ok {
			out = append(out, b)
		}
	}
	return out
}

// tenure returns the node's id and the epochs of those of the buckets that may be worked on now.
func (h *Holding) tenure(buckets []int) (string, map[int]int64) {
	mine := h.Mine(buckets)
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[int]int64, len(mine))
	for _, b := range mine {
		if epoch, ok := h.epochs[b]; ok {
			out[b] = epoch
		}
	}
	return h.node, out
}

// has reports whether the bucket may be worked on now and has been since it was taken in that epoch.
func (h *Holding) has(bucket int, epoch int64) bool {
	if h == nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	got, ok := h.epochs[bucket]
	return ok && got == epoch && h.live()
}

// enter notes that a Keeper will ask for leases.
func (h *Holding) enter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entered = true
}

// extend has the lease run for span from an instant before it was asked for.
func (h *Holding) extend(node string, from time.Time, span time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.node != node {
		clear(h.epochs)
	}
	if h.span > 0 && !h.live() {
		h.gaps++
	}
	h.node, h.from, h.span = node, from, span
}

// put has the node hold just these buckets.
func (h *Holding) put(node string, epochs map[int]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.node != node {
		return
	}
	h.gain(epochs)
	h.epochs = maps.Clone(epochs) // the caller's map is not under h.mu
}

// add has the node hold these buckets besides those that it holds.
func (h *Holding) add(node string, epochs map[int]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.node != node {
		return
	}
	h.gain(epochs)
	maps.Copy(h.epochs, epochs)
}

// gain counts once if any of the buckets was not held before.
func (h *Holding) gain(epochs map[int]int64) {
	for b := range epochs {
		if _, had := h.epochs[b]; !had {
			h.gained++
			return
		}
	}
}

// gains counts how often buckets came in.
func (h *Holding) gains() int {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gained
}

// Lost reports whether there was a lease and it has run out: the store was not heard in time.
func (h *Holding) Lost() bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.span > 0 && !h.live()
}

// drop gives buckets up: of what is claimed in them, nothing begins any more.
func (h *Holding) drop(buckets []int) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range buckets {
		delete(h.epochs, b)
	}
}

// end gives everything up.
func (h *Holding) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.span > 0 && !h.live() {
		h.gaps++
	}
	clear(h.epochs)
	h.node, h.span = "", 0
}

// HoldingState is what a Holding says of itself.
type HoldingState struct {
	Node    string
	Buckets int
	Live    bool
	Left    time.Duration // of the lease
	Gaps    int           // times in which there was none, since the first
}

// State tells what is held now.
func (h *Holding) State() HoldingState {
	if h == nil {
		return HoldingState{Buckets: duly.Buckets, Live: true}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HoldingState{Node: h.node, Live: h.live(), Gaps: h.gaps}
	if s.Live {
		s.Buckets, s.Left = len(h.epochs), h.span-elapsed(h.from, h.clock())
	}
	return s
}
