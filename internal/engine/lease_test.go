package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// node is an engine with a lease, and a clock for the lease that the test turns.
type node struct {
	e     *engine.Engine
	k     *engine.Keeper
	clock time.Time
	log   bytes.Buffer
}

const nodeLease = time.Minute

// node makes an engine that has not joined yet.
func (w *world) node(cfg engine.Config) *node {
	n := &node{clock: time.Now()}
	clock := func() time.Time { return n.clock }
	w.h = engine.NewHolding(clock)
	made := 0
	n.k = engine.NewKeeper(engine.KeeperConfig{
		DB: w.db, Holding: w.h, Name: "test", Version: "v", Lease: nodeLease, Clock: clock,
		NewID: func() string {
			made++
			return strconv.Itoa(made) + "of" + w.t.Name() + strconv.FormatInt(n.clock.UnixNano(), 36)
		},
		Log: slog.New(slog.NewTextHandler(&n.log, nil)),
	})
	n.e = w.engine(ladder, cfg)
	return n
}

func (w *world) beat(nodes ...*node) {
	w.t.Helper()
	for _, n := range nodes {
		if err := n.k.Beat(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// run steps an engine at now until there is nothing more to do.
func (w *world) run(n *node, now time.Time) engine.Report {
	w.t.Helper()
	w.e = n.e
	return w.step(now)
}

// A process that is paused between two POSTs for longer than its lease does not begin the second.
func TestLeaseRunsOutBeforeThePost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		a, b := sameBucket(t)
		w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
		cfg := w.e.Config()
		cfg.Workers = 1
		n := w.node(cfg)
		w.beat(n)
		w.car.fate = func(channel.Message) (channel.Accepted, error) {
			n.clock = n.clock.Add(2 * nodeLease)
			return channel.Accepted{ProviderID: "x"}, nil
		}
		if r := w.run(n, w.at(0, "12:00")); w.car.count() != 1 || r.Dispatched.Recalled != 1 {
			t.Errorf("got %d messages and %d recalled, want 1 and 1", w.car.count(), r.Dispatched.Recalled)
		}
		if r := w.run(n, w.at(0, "12:01")); w.car.count() != 1 || r.Dispatched.Due != 0 {
			t.Errorf("got %d messages and %d due without a lease, want 1 and 0", w.car.count(), r.Dispatched.Due)
		}
		w.car.fate = nil
		w.beat(n)
		if gaps := n.e.Holding().State().Gaps; gaps != 1 {
			t.Errorf("got %d times without a lease told, want 1", gaps)
		}
		w.run(n, w.at(0, "12:02"))
		w.want(a, "today sms accepted")
		w.want(b, "today sms accepted")
		if w.car.count() != 2 {
			t.Errorf("got %d messages, want 2", w.car.count())
		}
	})
}

// A zombie, which still believes in its lease, is refused by the store in the claim itself.
func TestZombieClaimsNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		dead, heir := w.node(w.e.Config()), w.node(w.e.Config())
		w.beat(dead)
		w.run(dead, w.at(0, "06:00"))
		if err := db.EndNode(t.Context(), dead.k.ID()); err != nil { // as others do when its lease has run out
			t.Fatal(err)
		}
		w.beat(heir)
		if !dead.e.Holding().Live() || len(dead.e.Holding().Mine([]int{who.Bucket()})) != 1 {
			t.Fatal("the zombie does not believe in its lease: the test tests nothing")
		}
		if r := w.run(dead, w.at(0, "12:00")); r.Dispatched.Claimed != 0 || w.car.count() != 0 {
			t.Errorf("the zombie claimed %d and sent %d, want none", r.Dispatched.Claimed, w.car.count())
		}
		w.run(heir, w.at(0, "12:00"))
		w.want(who, "today sms accepted")
		w.beat(dead) // learns of its end, and joins anew
		w.beat(heir, dead)
		if n := strings.Count(dead.log.String(), "this node was ended while it could not be heard; it joins anew"); n != 1 {
			t.Errorf("the log says %d times that the node was ended, want once:\n%s", n, dead.log.String())
		}
		w.run(dead, w.at(0, "12:05"))
		if w.car.count() != 1 {
			t.Errorf("got %d messages, want 1", w.car.count())
		}
	})
}

// Of the buckets of one claim, one is no longer the node's: the others are claimed all the same.
func TestClaimLeavesOutWhatIsAnothers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		lost, kept := storetest.InBucket(3, 1)[0], storetest.InBucket(4, 1)[0]
		w.apply(w.at(-5, "10:00"), append(person(lost), person(kept)...)...)
		n := w.node(w.e.Config())
		w.beat(n)
		w.run(n, w.at(0, "06:00"))
		if err := db.GiveBuckets(t.Context(), n.k.ID(), []int{3}); err != nil { // behind its back
			t.Fatal(err)
		}
		if mine := n.e.Holding().Mine([]int{3, 4}); len(mine) != 2 {
			t.Fatalf("the node believes in %v: the test tests nothing", mine)
		}
		if r := w.run(n, w.at(0, "12:00")); r.Dispatched.Claimed != 1 || w.car.count() != 1 {
			t.Errorf("got %d claimed and %d sent, want 1 and 1", r.Dispatched.Claimed, w.car.count())
		}
		w.want(kept, "today sms accepted")
		w.beat(n)
		w.run(n, w.at(0, "12:05"))
		w.want(lost, "today sms accepted")
	})
}

