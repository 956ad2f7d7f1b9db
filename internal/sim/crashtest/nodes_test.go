package main

import (
	"os"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store/storetest"
	"github.com/dulyhq/duly/internal/stream/local"
)

func TestMain(m *testing.M) {
	if local.Child() { // this process was started as one of the log's servers
		return
	}
	storetest.Main(m)
}

// Two servers over two PostgreSQL behind a log of three servers, each a process of its own: a worker, the log's leader and one
// PostgreSQL are killed, and a worker is stopped for longer than its lease and wakes up. Everybody is written to once or has paid,
// nobody after a payment was answered, and while one cell is away the other works on. `make crash-stream` is the long run.
func TestStream(t *testing.T) {
	if testing.Short() {
		t.Skip("kills whole servers for most of a minute")
	}
	t.Parallel()
	err := runStream(nodesOptions{contacts: 1500, nodes: 2, lasts: 8 * time.Second, lease: 2 * time.Second, seed: 1, out: t.Output()})
	if storetest.Absent(err) && os.Getenv("DULY_TEST_POSTGRES_REQUIRED") != "1" {
		t.Skip("no programs of PostgreSQL")
	}
	if err != nil {
		t.Error(err)
	}
}

// A server to which new people become known every second, with a carrier that refuses, hangs, is slow, and tells receipts late, twice
// and of strangers: nobody is lost or reminded twice, and everybody who was reached is on record so. `make soak-serve` is the long run.
func TestSoak(t *testing.T) {
	t.Parallel()
	if err := runSoak(soakOptions{lasts: 8 * time.Second, rate: 40, seed: 1, receipts: 3 * time.Second, out: t.Output()}); err != nil {
		t.Error(err)
	}
}

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

// Servers die at points of the claim, the POST and the answer, and at random, and are stopped: nobody is lost, nobody is reminded
// twice, and what is in doubt is bounded. `make crash` is the long run, on both stores, with every point and every outage.
func TestMatrix(t *testing.T) {
	t.Parallel()
	err := runMatrix(matrixOptions{
		contacts: 3000, kills: 1, seed: 1, out: t.Output(),
		points: []string{fault.ClaimCommitted, fault.PostAfter, fault.FinishUncommitted},
	})
	if err != nil {
		t.Error(err)
	}
}
