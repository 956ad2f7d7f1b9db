package store_test

import (
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/store/storetest"
)

// How tables are stored is set on PostgreSQL: on a table that is whole, and on each partition of one that is not.
func TestTableSettings(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]map[string]int{
		"postgres":            {"bucket": 1, "installment": 1, "contact": 1, "attempt": 1, "dirty": 1},
		storetest.Partitioned: {"bucket": 1, "installment": 3, "contact": 3, "attempt": 3, "dirty": 3},
	} {
		db := raw(t, "postgres", storetest.DSN(t, kind))
		for table, n := range want {
			query := "SELECT array_to_string(reloptions, ' ') FROM pg_class WHERE relkind = 'r' AND relname ~ '^" + table + "(_p[0-9]+)?$' AND relnamespace = current_schema()::regnamespace"
			got := column(t, db, query+" AND reloptions IS NOT NULL")
			if len(got) != n {
				t.Errorf("%s: %d parts of table %s have settings, want %d", kind, len(got), table, n)
			}
			for _, options := range got {
				if !strings.Contains(options, "autovacuum_vacuum_scale_factor=") {
					t.Errorf("%s: table %s is stored with %q", kind, table, options)
				}
			}
		}
	}
}
