package route

import (
	"maps"
	"slices"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/money"
)

// CarriersMax is how many carriers a channel may have.
const CarriersMax = 8

// Lane is the carriers of one channel, in the operator's order.
type Lane struct {
	Carriers []string
	Cheapest bool // the cheapest that can goes first, not the first
	Spend    Cap
}

// Config is what a Router works with.
type Config struct {
	Lanes  map[duly.Channel]Lane
	Limits map[string]Limits // by carrier; none: no limits
	// Reaches tells whether an address is one of those that a carrier serves, by carrier; one without it serves all.
	Reaches map[string]func(to string) bool
}

// Router hands out the carriers of messages, and learns from what becomes of them. It is safe for concurrent use. What it knows is
// of this process: another finds out for itself.
type Router struct {
	mu       sync.Mutex
	carriers map[string]*carrier
	lanes    map[duly.Channel]*lane
	share    int
}

type carrier struct {
	name     string
	limits   Limits
	reaches  func(to string) bool // nil: every address
	prices   []prefixed
	currency money.Currency
	bucket   bucket
	health   health
	sent     int
}

type lane struct {
	carriers []*carrier
	names    []string
	cheapest bool
	cap      Cap
	spend    hour
	stopped  bool // by the cap, as of the last choice
	pin      Pin
	pinned   int // -1: none
}

// Pin has all messages of a channel go to one carrier, until an instant; zero: until it is taken away.
type Pin struct {
	Carrier string
	Until   time.Time
}

// New makes a Router to whose carriers nothing has happened yet.
func New(c Config) *Router {
	r := &Router{carriers: map[string]*carrier{}, lanes: map[duly.Channel]*lane{}, share: duly.Buckets}
	for ch, l := range c.Lanes {
		out := &lane{names: l.Carriers, cheapest: l.Cheapest, cap: l.Spend, pinned: -1}
		for _, name := range l.Carriers[:min(len(l.Carriers), CarriersMax)] {
			if r.carriers[name] == nil {
				lim := c.Limits[name]
				k := &carrier{name: name, limits: lim, reaches: c.Reaches[name], prices: lim.Price.table(), health: health{state: Closed}}
				k.bucket = bucket{rate: lim.Rate, burst: lim.Burst}
				k.bucket.setShare(duly.Buckets)
				if lim.Price != nil {
					k.currency = lim.Price.Currency
				}
				r.carriers[name] = k
			}
			out.carriers = append(out.carriers, r.carriers[name])
		}
		r.lanes[ch] = out
	}
	return r
}

// Ask is a message that is to go out.
type Ask struct {
	Now      time.Time
	Channel  duly.Channel
	To       string   // the number or address, for the price; ""
	Segments int      // billed parts; below 1 is 1
	Tried    []string // the carriers that refused this contact, once for each time
}

// Ticket is the right to hand one message to a carrier. It is told of by Answered, or given back by Return.
type Ticket struct {
	Carrier  string
	Index    int // of the channel's carriers
	Channel  duly.Channel
	Cost     Micros // as far as is known before the carrier has answered
	Currency money.Currency
	At       time.Time
	parts    int
	trial    bool
}

// Take chooses the carrier of a message, and takes the tokens that it needs. Where none can have it now nothing is taken, and
// whoever asks is promised a place behind those who were sent away before.
func (r *Router) Take(a *Ask) (Ticket, Choice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[a.Channel]
	if l == nil {
		return Ticket{}, Choice{Index: -1, Why: WhyNone}
	}
	parts := max(1, a.Segments)
	c := r.choose(l, a, parts)
	if c.Index < 0 {
		if c.Why == WhyRate {
			c.At = l.later(a.Now, parts)
		}
		return Ticket{}, c
	}
	k := l.carriers[c.Index]
	t := Ticket{Carrier: k.name, Index: c.Index, Channel: a.Channel, Cost: costOf(k.prices, a.To, parts, callSeconds), Currency: k.currency, At: a.Now, parts: parts, trial: k.health.state == Trial}
	if t.trial {
		k.health.under++
		k.health.asked = a.Now
	}
	k.bucket.take(parts)
	l.spend.add(a.Now, t.Cost)
	return t, c
}

