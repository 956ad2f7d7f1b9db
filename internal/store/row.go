package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dulyhq/duly/internal/civil"
	"github.com/dulyhq/duly/internal/money"
)

// row reads the columns of one row from left to right. A column of the wrong kind is an error that done reports.
type row struct {
	vals []any
	ptrs []any
	next int
	err  error
}

// scanRows reads all rows and closes the cursor.
func scanRows(rows *sql.Rows, scan func(*row) error) error {
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	r := &row{vals: make([]any, len(cols)), ptrs: make([]any, len(cols))}
	for i := range r.vals {
		r.ptrs[i] = &r.vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(r.ptrs...); err != nil {
			return err
		}
		r.next = 0
		if err := scan(r); err != nil {
			return err
		}
		if r.err != nil {
			return r.err
		}
	}
	return rows.Err()
}

func (r *row) take() any {
	v := r.vals[r.next]
	r.next++
	return v
}

func (r *row) text() string {
	switch v := r.take().(type) {
	case string:
		return v
	case []byte:
		return string(v)
	default:
		r.wrong("text", v)
		return ""
	}
}

func (r *row) int64() int64 {
	v, ok := r.take().(int64)
	if !ok {
		r.wrong("number", r.vals[r.next-1])
	}
	return v
}

func (r *row) int() int   { return int(r.int64()) }
func (r *row) bool() bool { return r.int64() != 0 }

func (r *row) time() time.Time { return instant(r.int64()) }

func (r *row) date() civil.Date {
	d, err := civil.FromInt(r.int64())
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("column %d: %w", r.next, err)
	}
	return d
}

func (r *row) weekdays() (days civil.Weekdays) {
	if err := days.UnmarshalText([]byte(r.text())); err != nil && r.err == nil {
		r.err = fmt.Errorf("column %d: %w", r.next, err)
	}
	return days
}

func (r *row) amount(c money.Currency) money.Amount { return money.New(r.int64(), c) }

// json reads a JSON column into v; "" leaves v alone.
func (r *row) json(v any) {
	if s := r.text(); s != "" {
		r.decode(s, v)
	}
}

func (r *row) decode(s string, v any) {
	if err := json.Unmarshal([]byte(s), v); err != nil && r.err == nil {
		r.err = fmt.Errorf("column %d: %w", r.next, err)
	}
}

func (r *row) wrong(want string, got any) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d is %T, want a %s", r.next, got, want)
	}
}

// micros and instant are how an instant is kept: microseconds since 1970 UTC, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// jsonText writes a list as JSON; an empty one as "".
func jsonText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic("store.jsonText: " + err.Error()) // plain structs of texts and times always marshal
	}
	return string(b)
}
