package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	duly "github.com/dulyhq/duly"
	"zombiezen.com/go/sqlite"
)

// Hasty is put behind a SQLite path for stores that may be lost in a power cut, such as those of demos, trials and tests:
// commits then do not wait for the disk. A crash of the process alone still loses nothing.
const Hasty = "?sync=off"

// Lone is [Hasty] for stores that one goroutine of a process uses, such as those of simulations: reading and writing share one
// connection, which has its pages at hand. A transaction in another one waits for ever.
const Lone = Hasty + "&lone"

func (db *DB) connectSQLite(path string) error {
	path, lone := strings.CutSuffix(path, Lone)
	path, hasty := strings.CutSuffix(path, Hasty)
	hasty = hasty || lone
	if path == "" || strings.Contains(path, ":memory:") {
		return duly.Errorf(duly.Usage, "a store needs a file").WithHint("give a path such as duly.db")
	}
	schema, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return unreachable(path, err)
	}
	schema.SetMaxOpenConns(1)
	schema.SetMaxIdleConns(0) // it is used at the start alone
	connect := func(readOnly bool) func(context.Context) (conn, error) {
		return func(context.Context) (conn, error) {
			pragmas := sqlitePragmas(readOnly, hasty)
			if n := db.pages.Load(); n > 0 {
				pragmas = append(pragmas, pageLimit(n))
			}
			return newLiteConn(path, pragmas, hasty || readOnly)
		}
	}
	db.d, db.writer = &sqliteDialect, newPool(schema, 1, connect(false))
	if db.reader = db.writer; !lone {
		db.reader = newPool(schema, readersMax, connect(true))
	}
	return nil
}

// sqliteDSN is the file for migrations.
func sqliteDSN(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeoutMS))
	q.Add("_pragma", "journal_mode(WAL)")
	q.Set("_txlock", "immediate")
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String()
}

// sqlitePragmas is the one place that says how a SQLite file is used. FULL costs a disk flush per commit: a payment that
// was answered must survive a power cut.
func sqlitePragmas(readOnly, hasty bool) []string {
	common := []string{fmt.Sprintf("busy_timeout = %d", busyTimeoutMS), "foreign_keys = 1", "temp_store = MEMORY"}
	if readOnly {
		return append(common, "query_only = 1", fmt.Sprintf("cache_size = %d", readerCache))
	}
	synchronous := "FULL"
	if hasty {
		synchronous = "OFF"
	}
	return append(common, "journal_mode = WAL", "synchronous = "+synchronous, fmt.Sprintf("cache_size = %d", writerCache),
		fmt.Sprintf("wal_autocheckpoint = %d", walPages))
}

// LimitPages has a SQLite file grow to so many pages and no further, as on a disk that is full; one that is larger stays as it
// is. It is for trials of what happens then, and ends with the process; 0 lifts it.
func (db *DB) LimitPages(ctx context.Context, pages int64) error {
	if db.d != &sqliteDialect {
		return duly.Errorf(duly.Usage, "only a SQLite store can be kept from growing")
	}
	if pages <= 0 {
		pages = sqlitePagesMax
	}
	db.pages.Store(pages)
	return db.Update(ctx, time.Time{}, nil, func(tx *Tx) error { return tx.query(func(*row) error { return nil }, "PRAGMA "+pageLimit(pages)) })
}

// sqlitePagesMax is SQLite's own limit.
const sqlitePagesMax = 4_294_967_294

func pageLimit(pages int64) string { return fmt.Sprintf("max_page_count = %d", pages) }

// liteConn is a connection to a SQLite file. Statements are prepared once, and run a row at a time: in an engine that is
// part of the process, a statement of many rows only takes longer to read.
type liteConn struct {
	c     *sqlite.Conn
	stmts map[string]*liteStmt
	texts map[*batch]string
	hasty bool
	part  bool // commits do not wait for the disk, until the next that does
}

type liteStmt struct {
	*sqlite.Stmt
	params int
	row    row
	buf    []byte
}

func newLiteConn(path string, pragmas []string, hasty bool) (*liteConn, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, err
	}
	l := &liteConn{c: c, stmts: map[string]*liteStmt{}, texts: map[*batch]string{}, hasty: hasty}
	for _, p := range pragmas {
		if _, err := l.exec(context.Background(), "PRAGMA "+p, nil); err != nil {
			l.close(true)
			return nil, err
		}
	}
	return l, nil
}

