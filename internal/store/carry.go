package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/store/migration"
)

// Sizes of a move: rows read and written at a time, and rows removed.
const (
	carryMax = 2000
	clearMax = 5000
)

// carried is a table whose rows go along when a bucket moves to another store. The list is made of the migrations, so a table
// that is added cannot be forgotten.
type carried struct {
	name string
	cols []string
	text []bool // which of them hold texts
	key  []int  // places in cols of the key, behind bucket
	put  batch
}

// stays are the tables with a bucket whose rows do not go along: who works on it, and the bucket's own row, which both have.
var stays = []string{"bucket", "bucket_lease"}

var carriedTables = sync.OnceValues(func() ([]*carried, error) {
	all, err := steps(migration.Files)
	if err != nil {
		return nil, err
	}
	byName := map[string]*carried{}
	var out []*carried
	for _, s := range all {
		for _, stmt := range s.statements() {
			if c := carriedOf(stmt); c != nil && !slices.Contains(stays, c.name) {
				byName[c.name] = c
				out = append(out, c)
			}
			if name, column, ok := altered(stmt, " ADD COLUMN "); ok && byName[name] != nil {
				byName[name].column(column)
			}
			if name, column, ok := altered(stmt, " DROP COLUMN "); ok && byName[name] != nil {
				byName[name].drop(column)
			}
		}
	}
	for _, c := range out {
		c.put = batch{head: "@insert INTO " + c.name + " (" + strings.Join(c.cols, ", ") + ") ", cols: len(c.cols), table: c.name, names: c.cols}
	}
	return out, nil
})

// carriedOf reads a CREATE TABLE of a table with buckets, or returns nil.
func carriedOf(stmt string) *carried {
	rest, isTable := strings.CutPrefix(stmt, "CREATE TABLE ")
	if !isTable || !strings.Contains(rest, "(\n  bucket INTEGER NOT NULL") {
		return nil
	}
	name, rest, _ := strings.Cut(rest, " (\n")
	c := &carried{name: name}
	for line := range strings.Lines(rest) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		switch key, isKey := strings.CutPrefix(line, "PRIMARY KEY ("); {
		case strings.HasPrefix(line, ")"):
			return c
		case isKey:
			for _, k := range strings.Split(strings.TrimSuffix(key, ")"), ", ")[1:] {
				c.key = append(c.key, slices.Index(c.cols, k))
			}
		default:
			c.column(line)
		}
	}
	return c
}

func (c *carried) column(definition string) {
	name, kind, _ := strings.Cut(definition, " ")
	c.cols, c.text = append(c.cols, name), append(c.text, strings.HasPrefix(kind, "TEXT"))
}

// drop takes out a column, which is none of the key.
func (c *carried) drop(column string) {
	i := slices.Index(c.cols, column)
	c.cols, c.text = slices.Delete(c.cols, i, i+1), slices.Delete(c.text, i, i+1)
	for k := range c.key {
		if c.key[k] > i {
			c.key[k]--
		}
	}
}

func altered(stmt, how string) (table, column string, ok bool) {
	rest, ok := strings.CutPrefix(stmt, "ALTER TABLE ")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, how)
}

func (c *carried) keyNames() []string {
	out := make([]string, len(c.key))
	for i, k := range c.key {
		out[i] = c.cols[k]
	}
	return out
}

// page is the text that reads rows of a bucket in the order of the key, from the first or behind a key.
func (c *carried) page(behind bool) string {
	names := strings.Join(c.keyNames(), ", ")
	text := "SELECT " + strings.Join(c.cols, ", ") + " FROM " + c.name + " WHERE bucket = $1"
	n := 2
	if behind {
		var params []string
		for range c.key {
			params = append(params, fmt.Sprintf("$%d", n))
			n++
		}
		text += " AND (" + names + ") > (" + strings.Join(params, ", ") + ")"
	}
	if names != "" {
		text += " ORDER BY " + names
	}
	return text + fmt.Sprintf(" LIMIT $%d", n)
}

// BucketSum is what a bucket holds, to be compared: rows and a digest of each table, and the bucket's own state with the end of
// its audit.
type BucketSum struct {
	State  Bucket
	Audit  int64  // entries
	Head   string // the hash of the last
	Tables []TableSum
}

// TableSum is what a bucket has in one table.
type TableSum struct {
	Name   string
	Rows   int64
	Digest string
}

// Rows counts those of all tables.
func (s *BucketSum) Rows() (n int64) {
	for _, t := range s.Tables {
		n += t.Rows
	}
	return n
}

// Differs returns the first table in which two buckets are not alike, or "".
func (s *BucketSum) Differs(o *BucketSum) string {
	if s.State != o.State || s.Audit != o.Audit || s.Head != o.Head || len(s.Tables) != len(o.Tables) {
		return "bucket"
	}
	for i := range s.Tables {
		if s.Tables[i] != o.Tables[i] {
			return s.Tables[i].Name
		}
	}
	return ""
}

// SumBucket reads a bucket whole. fn, if not nil, is handed its rows, some of one table at a time. It is of one moment only where
// nobody writes to the bucket.
func (db *DB) SumBucket(ctx context.Context, bucket int, fn func(Rows) error) (BucketSum, error) {
	var out BucketSum
	tables, err := carriedTables()
	if err != nil {
		return out, err
	}
	for _, c := range tables {
		t, err := db.sumTable(ctx, c, bucket, fn)
		if err != nil {
			return out, fmt.Errorf("read %s: %w", c.name, err)
		}
		out.Tables = append(out.Tables, t)
	}
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error {
			_, state := scanBucket(r)
			out.State, out.Audit, out.Head = state.Bucket, state.head.Seq, state.head.Hash
			return nil
		}, "SELECT "+bucketCols+" FROM bucket WHERE bucket = $1", int64(bucket))
	})
	return out, err
}

