package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"

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
	conns := min(connsMax, 4+2*runtime.NumCPU())
	p := stdlib.OpenDB(*cfg)
	p.SetMaxOpenConns(conns)
	p.SetMaxIdleConns(conns)
	said := &sync.Map{}
	db.d = &postgresDialect
	db.writer = newPool(p, 0, func(ctx context.Context) (conn, error) {
		c, err := p.Conn(ctx)
		if err != nil {
			return nil, err
		}
		pc := &pgConn{held: c, said: said}
		err = c.Raw(func(driver any) error { pc.c = driver.(*stdlib.Conn).Conn(); return nil })
		if err != nil {
			c.Close()
			return nil, err
		}
		return pc, nil
	})
	db.reader = db.writer
	return nil
}

// pgConn is a connection to a Postgres server, held in the pool of database/sql and spoken to by the driver. The driver
// keeps the statements prepared.
type pgConn struct {
	held *sql.Conn
	c    *pgx.Conn
	said *sync.Map // texts in the words of Postgres, by text or *batch
}

// say puts a text into the words of Postgres.
func (p *pgConn) say(text string) string {
	if s, ok := p.said.Load(text); ok {
		return s.(string)
	}
	s := postgresDialect.words.Replace(text)
	p.said.Store(text, s)
	return s
}

func (p *pgConn) exec(ctx context.Context, text string, args []any) (int64, error) {
	tag, err := p.c.Exec(ctx, p.say(text), args...)
	return tag.RowsAffected(), err
}

func (p *pgConn) query(ctx context.Context, text string, args []any, scan func(*row) error) error {
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

// rows runs b with an array for each column: Postgres then plans and reads a statement of few values, however many rows
// there are. Many new rows of a table that asks for nothing else are copied into it.
func (p *pgConn) rows(ctx context.Context, b *batch, args []any) (int64, error) {
	if b.table != "" && len(args) >= copyMin*b.cols {
		return p.c.CopyFrom(ctx, pgx.Identifier{b.table}, b.names,
			pgx.CopyFromSlice(len(args)/b.cols, func(i int) ([]any, error) { return args[i*b.cols : (i+1)*b.cols], nil }))
	}
	var total int64
	for len(args) > 0 {
		part := args[:min(len(args), postgresDialect.rowsMax*b.cols)]
		args = args[len(part):]
		columns, err := transpose(part, b.cols)
		if err != nil {
			return total, err
		}
		tag, err := p.c.Exec(ctx, p.columnText(b, columns), columns...)
		if err != nil {
			return total, err
		}
		total += tag.RowsAffected()
	}
	return total, nil
}

func (p *pgConn) columnText(b *batch, columns []any) string {
	if s, ok := p.said.Load(b); ok {
		return s.(string)
	}
	var arrays, names strings.Builder
	for i, c := range columns {
		if i > 0 {
			arrays.WriteString(", ")
			names.WriteString(", ")
		}
		n := strconv.Itoa(i + 1)
		arrays.WriteString("$" + n + "::" + map[bool]string{true: "bigint[]", false: "text[]"}[isNumbers(c)])
		names.WriteString("column" + n)
	}
	s := postgresDialect.words.Replace(b.head + "SELECT * FROM unnest(" + arrays.String() + ") AS u (" + names.String() + ")" + b.tail)
	p.said.Store(b, s)
	return s
}

func (p *pgConn) close(broken bool) {
	if broken {
		p.c.Close(context.Background())
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
