package route

import (
	"time"

	"github.com/dulyhq/duly/internal/channel"
)

// State is how a carrier does.
type State string

// The states. A carrier that is open gets nothing; after a rest it gets trial traffic, and only when that went well all of it.
const (
	Closed State = "ok"
	Open   State = "resting"
	Trial  State = "trial"
)

// States lists the states.
func States() []State { return []State{Closed, Open, Trial} }

// Why a carrier rests.
const (
	ErrorsWhy = "errors" // too many of the last tries failed
	SlowWhy   = "slow"   // receipts come too late
	SilentWhy = "silent" // no receipts come
	ConfigWhy = "config" // it takes nothing from us as configured
	TrialWhy  = "trial"  // the trial traffic failed
)

// The thresholds. That a carrier opens at openMin failures in a row, or that are half of its tries, and closes only after trialGood in a row, is the hysteresis; that each
// rest soon after another is twice as long keeps it from flapping.
const (
	windowLen   = 64               // outcomes that are looked back on
	windowAge   = 5 * time.Minute  // and no older than this
	openMin     = 8                // failures at the least, and in a row enough
	slowMin     = 20               // receipts at the least
	trialGood   = 5                // tries that go well before it closes, and how many are under way at a time
	trialWait   = time.Minute      // how long the answers of a trial are waited for
	restMin     = 30 * time.Second // the first rest
	restMax     = 10 * time.Minute
	restConfig  = 5 * time.Minute
	calmFor     = 15 * time.Minute // after which a rest is the first again
	silentTimes = 2                // of slow: so long without any receipt is silence
)

// health is how one carrier does, by its answers and receipts.
type health struct {
	state  State
	why    string
	since  time.Time // of the state
	until  time.Time // open: when the trial begins
	rest   time.Duration
	opened int // how often

	answers ring // true: failed
	row     int  // of the last answers, how many failed one after the other
	lags    ring // true: too late
	under   int  // of a trial: without an answer yet
	good    int  // of a trial
	asked   time.Time

	silent     int // messages taken since the last receipt
	silentFrom time.Time
}

// ring is the last outcomes, oldest overwritten.
type ring struct {
	bad  [windowLen]bool
	at   [windowLen]int64 // microseconds
	next int
	n    int
}

func (r *ring) add(now time.Time, bad bool) {
	r.bad[r.next], r.at[r.next] = bad, now.UnixMicro()
	r.next = (r.next + 1) % windowLen
	r.n = min(r.n+1, windowLen)
}

// count returns how many outcomes are young enough, and how many of them are bad.
func (r *ring) count(now time.Time, age time.Duration) (n, bad int) {
	from := now.Add(-age).UnixMicro()
	for i := range r.n {
		if r.at[i] >= from {
			n++
			if r.bad[i] {
				bad++
			}
		}
	}
	return n, bad
}

// ready is when the carrier may have another message, and whether it is then a last resort. Called with a now at which a rest is
// over, it begins the trial.
func (h *health) ready(now time.Time) (at time.Time, last bool) {
	if h.state == Open && !h.until.After(now) {
		h.state, h.since, h.under, h.good = Trial, now, 0, 0
	}
	switch h.state {
	case Open:
		if h.why == SlowWhy || h.why == SilentWhy {
			return time.Time{}, true // late is better than never
		}
		return h.until, false
	case Trial:
		if h.under+h.good < trialGood {
			return time.Time{}, false
		}
		if at = h.asked.Add(trialWait); !at.After(now) { // the answers are lost: they count for nothing
			h.under = 0
			return time.Time{}, false
		}
		return at, false
	}
	return time.Time{}, false
}

// failure reports whether an answer speaks against the carrier: what is wrong with an address, a refusal or a content does not.
func failure(c channel.Class) bool {
	switch c {
	case channel.Temporary, channel.Throttled, channel.Config, channel.Unknown:
		return true
	case channel.BadAddress, channel.OptedOut, channel.Permanent:
		return false
	}
	return c != ""
}

// answered takes in the answer to a message; trial: one that went out on trial.
func (h *health) answered(now time.Time, c channel.Class, trial bool) {
	bad := failure(c)
	if trial && h.state == Trial {
		h.under = max(0, h.under-1)
	}
	switch {
	case c == channel.Config:
		h.open(now, ConfigWhy)
		h.until = now.Add(max(restConfig, h.rest))
	case h.state == Trial && trial && bad:
		h.open(now, TrialWhy)
	case h.state == Trial && trial:
		if h.good++; h.good >= trialGood {
			h.state, h.why, h.since = Closed, "", now
			h.answers, h.lags, h.silent, h.row = ring{}, ring{}, 0, 0
		}
	case h.state == Closed:
		h.answers.add(now, bad)
		if !bad {
			h.row = 0
			return
		}
		h.row++
		if n, failed := h.answers.count(now, windowAge); failed >= openMin && (2*failed >= n || h.row >= openMin) {
			h.open(now, ErrorsWhy)
		}
	}
}

// open lets the carrier rest: longer than the last time where that is not long ago.
func (h *health) open(now time.Time, why string) {
	switch {
	case h.state == Open: // an answer of before
	case h.rest == 0 || h.state == Closed && now.Sub(h.since) >= calmFor:
		h.rest = restMin
	default:
		h.rest = min(2*h.rest, restMax)
	}
	if h.state != Open {
		h.opened++
		h.since = now
	}
	h.state, h.why, h.until = Open, why, now.Add(h.rest)
}

// taken notes that a message was taken of which a receipt is to follow.
func (h *health) taken(now time.Time, slow time.Duration) {
	if h.silent == 0 {
		h.silentFrom = now
	}
	h.silent++
	if h.state == Closed && slow > 0 && h.silent >= slowMin && now.Sub(h.silentFrom) > silentTimes*slow {
		h.open(now, SilentWhy)
		h.silent = 0
	}
}

// told notes a receipt of delivery, that came so long after the message was taken.
func (h *health) told(now time.Time, lag, slow time.Duration) {
	h.silent = 0
	if slow == 0 {
		return
	}
	h.lags.add(now, lag > slow)
	if n, late := h.lags.count(now, max(windowAge, 2*slow)); h.state == Closed && n >= slowMin && 2*late >= n {
		h.open(now, SlowWhy)
		h.lags = ring{}
	}
}