// Rows are rows of one table, as they were read of one store and can be written to another.
type Rows struct {
	table *carried
	cells []any
}

// Len counts them.
func (r Rows) Len() int { return len(r.cells) / len(r.table.cols) }

func (db *DB) sumTable(ctx context.Context, c *carried, bucket int, fn func(Rows) error) (TableSum, error) {
	sum, digest := TableSum{Name: c.name}, sha256.New()
	args, text := []any{int64(bucket)}, c.page(false)
	for {
		cells := make([]any, 0, len(c.cols)*64)
		err := db.View(ctx, func(tx *Tx) error {
			cells = cells[:0]
			return tx.query(func(r *row) error { cells = c.scan(cells, r); return nil }, text, append(args[:len(args):len(args)], int64(carryMax))...)
		})
		if err != nil {
			return sum, err
		}
		rows := len(cells) / len(c.cols)
		sum.Rows += int64(rows)
		digestCells(digest, cells)
		if fn != nil && rows > 0 {
			if err := fn(Rows{c, cells}); err != nil {
				return sum, err
			}
		}
		if rows < carryMax || len(c.key) == 0 {
			sum.Digest = hex.EncodeToString(digest.Sum(nil))
			return sum, nil
		}
		last := cells[len(cells)-len(c.cols):]
		args, text = args[:1], c.page(true)
		for _, k := range c.key {
			args = append(args, last[k])
		}
	}
}

func (c *carried) scan(cells []any, r *row) []any {
	for _, text := range c.text {
		if text {
			cells = append(cells, r.text())
		} else {
			cells = append(cells, r.int64())
		}
	}
	return cells
}

// digestCells adds values so that no two rows share a form: each with its kind, texts with their length.
func digestCells(h hash.Hash, cells []any) {
	var b []byte
	for _, c := range cells {
		switch v := c.(type) {
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'n'), uint64(v))
		case string:
			b = append(binary.BigEndian.AppendUint64(append(b, 't'), uint64(len(v))), v...)
		}
		if len(b) > 1<<15 {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(b)
}

// PutRows writes rows of another store to a bucket that the transaction holds.
func (tx *Tx) PutRows(rows Rows) error {
	for i := 0; i < len(rows.cells); i += rows.table.put.cols {
		if b, ok := rows.cells[i].(int64); !ok || tx.buckets[int(b)] == nil {
			return fmt.Errorf("put rows of %s: their bucket is not held by this transaction", rows.table.name)
		}
	}
	if _, err := tx.rows(&rows.table.put, rows.cells); err != nil {
		return fmt.Errorf("put rows of %s: %w", rows.table.name, err)
	}
	return nil
}

// PutState gives a bucket that the transaction holds the state and the end of the audit of another.
func (tx *Tx) PutState(bucket int, of *BucketSum) error {
	r, err := tx.held(bucket)
	if err != nil {
		return err
	}
	r.Bucket, r.head.Seq, r.head.Hash, r.touched = of.State, of.Audit, of.Head, true
	return nil
}

// ClearRows removes some rows of a bucket that the transaction holds, and reports whether that was all. A table with one row for
// each bucket keeps it unless whole; the bucket's state is as of an empty one in the end.
func (tx *Tx) ClearRows(bucket int, whole bool) (done bool, err error) {
	if _, err := tx.held(bucket); err != nil {
		return false, err
	}
	tables, err := carriedTables()
	if err != nil {
		return false, err
	}
	for _, c := range tables {
		if len(c.key) == 0 && !whole {
			continue
		}
		n, err := tx.clearTable(c, bucket)
		if err != nil {
			return false, fmt.Errorf("clear %s: %w", c.name, err)
		}
		if n == clearMax {
			return false, nil
		}
	}
	return true, tx.PutState(bucket, &BucketSum{})
}

func (tx *Tx) clearTable(c *carried, bucket int) (int64, error) {
	if len(c.key) == 0 {
		return tx.exec("DELETE FROM "+c.name+" WHERE bucket = $1", int64(bucket))
	}
	names := strings.Join(c.keyNames(), ", ")
	return tx.exec("DELETE FROM "+c.name+" WHERE bucket = $1 AND ("+names+") IN (SELECT "+names+" FROM "+c.name+
		" WHERE bucket = $1 ORDER BY "+names+" LIMIT $2)", int64(bucket), int64(clearMax))
}

// LowerFeed has a cell that is to get people of another know no more of a feed than the other does; one that has nobody yet knows
// as much.
func (db *DB) LowerFeed(ctx context.Context, now time.Time, name string, to time.Time, empty bool) error {
	return db.Update(ctx, now, nil, func(tx *Tx) error {
		if empty {
			if err := tx.SetFeed(name, to); err != nil {
				return err
			}
		}
		_, err := tx.exec("UPDATE feed SET watermark = $2, changed_at = $3 WHERE name = $1 AND watermark > $2", name, micros(to), micros(tx.now))
		return err
	})
}

// Feeds returns up to when each feed is known.
func (db *DB) Feeds(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	err := db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { out[r.text()] = r.time(); return nil }, "SELECT name, watermark FROM feed")
	})
	return out, err
}

// CountRows counts the contacts of every bucket.
func (db *DB) CountRows(ctx context.Context) (out [duly.Buckets]int64, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		return tx.query(func(r *row) error { b := r.int(); out[b] = r.int64(); return nil }, "SELECT bucket, COUNT(*) FROM contact GROUP BY bucket")
	})
	return out, err
}
