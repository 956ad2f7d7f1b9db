package store

import (
	"context"
	"time"

	"github.com/dulyhq/duly/internal/store/migration"
)

// SetClock has leases go by a clock of the test's, an SQL expression in microseconds, and calls wire before and after each
// of their statements.
func (db *DB) SetClock(expression string, wire func(after bool) error) {
	db.clock, db.wire = expression, wire
}

// Exec runs a statement behind the store's back.
func (db *DB) Exec(tx *Tx, query string, args ...any) error {
	_, err := tx.exec(query, args...)
	return err
}

// Trace has every statement of a store's transactions told to fn, as the engine gets it, with the number of buckets that its
// transaction holds.
func Trace(db *DB, fn func(buckets int, text string, args []any)) {
	db.trace = func(tx *Tx, text string, args []any) { fn(len(tx.order), text, args) }
}

// SetLimit has the store wait so long for a Postgres server.
func SetLimit(db *DB, limit time.Duration) {
	d := *db.d
	d.limit = limit
	db.d = &d
}

// Spread reports whether a store's rows lie in several places by their bucket.
func Spread(db *DB) bool { return db.spread }

// TableStatements returns the statements of all migrations that make or change tables and indexes.
func TableStatements() ([]string, error) {
	all, err := steps(migration.Files)
	var out []string
	for _, s := range all {
		out = append(out, s.statements()...)
	}
	return out, err
}

// MigrateMore brings a store up to date with a migration that is yet to be written.
func MigrateMore(ctx context.Context, db *DB, text string) error {
	all, err := steps(migration.Files)
	if err != nil {
		return err
	}
	return db.migrate(ctx, append(all, step{all[len(all)-1].version + 1, "more", text}))
}

// SetMigrateTries has migrations that others keep from their locks give up after so many tries.
func SetMigrateTries(db *DB, n int) { db.migrateTries = n }

// Setting returns the one text that a query brings.
func Setting(tx *Tx, query string) (text string, err error) {
	err = tx.query(func(r *row) error { text = r.text(); return nil }, query)
	return text, err
}

// NumTables is how many kinds of facts there are.
const NumTables = numTables

// Digests returns the digests of a parcel's facts, by their place.
func Digests(p *Parcel) map[int]int64 {
	out := map[int]int64{}
	for _, r := range p.refs {
		out[r.at] = r.digest
	}
	return out
}

// Carried returns the tables whose rows go along with a bucket, with their columns, and those that stay.
func Carried() (along map[string][]string, stay []string, err error) {
	tables, err := carriedTables()
	along = map[string][]string{}
	for _, c := range tables {
		along[c.name] = c.cols
	}
	return along, stays, err
}