// Ready tells what a choice would be for a message of one part to anybody, and takes nothing: for those whose words are not made
// yet.
func (r *Router) Ready(now time.Time, ch duly.Channel) Choice {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[ch]
	if l == nil {
		return Choice{Index: -1, Why: WhyNone}
	}
	c := r.choose(l, &Ask{Now: now, Channel: ch}, 1)
	if c.Why == WhyRate {
		c.At = l.later(now, 1)
	}
	return c
}

func (r *Router) choose(l *lane, a *Ask, parts int) Choice {
	if l.cap.Micros > 0 {
		if at := l.spend.stopped(a.Now, l.cap.part(r.share)); !at.IsZero() {
			l.stopped = true
			return Choice{Index: -1, At: at, Why: WhySpend}
		}
		l.stopped = false
	}
	pin := l.pinnedAt(a.Now)
	var cs [CarriersMax]Candidate
	for i, k := range l.carriers {
		c := &cs[i]
		c.Open, c.Last = k.health.ready(a.Now)
		if i == pin && k.health.why != ConfigWhy { // the operator knows better
			c.Open, c.Last = time.Time{}, false
		}
		c.Tokens = k.bucket.ready(a.Now, parts)
		c.Deaf = a.To != "" && k.reaches != nil && !k.reaches(a.To)
		if l.cheapest {
			c.Price = int64(costOf(k.prices, a.To, parts, callSeconds))
		}
		for _, name := range a.Tried {
			if name == k.name {
				c.Tries++
			}
		}
	}
	return Choose(a.Now, cs[:len(l.carriers)], l.cheapest, pin)
}

// later is when the first of the lane's carriers that are in order has tokens for one more.
func (l *lane) later(now time.Time, parts int) time.Time {
	var first *carrier
	var at time.Time
	pin := l.pinnedAt(now)
	for i, k := range l.carriers {
		if pin >= 0 && i != pin {
			continue
		}
		t := k.bucket.ready(now, parts)
		if k.bucket.tail.After(t) {
			t = k.bucket.tail
		}
		if open, _ := k.health.ready(now); open.After(t) {
			t = open
		}
		if first == nil || t.Before(at) {
			first, at = k, t
		}
	}
	if t := first.bucket.later(now, parts); t.After(at) {
		return t
	}
	return at
}

func (l *lane) pinnedAt(now time.Time) int {
	if l.pinned >= 0 && (l.pin.Until.IsZero() || l.pin.Until.After(now)) {
		return l.pinned
	}
	return -1
}

// Return gives back a ticket with which nothing was sent.
func (r *Router) Return(t *Ticket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.carriers[t.Carrier]
	if k == nil {
		return
	}
	k.bucket.giveBack(t.parts)
	r.lanes[t.Channel].spend.add(t.At, -t.Cost)
	if t.trial {
		k.health.under = max(0, k.health.under-1)
	}
}

// Answer is what a carrier said to a message.
type Answer struct {
	Class    channel.Class // of a failure; "": taken
	Segments int           // billed parts, where the carrier said
	Seconds  int           // billed seconds of a call, where it said
	To       string
	Receipts bool // of a carrier that tells later what became of it
}

// Answered takes in what a carrier said, and returns what the message cost: nothing where it was not taken.
func (r *Router) Answered(now time.Time, t *Ticket, a Answer) Micros {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.carriers[t.Carrier]
	if k == nil {
		return t.Cost
	}
	k.sent++
	k.health.answered(now, a.Class, t.trial)
	if a.Class == channel.Throttled {
		k.bucket.drain(now)
	}
	cost := t.Cost
	switch {
	case a.Class == channel.Unknown:
	case a.Class != "":
		cost = 0
	default:
		if a.Receipts {
			k.health.taken(now, k.limits.Slow)
		}
		if a.Segments > 0 || a.Seconds > 0 {
			parts, seconds := t.parts, callSeconds
			if a.Segments > 0 {
				parts = a.Segments
			}
			if a.Seconds > 0 {
				seconds = a.Seconds
			}
			cost = costOf(k.prices, a.To, parts, seconds)
		}
	}
	if cost != t.Cost {
		r.lanes[t.Channel].spend.add(t.At, cost-t.Cost)
	}
	return cost
}

// Told takes in a receipt of delivery, that came so long after the carrier took the message.
func (r *Router) Told(now time.Time, name string, lag time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.carriers[name]; k != nil {
		k.health.told(now, lag, k.limits.Slow)
	}
}

