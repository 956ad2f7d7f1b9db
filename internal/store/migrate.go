package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/fault"
	"github.com/dulyhq/duly/internal/store/migration"
)

// step is one migration file.
type step struct {
	version int
	name    string
	text    string
}

// steps returns the migrations that this program has, oldest first. Their numbers go up; some may be missing, where two
// were written side by side and one was dropped or is yet to come.
func steps(files fs.FS) ([]step, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []step
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		switch {
		case err != nil || version < 1 || len(number) != 4:
			return nil, fmt.Errorf("migration %s: its name does not begin with a number of four digits", name)
		case len(out) == 0 && version != 1, len(out) > 0 && version == out[len(out)-1].version:
			return nil, fmt.Errorf("migration %s: the first is 0001, and no number is given twice", name)
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

// A migration waits for a lock no longer than migrateLock, for whoever comes after it waits behind it; then it lets go of
// everything and tries again, migrateTries times with pauses between: some two minutes.
const (
	migrateLock     = "1s"
	migrateTries    = 60
	migratePauseMax = time.Second
)

func (db *DB) migrate(ctx context.Context, all []step) error {
	for try := 1; ; try++ {
		done, err := db.migrateOne(ctx, all)
		switch {
		case err == nil && done:
			return nil
		case err == nil:
			try = 0
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !db.d.again(err):
			return db.d.explain(fmt.Errorf("migrate: %w", err))
		case try >= db.migrateTries:
			return errors.Join(duly.Errorf(duly.Unavailable, "other transactions hold the tables that are to be changed, and nothing was changed").
				WithHint("run it again when they are over; pg_stat_activity shows the long ones"), err)
		default:
			if err := rest(ctx, min(migratePauseMax, time.Duration(try)*100*time.Millisecond)); err != nil {
				return err
			}
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
	if unknown := beyond(applied, all); unknown > 0 {
		return false, tooNew(unknown, newest(all))
	}
	next := missing(applied, all)
	if next == nil {
		return true, nil
	}
	partitions := db.partitions
	if len(applied) > 0 {
		if partitions, err = db.partitionCount(ctx, tx); err != nil {
			return false, err
		}
	}
	todo := next.statements()
	if len(applied) == 0 {
		todo = append([]string{"CREATE TABLE schema_version (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)"}, todo...)
	}
	for _, stmt := range todo {
		if db.d.partitions == "" && isSetting(stmt) {
			continue
		}
		for _, s := range inPartitions(db.d.ddl.Replace(stmt), partitions, cutTables(all)) {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return false, fmt.Errorf("%s: %w", next.name, err)
			}
		}
	}
	if next.name == addressMigration {
		if err := fillAddresses(ctx, tx); err != nil {
			return false, fmt.Errorf("%s: %w", next.name, err)
		}
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES ($1, $2)", next.version, next.name)
	if err != nil {
		return false, err
	}
	fault.At(fault.MigrateUncommitted)
	return false, tx.Commit()
}

// addressMigration adds the digest of addresses, which no engine can work out by itself.
const addressMigration = "0018_hearing.sql"

// fillAddresses works out the digests of the addresses that are there, a bucket at a time.
func fillAddresses(ctx context.Context, tx *sql.Tx) error {
	put, err := tx.PrepareContext(ctx, "UPDATE contact_point SET address = $1 WHERE bucket = $2 AND borrower_id = $3 AND id = $4")
	if err != nil {
		return err
	}
	defer put.Close()
	for bucket := range bucketsMax {
		points, err := addressesIn(ctx, tx, bucket)
		if err != nil {
			return err
		}
		for i := range points {
			p := &points[i]
			if _, err := put.ExecContext(ctx, addressOf(p.Kind, p.Value), bucket, string(p.BorrowerID), string(p.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// addressesIn reads the contact points of a bucket whose digest is not worked out, whole: nothing is written while they are read.
func addressesIn(ctx context.Context, tx *sql.Tx, bucket int) ([]duly.ContactPoint, error) {
	rows, err := tx.QueryContext(ctx, "SELECT borrower_id, id, kind, value FROM contact_point WHERE bucket = $1 AND address = 0", bucket)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []duly.ContactPoint
	for rows.Next() {
		var p duly.ContactPoint
		if err := rows.Scan(&p.BorrowerID, &p.ID, &p.Kind, &p.Value); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// missing returns the first migration that was not applied, or nil.
func missing(applied []int, all []step) *step {
	for i := range all {
		if !slices.Contains(applied, all[i].version) {
			return &all[i]
		}
	}
	return nil
}

// beyond returns a migration that was applied and is none of this program's, or 0.
func beyond(applied []int, all []step) int {
	for _, v := range applied {
		if !slices.ContainsFunc(all, func(s step) bool { return s.version == v }) {
			return v
		}
	}
	return 0
}

func newest(all []step) int { return all[len(all)-1].version }

// checkSchema refuses tables that are not those of this program.
func (db *DB) checkSchema(ctx context.Context) error {
	all, err := steps(migration.Files)
	if err != nil {
		return err
	}
	var applied []int
	if err := db.View(ctx, func(tx *Tx) error { applied, err = tx.schemaVersions(); return err }); err != nil {
		return db.d.explain(fmt.Errorf("read the schema's version: %w", err))
	}
	if len(applied) == 0 {
		return duly.Errorf(duly.NotFound, "the database holds no store yet").WithHint("create it with duly migrate")
	}
	if unknown := beyond(applied, all); unknown > 0 {
		return tooNew(unknown, newest(all))
	}
	if next := missing(applied, all); next != nil {
		return duly.Errorf(duly.Refused, "the store's tables are of version %d, this program needs %d and migration %04d is missing",
			slices.Max(applied), newest(all), next.version).WithHint("back the store up, then bring it up to date with duly migrate")
	}
	return nil
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// schemaVersions returns the migrations that were applied, oldest first; none where there are no tables.
func schemaVersions(ctx context.Context, d *dialect, q rowQuerier) ([]int, error) {
	var n int
	if err := q.QueryRowContext(ctx, d.hasSchema).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT version FROM schema_version ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// schemaVersions is the same by the store's own connection: that of migrations is made anew each time.
func (tx *Tx) schemaVersions() (out []int, err error) {
	n := 0
	if err := tx.query(func(r *row) error { n = r.int(); return nil }, tx.db.d.hasSchema); err != nil || n == 0 {
		return nil, err
	}
	err = tx.query(func(r *row) error { out = append(out, r.int()); return nil }, "SELECT version FROM schema_version ORDER BY version")
	return out, err
}

func tooNew(at, have int) error {
	return duly.Errorf(duly.Refused, "the store's tables are of version %d, this program knows up to %d", at, have).
		WithHint("use the newer program that made them")
}
