package stream_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/stream"
	"github.com/dulyhq/duly/internal/stream/local"
)

// What was answered 503, "the log has the facts", and was lost by the log then, is told again and applied, though later commands went
// before it.
func TestReconcile(t *testing.T) {
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
	defer pub.Close()
	pub.Keeps = func() []*store.DB { return []*store.DB{apps[0].DB} }
	now := time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)
	person := func(version int64) []duly.Fact {
		return []duly.Fact{&duly.Borrower{ID: "B1", Name: "x", Language: "en", Country: "XX", Version: version}}
	}
	reconcile := func(what string, want stream.Reconciled) {
		t.Helper()
		got, err := pub.Reconcile(t.Context(), apps[0].DB)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	reconcile("nothing is kept", stream.Reconciled{})
	pub.Patience = 200 * time.Millisecond
	if _, err := pub.Apply(t.Context(), now, "test", person(5)); duly.CodeOf(err) != duly.Unavailable {
		t.Fatalf("nobody works: got %v, want it unavailable", err)
	}
	reconcile("the log has it", stream.Reconciled{Kept: 1, Waiting: 1})
	lose(t, s.URL())
	reconcile("the log has lost it and nobody works", stream.Reconciled{Kept: 1, Told: 1, Open: 1})
	reconcile("the log has it again", stream.Reconciled{Kept: 1, Waiting: 1})
	lose(t, s.URL())

	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { l.Work(ctx, apps[0].Engine, func() {}) })
	pub.Patience = time.Minute
	if a, err := pub.Apply(t.Context(), now, "test", person(4)); err != nil || a.Results[0] != store.Added {
		t.Fatalf("a later command: got %v, %v", a.Results, err)
	}
	if err := apps[0].DB.KeepCommand(t.Context(), store.KeptCommand{ID: "spoilt", Part: 0, Kept: now, Data: "no command"}); err != nil {
		t.Fatal(err)
	}
	reconcile("the log has lost it and somebody works", stream.Reconciled{Kept: 2, Told: 2, Applied: 1, Refused: 1})
	for version, want := range map[int64]store.PutResult{5: store.Same, 4: store.Stale} {
		if a, err := pub.Apply(t.Context(), now, "test", person(version)); err != nil || a.Results[0] != want {
			t.Errorf("version %d told again: got %v, %v; want %v", version, a.Results, err, want)
		}
	}
	reconcile("what cannot be applied stays", stream.Reconciled{Kept: 1, Told: 1, Refused: 1})
}

// lose has the log lose all that it has.
func lose(t *testing.T, url string) {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "test")
	if err == nil {
		err = s.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}
