package main

import (
	"os"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if serveLog() { // this process was started as one of the log's servers
		return
	}
	storetest.Main(m)
}

// Two servers over two PostgreSQL behind a log of three servers, each a process: a worker, the log's leader and one PostgreSQL are
// killed, a worker is paused for longer than its lease. Nobody is lost, nobody is reminded twice or after a payment was answered,
// and while one cell is away the other works on. `make crash-stream` is the long run.
func TestStream(t *testing.T) {
	if os.Getenv("DULY_STREAM_CRASH") == "" {
		t.Skip("kills whole servers for a minute, and is not steady enough yet for every run: DULY_STREAM_CRASH=1 runs it")
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
