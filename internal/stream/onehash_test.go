package stream_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/app"
	"github.com/dulyhq/duly/internal/engine"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream"
)

// way is a way to set Duly up: its instances, which step in turn, and where facts go in.
type way struct {
	apps, stores []*app.App // all that step; one of each store
	apply        func(ctx context.Context, now time.Time, facts []duly.Fact) (engine.Applied, error)
}

// ways are all that there are. Whatever is chosen, the same contacts come about.
var ways = []struct {
	name string
	set  func(t *testing.T) way
}{
	{"SQLite", func(t *testing.T) way { return direct(cells(t, still, engine.Share{})) }},
	{"PostgreSQL", func(t *testing.T) way { return direct(crew(t, 1, engine.Share{})) }},
	{"PostgreSQL, three instances", func(t *testing.T) way { return direct(crew(t, 3, engine.Share{})) }},
	{"the log, two cells on SQLite", func(t *testing.T) way { return logged(t, cells(t, still, low, high)) }},
	{"the log, two cells on PostgreSQL", func(t *testing.T) way { return logged(t, append(crew(t, 1, low), crew(t, 1, high)...)) }},
}

var low, high = stream.ShareOf(parts, 0, 2), stream.ShareOf(parts, 3, parts-1)

// still is the clock of an engine that goes only as it is told.
func still() time.Time { return time.Time{} }

// direct has every instance work on one store. Facts go in through any of them.
func direct(apps []*app.App) way {
	turn := 0
	return way{apps, apps[:1], func(ctx context.Context, now time.Time, facts []duly.Fact) (engine.Applied, error) {
		turn++
		return apps[turn%len(apps)].Engine.Apply(ctx, now, "sim", facts)
	}}
}

// logged has every instance work on a cell of its own, which facts reach through the log.
func logged(t *testing.T, apps []*app.App) way {
	_, pub := open(t, apps)
	return way{apps, apps, func(ctx context.Context, now time.Time, facts []duly.Fact) (engine.Applied, error) {
		return pub.Apply(ctx, now, "sim", facts)
	}}
}

// crew opens one PostgreSQL as often as told, and shares its buckets among these instances until the test ends.
func crew(t *testing.T, n int, share engine.Share) []*app.App {
	t.Helper()
	dsn := storetest.DSN(t, "postgres")
	var apps []*app.App
	var keepers []*engine.Keeper
	for range n {
		a := instance(t, dsn, share, still)
		apps = append(apps, a)
		keepers = append(keepers, engine.NewKeeper(engine.KeeperConfig{DB: a.DB, Holding: a.Engine.Holding(), Name: "test", Version: "v",
			Lease: time.Minute, Clock: time.Now, NewID: rand.Text}))
	}
	beat := func() {
		for _, k := range keepers {
			if err := k.Beat(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	for try := 0; !shared(apps); try++ {
		if beat(); try > 20 {
			t.Fatalf("the buckets are not shared out after %d beats", try)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for every := time.NewTicker(keepers[0].Every()); ; beat() {
			select {
			case <-every.C:
			case <-ctx.Done():
				every.Stop()
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); work.Wait() })
	return apps
}

// shared reports whether each has some of the buckets, and together they have all.
func shared(apps []*app.App) bool {
	sum := 0
	for _, a := range apps {
		n := a.Engine.Holding().State().Buckets
		if n == 0 {
			return false
		}
		sum += n
	}
	return sum == apps[0].Engine.Holding().Share().Buckets()
}

// The same book, payments and days give the same contacts, ids, states and reasons, to one hash, on every store, from one instance
// or three, and through the log.
func TestOneHash(t *testing.T) {
	t.Parallel()
	var want map[duly.ContactID]row
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			set := w.set(t)
			live(t, set.apps, 250, 4, set.apply, nil)
			got := contacts(t, set.stores)
			if want == nil {
				if want = got; len(want) < 200 {
					t.Fatalf("only %d contacts: the run tests nothing", len(want))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("it (+) differs from %s (-):\n%s", ways[0].name, diff)
			}
			t.Logf("%d contacts, hash %s", len(got), hash(got))
		})
	}
}

// hash is over every contact's id, state, reason and hour.
func hash(rows map[duly.ContactID]row) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintln(h, id, rows[id])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
