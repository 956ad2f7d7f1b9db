package store

import (
	"fmt"
)

// batch is a statement over many rows: head, the rows, tail. An INSERT has them after its columns; an UPDATE joins them as
// table v, whose columns are called column1, column2, … on both engines. Columns are of type int64 or string.
type batch struct {
	head  string
	cols  int
	tail  string
	table string   // of an INSERT that asks for nothing else, its table
	names []string // and its columns
}

// rows runs b over len(args)/b.cols rows, and returns how many rows it affected.
func (tx *Tx) rows(b *batch, args []any) (int64, error) {
	if len(args)%b.cols != 0 {
		return 0, fmt.Errorf("%d values do not make rows of %d", len(args), b.cols)
	}
	if len(args) == 0 {
		return 0, nil
	}
	return tx.s.conn.rows(tx.ctx, b, args)
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

func isNumbers(column any) bool { _, ok := column.([]int64); return ok }
