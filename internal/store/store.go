// Package store keeps the rows: the loan book, the contacts and their attempts, the inbox of receipts, the audit.
//
// It runs on SQLite and on PostgreSQL from one SQL text. A person's rows live in one bucket, every statement about
// people names its bucket, and nothing refers across buckets. Only [DB.View] and [DB.Update] open transactions; an
// Update holds the rows of the buckets it names, carries its own now, and appends to the audit as it commits:
//
//	err := db.Update(ctx, now, []int{id.Bucket()}, func(tx *store.Tx) error {
//		results, err := tx.Put(facts)
//		…
//	})
//
// Instants are kept in microseconds, days as YYYYMMDD, amounts in minor units, lists and decisions as JSON. Package
// storetest holds what every engine must do, and finds or starts the Postgres that it is tested on.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers "sqlite"

	duly "github.com/dulyhq/duly"
)

// Limits of connections and of waiting.
const (
	readersMax      = 4       // connections that read a SQLite file
	connsMax        = 16      // connections to a Postgres server
	busyTimeoutMS   = 10_000  // how long a writer waits for another process
	statementLimit  = "60s"   // of a Postgres statement
	lockLimit       = "10s"   // of waiting for a Postgres lock
	idleLimit       = "15s"   // of a transaction that does nothing: a paused process must not hold a bucket for long
	leaseLimit      = "4s"    // of a statement about leases
	leaseConnsMax   = 2       // connections for leases alone
	poolMax         = 1000    // what the address of a Postgres may ask for as its pool
	writerCache     = -32_768 // SQLite page cache, negative: KiB
	readerCache     = -8_192  // of each reader: a bucket's pages are next to each other
	walPages        = 4_096   // pages of the write-ahead log after which it is folded back
	connectDeadline = 10 * time.Second
	answerLimit     = 75 * time.Second // longer than statementLimit: the server says best what happened
	endLimit        = 30 * time.Second // of a commit or rollback on Postgres
)

// DB is an open store. It is safe for concurrent use.
type DB struct {
	d      *dialect
	writer *pool
	reader *pool
	leases *sql.DB                // for what must not wait behind the rest; nil on SQLite
	clock  string                 // in place of the engine's, in tests
	wire   func(after bool) error // in tests, called before and after each statement about leases: an error is one of the connection

	partitions int                                   // of each table of people's data, for a store that is yet to be made
	spread     bool                                  // rows lie in several places by their bucket; see spread.go
	trace      func(tx *Tx, text string, args []any) // told of every statement; nil but in tests

	mu    sync.RWMutex
	texts map[textKey]string // SQL text of multi-row statements, by size
}

