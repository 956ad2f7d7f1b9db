package engine

import (
	duly "github.com/dulyhq/duly"
)

// Share is which buckets a store has, where several stores have some each. The zero Share is all of them.
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

// Share returns which buckets this process's store has.
func (h *Holding) Share() Share {
	if h == nil {
		return Share{}
	}
	return h.share
}

// foreign fails for facts of people whom this store does not have: written here, nobody would ever look at them.
func (e *Engine) foreign(buckets []int) error {
	share := e.holding.Share()
	for _, b := range buckets {
		if !share.Has(b) {
			return errForeign()
		}
	}
	return nil
}

func errForeign() *duly.Error {
	return duly.Errorf(duly.Refused, "this cell does not have the borrower").WithHint("tell it to `duly serve`, which knows the cells; or name the borrower's own cell")
}
