package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

const moreColumns = "CREATE TABLE more (\n  a TEXT NOT NULL\n);\nALTER TABLE contact ADD COLUMN more TEXT NOT NULL DEFAULT '';\n"

// columns counts the columns of a name, in all tables.
func columns(t *testing.T, db *sql.DB, name string) (n int) {
	t.Helper()
	err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = current_schema() AND (column_name = $1 OR table_name = $1)", name).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A migration that needs a table which a long transaction reads lets go of its place in the queue again and again: the work
// goes on beside it, and it is done once the transaction is over. Where it gives up, nothing was changed.
func TestMigrateBesideLongTransaction(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, "postgres")
	db := create(t, dsn)
	behind := raw(t, "postgres", dsn)
	long, err := behind.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Rollback()
	var n int
	if err := long.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM contact").Scan(&n); err != nil {
		t.Fatal(err)
	}

	store.SetMigrateTries(db, 2)
	if err := store.MigrateMore(t.Context(), db, moreColumns); duly.CodeOf(err) != duly.Unavailable {
		t.Errorf("while the transaction lasts: got %v, want unavailable", err)
	}
	if n := columns(t, behind, "more"); n != 0 {
		t.Errorf("a migration that gave up left %d tables or columns behind", n)
	}

	store.SetMigrateTries(db, 1000)
	done := make(chan error, 1)
	go func() { done <- store.MigrateMore(context.WithoutCancel(t.Context()), db, moreColumns) }()
	await(t, behind, "a migration that waits for the table",
		"SELECT COUNT(*) FROM pg_locks WHERE relation = 'contact'::regclass AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	id := storetest.InBucket(3, 1)[0]
	put(t, db, storetest.Borrower(id))
	for i := range 5 { // each has to come between two tries
		c := storetest.Contact(id, "d-3", civil.On(2026, 3, 10+i), 0)
		err := db.Update(t.Context(), storetest.Noon, []int{3}, func(tx *store.Tx) error { return tx.PutContacts([]duly.Contact{c}) })
		if err != nil {
			t.Errorf("write %d beside the migration: %v", i, err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("the migration ended while the transaction lasts: %v", err)
	default:
	}
	if err := long.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("once the transaction is over: %v", err)
	}
	if n := columns(t, behind, "more"); n != 2 { // the table counts for its one column, and the column
		t.Errorf("got %d of 2 columns", n)
	}
}

// await waits until a count is above nothing.
func await(t *testing.T, db *sql.DB, what, query string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var n int
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatalf("%s: it did not come", what)
}
