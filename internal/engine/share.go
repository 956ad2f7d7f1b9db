package engine

import (
	"slices"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// Share is which buckets a store begins with, where several stores have some each. The zero Share is all of them. What the store
// says of a bucket itself goes before: buckets move.
type Share struct {
	From, To int // buckets, To not included; both 0: all
	Group    int // so many buckets, counted from 0, fall to a node together; 0: each by itself
}

// Has reports whether the store has a bucket.
func (s Share) Has(bucket int) bool {
	return s.To == 0 || bucket >= s.From && bucket < s.To
}

// Buckets counts them.
func (s Share) Buckets() int {
	if s.To == 0 {
		return duly.Buckets
	}
	return s.To - s.From
}

// draws is the bucket by which it is drawn whose a bucket is.
func (s Share) draws(bucket int) int {
	if s.Group == 0 {
		return bucket
	}
	return bucket - bucket%s.Group
}

// works reports whether nodes of the store work on a bucket, which the store says to be at a place.
func (s Share) works(bucket int, at store.Place) bool {
	return at == store.Here || at == store.Unsaid && s.Has(bucket)
}

// halted returns the buckets whose move was cut off before any bucket of their part was let go.
func (s Share) halted(all *store.Leases) []int {
	left := map[int]bool{}
	for b, at := range all.Places {
		if at == store.Left {
			left[s.draws(b)] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(all.Halted), func(b int) bool { return left[s.draws(b)] })
}

// Placed tells what the store says of its buckets.
func (h *Holding) Placed(places *[duly.Buckets]store.Place) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places = *places
}

// Has reports whether this process's store has a bucket, as far as is known here. One that is about to leave it still has.
func (h *Holding) Has(bucket int) bool {
	if h == nil {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.places[bucket]
	return h.share.works(bucket, at) || at == store.Leaving || at == store.Sealed
}

// Moving counts the buckets that are on their way from this process's store.
func (h *Holding) Moving() (n int) {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.places {
		if at == store.Leaving || at == store.Sealed {
			n++
		}
	}
	return n
}

// Works returns the buckets that nodes of this process's store work on.
func (h *Holding) Works() []int {
	var out []int
	var places [duly.Buckets]store.Place
	if h != nil {
		h.mu.Lock()
		places = h.places
		h.mu.Unlock()
	}
	for b := range duly.Buckets {
		if h.Share().works(b, places[b]) {
			out = append(out, b)
		}
	}
	return out
}

// Share returns which buckets this process's store begins with.
func (h *Holding) Share() Share {
	if h == nil {
		return Share{}
	}
	return h.share
}

// foreign fails for facts of people whom this store does not have: written here, nobody would ever look at them.
func (e *Engine) foreign(buckets []int) error {
	for _, b := range buckets {
		if !e.holding.Has(b) {
			return errForeign()
		}
	}
	return nil
}

func errForeign() *duly.Error {
	return duly.Errorf(duly.Refused, "this cell does not have the borrower").WithHint("tell it to `duly serve`, which knows the cells; or name the borrower's own cell")
}
