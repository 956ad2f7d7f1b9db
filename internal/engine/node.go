package engine

import (
	"cmp"
	"context"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// Keeper keeps this process's place among the nodes of a store: it joins, renews its lease, takes the buckets that fall to
// it when they are free and gives away those that fall to another. Who falls to whom every node works out by itself, from
// the ids of the nodes that live, so that a node that comes or goes moves only its own share.
//
// Nobody is told to stop: a bucket is taken only from a node that gave it, or that has ended in the store. A node's own
// lease, by its own clock, runs out before anyone may end it.
type Keeper struct {
	KeeperConfig
	mu   sync.Mutex // one beat at a time
	id   string     // of the node joined, or ""
	skew time.Duration
}

// KeeperConfig is what a Keeper works with. All are needed but Log.
type KeeperConfig struct {
	DB      *store.DB
	Holding *Holding
	Name    string        // for people
	Version string        // of the program
	Lease   time.Duration // how long a node that is silent keeps its buckets
	Clock   func() time.Time
	NewID   func() string // never the same twice
	Log     *slog.Logger
}

// NewKeeper makes a Keeper that has not joined yet: its first Beat does.
func NewKeeper(c KeeperConfig) *Keeper {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Holding.enter()
	return &Keeper{KeeperConfig: c}
}

// Every is how often Beat is to be called: often enough that a few beats may fail before the lease ends.
func (k *Keeper) Every() time.Duration { return k.Lease / 5 }

// leaseMargin is the part of a lease that its holder leaves unused, for clocks that do not run alike.
const leaseMargin = 10

// Beat renews the lease and takes and gives what is to change hands. Where it fails the lease runs on as it is, and out.
// What does not change hands at one beat does at a later one.
func (k *Keeper) Beat(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.renew(ctx); err != nil {
		return err
	}
	if err := k.share(ctx); err != nil {
		k.Log.Warn("the lease is renewed, but no bucket changed hands; the next beat tries again", "error", err)
	}
	return nil
}

// share ends who is silent, and trades.
func (k *Keeper) share(ctx context.Context) error {
	all, err := k.DB.Leases(ctx)
	if err == nil && all.Lapsed() {
		if err = k.DB.EndLapsed(ctx); err == nil {
			all, err = k.DB.Leases(ctx)
		}
	}
	if err != nil {
		return err
	}
	if cut := k.Holding.Share().halted(&all); len(cut) > 0 {
		k.Log.Error("a move of people to another cell was cut off; they are worked on here again", "buckets", len(cut))
		if err := k.DB.Reclaim(ctx, cut); err != nil {
			return err
		}
	}
	k.Holding.Placed(&all.Places)
	return k.trade(ctx, &all)
}

// renew renews the lease, or joins: for the first time, or anew because the node was ended while it could not be heard.
func (k *Keeper) renew(ctx context.Context) error {
	from := k.Clock() // before the lease is asked for: it is no shorter in the store
	if k.id != "" {
		now, err := k.DB.RenewNode(ctx, k.id, k.Lease, k.skew)
		if err != nil {
			return err
		}
		if !now.IsZero() {
			k.extend(from, now)
			return nil
		}
		k.Log.Warn("this node was ended while it could not be heard; it joins anew", "node", k.id)
		k.Holding.end()
		k.id = ""
	}
	id := k.NewID()
	now, err := k.DB.JoinNode(ctx, store.Node{ID: id, Name: k.Name, Version: k.Version, Skew: k.skew}, k.Lease)
	if err != nil {
		return err
	}
	k.id = id
	k.extend(from, now)
	return nil
}

// skewMax is how far a node's clock may be from the database's before the log says so.
const skewMax = 5 * time.Second

func (k *Keeper) extend(from, now time.Time) {
	k.Holding.extend(k.id, from, k.Lease-k.Lease/leaseMargin)
	was := k.skew
	k.skew = from.Round(0).Sub(now)
	if k.skew.Abs() > skewMax && was.Abs() <= skewMax {
		k.Log.Warn("this machine's clock and the database's differ; leases do not mind, contact windows do", "ahead", k.skew.Round(time.Millisecond))
	}
}

// trade gives what falls to others, takes what falls to this node, and holds the rest on.
func (k *Keeper) trade(ctx context.Context, all *store.Leases) error {
	takers, share := k.takers(all), k.Holding.Share()
	held := map[int]int64{}
	var give []int
	take := map[string][]int{} // by the owner that is gone
	for b := range duly.Buckets {
		l := all.Buckets[b]
		mine := share.works(b, all.Places[b]) && fallsTo(share.draws(b), takers) == k.id
		switch {
		case l.Owner == k.id && mine:
			held[b] = l.Epoch
		case l.Owner == k.id:
			give = append(give, b)
		case mine && all.Free(b):
			take[l.Owner] = append(take[l.Owner], b)
		}
	}
	k.Holding.put(k.id, maps.Clone(held)) // what is given away is not worked on any more
	if len(give) > 0 {
		if err := k.DB.GiveBuckets(ctx, k.id, give); err != nil {
			return err
		}
	}
	for from, buckets := range take {
		taken, err := k.DB.TakeBuckets(ctx, k.id, from, buckets)
		if err != nil {
			return err // what was taken all the same is found at the next beat
		}
		k.Holding.add(k.id, taken)
	}
	return nil
}

// takers are the nodes that buckets fall to: those that live and were heard within two beats. One that was killed just now
// keeps what it has until its lease ends, but nothing is kept for it to take.
func (k *Keeper) takers(all *store.Leases) []store.Node {
	return slices.DeleteFunc(all.Alive(), func(n store.Node) bool { return n.ID != k.id && all.Now.Sub(n.HeardAt) > 2*k.Every() })
}

// Leave ends the node: its buckets are free at once. Beat would join anew.
func (k *Keeper) Leave(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.Holding.end()
	if k.id == "" {
		return nil
	}
	err := k.DB.EndNode(ctx, k.id)
	k.id = ""
	return err
}

// ID returns the id of the node joined, or "".
func (k *Keeper) ID() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.id
}

