package store

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store/migration"
)

// A backup is one moment of a store, taken while it is worked on. Of SQLite it is a SQLite file, which is a store itself and
// already held; of Postgres it is a zip file with each table as COPY writes it, read in one snapshot.

// manifestName is the first file of a backup of Postgres.
const manifestName = "duly-backup.json"

// backupManifest says what a backup of Postgres holds.
type backupManifest struct {
	ID         string        `json:"id"`
	TakenAt    time.Time     `json:"taken_at"`
	Versions   []int         `json:"versions"` // migrations that its tables have
	Partitions int           `json:"partitions"`
	Tables     []backupTable `json:"tables"`
}

type backupTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// Backup writes one moment of the store, which may be worked on meanwhile, into a file that is not there yet. What is restored
// from it is held.
func (db *DB) Backup(ctx context.Context, path, id string, now time.Time) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return duly.Errorf(duly.Conflict, "there is a file of this name already").At(duly.Place{File: path}).WithHint("a backup never overwrites one: name another")
	}
	part := path + ".part"
	os.Remove(part)
	r := Restoration{ID: id, TakenAt: now.UTC().Truncate(time.Microsecond)}
	err := db.backupSQLite(ctx, part, &r)
	if db.d == &postgresDialect {
		err = db.backupPostgres(ctx, part, &r)
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err == nil {
		return syncFolder(path)
	}
	os.Remove(part)
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return duly.Errorf(duly.Unavailable, "the backup cannot be written: %v", p.Err).At(duly.Place{File: path}).WithHint("is there space, and may this user write there?")
	}
	return db.d.explain(fmt.Errorf("back up: %w", err))
}

// syncFolder has the name of a file survive a power cut.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (db *DB) backupSQLite(ctx context.Context, part string, r *Restoration) error {
	if db.d == &postgresDialect {
		return nil
	}
	if _, err := db.writer.db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return err
	}
	return markCopy(ctx, part, r)
}

