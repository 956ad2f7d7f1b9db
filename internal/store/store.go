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
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers "sqlite", for migrations

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
	writerCache     = -16_384 // SQLite page cache, negative: KiB; an import goes through each table once a chunk, so more gains nothing
	readerCache     = -8_192  // of each reader: a bucket's pages are next to each other
	walPages        = 4_096   // pages of the write-ahead log after which it is folded back
	connectDeadline = 10 * time.Second
	answerLimit     = 75 * time.Second // longer than statementLimit: the server says best what happened
	endLimit        = 30 * time.Second // of a commit or rollback on Postgres
	byeLimit        = time.Second      // of taking leave of a Postgres server on a broken connection
)

// DB is an open store. It is safe for concurrent use.
type DB struct {
	d      *dialect
	writer *pool
	reader *pool
	leases *pool                  // for what must not wait behind the rest; nil on SQLite
	clock  string                 // in place of the engine's, in tests
	wire   func(after bool) error // in tests, called before and after each statement about leases: an error is one of the connection

	migrateTries int // of a migration that others keep from its locks

	partitions int                                   // of each table of people's data, for a store that is yet to be made
	spread     bool                                  // rows lie in several places by their bucket; see spread.go
	trace      func(tx *Tx, text string, args []any) // told of every statement; nil but in tests
	hooks      *Hooks                                // nil but in simulations

	pages atomic.Int64 // of a SQLite file that must not grow; see LimitPages
	texts sync.Map     // statements that are made of others; see made
}

// Open opens a store that [Create] has made: a "postgres://" address, or the path of a SQLite file. It refuses one whose
// tables are not those of this program, and does not create anything.
func Open(ctx context.Context, dsn string) (*DB, error) {
	if path, _, _ := strings.Cut(dsn, Hasty); !isPostgres(dsn) {
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
		defer db.leases.close()
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
	db := &DB{migrateTries: migrateTries}
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
	if err := db.reach(ctx); err != nil {
		db.Close()
		return nil, unreachable(dsn, err)
	}
	return db, nil
}

// reach finds out whether the store is there, by a connection that is kept for later.
func (db *DB) reach(ctx context.Context) error {
	if db.d != &sqliteDialect {
		return db.writer.db.PingContext(ctx)
	}
	s, err := db.reader.begin(ctx, db.d.beginView, false)
	if err == nil {
		db.reader.rollback(s)
	}
	return err
}

func unreachable(dsn string, err error) error {
	why, code := cause(err)
	e := duly.Errorf(code, "the store does not open: %s", why)
	if isPostgres(dsn) {
		return e.WithHint("is the server up, and may this user connect to the database?")
	}
	return e.At(duly.Place{File: dsn}).WithHint("may this user read and write the file and its folder, and is it a store?")
}