// The heir of a node that died, with a clock that is five minutes ahead, puts in doubt what is on its way; the answer that
// comes late says what became of it. With one that is behind it waits rather than trust its clock. Nothing goes out twice.
func TestHeirWithAnotherClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := newWorld(t, db)
				a, b := sameBucket(t)
				w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
				cfg := w.e.Config()
				cfg.Workers = 1
				dead, heir := w.node(cfg), w.node(cfg)
				w.beat(dead)
				w.car.fate = func(m channel.Message) (channel.Accepted, error) {
					if w.car.count() == 1 {
						if err := db.EndNode(t.Context(), dead.k.ID()); err != nil {
							t.Error(err)
						}
						dead.clock = dead.clock.Add(2 * nodeLease)
						w.beat(heir)
						r, err := heir.e.Step(t.Context(), w.at(0, "12:00").Add(skew))
						if err != nil {
							t.Error(err)
						}
						if want := map[bool]int{true: 2, false: 0}[skew > 0]; r.Dispatched.Lapsed != want || r.Dispatched.Claimed != 0 {
							t.Errorf("the heir put %d in doubt and claimed %d, want %d and 0", r.Dispatched.Lapsed, r.Dispatched.Claimed, want)
						}
					}
					return channel.Accepted{ProviderID: "x"}, nil
				}
				w.run(dead, w.at(0, "12:00"))
				for _, at := range []string{"12:06", "12:30", "13:30"} {
					w.run(heir, w.at(0, at))
				}
				seen := map[duly.BorrowerID]int{}
				for _, m := range w.car.sent {
					seen[m.BorrowerID]++
				}
				if seen[a] > 1 || seen[b] > 1 || len(seen) == 0 {
					t.Errorf("got %v, want nobody reminded twice", seen)
				}
				w.want(w.car.sent[0].BorrowerID, "today sms accepted")
			})
		})
	}
}

// Two nodes whose clocks are ten minutes apart share the people by the database's clock: neither ends the other, no bucket is
// both's, and each says once how far its clock is off.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.apply(w.at(-5, "10:00"), person(who)...)
		fast, slow := w.node(w.e.Config()), w.node(w.e.Config())
		fast.clock, slow.clock = fast.clock.Add(5*time.Minute), slow.clock.Add(-5*time.Minute)
		for range 6 {
			w.beat(fast, slow)
			fast.clock, slow.clock = fast.clock.Add(time.Second), slow.clock.Add(time.Second)
		}
		a, b := fast.e.Holding().State(), slow.e.Holding().State()
		if !a.Live || !b.Live || a.Buckets+b.Buckets != duly.Buckets || a.Buckets < 400 || b.Buckets < 400 {
			t.Errorf("got shares of %d (live %v) and %d (live %v), want a fair share each", a.Buckets, a.Live, b.Buckets, b.Live)
		}
		var all []int
		for b := range duly.Buckets {
			all = append(all, b)
		}
		if both := len(fast.e.Holding().Mine(all)) + len(slow.e.Holding().Mine(all)); both != duly.Buckets {
			t.Errorf("%d shares of buckets are held, want %d: some are both's or nobody's", both, duly.Buckets)
		}
		for _, n := range []*node{fast, slow} {
			if c := strings.Count(n.log.String(), "this machine's clock and the database's differ"); c != 1 {
				t.Errorf("the log says %d times that the clocks differ, want once:\n%s", c, n.log.String())
			}
		}
		w.run(fast, w.at(0, "12:05"))
		w.run(slow, w.at(0, "11:55"))
		w.run(fast, w.at(0, "12:06"))
		if w.car.count() != 1 {
			t.Errorf("got %d messages, want 1", w.car.count())
		}
	})
}

