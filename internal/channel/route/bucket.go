package route

import (
	"time"

	duly "github.com/dulyhq/duly"
)

// bucket is a bucket of tokens, one for each part of a message. What it holds at an instant is the time since free, in
// intervals; so nothing is ever rounded away, and it may be told any instant.
type bucket struct {
	rate  Rate
	burst int
	share int       // buckets of people that this process works on: its part of the rate
	free  time.Time // up to here the tokens are spent
	tail  time.Time // up to here they are promised to whoever was sent away
}

// slot is the grid of instants at which whoever was sent away is to come back: together, for a step is one reading of the
// store.
const slot = 250 * time.Millisecond

func (b *bucket) limited() bool { return b.rate.N > 0 }

// interval is the time in which a token comes in.
func (b *bucket) interval() time.Duration {
	share := max(1, b.share)
	return max(1, b.rate.Per*duly.Buckets/time.Duration(b.rate.N)/time.Duration(share))
}

// capacity is how many tokens the bucket holds: no less than one.
func (b *bucket) capacity() int {
	if b.burst > 0 {
		return max(1, b.burst*max(1, b.share)/duly.Buckets)
	}
	return max(1, int(time.Second/b.interval()))
}

// settle drops what does not fit into the bucket.
func (b *bucket) settle(now time.Time) {
	if full := now.Add(-time.Duration(b.capacity()) * b.interval()); b.free.Before(full) {
		b.free = full
	}
}

// ready is when parts may go: once there are tokens for them, or the bucket is full.
func (b *bucket) ready(now time.Time, parts int) time.Time {
	if !b.limited() {
		return time.Time{}
	}
	b.settle(now)
	return b.free.Add(time.Duration(min(parts, b.capacity())) * b.interval())
}

func (b *bucket) take(parts int) {
	if b.limited() {
		b.free = b.free.Add(time.Duration(parts) * b.interval())
	}
}

func (b *bucket) giveBack(parts int) {
	if b.limited() {
		b.free = b.free.Add(-time.Duration(parts) * b.interval())
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
	b.tail = at.Add(time.Duration(parts) * b.interval())
	if up := at.Truncate(slot); up.Before(at) {
		at = up.Add(slot)
	}
	return at
}

// tokens is how many there are.
func (b *bucket) tokens(now time.Time) int {
	b.settle(now)
	return int(now.Sub(b.free) / b.interval())
}
