package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	duly "github.com/dulyhq/duly"
)

// copyMin is from how many rows on an INSERT is a COPY, which takes a round trip more and half the server's time.
const copyMin = 128

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
		// A person's rows are few and found by key; the server's defaults are for disks that turn.
		"random_page_cost": "1.1", "jit": "off",
	} {
		if _, set := cfg.RuntimeParams[k]; !set {
			cfg.RuntimeParams[k] = v
		}
	}
	db.d, db.writer = &postgresDialect, db.pgPool(cfg, conns)
	db.reader = db.writer
	own := cfg.Copy()
	own.RuntimeParams["statement_timeout"], own.RuntimeParams["lock_timeout"] = leaseLimit, leaseLimit
	db.leases = db.pgPool(own, leaseConnsMax)
	return nil
}

func (db *DB) pgPool(cfg *pgx.ConnConfig, conns int) *pool {
	p := stdlib.OpenDB(*cfg)
	p.SetMaxOpenConns(conns)
	p.SetMaxIdleConns(conns)
	return newPool(p, 0, func(ctx context.Context) (conn, error) {
		c, err := p.Conn(ctx)
		if err != nil {
			return nil, err
		}
		pc := &pgConn{held: c, db: db}
		err = c.Raw(func(driver any) error { pc.c = driver.(*stdlib.Conn).Conn(); return nil })
		if err != nil {
			c.Close()
			return nil, err
		}
		return pc, nil
	})
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

// pgConn is a connection to a Postgres server, held in the pool of database/sql and spoken to by the driver. The driver
// keeps the statements prepared.
type pgConn struct {
	held *sql.Conn
	c    *pgx.Conn
	db   *DB
}

// bounded is the context for one round trip: a server that has vanished says nothing, not even that it took too long. The
// driver gives a connection up that did not answer in time.
func (p *pgConn) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, p.db.d.limit, errNoAnswer)
}

// say puts a text into the words of Postgres.
func (p *pgConn) say(text string) string {
	return p.db.made(text, func() string { return p.db.d.words.Replace(text) })
}

func (p *pgConn) begin(ctx context.Context, text string, part bool) error {
	_, err := p.exec(ctx, text, nil)
	if err == nil && part {
		_, err = p.exec(ctx, "SET LOCAL synchronous_commit = off", nil)
	}
	return err
}

func (p *pgConn) exec(ctx context.Context, text string, args []any) (int64, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	tag, err := p.c.Exec(ctx, p.say(text), args...)
	return tag.RowsAffected(), err
}

func (p *pgConn) query(ctx context.Context, text string, args []any, scan func(*row) error) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	rows, err := p.c.Query(ctx, p.say(text), args...)
	if err != nil {
		return err
	}
	return scanPG(rows, scan)
}

func (p *pgConn) queries(ctx context.Context, asks []ask) error {
	if len(asks) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	for _, a := range asks {
		b.Queue(p.say(a.text), a.args...)
	}
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	res := p.c.SendBatch(ctx, b)
	for _, a := range asks {
		rows, err := res.Query()
		if err == nil {
			err = scanPG(rows, a.scan)
		}
		if err != nil {
			res.Close()
			return err
		}
	}
	return res.Close()
}

// rows runs b by columns. Many new rows of a table that asks for nothing else are copied into it.
func (p *pgConn) rows(ctx context.Context, b *batch, args []any) (int64, error) {
	if b.table != "" && len(args) >= copyMin*b.cols {
		ctx, cancel := p.bounded(ctx)
		defer cancel()
		return p.c.CopyFrom(ctx, pgx.Identifier{b.table}, b.names,
			pgx.CopyFromSlice(len(args)/b.cols, func(i int) ([]any, error) { return args[i*b.cols : (i+1)*b.cols], nil }))
	}
	return p.db.rowsByColumn(b, args, func(text string, columns []any) (int64, error) { return p.exec(ctx, text, columns) })
}

func (p *pgConn) close(broken bool) {
	if broken { // whom it is told may be gone
		ctx, cancel := context.WithTimeout(context.Background(), byeLimit)
		defer cancel()
		p.c.Close(ctx)
	}
	p.held.Close()
}

// pgRow is the row that a result is at, as it came from the server.
type pgRow struct {
	rows   pgx.Rows
	fields []pgconn.FieldDescription
	vals   [][]byte
}

// scanPG reads all rows and closes the cursor.
func scanPG(rows pgx.Rows, scan func(*row) error) error {
	defer rows.Close()
	p := &pgRow{rows: rows}
	r := &row{columns: p}
	for rows.Next() {
		p.fields, p.vals = rows.FieldDescriptions(), rows.RawValues()
		if err := r.read(scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (p *pgRow) number(i int) (int64, bool) {
	v := p.vals[i]
	if v == nil {
		return 0, false
	}
	if p.fields[i].Format == pgtype.TextFormatCode {
		n, err := strconv.ParseInt(string(v), 10, 64)
		return n, err == nil
	}
	switch {
	case p.fields[i].DataTypeOID == pgtype.Int8OID && len(v) == 8:
		return int64(binary.BigEndian.Uint64(v)), true
	case p.fields[i].DataTypeOID == pgtype.Int4OID && len(v) == 4:
		return int64(int32(binary.BigEndian.Uint32(v))), true
	case p.fields[i].DataTypeOID == pgtype.Int2OID && len(v) == 2:
		return int64(int16(binary.BigEndian.Uint16(v))), true
	}
	return 0, false
}

func (p *pgRow) bytes(i int) ([]byte, bool) {
	switch p.fields[i].DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.NameOID:
		return p.vals[i], p.vals[i] != nil
	}
	return nil, false
}

func (p *pgRow) kind(i int) string {
	if p.vals[i] == nil {
		return "null"
	}
	return fmt.Sprintf("of type %d", p.fields[i].DataTypeOID)
}
