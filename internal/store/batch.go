package store

import (
	"fmt"
	"strconv"
	"strings"
)

// batch is a statement over many rows: head, the rows, tail. An INSERT has them after its columns; an UPDATE joins them as
// table v, whose columns are called column1, column2, … on both engines. Columns are of type int64 or string; the first is
// the bucket, except of rows that have none.
type batch struct {
	head       string
	cols       int
	tail       string
	bucketless bool
}

// rows runs b over len(args)/b.cols rows, and returns how many rows it affected.
func (tx *Tx) rows(b *batch, args []any) (int64, error) {
	if len(args)%b.cols != 0 {
		return 0, fmt.Errorf("%d values do not make rows of %d", len(args), b.cols)
	}
	if tx.db.spread && !b.bucketless {
		return tx.rowsByBucket(b, args)
	}
	if tx.db.d.columns {
		return tx.rowsByColumn(b, args)
	}
	return tx.rowsByCell(b, args)
}

// rowsByCell runs b in pieces of 2ⁿ rows, so that few texts are ever prepared.
func (tx *Tx) rowsByCell(b *batch, args []any) (int64, error) {
	var total int64
	for size := tx.db.d.rowsMax; size > 0; size /= 2 {
		for len(args) >= size*b.cols {
			n, err := tx.exec(tx.db.cellText(b, size), args[:size*b.cols]...)
			if err != nil {
				return total, err
			}
			total += n
			args = args[size*b.cols:]
		}
	}
	return total, nil
}

// textKey names the text of a batch for one number of rows; 0 is any number by columns, -1 any number of one bucket.
type textKey struct {
	b    *batch
	rows int
}

// cellText has a placeholder for every cell. They have no number: SQLite takes $1 for a name, and looks through all the
// names for each value that is bound.
func (db *DB) cellText(b *batch, rows int) string {
	return db.text(textKey{b, rows}, func() string {
		row := "(" + strings.Repeat("?,", b.cols-1) + "?)"
		return b.head + "VALUES " + strings.Repeat(row+",", rows-1) + row + b.tail
	})
}

// text returns the text of a batch, made once.
func (db *DB) text(key textKey, make func() string) string {
	db.mu.RLock()
	text, ok := db.texts[key]
	db.mu.RUnlock()
	if ok {
		return text
	}
	text = make()
	db.mu.Lock()
	defer db.mu.Unlock()
	db.texts[key] = text
	return text
}

// rowsByColumn runs b with an array for each column: Postgres then plans and reads a statement of few values, however
// many rows there are.
func (tx *Tx) rowsByColumn(b *batch, args []any) (int64, error) {
	var total int64
	for len(args) > 0 {
		part := args[:min(len(args), tx.db.d.rowsMax*b.cols)]
		args = args[len(part):]
		columns, err := transpose(part, b.cols)
		if err != nil {
			return total, err
		}
		n, err := tx.exec(tx.db.columnText(b, columns), columns...)
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
	return db.text(textKey{b, 0}, func() string {
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

func arrayType(column any) string {
	if _, ok := column.([]int64); ok {
		return "::bigint[]"
	}
	return "::text[]"
}
