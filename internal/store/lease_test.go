package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// The lease protocol as a model: nodes whose clocks disagree by minutes and run at other speeds, that are paused, cut off
// and killed at every statement, over a real store whose clock the test turns. After every event: no bucket is worked on by
// two nodes, and what a node believes to hold the store says too. In the end, once the living are left alone, everything
// is worked on.

// modelLease is the lease of the model's nodes.
const modelLease = 10 * time.Second

// model is a store and its nodes.
type model struct {
	t     *testing.T
	db    *store.DB
	now   time.Time // by no clock that anybody reads
	dbNow time.Duration
	nodes []*modelNode
	made  int
	point int // statements seen since it was reset
	wire  func(point int) error
	deep  bool // within wire: what happens there is not cut again
}

// modelNode is a process with a clock of its own.
type modelNode struct {
	k    *engine.Keeper
	h    *engine.Holding
	skew time.Duration
	rate int // per mille faster than it should be
}

var modelStart = time.Date(2026, 3, 10, 4, 0, 0, 0, time.UTC)

var errCut = errors.New("the connection was cut")

func newModel(t *testing.T) *model {
	m := &model{t: t, db: create(t, storetest.DSN(t, "sqlite")+store.Hasty), now: modelStart}
	m.exec("CREATE TABLE test_clock (at BIGINT NOT NULL)")
	m.exec("INSERT INTO test_clock (at) VALUES (0)")
	m.db.SetClock("(SELECT at FROM test_clock)", func(bool) error {
		if m.deep || m.wire == nil {
			return nil
		}
		m.deep = true
		defer func() { m.deep = false }()
		m.point++
		return m.wire(m.point)
	})
	m.pass(0)
	return m
}

func (m *model) exec(query string, args ...any) {
	m.t.Helper()
	err := m.db.Update(m.t.Context(), modelStart, nil, func(tx *store.Tx) error { return m.db.Exec(tx, query, args...) })
	if err != nil {
		m.t.Fatal(err)
	}
}

// pass lets time go by for everyone.
func (m *model) pass(d time.Duration) {
	m.t.Helper()
	m.now = m.now.Add(d)
	m.exec("UPDATE test_clock SET at = $1", m.now.Add(m.dbNow).UnixMicro())
	m.check()
}

func (m *model) add(skew time.Duration, rate int) *modelNode {
	n := &modelNode{skew: skew, rate: rate}
	clock := func() time.Time {
		ran := m.now.Sub(modelStart)
		return m.now.Add(n.skew + ran*time.Duration(n.rate)/1000)
	}
	n.h = engine.NewHolding(clock)
	n.k = engine.NewKeeper(engine.KeeperConfig{
		DB: m.db, Holding: n.h, Name: "n", Version: "v", Lease: modelLease, Clock: clock,
		NewID: func() string { m.made++; return "n" + strconv.Itoa(m.made) },
	})
	m.nodes = append(m.nodes, n)
	return n
}

func (m *model) beat(n *modelNode) error {
	err := n.k.Beat(m.t.Context())
	if err != nil && !errors.Is(err, errCut) {
		m.t.Fatal(err)
	}
	m.check()
	return err
}

func everyBucket() []int {
	out := make([]int, duly.Buckets)
	for b := range out {
		out[b] = b
	}
	return out
}

// check is the promise.
func (m *model) check() {
	m.t.Helper()
	worker := map[int]int{}
	for i, n := range m.nodes {
		mine := n.h.Mine(everyBucket())
		for _, b := range mine {
			if other, taken := worker[b]; taken {
				m.t.Fatalf("bucket %d is worked on by nodes %d and %d", b, other, i)
			}
			worker[b] = i
		}
		if len(mine) == 0 {
			continue
		}
		var held map[int]int64
		err := m.db.View(context.Background(), func(tx *store.Tx) (err error) { held, err = tx.Leased(n.h.State().Node, mine); return err })
		if err != nil {
			m.t.Fatal(err)
		}
		if len(held) != len(mine) {
			m.t.Fatalf("node %d believes to hold %d buckets, of which the store knows %d", i, len(mine), len(held))
		}
	}
}

// settle leaves the nodes alone for as long as a dead one may be missed and two beats more, then everything is theirs.
func (m *model) settle() {
	m.t.Helper()
	m.wire = nil
	for range int(modelLease/m.every()) + 3 {
		m.pass(m.every())
		for _, n := range m.nodes {
			m.beat(n)
		}
	}
	owned := 0
	for _, n := range m.nodes {
		owned += len(n.h.Mine(everyBucket()))
	}
	if len(m.nodes) > 0 && owned != duly.Buckets {
		m.t.Errorf("%d of %d buckets are worked on in the end", owned, duly.Buckets)
	}
}

