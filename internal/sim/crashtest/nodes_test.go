package main

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// Three servers over one PostgreSQL, of which one is killed every other second and one is paused: nobody is lost, nobody is
// reminded twice, no cap is broken, and no bucket is nobody's for long. `make crash-nodes` is the long run.
func TestNodes(t *testing.T) {
	t.Parallel()
	err := runNodes(nodesOptions{
		contacts: 2500, nodes: 3, killEvery: 2 * time.Second, lasts: 9 * time.Second, lease: 2 * time.Second,
		dsn: storetest.DSN(t, "postgres"), seed: 1, out: t.Output(),
	})
	if err != nil {
		t.Error(err)
	}
}
