package main

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// Payments are posted at random while contacts stream out: not one POST begins after the call that told of its payment was
// answered. `make stop-latency` is the long run, with the distributions.
func TestStops(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t, kind)
			if kind == "sqlite" {
				dsn += store.Hasty
			}
			if err := run(options{contacts: 2000, posters: 4, takes: 30 * time.Millisecond, pace: 5 * time.Millisecond, seed: 1, dsn: dsn, out: t.Output()}); err != nil {
				t.Error(err)
			}
		})
	}
}
