package stream_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/channel"
	"github.com/dulyhq/duly/internal/channel/sandbox"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/sim"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/stream"
	"github.com/dulyhq/duly/internal/stream/local"
)

const parts = 8

// rough is a carrier that fails in many ways.
var rough = sandbox.Behaviour{
	Seed: 7, Temporary: 60, BadAddress: 20, OptedOut: 5, UnknownDelivered: 30, UnknownLost: 30, Undelivered: 40, Read: 200, Duplicate: 100,
	DelayMin: time.Second, DelayMax: 3 * time.Hour,
}

// cells makes SQLite stores with so many parts each, and their engines, leased to this process.
func cells(t *testing.T, clock func() time.Time, shares ...engine.Share) []*app.App {
	t.Helper()
	var out []*app.App
	for _, share := range shares {
		a := instance(t, filepath.Join(t.TempDir(), "cell.db")+store.Hasty, share, clock)
		leave, err := a.Join(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := leave(); err != nil {
				t.Error(err)
			}
		})
		out = append(out, a)
	}
	return out
}

// instance opens a store, which has a share of the buckets; nobody has leased them.
func instance(t *testing.T, dsn string, share engine.Share, clock func() time.Time) *app.App {
	t.Helper()
	c := app.Default()
	c.Carriers = map[string]app.CarrierConfig{"sandbox": {Kind: "sandbox", Settings: &rough}}
	c.Node.Lease = app.Duration(time.Minute) // a busy machine must not cost the lease
	c.Store = dsn
	var err error
	if share.To != 0 {
		c.Stream.Parts = parts
		size := duly.Buckets / parts
		c.Cells = []app.CellConfig{{Name: "x", Store: c.Store, Parts: []int{share.From / size, share.To/size - 1}}}
		if c, err = c.Cell("x"); err != nil {
			t.Fatal(err)
		}
	}
	a, err := app.New(t.Context(), c, app.Options{Create: true, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func engines(apps []*app.App) []*engine.Engine {
	var out []*engine.Engine
	for _, a := range apps {
		out = append(out, a.Engine)
	}
	return out
}

// open starts a server of a log and workers of the cells, and returns a publisher.
func open(t *testing.T, apps []*app.App) (*stream.Log, *stream.Publisher) {
	t.Helper()
	s, err := local.Start(local.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	l, err := stream.Open(t.Context(), stream.Config{URLs: []string{s.URL()}, Name: "test", Parts: parts, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p, err := stream.NewPublisher(l, func() ([]*engine.Engine, error) { return engines(apps), nil })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, a := range apps {
		work.Go(func() { l.Work(ctx, a.Engine, func() {}) })
	}
	t.Cleanup(func() { cancel(); work.Wait() })
	return l, p
}

// row is what is compared of a contact.
type row struct{ State, Reason, At string }

func contacts(t *testing.T, apps []*app.App) map[duly.ContactID]row {
	t.Helper()
	out := map[duly.ContactID]row{}
	for _, a := range apps {
		share := a.Engine.Holding().Share()
		for b := range duly.Buckets {
			err := a.DB.View(t.Context(), func(tx *store.Tx) error {
				all, err := tx.BucketContacts(b)
				for _, c := range all {
					if _, twice := out[c.ID]; twice || !share.Has(b) {
						t.Errorf("contact %s is in two cells, or in the wrong one", c.ID)
					}
					out[c.ID] = row{string(c.State), c.Reason, c.NotBefore.String()}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// A command that is delivered again changes nothing and is answered as it was; one that comes late is known too.
func TestAppliedOnce(t *testing.T) {
	t.Parallel()
	a := cells(t, nil, engine.Share{})[0]
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	w, err := sim.NewBook(sim.Options{Seed: 3, Borrowers: 40, Start: civil.On(2026, 3, 2), Days: 2, Location: a.Location})
	if err != nil {
		t.Fatal(err)
	}
	at := func(log, seq int64) store.Mark { return store.Mark{Log: log, Seq: seq} }
	apply := func(m store.Mark) (engine.Answer, error) {
		return a.Engine.ApplyOnce(t.Context(), now, "test", m, w.Facts(), true)
	}
	versions := func() (sum int64) {
		for b := range duly.Buckets {
			err := a.DB.View(t.Context(), func(tx *store.Tx) error { s, err := tx.Bucket(b); sum += s.Version; return err })
			if err != nil {
				t.Fatal(err)
			}
		}
		return sum
	}
	first, err := apply(at(1, 5))
	if err != nil {
		t.Fatal(err)
	}
	applied := first.Applied()
	if n := applied.Count(store.Added); n != len(w.Facts()) {
		t.Fatalf("got %d of %d added", n, len(w.Facts()))
	}
	was := versions()
	again, err := apply(at(1, 5))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || versions() != was {
		t.Errorf("delivered again: the store changed from %d to %d, or it is answered otherwise:\n%s", was, versions(), diff)
	}
	for _, m := range []store.Mark{at(1, 4), at(0, 9)} {
		if _, err := apply(m); !engine.AnswerLost(err) || versions() != was {
			t.Errorf("a late command %v: got %v, want it known and nothing changed", m, err)
		}
	}
	next, err := apply(at(2, 1))
	if err != nil {
		t.Fatal(err)
	}
	if applied := next.Applied(); applied.Count(store.Same) != len(w.Facts()) {
		t.Errorf("a new log: got %v, want all known", next.Results)
	}
}

// A cell refuses facts of people of another, however they come.
func TestForeignFacts(t *testing.T) {
	t.Parallel()
	a := cells(t, nil, stream.ShareOf(parts, 0, 0))[0]
	id := duly.BorrowerID("B1")
	for n := 2; id.Bucket() < duly.Buckets/parts; n++ {
		id = duly.BorrowerID(fmt.Sprintf("B%d", n))
	}
	facts := []duly.Fact{&duly.Borrower{ID: id, Version: 1}}
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	_, err := a.Engine.Apply(t.Context(), now, "test", facts)
	_, errOnce := a.Engine.ApplyOnce(t.Context(), now, "test", store.Mark{Log: 1, Seq: 1}, facts, false)
	if duly.CodeOf(err) != duly.Refused || duly.CodeOf(errOnce) != duly.Refused {
		t.Errorf("got %v and %v, want both refused", err, errOnce)
	}
}

// Calls through the log are answered as an engine answers them: a payment by its loan finds its cell, what is not known is told,
// results come in the order of the facts.
func TestAnswers(t *testing.T) {
	t.Parallel()
	apps := cells(t, nil, stream.ShareOf(parts, 0, 3), stream.ShareOf(parts, 4, parts-1))
	l, pub := open(t, apps)
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	w, err := sim.NewBook(sim.Options{Seed: 5, Borrowers: 60, Start: civil.On(2026, 3, 2), Days: 2, Location: apps[0].Location})
	if err != nil {
		t.Fatal(err)
	}
	facts := w.Facts()
	slices.Reverse(facts) // instalments ahead of their loans
	applied, err := pub.Apply(t.Context(), now, "test", facts)
	if err != nil || applied.Count(store.Added) != len(facts) {
		t.Fatalf("the book: %v, %d of %d added", err, applied.Count(store.Added), len(facts))
	}
	in := w.Installments[0]
	pay := func(id string, loan duly.LoanID) *duly.Payment {
		return &duly.Payment{ID: duly.PaymentID(id), LoanID: loan, Amount: in.Principal, ValueAt: now, ArrivedAt: now, Version: 1}
	}
	applied, err = pub.Apply(t.Context(), now, "test", []duly.Fact{pay("P1", "none"), pay("P2", in.LoanID), pay("P2", in.LoanID)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]store.PutResult{store.UnknownLoan, store.Added, store.Same}, applied.Results); diff != "" {
		t.Errorf("payments (-want +got):\n%s", diff)
	}
	said := &duly.Reply{BorrowerID: in.BorrowerID, ID: "R1", Channel: duly.ChannelSMS, Text: "STOP", Language: "en", At: now, Version: 1}
	if _, err := pub.Apply(t.Context(), now, "test", []duly.Fact{said}); err != nil || said.Meaning.Intent == "" {
		t.Errorf("a reply: got meaning %+v, %v", said.Meaning, err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // a command goes from the log after its call is answered
		n, err := l.Waiting(t.Context())
		if err == nil && n == 0 {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("got %d commands left in the log, %v; want none", n, err)
		}
	}
	// While nobody works on a part, a call says so and the log keeps the facts.
	if _, err := stream.Open(t.Context(), stream.Config{URLs: l.URLs, Name: "test", Parts: 2 * parts, Replicas: 1}); duly.CodeOf(err) != duly.Refused {
		t.Errorf("another number of parts: got %v, want it refused", err)
	}
}

// A call that is not applied in time says so, the log keeps its facts, and a worker that comes later applies them.
func TestNobodyWorks(t *testing.T) {
	t.Parallel()
	apps := cells(t, nil, stream.ShareOf(parts, 0, parts-1))
	s, err := local.Start(local.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	l, err := stream.Open(t.Context(), stream.Config{URLs: []string{s.URL()}, Name: "test", Parts: parts, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pub, err := stream.NewPublisher(l, func() ([]*engine.Engine, error) { return engines(apps), nil })
	if err != nil {
		t.Fatal(err)
	}
	pub.Patience = 300 * time.Millisecond
	fact := &duly.Borrower{ID: "B1", Name: "x", Language: "en", Country: "XX", Version: 1}
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	if _, err := pub.Apply(t.Context(), now, "test", []duly.Fact{fact}); duly.CodeOf(err) != duly.Unavailable {
		t.Fatalf("nobody works: got %v, want it unavailable", err)
	}
	if n, err := l.Waiting(t.Context()); err != nil || n != 1 {
		t.Errorf("got %d commands in the log, %v; want the one", n, err)
	}
	woken := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { l.Work(ctx, apps[0].Engine, func() { woken <- struct{}{} }) })
	<-woken
	pub.Patience = 10 * time.Second
	applied, err := pub.Apply(t.Context(), now, "test", []duly.Fact{fact})
	if err != nil || applied.Results[0] != store.Same {
		t.Errorf("told again: got %v, %v; want it known", applied.Results, err)
	}
}

// What a carrier tells of goes to whoever has the address, in whichever cell; what nobody is known for is kept in every cell.
func TestHearThroughCells(t *testing.T) {
	t.Parallel()
	apps := cells(t, nil, engine.Share{From: 0, To: duly.Buckets / 2}, engine.Share{From: duly.Buckets / 2, To: duly.Buckets})
	_, p := open(t, apps)
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	var low, high duly.BorrowerID
	for i := 0; low == "" || high == ""; i++ {
		id := duly.BorrowerID(fmt.Sprint("B", i))
		if id.Bucket() < duly.Buckets/2 {
			low = id
		} else {
			high = id
		}
	}
	for i, id := range []duly.BorrowerID{low, high} {
		_, err := p.Apply(t.Context(), now, "test", []duly.Fact{
			&duly.Borrower{ID: id, Language: "zh-CN", Country: "CN", Version: 1},
			&duly.ContactPoint{BorrowerID: id, ID: "own", Kind: duly.PointMobile, Value: fmt.Sprint("+861000000000", i), State: duly.PointActive, Version: 1},
			&duly.ContactPoint{BorrowerID: id, ID: "both", Kind: duly.PointMobile, Value: "+8610000000009", State: duly.PointActive, Version: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	heard := func(key, from string) engine.ReceiveReport {
		t.Helper()
		var r engine.ReceiveReport
		h := channel.Heard{Replies: []channel.Reply{{Key: key, Channel: duly.ChannelSMS, From: from, Text: "TD", At: now}}}
		h.Points = []channel.PointNews{{Key: key, Kind: duly.PointMobile, Value: from, State: duly.PointRecycled, At: now}}
		if err := p.Hear(t.Context(), now, "gate", h, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := heard("k1", "8610000000001"); r.Replies != 1 || r.Points != 1 {
		t.Errorf("of the second cell: got %+v", r)
	}
	if r := heard("k2", "8610000000009"); r.Replies != 2 || r.Points != 2 {
		t.Errorf("of both cells: got %+v, want it of both", r)
	}
	if r := heard("k2", "8610000000009"); r.Replies != 0 || r.Points != 0 {
		t.Errorf("again: got %+v", r)
	}
	if r := heard("k3", "8610000000008"); r.Unmatched != 1 {
		t.Errorf("of nobody: got %+v", r)
	}
	for i, a := range apps {
		list, err := a.DB.Unmatched(t.Context(), 10)
		if err != nil || len(list) != 1 {
			t.Errorf("cell %d: got %d kept, %v, want 1", i, len(list), err)
		}
	}
}
