package store

import (
	"fmt"
	"strconv"
	"strings"
)

// batch is a statement over many rows: head, the rows, tail. An INSERT has them after its columns; an UPDATE or DELETE joins them as
// table v, whose columns are called column1, column2, … on both engines. Columns are of type int64 or string; the first is
// the bucket, except of rows that have none.
type batch struct {
	head       string
	cols       int
	tail       string
	bucketless bool
	table      string   // of an INSERT that asks for nothing else, its table
	names      []string // and its columns
	keys       int      // of facts, how many of them name one, behind the bucket
}

// rows runs b over len(args)/b.cols rows, and returns how many rows it affected.
func (tx *Tx) rows(b *batch, args []any) (int64, error) {
	if len(args)%b.cols != 0 {
		return 0, fmt.Errorf("%d values do not make rows of %d", len(args), b.cols)
	}
	switch {
	case len(args) == 0:
		return 0, nil
	case tx.db.spread && !b.bucketless:
		return tx.rowsByBucket(b, args)
	case tx.db.spread:
		return tx.db.rowsByColumn(b, args, func(text string, columns []any) (int64, error) { return tx.exec(text, columns...) })
	}
	tx.writes()
	return tx.s.conn.rows(tx.ctx, b, args)
}

// textKey names the text of a batch by columns, or for one bucket.
type textKey struct {
	b      *batch
	bucket bool
}

// rowsByColumn runs b with an array for each column: Postgres then plans and reads a statement of few values, however many
// rows there are.
func (db *DB) rowsByColumn(b *batch, args []any, exec func(text string, columns []any) (int64, error)) (int64, error) {
	var total int64
	for len(args) > 0 {
		part := args[:min(len(args), db.d.rowsMax*b.cols)]
		args = args[len(part):]
		columns, err := transpose(part, b.cols)
		if err != nil {
			return total, err
		}
		n, err := exec(db.columnText(b, columns), columns)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// transpose turns rows of cells into columns, each a slice of its type.
func transpose(cells []any, cols int) ([]any, error) {
	out := make([]any, cols)
	for c := range cols {
		var ok bool
		switch cells[c].(type) {
		case int64:
			out[c], ok = column[int64](cells, c, cols)
		case string:
			out[c], ok = column[string](cells, c, cols)
		}
		if !ok {
			return nil, fmt.Errorf("column %d is neither all numbers nor all texts", c+1)
		}
	}
	return out, nil
}

func column[T any](cells []any, from, step int) ([]T, bool) {
	out := make([]T, 0, len(cells)/step)
	for i := from; i < len(cells); i += step {
		v, ok := cells[i].(T)
		if !ok {
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}

func (db *DB) columnText(b *batch, columns []any) string {
	return db.made(textKey{b, false}, func() string {
		var arrays, names strings.Builder
		for i, c := range columns {
			if i > 0 {
				arrays.WriteString(", ")
				names.WriteString(", ")
			}
			n := strconv.Itoa(i + 1)
			arrays.WriteString("$" + n + arrayType(c))
			names.WriteString("column" + n)
		}
		return b.head + "SELECT * FROM unnest(" + arrays.String() + ") AS u (" + names.String() + ")" + b.tail
	})
}

// made returns a text that is made of another, once for each key.
func (db *DB) made(key any, make func() string) string {
	if s, ok := db.texts.Load(key); ok {
		return s.(string)
	}
	s := make()
	db.texts.Store(key, s)
	return s
}

func arrayType(column any) string {
	if _, ok := column.([]int64); ok {
		return "::bigint[]"
	}
	return "::text[]"
}
