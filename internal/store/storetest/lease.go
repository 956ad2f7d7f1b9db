package storetest

import (
	"context"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store"
)

// join enters a node of a name that is also its id, with a lease that ends long after the test or is over already.
func (w *world) join(id string, lease time.Duration) {
	w.Helper()
	if now, err := w.db.JoinNode(context.Background(), store.Node{ID: id, Name: id, Version: "v1", Skew: time.Second}, lease); err != nil || now.IsZero() {
		w.Fatalf("join %s: %v at %s", id, err, now)
	}
}

func (w *world) leases() store.Leases {
	w.Helper()
	l, err := w.db.Leases(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return l
}

func (w *world) take(id, from string, buckets ...int) map[int]int64 {
	w.Helper()
	taken, err := w.db.TakeBuckets(context.Background(), id, from, buckets)
	if err != nil {
		w.Fatal(err)
	}
	return taken
}

func testLeases(t *testing.T, w *world) {
	ctx := context.Background()
	if l := w.leases(); len(l.Nodes) != 0 || !l.Free(0) || !l.Free(duly.Buckets-1) || l.Now.IsZero() {
		t.Errorf("at first: got %d nodes, now %s; want none, every bucket free", len(l.Nodes), l.Now)
	}
	w.join("a", time.Hour)
	w.join("b", time.Hour)
	w.same("taken by a", w.take("a", "", 1, 2, 3), map[int]int64{1: 1, 2: 1, 3: 1})
	w.same("taken by b", w.take("b", "", 3, 4), map[int]int64{4: 1}) // 3 is a's by now
	w.same("taken from a by b", w.take("b", "c", 1), map[int]int64{})
	l := w.leases()
	if len(l.Alive()) != 2 || l.Free(1) || l.Buckets[3].Owner != "a" || !l.UnownedSince(3).IsZero() || !l.Free(5) {
		t.Errorf("got %+v and bucket 3 %+v, want two alive and 3 with a", l.Nodes, l.Buckets[3])
	}
	if n := l.Node("a"); n == nil || n.Version != "v1" || n.Skew != time.Second || n.Until.Sub(n.HeardAt) != time.Hour || n.StartedAt != n.HeardAt {
		t.Errorf("node a: got %+v", n)
	}
	if err := w.db.GiveBuckets(ctx, "a", []int{2, 4}); err != nil { // 4 is not its to give
		t.Fatal(err)
	}
	w.same("given and taken again", w.take("b", "", 2, 4), map[int]int64{2: 3})

	if now, err := w.db.RenewNode(ctx, "a", 2*time.Hour, -time.Second); err != nil || now.IsZero() {
		t.Errorf("renew: got %s, %v", now, err)
	}
	l = w.leases()
	if n := l.Node("a"); n.Until.Sub(n.HeardAt) != 2*time.Hour || n.Skew != -time.Second || n.HeardAt.Before(n.StartedAt) {
		t.Errorf("renewed: got %+v", n)
	}
	if err := w.db.EndNode(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if now, err := w.db.RenewNode(ctx, "a", time.Hour, 0); err != nil || !now.IsZero() {
		t.Errorf("a node that has ended is renewed: got %s, %v", now, err)
	}
	l = w.leases()
	if len(l.Alive()) != 1 || !l.Free(1) || l.UnownedSince(1) != l.Node("a").EndedAt {
		t.Errorf("after the end: got %+v", l.Nodes)
	}
	w.same("taken from the ended", w.take("b", "a", 1, 3), map[int]int64{1: 2, 3: 2})

	w.join("c", -time.Minute) // its lease is over
	w.same("taken by c", w.take("c", "", 7), map[int]int64{7: 1})
	if l := w.leases(); l.Free(7) || len(l.Alive()) != 1 || l.UnownedSince(7) != l.Node("c").Until {
		t.Errorf("a lease that is over: got %+v; want c silent and 7 not yet free", l.Nodes)
	}
	if err := w.db.EndLapsed(ctx); err != nil {
		t.Fatal(err)
	}
	if l := w.leases(); !l.Free(7) || l.Node("b").EndedAt != (time.Time{}) {
		t.Errorf("end lapsed: got %+v; want c ended and b not", l.Nodes)
	}
}

func testLeased(t *testing.T, w *world) {
	held := func(id string, buckets ...int) (out map[int]int64) {
		w.update(buckets, func(tx *store.Tx) (err error) { out, err = tx.Leased(id, buckets); return err })
		return out
	}
	w.join("a", time.Hour)
	w.join("b", time.Hour)
	w.take("a", "", 1, 2)
	w.take("b", "", 3)
	w.same("a", held("a", 1, 2, 3, 4), map[int]int64{1: 1, 2: 1})
	w.same("b", held("b", 1, 2, 3, 4), map[int]int64{3: 1})
	w.same("nobody", held("", 1, 2, 3, 4), map[int]int64{})
	if err := w.db.EndNode(context.Background(), "a"); err != nil {
		t.Fatal(err)
	}
	w.same("a after its end", held("a", 1, 2), map[int]int64{})
	w.join("c", -time.Second)
	w.take("c", "", 5)
	w.same("c whose lease is over", held("c", 5), map[int]int64{})
}