func (m *model) every() time.Duration { return modelLease / 5 }

// Every pause at every statement of a beat, and every cut, with clocks that are minutes apart.
func TestLeaseEveryPoint(t *testing.T) {
	t.Parallel()
	skews := []time.Duration{-5 * time.Minute, 0, 5 * time.Minute}
	pauses := map[bool][]time.Duration{
		false: {modelLease * 95 / 100, modelLease * 105 / 100, 3 * modelLease},
		true:  {0, modelLease * 105 / 100},
	}
	for _, story := range []string{"alone", "gives", "takes"} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s cut %v", story, cut), func(t *testing.T) {
				t.Parallel()
				point, reached := 1, true
				for ; reached; point++ {
					reached = false
					for i, pause := range pauses[cut] {
						skew := skews[(point+i)%len(skews)]
						m := newModel(t)
						a := m.add(skew, 0)
						m.stage(story, a)
						reached = m.beatWith(a, point, pause, cut) >= point || reached
						m.settle()
					}
				}
				if point < 7 {
					t.Errorf("a beat has %d points, want more: the test cuts nothing", point-2)
				}
			})
		}
	}
}

// stage brings about what the beat under test finds.
func (m *model) stage(story string, a *modelNode) {
	m.t.Helper()
	m.beat(a)
	switch story {
	case "gives": // b has come, and a has not noticed
		m.pass(m.every())
		m.beat(m.add(-a.skew, 0))
	case "takes": // b has just left
		b := m.add(-a.skew, 0)
		for range 3 {
			m.beat(b)
			m.beat(a)
		}
		if len(b.h.Mine(everyBucket())) == 0 {
			m.t.Fatal("b got nothing")
		}
		if err := b.k.Leave(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
		m.nodes = m.nodes[:1]
		m.pass(m.every())
	}
}

// beatWith has a beat, with a pause at one point in which the others go on and one more comes. It returns how many points
// the beat had.
func (m *model) beatWith(a *modelNode, point int, pause time.Duration, cut bool) int {
	m.t.Helper()
	m.point = 0
	m.wire = func(p int) error {
		if p != point {
			return nil
		}
		for gone := time.Duration(0); gone < pause; gone += m.every() {
			m.pass(min(m.every(), pause-gone))
			if gone == m.every() {
				m.add(a.skew/2, 0)
			}
			for _, n := range m.nodes {
				if n != a {
					m.beat(n)
				}
			}
		}
		if cut {
			return errCut
		}
		return nil
	}
	m.beat(a)
	m.wire = nil
	return m.point
}

// Lives of nodes by seed: SEED=n runs one more, LIVES=n that many.
func TestLeaseLives(t *testing.T) {
	t.Parallel()
	lives, seed := 12, uint64(1)
	if s := os.Getenv("LIVES"); s != "" {
		lives, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	for i := range lives {
		s := seed + uint64(i)
		if !t.Run(fmt.Sprint("seed ", s), func(t *testing.T) { liveLeases(t, rand.New(rand.NewPCG(s, 7))) }) {
			t.Logf("again: SEED=%d LIVES=1 go test ./internal/store -run TestLeaseLives", s)
		}
	}
}

func liveLeases(t *testing.T, r *rand.Rand) {
	m := newModel(t)
	m.dbNow = time.Duration(r.IntN(600)-300) * time.Second
	m.pass(0)
	grow := func() { m.add(time.Duration(r.IntN(600)-300)*time.Second, r.IntN(101)-50) } // clocks up to 5 % off
	grow()
	for range 60 {
		m.event(r, grow)
	}
	m.settle()
}

// event is one thing that happens: time passes, a node beats, dies, leaves, comes, or is paused or cut off in a beat.
func (m *model) event(r *rand.Rand, grow func()) {
	if len(m.nodes) == 0 || len(m.nodes) < 4 && r.IntN(8) == 0 {
		grow()
	}
	i := r.IntN(len(m.nodes))
	n := m.nodes[i]
	switch r.IntN(10) {
	case 0, 1, 2:
		m.pass(time.Duration(r.Int64N(int64(m.every()))))
	case 3:
		m.pass(time.Duration(r.Int64N(int64(2 * modelLease))))
	case 4: // kill -9
		m.nodes = append(m.nodes[:i:i], m.nodes[i+1:]...)
	case 5:
		if err := n.k.Leave(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
		m.nodes = append(m.nodes[:i:i], m.nodes[i+1:]...)
	case 6:
		m.beatWith(n, 1+r.IntN(14), time.Duration(r.Int64N(int64(2*modelLease))), r.IntN(2) == 0)
	default:
		m.beat(n)
	}
}
