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

// steps returns the migrations that this program has, oldest first. Their numbers rise from 0001 and may leave some out:
// each says which one it is, not how many there are.
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
		if err != nil || i == 0 && version != 1 || i > 0 && version <= out[i-1].version {
			return nil, fmt.Errorf("migration %s: want a number of its own, from 0001 on", name)
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
	applied, err := schemaVersions(ctx, db.d, tx)
	if err != nil {
		return false, err
	}
	if at, ok := unknown(applied, all); ok {
		return false, tooNew(at, newest(all))
	}
	next := slices.IndexFunc(all, func(s step) bool { return !slices.Contains(applied, s.version) })
	if next < 0 {
		return true, nil
	}
	todo := all[next].statements()
	if len(applied) == 0 {
		todo = append([]string{"CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)"}, todo...)
	}
	for _, stmt := range todo {
		if _, err := tx.ExecContext(ctx, db.d.ddl.Replace(stmt)); err != nil {
			return false, fmt.Errorf("%s: %w", all[next].name, err)
		}
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES ($1, $2)", all[next].version, all[next].name)
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
	applied, err := schemaVersions(ctx, db.d, db.writer.db)
	switch {
	case err != nil:
		return db.d.explain(fmt.Errorf("read the schema's version: %w", err))
	case len(applied) == 0:
		return duly.Errorf(duly.NotFound, "the database holds no store yet").WithHint("create it with duly migrate")
	}
	if at, ok := unknown(applied, all); ok {
		return tooNew(at, newest(all))
	}
	for _, s := range all {
		if !slices.Contains(applied, s.version) {
			return duly.Errorf(duly.Refused, "the store's tables are of version %d, this program needs %s", slices.Max(applied), s.name).
				WithHint("back the store up, then bring it up to date with duly migrate")
		}
	}
	return nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// schemaVersions returns the migrations applied.
func schemaVersions(ctx context.Context, d *dialect, q querier) ([]int, error) {
	var n int
	if err := q.QueryRowContext(ctx, d.hasSchema).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT version FROM schema_version ORDER BY version")
	if err != nil {
		return nil, err
	}
	var out []int
	err = scanRows(rows, func(r *row) error { out = append(out, r.int()); return nil })
	return out, err
}

// unknown returns the newest migration applied that this program does not have.
func unknown(applied []int, all []step) (int, bool) {
	for _, v := range slices.Backward(applied) {
		if !slices.ContainsFunc(all, func(s step) bool { return s.version == v }) {
			return v, true
		}
	}
	return 0, false
}

func newest(all []step) int { return all[len(all)-1].version }

func tooNew(at, have int) error {
	return duly.Errorf(duly.Refused, "the store's tables are of version %d, this program knows up to %d", at, have).
		WithHint("use the newer program that made them")
}