// Open opens a store that [Create] has made: a "postgres://" address, or the path of a SQLite file. It refuses one whose
// tables are not those of this program, and does not create anything.
func Open(ctx context.Context, dsn string) (*DB, error) {
	if path := strings.TrimSuffix(dsn, Hasty); !isPostgres(dsn) {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, duly.Errorf(duly.NotFound, "there is no store here").At(duly.Place{File: dsn}).
				WithHint("create one with duly migrate, or name the right file")
		}
	}
	db, err := connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	if err = db.checkSchema(ctx); err == nil {
		err = db.learnSpread(ctx)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Create opens a store and makes its tables or brings them up to date. On a store that is up to date it is [Open].
func Create(ctx context.Context, dsn string) (*DB, error) {
	return CreatePartitioned(ctx, dsn, 0)
}

// Close closes the store. It is safe to call twice.
func (db *DB) Close() error {
	if db.leases != nil {
		defer db.leases.Close()
	}
	if db.reader == db.writer {
		return db.writer.close()
	}
	return errors.Join(db.reader.close(), db.writer.close())
}

// Kind returns which engine the store runs on: "sqlite" or "postgres".
func (db *DB) Kind() string { return db.d.name }

// Groups splits buckets into runs that one Update takes well: large where every commit waits for the disk and there is
// one writer anyway, small where several processes write side by side, one by one where their rows lie in several places.
func (db *DB) Groups(buckets []int) [][]int {
	size := db.d.groupMax
	if db.spread {
		size = 1
	}
	var out [][]int
	for len(buckets) > 0 {
		n := min(size, len(buckets))
		out = append(out, buckets[:n:n])
		buckets = buckets[n:]
	}
	return out
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func connect(ctx context.Context, dsn string) (*DB, error) {
	db := &DB{texts: map[textKey]string{}}
	var err error
	if isPostgres(dsn) {
		err = db.connectPostgres(dsn)
	} else {
		err = db.connectSQLite(dsn)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, connectDeadline, errors.New("the store does not answer"))
	defer cancel()
	if err := db.writer.db.PingContext(ctx); err != nil {
		db.Close()
		return nil, unreachable(dsn, err)
	}
	return db, nil
}

// Hasty is put behind a SQLite path for stores that may be lost in a power cut, such as those of demos, trials and tests:
// commits then do not wait for the disk. A crash of the process alone still loses nothing.
const Hasty = "?sync=off"

func (db *DB) connectSQLite(path string) error {
	path, hasty := strings.CutSuffix(path, Hasty)
	if path == "" || strings.Contains(path, ":memory:") {
		return duly.Errorf(duly.Usage, "a store needs a file").WithHint("give a path such as duly.db")
	}
	w, err := sql.Open("sqlite", sqliteDSN(path, false, hasty))
	if err != nil {
		return unreachable(path, err)
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", sqliteDSN(path, true, hasty))
	if err != nil {
		w.Close()
		return unreachable(path, err)
	}
	r.SetMaxOpenConns(readersMax)
	r.SetMaxIdleConns(readersMax)
	db.d, db.writer, db.reader = &sqliteDialect, newPool(w, 1), newPool(r, readersMax)
	return nil
}

// sqliteDSN is the one place that says how a SQLite file is opened. FULL costs a disk flush per commit: a payment that
// was answered must survive a power cut.
func sqliteDSN(path string, readOnly, hasty bool) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	q := url.Values{}
	pragma := func(name string, value any) { q.Add("_pragma", fmt.Sprintf("%s(%v)", name, value)) }
	pragma("busy_timeout", busyTimeoutMS)
	pragma("foreign_keys", 1)
	pragma("temp_store", "MEMORY")
	if readOnly {
		pragma("query_only", 1)
		pragma("cache_size", readerCache)
	} else {
		pragma("journal_mode", "WAL")
		pragma("cache_size", writerCache)
		if hasty {
			pragma("synchronous", "OFF")
		} else {
			pragma("synchronous", "FULL")
		}
		pragma("wal_autocheckpoint", walPages)
		q.Set("_txlock", "immediate")
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String()
}

func (db *DB) connectPostgres(dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// The driver's text may quote the address with its password.
		return duly.Errorf(duly.Usage, "the store's address is not one of Postgres").
			WithHint("write it postgres://user:password@host:port/database")
	}
	conns, err := poolSize(cfg)
	if err != nil {
		return err
	}
	if !strings.Contains(dsn, "connect_timeout") {
		cfg.ConnectTimeout = connectDeadline / 2
	}
	for k, v := range map[string]string{
		"statement_timeout": statementLimit, "lock_timeout": lockLimit, "idle_in_transaction_session_timeout": idleLimit,
		"application_name": "duly", "timezone": "UTC",
	} {
		if _, set := cfg.RuntimeParams[k]; !set {
			cfg.RuntimeParams[k] = v
		}
	}
	p := stdlib.OpenDB(*cfg)
	p.SetMaxOpenConns(conns)
	p.SetMaxIdleConns(conns)
	db.d, db.writer = &postgresDialect, newPool(p, 0)
	db.reader = db.writer
	own := cfg.Copy()
	own.RuntimeParams["statement_timeout"], own.RuntimeParams["lock_timeout"] = leaseLimit, leaseLimit
	db.leases = stdlib.OpenDB(*own)
	db.leases.SetMaxOpenConns(leaseConnsMax)
	return nil
}

// poolSize takes "pool" out of a Postgres address: how many connections are open at one time.
func poolSize(cfg *pgx.ConnConfig) (int, error) {
	text, set := cfg.RuntimeParams["pool"]
	if !set {
		return min(connsMax, 4+2*runtime.NumCPU()), nil
	}
	delete(cfg.RuntimeParams, "pool")
	n, err := strconv.Atoi(text)
	if err != nil || n < 2 || n > poolMax {
		return 0, duly.Errorf(duly.Usage, "the pool of the store's address is not from 2 to %d", poolMax).WithHint("write it postgres://…/database?pool=20")
	}
	return n, nil
}

func unreachable(dsn string, err error) error {
	why, code := cause(err)
	e := duly.Errorf(code, "the store does not open: %s", why)
	if isPostgres(dsn) {
		return e.WithHint("is the server up, and may this user connect to the database?")
	}
	return e.At(duly.Place{File: dsn}).WithHint("may this user read and write the file and its folder, and is it a store?")
}