// Two nodes share the people: each plans and sends its own, and together they reach everyone once.
func TestNodesShare(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		const people = 40
		var facts []duly.Fact
		for i := range people {
			facts = append(facts, person(duly.BorrowerID("S"+strconv.Itoa(i)))...)
		}
		w.apply(w.at(-5, "10:00"), facts...)
		a, b := w.node(w.e.Config()), w.node(w.e.Config())
		w.beat(a, b, a, b)
		first := w.run(a, w.at(0, "12:00"))
		second := w.run(b, w.at(0, "12:00"))
		if x, y := first.Dispatched.Accepted, second.Dispatched.Accepted; x < people/5 || y < people/5 || x+y != people || w.car.count() != people {
			t.Errorf("got %d and %d of %d sent by the two, %d in all", x, y, people, w.car.count())
		}
		if r := w.run(a, w.at(0, "12:01")); r.Planned.Persons != 0 || r.Dispatched.Due != 0 {
			t.Errorf("a looked at %d persons again", r.Planned.Persons)
		}
		r, err := engine.Nodes(t.Context(), db, engine.Share{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Alive() != 2 || r.Unowned != 0 || r.Nodes[0].Buckets+r.Nodes[1].Buckets != duly.Buckets || min(r.Nodes[0].Buckets, r.Nodes[1].Buckets) < 400 {
			t.Errorf("got %+v, want two alive nodes with about half each", r)
		}
		if err := a.k.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, err = engine.Nodes(t.Context(), db, engine.Share{}); err != nil || r.Unowned < 400 || r.Alive() != 1 || r.Nodes[1].State != "ended" {
			t.Errorf("after one left: got %+v, %v; want its buckets free at once", r, err)
		}
		w.beat(b)
		if r, err = engine.Nodes(t.Context(), db, engine.Share{}); err != nil || r.Unowned != 0 {
			t.Errorf("one beat later: got %d unowned, %v", r.Unowned, err)
		}
	})
}

// What comes in through another process stops what is claimed here before its caller is answered: a payment, and a refusal.
func TestStopThroughAnotherNode(t *testing.T) {
	t.Parallel()
	stops := map[string]func(w *world, id duly.BorrowerID) duly.Fact{
		"payment": func(w *world, id duly.BorrowerID) duly.Fact { return payment(id, "P", 101_50, w.at(0, "11:00")) },
		"refusal": func(w *world, id duly.BorrowerID) duly.Fact {
			return &duly.OptOut{BorrowerID: id, ID: "O", Key: "sms", At: w.at(0, "11:00"), Source: "test", Version: 1}
		},
		"hold": func(w *world, id duly.BorrowerID) duly.Fact {
			return &duly.Hold{BorrowerID: id, ID: "H", Kind: "dispute", Scope: duly.HoldPerson, Reason: "r", Author: "a", From: w.at(0, "11:00"), ReviewOn: due.Add(9), Version: 1}
		},
	}
	for name, fact := range stops {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				w := newWorld(t, db)
				a, b := sameBucket(t)
				w.apply(w.at(-5, "10:00"), append(person(a), person(b)...)...)
				began := time.Now()
				cfg := w.e.Config()
				cfg.Workers, cfg.Clock = 1, func() time.Time { return w.at(0, "12:00").Add(time.Since(began)) }
				owner, other := w.node(cfg), w.node(cfg)
				w.beat(owner)
				w.beat(other) // alive, and with nothing yet
				stopped := map[duly.BorrowerID]bool{}
				w.car.fate = func(m channel.Message) (channel.Accepted, error) {
					if len(stopped) == 0 {
						victim := map[duly.BorrowerID]duly.BorrowerID{a: b, b: a}[m.BorrowerID]
						if _, err := other.e.Apply(context.Background(), cfg.Clock(), "test", []duly.Fact{fact(w, victim)}); err != nil {
							t.Error(err)
						}
						stopped[victim] = true
					} else if stopped[m.BorrowerID] {
						t.Error("a message left after the call that stopped it had been answered")
					}
					return channel.Accepted{ProviderID: "x"}, nil
				}
				w.run(owner, cfg.Clock())
				w.run(owner, cfg.Clock())
				if len(stopped) != 1 || w.car.count() != 1 {
					t.Errorf("got %d messages and %d stopped, want 1 and 1", w.car.count(), len(stopped))
				}
			})
		})
	}
}

// An engine that nobody has given a lease says so instead of doing nothing.
func TestNobodyJoined(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	w.h = engine.NewHolding(time.Now)
	if _, err := w.engine(ladder, w.e.Config()).Step(t.Context(), w.at(0, "12:00")); duly.CodeOf(err) != duly.Internal || err == nil {
		t.Errorf("got %v, want a defect", err)
	}
}

// A Keeper's map is its own: what it writes to it later, nobody reads beside it.
func TestHoldingKeepsItsOwnMap(t *testing.T) {
	t.Parallel()
	h := engine.NewHolding(time.Now)
	epochs := map[int]int64{1: 1}
	h.Hold("a", epochs)
	epochs[2] = 1
	if got := h.Mine([]int{1, 2}); len(got) != 1 || got[0] != 1 {
		t.Errorf("got %v held, want bucket 1 alone", got)
	}
}

// Buckets change hands while a step asks what it may work on: a map that is read as it is written ends the whole process.
func TestHoldingIsReadAsBucketsAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.Open(t, "sqlite"))
	n := w.node(w.e.Config())
	all := make([]int, duly.Buckets)
	for b := range all {
		all[b] = b
	}
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				n.e.Holding().Mine(all)
			}
		})
	}
	for range 20 {
		w.beat(n)
		if got := n.e.Holding().State().Buckets; got != duly.Buckets {
			t.Errorf("got %d buckets, want all %d", got, duly.Buckets)
		}
		if err := n.k.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	readers.Wait()
}
