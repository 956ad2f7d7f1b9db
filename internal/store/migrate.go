package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store/migration"
)

// step is one migration file.
type step struct {
	version int
	name    string
	text    string
}

// steps returns the migrations that this program has, oldest first.
func steps(files fs.FS) ([]step, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []step
	for i, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", name, i+1)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		out = append(out, step{version, name, string(text)})
	}
	return out, nil
}

// statements splits a migration at the semicolons that end a line, and drops comments.
func (s step) statements() []string {
	var out []string
	var b strings.Builder
	for line := range strings.Lines(s.text) {
		if strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			out = append(out, strings.TrimSuffix(strings.TrimSpace(b.String()), ";"))
			b.Reset()
		}
	}
	return out
}

// Migrate makes the tables or brings them up to date, one file and transaction at a time. Several processes may do so at
// once. It refuses a store that a newer program has made.
func (db *DB) Migrate(ctx context.Context) error {
	all, err := steps(migration.Files)
	if err != nil {
		return err
	}
	return db.migrate(ctx, all)
}

func (db *DB) migrate(ctx context.Context, all []step) error {
	for {
		done, err := db.migrateOne(ctx, all)
		if err != nil {
			return db.d.explain(fmt.Errorf("migrate: %w", err))
		}
		if done {
			return nil
		}
	}
}

// migrateOne applies the next migration, or reports that there is none.
func (db *DB) migrateOne(ctx context.Context, all []step) (done bool, err error) {
	tx, err := db.writer.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	if db.d.exclusive != "" {
		if _, err := tx.ExecContext(ctx, db.d.exclusive); err != nil {
			return false, err
		}
	}
	at, err := schemaVersion(ctx, db.d, tx)
	if err != nil {
		return false, err
	}
	if at > len(all) {
		return false, tooNew(at, len(all))
	}
	if at == len(all) {
		return true, nil
	}
	partitions := db.partitions
	if at > 0 {
		if partitions, err = db.partitionCount(ctx, tx); err != nil {
			return false, err
		}
	}
	todo := all[at].statements()
	if at == 0 {
		todo = append([]string{"CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)"}, todo...)
	}
	for _, stmt := range todo {
		for _, s := range inPartitions(db.d.ddl.Replace(stmt), partitions) {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return false, fmt.Errorf("%s: %w", all[at].name, err)
			}
		}
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES ($1, $2)", all[at].version, all[at].name)
	if err != nil {
		return false, err
	}
	return false, tx.Commit()
}

// checkSchema refuses tables that are not those of this program.
func (db *DB) checkSchema(ctx context.Context) error {
	all, err := steps(migration.Files)
	if err != nil {
		return err
	}
	at, err := schemaVersion(ctx, db.d, db.writer.db)
	switch {
	case err != nil:
		return db.d.explain(fmt.Errorf("read the schema's version: %w", err))
	case at == 0:
		return duly.Errorf(duly.NotFound, "the database holds no store yet").WithHint("create it with duly migrate")
	case at > len(all):
		return tooNew(at, len(all))
	case at < len(all):
		return duly.Errorf(duly.Refused, "the store's tables are of version %d, this program needs %d", at, len(all)).
			WithHint("back the store up, then bring it up to date with duly migrate")
	}
	return nil
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schemaVersion returns the newest migration applied, 0 for none.
func schemaVersion(ctx context.Context, d *dialect, q rowQuerier) (int, error) {
	var n int
	if err := q.QueryRowContext(ctx, d.hasSchema).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	err := q.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&n)
	return n, err
}

func tooNew(at, have int) error {
	return duly.Errorf(duly.Refused, "the store's tables are of version %d, this program knows up to %d", at, have).
		WithHint("use the newer program that made them")
}