// markCopy marks a SQLite file as a copy, and leaves nothing beside it.
func markCopy(ctx context.Context, path string, r *Restoration) error {
	c, err := Open(ctx, path)
	if err != nil {
		return err
	}
	err = c.Update(ctx, r.TakenAt, nil, func(tx *Tx) error {
		for _, text := range nobodyWorks {
			if _, err := tx.exec(text); err != nil {
				return err
			}
		}
		return tx.PutRestoration(r)
	})
	if err == nil {
		_, err = c.writer.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	err = errors.Join(err, c.Close())
	for _, beside := range []string{"-wal", "-shm"} {
		os.Remove(path + beside)
	}
	return err
}

// nobodyWorks are the statements that take the nodes out of a copy: they work on the store that it is of.
var nobodyWorks = []string{"DELETE FROM node", "UPDATE bucket_lease SET owner = '', epoch = epoch + 1"}

// rawPostgres runs fn on a connection of its own, without the limits of the daily work.
func (db *DB) rawPostgres(ctx context.Context, fn func(pg *rawPG) error) error {
	c, err := db.writer.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Raw(func(driver any) error {
		pg := &rawPG{driver.(*stdlib.Conn)}
		err := pg.exec(ctx, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
		if err == nil {
			err = fn(pg)
		}
		if err != nil {
			return errors.Join(err, pg.exec(context.WithoutCancel(ctx), "ROLLBACK; RESET ALL"))
		}
		return pg.exec(ctx, "RESET ALL")
	})
}

// rawPG is a Postgres connection spoken to by bare texts.
type rawPG struct{ c *stdlib.Conn }

func (p *rawPG) exec(ctx context.Context, text string) error {
	_, err := p.c.Conn().PgConn().Exec(ctx, text).ReadAll()
	return err
}

// texts returns the first column of a query's rows.
func (p *rawPG) texts(ctx context.Context, query string, args ...any) (out []string, err error) {
	rows, err := p.c.Conn().Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// whole is what a table's rows are read and written by.
func (t *backupTable) list() string { return strings.Join(t.Columns, ", ") }

func (db *DB) backupPostgres(ctx context.Context, part string, r *Restoration) (err error) {
	m := backupManifest{ID: r.ID, TakenAt: r.TakenAt}
	if m.Versions, err = schemaVersions(ctx, db.d, db.writer.db); err != nil {
		return err
	}
	if m.Partitions, err = db.partitionCount(ctx, db.writer.db); err != nil {
		return err
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	z := zip.NewWriter(f)
	err = db.rawPostgres(ctx, func(pg *rawPG) error {
		if err := pg.exec(ctx, db.d.beginView); err != nil {
			return err
		}
		if err := pg.describe(ctx, &m); err != nil {
			return err
		}
		if err := writeManifest(z, &m); err != nil {
			return err
		}
		for i := range m.Tables {
			t := &m.Tables[i]
			w, err := z.Create(t.Name)
			if err != nil {
				return err
			}
			if _, err := pg.c.Conn().PgConn().CopyTo(ctx, w, "COPY (SELECT "+t.list()+" FROM "+t.Name+") TO STDOUT"); err != nil {
				return fmt.Errorf("copy %s: %w", t.Name, err)
			}
		}
		return pg.exec(ctx, "COMMIT")
	})
	if err == nil {
		err = errors.Join(z.Close(), f.Sync())
	}
	return errors.Join(err, f.Close())
}

// describe lists the tables and their columns.
func (p *rawPG) describe(ctx context.Context, m *backupManifest) error {
	names, err := p.texts(ctx, "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = current_schema()::regnamespace "+
		"AND relname <> 'schema_version' ORDER BY relname")
	if err != nil {
		return err
	}
	for _, name := range names {
		columns, err := p.texts(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum", name)
		if err != nil {
			return err
		}
		m.Tables = append(m.Tables, backupTable{name, columns})
	}
	return nil
}

func writeManifest(z *zip.Writer, m *backupManifest) error {
	w, err := z.Create(manifestName)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(m)
}

// Restore makes a store of a backup, where there is none yet, and holds it: nothing is sent until a person releases it.
func Restore(ctx context.Context, path, dsn string, now time.Time) (Restoration, error) {
	head := make([]byte, 16)
	f, err := os.Open(path)
	if err != nil {
		return Restoration{}, duly.Errorf(duly.NotFound, "the backup cannot be read").At(duly.Place{File: path})
	}
	_, err = io.ReadFull(f, head)
	f.Close()
	isZip, isLite := strings.HasPrefix(string(head), "PK\x03\x04"), string(head) == "SQLite format 3\x00"
	switch {
	case err != nil || !isZip && !isLite:
		return Restoration{}, duly.Errorf(duly.Invalid, "this is no backup of Duly's").At(duly.Place{File: path}).WithHint("`duly backup` makes one")
	case isZip != isPostgres(dsn):
		return Restoration{}, duly.Errorf(duly.Usage, "a backup is restored into the kind of store that it is of").At(duly.Place{File: path}).
			WithHint("one of SQLite begins with \"SQLite format 3\", one of Postgres is a zip file")
	case isZip:
		return restorePostgres(ctx, path, dsn, now)
	}
	return restoreSQLite(ctx, path, strings.TrimSuffix(dsn, Hasty), now)
}

func restoreSQLite(ctx context.Context, path, to string, now time.Time) (Restoration, error) {
	for _, name := range []string{to, to + "-wal"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return Restoration{}, notEmpty().At(duly.Place{File: name})
		}
	}
	part := to + ".part"
	if err := copyFile(path, part); err != nil {
		os.Remove(part)
		return Restoration{}, duly.Errorf(duly.Unavailable, "the store cannot be written").At(duly.Place{File: to}).WithHint("is there space, and may this user write there?")
	}
	db, err := Create(ctx, part) // brings it up to date too
	if err != nil {
		os.Remove(part)
		return Restoration{}, err
	}
	r, err := db.restored(ctx, now)
	err = errors.Join(err, db.Close())
	for _, beside := range []string{"-wal", "-shm"} {
		os.Remove(part + beside) // closing has folded them back
	}
	if err == nil {
		if err = os.Rename(part, to); err == nil {
			err = syncFolder(to)
		}
	}
	if err != nil {
		os.Remove(part)
	}
	return r, err
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

func notEmpty() *duly.Error {
	return duly.Errorf(duly.Conflict, "there is a store already where the backup is to go").WithHint("move it away, or name an empty place with --store: a restore overwrites nothing")
}

// restored marks the copy as restored at an instant. A store without any mark is held too: who calls says that it is a copy.
func (db *DB) restored(ctx context.Context, now time.Time) (Restoration, error) {
	var out Restoration
	err := db.Update(ctx, now, nil, func(tx *Tx) error {
		all, err := tx.Restorations()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r Restoration) bool { return r.Held() })
		if i < 0 {
			return errors.New("a backup that is not marked as one")
		}
		out = all[i]
		out.RestoredAt = tx.now
		return tx.PutRestoration(&out)
	})
	return out, err
}

func restorePostgres(ctx context.Context, path, dsn string, now time.Time) (Restoration, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return Restoration{}, damaged(path)
	}
	defer z.Close()
	var m backupManifest
	if err := readManifest(&z.Reader, &m); err != nil {
		return Restoration{}, damaged(path)
	}
	db, err := connect(ctx, dsn)
	if err != nil {
		return Restoration{}, err
	}
	defer db.Close()
	applied, err := schemaVersions(ctx, db.d, db.writer.db)
	if err != nil {
		return Restoration{}, db.d.explain(err)
	}
	if len(applied) > 0 {
		return Restoration{}, notEmpty()
	}
	all, err := steps(migration.Files)
	if err != nil {
		return Restoration{}, err
	}
	if unknown := beyond(m.Versions, all); unknown > 0 {
		return Restoration{}, tooNew(unknown, newest(all))
	}
	had := slices.DeleteFunc(slices.Clone(all), func(s step) bool { return !slices.Contains(m.Versions, s.version) })
	db.partitions = m.Partitions
	r := Restoration{ID: m.ID, TakenAt: m.TakenAt, RestoredAt: now.UTC().Truncate(time.Microsecond)}
	if err := db.fill(ctx, had, &z.Reader, &m, &r); err != nil {
		return r, db.d.explain(fmt.Errorf("restore: %w", err))
	}
	return r, db.migrate(ctx, all)
}

// fill makes the tables that a backup had and copies its rows into them, whole and held, or not at all.
func (db *DB) fill(ctx context.Context, had []step, z *zip.Reader, m *backupManifest, r *Restoration) error {
	if err := db.migrate(ctx, had); err != nil {
		return err
	}
	return db.rawPostgres(ctx, func(pg *rawPG) error {
		if err := pg.exec(ctx, "BEGIN"); err != nil {
			return err
		}
		for i := range m.Tables {
			t := &m.Tables[i]
			f, err := z.Open(t.Name)
			if err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			err = pg.exec(ctx, "DELETE FROM "+t.Name) // what a migration put there
			if err == nil {
				_, err = pg.c.Conn().PgConn().CopyFrom(ctx, f, "COPY "+t.Name+" ("+t.list()+") FROM STDIN")
			}
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
		}
		if err := pg.exec(ctx, strings.Join(nobodyWorks, "; ")); err != nil {
			return err
		}
		_, err := pg.c.Conn().Exec(ctx, "INSERT INTO restoration (id, taken_at, restored_at, released_at, through, unknown) VALUES ($1, $2, $3, 0, 0, '')",
			r.ID, micros(r.TakenAt), micros(r.RestoredAt))
		if err != nil {
			return err
		}
		return pg.exec(ctx, "COMMIT")
	})
}

func damaged(path string) error {
	return duly.Errorf(duly.Invalid, "the backup is damaged, or is not one of Duly's").At(duly.Place{File: path}).WithHint("take another one")
}

func readManifest(z *zip.Reader, m *backupManifest) error {
	f, err := z.Open(manifestName)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(f).Decode(m)
}
