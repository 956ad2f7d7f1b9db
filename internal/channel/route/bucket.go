package route

import (
	"time"

	duly "github.com/dulyhq/duly"
)

// bucket is a bucket of tokens, one for each part of a message. What it holds at an instant is the time since free, in
// intervals; so nothing is ever rounded away, and it may be told any instant.
type bucket struct {
	rate     Rate
	burst    int
	interval time.Duration // in which a token comes in
	capacity int           // how many tokens it holds: no less than one
	full     time.Duration // in which it fills
	free     time.Time     // up to here the tokens are spent
	tail     time.Time     // up to here they are promised to whoever was sent away
}

// Slot is the grid of instants at which whoever was sent away is to come back: together, for a step is one reading of the
// store.
const Slot = 250 * time.Millisecond

func (b *bucket) limited() bool { return b.rate.N > 0 }

// setShare has the bucket be that of a process which works on so many of the buckets of people.
func (b *bucket) setShare(share int) {
	if !b.limited() {
		return
	}
	b.interval = max(1, b.rate.Per*duly.Buckets/time.Duration(b.rate.N)/time.Duration(max(1, share)))
	b.capacity = max(1, int(time.Second/b.interval))
	if b.burst > 0 {
		b.capacity = max(1, b.burst*share/duly.Buckets)
	}
	b.full = time.Duration(b.capacity) * b.interval
}

// settle drops what does not fit into the bucket.
func (b *bucket) settle(now time.Time) {
	if full := now.Add(-b.full); b.free.Before(full) {
		b.free = full
	}
}

// ready is when parts may go: once there are tokens for them, or the bucket is full.
func (b *bucket) ready(now time.Time, parts int) time.Time {
	if !b.limited() {
		return time.Time{}
	}
	b.settle(now)
	return b.free.Add(time.Duration(min(parts, b.capacity)) * b.interval)
}

func (b *bucket) take(parts int) {
	if b.limited() {
		b.free = b.free.Add(time.Duration(parts) * b.interval)
	}
}

func (b *bucket) giveBack(parts int) {
	if b.limited() {
		b.free = b.free.Add(-time.Duration(parts) * b.interval)
	}
}

// drain spends what there is: the carrier said that it is too much.
func (b *bucket) drain(now time.Time) {
	if b.limited() && b.free.Before(now) {
		b.free = now
	}
}

// later is when whoever found no tokens is to come back: behind all who were sent away before. It promises nothing.
func (b *bucket) later(now time.Time, parts int) time.Time {
	at := b.ready(now, parts)
	if b.tail.After(at) {
		at = b.tail
	}
	b.tail = at.Add(time.Duration(parts) * b.interval)
	if up := at.Truncate(Slot); up.Before(at) {
		at = up.Add(Slot)
	}
	return at
}

// tokens is how many there are.
func (b *bucket) tokens(now time.Time) int {
	b.settle(now)
	return int(now.Sub(b.free) / b.interval)
}
