// Package storetest says what a store must do, as a suite that runs the same on every engine, and opens fresh stores for
// the tests of other packages.
//
// SQLite is always there. Postgres is there when the address in DULY_TEST_POSTGRES answers, or when initdb is found: then
// one server is started for the test binary and each test gets a database of its own. Where it is not, tests on it are
// skipped; with DULY_TEST_POSTGRES_REQUIRED=1 they fail.
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
//	func TestPlan(t *testing.T) {
//		storetest.Each(t, func(t *testing.T, db *store.DB) { … })
//	}
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/dulyhq/duly/internal/store"
)

// Partitioned is a Postgres store in partitions, beside the [Kinds].
const Partitioned = "partitioned"

// Bare is a Postgres database without the tables of a store.
const Bare = "bare"

// partitions are few, for the sake of time, and more than one, for the sake of the test.
const partitions = 3

// Kinds are the engines.
var Kinds = [...]string{"sqlite", "postgres"}

// Main runs the tests and then stops the Postgres server, if they started one. A package that opens stores on Postgres
// calls it from its TestMain.
func Main(m *testing.M) {
	code := m.Run()
	server.stop()
	os.Exit(code)
}

// Each runs a test on a fresh store of every engine, side by side.
func Each(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	for _, kind := range Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, Open(t, kind))
		})
	}
}

// Open returns a fresh store of an engine, "sqlite", "postgres" or "partitioned", closed when the test ends.
func Open(t testing.TB, kind string) *store.DB {
	t.Helper()
	db, err := store.Create(context.Background(), DSN(t, kind))
	if err != nil {
		t.Fatalf("create a %s store: %v", kind, err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// DSN returns where a fresh store of an engine can be made; on Postgres it is made already.
func DSN(t testing.TB, kind string) string {
	t.Helper()
	switch kind {
	case "sqlite":
		return filepath.Join(t.TempDir(), "duly.db")
	case "postgres":
		return server.database(t, 0)
	case Partitioned:
		return server.database(t, partitions)
	case Bare:
		return server.bare(t)
	}
	t.Fatalf("no engine %q", kind)
	return ""
}