// fallsTo returns the id of the node that a bucket falls to: the one with the highest draw for it. Every node draws alike.
func fallsTo(bucket int, nodes []store.Node) string {
	best, id := uint64(0), ""
	for i := range nodes {
		if d := draw(nodes[i].ID, bucket); id == "" || d > best || d == best && nodes[i].ID > id {
			best, id = d, nodes[i].ID
		}
	}
	return id
}

// draw is a number that a node and a bucket have together, evenly spread.
func draw(node string, bucket int) uint64 {
	h := fnv.New64a()
	h.Write([]byte(node))
	x := h.Sum64() + uint64(bucket+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9 // splitmix64
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// NodesReport says who works on what. It closes: the buckets of the store, 1,024 or its share, = those of all nodes + Unowned.
type NodesReport struct {
	Nodes      []NodeReport `json:"nodes"`   // those that live, then those that ended lately
	Unowned    int          `json:"unowned"` // buckets that nobody works on
	UnownedFor float64      `json:"unowned_seconds"`
}

// Alive counts the nodes that live.
func (r *NodesReport) Alive() int {
	n := 0
	for i := range r.Nodes {
		if r.Nodes[i].State == "alive" {
			n++
		}
	}
	return n
}

// NodeReport says how one node does. Ages are by the database's clock.
type NodeReport struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Version string    `json:"version"`
	State   string    `json:"state"` // alive, silent (its lease ran out), ended
	Buckets int       `json:"buckets"`
	Started time.Time `json:"started_at"`
	Heard   float64   `json:"heard_seconds_ago"`
	Left    float64   `json:"lease_seconds_left"`
	Ended   float64   `json:"ended_seconds_ago,omitempty"`
	Ahead   float64   `json:"clock_seconds_ahead"` // of the database's
}

// Nodes reports who works on what of a store's share of the buckets.
func Nodes(ctx context.Context, db *store.DB, share Share) (NodesReport, error) {
	all, err := db.Leases(ctx)
	if err != nil {
		return NodesReport{}, err
	}
	r := NodesReport{Nodes: []NodeReport{}}
	owned := map[string]int{}
	for b := range duly.Buckets {
		if !share.works(b, all.Places[b]) {
			continue
		}
		since := all.UnownedSince(b)
		if since.IsZero() && !all.Free(b) {
			owned[all.Buckets[b].Owner]++
			continue
		}
		r.Unowned++
		if !since.IsZero() {
			r.UnownedFor = max(r.UnownedFor, all.Now.Sub(since).Seconds())
		}
	}
	for _, n := range all.Nodes {
		r.Nodes = append(r.Nodes, nodeReport(&n, all.Now, owned[n.ID]))
	}
	slices.SortStableFunc(r.Nodes, func(a, b NodeReport) int {
		if a.Ended != b.Ended {
			return cmp.Compare(a.Ended, b.Ended)
		}
		return a.Started.Compare(b.Started)
	})
	return r, nil
}

func nodeReport(n *store.Node, now time.Time, buckets int) NodeReport {
	out := NodeReport{
		ID: n.ID, Name: n.Name, Version: n.Version, State: "alive", Buckets: buckets, Started: n.StartedAt,
		Heard: now.Sub(n.HeardAt).Seconds(), Left: max(0, n.Until.Sub(now).Seconds()), Ahead: n.Skew.Seconds(),
	}
	switch {
	case !n.EndedAt.IsZero():
		out.State, out.Left, out.Ended = "ended", 0, max(0.001, now.Sub(n.EndedAt).Seconds())
	case !n.Until.After(now):
		out.State = "silent"
	}
	return out
}
