package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/store"
	"github.com/dulyhq/duly/internal/store/storetest"
)

// Every table with buckets goes along when a bucket moves, or is on the list of those that stay, and so does every column: what
// the engine itself says of its tables is compared with what goes along.
func TestEveryTableGoesAlong(t *testing.T) {
	t.Parallel()
	along, stay, err := store.Carried()
	if err != nil {
		t.Fatal(err)
	}
	query := map[string]string{
		"sqlite": "SELECT m.name || ' ' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' " +
			"AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) b WHERE b.name = 'bucket') ORDER BY m.name, c.cid",
		"postgres": "SELECT c.table_name || ' ' || c.column_name FROM information_schema.columns c WHERE c.table_schema = current_schema() " +
			"AND EXISTS (SELECT 1 FROM information_schema.columns b WHERE b.table_schema = c.table_schema AND b.table_name = c.table_name AND b.column_name = 'bucket') " +
			"ORDER BY c.table_name, c.ordinal_position",
	}
	eachDSN(t, func(t *testing.T, kind, dsn string) {
		create(t, dsn)
		has := map[string][]string{}
		for _, s := range column(t, raw(t, kind, dsn), query[kind]) {
			table, name, _ := strings.Cut(s, " ")
			has[table] = append(has[table], name)
		}
		if len(has) < 20 {
			t.Fatalf("only %d tables have buckets: the test looks in the wrong place", len(has))
		}
		for table, cols := range has {
			if slices.Contains(stay, table) {
				continue
			}
			if got := slices.Sorted(slices.Values(along[table])); !slices.Equal(got, slices.Sorted(slices.Values(cols))) {
				t.Errorf("table %s: columns %v go along, want %v", table, got, cols)
			}
		}
		if want := len(has) - len(stay); len(along) != want {
			t.Errorf("%d tables go along, want %d", len(along), want)
		}
	})
}

// A bucket goes from SQLite to PostgreSQL and from there into a store in partitions, and is the same: one digest.
func TestCarryAcrossEngines(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	kinds := []string{"sqlite", "postgres", storetest.Partitioned, "sqlite"}
	var from *store.DB
	var want map[int]store.BucketSum
	for i, kind := range kinds {
		dsn := storetest.DSN(t, kind)
		if i == 0 {
			lives(t, dsn, nil)
		}
		to := create(t, dsn)
		if i > 0 {
			for b := range want {
				carry(t, from, to, b)
			}
		}
		got := map[int]store.BucketSum{}
		all, err := to.Placings(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for b := range all {
			if all[b].People == 0 {
				continue
			}
			if got[b], err = to.SumBucket(ctx, b, nil); err != nil {
				t.Fatal(err)
			}
		}
		if from = to; i == 0 {
			if want = got; len(want) < 20 {
				t.Fatalf("only %d buckets hold anything: the test looks in the wrong place", len(want))
			}
			continue
		}
		for b, is := range got {
			was := want[b]
			if table := was.Differs(&is); table != "" {
				t.Errorf("%s: table %s of bucket %d is not as it was in %s", kind, table, b, kinds[i-1])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %d buckets, want %d", kind, len(got), len(want))
		}
		if r, err := to.AuditVerify(ctx); err != nil || len(r.Breaks) > 0 || r.Buckets < 20 {
			t.Errorf("%s: the audit: %+v, %v", kind, r, err)
		}
	}
}

func carry(t *testing.T, from, to *store.DB, bucket int) {
	t.Helper()
	write := func(fn func(tx *store.Tx) error) error {
		return to.Rehouse(t.Context(), bucket, func(tx *store.Tx, _ *store.Placing) error { return fn(tx) })
	}
	err := write(func(tx *store.Tx) error { _, err := tx.ClearRows(bucket, true); return err })
	if err != nil {
		t.Fatal(err)
	}
	sum, err := from.SumBucket(t.Context(), bucket, func(rows store.Rows) error { return write(func(tx *store.Tx) error { return tx.PutRows(rows) }) })
	if err == nil {
		err = write(func(tx *store.Tx) error { return tx.PutState(bucket, &sum) })
	}
	if err != nil {
		t.Fatal(err)
	}
}