// Other reports whether a channel has another carrier than one that could have a message now, which a contact that was tried so
// often has not all been refused by: then it need not wait.
func (r *Router) Other(now time.Time, ch duly.Channel, name string, tries int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[ch]
	if l == nil || tries >= len(l.carriers) || l.pinnedAt(now) >= 0 {
		return false
	}
	return slices.ContainsFunc(l.carriers, func(k *carrier) bool {
		at, last := k.health.ready(now)
		return k.name != name && !at.After(now) && !last
	})
}

// Spent adds what a channel has cost before this process began.
func (r *Router) Spent(at time.Time, ch duly.Channel, m Micros) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.lanes[ch]; l != nil {
		l.spend.add(at, m)
	}
}

// Capped reports whether any channel may cost only so much.
func (r *Router) Capped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lanes {
		if l.cap.Micros > 0 {
			return true
		}
	}
	return false
}

// SetShare tells how many of the 1,024 buckets of people this process works on: so much of each rate and cap is its own.
func (r *Router) SetShare(buckets int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if buckets == r.share {
		return
	}
	r.share = buckets
	for _, k := range r.carriers {
		k.bucket.setShare(buckets)
	}
}

// SetPins tells what is pinned, and nothing else is. A pin to a carrier that the channel does not have is void.
func (r *Router) SetPins(pins map[duly.Channel]Pin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ch, l := range r.lanes {
		l.pin = pins[ch]
		l.pinned = slices.Index(l.names, l.pin.Carrier)
	}
}

// Has reports whether a channel has a carrier of a name.
func (r *Router) Has(ch duly.Channel, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[ch]
	return l != nil && slices.Contains(l.names, name)
}

// Report is how one carrier does, as this process knows it.
type Report struct {
	Carrier  string         `json:"carrier"`
	Channels []duly.Channel `json:"channels"`
	State    State          `json:"state"`
	Why      string         `json:"why,omitempty"`
	Since    time.Time      `json:"since,omitzero"`
	Until    time.Time      `json:"until,omitzero"` // resting: when the trial begins
	Opened   int            `json:"rested"`         // how often it had to rest
	Sent     int            `json:"sent"`           // messages that it answered to
	Tries    int            `json:"tries"`          // answers within the window
	Failed   int            `json:"failed"`         // of these
	Receipts int            `json:"receipts"`       // of delivery, within the window
	Late     int            `json:"late"`           // of these
	Rate     string         `json:"rate,omitempty"`
	Tokens   int            `json:"tokens"` // left now, of this process's part; 0 where there is no rate
	Price    string         `json:"price,omitempty"`
	Pinned   []duly.Channel `json:"pinned,omitempty"` // the channels that are pinned to it
	Stopped  []duly.Channel `json:"stopped,omitempty"`
}

// Report returns how each carrier does, by name.
func (r *Router) Report(now time.Time) []Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Report
	for _, name := range slices.Sorted(maps.Keys(r.carriers)) {
		k := r.carriers[name]
		k.health.ready(now) // a rest that is over is a trial
		h := &k.health
		x := Report{Carrier: name, State: h.state, Why: h.why, Since: h.since, Opened: h.opened, Sent: k.sent, Rate: k.limits.Rate.String(), Price: k.limits.Price.String()}
		if h.state == Open {
			x.Until = h.until
		}
		x.Tries, x.Failed = h.answers.count(now, windowAge)
		x.Receipts, x.Late = h.lags.count(now, max(windowAge, 2*k.limits.Slow))
		if k.bucket.limited() {
			x.Tokens = k.bucket.tokens(now)
		}
		for _, ch := range slices.Sorted(maps.Keys(r.lanes)) {
			l := r.lanes[ch]
			if i := slices.Index(l.names, name); i >= 0 {
				x.Channels = append(x.Channels, ch)
				if l.pinnedAt(now) == i {
					x.Pinned = append(x.Pinned, ch)
				}
				if l.stopped {
					x.Stopped = append(x.Stopped, ch)
				}
			}
		}
		out = append(out, x)
	}
	return out
}

// String tells a price in short: what a part costs, and by how many prefixes there are others.
func (p *Price) String() string {
	if p == nil {
		return ""
	}
	s := string(p.Currency)
	for _, x := range []struct {
		m    Micros
		unit string
	}{{p.Segment, "segment"}, {p.Message, "message"}, {p.Second, "second"}} {
		if x.m > 0 {
			s += " " + x.m.String() + "/" + x.unit
		}
	}
	return s
}