// prepare returns the statement of a text. Cancellation is looked at between statements, which are short.
func (l *liteConn) prepare(ctx context.Context, text string) (*liteStmt, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if st := l.stmts[text]; st != nil {
		return st, nil
	}
	p, _, err := l.c.PrepareTransient(sqliteDialect.words.Replace(text))
	if err != nil {
		return nil, err
	}
	st := &liteStmt{Stmt: p, params: p.BindParamCount()}
	st.row.columns = st
	l.stmts[text] = st
	return st, nil
}

// bind gives a statement its values. Those that a statement of several engines does not need here are left out.
func (st *liteStmt) bind(args []any) error {
	for i, a := range args[:min(len(args), st.params)] {
		if err := st.bindOne(i+1, a); err != nil {
			return err
		}
	}
	return nil
}

func (st *liteStmt) bindOne(i int, a any) error {
	switch v := a.(type) {
	case int64:
		st.BindInt64(i, v)
	case string:
		st.BindText(i, v)
	case nil:
		st.BindNull(i)
	default:
		return fmt.Errorf("value %d is of type %T", i, a)
	}
	return nil
}

// begin opens a transaction. What was committed as a part is behind it in the log, and lasts as soon as what comes after.
func (l *liteConn) begin(ctx context.Context, text string, part bool) error {
	if part != l.part && !l.hasty {
		level := "FULL"
		if part {
			level = "NORMAL"
		}
		st, _, err := l.c.PrepareTransient("PRAGMA synchronous = " + level) // acts as it is prepared, so it is not kept
		if err != nil {
			return err
		}
		if _, err := l.run(&liteStmt{Stmt: st}); err != nil {
			return err
		}
		if err := st.Finalize(); err != nil {
			return err
		}
		l.part = part
	}
	_, err := l.exec(ctx, text, nil)
	return err
}

func (l *liteConn) exec(ctx context.Context, text string, args []any) (int64, error) {
	st, err := l.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	if err := st.bind(args); err != nil {
		return 0, err
	}
	return l.run(st)
}

// run runs a statement to its end.
func (l *liteConn) run(st *liteStmt) (int64, error) {
	for {
		more, err := st.Step()
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
	}
	return int64(l.c.Changes()), st.Reset()
}

func (l *liteConn) query(ctx context.Context, text string, args []any, scan func(*row) error) error {
	st, err := l.prepare(ctx, text)
	if err != nil {
		return err
	}
	defer st.Reset()
	if err := st.bind(args); err != nil {
		return err
	}
	st.row.err = nil
	for {
		more, err := st.Step()
		if err != nil || !more {
			return err
		}
		if err := st.row.read(scan); err != nil {
			return err
		}
	}
}

func (l *liteConn) queries(ctx context.Context, asks []ask) error {
	for _, a := range asks {
		if err := l.query(ctx, a.text, a.args, a.scan); err != nil {
			return err
		}
	}
	return nil
}

func (l *liteConn) rows(ctx context.Context, b *batch, args []any) (int64, error) {
	text, ok := l.texts[b]
	if !ok {
		text = b.ofOneRow()
		l.texts[b] = text
	}
	st, err := l.prepare(ctx, text)
	if err != nil {
		return 0, err
	}
	var total int64
	for i := 0; i < len(args); i += b.cols {
		for c := range b.cols {
			if i > 0 && args[i+c] == args[i+c-b.cols] { // still bound since the row before
				continue
			}
			if err := st.bindOne(c+1, args[i+c]); err != nil {
				return total, err
			}
		}
		n, err := l.run(st)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

var rowColumn = regexp.MustCompile(`\bv\.column(\d+)\b`)

// ofOneRow is the text of the statement for one row: what an UPDATE or DELETE takes from table v are its parameters.
func (b *batch) ofOneRow() string {
	for _, join := range []string{" FROM (", " USING ("} {
		if head, ok := strings.CutSuffix(b.head, join); ok {
			return rowColumn.ReplaceAllString(head+strings.TrimPrefix(b.tail, ") AS v"), "$$$1")
		}
	}
	return b.head + "VALUES (?" + strings.Repeat(", ?", b.cols-1) + ")" + b.tail
}

func (l *liteConn) close(bool) {
	for _, st := range l.stmts {
		st.Finalize()
	}
	l.c.Close()
}

func (st *liteStmt) number(i int) (int64, bool) {
	return st.ColumnInt64(i), st.ColumnType(i) == sqlite.TypeInteger
}

func (st *liteStmt) bytes(i int) ([]byte, bool) {
	if st.ColumnType(i) != sqlite.TypeText {
		return nil, false
	}
	n := st.ColumnLen(i)
	if n > len(st.buf) {
		st.buf = make([]byte, max(n, 256))
	}
	return st.buf[:st.ColumnBytes(i, st.buf[:n])], true
}

func (st *liteStmt) kind(i int) string { return st.ColumnType(i).String() }
